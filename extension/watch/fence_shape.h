/*
 * fence_shape.h
 *	  An area in memory: exact containment of a point, nearness to its border.
 */
#ifndef FLEET_FENCE_SHAPE_H
#define FLEET_FENCE_SHAPE_H

#include "postgres.h"

#include "types/geopoint.h"

typedef struct FenceShape FenceShape;

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

#endif							/* FLEET_FENCE_SHAPE_H */
