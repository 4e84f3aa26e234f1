/*
 * rule.c
 *	  Evaluates the rules of a tenant against each report of a vehicle.
 *
 * A condition is true, false or unknown (NULL).  Unknown changes nothing: it
 * raises nothing, clears nothing, and lets a hold run on.  What must be known
 * between reports (open alerts, holds, means) is kept per vehicle in
 * VehicleState.rule_state, packed.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "executor/executor.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "fleet.h"
#include "watch/rule_set.h"
#include "watch/watch.h"

/*
 * Means give every sample the same weight until there are MEAN_SAMPLES of
 * them, and each new one the weight 1 / MEAN_SAMPLES from then on.  A z-score
 * needs ZSCORE_MIN_SAMPLES before it says anything.
 */
#define MEAN_SAMPLES 100
#define ZSCORE_MIN_SAMPLES 20
/*
 * A rate spans at least that much: over less, rounding and jitter of the time
 * stamps would be most of it.
 */
#define RATE_MIN_SPAN (USECS_PER_SEC / 2)
/* below it a vehicle is taken to stand */
#define STANDING_SPEED_KMH 1.0
/* standing.NAME settles for so long after the wheels have stopped */
#define STANDING_SETTLES (30 * USECS_PER_SEC)

#define RULE_STATE_VERSION 1

typedef struct RuleEntry
{
	bool		open;			/* an alert of kind rule is open */
	bool		silent;			/* one of kind silence is open */
	TimestampTz pending_since;	/* condition true since, alert on hold; 0: no */
} RuleEntry;

typedef struct RuleStatEntry
{
	TimestampTz last_time;		/* of last; 0: none */
	double		last;
	int32		count;			/* samples in mean, up to MEAN_SAMPLES */
	double		mean;
	double		variance;
	bool		has_standing;
	double		standing;
} RuleStatEntry;

/* A stat's measures for the report at hand; NaN: unknown. */
typedef struct RuleStatResult
{
	double		rate;
	double		mean;
	double		zscore;
	double		standing;
} RuleStatResult;

/*
 * VehicleState.rule_memory.  Keeps what it needs of the set it was unpacked
 * for, which may be replaced while the batch is under way.
 */
typedef struct RuleMemory
{
	MemoryContext set_context;	/* tells one set from another */
	const Rule *rules;
	int			nrules;
	const RuleStat *stats;
	int			nstats;
	bool		changed;
	TimestampTz standing_since; /* 0: moving or not known */
	RuleEntry  *entries;		/* one per rule */
	RuleStatEntry *stat_entries;	/* one per stat */
} RuleMemory;

/* --- what is raised and cleared --- */

static void
append_change(VehicleState *vs, WatchResult *out, AlertKind kind, bool raised,
			  int32 rule_id, const Rule *rule, char *values)
{
	MemoryContext old = MemoryContextSwitchTo(out->context);
	AlertChange *change = palloc0(sizeof(AlertChange));

	change->raised = raised;
	change->kind = kind;
	change->rule_id = rule_id;
	if (rule)
	{
		/* copied: the set may be gone when the change is announced */
		change->name = pstrdup(rule->name);
		change->severity = pstrdup(rule->severity);
		change->message = rule->message ? pstrdup(rule->message) : NULL;
	}
	change->tenant_id = vs->tenant_id;
	change->vehicle_id = vs->vehicle_id;
	change->vehicle_name = vs->vehicle_name;
	change->event_time = vs->now.event_time;
	change->has_location = vs->now.has_location;
	change->location = vs->now.location;
	change->values = values;
	out->alerts = lappend(out->alerts, change);
	MemoryContextSwitchTo(old);
}

static void
append_number(StringInfo out, double value)
{
	char		digits[DOUBLE_SHORTEST_DECIMAL_LEN];

	if (isnan(value) || isinf(value))
		appendStringInfoString(out, "null");
	else
	{
		double_to_shortest_decimal_buf(value, digits);
		appendStringInfoString(out, digits);
	}
}

