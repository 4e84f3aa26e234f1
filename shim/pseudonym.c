/*
 * pseudonym.c
 *	  VINs out of records.
 *
 * Most records have none, and finding that out must cost little: only texts of
 * 17 bytes and more are looked at.
 */
#include "pseudonym.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "pseudonym_keys.h"
#include "stats.h"

#define ARENA_SIZE ((size_t) 2 * RECORD_SCRATCH)
#define SEEN_MAX ((size_t) 1 << 20)	/* identities remembered; 8 bytes each */

static Record clean;			/* what pseudonym_record returns */
static char arena[ARENA_SIZE];	/* its strings */
static size_t arena_used;
static char device_text[RECORD_DEVICE_MAX];

/* An identity with VINs in it is not longer: each of them grows threefold. */
#define DEVICE_LONG (RECORD_DEVICE_MAX / 3)

static bool
holds(Str text, VinSearch search)
{
	return text.len >= VIN_LENGTH && vin_find(text.data, text.len, 0, search) < text.len;
}

/* --- replacing --- */

/*
 * The text with a pseudonym for each VIN, in room of that size; a longer result
 * has no VINs left but X in their places.  False when not even that has room.
 */
static bool
replace(const PseudonymKey *key, Str text, char *room, size_t size, Str *out)
{
	size_t		n = 0;
	size_t		done = 0;

	if (text.len > size)
		return false;
	for (size_t at = 0; (at = vin_find(text.data, text.len, at, VIN_IN_TEXT)) < text.len; at += VIN_LENGTH)
	{
		if (at - done + PSEUDONYM_MAX > size - n)
		{
			memcpy(room, text.data, text.len);
			vin_mask(room, text.len, VIN_IN_TEXT);
			*out = (Str) {room, text.len};
			return true;
		}
		memcpy(room + n, text.data + done, at - done);
		n += at - done;
		n += pseudonym_write(key, text.data + at, VIN_LENGTH, room + n);
		done = at + VIN_LENGTH;
	}
	if (text.len - done > size - n)
		n = done = 0;			/* the last one was too much */
	if (done == 0)
	{
		memcpy(room, text.data, text.len);
		vin_mask(room, text.len, VIN_IN_TEXT);
		*out = (Str) {room, text.len};
		return true;
	}
	memcpy(room + n, text.data + done, text.len - done);
	*out = (Str) {room, (uint32_t) (n + text.len - done)};
	return true;
}

/* The same in the arena; up to max bytes. */
static bool
replace_text(const PseudonymKey *key, Str *text, size_t max)
{
	size_t		room = ARENA_SIZE - arena_used < max ? ARENA_SIZE - arena_used : max;

	if (!replace(key, *text, arena + arena_used, room, text))
		return false;
	arena_used += text->len;
	return true;
}

/*
 * In a name of a signal a pseudonym has no room and its colon no place: v_ and
 * 15 hexadecimal digits are as long as a VIN.
 */
static bool
replace_name(const PseudonymKey *key, Str *name)
{
	char	   *copy = arena + arena_used;
	char		pseudonym[PSEUDONYM_MAX];

	if (name->len > ARENA_SIZE - arena_used)
		return false;
	memcpy(copy, name->data, name->len);
	for (size_t at = 0; (at = vin_find(copy, name->len, at, VIN_IN_TEXT)) < name->len; at += VIN_LENGTH)
	{
		size_t		n = pseudonym_write(key, copy + at, VIN_LENGTH, pseudonym);

		memcpy(copy + at, "v_", 2);
		memcpy(copy + at + 2, pseudonym + n - PSEUDONYM_HEX, VIN_LENGTH - 2);
	}
	name->data = copy;
	arena_used += name->len;
	return true;
}

/* X over each; nothing of it when there is no room. */
static Str
masked(Str text, VinSearch search)
{
	char	   *copy = arena + arena_used;

	if (text.len > ARENA_SIZE - arena_used)
		return (Str) {0};
	memcpy(copy, text.data, text.len);
	stats_add(STAT_VINS_MASKED, vin_mask(copy, text.len, search));
	arena_used += text.len;
	return (Str) {copy, text.len};
}

/*
 * The keys by which an identity is replaced: NULL and false when it is to stay as
 * it is, NULL and true when there would have to be some.
 */
static const KeyRing *
ring_of_device(int32_t source_id, Str device, bool *replaced)
{
	const PseudonymKeys *keys = cf->pseudonym_keys;
	const KeyRing *ring;

	*replaced = holds(device, VIN_IN_TEXT);
	if (!*replaced && (keys == NULL || !keys->any_all || device.len == 0))
		return NULL;
	ring = pseudonym_ring(keys, source_id);
	if (!*replaced && (ring == NULL || !ring->all))
		return NULL;
	*replaced = true;
	return ring;
}

