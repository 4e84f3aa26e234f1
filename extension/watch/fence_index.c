/*
 * fence_index.c
 *	  The index over many areas: which of them cover a point.
 *
 * The index is a quadtree over the integer plane of geopoints.  Each node
 * lists the shapes that contain its whole cell but not its parent's ("full":
 * a point in the cell is covered, no test needed), and each leaf the shapes
 * whose border passes through the cell ("partial": test the point).  A point
 * walks from the root to one leaf:
 *
 *		root   full: country                    a point in the marked leaf is
 *		 +--+--+--+                             covered by country and city;
 *		    |  full: city                       depot and yard are tested
 *		    +--+--+--+
 *		          leaf  full: -  partial: depot, yard
 *
 * so its cost does not depend on how many large areas overlap there, beyond
 * writing their slots down.
 *
 * With each partial shape the leaf keeps the pieces of border that lie in its
 * cell, in single precision and relative to the cell's centre, and whether the
 * shape covers the centre.  The line from the point to the centre stays in the
 * cell, so the point is on the centre's side of the border if the line crosses
 * an even number of pieces: a few multiplications on data that lies in one
 * place.  A point too near to a piece for single precision, about a centimetre
 * in a city's cells, is tested in earnest.
 */
#include "postgres.h"

#include <math.h>

#include "watch/fence_private.h"

static inline uint32
longitude_units(Geopoint p)
{
	return (uint32) p.longitude + (uint32) GEOPOINT_MAX_LONGITUDE;
}

static inline uint32
latitude_units(Geopoint p)
{
	return (uint32) p.latitude + (uint32) GEOPOINT_MAX_LATITUDE;
}

static inline const Partial *
next_partial(const Partial *partial)
{
	return (const Partial *) ((const int32 *) partial + PARTIAL_WORDS(partial->npieces));
}

/*
 * Does the shape cover the point at (x, y) from the cell's centre?  1 and 0, or
 * -1 if that must be found out by other means.
 *
 * Signs at the ends of pieces are those of single numbers, the same for both
 * pieces that meet there, so a line through an end is counted once.
 */
static inline int
partial_covers(const Partial *partial, float x, float y, float doubt)
{
	bool		inside = partial->centre_covered;

	if (partial->npieces == 0)
		return -1;
	for (int i = 0; i < partial->npieces; i++)
	{
		const Piece *p = &partial->pieces[i];
		float		dx = p->bx - p->ax,
					dy = p->by - p->ay;
		float		side = dx * (y - p->ay) - dy * (x - p->ax);
		float		centre_side = dy * p->ax - dx * p->ay;

		if (fabsf(side) <= doubt * (fabsf(dx) + fabsf(dy)))
			return -1;
		inside ^= ((side > 0) != (centre_side > 0)) &
			((p->ax * y - p->ay * x >= 0) != (p->bx * y - p->by * x >= 0));
	}
	return inside;
}

int
fence_index_covering(const FenceIndex *index, Geopoint point, int32 *slots)
{
	uint32		x = longitude_units(point);
	uint32		y = latitude_units(point);
	int			shift = index->root_shift;
	const IndexNode *node;
	const int32 *words;
	int			n = 0;

	if (shift < 0 ||
		((uint64) (x ^ index->root_x) >> shift) != 0 ||
		((uint64) (y ^ index->root_y) >> shift) != 0)
		return 0;

	node = index->nodes;
	for (;;)
	{
		words = index->words + node->first;
		for (uint32 i = 0; i < node->nfull; i++)
			slots[n++] = *words++;
		if (node->child == 0)
			break;
		shift--;
		node = &index->nodes[node->child + ((y >> shift) & 1) * 2 + ((x >> shift) & 1)];
	}
	if (node->npartial > 0)
	{
		const Partial *partial = (const Partial *) words;
		int64		half = INT64CONST(1) << (shift - 1);
		float		from_x = (float) ((int64) (x & (2 * half - 1)) - half);
		float		from_y = (float) ((int64) (y & (2 * half - 1)) - half);
		float		doubt = doubt_of(shift);

		for (uint32 i = 0; i < node->npartial; i++)
		{
			int			covers = partial_covers(partial, from_x, from_y, doubt);

			if (covers < 0)
				covers = fence_shape_covers(index->shapes[partial->slot], point);
			slots[n] = partial->slot;
			n += covers;
			partial = next_partial(partial);
		}
	}
	return n;
}

typedef struct CrossingSearch
{
	FenceIndex *index;
	Vertex		line[2];
	int32	   *slots;
	int			n;
} CrossingSearch;

static void
crossing_visit(CrossingSearch *search, uint32 node_no, uint64 x, uint64 y, int shift)
{
	FenceIndex *index = search->index;
	const IndexNode *node = &index->nodes[node_no];
	double		side = (double) (UINT64CONST(1) << shift);
	Box			box;

	box.x = units_to_longitude(x + (side - 1) / 2);
	box.y = units_to_latitude(y + (side - 1) / 2);
	box.half_x = box.half_y = ((side - 1) / 2 + GUARD_UNITS) / GEOPOINT_SCALE;
	if (!edge_meets_box(search->line, &box))
		return;

	if (node->child == 0)
	{
		const Partial *partial = (const Partial *) (index->words + node->first + node->nfull);

		for (uint32 i = 0; i < node->npartial; i++, partial = next_partial(partial))
		{
			if (index->seen[partial->slot] == index->search)
				continue;
			index->seen[partial->slot] = index->search;
			search->slots[search->n++] = partial->slot;
		}
		return;
	}
	shift--;
	for (int quarter = 0; quarter < 4; quarter++)
		crossing_visit(search, node->child + quarter,
					   x + (quarter & 1 ? UINT64CONST(1) << shift : 0),
					   y + (quarter & 2 ? UINT64CONST(1) << shift : 0), shift);
}

int
fence_index_crossing(FenceIndex *index, Geopoint a, Geopoint b, int32 *slots)
{
	CrossingSearch search;
	uint32		ax = longitude_units(a),
				ay = latitude_units(a),
				differ = (ax ^ longitude_units(b)) | (ay ^ latitude_units(b));
	uint32		node = 0;
	uint64		x = index->root_x,
				y = index->root_y;
	int			shift = index->root_shift;

	if (shift < 0)
		return 0;

	/* Consecutive fixes mostly share a small cell: go there straight. */
	if (((uint64) (ax ^ index->root_x) >> shift) == 0 &&
		((uint64) (ay ^ index->root_y) >> shift) == 0 && ((uint64) differ >> shift) == 0)
	{
		while (index->nodes[node].child != 0 && ((uint64) differ >> (shift - 1)) == 0)
		{
			shift--;
			node = index->nodes[node].child + ((ay >> shift) & 1) * 2 + ((ax >> shift) & 1);
		}
		if (index->nodes[node].child == 0 && index->nodes[node].npartial == 0)
			return 0;
		x = ((uint64) ax >> shift) << shift;
		y = ((uint64) ay >> shift) << shift;
	}

	if (++index->search == 0)
	{
		memset(index->seen, 0, sizeof(uint32) * index->nshapes);
		index->search = 1;
	}
	search.index = index;
	search.line[0].x = geopoint_longitude_deg(a);
	search.line[0].y = geopoint_latitude_deg(a);
	search.line[1].x = geopoint_longitude_deg(b);
	search.line[1].y = geopoint_latitude_deg(b);
	search.slots = slots;
	search.n = 0;
	crossing_visit(&search, node, x, y, shift);
	return search.n;
}
