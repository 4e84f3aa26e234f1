/*
 * fence_index.c
 *	  Exact containment of points in areas, and the index over many areas.
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
 *
 * The test of a point against a shape must give the answer of PostGIS'
 * ST_Covers, which counts the border as covered.  For a point in a polygon
 * PostGIS does not use GEOS but decides by the sign of
 *
 *		(x2 - x1) * (y - y1) - (x - x1) * (y2 - y1)
 *
 * in plain doubles.  A more robust predicate would disagree with it on points
 * within some 1e-14 degree of a slanted border, so the very same expression is
 * evaluated here, on the same doubles, for each edge that could matter.  The
 * shortcuts never decide within GUARD_UNITS (1e-7 degree) of a border, which is
 * far above any rounding error of that expression.
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "utils/memutils.h"

#include "watch/fence_index.h"

/* A leaf with so few partial shapes is not split. */
#define LEAF_PARTIAL 8
/* Cells of 1 << MIN_SHIFT units (about 6 m) are not split. */
#define MIN_SHIFT 9
/* The words of lists that an index may have: these, and so many per shape. */
#define WORDS_BASE (1 << 20)
#define WORDS_PER_SHAPE 512
/* More pieces of border than this in one cell: the shape's slabs do better. */
#define MAX_PIECES 24
/* Splits in a row that did not separate borders, after which we give up. */
#define STALL_LIMIT 3
/* Around a cell, in 1e-7 degree: a border within it makes the shape partial. */
#define GUARD_UNITS 1
/*
 * How near to a piece single precision is not trusted: some units, and this
 * part of the cell's half side (a float errs by 6e-8 of it, a few times over).
 */
#define DOUBT_UNITS 1.0f
#define DOUBT_PART 2e-6f
/* Slabs never hold more than so many references per edge, on average. */
#define SLAB_REFERENCES 4

#define METRES_PER_DEGREE (GEOPOINT_EARTH_RADIUS_M * M_PI / 180.0)

#define WKB_POLYGON 3
#define WKB_MULTIPOLYGON 6

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

/* --- shape: reading --- */

typedef struct WkbReader
{
	const uint8 *next;
	const uint8 *end;
	bool		swap;			/* byte order of the geometry being read */
} WkbReader;

static void
wkb_need(WkbReader *r, Size bytes)
{
	if (bytes > (Size) (r->end - r->next))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("binary form of a geofence's area ends too early")));
}

static uint32
wkb_uint32(WkbReader *r)
{
	uint32		v;

	wkb_need(r, sizeof(v));
	memcpy(&v, r->next, sizeof(v));
	r->next += sizeof(v);
	return r->swap ? pg_bswap32(v) : v;
}

static double
wkb_double(WkbReader *r)
{
	uint64		v;
	double		d;

	wkb_need(r, sizeof(v));
	memcpy(&v, r->next, sizeof(v));
	r->next += sizeof(v);
	if (r->swap)
		v = pg_bswap64(v);
	memcpy(&d, &v, sizeof(d));
	return d;
}

/* Reads byte order and type. */
static uint32
wkb_header(WkbReader *r)
{
	bool		little;

	wkb_need(r, 1);
	little = (*r->next++ == 1);
#ifdef WORDS_BIGENDIAN
	r->swap = little;
#else
	r->swap = !little;
#endif
	return wkb_uint32(r);
}

/* Appends a polygon's rings; the arrays have room, since `end` bounds them. */
static void
shape_add_polygon(FenceShape *shape, WkbReader *r)
{
	uint32		nrings = wkb_uint32(r);

	for (uint32 i = 0; i < nrings; i++)
	{
		uint32		npoints = wkb_uint32(r);
		int32		first = shape->nvertices;

		wkb_need(r, mul_size(npoints, 2 * sizeof(double)));
		for (uint32 j = 0; j < npoints; j++)
		{
			Vertex		v;

			v.x = wkb_double(r);
			v.y = wkb_double(r);
			if (shape->nvertices > first)
			{
				Vertex	   *last = &shape->vertices[shape->nvertices - 1];

				/* an edge without length bounds nothing */
				if (last->x == v.x && last->y == v.y)
					continue;
				shape->edges[shape->nedges++] = shape->nvertices - 1;
			}
			shape->vertices[shape->nvertices++] = v;
			shape->xmin = Min(shape->xmin, v.x);
			shape->ymin = Min(shape->ymin, v.y);
			shape->xmax = Max(shape->xmax, v.x);
			shape->ymax = Max(shape->ymax, v.y);
		}
	}
}

