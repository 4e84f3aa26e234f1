/*
 * alert.c
 *	  Stage 5 for alerts: raised ones become rows of fleet.alert, cleared ones
 *	  are closed there.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "fleet.h"
#include "pipeline/registry.h"
#include "watch/watch.h"

const char *
alert_kind_name(AlertKind kind)
{
	switch (kind)
	{
		case ALERT_RULE:
			return "rule";
		case ALERT_SILENCE:
			return "silence";
		case ALERT_FENCE_ENTER:
			return "enter";
		case ALERT_FENCE_EXIT:
			return "exit";
		case ALERT_FENCE_DWELL:
			return "dwell";
		case ALERT_FENCE_CROSS:
			return "cross";
		case ALERT_FENCE_SPEED:
			return "speed";
		case ALERT_QUOTA:
			return "quota";
	}
	elog(ERROR, "unknown kind of alert: %d", (int) kind);
	return NULL;				/* keep compiler quiet */
}

/* What at most one alert can be open for. */
typedef struct AlertKey
{
	int64		vehicle_id;
	int32		rule_id;
	int32		geofence_id;
	int32		kind;
	int32		zero;			/* no padding within a hash key */
} AlertKey;

typedef struct OpenAlert
{
	AlertKey	key;
	int			raised;			/* position among the rows to insert, -1: none open */
} OpenAlert;

/* A row to insert; cleared when the same batch cleared it, too. */
typedef struct AlertRow
{
	AlertChange *raise;
	AlertChange *clear;			/* or NULL */
	bool		stored;
} AlertRow;

/* Columns of the insert, as arrays. */
enum
{
	INS_ALERT_ID, INS_TENANT_ID, INS_VEHICLE_ID, INS_KIND, INS_RULE_ID, INS_GEOFENCE_ID,
	INS_NAME, INS_SEVERITY, INS_MESSAGE, INS_EVENT_TIME, INS_LOCATION, INS_VALUES,
	INS_CLEARED_EVENT_TIME, INS_BATCH_ID, INS_PARAMS
};

static SPIPlanPtr insert_plan = NULL;
static SPIPlanPtr clear_plan = NULL;
static Oid	insert_plan_geopoints;	/* the array type it was prepared for */

static const char *const insert_query =
	"INSERT INTO fleet.alert (alert_id, tenant_id, vehicle_id, kind, rule_id, geofence_id, name,"
	" severity, message, event_time, location, values, cleared_event_time, cleared_at, batch_id)"
	" SELECT u.alert_id, u.tenant_id, u.vehicle_id, u.kind, u.rule_id, u.geofence_id, u.name,"
	" u.severity, u.message, u.event_time, u.location, u.vals::pg_catalog.jsonb, u.cleared_event_time,"
	" CASE WHEN u.cleared_event_time IS NOT NULL THEN pg_catalog.clock_timestamp() END, $14"
	" FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3),"
	" pg_catalog.unnest($4), pg_catalog.unnest($5), pg_catalog.unnest($6), pg_catalog.unnest($7),"
	" pg_catalog.unnest($8), pg_catalog.unnest($9), pg_catalog.unnest($10), pg_catalog.unnest($11),"
	" pg_catalog.unnest($12), pg_catalog.unnest($13))"
	" AS u (alert_id, tenant_id, vehicle_id, kind, rule_id, geofence_id, name, severity, message,"
	" event_time, location, vals, cleared_event_time)"
	" ON CONFLICT DO NOTHING RETURNING alert_id";

/*
 * One at a time: each is one look into the index of open alerts, whatever the
 * planner happens to think of the table's size.
 */
static const char *const clear_query =
	"UPDATE fleet.alert SET cleared_at = pg_catalog.clock_timestamp(), cleared_event_time = $5,"
	" xact_id = pg_catalog.pg_current_xact_id()"
	" WHERE vehicle_id OPERATOR(pg_catalog.=) $1 AND kind OPERATOR(pg_catalog.=) $2"
	" AND coalesce(rule_id, 0) OPERATOR(pg_catalog.=) $3"
	" AND coalesce(geofence_id, 0) OPERATOR(pg_catalog.=) $4 AND cleared_at IS NULL"
	" RETURNING alert_id, name, severity, message";

