/*
 * time_parse.h
 *	  ISO 8601 timestamps to microseconds of the Unix epoch.
 */
#ifndef SHIM_TIME_PARSE_H
#define SHIM_TIME_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TIME_NO_ZONE INT32_MIN

/* What a number can mean: roughly PostgreSQL's range, microseconds of the Unix epoch. */
#define TIME_MIN_US INT64_C(-210866803200000000)
#define TIME_END_US INT64_C(9200000000000000000)

/*
 * YYYY-MM-DDTHH:MM:SS[.f...]ZONE: T, t or a space; years 1 to 9999; what is
 * beyond microseconds is cut; zone Z, z, +HH, +HHMM or +HH:MM, up to 15:59.  A
 * second 60 is taken at 23:59 UTC only, and is the next midnight.  Without a
 * zone, zone_seconds (east of Greenwich) is assumed, or the text refused when
 * that is TIME_NO_ZONE.
 *
 * fleet.ingest_json() must take the same.
 */
extern bool time_parse(const char *text, size_t len, int32_t zone_seconds, int64_t *us)
			__attribute__((warn_unused_result));

/* "Z", "UTC", "+HH", "+HHMM", "+HH:MM" to seconds east. */
extern bool time_parse_zone(const char *text, size_t len, int32_t *seconds)
			__attribute__((warn_unused_result));

/* Seconds of the Unix epoch at that date's midnight in UTC; the date must exist. */
extern int64_t time_of_date(int year, int month, int day);

#endif							/* SHIM_TIME_PARSE_H */
