/*
 * geofence_set.c
 *	  The tenant's geofences in memory, rebuilt when their table has changed;
 *	  and the functions that answer from them.
 *
 * One set per tenant that this backend has met, each in a context of its own.
 * A change of fleet.geofence, in this session or another, arrives as a relcache
 * invalidation of that table (its trigger calls fleet.invalidate_cache), which
 * only marks the sets: callbacks may come at any moment, and must not touch
 * what somebody is using.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "compare.h"
#include "fleet.h"
#include "pipeline/plan.h"
#include "trust/trust.h"
#include "watch/geofence_set.h"

/*
 * Effective alert kinds are computed by fleet.geofence_alert_on, because the
 * trigger that closes what a changed fence leaves behind needs them as well.
 */
#define LOAD_QUERY \
	"SELECT geofence_id, revision, kind," \
	"       fleet.geofence_alert_on(kind, alert_on, dwell, speed_limit_kmh) AS alert_on," \
	"       min_fixes, hysteresis_m::float8," \
	"       (extract(epoch FROM dwell) * 1000000)::int8 AS dwell," \
	"       speed_limit_kmh::float8, valid_from, valid_to, vehicle_type," \
	"       name, severity, message, fleet.geofence_wkb(area) AS wkb" \
	"  FROM fleet.geofence" \
	" WHERE tenant_id = $1 AND enabled" \
	" ORDER BY geofence_id"

enum
{
	COL_ID = 1, COL_REVISION, COL_KIND, COL_ALERT_ON, COL_MIN_FIXES, COL_HYSTERESIS,
	COL_DWELL, COL_SPEED_LIMIT, COL_VALID_FROM, COL_VALID_TO, COL_VEHICLE_TYPE,
	COL_NAME, COL_SEVERITY, COL_MESSAGE, COL_WKB
};

/*
 * Bytes of all sets of a backend.  Beyond it those of the tenants that have not
 * been met for longest are dropped when another one is made.
 */
#define SETS_MAX_SIZE ((Size) 256 * 1024 * 1024)

/* Rows fetched at a time; bounds what the binary forms take while loading. */
#define LOAD_CHUNK 500

typedef struct SetEntry
{
	int32		tenant_id;		/* hash key */
	GeofenceSet *set;			/* NULL when loading failed, or dropped */
	uint64		last_use;		/* of `uses`; not counted while it is last_set */
} SetEntry;

static HTAB *sets = NULL;
static GeofenceSet *last_set = NULL;	/* the one asked for last; never stale */
static Oid	geofence_relid = InvalidOid;
static uint64 uses = 0;
static uint64 last_generation = 0;
static uint64 invalidations = 0;	/* counts those of the table */

static void
geofence_relcache_callback(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS status;
	SetEntry   *entry;

	if (relid != InvalidOid && relid != geofence_relid)
		return;
	invalidations++;
	last_set = NULL;
	hash_seq_init(&status, sets);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (entry->set)
			entry->set->stale = true;
	}
}

static void
sets_init(void)
{
	HASHCTL		ctl = {0};

	ctl.keysize = sizeof(int32);
	ctl.entrysize = sizeof(SetEntry);
	ctl.hcxt = TopMemoryContext;
	sets = hash_create("fleet geofence sets", 16, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	CacheRegisterRelcacheCallback(geofence_relcache_callback, (Datum) 0);
}

static const char *
text_column(HeapTuple tuple, TupleDesc desc, int column, MemoryContext context)
{
	char	   *value = SPI_getvalue(tuple, desc, column);

	return value ? MemoryContextStrdup(context, value) : NULL;
}

static int32
vehicle_type_index(GeofenceSet *set, const char *vehicle_type)
{
	int32		i = geofence_set_vehicle_type(set, vehicle_type);

	if (i >= 0)
		return i;
	if (set->nvehicle_types == 0)
		set->vehicle_types = palloc(sizeof(char *));
	else if ((set->nvehicle_types & (set->nvehicle_types - 1)) == 0)
		set->vehicle_types = repalloc(set->vehicle_types,
									  2 * set->nvehicle_types * sizeof(char *));
	set->vehicle_types[set->nvehicle_types] = vehicle_type;
	return set->nvehicle_types++;
}

static uint8
alert_mask(Datum alert_on)
{
	ArrayType  *array = DatumGetArrayTypeP(alert_on);
	Datum	   *elements;
	int			n;
	uint8		mask = 0;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, NULL, &n);
	for (int i = 0; i < n; i++)
	{
		char	   *name = TextDatumGetCString(elements[i]);

		if (strcmp(name, "enter") == 0)
			mask |= ON_ENTER;
		else if (strcmp(name, "exit") == 0)
			mask |= ON_EXIT;
		else if (strcmp(name, "dwell") == 0)
			mask |= ON_DWELL;
		else if (strcmp(name, "cross") == 0)
			mask |= ON_CROSS;
		else if (strcmp(name, "speed") == 0)
			mask |= ON_SPEED;
		pfree(name);
	}
	return mask;
}

