/*
 * signals.c
 *	  The packed form of signals: reading, building, merging.
 *
 * After the header the entries follow without alignment, in canonical order:
 *
 *	  tag		1 byte: form of the value (6 bits), form of the key (2 bits)
 *	  key		number in 1 or 2 bytes, or length and name
 *	  value		see ValueForm
 *
 * The form of a value follows from the value alone, so equal maps are equal
 * byte for byte.  Fifteen usual signals take some sixty bytes.
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "common/shortest_dec.h"
#include "utils/builtins.h"
#include "utils/json.h"

#include "fleet.h"
#include "types/dictionary.h"
#include "types/signals.h"

typedef enum KeyForm
{
	KEY_ID8 = 0,
	KEY_ID16 = 1,
	KEY_NAME = 2				/* length in 1 byte, name */
} KeyForm;

/*
 * A number that is a decimal of at most MAX_EXPONENT places and fits is kept as
 * mantissa * 10^-exponent, with the smallest exponent and then the narrowest
 * integer that will do.  mantissa / 10^exponent, both exact in a double, is the
 * double nearest to that decimal, hence the very number that came in.
 */
typedef enum ValueForm
{
	VALUE_FALSE = 0,
	VALUE_TRUE = 1,
	VALUE_FLOAT8 = 2,
	VALUE_FLOAT4 = 3,			/* a double that is exactly a float4 */
	VALUE_TEXT8 = 4,			/* length in 1 byte, text */
	VALUE_TEXT16 = 5,			/* length in 2 bytes, text */
	VALUE_DECIMAL = 8			/* + 3 * exponent + (0: int8, 1: int16, 2: int32) */
} ValueForm;

#define MAX_EXPONENT 7

#define TAG(key_form, value_form) ((uint8) (((key_form) << 6) | (value_form)))
#define TAG_KEY_FORM(tag) ((tag) >> 6)
#define TAG_VALUE_FORM(tag) ((tag) & 0x3F)

/* tag, the longest key, the longest value */
#define ENTRY_MAX (1 + 1 + SIGNAL_NAME_MAX + 2 + SIGNAL_TEXT_MAX)
/* the same without text: what a number or boolean can take */
#define ENTRY_SHORT_MAX (1 + 1 + SIGNAL_NAME_MAX + 8)

static const double powers_of_ten[MAX_EXPONENT + 1] = {
	1, 10, 100, 1000, 10000, 100000, 1000000, 10000000
};

/* --- names --- */

bool
signal_name_valid(const char *name, int name_len)
{
	/* 1: letter or underscore, 2: digit */
	static const uint8 class[256] = {
		['A' ... 'Z'] = 1, ['a' ... 'z'] = 1, ['_'] = 1, ['0' ... '9'] = 2
	};

	if (name_len < 1 || name_len > SIGNAL_NAME_MAX || class[(unsigned char) name[0]] != 1)
		return false;
	for (int i = 1; i < name_len; i++)
		if (class[(unsigned char) name[i]] == 0)
			return false;
	return true;
}

SignalKey
signal_key(const char *name, int name_len)
{
	const WellKnownSignal *known = dictionary_by_name(name, name_len);
	SignalKey	key = {0};

	if (known != NULL)
		key.id = known->id;
	else
	{
		/* a name that is too long stays too long, and so is never found */
		key.name_len = (uint8) Min(name_len, PG_UINT8_MAX);
		key.name = name;
	}
	return key;
}

const char *
signal_key_name(const SignalKey *key, int *len)
{
	const WellKnownSignal *known;

	if (key->id == 0)
	{
		*len = key->name_len;
		return key->name;
	}
	known = dictionary_by_id(key->id);
	if (known == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("signal number %d is not in the dictionary", key->id),
				 errhint("The value was written by a newer version of the extension's library.")));
	*len = strlen(known->name);
	return known->name;
}

