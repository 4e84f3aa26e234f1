/*
 * quota.c
 *	  Quotas of tenants: a bucket of events, numbers of rows, alerts of a day.
 *
 * A tenant without a row in fleet.quota pays nothing for any of this.
 *
 * Numbers of rows are kept by a trigger after each statement that adds some: it
 * locks the tenant's quota, counts what is committed or ours, and refuses.  Who
 * adds rows at the same time waits for the lock, and then counts ours too.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "fleet.h"
#include "pipeline/contract.h"
#include "pipeline/plan.h"
#include "pipeline/quota.h"

/* How long a count of alerts is believed; other sessions raise some meanwhile. */
#define ALERTS_COUNTED_S 5

int			fleet_ingest_sessions = 1;

PG_FUNCTION_INFO_V1(quota_check);

static HTAB *
tenant_table(const char *name, Size entrysize, MemoryContext context)
{
	HASHCTL		ctl = {0};

	ctl.keysize = sizeof(int32);
	ctl.entrysize = entrysize;
	ctl.hcxt = context;
	return hash_create(name, 16, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

Quota
quota_load(int32 tenant_id)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[1] = {INT4OID};
	Datum		args[1] = {Int32GetDatum(tenant_id)};
	Quota		quota = {-1, -1, -1, false};
	SPITupleTable *result;
	bool		isnull;

	result = plan_select(&plan,
						 "SELECT coalesce(events_per_second, -1), coalesce(vehicles, -1), coalesce(alerts_per_day, -1)"
						 " FROM fleet.quota WHERE tenant_id = $1", 1, types, args);
	if (result->numvals == 0)
		return quota;
	quota.events_per_second = DatumGetFloat4(SPI_getbinval(result->vals[0], result->tupdesc, 1, &isnull));
	quota.vehicles = DatumGetInt32(SPI_getbinval(result->vals[0], result->tupdesc, 2, &isnull));
	quota.alerts_per_day = DatumGetInt32(SPI_getbinval(result->vals[0], result->tupdesc, 3, &isnull));
	return quota;
}

/* --- events per second --- */

typedef struct Bucket
{
	int32		tenant_id;
	double		events;			/* that may be stored now */
	TimestampTz filled_at;
} Bucket;

/* A bucket as this run sees it: nothing is spent before it ends well. */
typedef struct Account
{
	int32		tenant_id;
	bool		empty;			/* from the start */
	double		left;
	int64		spent;
	QuotaRefusal refusal;
} Account;

struct QuotaRun
{
	MemoryContext context;
	TimestampTz now;
	HTAB	   *accounts;		/* NULL: no tenant has this quota */
	Account    *recent;			/* reports come in runs of one tenant */
};

static HTAB *buckets = NULL;

QuotaRun *
quota_open(void)
{
	QuotaRun   *run = palloc0(sizeof(QuotaRun));

	run->context = CurrentMemoryContext;
	run->now = GetCurrentTimestamp();
	return run;
}

/* What has come in since it was last looked at. */
static Bucket *
bucket_fill(int32 tenant_id, double per_second, TimestampTz now)
{
	double		rate = per_second / fleet_ingest_sessions;
	double		capacity = per_second > 0 ? Max(rate * QUOTA_BURST_SECONDS, 1) : 0;
	Bucket	   *bucket;
	bool		found;

	if (buckets == NULL)
		buckets = tenant_table("fleet quotas of events", sizeof(Bucket), TopMemoryContext);
	bucket = hash_search(buckets, &tenant_id, HASH_ENTER, &found);
	if (!found)
		bucket->events = capacity;
	/* a clock that was put back gives nothing */
	else if (now > bucket->filled_at)
		bucket->events += (double) (now - bucket->filled_at) / USECS_PER_SEC * rate;
	bucket->events = Min(bucket->events, capacity);
	bucket->filled_at = now;
	return bucket;
}

static Account *
account_find(QuotaRun *run, int32 tenant_id)
{
	if (run->recent == NULL || run->recent->tenant_id != tenant_id)
		run->recent = hash_search(run->accounts, &tenant_id, HASH_FIND, NULL);
	return run->recent;
}

static Account *
account_open(QuotaRun *run, int32 tenant_id, const Quota *quota)
{
	Account    *account;

	if (run->accounts == NULL)
		run->accounts = tenant_table("fleet quotas of a batch", sizeof(Account), run->context);
	account = account_find(run, tenant_id);
	if (account == NULL)
	{
		account = hash_search(run->accounts, &tenant_id, HASH_ENTER, NULL);
		account->left = bucket_fill(tenant_id, quota->events_per_second, run->now)->events;
		account->empty = account->left < 1;
		account->spent = 0;
		memset(&account->refusal, 0, sizeof(account->refusal));
		run->recent = account;
	}
	return account;
}

static bool
account_take(Account *account, Report *report)
{
	if (account->left < 1)
		return false;
	account->left -= 1;
	account->spent++;
	report->quota = REPORT_PAID;
	return true;
}

static bool
refuse(Account *account, Report *report)
{
	QuotaRefusal *refusal = &account->refusal;

	report_reject(report, DEFECT_OVER_QUOTA, QUOTA_EVENTS_FIELD, NULL);
	report->unstored = true;
	if (refusal->count++ == 0)
	{
		refusal->tenant_id = account->tenant_id;
		refusal->source_id = report->source_id;
		refusal->ordinal = report->ordinal;
	}
	return false;
}

bool
quota_admit(QuotaRun *run, int32 tenant_id, const Quota *quota, Report *report)
{
	Account    *account;

	if (quota->events_per_second < 0)
		return true;
	account = account_open(run, tenant_id, quota);
	if (account->empty)
		return refuse(account, report);
	if (!account_take(account, report))
		report->quota = REPORT_OWES;
	return true;
}

bool
quota_pay(QuotaRun *run, Report *report)
{
	Account    *account;

	if (report->quota != REPORT_OWES)
		return true;
	account = account_find(run, report->tenant_id);
	return account_take(account, report) || refuse(account, report);
}

void
quota_give_back(QuotaRun *run, const Report *report)
{
	Account    *account;

	if (report->quota != REPORT_PAID)
		return;
	account = account_find(run, report->tenant_id);
	account->left += 1;
	account->spent--;
}

List *
quota_refusals(const QuotaRun *run)
{
	List	   *refusals = NIL;
	HASH_SEQ_STATUS status;
	Account    *account;

	if (run->accounts == NULL)
		return NIL;
	hash_seq_init(&status, run->accounts);
	while ((account = hash_seq_search(&status)) != NULL)
		if (account->refusal.count > 0)
			refusals = lappend(refusals, &account->refusal);
	return refusals;
}

void
quota_close(QuotaRun *run)
{
	HASH_SEQ_STATUS status;
	Account    *account;

	if (run->accounts == NULL)
		return;
	hash_seq_init(&status, run->accounts);
	while ((account = hash_seq_search(&status)) != NULL)
	{
		Bucket	   *bucket = hash_search(buckets, &account->tenant_id, HASH_FIND, NULL);

		bucket->events -= account->spent;
	}
}

/* --- numbers of rows --- */

typedef struct CountedKind
{
	const char *name;			/* column of fleet.quota, argument of the trigger */
	const char *lock;
	const char *count;
	SPIPlanPtr	lock_plan;
	SPIPlanPtr	count_plan;
} CountedKind;

static CountedKind kinds[] = {
	{"vehicles",
		"SELECT vehicles FROM fleet.quota WHERE tenant_id = $1 AND vehicles IS NOT NULL FOR NO KEY UPDATE",
	"SELECT pg_catalog.count(*) FROM fleet.vehicle WHERE tenant_id = $1"},
	{"rules",
		"SELECT rules FROM fleet.quota WHERE tenant_id = $1 AND rules IS NOT NULL FOR NO KEY UPDATE",
	"SELECT pg_catalog.count(*) FROM fleet.rule WHERE tenant_id = $1"},
	{"geofences",
		"SELECT geofences FROM fleet.quota WHERE tenant_id = $1 AND geofences IS NOT NULL FOR NO KEY UPDATE",
	"SELECT pg_catalog.count(*) FROM fleet.geofence WHERE tenant_id = $1"}
};

#define KIND_VEHICLES (&kinds[0])

/*
 * The only number that a query about a tenant returns, -1 without a row.  It
 * sees what is committed now, whatever the isolation level of the transaction:
 * a snapshot of before would not have what others have added since.
 */
static int64
select_number(SPIPlanPtr *plan, const char *sql, int32 tenant_id, Oid type)
{
	Datum		args[1] = {Int32GetDatum(tenant_id)};
	Oid			types[1] = {INT4OID};
	Snapshot	snapshot;
	int64		number = -1;
	int			rc;

	if (*plan == NULL)
	{
		*plan = SPI_prepare(sql, 1, types);
		if (*plan == NULL)
			elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
		SPI_keepplan(*plan);
	}
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	rc = SPI_execute_snapshot(*plan, args, NULL, snapshot, InvalidSnapshot, false, false, 0);
	UnregisterSnapshot(snapshot);
	if (rc != SPI_OK_SELECT)
		elog(ERROR, "could not read a quota: %s", SPI_result_code_string(rc));
	if (SPI_processed == 1)
	{
		bool		isnull;
		Datum		d = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);

		number = type == INT8OID ? DatumGetInt64(d) : DatumGetInt32(d);
	}
	SPI_freetuptable(SPI_tuptable);
	return number;
}

