/*
 * state.c
 *	  Stage 3: fleet.vehicle_state, read, locked and written back row by row.
 *
 * The fast path works on the local heap: an index look-up, a row lock, a HOT
 * update, without the executor's plan machinery.  Everything that knows the
 * table's columns is in this file.
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
#include "commands/trigger.h"
#include "executor/executor.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "fleet.h"
#include "pipeline/plan.h"
#include "pipeline/state.h"

/* Columns of fleet.vehicle_state, in order. */
enum
{
	COL_VEHICLE_ID, COL_TENANT_ID, COL_EVENT_TIME, COL_RECEIVED_AT, COL_LOCATION,
	COL_LOCATION_TIME, COL_MOTION_TIME, COL_ALTITUDE, COL_ACCURACY, COL_SPEED, COL_HEADING,
	COL_DUE_AT, COL_SIGNALS, COL_SIGNAL_TIMES, COL_FENCE_STATE, COL_RULE_STATE,
	STATE_COLUMNS
};

struct StateStore
{
	MemoryContext context;		/* the caller's at state_open(); outlives a vehicle's turn */
	Relation	rel;
	Relation	index;
	Snapshot	snapshot;
	IndexScanDesc scan;
	TupleTableSlot *found;		/* the row as read and locked */
	TupleTableSlot *changed;	/* the row to write */
	EState	   *estate;
	ResultRelInfo *rri;
	EPQState	epq;
};

static void
start_scan(StateStore *store)
{
	MemoryContext old = MemoryContextSwitchTo(store->context);

	/*
	 * In READ COMMITTED a state that another session has moved since this
	 * statement began must be seen.  Stricter levels keep their snapshot and
	 * fail with a serialization error instead.
	 */
	store->snapshot = RegisterSnapshot(IsolationUsesXactSnapshot()
									   ? GetTransactionSnapshot() : GetLatestSnapshot());
	store->scan = index_beginscan(store->rel, store->index, store->snapshot, 1, 0);
	MemoryContextSwitchTo(old);
}

static void
end_scan(StateStore *store)
{
	ExecClearTuple(store->found);
	index_endscan(store->scan);
	UnregisterSnapshot(store->snapshot);
}

StateStore *
state_open(void)
{
	StateStore *store = palloc0(sizeof(StateStore));

	store->context = CurrentMemoryContext;
	store->rel = table_open(fleet_relation_oid("vehicle_state"), RowExclusiveLock);
	if (RelationGetNumberOfAttributes(store->rel) != STATE_COLUMNS)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"fleet.vehicle_state\" does not have the expected columns"),
				 errhint("Run ALTER EXTENSION fleet UPDATE.")));
	store->index = index_open(fleet_primary_key_index(store->rel), RowExclusiveLock);
	store->found = table_slot_create(store->rel, NULL);
	store->changed = table_slot_create(store->rel, NULL);
	store->estate = CreateExecutorState();
	store->rri = makeNode(ResultRelInfo);
	InitResultRelInfo(store->rri, store->rel, 0, NULL, 0);
	ExecOpenIndices(store->rri, false);
	EvalPlanQualInit(&store->epq, store->estate, NULL, NIL, -1);
	/* for AFTER triggers that users may have put on the table */
	AfterTriggerBeginQuery();
	start_scan(store);
	return store;
}

void
state_close(StateStore *store)
{
	end_scan(store);
	AfterTriggerEndQuery(store->estate);
	EvalPlanQualEnd(&store->epq);
	ExecResetTupleTable(store->estate->es_tupleTable, false);
	ExecCloseIndices(store->rri);
	ExecDropSingleTupleTableSlot(store->found);
	ExecDropSingleTupleTableSlot(store->changed);
	FreeExecutorState(store->estate);
	index_close(store->index, NoLock);
	table_close(store->rel, NoLock);
	pfree(store);
}

