/*
 * compare.h
 *	  Orders of plain numbers for qsort() and bsearch().
 */
#ifndef FLEET_COMPARE_H
#define FLEET_COMPARE_H

static inline int
compare_int32(const void *a, const void *b)
{
	int32		x = *(const int32 *) a;
	int32		y = *(const int32 *) b;

	return (x > y) - (x < y);
}

static inline int
compare_int64(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return (x > y) - (x < y);
}

#endif							/* FLEET_COMPARE_H */