/* Rows that a statement has added, by tenant. */
typedef struct Added
{
	int32		tenant_id;
	int64		count;
} Added;

static int
compare_added(const void *a, const void *b)
{
	int32		x = ((const Added *) a)->tenant_id;
	int32		y = ((const Added *) b)->tenant_id;

	return (x > y) - (x < y);
}

static void
check_tenant(CountedKind *kind, const Added *added)
{
	int64		limit = select_number(&kind->lock_plan, kind->lock, added->tenant_id, INT4OID);
	int64		used;

	if (limit < 0)
		return;
	used = select_number(&kind->count_plan, kind->count, added->tenant_id, INT8OID);
	if (used > limit)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("tenant %d has no more %s in its quota", added->tenant_id, kind->name),
				 errdetail("The quota is " INT64_FORMAT ", in use are " INT64_FORMAT ", to be added " INT64_FORMAT ".",
						   limit, used - added->count, added->count),
				 errhint("Delete what is no longer needed, or have the quota raised in fleet.quota.")));
}

static void
add_row(HTAB *tenants, Datum tenant_id)
{
	int32		key = DatumGetInt32(tenant_id);
	bool		found;
	Added	   *added = hash_search(tenants, &key, HASH_ENTER, &found);

	if (!found)
		added->count = 0;
	added->count++;
}

