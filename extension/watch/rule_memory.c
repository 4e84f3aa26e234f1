/*
 * rule_memory.c
 *	  What is remembered of a vehicle and its rules, and its form in a row.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "watch/rule_private.h"

/*
 * Packed, in the byte order of the machine:
 *	 uint8 version; uint8 flags (STATE_STANDING); uint16 rules; uint16 stats;
 *	 [int64 standing_since]
 *	 per rule that has something to remember, by rule_id:
 *	   int32 rule_id; int64 changed_at; uint8 flags; [int64 pending_since]
 *	 per stat, in canonical order of keys:
 *	   uint16 id; uint8 name_len; name; uint8 flags;
 *	   [int64 last_time, double last]
 *	   [int32 count, double mean, double variance]
 *	   [double standing]
 */
#define RULE_STATE_VERSION 1

#define STATE_STANDING 0x01
#define ENTRY_OPEN 0x01
#define ENTRY_SILENT 0x02
#define ENTRY_PENDING 0x04
#define STAT_RATE 0x01
#define STAT_MEAN 0x02
#define STAT_STANDING 0x04

typedef struct Cursor
{
	const char *next;
	const char *end;
	bool		bad;
} Cursor;

static const char *
take_bytes(Cursor *c, int n)
{
	const char *p = c->next;

	if (c->bad || n > c->end - c->next)
	{
		c->bad = true;
		return NULL;
	}
	c->next += n;
	return p;
}

static void
take(Cursor *c, void *into, int n)
{
	const char *p = take_bytes(c, n);

	if (p)
		memcpy(into, p, n);
	else
		memset(into, 0, n);
}

#define TAKE(c, variable) take((c), &(variable), sizeof(variable))

static void
put(StringInfo out, const void *from, int n)
{
	appendBinaryStringInfo(out, from, n);
}

#define PUT(out, variable) put((out), &(variable), sizeof(variable))

static void
unpack_stat(Cursor *c, RuleMemory *memory, int *position)
{
	SignalKey	key = {0};
	RuleStatEntry entry = {0};
	uint8		flags;

	TAKE(c, key.id);
	TAKE(c, key.name_len);
	key.name = take_bytes(c, key.name_len);
	TAKE(c, flags);
	if (flags & STAT_RATE)
	{
		TAKE(c, entry.last_time);
		TAKE(c, entry.last);
	}
	if (flags & STAT_MEAN)
	{
		TAKE(c, entry.count);
		TAKE(c, entry.mean);
		TAKE(c, entry.variance);
	}
	if (flags & STAT_STANDING)
	{
		entry.has_standing = true;
		TAKE(c, entry.standing);
	}
	if (c->bad)
		return;

	/* both sides are in canonical order; what no rule asks for is dropped */
	while (*position < memory->nstats &&
		   signal_key_compare(&memory->stats[*position].key, &key) < 0)
		(*position)++;
	if (*position < memory->nstats &&
		signal_key_compare(&memory->stats[*position].key, &key) == 0)
	{
		const RuleStat *stat = &memory->stats[*position];

		if (!stat->rate)
			entry.last_time = 0;
		if (!stat->mean)
			entry.count = 0;
		if (!stat->standing)
			entry.has_standing = false;
		memory->stat_entries[*position] = entry;
	}
	else
		memory->changed = true;
}

/*
 * Clears what is open of a version of a rule that is no more.  As a rule the
 * change of the rule has done so already; but a batch that began before that
 * change and ended after it may have raised one more.  alert_store() drops
 * what was not open.
 */
static void
clear_outdated(VehicleState *vs, WatchResult *out, int32 rule_id, uint8 flags)
{
	if (flags & ENTRY_OPEN)
		rule_append_change(vs, out, ALERT_RULE, false, rule_id, NULL, NULL);
	if (flags & ENTRY_SILENT)
		rule_append_change(vs, out, ALERT_SILENCE, false, rule_id, NULL, NULL);
}

static void
unpack_rule(Cursor *c, RuleMemory *memory, VehicleState *vs, WatchResult *out, int *position)
{
	int32		rule_id;
	TimestampTz changed_at;
	uint8		flags;
	TimestampTz pending_since = 0;

	TAKE(c, rule_id);
	TAKE(c, changed_at);
	TAKE(c, flags);
	if (flags & ENTRY_PENDING)
		TAKE(c, pending_since);
	if (c->bad)
		return;

	while (*position < memory->nrules && memory->rules[*position].rule_id < rule_id)
		(*position)++;
	if (*position < memory->nrules &&
		memory->rules[*position].rule_id == rule_id &&
		memory->rules[*position].changed_at == changed_at)
	{
		RuleEntry  *entry = &memory->entries[*position];

		entry->open = (flags & ENTRY_OPEN) != 0;
		entry->silent = (flags & ENTRY_SILENT) != 0;
		entry->pending_since = pending_since;
	}
	else
	{
		clear_outdated(vs, out, rule_id, flags);
		memory->changed = true;
	}
}