/* VINs in it, or the whole, in room of RECORD_DEVICE_MAX bytes. */
static bool
replace_device(const PseudonymKey *key, Str device, char *room, Str *out)
{
	if (holds(device, VIN_IN_TEXT))
		return device.len <= DEVICE_LONG && replace(key, device, room, RECORD_DEVICE_MAX, out);
	if (device.len > RECORD_DEVICE_MAX)
		return false;
	*out = (Str) {room, (uint32_t) pseudonym_write(key, device.data, device.len, room)};
	return true;
}

Str
pseudonym_device(int32_t source_id, Str device)
{
	bool		replaced;
	const KeyRing *ring = ring_of_device(source_id, device, &replaced);
	Str			out;

	if (!replaced)
		return device;
	if (ring == NULL || !replace_device(ring->keys, device, device_text, &out))
		return RECORD_STR(PSEUDONYM_WITHHELD);
	return out;
}

/* --- records --- */

typedef struct Findings
{
	bool		device;
	bool		signals;		/* a value or a name */
	bool		defect;
	bool		raw;
} Findings;

static Findings
look(int32_t source_id, const Record *record)
{
	Findings	found = {
		.defect = holds(record->defect, VIN_IN_TEXT),
		.raw = holds(record->raw, VIN_IN_BYTES)
	};

	(void) ring_of_device(source_id, record->device, &found.device);
	for (uint32_t i = 0; i < record->nsignals && !found.signals; i++)
	{
		const RecordSignal *signal = &record->signals[i];

		found.signals = holds(signal->name, VIN_IN_TEXT) ||
			(signal->kind == RECORD_TEXT && holds(signal->text, VIN_IN_TEXT));
	}
	return found;
}

/* Nothing of what was reported, but that there was a VIN, and where. */
static void
withhold(Str field)
{
	stats_inc(STAT_VINS_REFUSED);
	clean.nsignals = 0;
	clean.raw = (Str) {0};
	clean.latitude = clean.longitude = clean.altitude_m = clean.accuracy_m = NAN;
	clean.speed_kmh = clean.heading_deg = NAN;
	clean.defect = (Str) {0};
	record_set_defect(&clean, "looks_like_vin", field);
}

/* False when a text could not be held. */
static bool
replace_signals(const PseudonymKey *key)
{
	for (uint32_t i = 0; i < clean.nsignals; i++)
	{
		RecordSignal *signal = &clean.signals[i];
		Str			text = signal->text;

		if (holds(signal->name, VIN_IN_TEXT))
		{
			if (!replace_name(key, &signal->name))
				return false;
			stats_inc(STAT_VINS_REPLACED);
		}
		if (signal->kind != RECORD_TEXT || !holds(text, VIN_IN_TEXT))
			continue;
		if (!replace_text(key, &text, RECORD_TEXT_MAX))
			return false;
		/* Within the limit for all of them, or as long as it was. */
		if (text.len > signal->text.len && text.len - signal->text.len > RECORD_SIGNALS_SIZE - clean.signals_size)
			text = masked(signal->text, VIN_IN_TEXT);
		clean.signals_size += text.len - signal->text.len;
		signal->text = text;
		stats_inc(STAT_VINS_REPLACED);
	}
	return true;
}

/* The name of a text that holds one, unless the name does. */
static Str
signal_at_fault(const Record *record)
{
	for (uint32_t i = 0; i < record->nsignals; i++)
	{
		const RecordSignal *signal = &record->signals[i];

		if (holds(signal->name, VIN_IN_TEXT))
			break;
		if (signal->kind == RECORD_TEXT && holds(signal->text, VIN_IN_TEXT))
			return signal->name;
	}
	return RECORD_STR("signals");
}

const Record *
pseudonym_record(int32_t source_id, const Record *record)
{
	Findings	found = look(source_id, record);
	const KeyRing *ring;

	if (!found.device && !found.signals && !found.defect && !found.raw)
		return record;
	memcpy(&clean, record, offsetof(Record, signals) + record->nsignals * sizeof(RecordSignal));
	clean.signals_size = record->signals_size;
	arena_used = 0;
	ring = pseudonym_ring(cf->pseudonym_keys, source_id);

	if (found.device)
	{
		clean.device = pseudonym_device(source_id, record->device);
		if (ring == NULL || clean.device.data != device_text)
		{
			withhold(RECORD_STR("device"));
			return &clean;
		}
		stats_inc(STAT_VINS_REPLACED);
	}
	if (found.signals && (ring == NULL || !replace_signals(ring->keys)))
	{
		withhold(signal_at_fault(record));
		return &clean;
	}
	if (found.defect)
		clean.defect = masked(record->defect, VIN_IN_TEXT);
	if (found.raw)
		clean.raw = masked(record->raw, VIN_IN_BYTES);
	return &clean;
}

