/*
 * geohash.c
 *	  Type geohash: a cell of 1 to 12 base-32 characters.
 *
 * Binary form: the 8 bytes of geohash.h in network byte order.
 */
#include "postgres.h"

#include <math.h>

#include "access/stratnum.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "utils/array.h"
#include "utils/lsyscache.h"

#include "fleet.h"
#include "types/geohash.h"

/* bits of each coordinate at full precision */
#define AXIS_BITS 30

static const char alphabet[] = "0123456789bcdefghjkmnpqrstuvwxyz";

/* --- bits --- */

/* Spreads 30 bits so that a zero precedes each. */
static uint64
spread(uint32 v)
{
	uint64		x = v;

	x = (x | (x << 16)) & UINT64CONST(0x0000FFFF0000FFFF);
	x = (x | (x << 8)) & UINT64CONST(0x00FF00FF00FF00FF);
	x = (x | (x << 4)) & UINT64CONST(0x0F0F0F0F0F0F0F0F);
	x = (x | (x << 2)) & UINT64CONST(0x3333333333333333);
	x = (x | (x << 1)) & UINT64CONST(0x5555555555555555);
	return x;
}

static uint32
gather(uint64 x)
{
	x &= UINT64CONST(0x5555555555555555);
	x = (x | (x >> 1)) & UINT64CONST(0x3333333333333333);
	x = (x | (x >> 2)) & UINT64CONST(0x0F0F0F0F0F0F0F0F);
	x = (x | (x >> 4)) & UINT64CONST(0x00FF00FF00FF00FF);
	x = (x | (x >> 8)) & UINT64CONST(0x0000FFFF0000FFFF);
	x = (x | (x >> 16)) & UINT64CONST(0x00000000FFFFFFFF);
	return (uint32) x;
}

/* Bits of longitude and latitude in a cell; longitude has the first bit. */
static inline int
longitude_bits(int precision)
{
	return (GEOHASH_BITS_PER_CHAR * precision + 1) / 2;
}

static inline int
latitude_bits(int precision)
{
	return GEOHASH_BITS_PER_CHAR * precision / 2;
}

/* x and y are column and row at full precision, from the south-west. */
static Geohash
from_columns(uint32 x, uint32 y, int precision)
{
	uint64		bits = ((spread(x) << 1) | spread(y)) << 4;

	return (bits & geohash_mask(precision)) | precision;
}

static void
to_columns(Geohash cell, uint32 *x, uint32 *y)
{
	uint64		bits = cell >> 4;

	*x = gather(bits >> 1);
	*y = gather(bits);
}

Geohash
geohash_of(Geopoint point, int precision)
{
	/* in integers, so exact; the north pole and 180 degrees belong to the last cell */
	uint64		x = ((uint64) ((int64) point.longitude + GEOPOINT_MAX_LONGITUDE) << AXIS_BITS) /
		(2 * (uint64) GEOPOINT_MAX_LONGITUDE);
	uint64		y = ((uint64) ((int64) point.latitude + GEOPOINT_MAX_LATITUDE) << AXIS_BITS) /
		(2 * (uint64) GEOPOINT_MAX_LATITUDE);
	uint32		last = (1U << AXIS_BITS) - 1;

	return from_columns(Min(x, last), Min(y, last), precision);
}

GeohashBounds
geohash_bounds(Geohash cell)
{
	int			precision = GEOHASH_PRECISION(cell);
	double		width = ldexp(360.0, -longitude_bits(precision));
	double		height = ldexp(180.0, -latitude_bits(precision));
	uint32		x;
	uint32		y;
	GeohashBounds result;

	to_columns(cell, &x, &y);
	/* 45 times a number of 30 bits: exact in a double */
	result.west = ldexp(360.0 * x, -AXIS_BITS) - 180.0;
	result.south = ldexp(180.0 * y, -AXIS_BITS) - 90.0;
	result.east = result.west + width;
	result.north = result.south + height;
	return result;
}

bool
geohash_covers(Geohash outer, Geohash inner)
{
	int			precision = GEOHASH_PRECISION(outer);

	return precision <= GEOHASH_PRECISION(inner) &&
		((outer ^ inner) & geohash_mask(precision)) == 0;
}