const char *
signal_kind_name(SignalKind kind)
{
	switch (kind)
	{
		case SIGNAL_BOOLEAN:
			return "boolean";
		case SIGNAL_NUMBER:
			return "number";
		case SIGNAL_TEXT:
			return "text";
	}
	elog(ERROR, "unknown signal kind %d", (int) kind);
	return NULL;
}

static inline int
compare_names(const char *a, int a_len, const char *b, int b_len)
{
	int			result = memcmp(a, b, Min(a_len, b_len));

	return result != 0 ? result : a_len - b_len;
}

int
signal_key_compare(const SignalKey *a, const SignalKey *b)
{
	if (a->id != b->id)
	{
		/* numbers come first, and 0 stands for a name */
		if (a->id == 0)
			return 1;
		if (b->id == 0)
			return -1;
		return (int) a->id - (int) b->id;
	}
	if (a->id != 0)
		return 0;
	return compare_names(a->name, a->name_len, b->name, b->name_len);
}

/* --- one entry, packed and unpacked --- */

/* Writes tag and key, returns where the value goes. */
static inline char *
pack_key(char *out, SignalKey key, int value_form)
{
	if (key.id == 0)
	{
		*out++ = TAG(KEY_NAME, value_form);
		*out++ = key.name_len;
		memcpy(out, key.name, key.name_len);
		return out + key.name_len;
	}
	if (key.id <= PG_UINT8_MAX)
	{
		*out++ = TAG(KEY_ID8, value_form);
		*out++ = (char) key.id;
		return out;
	}
	*out++ = TAG(KEY_ID16, value_form);
	memcpy(out, &key.id, sizeof(uint16));
	return out + sizeof(uint16);
}

static inline char *
pack_decimal(char *out, SignalKey key, int exponent, int32 mantissa)
{
	int			form = VALUE_DECIMAL + 3 * exponent;

	if (mantissa >= PG_INT8_MIN && mantissa <= PG_INT8_MAX)
	{
		out = pack_key(out, key, form);
		*out++ = (char) mantissa;
		return out;
	}
	if (mantissa >= PG_INT16_MIN && mantissa <= PG_INT16_MAX)
	{
		int16		narrow = (int16) mantissa;

		out = pack_key(out, key, form + 1);
		memcpy(out, &narrow, sizeof(narrow));
		return out + sizeof(narrow);
	}
	out = pack_key(out, key, form + 2);
	memcpy(out, &mantissa, sizeof(mantissa));
	return out + sizeof(mantissa);
}

/* Number must be finite.  Negative zero becomes zero: they are equal. */
static inline char *
pack_number(char *out, SignalKey key, double number)
{
	float4		narrow;

	if (fabs(number) <= PG_INT32_MAX)
	{
		for (int exponent = 0; exponent <= MAX_EXPONENT; exponent++)
		{
			double		scaled = number * powers_of_ten[exponent];
			double		mantissa;

			if (fabs(scaled) > PG_INT32_MAX)
				break;
			mantissa = rint(scaled);
			/* the cheap test first; division decides */
			if (fabs(scaled - mantissa) <= 1e-6 &&
				mantissa / powers_of_ten[exponent] == number)
				return pack_decimal(out, key, exponent, (int32) mantissa);
		}
	}
	if (fabs(number) <= FLT_MAX && (narrow = (float4) number) == number)
	{
		out = pack_key(out, key, VALUE_FLOAT4);
		memcpy(out, &narrow, sizeof(narrow));
		return out + sizeof(narrow);
	}
	out = pack_key(out, key, VALUE_FLOAT8);
	memcpy(out, &number, sizeof(number));
	return out + sizeof(number);
}

static inline char *
pack_text(char *out, SignalKey key, const char *text, int len)
{
	if (len <= PG_UINT8_MAX)
	{
		out = pack_key(out, key, VALUE_TEXT8);
		*out++ = (char) len;
	}
	else
	{
		uint16		length = (uint16) len;

		out = pack_key(out, key, VALUE_TEXT16);
		memcpy(out, &length, sizeof(length));
		out += sizeof(length);
	}
	memcpy(out, text, len);
	return out + len;
}

