/*
 * geopoint.c
 *	  Type geopoint: a position on WGS 84 in 8 bytes.
 *
 * Text form: (latitude,longitude) in decimal degrees.  Binary form: two int32
 * in network byte order, latitude first, in units of 1e-7 degree.
 */
#include "postgres.h"

#include <math.h>

#include "common/hashfn.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "fleet.h"
#include "types/geopoint.h"

/* "(-90.1234567,-180.1234567)" and some room */
#define GEOPOINT_TEXT_MAX 32

#define RADIANS_PER_UNIT (M_PI / 180.0 / GEOPOINT_SCALE)

/* --- checks --- */

bool
geopoint_from_degrees(double latitude, double longitude, Geopoint *result)
{
	/* written so that NaN fails */
	if (!(latitude >= -90.0 && latitude <= 90.0 &&
		  longitude >= -180.0 && longitude <= 180.0))
		return false;
	result->latitude = (int32) rint(latitude * GEOPOINT_SCALE);
	result->longitude = (int32) rint(longitude * GEOPOINT_SCALE);
	return true;
}

/* Why geopoint_from_degrees said no. */
static bool
complain_range(double latitude, double longitude, Node *escontext)
{
	if (!(latitude >= -90.0 && latitude <= 90.0))
		ereturn(escontext, false,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("latitude out of range for type geopoint"),
				 errdetail("Latitude is %.10g, must be between -90 and 90 degrees.", latitude),
				 fabs(latitude) <= 180.0 && fabs(longitude) <= 90.0 ?
				 errhint("Latitude comes first, then longitude.") : 0));
	ereturn(escontext, false,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("longitude out of range for type geopoint"),
			 errdetail("Longitude is %.10g, must be between -180 and 180 degrees.", longitude)));
}

/* --- parser and printer --- */

static const char *
skip_space(const char *p)
{
	while (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')
		p++;
	return p;
}

/*
 * Reads a plain decimal number.  strtod alone would also take hexadecimal
 * forms, "nan" and "infinity".
 */
static bool
parse_degrees(const char **pos, double *result)
{
	const char *p = *pos;
	char	   *end;
	int			digits = 0;

	if (*p == '-' || *p == '+')
		p++;
	for (; *p >= '0' && *p <= '9'; p++)
		digits++;
	if (*p == '.')
		for (p++; *p >= '0' && *p <= '9'; p++)
			digits++;
	if (digits == 0)
		return false;
	if (*p == 'e' || *p == 'E')
	{
		p++;
		if (*p == '-' || *p == '+')
			p++;
		if (!(*p >= '0' && *p <= '9'))
			return false;
		while (*p >= '0' && *p <= '9')
			p++;
	}
	*result = strtod(*pos, &end);
	if (end != p)
		return false;
	*pos = p;
	return true;
}

static bool
geopoint_parse(const char *str, Geopoint *result, Node *escontext)
{
	const char *p = skip_space(str);
	double		latitude;
	double		longitude;
	const char *expected;

	expected = "\"(\"";
	if (*p != '(')
		goto syntax;
	p = skip_space(p + 1);
	expected = "the latitude, a decimal number,";
	if (!parse_degrees(&p, &latitude))
		goto syntax;
	p = skip_space(p);
	expected = "\",\"";
	if (*p != ',')
		goto syntax;
	p = skip_space(p + 1);
	expected = "the longitude, a decimal number,";
	if (!parse_degrees(&p, &longitude))
		goto syntax;
	p = skip_space(p);
	expected = "\")\"";
	if (*p != ')')
		goto syntax;
	p = skip_space(p + 1);
	expected = "the end";
	if (*p != '\0')
		goto syntax;

	if (!geopoint_from_degrees(latitude, longitude, result))
		return complain_range(latitude, longitude, escontext);
	return true;

syntax:
	ereturn(escontext, false,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("invalid input syntax for type geopoint: \"%s\"", str),
			 errdetail("Expected %s at character %d.", expected,
					   pg_mbstrlen_with_len(str, p - str) + 1),
			 errhint("Write (latitude,longitude) in degrees, such as (50.1105,8.6821).")));
}

/* Shortest exact form of v * 1e-7. */
static char *
print_degrees(char *out, int32 v)
{
	uint32		u = v < 0 ? -(uint32) v : (uint32) v;
	uint32		fraction = u % GEOPOINT_SCALE;

	if (v < 0)
		*out++ = '-';
	out += pg_ultoa_n(u / GEOPOINT_SCALE, out);
	if (fraction != 0)
	{
		int			digits = 7;

		while (fraction % 10 == 0)
		{
			fraction /= 10;
			digits--;
		}
		*out++ = '.';
		for (int i = digits - 1; i >= 0; i--)
		{
			out[i] = '0' + fraction % 10;
			fraction /= 10;
		}
		out += digits;
	}
	return out;
}

