/*
 * vin.h
 *	  Vehicle identification numbers, ISO 3779, wherever they stand.
 */
#ifndef SHIM_VIN_H
#define SHIM_VIN_H

#include <stdbool.h>
#include <stddef.h>

#define VIN_LENGTH 17

/*
 * Do the 17 characters look like a real one?  In either case, at least one
 * letter, four digits at the end, and the check digit right or the filler ZZZ
 * that European makers put in place of a check digit's section.
 */
extern bool vin_looks_valid(const char *s);

typedef enum VinSearch
{
	VIN_IN_TEXT,				/* with neither letter nor digit beside it */
	/*
	 * Whatever is beside it.  Where letters and digits go on, 17 of them fit
	 * the check by chance now and then, so the maker must then have a letter
	 * and character 10 name a year.
	 */
	VIN_IN_BYTES
} VinSearch;

/*
 * Where the first one at or after from begins; len when there is none.  from is
 * 0 or just behind one.  Takes time in proportion to the length.
 */
extern size_t vin_find(const char *data, size_t len, size_t from, VinSearch search);

/* Writes X over each; how many there were. */
extern unsigned vin_mask(char *data, size_t len, VinSearch search);

#endif							/* SHIM_VIN_H */
