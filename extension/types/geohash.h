/*
 * geohash.h
 *	  A geohash cell in 8 bytes, passed by value.
 *
 * The upper 60 bits hold the cell's 5 bits per character, left aligned and
 * filled with zeros; the lower 4 bits hold the number of characters.  Compared
 * as unsigned integers, a cell comes right before all cells inside it.
 */
#ifndef FLEET_GEOHASH_H
#define FLEET_GEOHASH_H

#include "fmgr.h"
#include "types/geopoint.h"

#define GEOHASH_MAX_PRECISION 12	/* characters */
#define GEOHASH_BITS_PER_CHAR 5
#define GEOHASH_ZONE_PRECISION 6	/* what the product calls a zone */

typedef uint64 Geohash;

#define GeohashGetDatum(g) Int64GetDatum((int64) (g))
#define DatumGetGeohash(d) ((Geohash) DatumGetInt64(d))
#define PG_GETARG_GEOHASH(n) DatumGetGeohash(PG_GETARG_DATUM(n))
#define PG_RETURN_GEOHASH(g) return GeohashGetDatum(g)

#define GEOHASH_PRECISION(g) ((int) ((g) & 15))

/* The bits that characters 1 to precision occupy. */
static inline uint64
geohash_mask(int precision)
{
	return ~UINT64CONST(0) << (64 - GEOHASH_BITS_PER_CHAR * precision);
}

/* Edges in degrees; south and west belong to the cell, north and east do not. */
typedef struct GeohashBounds
{
	double		south;
	double		west;
	double		north;
	double		east;
} GeohashBounds;

extern Geohash geohash_of(Geopoint point, int precision);	/* precision 1 to 12 */
extern GeohashBounds geohash_bounds(Geohash cell);
/* Does outer contain inner, or equal it? */
extern bool geohash_covers(Geohash outer, Geohash inner);
/* Writes the text form, at most GEOHASH_MAX_PRECISION + 1 bytes with the zero. */
extern void geohash_print(Geohash cell, char *out);

#endif							/* FLEET_GEOHASH_H */
