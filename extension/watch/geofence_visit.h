/*
 * geofence_visit.h
 *	  What geofence.c leaves to the writer of visits; watch.h has geofence_store.
 */
#ifndef FLEET_GEOFENCE_VISIT_H
#define FLEET_GEOFENCE_VISIT_H

#include "postgres.h"

/* A fence is gone, but a vehicle was in it: geofence_store closes what is open. */
extern void geofence_visit_gone(int32 geofence_id);

#endif							/* FLEET_GEOFENCE_VISIT_H */
