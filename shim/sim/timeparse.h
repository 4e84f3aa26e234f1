/*
 * timeparse.h
 *	  Times as recorded tracks write them.
 */
#ifndef SIM_TIMEPARSE_H
#define SIM_TIMEPARSE_H

#include "util.h"

/* Where times without an offset of their own belong: an IANA name or "+05:30"; dies on others. */
extern void time_set_zone(const char *zone);

/*
 * Parses the whole text.  format NULL guesses: ISO 8601 with 'T' or a blank,
 * month/day/year, or an epoch, in seconds, milliseconds or microseconds by its
 * size.  Else format is "iso", "s", "ms", "us", or a pattern of %Y %y %m %d %H
 * %M %S (fraction included) %z %b %p %I and literal text.
 */
extern bool time_parse(const char *text, const char *format, int64_t *time_us);

#endif							/* SIM_TIMEPARSE_H */