static Oid
geopoint_array_type(void)
{
	return get_array_type(get_atttype(fleet_relation_oid("alert"),
									  get_attnum(fleet_relation_oid("alert"), "location")));
}

static SPIPlanPtr
prepare(const char *query, int nargs, Oid *argtypes)
{
	SPIPlanPtr	plan = SPI_prepare(query, nargs, argtypes);

	if (plan == NULL)
		elog(ERROR, "could not prepare \"%s\": %s", query, SPI_result_code_string(SPI_result));
	SPI_keepplan(plan);
	return plan;
}

/* Nullable arrays of one column; the element type by its array's. */
static Datum
column_array(Datum *values, bool *nulls, int n, Oid element)
{
	int			dims[1] = {n};
	int			lbs[1] = {1};
	int16		len;
	bool		byval;
	char		align;

	get_typlenbyvalalign(element, &len, &byval, &align);
	return PointerGetDatum(construct_md_array(values, nulls, 1, dims, lbs, element, len, byval, align));
}

static void
set_text(Datum *values, bool *nulls, int i, const char *text)
{
	nulls[i] = text == NULL;
	values[i] = text ? CStringGetTextDatum(text) : (Datum) 0;
}

static void
set_id(Datum *values, bool *nulls, int i, int32 id)
{
	nulls[i] = id == 0;
	values[i] = Int32GetDatum(id);
}

static void
insert_rows(AlertRow *rows, int nrows, int64 batch_id)
{
	Oid			element[INS_BATCH_ID] = {INT8OID, INT4OID, INT8OID, TEXTOID, INT4OID, INT4OID,
	TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, InvalidOid, TEXTOID, TIMESTAMPTZOID};
	Oid			geopoint_array = geopoint_array_type();
	Datum	   *values[INS_BATCH_ID];
	bool	   *nulls[INS_BATCH_ID];
	Datum		args[INS_PARAMS];
	char		argnulls[INS_PARAMS];
	Oid			sequence = fleet_relation_oid("alert_alert_id_seq");
	int			rc;
	int			next = 0;

	element[INS_LOCATION] = get_element_type(geopoint_array);
	for (int c = 0; c < INS_BATCH_ID; c++)
	{
		values[c] = palloc0(nrows * sizeof(Datum));
		nulls[c] = palloc0(nrows * sizeof(bool));
	}
	for (int i = 0; i < nrows; i++)
	{
		AlertChange *a = rows[i].raise;

		/* taken here rather than by the default, so that each change knows its own */
		a->alert_id = nextval_internal(sequence, false);
		values[INS_ALERT_ID][i] = Int64GetDatum(a->alert_id);
		values[INS_TENANT_ID][i] = Int32GetDatum(a->tenant_id);
		values[INS_VEHICLE_ID][i] = Int64GetDatum(a->vehicle_id);
		set_text(values[INS_KIND], nulls[INS_KIND], i, alert_kind_name(a->kind));
		set_id(values[INS_RULE_ID], nulls[INS_RULE_ID], i, a->rule_id);
		set_id(values[INS_GEOFENCE_ID], nulls[INS_GEOFENCE_ID], i, a->geofence_id);
		set_text(values[INS_NAME], nulls[INS_NAME], i, a->name);
		set_text(values[INS_SEVERITY], nulls[INS_SEVERITY], i, a->severity);
		set_text(values[INS_MESSAGE], nulls[INS_MESSAGE], i, a->message);
		values[INS_EVENT_TIME][i] = TimestampTzGetDatum(a->event_time);
		nulls[INS_LOCATION][i] = !a->has_location;
		values[INS_LOCATION][i] = GeopointGetDatum(a->location);
		set_text(values[INS_VALUES], nulls[INS_VALUES], i, a->values ? a->values : "{}");
		nulls[INS_CLEARED_EVENT_TIME][i] = rows[i].clear == NULL;
		if (rows[i].clear)
			values[INS_CLEARED_EVENT_TIME][i] = TimestampTzGetDatum(rows[i].clear->event_time);
	}

	/* the extension may have been dropped and created anew */
	if (insert_plan != NULL && insert_plan_geopoints != geopoint_array)
	{
		SPI_freeplan(insert_plan);
		insert_plan = NULL;
	}
	if (insert_plan == NULL)
	{
		Oid			argtypes[INS_PARAMS];

		for (int c = 0; c < INS_BATCH_ID; c++)
			argtypes[c] = c == INS_LOCATION ? geopoint_array : get_array_type(element[c]);
		argtypes[INS_BATCH_ID] = INT8OID;
		insert_plan = prepare(insert_query, INS_PARAMS, argtypes);
		insert_plan_geopoints = geopoint_array;
	}
	memset(argnulls, ' ', sizeof(argnulls));
	for (int c = 0; c < INS_BATCH_ID; c++)
		args[c] = column_array(values[c], nulls[c], nrows, element[c]);
	args[INS_BATCH_ID] = Int64GetDatum(batch_id);
	if (batch_id == 0)
		argnulls[INS_BATCH_ID] = 'n';

	rc = SPI_execute_plan(insert_plan, args, argnulls, false, 0);
	if (rc != SPI_OK_INSERT_RETURNING)
		elog(ERROR, "could not write fleet.alert: %s", SPI_result_code_string(rc));

	/* rows come back in the order they went in, but for those in conflict */
	for (uint64 r = 0; r < SPI_processed; r++)
	{
		bool		isnull;
		int64		alert_id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[r],
														   SPI_tuptable->tupdesc, 1, &isnull));

		while (next < nrows && rows[next].raise->alert_id != alert_id)
			next++;
		if (next < nrows)
			rows[next].stored = true;
	}
}

