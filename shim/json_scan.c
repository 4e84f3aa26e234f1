/*
 * json_scan.c
 *	  The fast decoder: one pass over a document that holds nothing unusual.
 *
 * The pass is recursive descent over bytes.  It looks each member up in the
 * mapping's tree as it meets it and fills the record at once, so there is no
 * tree of the document and nothing is allocated.  It decides only documents it
 * has understood to the last byte; whatever else there may be (escapes, a
 * member twice, arrays within arrays, errors of any kind) is SCAN_UNUSUAL, and
 * the decoder of record says what it is.  Hence this file needs no error
 * messages, and may give up wherever that keeps it simple.
 */
#include "json_scan.h"

#include <math.h>

#include "json_decode.h"

#define UNKNOWN_MAX 512			/* members not mentioned, of one document */
#define UNKNOWN_SLOTS 2048		/* hash table of them, power of two */

/* A member that the mapping does not mention, to notice it when it comes twice. */
typedef struct UnknownKey
{
	const char *key;
	uint32_t	len;
	uint32_t	hash;
	uint32_t	owner;			/* the object's number */
} UnknownKey;

typedef struct Scan
{
	const char *p;
	const char *end;
	const Mapping *mapping;
	Fill		fill;
	uint32_t	nobjects;
	uint32_t	nunknown;
	uint64_t	seen[MAPPING_NODES_MAX / 64];	/* nodes met */
	UnknownKey	unknown[UNKNOWN_MAX];	/* used up to nunknown */
	uint16_t	slots[UNKNOWN_SLOTS];	/* 1 + index; valid when nunknown > 0 */
} Scan;

/* The name of the place where the scan is, when it is not in the mapping. */
typedef struct Place
{
	int			node;
	Str			prefix;			/* of names below */
} Place;

static bool scan_object(Scan *s, const Place *place, int depth);