/* The slab of a latitude inside the shape; rises with y, whatever rounding does. */
static inline int32
slab_of(const FenceShape *shape, double y)
{
	int32		slab = (int32) ((y - shape->ymin) * shape->slabs_per_degree);

	return slab < shape->nslabs ? slab : shape->nslabs - 1;
}

static void
shape_make_slabs(FenceShape *shape)
{
	int32		nslabs = 1;
	Size		references;
	int32	   *fill;

	while (nslabs < shape->nedges)
		nslabs *= 2;

	/* tall edges are listed in many slabs: take fewer slabs then */
	for (;; nslabs /= 2)
	{
		double		height = shape->ymax - shape->ymin;

		shape->nslabs = nslabs;
		shape->slabs_per_degree = height > 0 ? nslabs / height : 0;
		if (!isfinite(shape->slabs_per_degree))
			shape->slabs_per_degree = 0;
		references = 0;
		for (int32 i = 0; i < shape->nedges; i++)
		{
			Vertex	   *v = &shape->vertices[shape->edges[i]];

			references += abs(slab_of(shape, v[0].y) - slab_of(shape, v[1].y)) + 1;
		}
		if (nslabs == 1 || references <= (Size) shape->nedges * SLAB_REFERENCES)
			break;
	}

	shape->slab_start = palloc0(sizeof(int32) * (nslabs + 1));
	shape->slab_edges = palloc_extended(sizeof(int32) * Max(references, 1), MCXT_ALLOC_HUGE);
	for (int32 i = 0; i < shape->nedges; i++)
	{
		Vertex	   *v = &shape->vertices[shape->edges[i]];
		int32		a = slab_of(shape, v[0].y);
		int32		b = slab_of(shape, v[1].y);

		for (int32 s = Min(a, b); s <= Max(a, b); s++)
			shape->slab_start[s + 1]++;
	}
	for (int32 s = 0; s < nslabs; s++)
		shape->slab_start[s + 1] += shape->slab_start[s];
	fill = palloc(sizeof(int32) * nslabs);
	memcpy(fill, shape->slab_start, sizeof(int32) * nslabs);
	for (int32 i = 0; i < shape->nedges; i++)
	{
		Vertex	   *v = &shape->vertices[shape->edges[i]];
		int32		a = slab_of(shape, v[0].y);
		int32		b = slab_of(shape, v[1].y);

		for (int32 s = Min(a, b); s <= Max(a, b); s++)
			shape->slab_edges[fill[s]++] = shape->edges[i];
	}
	pfree(fill);
}

FenceShape *
fence_shape_from_wkb(const uint8 *wkb, Size len)
{
	FenceShape *shape = palloc0(sizeof(FenceShape));
	WkbReader	r = {wkb, wkb + len, false};
	uint32		type = wkb_header(&r);
	Size		room = len / sizeof(Vertex) + 1;
	Vertex	   *vertices;
	int32	   *edges;

	shape->xmin = shape->ymin = DBL_MAX;
	shape->xmax = shape->ymax = -DBL_MAX;
	shape->vertices = palloc_extended(room * sizeof(Vertex), MCXT_ALLOC_HUGE);
	shape->edges = palloc_extended(room * sizeof(int32), MCXT_ALLOC_HUGE);

	if (type == WKB_POLYGON)
		shape_add_polygon(shape, &r);
	else if (type == WKB_MULTIPOLYGON)
	{
		uint32		npolygons = wkb_uint32(&r);

		for (uint32 i = 0; i < npolygons; i++)
		{
			if (wkb_header(&r) != WKB_POLYGON)
				elog(ERROR, "member of a MultiPolygon is no Polygon");
			shape_add_polygon(shape, &r);
		}
	}
	else
		elog(ERROR, "WKB type %u is neither Polygon nor MultiPolygon", type);

	/* give back what was reserved for the worst case */
	vertices = shape->vertices;
	edges = shape->edges;
	shape->vertices = palloc_extended(Max(shape->nvertices, 1) * sizeof(Vertex), MCXT_ALLOC_HUGE);
	memcpy(shape->vertices, vertices, shape->nvertices * sizeof(Vertex));
	shape->edges = palloc_extended(Max(shape->nedges, 1) * sizeof(int32), MCXT_ALLOC_HUGE);
	memcpy(shape->edges, edges, shape->nedges * sizeof(int32));
	pfree(vertices);
	pfree(edges);

	shape_make_slabs(shape);
	return shape;
}

