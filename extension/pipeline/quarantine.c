/*
 * quarantine.c
 *	  Stage 5: rejected reports become rows of fleet.quarantine.
 *
 * The report is kept in the flat form of fleet.ingest_json, which is how
 * fleet.replay_quarantine() sends it again.  Of what looks like a VIN neither
 * value nor report is kept.
 */
#include "postgres.h"

#include <math.h>

#include "access/table.h"
#include "access/xact.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/rel.h"
#include "mb/pg_wchar.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#include "fleet.h"
#include "pipeline/contract.h"
#include "pipeline/quota.h"
#include "pipeline/store.h"
#include "pipeline/writer.h"
#include "types/vin.h"

/* An offending value is shown up to here, bytes. */
#define QUARANTINE_VALUE_MAX 200
/* In place of a device's identity that is a VIN. */
#define WITHHELD "withheld"

/* Columns of fleet.quarantine, in order. */
enum
{
	COL_QUARANTINE_ID, COL_TENANT_ID, COL_SOURCE_ID, COL_BATCH_ID, COL_ORDINAL, COL_DEVICE,
	COL_EVENT_TIME, COL_RECEIVED_AT, COL_CODE, COL_FIELD, COL_VALUE, COL_REPORT, COL_RAW,
	COL_REPLAYED_AT, COL_XACT_ID,
	QUARANTINE_COLUMNS
};

static void
append_name(StringInfo json, const char *name)
{
	appendStringInfo(json, "%s\"%s\":", json->data[json->len - 1] == '{' ? "" : ",", name);
}

static void
append_text(StringInfo json, const char *name, const char *value)
{
	if (value == NULL)
		return;
	append_name(json, name);
	escape_json(json, value);
}

/* JSON has no infinity: written as text, which a replay refuses again. */
static void
append_number(StringInfo json, const char *name, double value, bool single)
{
	char	   *text;

	if (isnan(value))
		return;
	text = single
		? DatumGetCString(DirectFunctionCall1(float4out, Float4GetDatum((float4) value)))
		: float8out_internal(value);
	append_name(json, name);
	if (isinf(value))
		escape_json(json, text);
	else
		appendStringInfoString(json, text);
}

static Datum
report_jsonb(const Report *r)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	/* first, since of two members of a name the last one stays: a signal is no column */
	if (r->signals != NULL && r->signals->count > 0)
	{
		StringInfoData signals;

		initStringInfo(&signals);
		signals_append_json(&signals, r->signals);
		/* its members, without the outer braces, become ours */
		appendBinaryStringInfo(&json, signals.data + 1, signals.len - 2);
	}
	append_text(&json, "device", r->device);
	if (r->has_event_time)
		append_text(&json, "event_time", timestamptz_to_str(r->event_time));
	append_text(&json, "received_at", timestamptz_to_str(r->received_at));
	append_number(&json, "latitude", r->latitude, false);
	append_number(&json, "longitude", r->longitude, false);
	append_number(&json, "altitude_m", r->altitude_m, true);
	append_number(&json, "accuracy_m", r->accuracy_m, true);
	append_number(&json, "speed_kmh", r->speed_kmh, true);
	append_number(&json, "heading_deg", r->heading_deg, true);
	if (r->schema_version != 1)
		append_number(&json, "schema_version", r->schema_version, false);
	appendStringInfoChar(&json, '}');
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data));
}

static Datum
text_or_null(const char *value, bool *isnull)
{
	*isnull = value == NULL;
	return value ? CStringGetTextDatum(value) : (Datum) 0;
}