/* One row to one fence; what it keeps goes to the set's context. */
static void
load_fence(GeofenceSet *set, Geofence *fence, HeapTuple tuple, TupleDesc desc)
{
	bool		isnull;
	Datum		value;
	char	   *kind = SPI_getvalue(tuple, desc, COL_KIND);
	const char *vehicle_type;
	bytea	   *wkb;
	MemoryContext old;

	fence->geofence_id = DatumGetInt32(SPI_getbinval(tuple, desc, COL_ID, &isnull));
	fence->revision = (uint16) DatumGetInt32(SPI_getbinval(tuple, desc, COL_REVISION, &isnull));
	fence->kind = strcmp(kind, "keep_in") == 0 ? GEOFENCE_KEEP_IN :
		strcmp(kind, "keep_out") == 0 ? GEOFENCE_KEEP_OUT : GEOFENCE_ZONE;
	fence->alert_on = alert_mask(SPI_getbinval(tuple, desc, COL_ALERT_ON, &isnull));
	fence->min_fixes = DatumGetInt32(SPI_getbinval(tuple, desc, COL_MIN_FIXES, &isnull));
	fence->hysteresis_m = DatumGetFloat8(SPI_getbinval(tuple, desc, COL_HYSTERESIS, &isnull));
	value = SPI_getbinval(tuple, desc, COL_DWELL, &isnull);
	fence->dwell = isnull ? 0 : DatumGetInt64(value);
	value = SPI_getbinval(tuple, desc, COL_SPEED_LIMIT, &isnull);
	fence->speed_limit_kmh = isnull ? NAN : DatumGetFloat8(value);
	value = SPI_getbinval(tuple, desc, COL_VALID_FROM, &isnull);
	fence->valid_from = isnull ? DT_NOBEGIN : DatumGetTimestampTz(value);
	value = SPI_getbinval(tuple, desc, COL_VALID_TO, &isnull);
	fence->valid_to = isnull ? DT_NOEND : DatumGetTimestampTz(value);
	fence->name = text_column(tuple, desc, COL_NAME, set->context);
	fence->severity = text_column(tuple, desc, COL_SEVERITY, set->context);
	fence->message = text_column(tuple, desc, COL_MESSAGE, set->context);
	vehicle_type = text_column(tuple, desc, COL_VEHICLE_TYPE, set->context);
	wkb = DatumGetByteaPP(SPI_getbinval(tuple, desc, COL_WKB, &isnull));

	old = MemoryContextSwitchTo(set->context);
	fence->vehicle_type = vehicle_type ? vehicle_type_index(set, vehicle_type) : -1;
	fence->shape = fence_shape_from_wkb((const uint8 *) VARDATA_ANY(wkb), VARSIZE_ANY_EXHDR(wkb));
	MemoryContextSwitchTo(old);
}