/* Reads the key, returns where the value begins. */
static inline const char *
unpack_key(const char *in, SignalKey *key)
{
	uint8		tag = (uint8) *in++;

	key->name = NULL;
	key->name_len = 0;
	switch (TAG_KEY_FORM(tag))
	{
		case KEY_ID8:
			key->id = (uint8) *in;
			return in + 1;
		case KEY_ID16:
			memcpy(&key->id, in, sizeof(uint16));
			return in + sizeof(uint16);
		default:
			key->id = 0;
			key->name_len = (uint8) *in;
			key->name = in + 1;
			return in + 1 + key->name_len;
	}
}

/* Given the start of a value, returns its end. */
static inline const char *
skip_value(uint8 tag, const char *in)
{
	static const uint8 widths[] = {
		[VALUE_FLOAT8] = 8, [VALUE_FLOAT4] = 4,
		[VALUE_DECIMAL] = 1, 2, 4, 1, 2, 4, 1, 2, 4, 1, 2, 4,
		1, 2, 4, 1, 2, 4, 1, 2, 4, 1, 2, 4
	};
	int			form = TAG_VALUE_FORM(tag);

	if (form == VALUE_TEXT8)
		return in + 1 + (uint8) *in;
	if (form == VALUE_TEXT16)
	{
		uint16		length;

		memcpy(&length, in, sizeof(length));
		return in + sizeof(length) + length;
	}
	if (unlikely(form >= lengthof(widths)))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("unknown value form %d in signals", form)));
	return in + widths[form];
}

/* Given the start of a value, reads it and returns its end. */
static inline const char *
unpack_value(uint8 tag, const char *in, SignalValue *value)
{
	int			form = TAG_VALUE_FORM(tag);
	int			exponent;
	int32		mantissa;

	switch (form)
	{
		case VALUE_FALSE:
		case VALUE_TRUE:
			value->kind = SIGNAL_BOOLEAN;
			value->boolean = form == VALUE_TRUE;
			return in;
		case VALUE_FLOAT8:
			value->kind = SIGNAL_NUMBER;
			memcpy(&value->number, in, sizeof(double));
			return in + sizeof(double);
		case VALUE_FLOAT4:
			{
				float4		narrow;

				memcpy(&narrow, in, sizeof(narrow));
				value->kind = SIGNAL_NUMBER;
				value->number = narrow;
				return in + sizeof(narrow);
			}
		case VALUE_TEXT8:
			value->kind = SIGNAL_TEXT;
			value->text_len = (uint8) *in;
			value->text = in + 1;
			return value->text + value->text_len;
		case VALUE_TEXT16:
			{
				uint16		length;

				memcpy(&length, in, sizeof(length));
				value->kind = SIGNAL_TEXT;
				value->text_len = length;
				value->text = in + sizeof(length);
				return value->text + length;
			}
	}

	exponent = (form - VALUE_DECIMAL) / 3;
	if (unlikely(form < VALUE_DECIMAL || exponent > MAX_EXPONENT))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("unknown value form %d in signals", form)));
	switch ((form - VALUE_DECIMAL) % 3)
	{
		case 0:
			mantissa = (int8) *in;
			in += 1;
			break;
		case 1:
			{
				int16		narrow;

				memcpy(&narrow, in, sizeof(narrow));
				mantissa = narrow;
				in += sizeof(narrow);
				break;
			}
		default:
			memcpy(&mantissa, in, sizeof(mantissa));
			in += sizeof(mantissa);
			break;
	}
	value->kind = SIGNAL_NUMBER;
	value->number = exponent == 0 ? mantissa : mantissa / powers_of_ten[exponent];
	return in;
}

/* --- reading --- */

void
signals_iterate(const Signals *signals, SignalsIterator *it)
{
	it->signals = signals;
	it->next = signals != NULL ? signals->data : NULL;
	it->remaining = signals != NULL ? signals->count : 0;
}

bool
signals_next(SignalsIterator *it)
{
	uint8		tag;

	if (it->remaining == 0)
		return false;
	it->remaining--;
	tag = (uint8) *it->next;
	it->next = unpack_value(tag, unpack_key(it->next, &it->key), &it->value);
	return true;
}

