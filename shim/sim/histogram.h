/*
 * histogram.h
 *	  Percentiles of durations without keeping them: buckets 3 % wide.
 */
#ifndef SIM_HISTOGRAM_H
#define SIM_HISTOGRAM_H

#include "util.h"

#define HISTOGRAM_BUCKETS 1024

typedef struct Histogram
{
	uint64_t	buckets[HISTOGRAM_BUCKETS];
	uint64_t	count;
	int64_t		largest_us;
} Histogram;

extern void histogram_add(Histogram *h, int64_t us);
/* In microseconds; 0 when it is empty. */
extern int64_t histogram_percentile(const Histogram *h, double percent);
extern void histogram_clear(Histogram *h);

#endif							/* SIM_HISTOGRAM_H */
