/*
 * fence_index.h
 *	  Areas in memory: exact containment of a point in one, and an index that
 *	  finds all areas that cover a point.
 *
 * Knows geometry only; what a fence means is geofence.c's business.  A shape is
 * named by its slot, its position in the array that the index was built from.
 */
#ifndef FLEET_FENCE_INDEX_H
#define FLEET_FENCE_INDEX_H

#include "postgres.h"

#include "types/geopoint.h"

typedef struct FenceShape FenceShape;
typedef struct FenceIndex FenceIndex;

/*
 * A shape from the WKB (two dimensions, either byte order) of a Polygon or
 * MultiPolygon; allocated in CurrentMemoryContext.
 */
extern FenceShape *fence_shape_from_wkb(const uint8 *wkb, Size len);

/* Same answer as ST_Covers(shape, point::geometry). */
extern bool fence_shape_covers(const FenceShape *shape, Geopoint point);
/* Is the border at most so many metres away?  Works from either side of it. */
extern bool fence_shape_border_within(const FenceShape *shape, Geopoint point, double metres);
/* Does the straight line (in degrees) between the points touch the border? */
extern bool fence_shape_border_crossed(const FenceShape *shape, Geopoint a, Geopoint b);

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
