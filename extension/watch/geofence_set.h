/*
 * geofence_set.h
 *	  A tenant's enabled geofences in memory.
 */
#ifndef FLEET_GEOFENCE_SET_H
#define FLEET_GEOFENCE_SET_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "watch/fence_index.h"

typedef enum GeofenceKind
{
	GEOFENCE_ZONE,
	GEOFENCE_KEEP_IN,
	GEOFENCE_KEEP_OUT
} GeofenceKind;

/* What a fence raises alerts on, and which of its alerts are open. */
#define ON_ENTER 0x01
#define ON_EXIT 0x02
#define ON_DWELL 0x04
#define ON_CROSS 0x08
#define ON_SPEED 0x10

typedef struct Geofence
{
	int32		geofence_id;
	uint16		revision;		/* counts what ended all visits, modulo 65536 */
	GeofenceKind kind;
	uint8		alert_on;
	int32		min_fixes;		/* at least 1 */
	double		hysteresis_m;
	int64		dwell;			/* microseconds; 0: none */
	double		speed_limit_kmh;	/* NaN: none */
	TimestampTz valid_from;		/* DT_NOBEGIN, DT_NOEND when open */
	TimestampTz valid_to;
	int32		vehicle_type;	/* index into vehicle_types; -1: all vehicles */
	const char *name;
	const char *severity;
	const char *message;		/* or NULL */
	FenceShape *shape;
} Geofence;

typedef struct GeofenceSet
{
	int32		tenant_id;
	uint64		generation;		/* another one: slots mean something else */
	bool		stale;
	MemoryContext context;
	int32		nfences;
	Geofence   *fences;			/* by slot, in the order of geofence_id */
	FenceIndex *index;
	int32		nvehicle_types;
	const char **vehicle_types; /* those that fences are limited to */
	int32		nkeep_in;
	int32	   *keep_in;		/* slots of those keep_in fences that alert on exit */

	/* Room for the caller, one element per slot. */
	int32	   *hits;
	uint64	   *mark;			/* starts as zeros */
	uint64		marks;			/* last value used in it */
} GeofenceSet;

/*
 * The current fences of a tenant.  The pointer and what it holds are good until
 * the next call of this function: it is rebuilt there, and only there, after
 * the table has changed.
 */
extern GeofenceSet *geofence_set(int32 tenant_id);
/* -1 when the fence is gone or disabled */
extern int32 geofence_set_slot(const GeofenceSet *set, int32 geofence_id);
/* -1 when no fence is limited to that type (NULL: a vehicle without one) */
extern int32 geofence_set_vehicle_type(const GeofenceSet *set, const char *vehicle_type);

#endif							/* FLEET_GEOFENCE_SET_H */
