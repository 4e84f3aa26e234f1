/*
 * geofence_visit.c
 *	  Stage 5: transitions become rows of fleet.geofence_visit.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "fleet.h"
#include "watch/geofence_visit.h"
#include "watch/watch.h"

/*
 * Fences that were found gone.  Their trigger has closed what they left open,
 * but not what a transaction that ran at the same moment added; geofence_store
 * looks after that.  More than fit are few enough to forget.
 */
#define MAX_GONE 256
static int32 gone[MAX_GONE];
static int	ngone = 0;

void
geofence_visit_gone(int32 geofence_id)
{
	/* vehicles of one fence mostly come in a row */
	if (ngone < MAX_GONE && (ngone == 0 || gone[ngone - 1] != geofence_id))
		gone[ngone++] = geofence_id;
}

typedef struct VisitKey
{
	int64		vehicle_id;
	int64		geofence_id;	/* as wide, so that the key has no padding */
} VisitKey;

/* A visit as far as this batch knows it. */
typedef struct Visit
{
	const FenceTransition *entered; /* NULL: it began before */
	const FenceTransition *dwelled;
	const FenceTransition *exited;
	const FenceTransition *any;
} Visit;

typedef struct VisitEntry
{
	VisitKey	key;
	Visit	   *visit;			/* the latest one */
} VisitEntry;

#define UPDATE_VISITS \
	"UPDATE fleet.geofence_visit v" \
	"   SET dwelled_at = coalesce(u.dwelled_at, v.dwelled_at)," \
	"       exited_at = CASE WHEN u.exited_at IS NOT NULL THEN greatest(v.entered_at, u.exited_at) END," \
	"       exited_location = u.exited_location," \
	"       xact_id = pg_catalog.pg_current_xact_id()" \
	"  FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::integer[])," \
	"       pg_catalog.unnest($3::timestamptz[]), pg_catalog.unnest($4::timestamptz[])," \
	"       pg_catalog.unnest($5::fleet.geopoint[]))" \
	"       AS u(vehicle_id, geofence_id, dwelled_at, exited_at, exited_location)" \
	" WHERE v.vehicle_id = u.vehicle_id AND v.geofence_id = u.geofence_id AND v.exited_at IS NULL"

#define INSERT_VISITS \
	"INSERT INTO fleet.geofence_visit (vehicle_id, geofence_id, dwelled_at, exited_at," \
	"       exited_location, entered_at, entered_location, tenant_id, name)" \
	" SELECT * FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::integer[])," \
	"       pg_catalog.unnest($3::timestamptz[]), pg_catalog.unnest($4::timestamptz[])," \
	"       pg_catalog.unnest($5::fleet.geopoint[]), pg_catalog.unnest($6::timestamptz[])," \
	"       pg_catalog.unnest($7::fleet.geopoint[]), pg_catalog.unnest($8::integer[])," \
	"       pg_catalog.unnest($9::text[]))" \
	" ON CONFLICT (vehicle_id, geofence_id) WHERE exited_at IS NULL DO NOTHING"

/* In the order of the parameters. */
enum
{
	PARAM_VEHICLE, PARAM_FENCE, PARAM_DWELLED, PARAM_EXITED, PARAM_EXITED_LOCATION,
	UPDATE_PARAMS,
	PARAM_ENTERED = UPDATE_PARAMS, PARAM_ENTERED_LOCATION, PARAM_TENANT, PARAM_NAME,
	INSERT_PARAMS
};

static void
set_time(Datum *values, bool *nulls, int row, const FenceTransition *t)
{
	nulls[row] = (t == NULL);
	values[row] = t ? TimestampTzGetDatum(t->event_time) : (Datum) 0;
}

static void
set_location(Datum *values, bool *nulls, int row, const FenceTransition *t)
{
	nulls[row] = (t == NULL || !t->has_location);
	values[row] = nulls[row] ? (Datum) 0 : GeopointGetDatum(t->location);
}