/* --- checks, parser, printer --- */

static bool
valid_bits(uint64 bits)
{
	int			precision = bits & 15;

	return precision >= 1 && precision <= GEOHASH_MAX_PRECISION &&
		(bits & ~geohash_mask(precision) & ~UINT64CONST(15)) == 0;
}

static void
check_precision(int precision)
{
	if (precision < 1 || precision > GEOHASH_MAX_PRECISION)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid precision of a geohash"),
				 errdetail("Precision is %d, must be between 1 and %d characters.",
						   precision, GEOHASH_MAX_PRECISION)));
}

static bool
geohash_parse(const char *str, Geohash *result, Node *escontext)
{
	size_t		len = strlen(str);
	uint64		bits = 0;

	if (len < 1 || len > GEOHASH_MAX_PRECISION)
		ereturn(escontext, false,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("invalid input syntax for type geohash: \"%s\"", str),
				 errdetail("Length is %zu, must be between 1 and %d characters.",
						   len, GEOHASH_MAX_PRECISION)));
	for (size_t i = 0; i < len; i++)
	{
		char		c = str[i] >= 'A' && str[i] <= 'Z' ? str[i] + ('a' - 'A') : str[i];
		const char *digit = strchr(alphabet, c);

		if (digit == NULL)
			ereturn(escontext, false,
					(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
					 errmsg("invalid input syntax for type geohash: \"%s\"", str),
					 errdetail("\"%.*s\" at character %zu is not a digit of base 32.",
							   pg_mblen(str + i), str + i, i + 1),
					 errhint("The digits are 0 to 9 and the letters b to z without i, l, o.")));
		bits = (bits << GEOHASH_BITS_PER_CHAR) | (uint64) (digit - alphabet);
	}
	*result = (bits << (64 - GEOHASH_BITS_PER_CHAR * len)) | len;
	return true;
}

void
geohash_print(Geohash cell, char *out)
{
	int			precision = GEOHASH_PRECISION(cell);

	for (int i = 0; i < precision; i++)
		*out++ = alphabet[(cell >> (64 - GEOHASH_BITS_PER_CHAR * (i + 1))) & 31];
	*out = '\0';
}

/* --- input and output --- */

PG_FUNCTION_INFO_V1(geohash_in);
Datum
geohash_in(PG_FUNCTION_ARGS)
{
	Geohash		result;

	if (!geohash_parse(PG_GETARG_CSTRING(0), &result, fcinfo->context))
		PG_RETURN_NULL();
	PG_RETURN_GEOHASH(result);
}

PG_FUNCTION_INFO_V1(geohash_out);
Datum
geohash_out(PG_FUNCTION_ARGS)
{
	char	   *result = palloc(GEOHASH_MAX_PRECISION + 1);

	geohash_print(PG_GETARG_GEOHASH(0), result);
	PG_RETURN_CSTRING(result);
}

PG_FUNCTION_INFO_V1(geohash_recv);
Datum
geohash_recv(PG_FUNCTION_ARGS)
{
	uint64		bits = (uint64) pq_getmsgint64((StringInfo) PG_GETARG_POINTER(0));

	if (!valid_bits(bits))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("invalid binary form of type geohash"),
				 errdetail("Precision is %d, must be between 1 and %d, and the bits beyond it zero.",
						   (int) (bits & 15), GEOHASH_MAX_PRECISION)));
	PG_RETURN_GEOHASH(bits);
}