static void
load_fences(GeofenceSet *set)
{
	static SPIPlanPtr plan = NULL;
	Datum		tenant = Int32GetDatum(set->tenant_id);
	Portal		portal;
	int32		room = 4;
	MemoryContext chunk = AllocSetContextCreate(CurrentMemoryContext, "fleet geofence load",
												ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;

	if (plan == NULL)
	{
		Oid			type = INT4OID;
		SPIPlanPtr	prepared = SPI_prepare(LOAD_QUERY, 1, &type);

		if (prepared == NULL || SPI_keepplan(prepared) != 0)
			elog(ERROR, "could not prepare the query on fleet.geofence");
		plan = prepared;
	}

	set->fences = MemoryContextAlloc(set->context, room * sizeof(Geofence));
	portal = SPI_cursor_open(NULL, plan, &tenant, NULL, true);
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		SPI_cursor_fetch(portal, true, LOAD_CHUNK);
		if (SPI_processed == 0)
			break;
		old = MemoryContextSwitchTo(chunk);
		for (uint64 i = 0; i < SPI_processed; i++)
		{
			if (set->nfences == room)
			{
				room *= 2;
				set->fences = repalloc_huge(set->fences, room * sizeof(Geofence));
			}
			load_fence(set, &set->fences[set->nfences],
					   SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
			set->nfences++;
		}
		MemoryContextSwitchTo(old);
		MemoryContextReset(chunk);
		SPI_freetuptable(SPI_tuptable);
	}
	SPI_cursor_close(portal);
	MemoryContextDelete(chunk);
}

/*
 * Reads the table as its owner, since the fences that count do not depend on
 * who happens to send data, and through the latest snapshot, because the set
 * outlives the transaction: under REPEATABLE READ an older one would stay in
 * the cache although the invalidation has been consumed.
 */
static GeofenceSet *
build_set(int32 tenant_id)
{
	/* begins small: many tenants have few fences or none */
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "fleet geofence set",
												  ALLOCSET_START_SMALL_SIZES);
	GeofenceSet *set = MemoryContextAllocZero(context, sizeof(GeofenceSet));
	FenceShape **shapes;
	MemoryContext old;
	OwnerGuard	guard;
	uint64		invalidations_before;

	set->tenant_id = tenant_id;
	set->context = context;

	SPI_connect();
	owner_begin(&guard);
	geofence_relid = fleet_relation_oid("geofence");
	/* waits for whoever changes the table's definition, and learns of it */
	LockRelationOid(geofence_relid, AccessShareLock);
	invalidations_before = invalidations;
	PushActiveSnapshot(GetLatestSnapshot());
	load_fences(set);
	PopActiveSnapshot();
	owner_end(&guard);
	SPI_finish();

	old = MemoryContextSwitchTo(context);
	shapes = palloc_extended(sizeof(FenceShape *) * Max(set->nfences, 1), MCXT_ALLOC_HUGE);
	set->keep_in = palloc(sizeof(int32) * Max(set->nfences, 1));
	for (int32 i = 0; i < set->nfences; i++)
	{
		Geofence   *fence = &set->fences[i];

		shapes[i] = fence->shape;
		if (fence->kind == GEOFENCE_KEEP_IN && (fence->alert_on & ON_EXIT))
			set->keep_in[set->nkeep_in++] = i;
	}
	set->index = fence_index_build(shapes, set->nfences);
	set->hits = palloc(sizeof(int32) * Max(set->nfences, 1));
	set->mark = palloc0(sizeof(uint64) * Max(set->nfences, 1));
	set->generation = ++last_generation;
	set->stale = (invalidations != invalidations_before);
	MemoryContextSwitchTo(old);
	return set;
}

static void
drop_set(SetEntry *entry)
{
	if (last_set == entry->set)
		last_set = NULL;
	MemoryContextDelete(entry->set->context);
	entry->set = NULL;
}

/* Makes room, but never by the set of `keep`. */
static void
limit_sets(const SetEntry *keep)
{
	for (;;)
	{
		HASH_SEQ_STATUS status;
		SetEntry   *entry;
		SetEntry   *oldest = NULL;
		Size		total = 0;

		hash_seq_init(&status, sets);
		while ((entry = hash_seq_search(&status)) != NULL)
		{
			if (entry->set == NULL)
				continue;
			total += MemoryContextMemAllocated(entry->set->context, true);
			if (entry != keep && (oldest == NULL || entry->last_use < oldest->last_use))
				oldest = entry;
		}
		if (total <= SETS_MAX_SIZE || oldest == NULL)
			return;
		drop_set(oldest);
	}
}

GeofenceSet *
geofence_set(int32 tenant_id)
{
	SetEntry   *entry;
	GeofenceSet *set;
	bool		found;

	if (last_set && last_set->tenant_id == tenant_id)
		return last_set;

	if (sets == NULL)
		sets_init();
	entry = hash_search(sets, &tenant_id, HASH_ENTER, &found);
	if (!found)
		entry->set = NULL;

	if (entry->set == NULL || entry->set->stale)
	{
		if (entry->set)
			drop_set(entry);

		/* below the current context until it is complete, in case of an error */
		set = build_set(tenant_id);
		MemoryContextSetParent(set->context, TopMemoryContext);
		entry = hash_search(sets, &tenant_id, HASH_ENTER, NULL);
		entry->set = set;
		limit_sets(entry);
	}
	entry->last_use = ++uses;
	if (!entry->set->stale)
		last_set = entry->set;
	return entry->set;
}