/* --- shape: questions --- */

/*
 * Even-odd rule over all rings at once: valid areas have no other winding, and
 * holes need no case of their own.
 */
static bool
shape_covers_xy(const FenceShape *shape, double x, double y)
{
	const int32 *edge;
	const int32 *end;
	bool		inside = false;
	int32		slab;

	if (!(x >= shape->xmin && x <= shape->xmax && y >= shape->ymin && y <= shape->ymax))
		return false;

	slab = slab_of(shape, y);
	edge = shape->slab_edges + shape->slab_start[slab];
	end = shape->slab_edges + shape->slab_start[slab + 1];
	for (; edge < end; edge++)
	{
		const Vertex *a = &shape->vertices[*edge];
		const Vertex *b = a + 1;
		double		side;

		if ((y < a->y && y < b->y) || (y > a->y && y > b->y) || (x > a->x && x > b->x))
			continue;
		side = (b->x - a->x) * (y - a->y) - (x - a->x) * (b->y - a->y);
		if (side == 0 && (x >= a->x || x >= b->x))
			return true;		/* on the border */
		if (a->y <= y)
		{
			if (y < b->y && side > 0)
				inside = !inside;
		}
		else if (b->y <= y && side < 0)
			inside = !inside;
	}
	return inside;
}

bool
fence_shape_covers(const FenceShape *shape, Geopoint point)
{
	return shape_covers_xy(shape, geopoint_longitude_deg(point), geopoint_latitude_deg(point));
}

/*
 * Distances are taken in the plane that touches the earth at the point:
 * degrees of longitude shrink by the cosine of its latitude.  Good to some
 * tenths of a percent over the kilometres that accuracy and hysteresis span.
 */
bool
fence_shape_border_within(const FenceShape *shape, Geopoint point, double metres)
{
	double		x = geopoint_longitude_deg(point);
	double		y = geopoint_latitude_deg(point);
	double		reach_y = metres / METRES_PER_DEGREE;
	double		shrink = Max(cos(y * M_PI / 180.0), 1e-6);
	double		reach_x = reach_y / shrink;
	double		limit = metres * metres;
	int32		last;

	if (!(metres >= 0) ||
		x + reach_x < shape->xmin || x - reach_x > shape->xmax ||
		y + reach_y < shape->ymin || y - reach_y > shape->ymax)
		return false;

	last = slab_of(shape, Min(y + reach_y, shape->ymax));
	for (int32 s = slab_of(shape, Max(y - reach_y, shape->ymin)); s <= last; s++)
	{
		for (int32 i = shape->slab_start[s]; i < shape->slab_start[s + 1]; i++)
		{
			const Vertex *a = &shape->vertices[shape->slab_edges[i]];
			const Vertex *b = a + 1;
			double		ax,
						ay,
						bx,
						by,
						t,
						dx,
						dy;

			if (Max(a->x, b->x) < x - reach_x || Min(a->x, b->x) > x + reach_x)
				continue;
			ax = (a->x - x) * shrink * METRES_PER_DEGREE;
			ay = (a->y - y) * METRES_PER_DEGREE;
			bx = (b->x - a->x) * shrink * METRES_PER_DEGREE;
			by = (b->y - a->y) * METRES_PER_DEGREE;
			t = -(ax * bx + ay * by) / (bx * bx + by * by);
			t = Min(Max(t, 0), 1);
			dx = ax + t * bx;
			dy = ay + t * by;
			if (dx * dx + dy * dy <= limit)
				return true;
		}
	}
	return false;
}