PG_FUNCTION_INFO_V1(geohash_send);
Datum
geohash_send(PG_FUNCTION_ARGS)
{
	StringInfoData buf;

	pq_begintypsend(&buf);
	pq_sendint64(&buf, PG_GETARG_GEOHASH(0));
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

/* --- constructor and accessors --- */

PG_FUNCTION_INFO_V1(geohash_from_geopoint);
Datum
geohash_from_geopoint(PG_FUNCTION_ARGS)
{
	int			precision = PG_GETARG_INT32(1);

	check_precision(precision);
	PG_RETURN_GEOHASH(geohash_of(PG_GETARG_GEOPOINT(0), precision));
}

PG_FUNCTION_INFO_V1(geohash_precision);
Datum
geohash_precision(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(GEOHASH_PRECISION(PG_GETARG_GEOHASH(0)));
}

PG_FUNCTION_INFO_V1(geohash_south);
Datum
geohash_south(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(geohash_bounds(PG_GETARG_GEOHASH(0)).south);
}

PG_FUNCTION_INFO_V1(geohash_west);
Datum
geohash_west(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(geohash_bounds(PG_GETARG_GEOHASH(0)).west);
}

PG_FUNCTION_INFO_V1(geohash_north);
Datum
geohash_north(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(geohash_bounds(PG_GETARG_GEOHASH(0)).north);
}

PG_FUNCTION_INFO_V1(geohash_east);
Datum
geohash_east(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(geohash_bounds(PG_GETARG_GEOHASH(0)).east);
}

/* Lies inside the cell at every precision: half a cell is more than half a unit. */
PG_FUNCTION_INFO_V1(geohash_centre);
Datum
geohash_centre(PG_FUNCTION_ARGS)
{
	GeohashBounds bounds = geohash_bounds(PG_GETARG_GEOHASH(0));
	Geopoint	result;

	if (!geopoint_from_degrees((bounds.south + bounds.north) / 2,
							   (bounds.west + bounds.east) / 2, &result))
		elog(ERROR, "centre of a geohash out of range");
	PG_RETURN_GEOPOINT(result);
}

/* --- relatives --- */

/* geohash_parent(cell): one character less; null for a cell of one */
PG_FUNCTION_INFO_V1(geohash_parent);
Datum
geohash_parent(PG_FUNCTION_ARGS)
{
	Geohash		cell = PG_GETARG_GEOHASH(0);
	int			precision = GEOHASH_PRECISION(cell) - 1;

	if (precision == 0)
		PG_RETURN_NULL();
	PG_RETURN_GEOHASH((cell & geohash_mask(precision)) | precision);
}

/* geohash_parent(cell, precision) */
PG_FUNCTION_INFO_V1(geohash_ancestor);
Datum
geohash_ancestor(PG_FUNCTION_ARGS)
{
	Geohash		cell = PG_GETARG_GEOHASH(0);
	int			precision = PG_GETARG_INT32(1);

	check_precision(precision);
	if (precision > GEOHASH_PRECISION(cell))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("precision of a parent exceeds that of the cell"),
				 errdetail("Precision is %d, the cell has %d characters.",
						   precision, GEOHASH_PRECISION(cell))));
	PG_RETURN_GEOHASH((cell & geohash_mask(precision)) | precision);
}

/* The last cell inside in btree order; cell itself is the first. */
static Geohash
last_inside(Geohash cell)
{
	return (cell & geohash_mask(GEOHASH_PRECISION(cell))) |
		(~geohash_mask(GEOHASH_PRECISION(cell)) & ~UINT64CONST(15)) |
		GEOHASH_MAX_PRECISION;
}

PG_FUNCTION_INFO_V1(geohash_last);
Datum
geohash_last(PG_FUNCTION_ARGS)
{
	PG_RETURN_GEOHASH(last_inside(PG_GETARG_GEOHASH(0)));
}

/*
 * The cell so many columns east and rows north.  Columns go round the earth;
 * there is nothing beyond a pole.
 */
static bool
neighbour(Geohash cell, int64 east, int64 north, Geohash *result)
{
	int			precision = GEOHASH_PRECISION(cell);
	int			x_shift = AXIS_BITS - longitude_bits(precision);
	int			y_shift = AXIS_BITS - latitude_bits(precision);
	uint32		x;
	uint32		y;
	int64		row;

	to_columns(cell, &x, &y);
	row = (int64) (y >> y_shift) + north;
	if (row < 0 || row >= INT64CONST(1) << latitude_bits(precision))
		return false;
	/* unsigned arithmetic wraps, and the mask keeps what counts */
	x = ((x >> x_shift) + (uint32) east) & ((1U << longitude_bits(precision)) - 1);
	*result = from_columns(x << x_shift, (uint32) row << y_shift, precision);
	return true;
}

