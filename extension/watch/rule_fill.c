/*
 * rule_fill.c
 *	  The row of inputs that conditions see, and the measures over time in it.
 */
#include "postgres.h"

#include <math.h>

#include "executor/executor.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "watch/rule_private.h"

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

/* A stat's measures for the report at hand; NaN: unknown. */
typedef struct RuleStatResult
{
	double		rate;
	double		mean;
	double		zscore;
	double		standing;
} RuleStatResult;

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

void
rule_fill_inputs(RuleSet *set, RuleMemory *memory, const VehicleState *vs, const Report *report)
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