/* Closes an alert of an earlier batch; false when none was open. */
static bool
clear_stored(AlertChange *change, MemoryContext context)
{
	Datum		args[5];
	int			rc;
	bool		isnull;

	if (clear_plan == NULL)
	{
		Oid			argtypes[] = {INT8OID, TEXTOID, INT4OID, INT4OID, TIMESTAMPTZOID};

		clear_plan = prepare(clear_query, lengthof(argtypes), argtypes);
	}
	args[0] = Int64GetDatum(change->vehicle_id);
	args[1] = CStringGetTextDatum(alert_kind_name(change->kind));
	args[2] = Int32GetDatum(change->rule_id);
	args[3] = Int32GetDatum(change->geofence_id);
	args[4] = TimestampTzGetDatum(change->event_time);
	rc = SPI_execute_plan(clear_plan, args, NULL, false, 0);
	if (rc != SPI_OK_UPDATE_RETURNING)
		elog(ERROR, "could not write fleet.alert: %s", SPI_result_code_string(rc));
	if (SPI_processed == 0)
		return false;

	change->alert_id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
												   SPI_tuptable->tupdesc, 1, &isnull));
	if (change->name == NULL)
	{
		/* of a rule or fence that is gone: the row still knows */
		char	   *message = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 4);

		change->name = MemoryContextStrdup(context,
										   SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2));
		change->severity = MemoryContextStrdup(context,
											   SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 3));
		change->message = message ? MemoryContextStrdup(context, message) : NULL;
	}
	SPI_freetuptable(SPI_tuptable);
	return true;
}

/* The entry of what the change is about; made when it is new. */
static OpenAlert *
open_alert(HTAB *open, const AlertChange *change)
{
	AlertKey	key;
	OpenAlert  *entry;
	bool		found;

	memset(&key, 0, sizeof(key));
	key.vehicle_id = change->vehicle_id;
	key.rule_id = change->rule_id;
	key.geofence_id = change->geofence_id;
	key.kind = change->kind;
	entry = hash_search(open, &key, HASH_ENTER, &found);
	if (!found)
		entry->raised = -1;
	return entry;
}