PG_FUNCTION_INFO_V1(geohash_neighbour);
Datum
geohash_neighbour(PG_FUNCTION_ARGS)
{
	Geohash		result;

	if (!neighbour(PG_GETARG_GEOHASH(0), PG_GETARG_INT32(1), PG_GETARG_INT32(2), &result))
		PG_RETURN_NULL();
	PG_RETURN_GEOHASH(result);
}

static Datum
cell_array(FunctionCallInfo fcinfo, Datum *cells, int n)
{
	/* the result's type is geohash[]; its element's is the argument's */
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, 0);

	if (!OidIsValid(type))
		elog(ERROR, "could not determine type of argument");
	return PointerGetDatum(construct_array(cells, n, getBaseType(type),
										   sizeof(Geohash), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* Clockwise from north; five at a pole. */
PG_FUNCTION_INFO_V1(geohash_neighbours);
Datum
geohash_neighbours(PG_FUNCTION_ARGS)
{
	static const int8 east[] = {0, 1, 1, 1, 0, -1, -1, -1};
	static const int8 north[] = {1, 1, 0, -1, -1, -1, 0, 1};
	Datum		cells[lengthof(east)];
	int			n = 0;

	for (int i = 0; i < lengthof(east); i++)
	{
		Geohash		cell;

		if (neighbour(PG_GETARG_GEOHASH(0), east[i], north[i], &cell))
			cells[n++] = GeohashGetDatum(cell);
	}
	return cell_array(fcinfo, cells, n);
}

/* The 32 cells of one character more, in order; none at full precision. */
PG_FUNCTION_INFO_V1(geohash_children);
Datum
geohash_children(PG_FUNCTION_ARGS)
{
	Geohash		cell = PG_GETARG_GEOHASH(0);
	int			precision = GEOHASH_PRECISION(cell) + 1;
	Datum		cells[1 << GEOHASH_BITS_PER_CHAR];
	int			n = 0;

	if (precision <= GEOHASH_MAX_PRECISION)
		for (; n < lengthof(cells); n++)
			cells[n] = GeohashGetDatum((cell & ~UINT64CONST(15)) | precision |
									   ((uint64) n << (64 - GEOHASH_BITS_PER_CHAR * precision)));
	return cell_array(fcinfo, cells, n);
}

/* --- containment --- */

PG_FUNCTION_INFO_V1(geohash_contains);
Datum
geohash_contains(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(geohash_covers(PG_GETARG_GEOHASH(0), PG_GETARG_GEOHASH(1)));
}

PG_FUNCTION_INFO_V1(geohash_contained);
Datum
geohash_contained(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(geohash_covers(PG_GETARG_GEOHASH(1), PG_GETARG_GEOHASH(0)));
}

static bool
holds_point(Geohash cell, Geopoint point)
{
	return geohash_of(point, GEOHASH_PRECISION(cell)) == cell;
}

PG_FUNCTION_INFO_V1(geohash_contains_point);
Datum
geohash_contains_point(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(holds_point(PG_GETARG_GEOHASH(0), PG_GETARG_GEOPOINT(1)));
}

PG_FUNCTION_INFO_V1(geohash_point_contained);
Datum
geohash_point_contained(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(holds_point(PG_GETARG_GEOHASH(1), PG_GETARG_GEOPOINT(0)));
}

/* --- planner support: cell <@ constant is a range of a btree index --- */

/*
 * The cells inside one are exactly those between it and the last inside, so
 * "column <@ cell" (or "cell @> column") becomes two index conditions, and
 * nothing is left to recheck.
 */
static List *
index_condition(SupportRequestIndexCondition *req, bool outer_is_left)
{
	List	   *args;
	Node	   *column;
	Const	   *cell;
	Oid			type;
	Oid			ge;
	Oid			le;
	Const	   *last;
	Expr	   *low;
	Expr	   *high;

	if (is_opclause(req->node))
		args = ((OpExpr *) req->node)->args;
	else if (is_funcclause(req->node))
		args = ((FuncExpr *) req->node)->args;
	else
		return NIL;
	if (list_length(args) != 2 || req->indexarg != (outer_is_left ? 1 : 0))
		return NIL;
	column = list_nth(args, req->indexarg);
	if (!IsA(list_nth(args, 1 - req->indexarg), Const))
		return NIL;
	cell = list_nth_node(Const, args, 1 - req->indexarg);
	if (cell->constisnull)
		return NIL;

	type = cell->consttype;
	ge = get_opfamily_member(req->opfamily, type, type, BTGreaterEqualStrategyNumber);
	le = get_opfamily_member(req->opfamily, type, type, BTLessEqualStrategyNumber);
	if (!OidIsValid(ge) || !OidIsValid(le))
		return NIL;
	last = copyObject(cell);
	last->constvalue = GeohashGetDatum(last_inside(DatumGetGeohash(cell->constvalue)));
	low = make_opclause(ge, BOOLOID, false, (Expr *) column, (Expr *) copyObject(cell),
						InvalidOid, InvalidOid);
	high = make_opclause(le, BOOLOID, false, (Expr *) copyObject(column), (Expr *) last,
						 InvalidOid, InvalidOid);
	req->lossy = false;
	return list_make2(low, high);
}

PG_FUNCTION_INFO_V1(geohash_contains_support);
Datum
geohash_contains_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);

	if (IsA(request, SupportRequestIndexCondition))
		PG_RETURN_POINTER(index_condition((SupportRequestIndexCondition *) request, true));
	PG_RETURN_POINTER(NULL);
}

