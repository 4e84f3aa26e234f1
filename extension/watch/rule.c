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

#include "watch/rule_private.h"

/* --- what is raised and cleared --- */

void
rule_append_change(VehicleState *vs, WatchResult *out, AlertKind kind, bool raised,
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
		rule_append_change(vs, out, ALERT_SILENCE, false, rule->rule_id, rule, NULL);
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
			rule_append_change(vs, out, ALERT_RULE, false, rule->rule_id, rule, NULL);
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
		rule_append_change(vs, out, ALERT_RULE, true, rule->rule_id, rule,
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
		rule_append_change(vs, out, ALERT_RULE, false, rule->rule_id, rule, NULL);
	if (entry->silent)
		rule_append_change(vs, out, ALERT_SILENCE, false, rule->rule_id, rule, NULL);
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
	memory = rule_memory_for(vs, set, out);
	if (set->nrules == 0)
		return;
	rule_fill_inputs(set, memory, vs, report);
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
	memory = rule_memory_for(vs, set, out);
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
				rule_append_change(vs, out, ALERT_SILENCE, true, rule->rule_id, rule,
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
					rule_fill_inputs(set, memory, vs, NULL);
				filled = true;
				rule_append_change(vs, out, ALERT_RULE, true, rule->rule_id, rule,
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