/*
 * The one alert that tells of those that are not raised, for the vehicle whose
 * alert was the first of them.
 */
static AlertChange *
quota_alert(const AlertChange *suppressed, const Quota *quota)
{
	AlertChange *change = palloc(sizeof(AlertChange));

	*change = *suppressed;
	change->kind = ALERT_QUOTA;
	change->rule_id = 0;
	change->geofence_id = 0;
	change->name = "alerts_per_day";
	change->severity = "warning";
	change->message = psprintf("The %d alerts of the day are used up; no more are raised before 00:00 UTC.",
							   quota->alerts_per_day);
	change->values = psprintf("{\"alerts_per_day\":%d}", quota->alerts_per_day);
	return change;
}

/*
 * An alert that is raised and cleared in the same batch, maybe several times,
 * is inserted as cleared, so that at most the last one of a key is open and the
 * order of the statements does not matter.  Changes that turn out to be none
 * (clearing what is not open, raising what is) are taken off the list, since
 * nobody should be told of them.
 */
void
alert_store(WatchResult *result, int64 batch_id)
{
	HASHCTL		ctl;
	HTAB	   *open;
	AlertRow   *rows;
	int			nrows = 0;
	List	   *kept = NIL;
	List	   *told = NIL;		/* what the quota has to say */
	TimestampTz now = GetCurrentTimestamp();
	ListCell   *lc;
	MemoryContext old;

	if (result->alerts == NIL)
		return;

	SPI_connect();

	/* within SPI's context: all but the changes themselves ends with it */
	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = sizeof(AlertKey);
	ctl.entrysize = sizeof(OpenAlert);
	ctl.hcxt = CurrentMemoryContext;
	open = hash_create("fleet alerts of a batch", list_length(result->alerts), &ctl,
					   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	/* a suppressed one may have its tenant told instead */
	rows = palloc0(list_length(result->alerts) * sizeof(AlertRow));

	foreach(lc, result->alerts)
	{
		AlertChange *change = lfirst(lc);
		OpenAlert  *entry = open_alert(open, change);

		change->alert_id = 0;
		if (change->raised)
		{
			const RegistryTenant *tenant = registry_tenant(change->tenant_id);

			if (entry->raised >= 0)
				continue;
			/* its rule or fence takes it for raised, so it does not come up later */
			if (tenant != NULL && !quota_allows_alert(change->tenant_id, &tenant->quota, now))
			{
				if (quota_first_suppressed(change->tenant_id, now))
				{
					old = MemoryContextSwitchTo(result->context);
					rows[nrows].raise = rows[nrows].clear = quota_alert(change, &tenant->quota);
					told = lappend(told, rows[nrows++].raise);
					MemoryContextSwitchTo(old);
				}
				continue;
			}
			entry->raised = nrows;
			rows[nrows++].raise = change;
		}
		else if (entry->raised >= 0)
		{
			rows[entry->raised].clear = change;
			entry->raised = -1;
		}
		else
			(void) clear_stored(change, result->context);
	}

	if (nrows > 0)
		insert_rows(rows, nrows, batch_id);
	for (int i = 0; i < nrows; i++)
	{
		if (!rows[i].stored)
		{
			rows[i].raise->alert_id = 0;
			if (rows[i].raise->kind != ALERT_QUOTA)
				quota_return_alert(rows[i].raise->tenant_id);
		}
		if (rows[i].clear)
			rows[i].clear->alert_id = rows[i].raise->alert_id;
	}

	old = MemoryContextSwitchTo(result->context);
	result->alerts = list_concat(result->alerts, told);
	foreach(lc, result->alerts)
	{
		AlertChange *change = lfirst(lc);

		if (change->alert_id != 0)
			kept = lappend(kept, change);
	}
	result->alerts = kept;
	MemoryContextSwitchTo(old);
	SPI_finish();
}