PG_FUNCTION_INFO_V1(geohash_contained_support);
Datum
geohash_contained_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);

	if (IsA(request, SupportRequestIndexCondition))
		PG_RETURN_POINTER(index_condition((SupportRequestIndexCondition *) request, false));
	PG_RETURN_POINTER(NULL);
}

/* --- comparison and hash: a cell, then all cells inside it --- */

PG_FUNCTION_INFO_V1(geohash_eq);
Datum
geohash_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(PG_GETARG_GEOHASH(0) == PG_GETARG_GEOHASH(1));
}

PG_FUNCTION_INFO_V1(geohash_ne);
Datum
geohash_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(PG_GETARG_GEOHASH(0) != PG_GETARG_GEOHASH(1));
}

PG_FUNCTION_INFO_V1(geohash_lt);
Datum
geohash_lt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(PG_GETARG_GEOHASH(0) < PG_GETARG_GEOHASH(1));
}

PG_FUNCTION_INFO_V1(geohash_le);
Datum
geohash_le(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(PG_GETARG_GEOHASH(0) <= PG_GETARG_GEOHASH(1));
}

PG_FUNCTION_INFO_V1(geohash_gt);
Datum
geohash_gt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(PG_GETARG_GEOHASH(0) > PG_GETARG_GEOHASH(1));
}

PG_FUNCTION_INFO_V1(geohash_ge);
Datum
geohash_ge(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(PG_GETARG_GEOHASH(0) >= PG_GETARG_GEOHASH(1));
}

PG_FUNCTION_INFO_V1(geohash_cmp);
Datum
geohash_cmp(PG_FUNCTION_ARGS)
{
	Geohash		a = PG_GETARG_GEOHASH(0);
	Geohash		b = PG_GETARG_GEOHASH(1);

	PG_RETURN_INT32(a < b ? -1 : a > b);
}

PG_FUNCTION_INFO_V1(geohash_hash);
Datum
geohash_hash(PG_FUNCTION_ARGS)
{
	Geohash		cell = PG_GETARG_GEOHASH(0);

	return hash_any((unsigned char *) &cell, sizeof(cell));
}

PG_FUNCTION_INFO_V1(geohash_hash_extended);
Datum
geohash_hash_extended(PG_FUNCTION_ARGS)
{
	Geohash		cell = PG_GETARG_GEOHASH(0);

	return hash_any_extended((unsigned char *) &cell, sizeof(cell), PG_GETARG_INT64(1));
}