/* Reads the row into store->found and locks it; false when there is none. */
static bool
find_and_lock(StateStore *store, int64 vehicle_id)
{
	ScanKeyData key;
	TM_FailureData failure;
	TM_Result	result;
	bool		found;
	MemoryContext old;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(vehicle_id));
	/* a btree scan allocates what it keeps (killedItems) as late as it needs it */
	old = MemoryContextSwitchTo(store->context);
	index_rescan(store->scan, &key, 1, NULL, 0);
	found = index_getnext_slot(store->scan, ForwardScanDirection, store->found);
	MemoryContextSwitchTo(old);
	if (!found)
		return false;

	result = table_tuple_lock(store->rel, &store->found->tts_tid, store->snapshot, store->found,
							  GetCurrentCommandId(false), LockTupleNoKeyExclusive, LockWaitBlock,
							  IsolationUsesXactSnapshot() ? 0 : TUPLE_LOCK_FLAG_FIND_LAST_VERSION,
							  &failure);
	switch (result)
	{
		case TM_Ok:
			return true;
		case TM_Deleted:
			if (!IsolationUsesXactSnapshot())
				return false;
			/* FALLTHROUGH */
		case TM_Updated:
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("could not serialize access due to concurrent update")));
			return false;
		default:
			elog(ERROR, "unexpected result %d of locking a vehicle state", (int) result);
			return false;
	}
}

/* Makes the first row of a vehicle; false when there is no such vehicle. */
static bool
create_row(StateStore *store, int64 vehicle_id)
{
	static SPIPlanPtr plan = NULL;
	Datum		args[1] = {Int64GetDatum(vehicle_id)};
	Oid			types[1] = {INT8OID};

	end_scan(store);
	plan_execute(&plan,
				 "INSERT INTO fleet.vehicle_state (vehicle_id, tenant_id)"
				 " SELECT v.vehicle_id, v.tenant_id FROM fleet.vehicle v WHERE v.vehicle_id = $1"
				 " FOR KEY SHARE ON CONFLICT (vehicle_id) DO NOTHING", 1, types, args);
	start_scan(store);
	return find_and_lock(store, vehicle_id);
}

static TimestampTz
slot_time(TupleTableSlot *slot, int column)
{
	return slot->tts_isnull[column] ? 0 : DatumGetTimestampTz(slot->tts_values[column]);
}

static float4
slot_number(TupleTableSlot *slot, int column)
{
	return slot->tts_isnull[column] ? NAN : DatumGetFloat4(slot->tts_values[column]);
}

static bytea *
slot_bytes(TupleTableSlot *slot, int column)
{
	return slot->tts_isnull[column] ? NULL : DatumGetByteaPCopy(slot->tts_values[column]);
}

static TimestampTz *
slot_signal_times(TupleTableSlot *slot, const Signals *signals)
{
	ArrayType  *array;
	TimestampTz *times;

	if (slot->tts_isnull[COL_SIGNAL_TIMES] || signals == NULL)
		return NULL;
	array = DatumGetArrayTypeP(slot->tts_values[COL_SIGNAL_TIMES]);
	if (ARR_NDIM(array) != 1 || ARR_DIMS(array)[0] != signals->count || ARR_HASNULL(array))
		return NULL;
	times = palloc(signals->count * sizeof(TimestampTz));
	memcpy(times, ARR_DATA_PTR(array), signals->count * sizeof(TimestampTz));
	return times;
}