static void
write_row(TableWriter *writer, const Report *r, int64 batch_id)
{
	bool		withheld = r->withheld;
	const char *device = r->device;
	Datum		values[QUARANTINE_COLUMNS];
	bool		nulls[QUARANTINE_COLUMNS] = {false};
	const char *value = r->defect_value;

	if (value != NULL && strlen(value) > QUARANTINE_VALUE_MAX)
		value = pnstrdup(value, pg_mbcliplen(value, strlen(value), QUARANTINE_VALUE_MAX));

	if (device != NULL && vin_in_text(device, strlen(device)))
		device = WITHHELD;

	values[COL_QUARANTINE_ID] = Int64GetDatum(next_identity("quarantine", "quarantine_id"));
	values[COL_TENANT_ID] = Int32GetDatum(r->tenant_id);
	nulls[COL_TENANT_ID] = r->tenant_id == 0;
	values[COL_SOURCE_ID] = Int32GetDatum(r->source_id);
	nulls[COL_SOURCE_ID] = r->source_id == 0;
	values[COL_BATCH_ID] = Int64GetDatum(batch_id);
	values[COL_ORDINAL] = Int64GetDatum(r->ordinal);
	values[COL_DEVICE] = text_or_null(device, &nulls[COL_DEVICE]);
	values[COL_EVENT_TIME] = TimestampTzGetDatum(r->event_time);
	nulls[COL_EVENT_TIME] = !r->has_event_time;
	values[COL_RECEIVED_AT] = TimestampTzGetDatum(r->received_at);
	values[COL_CODE] = CStringGetTextDatum(defect_code_name(r->defect_code));
	values[COL_FIELD] = text_or_null(r->defect_field, &nulls[COL_FIELD]);
	values[COL_VALUE] = text_or_null(withheld ? NULL : value, &nulls[COL_VALUE]);
	nulls[COL_REPORT] = withheld;
	values[COL_REPORT] = withheld ? (Datum) 0 : report_jsonb(r);
	nulls[COL_RAW] = withheld || r->raw == NULL;
	values[COL_RAW] = PointerGetDatum(r->raw);
	nulls[COL_REPLAYED_AT] = true;
	values[COL_REPLAYED_AT] = (Datum) 0;
	values[COL_XACT_ID] = FullTransactionIdGetDatum(GetTopFullTransactionId());
	writer_add(writer, values, nulls);
}

void
quarantine_write(Report **reports, int64 n, int64 batch_id)
{
	Relation	rel;
	TableWriter *writer;

	if (n == 0)
		return;
	rel = table_open(fleet_relation_oid("quarantine"), RowExclusiveLock);
	writer = writer_open(rel, QUARANTINE_COLUMNS);
	for (int64 i = 0; i < n; i++)
		write_row(writer, reports[i], batch_id);
	writer_close(writer);
	table_close(rel, NoLock);
}

static void
write_refusal(TableWriter *writer, const QuotaRefusal *refusal, int64 batch_id, TimestampTz now)
{
	Datum		values[QUARANTINE_COLUMNS] = {0};
	bool		nulls[QUARANTINE_COLUMNS];

	memset(nulls, true, sizeof(nulls));
	nulls[COL_QUARANTINE_ID] = nulls[COL_TENANT_ID] = nulls[COL_SOURCE_ID] = nulls[COL_BATCH_ID] = false;
	nulls[COL_ORDINAL] = nulls[COL_RECEIVED_AT] = nulls[COL_CODE] = nulls[COL_FIELD] = false;
	nulls[COL_VALUE] = nulls[COL_XACT_ID] = false;
	values[COL_QUARANTINE_ID] = Int64GetDatum(next_identity("quarantine", "quarantine_id"));
	values[COL_TENANT_ID] = Int32GetDatum(refusal->tenant_id);
	values[COL_SOURCE_ID] = Int32GetDatum(refusal->source_id);
	values[COL_BATCH_ID] = Int64GetDatum(batch_id);
	values[COL_ORDINAL] = Int64GetDatum(refusal->ordinal);
	values[COL_RECEIVED_AT] = TimestampTzGetDatum(now);
	values[COL_CODE] = CStringGetTextDatum(defect_code_name(DEFECT_OVER_QUOTA));
	values[COL_FIELD] = CStringGetTextDatum(QUOTA_EVENTS_FIELD);
	values[COL_VALUE] = CStringGetTextDatum(psprintf(INT64_FORMAT, refusal->count));
	values[COL_XACT_ID] = FullTransactionIdGetDatum(GetTopFullTransactionId());
	writer_add(writer, values, nulls);
}

void
quarantine_write_refusals(List *refusals, int64 batch_id, TimestampTz now)
{
	Relation	rel;
	TableWriter *writer;
	ListCell   *lc;

	if (refusals == NIL)
		return;
	rel = table_open(fleet_relation_oid("quarantine"), RowExclusiveLock);
	writer = writer_open(rel, QUARANTINE_COLUMNS);
	foreach(lc, refusals)
		write_refusal(writer, lfirst(lc), batch_id, now);
	writer_close(writer);
	table_close(rel, NoLock);
}
