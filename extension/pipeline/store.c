/*
 * store.c
 *	  Stage 5: accepted reports become rows of fleet.event.
 *
 * Rows go to the partitions directly: which one a time belongs to is read
 * from the parent's partition bounds, so partitions of any width may stand
 * side by side.  One that is missing is made for its day (UTC).
 */
#include "postgres.h"

#include <math.h>

#include "access/genam.h"
#include "access/skey.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "common/hashfn.h"
#include "executor/executor.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "fleet.h"
#include "pipeline/plan.h"
#include "pipeline/store.h"
#include "pipeline/writer.h"

/* Columns of fleet.event, in order. */
enum
{
	COL_VEHICLE_ID, COL_EVENT_TIME, COL_RECEIVED_AT, COL_LOCATION, COL_BATCH_ID, COL_TENANT_ID,
	COL_DIGEST, COL_ALTITUDE, COL_ACCURACY, COL_SPEED, COL_HEADING, COL_LATE, COL_SIGNALS,
	EVENT_COLUMNS
};

/* A partition in use; few per batch, found by walking the list. */
typedef struct Partition
{
	struct Partition *next;
	Oid			relid;
	Relation	rel;
	Relation	index;			/* primary key; NULL until probed */
	IndexScanDesc scan;
	TupleTableSlot *slot;
	TableWriter *writer;		/* NULL until written */
	int64		absent_vehicle; /* has no event in here; 0: not known of any */
} Partition;

struct EventStore
{
	MemoryContext context;		/* the caller's at event_store_open() */
	Relation	parent;
	Partition  *partitions;
	/* the last look-up: times arrive in runs of the same partition */
	TimestampTz cached_from;	/* inclusive */
	TimestampTz cached_to;		/* exclusive */
	Partition  *cached;
};

EventStore *
event_store_open(void)
{
	EventStore *store = palloc0(sizeof(EventStore));

	store->context = CurrentMemoryContext;
	store->parent = table_open(fleet_relation_oid("event"), RowExclusiveLock);
	return store;
}

void
event_store_close(EventStore *store)
{
	for (Partition *p = store->partitions; p != NULL; p = p->next)
	{
		if (p->writer != NULL)
			writer_close(p->writer);
		if (p->index != NULL)
		{
			index_endscan(p->scan);
			ExecDropSingleTupleTableSlot(p->slot);
			index_close(p->index, NoLock);
		}
		table_close(p->rel, NoLock);
	}
	table_close(store->parent, NoLock);
	pfree(store);
}

/* A bound of a range partition by one timestamptz; infinite ones are clipped. */
static TimestampTz
bound_time(PartitionBoundInfo info, int offset, TimestampTz otherwise)
{
	if (offset < 0 || offset >= info->ndatums ||
		info->kind[offset][0] != PARTITION_RANGE_DATUM_VALUE)
		return otherwise;
	return DatumGetTimestampTz(info->datums[offset][0]);
}

static Partition *
open_partition(EventStore *store, Oid relid)
{
	Partition  *p;

	for (p = store->partitions; p != NULL; p = p->next)
		if (p->relid == relid)
			return p;
	p = MemoryContextAllocZero(store->context, sizeof(Partition));
	p->relid = relid;
	p->rel = table_open(relid, RowExclusiveLock);
	if (p->rel->rd_rel->relkind != RELKIND_RELATION)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("partition \"%s\" of fleet.event is not a plain table",
						RelationGetRelationName(p->rel)),
				 errhint("Partition fleet.event by event_time only, in one level.")));
	p->next = store->partitions;
	store->partitions = p;
	return p;
}

