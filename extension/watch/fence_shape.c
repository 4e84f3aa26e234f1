/*
 * fence_shape.c
 *	  One area: from WKB to edges in slabs, and exact questions about points.
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

#include "port/pg_bswap.h"

#include "watch/fence_private.h"

/* Slabs never hold more than so many references per edge, on average. */
#define SLAB_REFERENCES 4

#define METRES_PER_DEGREE (GEOPOINT_EARTH_RADIUS_M * M_PI / 180.0)

#define WKB_POLYGON 3
#define WKB_MULTIPOLYGON 6

/* --- reading --- */

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

/* --- questions --- */

/*
 * Even-odd rule over all rings at once: valid areas have no other winding, and
 * holes need no case of their own.
 */
bool
fence_shape_covers_xy(const FenceShape *shape, double x, double y)
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
	return fence_shape_covers_xy(shape, geopoint_longitude_deg(point), geopoint_latitude_deg(point));
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