/* --- input and output --- */

PG_FUNCTION_INFO_V1(geopoint_in);
Datum
geopoint_in(PG_FUNCTION_ARGS)
{
	Geopoint	result;

	if (!geopoint_parse(PG_GETARG_CSTRING(0), &result, fcinfo->context))
		PG_RETURN_NULL();
	PG_RETURN_GEOPOINT(result);
}

PG_FUNCTION_INFO_V1(geopoint_out);
Datum
geopoint_out(PG_FUNCTION_ARGS)
{
	Geopoint	point = PG_GETARG_GEOPOINT(0);
	char	   *result = palloc(GEOPOINT_TEXT_MAX);
	char	   *out = result;

	*out++ = '(';
	out = print_degrees(out, point.latitude);
	*out++ = ',';
	out = print_degrees(out, point.longitude);
	*out++ = ')';
	*out = '\0';
	PG_RETURN_CSTRING(result);
}

PG_FUNCTION_INFO_V1(geopoint_recv);
Datum
geopoint_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	Geopoint	result;

	result.latitude = pq_getmsgint(buf, 4);
	result.longitude = pq_getmsgint(buf, 4);
	if (result.latitude < -GEOPOINT_MAX_LATITUDE || result.latitude > GEOPOINT_MAX_LATITUDE ||
		result.longitude < -GEOPOINT_MAX_LONGITUDE || result.longitude > GEOPOINT_MAX_LONGITUDE)
		complain_range(geopoint_latitude_deg(result), geopoint_longitude_deg(result), NULL);
	PG_RETURN_GEOPOINT(result);
}

PG_FUNCTION_INFO_V1(geopoint_send);
Datum
geopoint_send(PG_FUNCTION_ARGS)
{
	Geopoint	point = PG_GETARG_GEOPOINT(0);
	StringInfoData buf;

	pq_begintypsend(&buf);
	pq_sendint32(&buf, point.latitude);
	pq_sendint32(&buf, point.longitude);
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

/* --- constructor, accessors, casts --- */

PG_FUNCTION_INFO_V1(geopoint_make);
Datum
geopoint_make(PG_FUNCTION_ARGS)
{
	double		latitude = PG_GETARG_FLOAT8(0);
	double		longitude = PG_GETARG_FLOAT8(1);
	Geopoint	result;

	if (!geopoint_from_degrees(latitude, longitude, &result))
		complain_range(latitude, longitude, NULL);
	PG_RETURN_GEOPOINT(result);
}

PG_FUNCTION_INFO_V1(geopoint_latitude);
Datum
geopoint_latitude(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(geopoint_latitude_deg(PG_GETARG_GEOPOINT(0)));
}

PG_FUNCTION_INFO_V1(geopoint_longitude);
Datum
geopoint_longitude(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(geopoint_longitude_deg(PG_GETARG_GEOPOINT(0)));
}

/*
 * geopoint_from_parts(srid int, geometry_type text, empty bool, latitude
 * float8, longitude float8): the checks behind the cast from geometry, whose
 * SQL body takes the geometry apart.
 */
PG_FUNCTION_INFO_V1(geopoint_from_parts);
Datum
geopoint_from_parts(PG_FUNCTION_ARGS)
{
	int32		srid = PG_GETARG_INT32(0);
	char	   *type = text_to_cstring(PG_GETARG_TEXT_PP(1));
	bool		empty = PG_GETARG_BOOL(2);
	double		latitude;
	double		longitude;
	Geopoint	result;

	if (strcmp(type, "ST_Point") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cannot convert geometry to type geopoint"),
				 errdetail("The geometry is of type %s, must be ST_Point.", type)));
	if (srid != 4326)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cannot convert geometry to type geopoint"),
				 errdetail("The SRID is %d, must be 4326 (WGS 84).", srid),
				 srid == 0 ?
				 errhint("If the coordinates are WGS 84 degrees, say so with ST_SetSRID(geometry, 4326).") :
				 errhint("Use ST_Transform(geometry, 4326).")));
	if (empty)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cannot convert geometry to type geopoint"),
				 errdetail("The point is empty.")));

	latitude = PG_GETARG_FLOAT8(3);
	longitude = PG_GETARG_FLOAT8(4);
	if (!geopoint_from_degrees(latitude, longitude, &result))
		complain_range(latitude, longitude, NULL);
	PG_RETURN_GEOPOINT(result);
}

/* --- geometry on the sphere --- */

