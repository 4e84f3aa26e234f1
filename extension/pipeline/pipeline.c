/*
 * pipeline.c
 *	  The stages of an event's way, in order, over the reports of a batch:
 *	  registry, contract, state, watch, store, announce.
 *
 * Everything happens in the statement's own transaction: history, state,
 * alerts, quarantine and the check for repeats stand or fall together.
 *
 * Locks are taken in an order that every session keeps: new vehicles and
 * devices by name, then states by vehicle_id, then (for a missing partition)
 * the parent of history.  A statement too large for memory comes in pieces,
 * whose orders follow one another and so break this rule; it therefore keeps
 * other pipelines out until it commits.
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "fleet.h"
#include "pipeline/announce.h"
#include "pipeline/batch.h"
#include "pipeline/contract.h"
#include "pipeline/plan.h"
#include "pipeline/quota.h"
#include "pipeline/registry.h"
#include "pipeline/store.h"
#include "trust/trust.h"

typedef struct Pipeline
{
	Batch	   *batch;
	StateStore *states;
	EventStore *events;
	QuotaRun   *quota;
	WatchResult result;
	List	   *live;			/* of LiveState */
	MemoryContext vehicle_context;	/* what one vehicle's turn needs */
} Pipeline;

/* --- 1, 2: registry and contract --- */

/* Reports come in runs of one tenant. */
static bool
sender_allows(Batch *batch, int32 tenant_id)
{
	if (!batch->tenant_seen || batch->tenant_id != tenant_id)
	{
		batch->tenant_seen = true;
		batch->tenant_id = tenant_id;
		batch->tenant_allowed = trust_allows_ingest(batch->sender, tenant_id);
	}
	return batch->tenant_allowed;
}

static void
identify_and_check(Batch *batch, QuotaRun *quota)
{
	for (int64 i = 0; i < batch->nreports; i++)
	{
		Report	   *r = batch->reports[i];
		const RegistrySource *source = r->source_id != 0 ? registry_source(r->source_id) : NULL;
		const RegistryTenant *tenant = NULL;

		/* a source that is not the sender's to use is as good as none */
		if (source != NULL && sender_allows(batch, source->tenant_id))
			tenant = registry_tenant(source->tenant_id);
		if (tenant == NULL)
		{
			report_reject(r, DEFECT_NOT_PERMITTED, "source_id", NULL);
			continue;
		}
		r->tenant_id = source->tenant_id;
		if (source->revoked || source->expires_at <= batch->now)
			report_reject(r, DEFECT_NOT_PERMITTED, "source_id", NULL);
		/* as early as can be, since what is refused should cost little */
		else if (!quota_admit(quota, r->tenant_id, &tenant->quota, r))
			continue;
		else if (r->device != NULL && !registry_source_brings(source, r->device))
			report_reject(r, DEFECT_NOT_PERMITTED, "device", r->device);
		else
			contract_check(&tenant->contract, r, batch->now);
	}
	/* only what is valid may register a device */
	registry_vehicles(batch->reports, batch->nreports);
}

/* --- 3, 4: state and watch, vehicle by vehicle --- */

/* What reports are ordered by, side by side in memory. */
typedef struct SortKey
{
	int64		vehicle_id;
	TimestampTz event_time;
	int32		digest;			/* signed, as SQL orders it */
	Report	   *report;
} SortKey;

static inline int
compare_keys(const SortKey *x, const SortKey *y)
{
	if (x->vehicle_id != y->vehicle_id)
		return x->vehicle_id < y->vehicle_id ? -1 : 1;
	if (x->event_time != y->event_time)
		return x->event_time < y->event_time ? -1 : 1;
	if (x->digest != y->digest)
		return x->digest < y->digest ? -1 : 1;
	return x->report->ordinal < y->report->ordinal ? -1 : x->report->ordinal > y->report->ordinal;
}

#define ST_SORT sort_keys
#define ST_ELEMENT_TYPE SortKey
#define ST_COMPARE(a, b) compare_keys(a, b)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/* By vehicle, event time, digest and arrival; digests are computed here. */
static void
sort_reports(Report **reports, int64 n)
{
	SortKey    *keys = MemoryContextAllocHuge(CurrentMemoryContext, Max(n, 1) * sizeof(SortKey));

	for (int64 i = 0; i < n; i++)
	{
		Report	   *r = reports[i];

		r->digest = report_digest(r);
		keys[i].vehicle_id = r->vehicle_id;
		keys[i].event_time = r->event_time;
		keys[i].digest = (int32) r->digest;
		keys[i].report = r;
	}
	sort_keys(keys, n);
	for (int64 i = 0; i < n; i++)
		reports[i] = keys[i].report;
	pfree(keys);
}

static bool
same_report(const Report *x, const Report *y)
{
	return x->vehicle_id == y->vehicle_id && x->event_time == y->event_time &&
		x->digest == y->digest;
}

