/*
 * state.h
 *	  Stage 3: the last known state of each vehicle, locked for the batch.
 */
#ifndef FLEET_STATE_H
#define FLEET_STATE_H

#include "pipeline/report.h"
#include "storage/itemptr.h"

/* The scalar part of a state. Times are 0 and numbers NaN when never given. */
typedef struct VehiclePosition
{
	TimestampTz event_time;		/* newest report; 0: no report yet */
	TimestampTz received_at;	/* of that report */
	bool		has_location;
	Geopoint	location;		/* last known fix, also when newer reports had none */
	TimestampTz location_time;	/* event time of that fix */
	float4		altitude_m;		/* of that fix */
	float4		accuracy_m;
	TimestampTz motion_time;	/* event time of speed and heading */
	float4		speed_kmh;
	float4		heading_deg;
	Signals    *signals;		/* merged last-known values, NULL: none */
} VehiclePosition;

typedef struct VehicleState
{
	int64		vehicle_id;
	int32		tenant_id;
	const char *vehicle_name;
	const char *vehicle_type;	/* NULL: not given */

	VehiclePosition now;		/* after the report being watched */
	VehiclePosition before;		/* before it; event_time 0: it was the first */
	TimestampTz *signal_times;	/* one per entry of now.signals; NULL: all at
								 * now.event_time */

	/*
	 * What watch/ remembers of this vehicle between reports. Each blob belongs
	 * to its module, starts with a version byte, and is written back with the
	 * state when `changed` or a report moved the state.  The `memory` pointer
	 * is the module's own unpacked form, made on first use in a batch, packed
	 * back into the blob by the module's *_pack function before the state is
	 * saved.
	 */
	bytea	   *fence_state;
	bytea	   *rule_state;
	void	   *fence_memory;
	void	   *rule_memory;

	/*
	 * Earliest time at which the clock must look at this vehicle although no
	 * report came (end of a hold, a dwell or a silence); DT_NOEND: never. Reset
	 * before each watch; modules lower it with state_due().
	 */
	TimestampTz due_at;
	bool		changed;		/* must be written back */

	bool		is_new;			/* made by this batch; nothing was known */
	ItemPointerData tid;		/* private to state.c */
} VehicleState;

static inline void
state_due(VehicleState *vs, TimestampTz at)
{
	if (at < vs->due_at)
		vs->due_at = at;
}

/* --- the table --- */

typedef struct StateStore StateStore;

extern StateStore *state_open(void);
/*
 * The vehicle's state, locked until the transaction ends; made if there was
 * none.  NULL when the vehicle itself is gone.  Call in ascending order of
 * vehicle_id, which keeps two sessions from waiting for each other.
 */
extern VehicleState *state_lock(StateStore *store, int64 vehicle_id,
								const char *vehicle_name, const char *vehicle_type);
/* Writes the row back. */
extern void state_save(StateStore *store, const VehicleState *vs);
extern void state_close(StateStore *store);

/* --- state_merge.c --- */
/*
 * Moves the state by a report.  A report not older than the state becomes
 * `now` and what was there becomes `before`.  A late one only fills in what
 * the state knows from an even older report, so that the state depends on the
 * set of reports and not on the order they came in; `before` stays.
 */
extern void state_apply(VehicleState *vs, const Report *report);

#endif							/* FLEET_STATE_H */