/* The partition that holds a time; NULL when there is none. */
static Partition *
find_partition(EventStore *store, TimestampTz time)
{
	PartitionKey key;
	PartitionDesc desc;
	PartitionBoundInfo info;
	Datum		value = TimestampTzGetDatum(time);
	bool		equal;
	int			offset,
				index;

	if (store->cached != NULL && time >= store->cached_from && time < store->cached_to)
		return store->cached;

	key = RelationGetPartitionKey(store->parent);
	desc = RelationGetPartitionDesc(store->parent, true);
	if (desc->nparts == 0)
		return NULL;
	info = desc->boundinfo;
	offset = partition_range_datum_bsearch(key->partsupfunc, key->partcollation, info,
										   1, &value, &equal);
	index = info->indexes[offset + 1];
	if (index < 0)
		index = info->default_index;
	if (index < 0)
		return NULL;
	store->cached_from = bound_time(info, offset, DT_NOBEGIN);
	store->cached_to = bound_time(info, offset + 1, DT_NOEND);
	store->cached = open_partition(store, desc->oids[index]);
	return store->cached;
}

static Partition *
make_partition(EventStore *store, TimestampTz time)
{
	static SPIPlanPtr plan = NULL;
	Datum		args[1] = {TimestampTzGetDatum(time)};
	Oid			types[1] = {TIMESTAMPTZOID};
	Partition  *p;
	LOCKMODE	lock = RowExclusiveLock;

	/* the parent must not be open while its partitions change */
	table_close(store->parent, NoLock);
	(void) plan_select(&plan, "SELECT fleet.create_partition($1)", 1, types, args);
	store->parent = table_open(fleet_relation_oid("event"), lock);
	store->cached = NULL;
	p = find_partition(store, time);
	if (p == NULL)
		elog(ERROR, "no partition of fleet.event holds %s", timestamptz_to_str(time));
	return p;
}

static void
start_probing(EventStore *store, Partition *p)
{
	MemoryContext old = MemoryContextSwitchTo(store->context);
	Oid			pk = fleet_primary_key_index(p->rel);

	if (!OidIsValid(pk))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("partition \"%s\" of fleet.event has no primary key",
						RelationGetRelationName(p->rel))));
	p->index = index_open(pk, RowExclusiveLock);
	p->slot = table_slot_create(p->rel, NULL);

	/*
	 * Whoever else writes this vehicle's events holds the lock that we hold
	 * now, so what is there is committed or our own.
	 */
	p->scan = index_beginscan(p->rel, p->index, SnapshotSelf, 3, 0);
	MemoryContextSwitchTo(old);
}

/* Is there a row whose key begins with the report's first nkeys key columns? */
static bool
probe(EventStore *store, Partition *p, const Report *report, int nkeys)
{
	ScanKeyData keys[3];
	MemoryContext old;
	bool		found;

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(report->vehicle_id));
	ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_TIMESTAMPTZ_EQ,
				TimestampTzGetDatum(report->event_time));
	ScanKeyInit(&keys[2], 3, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum((int32) report->digest));
	/* the scan outlives the vehicle's turn, and allocates as late as it needs */
	old = MemoryContextSwitchTo(store->context);
	/* it was begun for three keys; fewer are a prefix */
	p->scan->numberOfKeys = nkeys;
	index_rescan(p->scan, keys, nkeys, NULL, 0);
	found = index_getnext_slot(p->scan, ForwardScanDirection, p->slot);
	MemoryContextSwitchTo(old);
	ExecClearTuple(p->slot);
	return found;
}

bool
event_store_contains(EventStore *store, const Report *report, bool new_state)
{
	Partition  *p = find_partition(store, report->event_time);

	if (p == NULL || p->absent_vehicle == report->vehicle_id)
		return false;
	if (p->index == NULL)
		start_probing(store, p);
	/* a vehicle's first batch has many reports and mostly no history */
	if (new_state && !probe(store, p, report, 1))
	{
		p->absent_vehicle = report->vehicle_id;
		return false;
	}
	return probe(store, p, report, 3);
}

static void
set_number(Datum *value, bool *isnull, float4 number)
{
	*isnull = isnan(number);
	*value = Float4GetDatum(number);
}