bool
signals_get(const Signals *signals, const SignalKey *key, SignalValue *value)
{
	const char *in = signals != NULL ? signals->data : NULL;

	for (int remaining = signals != NULL ? signals->count : 0; remaining > 0; remaining--)
	{
		uint8		tag = (uint8) *in;
		SignalKey	have;
		int			order;

		in = unpack_key(in, &have);
		order = signal_key_compare(&have, key);
		if (order == 0)
		{
			unpack_value(tag, in, value);
			return true;
		}
		if (order > 0)
			return false;
		in = skip_value(tag, in);
	}
	return false;
}

bool
signals_same_names(const Signals *a, const Signals *b)
{
	const char *in_a = a->data;
	const char *in_b = b->data;

	if (a->count != b->count)
		return false;
	for (int remaining = a->count; remaining > 0; remaining--)
	{
		uint8		tag_a = (uint8) *in_a;
		uint8		tag_b = (uint8) *in_b;
		SignalKey	key_a,
					key_b;

		in_a = unpack_key(in_a, &key_a);
		in_b = unpack_key(in_b, &key_b);
		if (signal_key_compare(&key_a, &key_b) != 0)
			return false;
		in_a = skip_value(tag_a, in_a);
		in_b = skip_value(tag_b, in_b);
	}
	return true;
}

void
signals_fetch(const Signals *signals, const SignalKey *keys, int nkeys,
			  SignalValue *values, bool *found)
{
	const char *in = signals != NULL ? signals->data : NULL;
	int			remaining = signals != NULL ? signals->count : 0;
	int			i = 0;

	while (i < nkeys && remaining > 0)
	{
		uint8		tag = (uint8) *in;
		SignalKey	have;
		int			order = 1;

		in = unpack_key(in, &have);
		while (i < nkeys && (order = signal_key_compare(&have, &keys[i])) > 0)
			found[i++] = false;
		if (i < nkeys && order == 0)
		{
			in = unpack_value(tag, in, &values[i]);
			found[i++] = true;
			/* the same key asked for twice */
			while (i < nkeys && signal_key_compare(&have, &keys[i]) == 0)
			{
				values[i] = values[i - 1];
				found[i++] = true;
			}
		}
		else
			in = skip_value(tag, in);
		remaining--;
	}
	while (i < nkeys)
		found[i++] = false;
}

/* --- building --- */

#define INLINE_ENTRIES 48
#define INLINE_BYTES 1024

/* Where in `data` an entry is packed; the array is kept in canonical order. */
typedef struct BuilderEntry
{
	uint32		offset;
	uint16		length;
	uint16		id;				/* 0: by name */
} BuilderEntry;

struct SignalsBuilder
{
	MemoryContext context;
	int			count;
	int			size;			/* bytes of the entries that are in */
	int			entries_allocated;
	BuilderEntry *entries;
	uint32		used;			/* of data, with entries that were replaced */
	uint32		allocated;
	char	   *data;
	/* enough for nearly every map, so that one allocation serves */
	BuilderEntry inline_entries[INLINE_ENTRIES];
	char		inline_data[INLINE_BYTES];
};

SignalsBuilder *
signals_builder(void)
{
	SignalsBuilder *b = palloc(sizeof(SignalsBuilder));

	b->context = CurrentMemoryContext;
	b->count = 0;
	b->size = 0;
	b->entries_allocated = INLINE_ENTRIES;
	b->entries = b->inline_entries;
	b->used = 0;
	b->allocated = INLINE_BYTES;
	b->data = b->inline_data;
	return b;
}

/* Compares an entry of the builder with a key. */
static inline int
compare_entry(const SignalsBuilder *b, const BuilderEntry *entry, const SignalKey *key)
{
	const char *name;

	if (entry->id != key->id)
		return entry->id == 0 ? 1 : key->id == 0 ? -1 : (int) entry->id - (int) key->id;
	if (entry->id != 0)
		return 0;
	name = b->data + entry->offset + 1;
	return compare_names(name + 1, (uint8) *name, key->name, key->name_len);
}

