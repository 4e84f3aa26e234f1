/*
 * fence_index.h
 *	  An index in memory that finds all areas that cover a point.
 *
 * Knows geometry only; what a fence means is geofence.c's business.  A shape is
 * named by its slot, its position in the array that the index was built from.
 */
#ifndef FLEET_FENCE_INDEX_H
#define FLEET_FENCE_INDEX_H

#include "postgres.h"

#include "types/geopoint.h"
#include "watch/fence_shape.h"

typedef struct FenceIndex FenceIndex;

/* The array is kept, not copied.  Allocated in CurrentMemoryContext. */
extern FenceIndex *fence_index_build(FenceShape **shapes, int nshapes);
/*
 * Slots of all shapes that cover the point, in no order, each once; `slots` has
 * room for all shapes.  Returns their number.
 */
extern int	fence_index_covering(const FenceIndex *index, Geopoint point, int32 *slots);
/*
 * Slots of shapes whose border the line from a to b may touch: all of those
 * that it does touch, few others, each once.
 */
extern int	fence_index_crossing(FenceIndex *index, Geopoint a, Geopoint b, int32 *slots);

#endif							/* FLEET_FENCE_INDEX_H */