/* Columns of four bytes: 18.3 shall not become 18.299999237060547. */
static void
append_float4(StringInfo out, float4 value)
{
	char		digits[FLOAT_SHORTEST_DECIMAL_LEN];

	if (isnan(value) || isinf(value))
		appendStringInfoString(out, "null");
	else
	{
		float_to_shortest_decimal_buf(value, digits);
		appendStringInfoString(out, digits);
	}
}

static void
append_time(StringInfo out, TimestampTz value)
{
	char		buf[MAXDATELEN + 1];
	int			utc = 0;

	JsonEncodeDateTime(buf, TimestampTzGetDatum(value), TIMESTAMPTZOID, &utc);
	appendStringInfo(out, "\"%s\"", buf);
}

static void
append_input(StringInfo out, const RuleInput *input, Datum value, bool isnull)
{
	bool		is_float4 = input->column >= COLUMN_ALTITUDE_M && input->column <= COLUMN_HEADING_DEG &&
		(input->view == RULE_NOW || input->view == RULE_PREVIOUS);

	if (isnull)
		appendStringInfoString(out, "null");
	else if (input->column == COLUMN_LOCATION)
	{
		Geopoint	p = DatumGetGeopoint(value);

		appendStringInfoString(out, "{\"latitude\": ");
		append_number(out, geopoint_latitude_deg(p));
		appendStringInfoString(out, ", \"longitude\": ");
		append_number(out, geopoint_longitude_deg(p));
		appendStringInfoChar(out, '}');
	}
	else if (input->type == BOOLOID)
		appendStringInfoString(out, DatumGetBool(value) ? "true" : "false");
	else if (input->type == TEXTOID)
		escape_json(out, TextDatumGetCString(value));
	else if (input->type == TIMESTAMPTZOID)
		append_time(out, DatumGetTimestampTz(value));
	else if (is_float4)
		append_float4(out, (float4) DatumGetFloat8(value));
	else
		append_number(out, DatumGetFloat8(value));
}

/* JSON object of what the rule's condition refers to, from the filled slot. */
static char *
condition_values(const RuleSet *set, const Rule *rule, WatchResult *out)
{
	MemoryContext old = MemoryContextSwitchTo(out->context);
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	for (int i = 0; i < rule->ninputs; i++)
	{
		int			n = rule->inputs[i];

		if (i > 0)
			appendStringInfoString(&json, ", ");
		escape_json(&json, set->inputs.items[n].label);
		appendStringInfoString(&json, ": ");
		append_input(&json, &set->inputs.items[n],
					 set->slot->tts_values[n], set->slot->tts_isnull[n]);
	}
	appendStringInfoChar(&json, '}');
	MemoryContextSwitchTo(old);
	return json.data;
}

static char *
silence_values(const VehicleState *vs, TimestampTz now, WatchResult *out)
{
	MemoryContext old = MemoryContextSwitchTo(out->context);
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoString(&json, "{\"received_at\": ");
	append_time(&json, vs->now.received_at);
	appendStringInfo(&json, ", \"silent_s\": " INT64_FORMAT "}",
					 (int64) ((now - vs->now.received_at) / USECS_PER_SEC));
	MemoryContextSwitchTo(old);
	return json.data;
}

/* --- memory: unpacked <-> packed --- */

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
		append_change(vs, out, ALERT_RULE, false, rule_id, NULL, NULL);
	if (flags & ENTRY_SILENT)
		append_change(vs, out, ALERT_SILENCE, false, rule_id, NULL, NULL);
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

/*
 * The vehicle's memory, unpacked for this set; lives in the context that the
 * pipeline gives each vehicle of a batch.
 */
static RuleMemory *
memory_for(VehicleState *vs, const RuleSet *set, WatchResult *out)
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

/* --- filling the row of inputs --- */

static inline void
fetch_signals(RuleFetch *fetch, const Signals *signals)
{
	if (fetch->count > 0)
		signals_fetch(signals, fetch->keys, fetch->count, fetch->values, fetch->found);
}

