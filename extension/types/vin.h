/*
 * vin.h
 *	  Vehicle identification numbers, ISO 3779.
 */
#ifndef FLEET_VIN_H
#define FLEET_VIN_H

#include "fmgr.h"

#define VIN_LENGTH 17

/* On disk: the 17 characters in upper case, not terminated. */
typedef struct Vin
{
	char		chars[VIN_LENGTH];
} Vin;

#define DatumGetVinP(d) ((Vin *) DatumGetPointer(d))
#define PG_GETARG_VIN_P(n) DatumGetVinP(PG_GETARG_DATUM(n))

/*
 * Does a text look like a real VIN, so that it should not be stored?  Meant for
 * every text that arrives, so it is quick to say no and careful to say yes: 17
 * characters, in either case, at least one letter, four digits at the end, and
 * the check digit right or the filler ZZZ that European makers put in place of
 * a check digit's section.
 */
extern bool vin_looks_valid(const char *s, int len);

/*
 * Does a text hold one, with neither letter nor digit beside it?  Do bytes hold
 * one, whatever is beside it?  Where letters and digits go on, 17 of them fit
 * the check by chance now and then, so the maker must then have a letter and
 * character 10 name a year.  Both take time in proportion to the length.
 */
extern bool vin_in_text(const char *s, int len);
extern bool vin_in_bytes(const char *s, int len);

#endif							/* FLEET_VIN_H */