static void
remember_live(Pipeline *p, const VehicleState *vs)
{
	MemoryContext old = MemoryContextSwitchTo(p->result.context);
	LiveState  *live = palloc(sizeof(LiveState));

	live->tenant_id = vs->tenant_id;
	live->vehicle_id = vs->vehicle_id;
	live->vehicle_name = vs->vehicle_name;
	live->event_time = vs->now.event_time;
	live->received_at = vs->now.received_at;
	live->has_location = vs->now.has_location;
	live->location = vs->now.location;
	live->speed_kmh = vs->now.speed_kmh;
	live->heading_deg = vs->now.heading_deg;
	p->live = lappend(p->live, live);
	MemoryContextSwitchTo(old);
}

/* Reports of one vehicle, in the order of sort_reports(). */
static void
run_vehicle(Pipeline *p, Report **reports, int64 n)
{
	const RegistryVehicle *vehicle = reports[0]->vehicle;
	VehicleState *vs;
	TimestampTz known_until;
	bool		was_new;
	bool		watched = false;

	vs = state_lock(p->states, reports[0]->vehicle_id, vehicle->name, vehicle->type);
	if (vs == NULL)
	{
		for (int64 i = 0; i < n; i++)
			report_reject(reports[i], DEFECT_UNKNOWN_DEVICE, "device", reports[i]->device);
		return;
	}

	/* nothing newer than the state is in history, unless the state is new */
	was_new = vs->is_new;
	known_until = was_new ? DT_NOEND : vs->now.event_time;
	for (int64 i = 0; i < n; i++)
	{
		Report	   *r = reports[i];

		/* one that was refused is not stored, so its like is no repeat */
		if ((i > 0 && same_report(reports[i - 1], r) && reports[i - 1]->verdict != VERDICT_REJECTED) ||
			(r->event_time <= known_until && event_store_contains(p->events, r, was_new)))
		{
			r->verdict = VERDICT_REPEATED;
			quota_give_back(p->quota, r);
			continue;
		}
		if (!quota_pay(p->quota, r))
			continue;
		r->verdict = VERDICT_ACCEPTED;
		r->late = !vs->is_new && r->event_time < vs->now.event_time;
		state_apply(vs, r);
		if (r->late)
			continue;
		vs->is_new = false;
		vs->due_at = DT_NOEND;
		geofence_watch(vs, r, &p->result);
		rule_watch(vs, r, &p->result);
		watched = true;
	}

	if (watched)
	{
		geofence_pack(vs);
		rule_pack(vs);
		remember_live(p, vs);
	}
	if (vs->changed)
		state_save(p->states, vs);
}

static void
run_vehicles(Pipeline *p, Report **reports, int64 n)
{
	for (int64 first = 0, last; first < n; first = last)
	{
		MemoryContext old = MemoryContextSwitchTo(p->vehicle_context);

		CHECK_FOR_INTERRUPTS();
		for (last = first + 1; last < n; last++)
			if (reports[last]->vehicle_id != reports[first]->vehicle_id)
				break;
		run_vehicle(p, reports + first, last - first);
		MemoryContextSwitchTo(old);
		MemoryContextReset(p->vehicle_context);
	}
}

/* --- 5: store --- */

/*
 * What was rejected, in two parts: first what goes to quarantine, for which its
 * tenant's quota must still have room, then what is not stored.
 */
static int64
part_rejected(QuotaRun *quota, Report **rejected, int64 n)
{
	int64		nkept = 0;

	for (int64 i = 0; i < n; i++)
	{
		Report	   *r = rejected[i];

		if (r->unstored || !quota_pay(quota, r))
			continue;
		rejected[i] = rejected[nkept];
		rejected[nkept++] = r;
	}
	return nkept;
}

static void
count_outcome(Batch *batch)
{
	for (int64 i = 0; i < batch->nreports; i++)
	{
		const Report *r = batch->reports[i];

		switch (r->verdict)
		{
			case VERDICT_ACCEPTED:
				if (batch->outcome.accepted++ == 0)
					batch->first_event_time = batch->last_event_time = r->event_time;
				batch->first_event_time = Min(batch->first_event_time, r->event_time);
				batch->last_event_time = Max(batch->last_event_time, r->event_time);
				batch->outcome.late += r->late;
				break;
			case VERDICT_REPEATED:
				batch->outcome.repeated++;
				break;
			case VERDICT_REJECTED:
				batch->outcome.rejected++;
				break;
			case VERDICT_PENDING:
				elog(ERROR, "report " INT64_FORMAT " was not decided", r->ordinal);
		}
		if (!batch->source_seen)
		{
			batch->source_id = r->source_id;
			batch->common_tenant_id = r->tenant_id;
		}
		if (batch->source_id != r->source_id)
			batch->source_id = 0;
		if (batch->common_tenant_id != r->tenant_id)
			batch->common_tenant_id = 0;
		batch->source_seen = true;
	}
}