/* Writes those visits of the list that began before (or that began here). */
static void
write_visits(List *visits, bool began_here)
{
	static SPIPlanPtr plans[2] = {NULL, NULL};
	static Oid	planned_geopoint[2];
	int			nparams = began_here ? INSERT_PARAMS : UPDATE_PARAMS;
	Oid			geopoint = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
										   CStringGetDatum("geopoint"),
										   ObjectIdGetDatum(fleet_schema_oid()));
	Oid			element[INSERT_PARAMS] = {
		INT8OID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID, geopoint,
		TIMESTAMPTZOID, geopoint, INT4OID, TEXTOID
	};
	Datum	   *values[INSERT_PARAMS];
	bool	   *nulls[INSERT_PARAMS];
	Datum		params[INSERT_PARAMS];
	int			n = 0;
	ListCell   *lc;

	for (int p = 0; p < nparams; p++)
	{
		values[p] = palloc0(sizeof(Datum) * list_length(visits));
		nulls[p] = palloc0(sizeof(bool) * list_length(visits));
	}
	foreach(lc, visits)
	{
		Visit	   *v = lfirst(lc);

		if ((v->entered != NULL) != began_here)
			continue;
		values[PARAM_VEHICLE][n] = Int64GetDatum(v->any->vehicle_id);
		values[PARAM_FENCE][n] = Int32GetDatum(v->any->geofence_id);
		set_time(values[PARAM_DWELLED], nulls[PARAM_DWELLED], n, v->dwelled);
		set_time(values[PARAM_EXITED], nulls[PARAM_EXITED], n, v->exited);
		set_location(values[PARAM_EXITED_LOCATION], nulls[PARAM_EXITED_LOCATION], n, v->exited);
		if (began_here)
		{
			set_time(values[PARAM_ENTERED], nulls[PARAM_ENTERED], n, v->entered);
			set_location(values[PARAM_ENTERED_LOCATION], nulls[PARAM_ENTERED_LOCATION], n, v->entered);
			values[PARAM_TENANT][n] = Int32GetDatum(v->any->tenant_id);
			values[PARAM_NAME][n] = CStringGetTextDatum(v->any->name);
		}
		n++;
	}
	if (n == 0)
		return;

	for (int p = 0; p < nparams; p++)
	{
		int16		len;
		bool		byval;
		char		align;
		int			lower = 1;

		get_typlenbyvalalign(element[p], &len, &byval, &align);
		params[p] = PointerGetDatum(construct_md_array(values[p], nulls[p], 1, &n, &lower,
													   element[p], len, byval, align));
	}

	SPI_connect();
	/* the extension may have been dropped and created anew */
	if (plans[began_here] != NULL && planned_geopoint[began_here] != geopoint)
	{
		SPI_freeplan(plans[began_here]);
		plans[began_here] = NULL;
	}
	if (plans[began_here] == NULL)
	{
		Oid			types[INSERT_PARAMS];
		SPIPlanPtr	plan;

		for (int p = 0; p < nparams; p++)
			types[p] = get_array_type(element[p]);
		/* planned for the table as it is: a plan from when it was empty would scan it */
		plan = SPI_prepare_cursor(began_here ? INSERT_VISITS : UPDATE_VISITS, nparams, types,
								  CURSOR_OPT_CUSTOM_PLAN);
		if (plan == NULL || SPI_keepplan(plan) != 0)
			elog(ERROR, "could not prepare the writing of visits");
		plans[began_here] = plan;
		planned_geopoint[began_here] = geopoint;
	}
	if (SPI_execute_plan(plans[began_here], params, NULL, false, 0) < 0)
		elog(ERROR, "could not write visits");
	SPI_finish();
}

/* Closes what a fence left open that is gone by now; see `gone`. */
static void
settle_gone(void)
{
	Datum	   *ids = palloc(sizeof(Datum) * ngone);
	Oid			type = INT4ARRAYOID;
	Datum		param;

	for (int i = 0; i < ngone; i++)
		ids[i] = Int32GetDatum(gone[i]);
	param = PointerGetDatum(construct_array(ids, ngone, INT4OID, sizeof(int32), true, TYPALIGN_INT));
	ngone = 0;
	SPI_connect();

	/*
	 * Not geofence_end(), which waits for the states of other vehicles: we hold
	 * some already, maybe of higher ids.
	 */
	if (SPI_execute_with_args("SELECT fleet.geofence_sweep() WHERE EXISTS"
							  " (SELECT FROM pg_catalog.unnest($1) id WHERE NOT EXISTS"
							  " (SELECT FROM fleet.geofence g WHERE g.geofence_id = id AND g.enabled))",
							  1, &type, &param, NULL, false, 0) < 0)
		elog(ERROR, "could not settle geofences that are gone");
	SPI_finish();
}

void
geofence_store(WatchResult *result)
{
	HASHCTL		ctl = {0};
	HTAB	   *latest;
	List	   *visits = NIL;
	ListCell   *lc;

	if (ngone > 0)
		settle_gone();
	if (result->transitions == NIL)
		return;

	ctl.keysize = sizeof(VisitKey);
	ctl.entrysize = sizeof(VisitEntry);
	ctl.hcxt = CurrentMemoryContext;
	latest = hash_create("fleet visits", 256, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	foreach(lc, result->transitions)
	{
		const FenceTransition *t = lfirst(lc);
		VisitKey	key = {t->vehicle_id, t->geofence_id};
		VisitEntry *entry;
		bool		found;

		if (t->kind == FENCE_CROSS)
			continue;
		entry = hash_search(latest, &key, HASH_ENTER, &found);
		if (!found || t->kind == FENCE_ENTER)
		{
			entry->visit = palloc0(sizeof(Visit));
			entry->visit->any = t;
			visits = lappend(visits, entry->visit);
		}
		if (t->kind == FENCE_ENTER)
			entry->visit->entered = t;
		else if (t->kind == FENCE_DWELL)
			entry->visit->dwelled = t;
		else
			entry->visit->exited = t;
	}
	hash_destroy(latest);

	/* first those from before: they make room for the next visit of that vehicle */
	write_visits(visits, false);
	write_visits(visits, true);
}
