/*
 * geopoint.h
 *	  A position on WGS 84 in 8 bytes, passed by value.
 *
 * Latitude and longitude are int32 in units of 1e-7 degree (1.1 cm at most),
 * which is what trackers send.  Longitude -180 is stored as it is, not folded
 * to 180.
 */
#ifndef FLEET_GEOPOINT_H
#define FLEET_GEOPOINT_H

#include "fmgr.h"

#define GEOPOINT_SCALE 10000000
#define GEOPOINT_MAX_LATITUDE (90 * GEOPOINT_SCALE)
#define GEOPOINT_MAX_LONGITUDE (180 * GEOPOINT_SCALE)
/* mean radius of the sphere that distances are computed on, metres (IUGG R1) */
#define GEOPOINT_EARTH_RADIUS_M 6371008.8

typedef struct Geopoint
{
	int32		latitude;		/* 1e-7 degree, -90 to 90 degrees */
	int32		longitude;		/* 1e-7 degree, -180 to 180 degrees */
} Geopoint;

/* The datum holds latitude in the upper half, longitude in the lower. */
static inline Datum
GeopointGetDatum(Geopoint p)
{
	return Int64GetDatum(((int64) p.latitude << 32) | (uint32) p.longitude);
}

static inline Geopoint
DatumGetGeopoint(Datum d)
{
	int64		v = DatumGetInt64(d);
	Geopoint	p = {(int32) (v >> 32), (int32) (uint32) v};

	return p;
}

#define PG_GETARG_GEOPOINT(n) DatumGetGeopoint(PG_GETARG_DATUM(n))
#define PG_RETURN_GEOPOINT(p) return GeopointGetDatum(p)

static inline double
geopoint_latitude_deg(Geopoint p)
{
	return p.latitude / (double) GEOPOINT_SCALE;
}

static inline double
geopoint_longitude_deg(Geopoint p)
{
	return p.longitude / (double) GEOPOINT_SCALE;
}

/* From degrees, rounded to 1e-7; false when out of range, infinite or NaN. */
extern bool geopoint_from_degrees(double latitude, double longitude, Geopoint *result);
/* Great-circle distance on the sphere, metres (haversine). */
extern double geopoint_distance_m(Geopoint a, Geopoint b);
/* Initial bearing from a to b, degrees clockwise from north in [0, 360). */
extern double geopoint_bearing_deg(Geopoint a, Geopoint b);

#endif							/* FLEET_GEOPOINT_H */