/* False when the blob is not what this version writes. */
static bool
unpack(const bytea *blob, RuleMemory *memory, VehicleState *vs, WatchResult *out)
{
	Cursor		c;
	uint8		version;
	uint8		flags;
	uint16		nrules;
	uint16		nstats;
	int			position = 0;

	c.next = VARDATA_ANY(blob);
	c.end = c.next + VARSIZE_ANY_EXHDR(blob);
	c.bad = false;
	TAKE(&c, version);
	TAKE(&c, flags);
	TAKE(&c, nrules);
	TAKE(&c, nstats);
	if (c.bad || version != RULE_STATE_VERSION)
		return false;
	if (flags & STATE_STANDING)
		TAKE(&c, memory->standing_since);
	for (int i = 0; i < nrules && !c.bad; i++)
		unpack_rule(&c, memory, vs, out, &position);
	position = 0;
	for (int i = 0; i < nstats && !c.bad; i++)
		unpack_stat(&c, memory, &position);
	return !c.bad && c.next == c.end;
}

static bytea *
pack(const RuleMemory *memory)
{
	StringInfoData out;
	uint8		version = RULE_STATE_VERSION;
	uint8		flags = memory->standing_since ? STATE_STANDING : 0;
	uint16		nrules = 0;
	uint16		nstats = 0;
	int			counts;

	initStringInfo(&out);
	appendStringInfoSpaces(&out, VARHDRSZ);
	PUT(&out, version);
	PUT(&out, flags);
	counts = out.len;
	PUT(&out, nrules);
	PUT(&out, nstats);
	if (flags & STATE_STANDING)
		PUT(&out, memory->standing_since);

	for (int i = 0; i < memory->nrules; i++)
	{
		const RuleEntry *entry = &memory->entries[i];
		uint8		rule_flags = (entry->open ? ENTRY_OPEN : 0) |
			(entry->silent ? ENTRY_SILENT : 0) |
			(entry->pending_since ? ENTRY_PENDING : 0);

		if (rule_flags == 0)
			continue;
		PUT(&out, memory->rules[i].rule_id);
		PUT(&out, memory->rules[i].changed_at);
		PUT(&out, rule_flags);
		if (entry->pending_since)
			PUT(&out, entry->pending_since);
		nrules++;
	}

	for (int i = 0; i < memory->nstats; i++)
	{
		const SignalKey *key = &memory->stats[i].key;
		const RuleStatEntry *entry = &memory->stat_entries[i];
		uint8		name_len = key->id ? 0 : key->name_len;
		uint8		stat_flags = (entry->last_time ? STAT_RATE : 0) |
			(entry->count ? STAT_MEAN : 0) |
			(entry->has_standing ? STAT_STANDING : 0);

		if (stat_flags == 0)
			continue;
		PUT(&out, key->id);
		PUT(&out, name_len);
		put(&out, key->name, name_len);
		PUT(&out, stat_flags);
		if (stat_flags & STAT_RATE)
		{
			PUT(&out, entry->last_time);
			PUT(&out, entry->last);
		}
		if (stat_flags & STAT_MEAN)
		{
			PUT(&out, entry->count);
			PUT(&out, entry->mean);
			PUT(&out, entry->variance);
		}
		if (stat_flags & STAT_STANDING)
			PUT(&out, entry->standing);
		nstats++;
	}

	if (nrules == 0 && nstats == 0 && flags == 0)
		return NULL;
	memcpy(out.data + counts, &nrules, sizeof(nrules));
	memcpy(out.data + counts + sizeof(nrules), &nstats, sizeof(nstats));
	SET_VARSIZE(out.data, out.len);
	return (bytea *) out.data;
}

void
rule_pack(VehicleState *vs)
{
	RuleMemory *memory = vs->rule_memory;

	if (memory == NULL || !memory->changed)
		return;
	vs->rule_state = pack(memory);
	vs->changed = true;
	memory->changed = false;
}

RuleMemory *
rule_memory_for(VehicleState *vs, const RuleSet *set, WatchResult *out)
{
	RuleMemory *memory = vs->rule_memory;
	Size		entries;
	Size		stats;

	if (memory && memory->set_context == set->context)
		return memory;

	if (memory)
		rule_pack(vs);			/* the rules changed within the batch */

	entries = MAXALIGN(set->nrules * sizeof(RuleEntry));
	stats = set->nstats * sizeof(RuleStatEntry);
	memory = palloc0(MAXALIGN(sizeof(RuleMemory)) + entries + stats);
	memory->set_context = set->context;
	memory->rules = set->rules;
	memory->nrules = set->nrules;
	memory->stats = set->stats;
	memory->nstats = set->nstats;
	memory->entries = (RuleEntry *) ((char *) memory + MAXALIGN(sizeof(RuleMemory)));
	memory->stat_entries = (RuleStatEntry *) ((char *) memory->entries + entries);

	if (vs->rule_state && !unpack(vs->rule_state, memory, vs, out))
	{
		/*
		 * Nothing in it can be believed, so it starts anew: what may be open
		 * is cleared, and raised again if it still holds.
		 */
		memory->standing_since = 0;
		memset(memory->entries, 0, entries);
		memset(memory->stat_entries, 0, stats);
		for (int i = 0; i < set->nrules; i++)
			clear_outdated(vs, out, set->rules[i].rule_id, ENTRY_OPEN | ENTRY_SILENT);
		memory->changed = true;
	}
	vs->rule_memory = memory;
	return memory;
}