/* --- after a change of keys --- */

/* Identities that were told: an open table of hashes, 0 is free. */
static uint64_t *seen;
static size_t seen_size;
static size_t nseen;
static unsigned seen_generation;

void
pseudonym_forget(void)
{
	free(seen);
	seen = NULL;
	seen_size = nseen = 0;
}

static uint64_t
hash(int32_t source_id, Str text)
{
	uint64_t	h = UINT64_C(14695981039346656037) ^ (uint32_t) source_id;

	/* What is hashed ends in an HMAC, so that nobody can aim. */
	for (uint32_t i = 0; i < text.len; i++)
	{
		h = (h ^ (unsigned char) text.data[i]) * UINT64_C(0x9E3779B97F4A7C15);
		h ^= h >> 29;
	}
	return h | 1;
}

static uint64_t *
place(uint64_t *table, size_t size, uint64_t h)
{
	size_t		i = (h >> 1) & (size - 1);

	while (table[i] != 0 && table[i] != h)
		i = (i + 1) & (size - 1);
	return &table[i];
}

/* Memory short: it will be told again, which does no harm. */
static void
remember(uint64_t h)
{
	if (nseen >= SEEN_MAX)
		pseudonym_forget();
	if (2 * (nseen + 1) > seen_size)
	{
		size_t		size = seen_size ? 2 * seen_size : 1024;
		uint64_t   *more = calloc(size, sizeof(*more));

		if (more == NULL)
			return;
		for (size_t i = 0; i < seen_size; i++)
			if (seen[i] != 0)
				*place(more, size, seen[i]) = seen[i];
		free(seen);
		seen = more;
		seen_size = size;
	}
	*place(seen, seen_size, h) = h;
	nseen++;
}

/* May it stand in an array and a literal as it is? */
static bool
is_plain(Str text)
{
	for (uint32_t i = 0; i < text.len; i++)
	{
		unsigned char c = (unsigned char) text.data[i];

		if (c < ' ' || c > '~' || c == '"' || c == '\'' || c == '\\')
			return false;
	}
	return true;
}

static bool
add_pair(int32_t source_id, Str old, Str new, Rekeys *rekeys)
{
	const char *comma = buf_len(&rekeys->sources) > 0 ? "," : "";

	return buf_printf(&rekeys->old, "%s\"%.*s\"", comma, (int) old.len, old.data) &&
		buf_printf(&rekeys->new, "%s\"%.*s\"", comma, (int) new.len, new.data) &&
		buf_printf(&rekeys->sources, "%s%d", comma, source_id);
}

bool
pseudonym_tell(int32_t source_id, Str device, Rekeys *rekeys)
{
	bool		replaced;
	const KeyRing *ring = ring_of_device(source_id, device, &replaced);
	char		old_text[RECORD_DEVICE_MAX];
	Str			new;
	uint64_t	h;

	if (ring == NULL || ring->keys->next == NULL)
		return true;
	if (seen_generation != config_generation())
	{
		pseudonym_forget();
		seen_generation = config_generation();
	}
	new = pseudonym_device(source_id, device);
	h = hash(source_id, new);
	if (!is_plain(new) || (seen != NULL && *place(seen, seen_size, h) == h))
		return true;
	for (const PseudonymKey *key = ring->keys->next; key != NULL; key = key->next)
	{
		Str			old;

		if (replace_device(key, device, old_text, &old) && !add_pair(source_id, old, new, rekeys))
			return false;
	}
	remember(h);
	return true;
}

static bool
add_array(Buf *out, const char *before, const Buf *elements)
{
	return buf_add(out, before, strlen(before)) && buf_add(out, buf_data(elements), buf_len(elements));
}

bool
rekeys_sql(const Rekeys *rekeys, Buf *out)
{
	if (buf_len(&rekeys->sources) == 0)
		return true;
	return add_array(out, "SELECT fleet.rekey_from_sources('{", &rekeys->sources) &&
		add_array(out, "}', '{", &rekeys->old) && add_array(out, "}', '{", &rekeys->new) &&
		buf_printf(out, "}'); ");
}

void
rekeys_release(Rekeys *rekeys)
{
	buf_release(&rekeys->sources);
	buf_release(&rekeys->old);
	buf_release(&rekeys->new);
}
