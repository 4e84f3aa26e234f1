/*
 * geofence_memory.h
 *	  What geofence.c remembers of a vehicle: one entry per fence that it is in,
 *	  is about to enter, or has an alert open on.
 */
#ifndef FLEET_GEOFENCE_MEMORY_H
#define FLEET_GEOFENCE_MEMORY_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "types/geopoint.h"
#include "watch/geofence_set.h"

#define FENCE_ALERTS_ALL (ON_ENTER | ON_EXIT | ON_DWELL | ON_CROSS | ON_SPEED)
#define FENCE_MEMORY_MAX PG_UINT16_MAX	/* fence_state counts them in two bytes */

typedef struct FenceEntry
{
	int32		geofence_id;
	int32		slot;			/* in the set of FenceMemory.generation */
	uint16		revision;		/* of the fence, when the entry was made */
	uint16		pending;		/* fixes in a row that want another state */
	bool		pending_inside; /* which */
	bool		inside;
	bool		dwelled;		/* the dwell of this visit has been told */
	uint8		alerts;			/* open ones, ON_* */
	TimestampTz entered_at;		/* when inside */
	TimestampTz pending_at;		/* the first fix of that row */
	Geopoint	pending_location;
} FenceEntry;

typedef struct FenceMemory
{
	MemoryContext context;		/* the one that the vehicle's state lives in */
	uint64		generation;		/* of the set that the slots belong to */
	int32		vehicle_type;	/* index in that set, -1: not one of its */
	bool		changed;		/* fence_state no longer says the same */
	int32		nentries;
	int32		room;
	FenceEntry *entries;
} FenceMemory;

/* An entry at the end, zeroed.  Moves the entries when there is no room. */
extern FenceEntry *fence_memory_add(FenceMemory *memory);
/* The last entry takes the place of entry i. */
extern void fence_memory_remove(FenceMemory *memory, int i);
/* False when it is of another version or makes no sense; memory is then in bits. */
extern bool fence_memory_unpack(FenceMemory *memory, const bytea *state);

#endif							/* FLEET_GEOFENCE_MEMORY_H */