double
geopoint_distance_m(Geopoint a, Geopoint b)
{
	double		phi_a = a.latitude * RADIANS_PER_UNIT;
	double		phi_b = b.latitude * RADIANS_PER_UNIT;

	/* differences in integers: no cancellation when the points are close */
	double		sin_dphi = sin(((int64) b.latitude - a.latitude) * RADIANS_PER_UNIT / 2);
	double		sin_dlambda = sin(((int64) b.longitude - a.longitude) * RADIANS_PER_UNIT / 2);
	double		h = sin_dphi * sin_dphi + cos(phi_a) * cos(phi_b) * sin_dlambda * sin_dlambda;

	return 2 * GEOPOINT_EARTH_RADIUS_M * asin(h < 1 ? sqrt(h) : 1);
}

double
geopoint_bearing_deg(Geopoint a, Geopoint b)
{
	double		phi_a = a.latitude * RADIANS_PER_UNIT;
	double		phi_b = b.latitude * RADIANS_PER_UNIT;
	double		dlambda = ((int64) b.longitude - a.longitude) * RADIANS_PER_UNIT;
	double		y = sin(dlambda) * cos(phi_b);
	double		x = cos(phi_a) * sin(phi_b) - sin(phi_a) * cos(phi_b) * cos(dlambda);
	double		degrees = atan2(y, x) * (180.0 / M_PI);

	if (degrees < 0)
		degrees += 360.0;
	/* a tiny negative angle rounds up to 360; also drops -0 */
	return degrees >= 360.0 || degrees == 0 ? 0.0 : degrees;
}

PG_FUNCTION_INFO_V1(geopoint_distance);
Datum
geopoint_distance(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(geopoint_distance_m(PG_GETARG_GEOPOINT(0), PG_GETARG_GEOPOINT(1)));
}

/* Null when both points are the same: there is no direction. */
PG_FUNCTION_INFO_V1(geopoint_bearing);
Datum
geopoint_bearing(PG_FUNCTION_ARGS)
{
	Geopoint	a = PG_GETARG_GEOPOINT(0);
	Geopoint	b = PG_GETARG_GEOPOINT(1);

	if (a.latitude == b.latitude && a.longitude == b.longitude)
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(geopoint_bearing_deg(a, b));
}

/* --- comparison and hash: by latitude, then longitude --- */

static int
geopoint_compare(Geopoint a, Geopoint b)
{
	if (a.latitude != b.latitude)
		return a.latitude < b.latitude ? -1 : 1;
	if (a.longitude != b.longitude)
		return a.longitude < b.longitude ? -1 : 1;
	return 0;
}

PG_FUNCTION_INFO_V1(geopoint_eq);
Datum
geopoint_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(geopoint_compare(PG_GETARG_GEOPOINT(0), PG_GETARG_GEOPOINT(1)) == 0);
}

PG_FUNCTION_INFO_V1(geopoint_ne);
Datum
geopoint_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(geopoint_compare(PG_GETARG_GEOPOINT(0), PG_GETARG_GEOPOINT(1)) != 0);
}

PG_FUNCTION_INFO_V1(geopoint_lt);
Datum
geopoint_lt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(geopoint_compare(PG_GETARG_GEOPOINT(0), PG_GETARG_GEOPOINT(1)) < 0);
}

PG_FUNCTION_INFO_V1(geopoint_le);
Datum
geopoint_le(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(geopoint_compare(PG_GETARG_GEOPOINT(0), PG_GETARG_GEOPOINT(1)) <= 0);
}

PG_FUNCTION_INFO_V1(geopoint_gt);
Datum
geopoint_gt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(geopoint_compare(PG_GETARG_GEOPOINT(0), PG_GETARG_GEOPOINT(1)) > 0);
}

PG_FUNCTION_INFO_V1(geopoint_ge);
Datum
geopoint_ge(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(geopoint_compare(PG_GETARG_GEOPOINT(0), PG_GETARG_GEOPOINT(1)) >= 0);
}

PG_FUNCTION_INFO_V1(geopoint_cmp);
Datum
geopoint_cmp(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(geopoint_compare(PG_GETARG_GEOPOINT(0), PG_GETARG_GEOPOINT(1)));
}

PG_FUNCTION_INFO_V1(geopoint_hash);
Datum
geopoint_hash(PG_FUNCTION_ARGS)
{
	Geopoint	point = PG_GETARG_GEOPOINT(0);

	return hash_any((unsigned char *) &point, sizeof(point));
}

PG_FUNCTION_INFO_V1(geopoint_hash_extended);
Datum
geopoint_hash_extended(PG_FUNCTION_ARGS)
{
	Geopoint	point = PG_GETARG_GEOPOINT(0);

	return hash_any_extended((unsigned char *) &point, sizeof(point), PG_GETARG_INT64(1));
}
