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
	float4		altitude_m;
	float4		accuracy_m;
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

	ItemPointerData tid;		/* private to state.c, as is the rest */
	bool		is_new;
} VehicleState;

static inline void
state_due(VehicleState *vs, TimestampTz at)
{
	if (at < vs->due_at)
		vs->due_at = at;
}

#endif							/* FLEET_STATE_H */