static double
report_column(const Report *report, RuleColumn column)
{
	switch (column)
	{
		case COLUMN_LATITUDE:
			return report->has_location ? geopoint_latitude_deg(report->location) : NAN;
		case COLUMN_LONGITUDE:
			return report->has_location ? geopoint_longitude_deg(report->location) : NAN;
		case COLUMN_ALTITUDE_M:
			return report->altitude_m;
		case COLUMN_ACCURACY_M:
			return report->accuracy_m;
		case COLUMN_SPEED_KMH:
			return report->speed_kmh;
		case COLUMN_HEADING_DEG:
			return report->heading_deg;
		default:
			return NAN;
	}
}

/*
 * Measures of one name for the report at hand, from what came before it; then
 * the report is included.  Only what the report itself brings counts: a merged
 * value that is merely still there is no new sample.
 */
static void
stat_update(RuleSet *set, int i, RuleMemory *memory, const VehicleState *vs,
			const Report *report, RuleStatResult *result)
{
	const RuleStat *stat = &set->stats[i];
	RuleStatEntry *entry = &memory->stat_entries[i];
	TimestampTz now = vs->now.event_time;
	double		value = NAN;
	bool		settling = now - memory->standing_since <= STANDING_SETTLES;

	result->rate = result->zscore = result->standing = NAN;
	result->mean = entry->count > 0 ? entry->mean : NAN;

	if (memory->standing_since == 0)
	{
		if (entry->has_standing)
			memory->changed = true;
		entry->has_standing = false;
	}
	else if (entry->has_standing && !settling)
		result->standing = entry->standing;

	if (report == NULL)
		return;
	if (stat->column != COLUMN_NONE)
		value = report_column(report, stat->column);
	else if (set->report.found[stat->fetch] &&
			 set->report.values[stat->fetch].kind == SIGNAL_NUMBER)
		value = set->report.values[stat->fetch].number;
	if (isnan(value))
		return;

	if (stat->rate && (entry->last_time == 0 || now - entry->last_time >= RATE_MIN_SPAN))
	{
		if (entry->last_time)
			result->rate = (value - entry->last) * ((double) USECS_PER_MINUTE / (now - entry->last_time));
		entry->last_time = now;
		entry->last = value;
	}
	if (stat->mean)
	{
		double		delta = value - entry->mean;
		double		weight;

		if (entry->count >= ZSCORE_MIN_SAMPLES && entry->variance > 0)
			result->zscore = delta / sqrt(entry->variance);
		if (entry->count < MEAN_SAMPLES)
			entry->count++;
		weight = 1.0 / entry->count;
		entry->mean += weight * delta;
		entry->variance = (1 - weight) * (entry->variance + weight * delta * delta);
	}
	if (stat->standing && memory->standing_since && (settling || !entry->has_standing))
	{
		entry->has_standing = true;
		entry->standing = value;
	}
	memory->changed = true;
}

static inline void
set_number(TupleTableSlot *slot, int n, double value)
{
	slot->tts_isnull[n] = isnan(value);
	slot->tts_values[n] = Float8GetDatum(value);
}

static inline void
set_time(TupleTableSlot *slot, int n, TimestampTz value)
{
	slot->tts_isnull[n] = value == 0;
	slot->tts_values[n] = TimestampTzGetDatum(value);
}

static void
fill_signal(TupleTableSlot *slot, int n, const RuleInput *input, const RuleFetch *fetch)
{
	const SignalValue *value = &fetch->values[input->slot];

	if (!fetch->found[input->slot] || value->kind != input->kind)
	{
		slot->tts_isnull[n] = true;
		return;
	}
	slot->tts_isnull[n] = false;
	switch (value->kind)
	{
		case SIGNAL_BOOLEAN:
			slot->tts_values[n] = BoolGetDatum(value->boolean);
			break;
		case SIGNAL_NUMBER:
			slot->tts_values[n] = Float8GetDatum(value->number);
			break;
		case SIGNAL_TEXT:
			slot->tts_values[n] = PointerGetDatum(cstring_to_text_with_len(value->text, value->text_len));
			break;
	}
}