/* The new rows of a statement, or the one row that changed its tenant. */
static void
count_rows(HTAB *tenants, TriggerData *trigdata)
{
	TupleDesc	desc = RelationGetDescr(trigdata->tg_relation);
	AttrNumber	column = get_attnum(RelationGetRelid(trigdata->tg_relation), "tenant_id");
	TupleTableSlot *slot;
	bool		isnull;

	if (TRIGGER_FIRED_FOR_ROW(trigdata->tg_event))
	{
		add_row(tenants, slot_getattr(trigdata->tg_newslot, column, &isnull));
		return;
	}
	slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	/* a pointer of our own, since other triggers read the same rows */
	tuplestore_select_read_pointer(trigdata->tg_newtable,
								   tuplestore_alloc_read_pointer(trigdata->tg_newtable, EXEC_FLAG_REWIND));
	tuplestore_rescan(trigdata->tg_newtable);
	while (tuplestore_gettupleslot(trigdata->tg_newtable, true, false, slot))
		add_row(tenants, slot_getattr(slot, column, &isnull));
	ExecDropSingleTupleTableSlot(slot);
}

/*
 * quota_check() returns trigger
 *	  AFTER INSERT ... REFERENCING NEW TABLE ... FOR EACH STATEMENT, and AFTER
 *	  UPDATE OF tenant_id FOR EACH ROW; the argument says what is counted.
 */
Datum
quota_check(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	CountedKind *kind = NULL;
	HTAB	   *tenants;
	HASH_SEQ_STATUS status;
	Added	   *entry;
	Added	   *sorted;
	int			n = 0;
	OwnerGuard	guard;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigdata->tg_event) ||
		trigdata->tg_trigger->tgnargs != 1 ||
		!((TRIGGER_FIRED_BY_INSERT(trigdata->tg_event) && TRIGGER_FIRED_FOR_STATEMENT(trigdata->tg_event) &&
		   trigdata->tg_newtable != NULL) ||
		  (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) && TRIGGER_FIRED_FOR_ROW(trigdata->tg_event))))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" serves the triggers of fleet only", "quota_check")));
	for (int i = 0; i < lengthof(kinds); i++)
		if (strcmp(kinds[i].name, trigdata->tg_trigger->tgargs[0]) == 0)
			kind = &kinds[i];
	if (kind == NULL)
		elog(ERROR, "unrecognized quota \"%s\"", trigdata->tg_trigger->tgargs[0]);

	/* what a dump brings was within its quotas, or is there all the same */
	if (!row_security && superuser())
		PG_RETURN_POINTER(NULL);

	tenants = tenant_table("fleet rows added", sizeof(Added), CurrentMemoryContext);
	count_rows(tenants, trigdata);
	sorted = palloc(Max(hash_get_num_entries(tenants), 1) * sizeof(Added));
	hash_seq_init(&status, tenants);
	while ((entry = hash_seq_search(&status)) != NULL)
		sorted[n++] = *entry;
	/* in order, so that two who add to several tenants do not wait in a circle */
	qsort(sorted, n, sizeof(Added), compare_added);

	SPI_connect();
	owner_begin(&guard);
	for (int i = 0; i < n; i++)
		check_tenant(kind, &sorted[i]);
	owner_end(&guard);
	SPI_finish();
	PG_RETURN_POINTER(NULL);
}

