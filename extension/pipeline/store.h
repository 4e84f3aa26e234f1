/*
 * store.h
 *	  Stage 5: history and quarantine.
 */
#ifndef FLEET_STORE_H
#define FLEET_STORE_H

#include "nodes/pg_list.h"
#include "pipeline/report.h"

typedef struct EventStore EventStore;

extern EventStore *event_store_open(void);
/*
 * Is this very report in history already? The vehicle's state must be locked;
 * new_state: it has just been made, so there may be no history at all.
 */
extern bool event_store_contains(EventStore *store, const Report *report, bool new_state);
/* Writes accepted reports; makes missing partitions. */
extern void event_store_write(EventStore *store, Report **reports, int64 n, int64 batch_id);
extern void event_store_close(EventStore *store);

/* Hash of what a report says, whoever sent it and whenever it arrived. */
extern uint32 report_digest(const Report *report);

/* --- quarantine.c --- */
extern void quarantine_write(Report **reports, int64 n, int64 batch_id);
/* One row for each QuotaRefusal *: what is beyond a quota would cost as much as what is within. */
extern void quarantine_write_refusals(List *refusals, int64 batch_id, TimestampTz now);

/* Next value of the identity sequence of a column, e.g. ("batch", "batch_id"). */
extern int64 next_identity(const char *table, const char *column);

#endif							/* FLEET_STORE_H */
