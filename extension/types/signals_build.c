/*
 * signals_build.c
 *	  Making packed maps: from entries in any order, from an older map, from two.
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "types/dictionary.h"
#include "types/signals.h"
#include "types/signals_layout.h"

/* tag, the longest key, the longest value */
#define ENTRY_MAX (1 + 1 + SIGNAL_NAME_MAX + 2 + SIGNAL_TEXT_MAX)
/* the same without text: what a number or boolean can take */
#define ENTRY_SHORT_MAX (1 + 1 + SIGNAL_NAME_MAX + 8)

/* --- one entry, packed --- */

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

/* --- merging --- */

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