/* Replaced entries leave holes in data; copy what is in to the front. */
static void
close_holes(SignalsBuilder *b)
{
	char	   *data = MemoryContextAlloc(b->context, b->allocated);
	uint32		used = 0;

	for (int i = 0; i < b->count; i++)
	{
		memcpy(data + used, b->data + b->entries[i].offset, b->entries[i].length);
		b->entries[i].offset = used;
		used += b->entries[i].length;
	}
	if (b->data != b->inline_data)
		pfree(b->data);
	b->data = data;
	b->used = used;
}

static void
make_room(SignalsBuilder *b, uint32 length)
{
	char	   *data;
	uint32		allocated = b->allocated;

	if (b->used > 2 * SIGNALS_MAX_SIZE)
		close_holes(b);
	if (length <= b->allocated - b->used)
		return;
	/* cannot overflow: used is bounded by the lines above, length by ENTRY_MAX */
	while (allocated - b->used < length)
		allocated *= 2;
	data = MemoryContextAlloc(b->context, allocated);
	memcpy(data, b->data, b->used);
	if (b->data != b->inline_data)
		pfree(b->data);
	b->data = data;
	b->allocated = allocated;
}

SignalsFault
signals_try_add(SignalsBuilder *b, SignalKey key, const SignalValue *value)
{
	BuilderEntry *entry;
	char	   *start;
	char	   *end;
	int			length;
	int			size;
	int			low;
	int			high;
	bool		replace = false;

	if (key.id == 0 && !signal_name_valid(key.name, key.name_len))
		return SIGNALS_BAD_NAME;
	if (value->kind == SIGNAL_NUMBER && !isfinite(value->number))
		return SIGNALS_NOT_FINITE;
	if (value->kind == SIGNAL_TEXT && value->text_len > SIGNAL_TEXT_MAX)
		return SIGNALS_TEXT_TOO_LONG;

	/* where it belongs: mostly at the end, since senders keep an order */
	low = high = b->count;
	if (b->count > 0)
	{
		int			order = compare_entry(b, &b->entries[b->count - 1], &key);

		if (order >= 0)
		{
			low = order == 0 ? b->count - 1 : 0;
			high = b->count - 1;
			replace = order == 0;
		}
	}
	while (low < high)
	{
		int			middle = (low + high) / 2;
		int			order = compare_entry(b, &b->entries[middle], &key);

		if (order == 0)
		{
			replace = true;
			low = middle;
			break;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}

	if (!replace && b->count >= SIGNALS_MAX_ENTRIES)
		return SIGNALS_TOO_MANY;
	make_room(b, value->kind == SIGNAL_TEXT ? ENTRY_MAX : ENTRY_SHORT_MAX);

	start = b->data + b->used;
	switch (value->kind)
	{
		case SIGNAL_BOOLEAN:
			end = pack_key(start, key, value->boolean ? VALUE_TRUE : VALUE_FALSE);
			break;
		case SIGNAL_NUMBER:
			end = pack_number(start, key, value->number);
			break;
		case SIGNAL_TEXT:
			end = pack_text(start, key, value->text, value->text_len);
			break;
		default:
			elog(ERROR, "unknown signal kind %d", (int) value->kind);
	}

	length = end - start;
	entry = &b->entries[low];
	size = b->size + length - (replace ? entry->length : 0);
	if (size > SIGNALS_MAX_SIZE - (int) offsetof(Signals, data))
		return SIGNALS_TOO_LARGE;

	if (!replace)
	{
		if (b->count == b->entries_allocated)
		{
			BuilderEntry *entries = MemoryContextAlloc(b->context, SIGNALS_MAX_ENTRIES * sizeof(BuilderEntry));

			memcpy(entries, b->entries, b->count * sizeof(BuilderEntry));
			b->entries = entries;
			b->entries_allocated = SIGNALS_MAX_ENTRIES;
			entry = &b->entries[low];
		}
		memmove(entry + 1, entry, (b->count - low) * sizeof(BuilderEntry));
		b->count++;
	}
	entry->id = key.id;
	entry->offset = b->used;
	entry->length = length;
	b->used += length;
	b->size = size;
	return SIGNALS_OK;
}

static void
complain_limits(SignalsFault fault)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("signals value too large"),
			 fault == SIGNALS_TOO_MANY ?
			 errdetail("It may have %d signals at most.", SIGNALS_MAX_ENTRIES) :
			 errdetail("It may take %d bytes at most.", SIGNALS_MAX_SIZE)));
}