static void
fill_column(TupleTableSlot *slot, int n, const RuleInput *input, const VehicleState *vs)
{
	const VehiclePosition *p = input->view == RULE_NOW ? &vs->now : &vs->before;
	const char *text = NULL;

	switch (input->column)
	{
		case COLUMN_EVENT_TIME:
			set_time(slot, n, p->event_time);
			return;
		case COLUMN_RECEIVED_AT:
			set_time(slot, n, p->event_time ? p->received_at : 0);
			return;
		case COLUMN_LOCATION_TIME:
			set_time(slot, n, p->has_location ? p->location_time : 0);
			return;
		case COLUMN_LATITUDE:
			set_number(slot, n, p->has_location ? geopoint_latitude_deg(p->location) : NAN);
			return;
		case COLUMN_LONGITUDE:
			set_number(slot, n, p->has_location ? geopoint_longitude_deg(p->location) : NAN);
			return;
		case COLUMN_LOCATION:
			slot->tts_isnull[n] = !p->has_location;
			slot->tts_values[n] = GeopointGetDatum(p->location);
			return;
		case COLUMN_ALTITUDE_M:
			set_number(slot, n, p->event_time ? p->altitude_m : NAN);
			return;
		case COLUMN_ACCURACY_M:
			set_number(slot, n, p->event_time ? p->accuracy_m : NAN);
			return;
		case COLUMN_SPEED_KMH:
			set_number(slot, n, p->event_time ? p->speed_kmh : NAN);
			return;
		case COLUMN_HEADING_DEG:
			set_number(slot, n, p->event_time ? p->heading_deg : NAN);
			return;
		case COLUMN_VEHICLE:
			text = vs->vehicle_name;
			break;
		case COLUMN_VEHICLE_TYPE:
			text = vs->vehicle_type;
			break;
		case COLUMN_NONE:
			break;
	}
	slot->tts_isnull[n] = text == NULL;
	if (text)
		slot->tts_values[n] = CStringGetTextDatum(text);
}

/*
 * Fills the row of inputs and brings the stats up to date.  Texts live in the
 * per-tuple context, until the next report.  report is NULL for the clock.
 */
static void
fill_inputs(RuleSet *set, RuleMemory *memory, const VehicleState *vs, const Report *report)
{
	TupleTableSlot *slot = set->slot;
	RuleStatResult stats[RULE_INPUTS_MAX];
	MemoryContext old;

	ResetExprContext(set->econtext);
	fetch_signals(&set->now, vs->now.signals);
	fetch_signals(&set->previous, vs->before.event_time ? vs->before.signals : NULL);

	if (set->nstats > 0)
	{
		float4		speed = vs->now.speed_kmh;
		TimestampTz standing_since = memory->standing_since;

		if (report)
		{
			fetch_signals(&set->report, report->signals);
			if (isnan(speed) || speed >= STANDING_SPEED_KMH)
				standing_since = 0;
			else if (standing_since == 0)
				standing_since = vs->now.event_time;
		}
		if (standing_since != memory->standing_since)
		{
			memory->standing_since = standing_since;
			memory->changed = true;
		}
		for (int i = 0; i < set->nstats; i++)
			stat_update(set, i, memory, vs, report, &stats[i]);
	}

	old = MemoryContextSwitchTo(set->econtext->ecxt_per_tuple_memory);
	for (int n = 0; n < set->inputs.count; n++)
	{
		const RuleInput *input = &set->inputs.items[n];

		switch (input->view)
		{
			case RULE_NOW:
			case RULE_PREVIOUS:
				if (input->column != COLUMN_NONE)
					fill_column(slot, n, input, vs);
				else
					fill_signal(slot, n, input, input->view == RULE_NOW ? &set->now : &set->previous);
				break;
			case RULE_RATE:
				set_number(slot, n, stats[input->slot].rate);
				break;
			case RULE_MEAN:
				set_number(slot, n, stats[input->slot].mean);
				break;
			case RULE_ZSCORE:
				set_number(slot, n, stats[input->slot].zscore);
				break;
			case RULE_STANDING:
				set_number(slot, n, stats[input->slot].standing);
				break;
		}
	}
	MemoryContextSwitchTo(old);
}

/* --- evaluating --- */