ArrayType *
quota_choose_vehicles(int32 tenant_id, Quota *quota, ArrayType *identities)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[3] = {INT4OID, TEXTARRAYOID, INT8OID};
	Datum		args[3] = {Int32GetDatum(tenant_id), PointerGetDatum(identities), Int64GetDatum(0)};
	SPITupleTable *result;
	bool		isnull;
	Datum		d;

	if (!quota->vehicles_full)
	{
		int64		room = quota->vehicles -
			select_number(&KIND_VEHICLES->count_plan, KIND_VEHICLES->count, tenant_id, INT8OID);

		quota->vehicles_full = room <= 0;
		args[2] = Int64GetDatum(Max(room, 0));
	}
	result = plan_select(&plan,
						 "SELECT pg_catalog.array_agg(i ORDER BY i COLLATE \"C\") FROM"
						 " (SELECT i, is_new, pg_catalog.row_number() OVER (PARTITION BY is_new ORDER BY n) AS place FROM"
						 " (SELECT u.i, pg_catalog.min(u.n) AS n, pg_catalog.bool_and(v.vehicle_id IS NULL) AS is_new"
						 " FROM pg_catalog.unnest($2) WITH ORDINALITY AS u (i, n)"
						 " LEFT JOIN fleet.vehicle v ON v.tenant_id = $1 AND v.name = u.i GROUP BY u.i) c) p"
						 " WHERE NOT is_new OR place <= $3", 3, types, args);
	d = SPI_getbinval(result->vals[0], result->tupdesc, 1, &isnull);
	return isnull ? NULL : DatumGetArrayTypePCopy(d);
}

/* --- alerts per day --- */

typedef struct AlertCount
{
	int32		tenant_id;
	bool		known;			/* used is of day */
	bool		told;			/* likewise */
	int64		day;			/* UTC, since 2000-01-01 */
	int64		used;
	TimestampTz counted_at;
} AlertCount;

static HTAB *alert_counts = NULL;

static AlertCount *
alert_count(int32 tenant_id, int64 day)
{
	AlertCount *count;
	bool		found;

	if (alert_counts == NULL)
		alert_counts = tenant_table("fleet quotas of alerts", sizeof(AlertCount), TopMemoryContext);
	count = hash_search(alert_counts, &tenant_id, HASH_ENTER, &found);
	if (!found || count->day != day)
	{
		count->day = day;
		count->known = count->told = false;
		count->used = 0;
	}
	return count;
}

static int64
day_of(TimestampTz now)
{
	return now >= 0 ? now / USECS_PER_DAY : -1 - (-1 - now) / USECS_PER_DAY;
}

/* From the table; what this transaction has raised is among it. */
static void
count_alerts(AlertCount *count, TimestampTz now)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[2] = {INT4OID, TIMESTAMPTZOID};
	Datum		args[2] = {Int32GetDatum(count->tenant_id), TimestampTzGetDatum(count->day * USECS_PER_DAY)};
	SPITupleTable *result;
	bool		isnull;

	result = plan_select(&plan,
						 "SELECT pg_catalog.count(*) FROM fleet.alert"
						 " WHERE tenant_id = $1 AND raised_at >= $2 AND kind <> 'quota'", 2, types, args);
	count->used = DatumGetInt64(SPI_getbinval(result->vals[0], result->tupdesc, 1, &isnull));
	count->counted_at = now;
	count->known = true;
}

bool
quota_allows_alert(int32 tenant_id, const Quota *quota, TimestampTz now)
{
	AlertCount *count;

	if (quota->alerts_per_day < 0)
		return true;
	count = alert_count(tenant_id, day_of(now));
	if (!count->known || now - count->counted_at > ALERTS_COUNTED_S * USECS_PER_SEC || now < count->counted_at)
		count_alerts(count, now);
	if (count->used >= quota->alerts_per_day)
		return false;
	count->used++;
	return true;
}

void
quota_return_alert(int32 tenant_id)
{
	AlertCount *count = alert_counts ? hash_search(alert_counts, &tenant_id, HASH_FIND, NULL) : NULL;

	if (count != NULL && count->used > 0)
		count->used--;
}

bool
quota_first_suppressed(int32 tenant_id, TimestampTz now)
{
	AlertCount *count = alert_count(tenant_id, day_of(now));
	bool		first = !count->told;

	count->told = true;
	return first;
}

void
quota_abort(void)
{
	HASH_SEQ_STATUS status;
	AlertCount *count;

	if (alert_counts == NULL)
		return;
	hash_seq_init(&status, alert_counts);
	while ((count = hash_seq_search(&status)) != NULL)
		count->known = count->told = false;
}