void
signals_add(SignalsBuilder *b, SignalKey key, const SignalValue *value)
{
	SignalsFault fault = signals_try_add(b, key, value);
	const char *name;
	int			name_len;

	if (likely(fault == SIGNALS_OK))
		return;
	name = signal_key_name(&key, &name_len);
	switch (fault)
	{
		case SIGNALS_BAD_NAME:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("invalid signal name \"%.*s\"", name_len, name),
					 errhint("A name has 1 to %d letters, digits and underscores and does not begin with a digit.",
							 SIGNAL_NAME_MAX)));
			break;
		case SIGNALS_NOT_FINITE:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("number of a signal must be finite"),
					 errdetail("Signal \"%.*s\" is %g.", name_len, name, value->number)));
			break;
		case SIGNALS_TEXT_TOO_LONG:
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("text of a signal is too long"),
					 errdetail("Signal \"%.*s\" has %d bytes, must be at most %d.",
							   name_len, name, value->text_len, SIGNAL_TEXT_MAX)));
			break;
		default:
			complain_limits(fault);
	}
}

static Signals *
allocate_signals(int size, int count)
{
	Signals    *result = palloc(offsetof(Signals, data) + size);

	SET_VARSIZE(result, offsetof(Signals, data) + size);
	result->version = SIGNALS_VERSION;
	result->generation = DICTIONARY_GENERATION;
	result->count = count;
	return result;
}

Signals *
signals_build(SignalsBuilder *b)
{
	Signals    *result = allocate_signals(b->size, b->count);
	char	   *out = result->data;

	for (int i = 0; i < b->count; i++)
	{
		memcpy(out, b->data + b->entries[i].offset, b->entries[i].length);
		out += b->entries[i].length;
	}
	if (b->data != b->inline_data)
		pfree(b->data);
	if (b->entries != b->inline_entries)
		pfree(b->entries);
	pfree(b);
	return result;
}

/*
 * A map of another version of the library.  Names that have become well known
 * since are brought to their numbers; everything else stays.
 */
static Signals *
modernise(const Signals *signals)
{
	SignalsBuilder *b;
	SignalsIterator it;

	if (signals->version != SIGNALS_VERSION)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("unknown version %d of signals", signals->version),
				 errdetail("This library writes version %d.", SIGNALS_VERSION)));
	b = signals_builder();
	signals_iterate(signals, &it);
	while (signals_next(&it))
	{
		SignalKey	key = it.key.id != 0 ? it.key : signal_key(it.key.name, it.key.name_len);

		signals_add(b, key, &it.value);
	}
	return signals_build(b);
}

Signals *
DatumGetSignals(Datum d)
{
	Signals    *signals = (Signals *) PG_DETOAST_DATUM(d);

	if (unlikely(signals->version != SIGNALS_VERSION ||
				 signals->generation != DICTIONARY_GENERATION))
		return modernise(signals);
	return signals;
}

/* --- merging and comparing --- */