/* One row for the statement: made by its first piece, updated by later ones. */
static void
store_batch(Batch *batch, bool first)
{
	static SPIPlanPtr insert_plan = NULL;
	static SPIPlanPtr update_plan = NULL;
	const BatchOutcome *o = &batch->outcome;
	Oid			types[10] = {INT8OID, INT4OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID,
		TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID};
	Datum		args[10] = {
		Int64GetDatum(o->batch_id), Int32GetDatum(batch->source_id),
		/* of the pieces so far */
		Int64GetDatum(o->accepted + o->repeated + o->rejected),
		Int64GetDatum(o->accepted), Int64GetDatum(o->repeated), Int64GetDatum(o->late),
		Int64GetDatum(o->rejected),
		TimestampTzGetDatum(batch->first_event_time), TimestampTzGetDatum(batch->last_event_time),
		Int32GetDatum(batch->common_tenant_id)
	};
	char		nulls[] = "          ";

	if (batch->source_id == 0)
		nulls[1] = 'n';
	if (o->accepted == 0)
		nulls[7] = nulls[8] = 'n';
	if (batch->common_tenant_id == 0)
		nulls[9] = 'n';
	if (first)
		plan_execute_nulls(&insert_plan,
						   "INSERT INTO fleet.batch (batch_id, source_id, received, accepted,"
						   " repeated, late, rejected, first_event_time, last_event_time, tenant_id)"
						   " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
						   10, types, args, nulls);
	else
		plan_execute_nulls(&update_plan,
						   "UPDATE fleet.batch SET source_id = $2, received = $3, accepted = $4,"
						   " repeated = $5, late = $6, rejected = $7, first_event_time = $8,"
						   " last_event_time = $9, tenant_id = $10 WHERE batch_id = $1",
						   10, types, args, nulls);
}

/* Gathers the reports of one verdict, in their present order. */
static Report **
select_reports(Batch *batch, Verdict verdict, int64 *n)
{
	Report	  **selected = MemoryContextAllocHuge(CurrentMemoryContext,
												  Max(batch->nreports, 1) * sizeof(Report *));

	*n = 0;
	for (int64 i = 0; i < batch->nreports; i++)
		if (batch->reports[i]->verdict == verdict)
			selected[(*n)++] = batch->reports[i];
	return selected;
}

void
pipeline_run(Batch *batch)
{
	Pipeline	p = {0};
	OwnerGuard	guard;
	MemoryContext old = MemoryContextSwitchTo(batch->piece);
	bool		first = batch->outcome.batch_id == 0;
	bool		nested = false;
	Report	  **pending,
			  **rejected;
	int64		npending,
				nrejected,
				nkept;

	for (Batch *b = batch->outer; b != NULL; b = b->outer)
		nested |= b->running;

	SPI_connect();
	MemoryContextSwitchTo(batch->piece);
	owner_begin(&guard);
	LockRelationOid(fleet_relation_oid("vehicle_state"),
					batch->exclusive ? ShareRowExclusiveLock : RowExclusiveLock);
	registry_begin(nested);

	p.batch = batch;
	p.result.context = batch->piece;
	p.vehicle_context = AllocSetContextCreate(batch->piece, "fleet vehicle",
											  ALLOCSET_DEFAULT_SIZES);

	p.quota = quota_open();
	identify_and_check(batch, p.quota);

	pending = select_reports(batch, VERDICT_PENDING, &npending);
	sort_reports(pending, npending);
	p.events = event_store_open();
	p.states = state_open();
	run_vehicles(&p, pending, npending);
	state_close(p.states);

	if (first)
		batch->outcome.batch_id = next_identity("batch", "batch_id");
	count_outcome(batch);
	rejected = select_reports(batch, VERDICT_REJECTED, &nrejected);
	nkept = part_rejected(p.quota, rejected, nrejected);
	for (int64 i = 0; i < nkept; i++)
		contract_withhold(rejected[i]);
	{
		/* still in vehicle and time order, which the index likes */
		int64		naccepted = 0;

		for (int64 i = 0; i < npending; i++)
			if (pending[i]->verdict == VERDICT_ACCEPTED)
				pending[naccepted++] = pending[i];
		event_store_write(p.events, pending, naccepted, batch->outcome.batch_id);
	}
	event_store_close(p.events);
	geofence_store(&p.result);
	alert_store(&p.result, batch->outcome.batch_id);
	quarantine_write(rejected, nkept, batch->outcome.batch_id);
	quarantine_write_refusals(quota_refusals(p.quota), batch->outcome.batch_id, batch->now);
	store_batch(batch, first);

	announce(batch->outcome.batch_id, p.live, &p.result, rejected, nrejected);
	quota_close(p.quota);

	/* the next piece must see what this one wrote */
	CommandCounterIncrement();
	owner_end(&guard);
	SPI_finish();
	MemoryContextSwitchTo(old);
}
