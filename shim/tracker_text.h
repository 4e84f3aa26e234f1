/*
 * tracker_text.h
 *	  What the texts and digits of trackers have in common: fields between
 *	  separators, NMEA angles, dates of two-digit years, BCD, hexadecimal.
 *
 * A function that can fail says so, and leaves its result alone then.
 */
#ifndef SHIM_TRACKER_TEXT_H
#define SHIM_TRACKER_TEXT_H

#include <string.h>

#include "record.h"

/*
 * Cuts the field before the next separator off rest, the separator too; the
 * last field is all that is left.  False when rest has been used up: then
 * rest->data is NULL, which tells "a,b," (three fields) from "a,b".
 */
extern bool tracker_field(Str *rest, char separator, Str *field) __attribute__((warn_unused_result));

/* In the header, so that the length of a literal costs nothing. */
static inline bool
tracker_equals(Str text, const char *word)
{
	size_t		len = strlen(word);

	return text.len == len && (len == 0 || memcmp(text.data, word, len) == 0);
}

/* count digits, nothing else. */
extern bool tracker_digits(const char *text, size_t count, int *value) __attribute__((warn_unused_result));

/* A decimal number with optional sign and fraction, and nothing besides. */
extern bool tracker_number(Str text, double *value) __attribute__((warn_unused_result));

/* 1 to 16 hexadecimal digits. */
extern bool tracker_hex(Str text, uint64_t *value) __attribute__((warn_unused_result));

/*
 * [-]ddmm.mmmm or [-]dddmm.mmmm with hemisphere N, S, E or W to degrees; the
 * two digits before the point are minutes, whatever stands before them degrees.
 */
extern bool tracker_angle(Str text, char hemisphere, double *degrees) __attribute__((warn_unused_result));

/*
 * Microseconds of the Unix epoch.  The year may have two digits: 70 to 99 are
 * 1970 to 1999, others 2000 to 2069.  What is no time of the calendar fails.
 */
extern bool tracker_time(int year, int month, int day, int hour, int minute, int second,
						 int64_t *us) __attribute__((warn_unused_result));

/*
 * Times as digits: hhmmss (a fraction may follow) with ddmmyy or yymmdd, and
 * yyyymmddhhmmss or yymmddhhmmss in one.
 */
extern bool tracker_time_ddmmyy(Str hhmmss, Str ddmmyy, int64_t *us) __attribute__((warn_unused_result));
extern bool tracker_time_yymmdd(Str hhmmss, Str yymmdd, int64_t *us) __attribute__((warn_unused_result));
extern bool tracker_time_digits(Str digits, int64_t *us) __attribute__((warn_unused_result));

/* Two digits a byte; false when a nibble is none.  out gets 2 * n and a NUL. */
extern bool tracker_bcd(const void *bytes, size_t n, char *out) __attribute__((warn_unused_result));

/* 2 * n lower-case digits, no NUL; those of X in place of a VIN. */
extern void tracker_to_hex(const void *bytes, size_t n, char *out);

#endif							/* SHIM_TRACKER_TEXT_H */
