/*
 * pending.c
 *	  Weak definitions that the watch modules replace as they arrive.
 */
#include "postgres.h"

#include "watch/watch.h"

#define WEAK __attribute__((weak))

WEAK void geofence_watch(VehicleState *vs, const Report *report, WatchResult *out) {}
WEAK void geofence_watch_clock(VehicleState *vs, TimestampTz now, WatchResult *out) {}
WEAK void geofence_pack(VehicleState *vs) {}
WEAK void geofence_store(WatchResult *result) {}