static void
write_row(TableWriter *writer, const Report *r, int64 batch_id)
{
	Datum		values[EVENT_COLUMNS];
	bool		nulls[EVENT_COLUMNS] = {false};

	values[COL_VEHICLE_ID] = Int64GetDatum(r->vehicle_id);
	values[COL_EVENT_TIME] = TimestampTzGetDatum(r->event_time);
	values[COL_RECEIVED_AT] = TimestampTzGetDatum(r->received_at);
	values[COL_LOCATION] = GeopointGetDatum(r->location);
	nulls[COL_LOCATION] = !r->has_location;
	values[COL_BATCH_ID] = Int64GetDatum(batch_id);
	values[COL_TENANT_ID] = Int32GetDatum(r->tenant_id);
	values[COL_DIGEST] = Int32GetDatum((int32) r->digest);
	set_number(&values[COL_ALTITUDE], &nulls[COL_ALTITUDE], r->altitude_m);
	set_number(&values[COL_ACCURACY], &nulls[COL_ACCURACY], r->accuracy_m);
	set_number(&values[COL_SPEED], &nulls[COL_SPEED], r->speed_kmh);
	set_number(&values[COL_HEADING], &nulls[COL_HEADING], r->heading_deg);
	values[COL_LATE] = BoolGetDatum(r->late);
	values[COL_SIGNALS] = PointerGetDatum(r->signals);
	nulls[COL_SIGNALS] = r->signals == NULL;
	writer_add(writer, values, nulls);
}

void
event_store_write(EventStore *store, Report **reports, int64 n, int64 batch_id)
{
	/* partitions first: making one must not find another one's rows half written */
	for (int64 i = 0; i < n; i++)
		if (find_partition(store, reports[i]->event_time) == NULL)
			(void) make_partition(store, reports[i]->event_time);
	for (int64 i = 0; i < n; i++)
	{
		Partition  *p = find_partition(store, reports[i]->event_time);

		if (p->writer == NULL)
			p->writer = writer_open(p->rel, EVENT_COLUMNS);
		write_row(p->writer, reports[i], batch_id);
	}
}

PG_FUNCTION_INFO_V1(has_partition);

/* has_partition(timestamptz) returns boolean */
Datum
has_partition(PG_FUNCTION_ARGS)
{
	EventStore *store;
	bool		found;

	/* under the caller's lock, if any, what others have made meanwhile counts */
	AcceptInvalidationMessages();
	store = event_store_open();
	found = find_partition(store, PG_GETARG_TIMESTAMPTZ(0)) != NULL;
	event_store_close(store);
	PG_RETURN_BOOL(found);
}

/* --- identity --- */

/* One bit pattern for "not given", and none for minus zero. */
static float4
canonical(float4 number)
{
	return isnan(number) ? NAN : number + 0.0f;
}

uint32
report_digest(const Report *r)
{
	struct
	{
		int64		location;
		float4		altitude_m;
		float4		accuracy_m;
		float4		speed_kmh;
		float4		heading_deg;
	}			fixed;
	uint32		digest;

	fixed.location = r->has_location ? DatumGetInt64(GeopointGetDatum(r->location)) : PG_INT64_MIN;
	fixed.altitude_m = canonical(r->altitude_m);
	fixed.accuracy_m = canonical(r->accuracy_m);
	fixed.speed_kmh = canonical(r->speed_kmh);
	fixed.heading_deg = canonical(r->heading_deg);
	digest = hash_bytes((unsigned char *) &fixed, sizeof(fixed));
	/* the entries alone: their header tells who wrote them, not what they say */
	if (r->signals != NULL && r->signals->count > 0)
		digest = hash_combine(digest, hash_bytes((unsigned char *) r->signals->data,
												 VARSIZE(r->signals) - offsetof(Signals, data)));
	return digest;
}

int64
next_identity(const char *table, const char *column)
{
	char	   *name = psprintf("%s_%s_seq", table, column);
	Oid			seq = get_relname_relid(name, fleet_schema_oid());

	if (!OidIsValid(seq))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("sequence \"%s.%s\" does not exist", FLEET_SCHEMA, name)));
	return nextval_internal(seq, false);
}