static inline void
skip_space(Scan *s)
{
	/* Mostly there is none. */
	while (s->p < s->end && (unsigned char) *s->p <= ' ' &&
		   (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
		s->p++;
}

/* Past the byte, which must come next but for space. */
static inline bool
expect(Scan *s, char c)
{
	skip_space(s);
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

/*
 * Bytes of a word that end the plain part of a string have their high bit set
 * in the result: a quote, a backslash, a control character, a byte beyond
 * ASCII.  Subtracting borrows from the byte above, so only the lowest one found
 * is sure; it is the one that counts.
 */
static inline uint64_t
string_stops(uint64_t word)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	const uint64_t tops = UINT64_C(0x8080808080808080);
	uint64_t	quote = word ^ (ones * '"');
	uint64_t	backslash = word ^ (ones * '\\');

	return (((quote - ones) | (backslash - ones) | (word - ones * 0x20)) & ~word & tops) |
		(word & tops);
}

/* The string whose opening quote was just passed. */
static inline bool
scan_string(Scan *s, Str *out)
{
	const char *begin = s->p;
	const char *p = begin;
	bool		ascii = true;

	for (;;)
	{
		unsigned char c;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
		while (s->end - p >= 8)
		{
			uint64_t	word;
			uint64_t	stops;

			memcpy(&word, p, 8);
			stops = string_stops(word);
			if (stops != 0)
			{
				p += __builtin_ctzll(stops) >> 3;
				break;
			}
			p += 8;
		}
#endif
		if (p == s->end)
			return false;
		c = (unsigned char) *p;
		if (c == '"')
			break;
		if (c == '\\' || c < 0x20)
			return false;
		if (c >= 0x80)
			ascii = false;
		p++;
	}
	if (!ascii && !json_utf8_valid(begin, (size_t) (p - begin)))
		return false;
	*out = (Str) {begin, (uint32_t) (p - begin)};
	s->p = p + 1;
	return true;
}

/* Powers of ten that a double holds exactly. */
static const double exact_power[] = {
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22
};

/*
 * The number at p.  When its digits make an integer below 2^53 and the power of
 * ten is one of the table, a single multiplication or division is correctly
 * rounded; otherwise the C library does it.
 */
static inline bool
scan_number(Scan *s, JsonScalar *out)
{
	const char *begin = s->p;
	const char *p = begin;
	const char *end = s->end;
	const char *digits;
	uint64_t	mantissa = 0;
	long		ndigits;
	int			exponent = 0;
	bool		negative = false;

	if (*p == '-')
	{
		negative = true;
		if (++p == end)
			return false;
	}
	digits = p;
	while (p < end && (unsigned char) (*p - '0') <= 9)
		mantissa = mantissa * 10 + (uint64_t) (*p++ - '0');
	ndigits = p - digits;
	if (ndigits == 0 || (ndigits > 1 && *digits == '0'))
		return false;
	if (p < end && *p == '.')
	{
		const char *fraction = ++p;

		while (p < end && (unsigned char) (*p - '0') <= 9)
			mantissa = mantissa * 10 + (uint64_t) (*p++ - '0');
		if (p == fraction)
			return false;
		ndigits += p - fraction;
		exponent = (int) (fraction - p);
	}
	if (p < end && (*p | 0x20) == 'e')
	{
		bool		minus = false;
		int			value = 0;
		const char *first;

		if (++p < end && (*p == '+' || *p == '-'))
			minus = *p++ == '-';
		first = p;
		while (p < end && (unsigned char) (*p - '0') <= 9)
		{
			/* Larger ones take the slow way, whatever they are. */
			if (value < 10000)
				value = value * 10 + (*p - '0');
			p++;
		}
		if (p == first)
			return false;
		exponent += minus ? -value : value;
	}

	out->type = JSON_NUMBER;
	out->text = (Str) {begin, (uint32_t) (p - begin)};
	if (ndigits <= 18 && mantissa < UINT64_C(1) << 53 && exponent >= -22 && exponent <= 22)
	{
		double		value = (double) mantissa;

		if (exponent < 0)
			value /= exact_power[-exponent];
		else
			value *= exact_power[exponent];
		out->number = negative ? -value : value;
	}
	else
		out->number = json_number_value(out->text);
	s->p = p;
	return true;
}

/* A scalar at p, where a byte is. */
static inline bool
scan_scalar(Scan *s, JsonScalar *out)
{
	size_t		room = (size_t) (s->end - s->p);

	switch (*s->p)
	{
		case '"':
			out->type = JSON_STRING;
			s->p++;
			return scan_string(s, &out->text);
		case 't':
			if (room < 4 || memcmp(s->p, "true", 4) != 0)
				return false;
			out->type = JSON_BOOLEAN;
			out->boolean = true;
			s->p += 4;
			return true;
		case 'f':
			if (room < 5 || memcmp(s->p, "false", 5) != 0)
				return false;
			out->type = JSON_BOOLEAN;
			out->boolean = false;
			s->p += 5;
			return true;
		case 'n':
			if (room < 4 || memcmp(s->p, "null", 4) != 0)
				return false;
			out->type = JSON_NULL;
			s->p += 4;
			return true;
		default:
			return scan_number(s, out);
	}
}

/* False when the object has such a member already, or there is no room. */
static bool
note_unknown(Scan *s, Str key, const uint64_t words[2], uint32_t owner)
{
	uint32_t	hash = mapping_key_hash(words, key.len, owner);
	uint32_t	slot = hash;

	if (s->nunknown == 0)
		memset(s->slots, 0, sizeof(s->slots));
	if (s->nunknown == UNKNOWN_MAX)
		return false;
	for (;; slot++)
	{
		uint16_t	used = s->slots[slot & (UNKNOWN_SLOTS - 1)];
		const UnknownKey *other;

		if (used == 0)
			break;
		other = &s->unknown[used - 1];
		if (other->hash == hash && other->owner == owner && other->len == key.len &&
			memcmp(other->key, key.data, key.len) == 0)
			return false;
	}
	s->unknown[s->nunknown] = (UnknownKey) {key.data, key.len, hash, owner};
	s->slots[slot & (UNKNOWN_SLOTS - 1)] = (uint16_t) ++s->nunknown;
	return true;
}

/* An array that becomes one text; not when it holds more than scalars. */
static bool
scan_join(Scan *s, Str name, bool name_stable, bool wanted)
{
	Join		join = {0};

	if (wanted)
		mapping_join_begin(&s->fill, &join);
	skip_space(s);
	if (s->p < s->end && *s->p == ']')
		s->p++;
	else
		for (;;)
		{
			JsonScalar	scalar;

			skip_space(s);
			if (s->p == s->end || *s->p == '{' || *s->p == '[' || !scan_scalar(s, &scalar))
				return false;
			if (wanted)
				mapping_join_add(&join, &scalar);
			skip_space(s);
			if (s->p == s->end)
				return false;
			if (*s->p == ']')
			{
				s->p++;
				break;
			}
			if (*s->p++ != ',')
				return false;
		}
	if (wanted)
		mapping_join_end(&s->fill, &join, name, name_stable);
	return true;
}

/* The value of a member or element whose node (or MAPPING_UNKNOWN) is known. */
static inline bool
scan_value(Scan *s, const Place *parent, Str key, int node, int depth)
{
	const Mapping *mapping = s->mapping;
	const MappingNode *known = node != MAPPING_UNKNOWN ? &mapping->nodes[node] : NULL;
	FlatName	flat;
	Str			name;
	bool		name_stable = false;
	bool		array;
	bool		inside;			/* the mapping mentions something in it */
	Place		here;

	skip_space(s);
	if (s->p == s->end)
		return false;

	if (*s->p != '{' && *s->p != '[')
	{
		JsonScalar	scalar;

		if (!scan_scalar(s, &scalar))
			return false;
		if (known != NULL && known->target != NULL)
		{
			mapping_put(&s->fill, known->target, &scalar);
			return true;
		}
		if (!mapping->keep_others)
			return true;
		mapping_flat_name(&flat, parent->prefix, key);
		name = (Str) {flat.data, flat.len};
		/* Often the key is the name already, and outlives the record. */
		if (flat.len == key.len && memcmp(flat.data, key.data, key.len) == 0)
		{
			name.data = key.data;
			name_stable = true;
		}
		mapping_put_signal(&s->fill, name, name_stable, &scalar);
		return true;
	}

	if (known != NULL)
	{
		name = known->flat;
		name_stable = true;
	}
	else
	{
		mapping_flat_name(&flat, parent->prefix, key);
		name = (Str) {flat.data, flat.len};
	}
	here = (Place) {node, name};
	if (depth == JSON_DEPTH_MAX)
		return false;
	array = *s->p == '[';
	inside = known != NULL && (array ? known->has_elements : known->has_children);
	if (known != NULL && known->target != NULL && !inside)
	{
		/* For a column, or an object for a signal: let the other decide. */
		if (!array || known->target->field != FIELD_SIGNAL || !mapping_target_plain(known->target))
			return false;
		s->p++;
		return scan_join(s, known->target->name, true, true);
	}
	s->p++;
	if (!array)
		return scan_object(s, &here, depth + 1);
	if (!inside)
		return scan_join(s, name, name_stable, mapping->keep_others);

	/* An array whose elements the mapping mentions by index. */
	skip_space(s);
	if (s->p < s->end && *s->p == ']')
	{
		s->p++;
		return true;
	}
	for (unsigned i = 0; i < 100; i++)
	{
		char		number[2] = {(char) ('0' + i / 10), (char) ('0' + i % 10)};
		Str			index = {i < 10 ? number + 1 : number, i < 10 ? 1 : 2};
		uint64_t	words[2];

		mapping_key_words(index.data, index.len, words);
		if (!scan_value(s, &here, index, mapping_child(mapping, node, index.data, index.len, words),
						depth + 1))
			return false;
		skip_space(s);
		if (s->p == s->end)
			return false;
		if (*s->p == ']')
		{
			s->p++;
			return true;
		}
		if (*s->p++ != ',')
			return false;
	}
	return false;
}

/* Behind the opening brace. */
static bool
scan_object(Scan *s, const Place *place, int depth)
{
	uint32_t	owner = ++s->nobjects;

	skip_space(s);
	if (s->p < s->end && *s->p == '}')
	{
		s->p++;
		return true;
	}
	for (;;)
	{
		Str			key;
		uint64_t	words[2];
		int			node = MAPPING_UNKNOWN;

		if (!expect(s, '"') || !scan_string(s, &key) || !expect(s, ':'))
			return false;
		mapping_key_words(key.data, key.len, words);
		if (place->node != MAPPING_UNKNOWN)
			node = mapping_child(s->mapping, place->node, key.data, key.len, words);
		if (node != MAPPING_UNKNOWN)
		{
			uint64_t	bit = UINT64_C(1) << (node & 63);

			if (s->seen[node >> 6] & bit)
				return false;
			s->seen[node >> 6] |= bit;
		}
		else if (!note_unknown(s, key, words, owner))
			return false;
		if (!scan_value(s, place, key, node, depth))
			return false;
		skip_space(s);
		if (s->p == s->end)
			return false;
		if (*s->p == '}')
		{
			s->p++;
			return true;
		}
		if (*s->p++ != ',')
			return false;
	}
}

ScanResult
json_scan(const Mapping *mapping, const char *text, size_t len, Record *out)
{
	Scan		s;
	const Place root = {MAPPING_ROOT, {"", 0}};

	s.p = text;
	s.end = text + len;
	s.mapping = mapping;
	s.fill = (Fill) {.record = out,.stable = true};
	s.nobjects = 0;
	s.nunknown = 0;
	memset(s.seen, 0, (mapping->nnodes + 63) / 64 * sizeof(s.seen[0]));
	if (!expect(&s, '{') || !scan_object(&s, &root, 1))
		return SCAN_UNUSUAL;
	skip_space(&s);
	if (s.p != s.end)
		return SCAN_UNUSUAL;
	return SCAN_DONE;
}