static inline double
side_of(Vertex a, Vertex b, Vertex p)
{
	return (b.x - a.x) * (p.y - a.y) - (p.x - a.x) * (b.y - a.y);
}

bool
fence_shape_border_crossed(const FenceShape *shape, Geopoint from, Geopoint to)
{
	Vertex		p = {geopoint_longitude_deg(from), geopoint_latitude_deg(from)};
	Vertex		q = {geopoint_longitude_deg(to), geopoint_latitude_deg(to)};
	double		xmin = Min(p.x, q.x),
				xmax = Max(p.x, q.x),
				ymin = Min(p.y, q.y),
				ymax = Max(p.y, q.y);
	int32		last;

	if (xmax < shape->xmin || xmin > shape->xmax || ymax < shape->ymin || ymin > shape->ymax)
		return false;

	last = slab_of(shape, Min(ymax, shape->ymax));
	for (int32 s = slab_of(shape, Max(ymin, shape->ymin)); s <= last; s++)
	{
		for (int32 i = shape->slab_start[s]; i < shape->slab_start[s + 1]; i++)
		{
			const Vertex *a = &shape->vertices[shape->slab_edges[i]];
			const Vertex *b = a + 1;
			double		a_side,
						b_side,
						p_side,
						q_side;

			if (Max(a->x, b->x) < xmin || Min(a->x, b->x) > xmax ||
				Max(a->y, b->y) < ymin || Min(a->y, b->y) > ymax)
				continue;
			a_side = side_of(p, q, *a);
			b_side = side_of(p, q, *b);
			if ((a_side > 0 && b_side > 0) || (a_side < 0 && b_side < 0))
				continue;
			p_side = side_of(*a, *b, p);
			q_side = side_of(*a, *b, q);
			if ((p_side > 0 && q_side > 0) || (p_side < 0 && q_side < 0))
				continue;
			return true;
		}
	}
	return false;
}

/* --- index: building --- */

/* A closed box in degrees, by centre and half sides. */
typedef struct Box
{
	double		x,
				y,
				half_x,
				half_y;
} Box;

/* A shape whose border passes through a cell, and the edges that do so. */
typedef struct BuildItem
{
	int32		slot;
	int32		nedges;
	const int32 *edges;
} BuildItem;

/* A node that is still to be split. */
typedef struct BuildCell
{
	uint32		node;
	uint64		x,
				y;				/* corner, in units */
	int			shift;
	int			stalled;
	int32		nitems;
	BuildItem  *items;
	Size		words;			/* what it would take as a leaf */
} BuildCell;

typedef struct Builder
{
	FenceIndex *index;
	uint32		nodes_room;
	Size		words_room;
	Size		words_limit;
	Size		words_waiting;	/* what the cells still to be split would take */
	MemoryContext level;		/* what the next level's cells refer to */
	BuildCell  *next;			/* the next level's cells */
	int32		nnext;
	int32		next_room;
	BuildItem  *scratch;		/* items of the child being made */
} Builder;

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

