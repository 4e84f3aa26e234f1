/*
 * rate.c
 *	  Reports a second, by device and by source.
 *
 * Of each sender one number is kept: when its debt will be paid.  Every report
 * moves it by 1 / rate; what lies in the past counts as now.
 */
#include "rate.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "clock.h"
#include "config.h"
#include "stats.h"

#define WAYS 4					/* places where a sender can stand */
#define SETS (RATE_ENTRIES / WAYS)

typedef struct RateEntry
{
	uint64_t	key;			/* 0: free */
	int64_t		paid_ns;		/* monotonic */
} RateEntry;

static RateEntry *entries;
static uint64_t seed;

/* Nobody can aim at the entry of another without the seed. */
static uint64_t
key_of(int32_t source_id, Str device)
{
	uint64_t	h = seed ^ (uint32_t) source_id;

	for (uint32_t i = 0; i < device.len; i++)
	{
		h = (h ^ (unsigned char) device.data[i]) * UINT64_C(0x9E3779B97F4A7C15);
		h ^= h >> 29;
	}
	h = (h ^ device.len) * UINT64_C(0xBF58476D1CE4E5B9);
	h ^= h >> 32;
	return h | 1;
}

static bool
begin(void)
{
	if (entries != NULL)
		return true;
	entries = calloc(RATE_ENTRIES, sizeof(*entries));
	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
		seed = (uint64_t) clock_us() * UINT64_C(0x9E3779B97F4A7C15);
	return entries != NULL;
}

/* Apart from what the source owes for its own rate. */
static uint64_t
hold_key(int32_t source_id)
{
	return key_of(source_id, (Str) {0}) ^ UINT64_C(0xA5A5A5A5A5A5A5A4);
}

static RateEntry *
set_of(uint64_t key)
{
	return &entries[((key >> 1) % SETS) * WAYS];
}

/* Microseconds until it may send again. */
static int64_t
wait_until(const RateEntry *entry, int64_t now_ns)
{
	int64_t		ns = entry->paid_ns - now_ns - (int64_t) RATE_BURST_SECONDS * 1000000000;

	return ns > 0 ? (ns + 999) / 1000 : 0;
}

static int64_t
wait_of_key(uint64_t key, int64_t now)
{
	RateEntry  *set = set_of(key);

	for (int i = 0; i < WAYS; i++)
		if (set[i].key == key)
			return wait_until(&set[i], now);
	return 0;
}

static int64_t
wait_of(int32_t source_id, Str device, int64_t now)
{
	return entries == NULL ? 0 : wait_of_key(key_of(source_id, device), now);
}

/* Its entry, in place of the least debt of its set when it is new. */
static RateEntry *
entry_of(uint64_t key, int64_t now)
{
	RateEntry  *set = set_of(key);
	RateEntry  *entry = &set[0];

	for (int i = 0; i < WAYS; i++)
	{
		if (set[i].key == key)
		{
			entry = &set[i];
			break;
		}
		if (set[i].paid_ns < entry->paid_ns)
			entry = &set[i];
	}
	if (entry->key != key)
	{
		entry->key = key;
		entry->paid_ns = 0;
	}
	if (entry->paid_ns < now)
		entry->paid_ns = now;
	return entry;
}

static int64_t
charge(int32_t source_id, Str device, int64_t per_second, int64_t now)
{
	RateEntry  *entry;

	if (per_second == 0 || !begin())
		return 0;
	entry = entry_of(key_of(source_id, device), now);
	entry->paid_ns += 1000000000 / per_second;
	return wait_until(entry, now);
}

int64_t
rate_wait_device(int32_t source_id, Str device)
{
	return cf->limit_device_per_second == 0 || device.len == 0 ? 0 :
		wait_of(source_id, device, clock_us() * 1000);
}

int64_t
rate_wait_source(int32_t source_id)
{
	int64_t		now;
	int64_t		wait = 0;
	int64_t		held;

	if (entries == NULL)
		return 0;
	now = clock_us() * 1000;
	if (cf->limit_source_per_second != 0)
		wait = wait_of(source_id, (Str) {0}, now);
	held = wait_of_key(hold_key(source_id), now);
	return wait > held ? wait : held;
}

void
rate_hold_source(int32_t source_id)
{
	int64_t		now = clock_us() * 1000;

	if (begin())
		entry_of(hold_key(source_id), now)->paid_ns = now + (int64_t) (RATE_BURST_SECONDS + RATE_HOLD_SECONDS) * 1000000000;
}

int64_t
rate_charge(int32_t source_id, Str device)
{
	int64_t		now;
	int64_t		of_device = 0;
	int64_t		of_source;

	if (cf->limit_device_per_second == 0 && cf->limit_source_per_second == 0)
		return 0;
	now = clock_us() * 1000;
	if (device.len > 0)
		of_device = charge(source_id, device, cf->limit_device_per_second, now);
	of_source = charge(source_id, (Str) {0}, cf->limit_source_per_second, now);
	if (of_device > 0)
		stats_inc(STAT_OVER_DEVICE_RATE);
	if (of_source > 0)
		stats_inc(STAT_OVER_SOURCE_RATE);
	return of_device > of_source ? of_device : of_source;
}

void
rate_reset(void)
{
	free(entries);
	entries = NULL;
}
