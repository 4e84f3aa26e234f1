/*
 * fence_private.h
 *	  What fence_shape.c, fence_build.c and fence_index.c share: shapes and the
 *	  index as they lie in memory, and the arithmetic of cells.
 */
#ifndef FLEET_FENCE_PRIVATE_H
#define FLEET_FENCE_PRIVATE_H

#include "postgres.h"

#include <math.h>

#include "watch/fence_index.h"
#include "watch/fence_shape.h"

/* Around a cell, in 1e-7 degree: a border within it makes the shape partial. */
#define GUARD_UNITS 1
/*
 * How near to a piece single precision is not trusted: some units, and this
 * part of the cell's half side (a float errs by 6e-8 of it, a few times over).
 */
#define DOUBT_UNITS 1.0f
#define DOUBT_PART 2e-6f

typedef struct Vertex
{
	double		x;				/* longitude */
	double		y;				/* latitude */
} Vertex;

/*
 * All rings, outer and inner, stand one after the other in `vertices`, each
 * closed.  Edge i goes from vertex i to i + 1, unless i is the last of a ring.
 * Horizontal slabs of equal height divide the shape; a slab lists the edges
 * that touch it, so that a point meets only those at its latitude.
 */
struct FenceShape
{
	double		xmin,
				ymin,
				xmax,
				ymax;
	double		slabs_per_degree;
	int32		nslabs;
	int32		nvertices;
	int32		nedges;
	Vertex	   *vertices;
	int32	   *edges;			/* all edges, by their first vertex */
	int32	   *slab_start;		/* nslabs + 1 offsets into slab_edges */
	int32	   *slab_edges;
};

typedef struct IndexNode
{
	uint32		child;			/* first of four nodes; 0: a leaf */
	uint32		first;			/* in words: slots of full shapes, then partial ones */
	uint32		nfull;
	uint32		npartial;		/* 0 unless a leaf */
} IndexNode;

/* Some border in a cell, from a to b; units relative to the cell's centre. */
typedef struct Piece
{
	float		ax,
				ay,
				bx,
				by;
} Piece;

/* A partial shape of a leaf, in words; its pieces follow. */
typedef struct Partial
{
	int32		slot;
	uint16		npieces;		/* 0: test the shape itself */
	uint16		centre_covered;
	Piece		pieces[FLEXIBLE_ARRAY_MEMBER];
} Partial;

#define PARTIAL_WORDS(npieces) \
	((offsetof(Partial, pieces) + (npieces) * sizeof(Piece)) / sizeof(int32))

struct FenceIndex
{
	FenceShape **shapes;
	int32		nshapes;
	uint32		root_x;			/* corner of the root's cell, in units from */
	uint32		root_y;			/* -180 and -90 degrees */
	int			root_shift;		/* its side is 1 << root_shift units; < 0: empty */
	IndexNode  *nodes;
	uint32		nnodes;
	int32	   *words;
	Size		nwords;
	uint32	   *seen;			/* per slot: the last search that met it */
	uint32		search;
};

/* As fence_shape_covers, in degrees. */
extern bool fence_shape_covers_xy(const FenceShape *shape, double x, double y);

/* --- cells --- */

/* A closed box in degrees, by centre and half sides. */
typedef struct Box
{
	double		x,
				y,
				half_x,
				half_y;
} Box;

static inline double
units_to_longitude(double units)
{
	return units / GEOPOINT_SCALE - 180.0;
}

static inline double
units_to_latitude(double units)
{
	return units / GEOPOINT_SCALE - 90.0;
}

static inline bool
edge_meets_box(const Vertex *v, const Box *box)
{
	double		ax = v[0].x - box->x,
				ay = v[0].y - box->y,
				bx = v[1].x - box->x,
				by = v[1].y - box->y,
				dx,
				dy;

	if ((ax > box->half_x && bx > box->half_x) || (ax < -box->half_x && bx < -box->half_x) ||
		(ay > box->half_y && by > box->half_y) || (ay < -box->half_y && by < -box->half_y))
		return false;
	/* does the line's normal separate it from the box? */
	dx = bx - ax;
	dy = by - ay;
	return fabs(dx * ay - dy * ax) <= fabs(dx) * box->half_y + fabs(dy) * box->half_x;
}

static inline float
doubt_of(int shift)
{
	return DOUBT_UNITS + DOUBT_PART * (float) (INT64CONST(1) << (shift - 1));
}

#endif							/* FLEET_FENCE_PRIVATE_H */