static Signals *
merge(const Signals *a, const Signals *b, SignalsFault *fault)
{
	static const Signals empty = {.count = 0};
	int			header = offsetof(Signals, data);
	const char *in_a;
	const char *in_b;
	int			left_a;
	int			left_b;
	int			count = 0;
	Signals    *result;
	char	   *out;

	*fault = SIGNALS_OK;
	if (a == NULL)
		a = &empty;
	if (b == NULL)
		b = &empty;
	left_a = a->count;
	left_b = b->count;
	in_a = a->data;
	in_b = b->data;
	result = allocate_signals((left_a > 0 ? VARSIZE(a) - header : 0) +
							  (left_b > 0 ? VARSIZE(b) - header : 0), 0);
	out = result->data;

	/* copies runs of bytes, so that values need not be understood */
	while (left_a > 0 || left_b > 0)
	{
		SignalKey	key_a;
		SignalKey	key_b;
		const char *end_a = NULL;
		const char *end_b = NULL;
		int			order;

		if (left_a > 0)
			end_a = skip_value((uint8) *in_a, unpack_key(in_a, &key_a));
		if (left_b > 0)
			end_b = skip_value((uint8) *in_b, unpack_key(in_b, &key_b));
		order = left_a == 0 ? 1 : left_b == 0 ? -1 : signal_key_compare(&key_a, &key_b);

		if (order < 0)
		{
			memcpy(out, in_a, end_a - in_a);
			out += end_a - in_a;
		}
		else
		{
			memcpy(out, in_b, end_b - in_b);
			out += end_b - in_b;
		}
		if (order <= 0)
		{
			in_a = end_a;
			left_a--;
		}
		if (order >= 0)
		{
			in_b = end_b;
			left_b--;
		}
		count++;
	}

	if (count > SIGNALS_MAX_ENTRIES)
		*fault = SIGNALS_TOO_MANY;
	else if (out - (char *) result > SIGNALS_MAX_SIZE)
		*fault = SIGNALS_TOO_LARGE;
	if (*fault != SIGNALS_OK)
	{
		pfree(result);
		return NULL;
	}
	result->count = count;
	SET_VARSIZE(result, out - (char *) result);
	return result;
}

Signals *
signals_merge(const Signals *a, const Signals *b)
{
	SignalsFault fault;
	Signals    *result = merge(a, b, &fault);

	if (fault != SIGNALS_OK)
		complain_limits(fault);
	return result;
}

Signals *
signals_try_merge(const Signals *a, const Signals *b)
{
	SignalsFault fault;

	return merge(a, b, &fault);
}

bool
signals_equal(const Signals *a, const Signals *b)
{
	int			count_a = a != NULL ? a->count : 0;
	int			count_b = b != NULL ? b->count : 0;

	if (count_a != count_b)
		return false;
	if (count_a == 0)
		return true;
	return VARSIZE(a) == VARSIZE(b) &&
		memcmp(a->data, b->data, VARSIZE(a) - offsetof(Signals, data)) == 0;
}

/* --- JSON --- */

static void
append_json_text(StringInfo out, const char *text, int len)
{
	char	   *copy = pnstrdup(text, len);

	escape_json(out, copy);
	pfree(copy);
}

void
signal_append_json(StringInfo out, const SignalValue *value)
{
	switch (value->kind)
	{
		case SIGNAL_BOOLEAN:
			if (value->boolean)
				appendBinaryStringInfo(out, "true", 4);
			else
				appendBinaryStringInfo(out, "false", 5);
			break;
		case SIGNAL_NUMBER:
			{
				char		number[DOUBLE_SHORTEST_DECIMAL_LEN];

				appendBinaryStringInfo(out, number,
									   double_to_shortest_decimal_bufn(value->number, number));
				break;
			}
		case SIGNAL_TEXT:
			append_json_text(out, value->text, value->text_len);
			break;
	}
}

void
signals_append_json(StringInfo out, const Signals *signals)
{
	SignalsIterator it;
	bool		first = true;

	appendStringInfoChar(out, '{');
	signals_iterate(signals, &it);
	while (signals_next(&it))
	{
		int			len;
		const char *name = signal_key_name(&it.key, &len);

		appendBinaryStringInfo(out, first ? "\"" : ", \"", first ? 1 : 3);
		appendBinaryStringInfo(out, name, len);
		appendBinaryStringInfo(out, "\": ", 3);
		signal_append_json(out, &it.value);
		first = false;
	}
	appendStringInfoChar(out, '}');
}
