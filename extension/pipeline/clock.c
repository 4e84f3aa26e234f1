/*
 * clock.c
 *	  fleet.tick(): what must happen because time passes, not because a report came.
 *
 * Silences, holds and dwells end by the clock, commands expire; partitions are
 * made ahead.
 * fleetd calls this every second; any number of callers may, one works at a
 * time and the others return at once.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "fleet.h"
#include "pipeline/announce.h"
#include "pipeline/batch.h"
#include "pipeline/plan.h"
#include "pipeline/registry.h"
#include "watch/watch.h"

/* Vehicles looked at in one call; the others are next second's. */
#define TICK_MAX_VEHICLES 5000
/* Seconds between two looks for what deleted geofences left behind, per backend. */
#define TICK_SWEEP_INTERVAL_S 60
/* Seconds between two looks at the partitions ahead, per backend. */
#define TICK_PARTITION_INTERVAL_S 600

PG_FUNCTION_INFO_V1(tick);

/*
 * Locks due vehicles that nobody else holds: a vehicle whose report is being
 * stored right now will be looked at next time.  SKIP LOCKED also means that
 * a tick never waits, hence never deadlocks.
 */
static SPITupleTable *
lock_due_vehicles(TimestampTz now)
{
	static SPIPlanPtr plan = NULL;
	Datum		args[2] = {TimestampTzGetDatum(now), Int32GetDatum(TICK_MAX_VEHICLES)};
	Oid			types[2] = {TIMESTAMPTZOID, INT4OID};

	return plan_select(&plan,
					   "SELECT s.vehicle_id, v.name, v.vehicle_type FROM fleet.vehicle_state s"
					   " JOIN fleet.vehicle v USING (vehicle_id) WHERE s.due_at <= $1"
					   " ORDER BY s.vehicle_id LIMIT $2"
					   " FOR NO KEY UPDATE OF s SKIP LOCKED", 2, types, args);
}

static void
watch_clock(SPITupleTable *due, TimestampTz now, WatchResult *result)
{
	MemoryContext turn = AllocSetContextCreate(CurrentMemoryContext, "fleet vehicle",
											   ALLOCSET_DEFAULT_SIZES);
	StateStore *states = state_open();

	for (uint64 i = 0; i < due->numvals; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(result->context);
		/* alerts refer to the name until they are announced */
		char	   *name = SPI_getvalue(due->vals[i], due->tupdesc, 2);
		char	   *type = SPI_getvalue(due->vals[i], due->tupdesc, 3);
		bool		isnull;
		int64		vehicle_id = DatumGetInt64(SPI_getbinval(due->vals[i], due->tupdesc, 1, &isnull));
		VehicleState *vs;

		MemoryContextSwitchTo(turn);
		vs = state_lock(states, vehicle_id, name, type);
		if (vs != NULL)
		{
			vs->due_at = DT_NOEND;
			geofence_watch_clock(vs, now, result);
			rule_watch_clock(vs, now, result);
			geofence_pack(vs);
			rule_pack(vs);
			state_save(states, vs);
		}
		MemoryContextSwitchTo(old);
		MemoryContextReset(turn);
	}
	state_close(states);
	MemoryContextDelete(turn);
}

static void
make_partitions_ahead(TimestampTz now)
{
	static SPIPlanPtr plan = NULL;
	static TimestampTz next_look = 0;

	if (now < next_look)
		return;
	(void) plan_select(&plan, "SELECT fleet.create_partitions_ahead()", 0, NULL, NULL);
	next_look = now + TICK_PARTITION_INTERVAL_S * USECS_PER_SEC;
}

/* A race with a deletion is all that leaves something, so this is seldom. */
static void
sweep_geofences(TimestampTz now)
{
	static SPIPlanPtr plan = NULL;
	static TimestampTz next_look = 0;

	if (now < next_look)
		return;
	(void) plan_select(&plan, "SELECT fleet.geofence_sweep()", 0, NULL, NULL);
	next_look = now + TICK_SWEEP_INTERVAL_S * USECS_PER_SEC;
}

static void
end_blockers(void)
{
	static SPIPlanPtr plan = NULL;

	(void) plan_select(&plan, "SELECT fleet.end_blockers()", 0, NULL, NULL);
}

static void
expire_commands(void)
{
	static SPIPlanPtr plan = NULL;

	(void) plan_select(&plan, "SELECT fleet.expire_commands()", 0, NULL, NULL);
}

/* tick() returns integer: how many vehicles were looked at */
Datum
tick(PG_FUNCTION_ARGS)
{
	TimestampTz now = GetCurrentTimestamp();
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "fleet tick",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	WatchResult result = {.context = context};
	OwnerGuard	guard;
	SPITupleTable *due;
	uint64		ndue;
	Oid			vehicle_state;

	PreventCommandIfReadOnly("fleet.tick()");
	SPI_connect();
	MemoryContextSwitchTo(context);
	owner_begin(&guard);

	/* before any lock, since somebody may hold it who should not */
	end_blockers();

	/*
	 * The table first, as every pipeline does, but without waiting: a statement
	 * in pieces keeps us out, and would wait for the states that we lock.
	 * Then one tick at a time; that lock's name is the object it guards.
	 */
	vehicle_state = fleet_relation_oid("vehicle_state");
	if (!ConditionalLockRelationOid(vehicle_state, RowExclusiveLock) ||
		!ConditionalLockDatabaseObject(RelationRelationId, vehicle_state, 1, ExclusiveLock))
	{
		owner_end(&guard);
		SPI_finish();
		MemoryContextSwitchTo(old);
		PG_RETURN_INT32(0);
	}
	registry_begin(batch_current() != NULL);
	due = lock_due_vehicles(now);
	ndue = due->numvals;
	if (ndue > 0)
	{
		watch_clock(due, now, &result);
		geofence_store(&result);
		alert_store(&result, 0);
		announce(0, NIL, &result, NULL, 0);
	}
	expire_commands();
	sweep_geofences(now);
	make_partitions_ahead(now);
	owner_end(&guard);
	SPI_finish();
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	PG_RETURN_INT32((int32) ndue);
}