static int32 *
add_words(Builder *b, Size n)
{
	FenceIndex *index = b->index;

	if (index->nwords + n > b->words_room)
	{
		b->words_room = Max(b->words_room * 2, index->nwords + n);
		index->words = repalloc_huge(index->words, b->words_room * sizeof(int32));
	}
	index->nwords += n;
	return index->words + index->nwords - n;
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

/*
 * Cuts a line from (ax, ay) to (bx, by) down to what lies within `half` of the
 * origin; false if nothing does.  An end that is inside stays exactly as it is,
 * since it must remain the same point as the start of the next piece.
 */
static bool
cut_line(double *ax, double *ay, double *bx, double *by, double half)
{
	double		dx = *bx - *ax,
				dy = *by - *ay,
				from = 0,
				to = 1,
				x0 = *ax,
				y0 = *ay;
	double		toward[4] = {-dx, dx, -dy, dy};
	double		room[4] = {half + *ax, half - *ax, half + *ay, half - *ay};

	for (int i = 0; i < 4; i++)
	{
		if (toward[i] == 0)
		{
			if (room[i] < 0)
				return false;
		}
		else if (toward[i] < 0)
			from = Max(from, room[i] / toward[i]);
		else
			to = Min(to, room[i] / toward[i]);
	}
	if (from > to)
		return false;
	if (from > 0)
	{
		*ax = x0 + from * dx;
		*ay = y0 + from * dy;
	}
	if (to < 1)
	{
		*bx = x0 + to * dx;
		*by = y0 + to * dy;
	}
	return true;
}

static inline float
doubt_of(int shift)
{
	return DOUBT_UNITS + DOUBT_PART * (float) (INT64CONST(1) << (shift - 1));
}

/* Writes down a partial shape of a leaf whose corner is (x, y). */
static void
add_partial(Builder *b, const BuildItem *item, uint64 x, uint64 y, int shift)
{
	const FenceShape *shape = b->index->shapes[item->slot];
	double		half = (double) (UINT64CONST(1) << (shift - 1));
	double		centre_x = x + half,
				centre_y = y + half;
	float		doubt = doubt_of(shift);
	Piece		pieces[MAX_PIECES];
	int			n = 0;
	Partial    *partial;

	for (int32 e = 0; e < item->nedges; e++)
	{
		const Vertex *v = &shape->vertices[item->edges[e]];
		double		ax = (v[0].x + 180.0) * GEOPOINT_SCALE - centre_x,
					ay = (v[0].y + 90.0) * GEOPOINT_SCALE - centre_y,
					bx = (v[1].x + 180.0) * GEOPOINT_SCALE - centre_x,
					by = (v[1].y + 90.0) * GEOPOINT_SCALE - centre_y;

		if (!cut_line(&ax, &ay, &bx, &by, half + 4 * GUARD_UNITS))
			continue;
		/* too many, or so near to the centre that its side is not certain */
		if (n == MAX_PIECES ||
			fabs(ax * by - ay * bx) <= 4 * doubt * (fabs(bx - ax) + fabs(by - ay)))
		{
			n = 0;
			break;
		}
		pieces[n].ax = (float) ax;
		pieces[n].ay = (float) ay;
		pieces[n].bx = (float) bx;
		pieces[n].by = (float) by;
		n++;
	}

	partial = (Partial *) add_words(b, PARTIAL_WORDS(n));
	partial->slot = item->slot;
	partial->npieces = n;
	partial->centre_covered = shape_covers_xy(shape, units_to_longitude(centre_x),
											  units_to_latitude(centre_y));
	memcpy(partial->pieces, pieces, n * sizeof(Piece));
}

static inline Size
item_words(const BuildItem *item)
{
	return PARTIAL_WORDS(item->nedges <= MAX_PIECES ? item->nedges : 0);
}

/* One of the four cells that `parent` is split into. */
static void
build_child(Builder *b, const BuildCell *parent, uint32 node, uint64 x, uint64 y)
{
	FenceIndex *index = b->index;
	int			shift = parent->shift - 1;
	double		side = (double) (UINT64CONST(1) << shift);
	Box			box;
	int32		nitems = 0;
	int32		through = 0;
	int			stalled = 0;
	bool		leaf;
	Size		leaf_words = 0;

	box.x = units_to_longitude(x + (side - 1) / 2);
	box.y = units_to_latitude(y + (side - 1) / 2);
	box.half_x = box.half_y = ((side - 1) / 2 + GUARD_UNITS) / GEOPOINT_SCALE;

	index->nodes[node].child = 0;
	index->nodes[node].first = index->nwords;
	for (int32 i = 0; i < parent->nitems; i++)
	{
		const BuildItem *item = &parent->items[i];
		const FenceShape *shape = index->shapes[item->slot];
		BuildItem  *mine = &b->scratch[nitems];

		if (shape->xmin > box.x + box.half_x || shape->xmax < box.x - box.half_x ||
			shape->ymin > box.y + box.half_y || shape->ymax < box.y - box.half_y)
			continue;

		mine->slot = item->slot;
		if (shape->xmin >= box.x - box.half_x && shape->xmax <= box.x + box.half_x &&
			shape->ymin >= box.y - box.half_y && shape->ymax <= box.y + box.half_y)
		{
			/* all of it is here */
			mine->nedges = shape->nedges;
			mine->edges = shape->edges;
			leaf_words += item_words(mine);
			nitems++;
			continue;
		}

		mine->nedges = 0;
		for (int32 e = 0; e < item->nedges; e++)
		{
			if (edge_meets_box(&shape->vertices[item->edges[e]], &box))
				mine->nedges++;
		}
		if (mine->nedges == shape->nedges)
			mine->edges = shape->edges;
		else if (mine->nedges > 0)
		{
			int32	   *edges = MemoryContextAlloc(b->level, mine->nedges * sizeof(int32));
			int32		n = 0;

			for (int32 e = 0; e < item->nedges; e++)
			{
				if (edge_meets_box(&shape->vertices[item->edges[e]], &box))
					edges[n++] = item->edges[e];
			}
			mine->edges = edges;
		}
		else
		{
			/* no border near: all in or all out, so any point of it tells */
			if (shape_covers_xy(shape, box.x, box.y))
				*add_words(b, 1) = item->slot;
			continue;
		}
		leaf_words += item_words(mine);
		nitems++;
		through++;
	}
	index->nodes[node].nfull = index->nwords - index->nodes[node].first;
	index->nodes[node].npartial = 0;

	/* Borders that lie on top of each other are not separated by any split. */
	if (through * 4 > nitems * 3 && nitems * 4 > parent->nitems * 3)
		stalled = parent->stalled + 1;

	/* its children may take as much as it would, each */
	leaf = nitems <= LEAF_PARTIAL || shift <= MIN_SHIFT || stalled > STALL_LIMIT ||
		index->nwords + b->words_waiting + 4 * leaf_words > b->words_limit;
	if (leaf)
	{
		for (int32 i = 0; i < nitems; i++)
			add_partial(b, &b->scratch[i], x, y, shift);
		index->nodes[node].npartial = nitems;
	}
	else
	{
		BuildCell  *cell;

		if (b->nnext == b->next_room)
		{
			b->next_room *= 2;
			b->next = repalloc_huge(b->next, b->next_room * sizeof(BuildCell));
		}
		cell = &b->next[b->nnext++];
		cell->node = node;
		cell->x = x;
		cell->y = y;
		cell->shift = shift;
		cell->stalled = stalled;
		cell->nitems = nitems;
		cell->words = leaf_words;
		b->words_waiting += leaf_words;
		cell->items = MemoryContextAllocExtended(b->level, nitems * sizeof(BuildItem), MCXT_ALLOC_HUGE);
		memcpy(cell->items, b->scratch, nitems * sizeof(BuildItem));
	}
}

/* Into the range of geopoints, which areas may exceed. */
static inline uint64
to_units(double degrees, double origin, double max, bool up)
{
	double		units = (degrees - origin) * GEOPOINT_SCALE;

	units = up ? ceil(units) + GUARD_UNITS : floor(units) - GUARD_UNITS;
	return (uint64) Min(Max(units, 0), max);
}

/*
 * Level by level, so that when the limit on words is reached all places are
 * split equally far.
 */
FenceIndex *
fence_index_build(FenceShape **shapes, int nshapes)
{
	FenceIndex *index = palloc0(sizeof(FenceIndex));
	Builder		b = {0};
	MemoryContext temp;
	MemoryContext old;
	BuildCell	root = {0};
	BuildCell  *cells;
	int32		ncells;
	uint64		xmin = PG_UINT32_MAX,
				ymin = PG_UINT32_MAX,
				xmax = 0,
				ymax = 0;
	BuildItem  *items;

	index->shapes = shapes;
	index->nshapes = nshapes;
	index->root_shift = -1;
	if (nshapes == 0)
		return index;

	index->seen = palloc0(sizeof(uint32) * nshapes);
	b.index = index;
	b.nodes_room = 64;
	index->nodes = palloc0(sizeof(IndexNode) * b.nodes_room);
	b.words_room = 1024;
	b.words_limit = WORDS_BASE + (Size) nshapes * WORDS_PER_SHAPE;
	index->words = palloc(sizeof(int32) * b.words_room);

	temp = AllocSetContextCreate(CurrentMemoryContext, "fleet fence index build",
								 ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(temp);
	b.scratch = palloc_extended(nshapes * sizeof(BuildItem), MCXT_ALLOC_HUGE);
	items = palloc_extended(nshapes * sizeof(BuildItem), MCXT_ALLOC_HUGE);
	for (int i = 0; i < nshapes; i++)
	{
		FenceShape *shape = shapes[i];

		items[i].slot = i;
		items[i].nedges = shape->nedges;
		items[i].edges = shape->edges;
		if (shape->nedges == 0)
			continue;
		xmin = Min(xmin, to_units(shape->xmin, -180.0, 360.0 * GEOPOINT_SCALE, false));
		xmax = Max(xmax, to_units(shape->xmax, -180.0, 360.0 * GEOPOINT_SCALE, true));
		ymin = Min(ymin, to_units(shape->ymin, -90.0, 180.0 * GEOPOINT_SCALE, false));
		ymax = Max(ymax, to_units(shape->ymax, -90.0, 180.0 * GEOPOINT_SCALE, true));
	}
	if (xmin > xmax)
	{
		xmin = xmax = 0;
		ymin = ymax = 0;
	}

	/* the smallest aligned cell around all, made the child of a cell twice its size */
	root.shift = 1;
	while ((xmin >> root.shift) != (xmax >> root.shift) || (ymin >> root.shift) != (ymax >> root.shift))
		root.shift++;
	index->root_shift = root.shift;
	root.x = (xmin >> root.shift) << root.shift;
	root.y = (ymin >> root.shift) << root.shift;
	index->root_x = root.x;
	index->root_y = root.y;
	root.shift++;
	root.nitems = nshapes;
	root.items = items;

	b.next_room = 16;
	b.next = palloc(sizeof(BuildCell) * b.next_room);
	b.level = AllocSetContextCreate(temp, "fleet fence index level", ALLOCSET_DEFAULT_SIZES);
	index->nnodes = 1;
	build_child(&b, &root, 0, root.x, root.y);

	while (b.nnext > 0)
	{
		MemoryContext done = b.level;

		cells = b.next;
		ncells = b.nnext;
		b.next_room = Max(16, ncells);
		b.nnext = 0;
		b.next = palloc_extended(sizeof(BuildCell) * b.next_room, MCXT_ALLOC_HUGE);
		b.level = AllocSetContextCreate(temp, "fleet fence index level", ALLOCSET_DEFAULT_SIZES);
		for (int32 i = 0; i < ncells; i++)
		{
			BuildCell  *cell = &cells[i];
			uint64		half = UINT64CONST(1) << (cell->shift - 1);
			uint32		child = index->nnodes;

			CHECK_FOR_INTERRUPTS();
			b.words_waiting -= cell->words;
			if (child + 4 > b.nodes_room)
			{
				b.nodes_room *= 2;
				index->nodes = repalloc_huge(index->nodes, b.nodes_room * sizeof(IndexNode));
			}
			index->nnodes += 4;
			index->nodes[cell->node].child = child;
			for (int quarter = 0; quarter < 4; quarter++)
				build_child(&b, cell, child + quarter,
							cell->x + (quarter & 1 ? half : 0),
							cell->y + (quarter & 2 ? half : 0));
		}
		pfree(cells);
		MemoryContextDelete(done);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(temp);
	return index;
}

/* --- index: questions --- */

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
