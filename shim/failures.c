/*
 * failures.c
 *	  Addresses whose peers fail to prove who they are.
 */
#include "failures.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "clock.h"
#include "config.h"
#include "log.h"
#include "stats.h"

#define WAYS 8					/* places where an address can stand */
#define SETS (FAILURES_ENTRIES / WAYS)

typedef struct Entry
{
	unsigned char address[16];
	uint32_t	counts[FAILURE_KINDS];	/* since began_us */
	int64_t		began_us;
	int64_t		last_us;		/* the last failure; 0: the place is free */
} Entry;

typedef struct Proved
{
	uint64_t	hash;			/* of the address */
	int64_t		last_us;		/* when a peer last proved who it is; 0: the place is free */
} Proved;

static Entry *entries;
static Proved *proved;
static uint64_t seed;

/* Whoever has an IPv6 address has 2^64 of them. */
static size_t
significant(const unsigned char *address)
{
	static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

	return memcmp(address, mapped, sizeof(mapped)) == 0 ? 16 : 8;
}

bool
failures_same(const unsigned char *a, const unsigned char *b)
{
	size_t		n = significant(a);

	return n == significant(b) && memcmp(a, b, n) == 0;
}

/* Nobody can aim at the place of another without the seed. */
static uint64_t
hash_of(const unsigned char *address)
{
	uint64_t	h = seed;
	size_t		n = significant(address);

	for (size_t i = 0; i < n; i++)
	{
		h = (h ^ address[i]) * UINT64_C(0x9E3779B97F4A7C15);
		h ^= h >> 29;
	}
	return h;
}

static Entry *
set_of(const unsigned char *address)
{
	return &entries[hash_of(address) % SETS * WAYS];
}

static Entry *
find(const unsigned char *address)
{
	Entry	   *set;

	if (entries == NULL)
		return NULL;
	set = set_of(address);
	for (int i = 0; i < WAYS; i++)
		if (set[i].last_us != 0 && failures_same(set[i].address, address))
			return &set[i];
	return NULL;
}

static bool
begin(void)
{
	if (entries != NULL && proved != NULL)
		return true;
	if (entries == NULL)
		entries = calloc(FAILURES_ENTRIES, sizeof(*entries));
	if (proved == NULL)
		proved = calloc(FAILURES_ENTRIES, sizeof(*proved));
	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
		seed = (uint64_t) clock_us() * UINT64_C(0x9E3779B97F4A7C15);
	return entries != NULL && proved != NULL;
}

/* The one that is free, or has not failed for longest. */
static Entry *
take(const unsigned char *address)
{
	Entry	   *set = set_of(address);
	Entry	   *entry = &set[0];

	for (int i = 1; i < WAYS; i++)
		if (set[i].last_us < entry->last_us)
			entry = &set[i];
	memset(entry, 0, sizeof(*entry));
	memcpy(entry->address, address, sizeof(entry->address));
	return entry;
}

/* Has a peer of it proved who it is, not long ago? */
static bool
is_proved(const unsigned char *address)
{
	uint64_t	hash = hash_of(address);
	const Proved *set = &proved[hash % SETS * WAYS];

	for (int i = 0; i < WAYS; i++)
		if (set[i].last_us != 0 && set[i].hash == hash)
			return clock_us() - set[i].last_us <= (int64_t) FAILURES_PROVED_SECONDS * 1000000;
	return false;
}

static int64_t
window_us(void)
{
	return cf->auth_failure_seconds * 1000000;
}

/* Has it failed that often? */
static bool
is_over(const Entry *entry, int64_t count)
{
	return cf->auth_failures > 0 && count >= cf->auth_failures && !is_proved(entry->address);
}

static void
tell(const Entry *entry)
{
	char		text[INET6_ADDRSTRLEN] = "";

	if (significant(entry->address) == 16)
		inet_ntop(AF_INET, entry->address + 12, text, sizeof(text));
	else
		inet_ntop(AF_INET6, entry->address, text, sizeof(text));
	log_warning("address_blocked", log_str("address", text), log_int("failures", cf->auth_failures),
				log_int("seconds", cf->auth_failure_seconds));
}

void
failures_add(const unsigned char *address, FailureKind kind)
{
	int64_t		now = clock_us();
	Entry	   *entry;

	stats_inc(kind == FAILURE_TOKEN ? STAT_FAILURES_TOKEN : STAT_FAILURES_HANDSHAKE);
	if (cf->auth_failures == 0 || !begin())
		return;
	entry = find(address);
	if (entry == NULL)
		entry = take(address);
	if (now - entry->began_us > window_us())
	{
		memset(entry->counts, 0, sizeof(entry->counts));
		entry->began_us = now;
	}
	entry->counts[kind]++;
	entry->last_us = now;
	if (entry->counts[FAILURE_TOKEN] + entry->counts[FAILURE_HANDSHAKE] == cf->auth_failures &&
		is_over(entry, cf->auth_failures))
		tell(entry);
}

void
failures_success(const unsigned char *address)
{
	uint64_t	hash;
	Proved	   *set;
	Proved	   *at;

	if (cf->auth_failures == 0 || !begin())
		return;
	hash = hash_of(address);
	set = at = &proved[hash % SETS * WAYS];
	for (int i = 0; i < WAYS && at->hash != hash; i++)
		if (set[i].hash == hash || set[i].last_us < at->last_us)
			at = &set[i];
	at->hash = hash;
	at->last_us = clock_us();
}

static int
wait_of(const Entry *entry, int64_t count)
{
	int64_t		left = entry->last_us + window_us() - clock_us();

	return left > 0 && is_over(entry, count) ? (int) ((left + 999999) / 1000000) : 0;
}

int
failures_wait(const unsigned char *address)
{
	const Entry *entry = find(address);

	return entry == NULL ? 0 :
		wait_of(entry, (int64_t) entry->counts[FAILURE_TOKEN] + entry->counts[FAILURE_HANDSHAKE]);
}

int
failures_wait_handshake(const unsigned char *address)
{
	const Entry *entry = find(address);

	return entry == NULL ? 0 : wait_of(entry, entry->counts[FAILURE_HANDSHAKE]);
}

void
failures_reset(void)
{
	free(entries);
	free(proved);
	entries = NULL;
	proved = NULL;
}