typedef enum Truth
{
	UNKNOWN, UNTRUE, TRUE_
} Truth;

static inline Truth
truth(RuleSet *set, ExprState *expr)
{
	bool		isnull;
	Datum		value = ExecEvalExprSwitchContext(expr, set->econtext, &isnull);

	return isnull ? UNKNOWN : DatumGetBool(value) ? TRUE_ : UNTRUE;
}

static inline bool
applies(const Rule *rule, const VehicleState *vs)
{
	return rule->vehicle_type == NULL ||
		(vs->vehicle_type && strcmp(rule->vehicle_type, vs->vehicle_type) == 0);
}

/* How long a pending condition has lasted at `now` (of the server's clock). */
static int64
pending_for(const VehicleState *vs, const RuleEntry *entry, TimestampTz now)
{
	/*
	 * Up to the last report by the vehicle's clock, from there on by ours: the
	 * two may differ, and a history that is replayed is long past.
	 */
	return (vs->now.event_time - entry->pending_since) +
		Max(now - vs->now.received_at, 0);
}

/* Has the clock look when the hold ends. */
static inline void
pending_due(VehicleState *vs, const Rule *rule, const RuleEntry *entry)
{
	if (entry->pending_since != 0)
		state_due(vs, vs->now.received_at + rule->hold - (vs->now.event_time - entry->pending_since));
}

static void
watch_silence(VehicleState *vs, const Rule *rule, RuleEntry *entry, RuleMemory *memory,
			  WatchResult *out)
{
	if (entry->silent)
	{
		append_change(vs, out, ALERT_SILENCE, false, rule->rule_id, rule, NULL);
		entry->silent = false;
		memory->changed = true;
	}
	if (rule->silence)
		state_due(vs, vs->now.received_at + rule->silence);
}

static void
watch_condition(RuleSet *set, VehicleState *vs, const Rule *rule, RuleEntry *entry,
				RuleMemory *memory, WatchResult *out)
{
	Truth		condition = truth(set, rule->condition);

	if (entry->open)
	{
		bool		clear;

		if (rule->clear_condition)
			clear = condition != TRUE_ && truth(set, rule->clear_condition) == TRUE_;
		else
			clear = condition == UNTRUE;
		if (clear)
		{
			append_change(vs, out, ALERT_RULE, false, rule->rule_id, rule, NULL);
			entry->open = false;
			memory->changed = true;
		}
		return;
	}

	if (condition == TRUE_ && entry->pending_since == 0 && rule->hold > 0)
	{
		entry->pending_since = vs->now.event_time;
		memory->changed = true;
	}
	else if (condition == UNTRUE && entry->pending_since != 0)
	{
		entry->pending_since = 0;
		memory->changed = true;
	}

	if (rule->hold > 0 ? entry->pending_since != 0 &&
		vs->now.event_time - entry->pending_since >= rule->hold : condition == TRUE_)
	{
		append_change(vs, out, ALERT_RULE, true, rule->rule_id, rule,
					  condition_values(set, rule, out));
		entry->open = true;
		entry->pending_since = 0;
		memory->changed = true;
	}
	else
		pending_due(vs, rule, entry);
}

/* A rule that no longer concerns the vehicle leaves nothing open. */
static void
leave_rule(VehicleState *vs, const Rule *rule, RuleEntry *entry, RuleMemory *memory,
		   WatchResult *out)
{
	if (!entry->open && !entry->silent && entry->pending_since == 0)
		return;
	if (entry->open)
		append_change(vs, out, ALERT_RULE, false, rule->rule_id, rule, NULL);
	if (entry->silent)
		append_change(vs, out, ALERT_SILENCE, false, rule->rule_id, rule, NULL);
	memset(entry, 0, sizeof(*entry));
	memory->changed = true;
}

/*
 * All rules from set->evaluating on.  An evaluation that fails, say by a
 * division by zero, makes its condition unknown; the batch goes on.
 *
 * The error is caught without a subtransaction, which would cost more than all
 * the rules together.  That is sound here only because conditions are limited
 * to immutable functions on scalars (rule_compile.c): such a function holds no
 * lock, buffer, catalog reference or other resource when it raises a data
 * exception, so there is nothing to release but memory, and that belongs to the
 * per-tuple context.  Any other class of error passes.
 */
