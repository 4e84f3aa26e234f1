/*
 * watch.h
 *	  Stage 4: what the pipeline and the clock call, and what comes out.
 *
 * Both run with the vehicle's state locked.  Reports come in event-time order
 * per vehicle and are never late ones.  Everything found is appended to a
 * WatchResult; nothing is written to tables before stage 5.
 */
#ifndef FLEET_WATCH_H
#define FLEET_WATCH_H

#include "nodes/pg_list.h"
#include "pipeline/state.h"

typedef enum AlertKind
{
	ALERT_RULE,					/* a rule's condition */
	ALERT_SILENCE,				/* a rule's silence */
	ALERT_FENCE_ENTER,
	ALERT_FENCE_EXIT,
	ALERT_FENCE_DWELL,
	ALERT_FENCE_CROSS,
	ALERT_FENCE_SPEED,
	ALERT_QUOTA					/* the tenant has had its alerts of the day */
} AlertKind;

/* Text form, as in fleet.alert.kind: rule, silence, enter, exit, dwell, cross, speed, quota. */
extern const char *alert_kind_name(AlertKind kind);

typedef struct AlertChange
{
	bool		raised;			/* false: cleared */
	AlertKind	kind;
	int32		rule_id;		/* 0 for a fence's */
	int32		geofence_id;	/* 0 for a rule's */
	const char *name;			/* the rule's or fence's */
	const char *severity;		/* info, warning, critical */
	const char *message;		/* or NULL */
	int32		tenant_id;
	int64		vehicle_id;
	const char *vehicle_name;
	TimestampTz event_time;		/* of the event that raised or cleared it */
	bool		has_location;
	Geopoint	location;
	char	   *values;			/* JSON object: what made it fire; NULL when cleared */
	int64		alert_id;		/* set by alert_store() */
} AlertChange;

typedef enum FenceTransitionKind
{
	FENCE_ENTER, FENCE_EXIT, FENCE_DWELL, FENCE_CROSS
} FenceTransitionKind;

typedef struct FenceTransition
{
	FenceTransitionKind kind;
	int32		geofence_id;
	const char *name;
	int32		tenant_id;
	int64		vehicle_id;
	const char *vehicle_name;
	TimestampTz event_time;
	bool		has_location;
	Geopoint	location;
	TimestampTz entered_at;		/* exit, dwell: when the visit began */
} FenceTransition;

typedef struct WatchResult
{
	MemoryContext context;		/* what is appended lives here */
	List	   *alerts;			/* of AlertChange *, in order */
	List	   *transitions;	/* of FenceTransition *, in order */
} WatchResult;

/* --- geofence.c --- */
extern void geofence_watch(VehicleState *vs, const Report *report, WatchResult *out);
extern void geofence_watch_clock(VehicleState *vs, TimestampTz now, WatchResult *out);

/* --- geofence_memory.c --- */
extern void geofence_pack(VehicleState *vs);	/* fence_memory -> fence_state */

/* --- geofence_visit.c --- */
/* Writes fleet.geofence_visit from the transitions; called in stage 5 through SPI. */
extern void geofence_store(WatchResult *result);

/* --- rule.c --- */
extern void rule_watch(VehicleState *vs, const Report *report, WatchResult *out);
extern void rule_watch_clock(VehicleState *vs, TimestampTz now, WatchResult *out);

/* --- rule_memory.c --- */
extern void rule_pack(VehicleState *vs);	/* rule_memory -> rule_state */

/* --- alert.c --- */
/* Writes fleet.alert through SPI (raised: insert, sets alert_id; cleared: update). */
extern void alert_store(WatchResult *result, int64 batch_id);

#endif							/* FLEET_WATCH_H */
