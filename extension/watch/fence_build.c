/*
 * fence_build.c
 *	  Builds the index over many areas; fence_index.c says what it looks like.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "watch/fence_private.h"

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
	partial->centre_covered = fence_shape_covers_xy(shape, units_to_longitude(centre_x),
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
			if (fence_shape_covers_xy(shape, box.x, box.y))
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