VehicleState *
state_lock(StateStore *store, int64 vehicle_id, const char *vehicle_name, const char *vehicle_type)
{
	VehicleState *vs = palloc0(sizeof(VehicleState));
	VehiclePosition *now = &vs->now;
	TupleTableSlot *slot = store->found;

	if (!find_and_lock(store, vehicle_id) && !create_row(store, vehicle_id))
		return NULL;
	slot_getallattrs(slot);
	vs->vehicle_id = vehicle_id;
	vs->vehicle_name = vehicle_name;
	vs->vehicle_type = vehicle_type;
	vs->tenant_id = DatumGetInt32(slot->tts_values[COL_TENANT_ID]);
	vs->is_new = slot->tts_isnull[COL_EVENT_TIME];
	vs->tid = slot->tts_tid;
	vs->due_at = slot->tts_isnull[COL_DUE_AT] ? DT_NOEND
		: DatumGetTimestampTz(slot->tts_values[COL_DUE_AT]);

	now->event_time = slot_time(slot, COL_EVENT_TIME);
	now->received_at = slot_time(slot, COL_RECEIVED_AT);
	now->has_location = !slot->tts_isnull[COL_LOCATION];
	if (now->has_location)
		now->location = DatumGetGeopoint(slot->tts_values[COL_LOCATION]);
	now->location_time = slot_time(slot, COL_LOCATION_TIME);
	now->motion_time = slot_time(slot, COL_MOTION_TIME);
	now->altitude_m = slot_number(slot, COL_ALTITUDE);
	now->accuracy_m = slot_number(slot, COL_ACCURACY);
	now->speed_kmh = slot_number(slot, COL_SPEED);
	now->heading_deg = slot_number(slot, COL_HEADING);
	if (!slot->tts_isnull[COL_SIGNALS])
		now->signals = (Signals *) PG_DETOAST_DATUM_COPY(slot->tts_values[COL_SIGNALS]);
	vs->signal_times = slot_signal_times(slot, now->signals);
	vs->fence_state = slot_bytes(slot, COL_FENCE_STATE);
	vs->rule_state = slot_bytes(slot, COL_RULE_STATE);
	return vs;
}

static void
put(TupleTableSlot *slot, int column, bool isnull, Datum value)
{
	slot->tts_values[column] = value;
	slot->tts_isnull[column] = isnull;
}

static void
put_time(TupleTableSlot *slot, int column, TimestampTz value)
{
	put(slot, column, value == 0, TimestampTzGetDatum(value));
}

static void
put_number(TupleTableSlot *slot, int column, float4 value)
{
	put(slot, column, isnan(value), Float4GetDatum(value));
}

void
state_save(StateStore *store, const VehicleState *vs)
{
	const VehiclePosition *now = &vs->now;
	TupleTableSlot *slot = store->changed;
	ArrayType  *times = NULL;

	ExecClearTuple(slot);
	put(slot, COL_VEHICLE_ID, false, Int64GetDatum(vs->vehicle_id));
	put(slot, COL_TENANT_ID, false, Int32GetDatum(vs->tenant_id));
	put_time(slot, COL_EVENT_TIME, now->event_time);
	put_time(slot, COL_RECEIVED_AT, now->received_at);
	put(slot, COL_LOCATION, !now->has_location, GeopointGetDatum(now->location));
	put_time(slot, COL_LOCATION_TIME, now->location_time);
	put_time(slot, COL_MOTION_TIME, now->motion_time);
	put_number(slot, COL_ALTITUDE, now->altitude_m);
	put_number(slot, COL_ACCURACY, now->accuracy_m);
	put_number(slot, COL_SPEED, now->speed_kmh);
	put_number(slot, COL_HEADING, now->heading_deg);
	put(slot, COL_DUE_AT, TIMESTAMP_IS_NOEND(vs->due_at), TimestampTzGetDatum(vs->due_at));
	put(slot, COL_SIGNALS, now->signals == NULL, PointerGetDatum(now->signals));
	if (vs->signal_times != NULL && now->signals != NULL && now->signals->count > 0)
	{
		Datum	   *elems = palloc(now->signals->count * sizeof(Datum));

		for (int i = 0; i < now->signals->count; i++)
			elems[i] = TimestampTzGetDatum(vs->signal_times[i]);
		times = construct_array(elems, now->signals->count, TIMESTAMPTZOID, 8, true,
								TYPALIGN_DOUBLE);
	}
	put(slot, COL_SIGNAL_TIMES, times == NULL, PointerGetDatum(times));
	put(slot, COL_FENCE_STATE, vs->fence_state == NULL, PointerGetDatum(vs->fence_state));
	put(slot, COL_RULE_STATE, vs->rule_state == NULL, PointerGetDatum(vs->rule_state));
	ExecStoreVirtualTuple(slot);

	store->found->tts_tid = vs->tid;
	ExecSimpleRelationUpdate(store->rri, store->estate, &store->epq, store->found, slot);
	ResetPerTupleExprContext(store->estate);
}