int32
geofence_set_slot(const GeofenceSet *set, int32 geofence_id)
{
	int32		low = 0,
				high = set->nfences;

	while (low < high)
	{
		int32		middle = low + (high - low) / 2;

		if (set->fences[middle].geofence_id < geofence_id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < set->nfences && set->fences[low].geofence_id == geofence_id ? low : -1;
}

int32
geofence_set_vehicle_type(const GeofenceSet *set, const char *vehicle_type)
{
	if (vehicle_type == NULL)
		return -1;
	for (int32 i = 0; i < set->nvehicle_types; i++)
	{
		if (strcmp(set->vehicle_types[i], vehicle_type) == 0)
			return i;
	}
	return -1;
}

/* --- SQL functions --- */

PG_FUNCTION_INFO_V1(geofences_at);
PG_FUNCTION_INFO_V1(geofence_counts);

/*
 * The sets are read with the owner's rights, so whoever asks through a function
 * must be one who may read the table, and this tenant's rows of it.
 */
static void
check_may_read(FunctionCallInfo fcinfo, int32 tenant_id)
{
	Oid			relid;

	trust_require(tenant_id, "geofence", TRUST_READER);
	if (fcinfo->flinfo->fn_extra)
		return;
	relid = fleet_relation_oid("geofence");
	if (pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, "geofence");
	fcinfo->flinfo->fn_extra = fcinfo->flinfo;
}

Datum
geofences_at(PG_FUNCTION_ARGS)
{
	int32		tenant_id = PG_GETARG_INT32(0);
	Geopoint	location = PG_GETARG_GEOPOINT(1);
	GeofenceSet *set;
	ArrayType  *array;
	int32	   *ids;
	int			n;
	Size		size;

	check_may_read(fcinfo, tenant_id);
	set = geofence_set(tenant_id);
	n = fence_index_covering(set->index, location, set->hits);
	if (n == 0)
		PG_RETURN_ARRAYTYPE_P(construct_empty_array(INT4OID));

	size = ARR_OVERHEAD_NONULLS(1) + n * sizeof(int32);
	array = palloc0(size);
	SET_VARSIZE(array, size);
	array->ndim = 1;
	array->elemtype = INT4OID;
	ARR_DIMS(array)[0] = n;
	ARR_LBOUND(array)[0] = 1;
	ids = (int32 *) ARR_DATA_PTR(array);
	for (int i = 0; i < n; i++)
		ids[i] = set->fences[set->hits[i]].geofence_id;
	qsort(ids, n, sizeof(int32), compare_int32);
	PG_RETURN_ARRAYTYPE_P(array);
}

Datum
geofence_counts(PG_FUNCTION_ARGS)
{
	int32		tenant_id = PG_GETARG_INT32(0);
	ArrayType  *locations = PG_GETARG_ARRAYTYPE_P(1);
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	GeofenceSet *set;
	int64	   *counts;
	int			n = ArrayGetNItems(ARR_NDIM(locations), ARR_DIMS(locations));
	const char *element = ARR_DATA_PTR(locations);
	bits8	   *nulls = ARR_NULLBITMAP(locations);

	InitMaterializedSRF(fcinfo, 0);
	check_may_read(fcinfo, tenant_id);
	set = geofence_set(tenant_id);
	counts = MemoryContextAllocExtended(CurrentMemoryContext, sizeof(int64) * Max(set->nfences, 1),
										MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (int i = 0; i < n; i++)
	{
		Geopoint	location;
		Datum		value;
		int			hits;

		if ((i & 0xffff) == 0)
			CHECK_FOR_INTERRUPTS();
		if (nulls && (nulls[i / 8] & (1 << (i % 8))) == 0)
			continue;
		value = fetch_att(element, true, sizeof(Geopoint));
		element += sizeof(Geopoint);
		location = DatumGetGeopoint(value);
		hits = fence_index_covering(set->index, location, set->hits);
		for (int h = 0; h < hits; h++)
			counts[set->hits[h]]++;
	}
	for (int32 slot = 0; slot < set->nfences; slot++)
	{
		Datum		values[2];
		bool		isnull[2] = {false, false};

		if (counts[slot] == 0)
			continue;
		values[0] = Int32GetDatum(set->fences[slot].geofence_id);
		values[1] = Int64GetDatum(counts[slot]);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, isnull);
	}
	return (Datum) 0;
}
