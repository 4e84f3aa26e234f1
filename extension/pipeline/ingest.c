/*
 * ingest.c
 *	  The triggers of the view fleet.ingest: collect rows, then run the pipeline.
 *
 * COPY and INSERT into a view with an INSTEAD OF trigger need no staging table
 * and count their rows rightly.  BEFORE STATEMENT opens the batch, INSTEAD OF
 * INSERT collects a row and does nothing else, AFTER STATEMENT runs the
 * pipeline over all of them.
 */
#include "postgres.h"

#include <math.h>

#include "commands/trigger.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "fleet.h"
#include "pipeline/batch.h"

/* Columns of fleet.ingest, in order. */
enum
{
	COL_SOURCE_ID, COL_DEVICE, COL_EVENT_TIME, COL_RECEIVED_AT, COL_LATITUDE, COL_LONGITUDE,
	COL_ALTITUDE, COL_ACCURACY, COL_SPEED, COL_HEADING, COL_SIGNALS, COL_SCHEMA_VERSION,
	COL_DEFECT, COL_RAW,
	INGEST_COLUMNS
};

PG_FUNCTION_INFO_V1(ingest_begin);
PG_FUNCTION_INFO_V1(ingest_row);
PG_FUNCTION_INFO_V1(ingest_end);

static TriggerData *
check_trigger(FunctionCallInfo fcinfo, const char *name, bool right_event)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;

	if (!right_event || !TRIGGER_FIRED_BY_INSERT(trigdata->tg_event) ||
		strcmp(RelationGetRelationName(trigdata->tg_relation), "ingest") != 0 ||
		RelationGetNamespace(trigdata->tg_relation) != fleet_schema_oid() ||
		RelationGetNumberOfAttributes(trigdata->tg_relation) != INGEST_COLUMNS)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" serves inserts into the view fleet.ingest only", name)));
	return trigdata;
}

#define FIRED(fcinfo, when, level) \
	(CALLED_AS_TRIGGER(fcinfo) && \
	 TRIGGER_FIRED_##when(((TriggerData *) (fcinfo)->context)->tg_event) && \
	 TRIGGER_FIRED_FOR_##level(((TriggerData *) (fcinfo)->context)->tg_event))

Datum
ingest_begin(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = check_trigger(fcinfo, "ingest_begin", FIRED(fcinfo, BEFORE, STATEMENT));

	batch_begin()->view = RelationGetRelid(trigdata->tg_relation);
	PG_RETURN_POINTER(NULL);
}

/* --- one row --- */

static char *
copy_text(Datum value)
{
	return text_to_cstring(DatumGetTextPP(value));
}

static double
number(const TupleTableSlot *slot, int column)
{
	return slot->tts_isnull[column] ? NAN : DatumGetFloat8(slot->tts_values[column]);
}

static float4
single(const TupleTableSlot *slot, int column)
{
	return slot->tts_isnull[column] ? NAN : DatumGetFloat4(slot->tts_values[column]);
}

/* Everything is copied: the slot's memory is the executor's. */
static void
fill_report(Report *r, const TupleTableSlot *slot, TimestampTz now)
{
	const bool *isnull = slot->tts_isnull;
	const Datum *values = slot->tts_values;

	r->source_id = isnull[COL_SOURCE_ID] ? 0 : DatumGetInt32(values[COL_SOURCE_ID]);
	r->device = isnull[COL_DEVICE] ? NULL : copy_text(values[COL_DEVICE]);
	r->has_event_time = !isnull[COL_EVENT_TIME];
	r->event_time = r->has_event_time ? DatumGetTimestampTz(values[COL_EVENT_TIME]) : 0;
	r->received_at = isnull[COL_RECEIVED_AT] ? now : DatumGetTimestampTz(values[COL_RECEIVED_AT]);
	r->latitude = number(slot, COL_LATITUDE);
	r->longitude = number(slot, COL_LONGITUDE);
	r->altitude_m = single(slot, COL_ALTITUDE);
	r->accuracy_m = single(slot, COL_ACCURACY);
	r->speed_kmh = single(slot, COL_SPEED);
	r->heading_deg = single(slot, COL_HEADING);
	r->signals = isnull[COL_SIGNALS] ? NULL
		: (Signals *) PG_DETOAST_DATUM_COPY(values[COL_SIGNALS]);
	r->schema_version = isnull[COL_SCHEMA_VERSION] ? 1 : DatumGetInt32(values[COL_SCHEMA_VERSION]);
	r->defect = isnull[COL_DEFECT] ? NULL : copy_text(values[COL_DEFECT]);
	r->raw = isnull[COL_RAW] ? NULL : DatumGetByteaPCopy(values[COL_RAW]);

	/* a clock that runs ahead, or no finite time, must not keep a vehicle online */
	if (r->received_at > now || TIMESTAMP_NOT_FINITE(r->received_at))
		r->received_at = now;
}

Datum
ingest_row(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	Batch	   *batch = batch_current();
	MemoryContext old;

	/* the view was checked when the statement began; it must be this one's row */
	if (!FIRED(fcinfo, INSTEAD, ROW) || batch == NULL ||
		batch->view != RelationGetRelid(trigdata->tg_relation))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" serves inserts into the view fleet.ingest only",
						"ingest_row")));
	if (trigdata->tg_trigslot->tts_tupleDescriptor->natts != INGEST_COLUMNS)
		elog(ERROR, "row of fleet.ingest has %d columns",
			 trigdata->tg_trigslot->tts_tupleDescriptor->natts);

	slot_getallattrs(trigdata->tg_trigslot);
	old = MemoryContextSwitchTo(batch->piece);
	fill_report(batch_add(batch), trigdata->tg_trigslot, batch->now);
	MemoryContextSwitchTo(old);
	batch_limit_memory(batch);
	return PointerGetDatum(trigdata->tg_trigtuple);
}

Datum
ingest_end(PG_FUNCTION_ARGS)
{
	Batch	   *batch = batch_current();

	(void) check_trigger(fcinfo, "ingest_end", FIRED(fcinfo, AFTER, STATEMENT));
	if (batch == NULL)
		elog(ERROR, "statement on fleet.ingest ends that did not begin");
	batch_finish(batch);
	PG_RETURN_POINTER(NULL);
}