static void
watch_rules(RuleSet *set, VehicleState *vs, RuleMemory *memory, WatchResult *out)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		for (; set->evaluating < set->nrules; set->evaluating++)
		{
			const Rule *rule = &set->rules[set->evaluating];
			RuleEntry  *entry = &memory->entries[set->evaluating];

			if (!applies(rule, vs))
			{
				leave_rule(vs, rule, entry, memory, out);
				continue;
			}
			if (rule->silence || entry->silent)
				watch_silence(vs, rule, entry, memory, out);
			if (rule->condition)
				watch_condition(set, vs, rule, entry, memory, out);
		}
	}
	PG_CATCH();
	{
		Rule	   *rule = &set->rules[set->evaluating];

		MemoryContextSwitchTo(context);
		if (ERRCODE_TO_CATEGORY(geterrcode()) != ERRCODE_DATA_EXCEPTION)
			PG_RE_THROW();
		if (!rule->warned)
		{
			ErrorData  *edata = CopyErrorData();

			FlushErrorState();
			rule->warned = true;
			ereport(WARNING,
					(errcode(edata->sqlerrcode),
					 errmsg("rule \"%s\" could not be evaluated: %s", rule->name, edata->message),
					 errdetail("For vehicle \"%s\" at %s. The condition counts as unknown for such reports.",
							   vs->vehicle_name, timestamptz_to_str(vs->now.event_time)),
					 errhint("Guard the condition, for instance with nullif() or CASE.")));
			FreeErrorData(edata);
		}
		else
			FlushErrorState();
		pending_due(vs, rule, &memory->entries[set->evaluating]);
		set->evaluating++;
	}
	PG_END_TRY();
}

void
rule_watch(VehicleState *vs, const Report *report, WatchResult *out)
{
	RuleSet    *set = rule_set(vs->tenant_id);
	RuleMemory *memory;

	if (set->nrules == 0 && vs->rule_state == NULL && vs->rule_memory == NULL)
		return;
	memory = memory_for(vs, set, out);
	if (set->nrules == 0)
		return;
	fill_inputs(set, memory, vs, report);
	set->evaluating = 0;
	while (set->evaluating < set->nrules)
		watch_rules(set, vs, memory, out);
}

void
rule_watch_clock(VehicleState *vs, TimestampTz now, WatchResult *out)
{
	RuleSet    *set = rule_set(vs->tenant_id);
	RuleMemory *memory;
	bool		filled = false;

	if (set->nrules == 0 && vs->rule_state == NULL && vs->rule_memory == NULL)
		return;
	memory = memory_for(vs, set, out);
	if (vs->now.event_time == 0)
		return;					/* has never reported */

	for (int i = 0; i < set->nrules; i++)
	{
		const Rule *rule = &set->rules[i];
		RuleEntry  *entry = &memory->entries[i];

		if (!applies(rule, vs))
		{
			leave_rule(vs, rule, entry, memory, out);
			continue;
		}
		if (rule->silence && !entry->silent)
		{
			if (now - vs->now.received_at >= rule->silence)
			{
				append_change(vs, out, ALERT_SILENCE, true, rule->rule_id, rule,
							  silence_values(vs, now, out));
				entry->silent = true;
				memory->changed = true;
			}
			else
				state_due(vs, vs->now.received_at + rule->silence);
		}
		if (entry->pending_since != 0 && !entry->open)
		{
			int64		lasted = pending_for(vs, entry, now);

			if (lasted >= rule->hold)
			{
				if (!filled)
					fill_inputs(set, memory, vs, NULL);
				filled = true;
				append_change(vs, out, ALERT_RULE, true, rule->rule_id, rule,
							  condition_values(set, rule, out));
				entry->open = true;
				entry->pending_since = 0;
				memory->changed = true;
			}
			else
				state_due(vs, now + rule->hold - lasted);
		}
	}
	if (memory->changed)
		vs->changed = true;
}
