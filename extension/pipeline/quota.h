/*
 * quota.h
 *	  What a tenant may use of the installation: fleet.quota.
 *
 * Events per second are a token bucket per tenant, in the memory of the
 * backend.  What is beyond it is refused and not stored, and told apart from
 * other defects by being unstored: its sender keeps it and sends it again.
 */
#ifndef FLEET_QUOTA_H
#define FLEET_QUOTA_H

#include "pipeline/report.h"
#include "utils/array.h"

/* Seconds' worth of events that a tenant may have saved up; see docs/quotas.md. */
#define QUOTA_BURST_SECONDS 10
/* The field of over_quota when it is this quota; fleetd knows it by that name. */
#define QUOTA_EVENTS_FIELD "events_per_second"

/* A row of fleet.quota; below 0: unlimited. */
typedef struct Quota
{
	double		events_per_second;
	int32		vehicles;
	int32		alerts_per_day;
	bool		vehicles_full;	/* none can be added, until something is changed */
} Quota;

/* Through SPI. */
extern Quota quota_load(int32 tenant_id);

/* setting fleet.ingest_sessions */
extern int	fleet_ingest_sessions;

/* --- events per second, of the reports of one piece --- */

typedef struct QuotaRun QuotaRun;

/* What was refused of a tenant. */
typedef struct QuotaRefusal
{
	int32		tenant_id;
	int32		source_id;		/* of the first */
	int64		ordinal;		/* of the first */
	int64		count;
} QuotaRefusal;

extern QuotaRun *quota_open(void);
/*
 * In the order of arrival: takes an event from the bucket.  When there is none
 * left the report owes it, since a repeat further on may give one back; when
 * there was none to begin with it is refused, and the answer is false.
 */
extern bool quota_admit(QuotaRun *run, int32 tenant_id, const Quota *quota, Report *report);
/* The report will be stored: if it still owes an event and there is none, it is refused. */
extern bool quota_pay(QuotaRun *run, Report *report);
/* The report is a repeat, and costs nothing. */
extern void quota_give_back(QuotaRun *run, const Report *report);
/* Of the tenants: QuotaRefusal *, none with a count of 0. */
extern List *quota_refusals(const QuotaRun *run);
/* From now on it has been spent. */
extern void quota_close(QuotaRun *run);

/* --- vehicles --- */

/*
 * Which of these identities, in the order of arrival, may be registered with a
 * vehicle of the same name: the first ones, and those whose vehicle exists.
 * NULL: none.  Sorted, distinct.  Through SPI.
 */
extern ArrayType *quota_choose_vehicles(int32 tenant_id, Quota *quota, ArrayType *identities);

/* --- alerts per day (UTC) --- */

/* May one more be raised?  It then counts.  One `now` for all of a statement.  Through SPI. */
extern bool quota_allows_alert(int32 tenant_id, const Quota *quota, TimestampTz now);
/* It was not raised after all. */
extern void quota_return_alert(int32 tenant_id);
/* Has nobody been told today?  Only the first to ask hears true. */
extern bool quota_first_suppressed(int32 tenant_id, TimestampTz now);

/* What was counted since the transaction began may be gone. */
extern void quota_abort(void);

#endif							/* FLEET_QUOTA_H */
