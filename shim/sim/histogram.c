/*
 * histogram.c
 *	  Percentiles of durations without keeping them.
 */
#include "histogram.h"

#include <math.h>

#define GROWTH 1.03				/* from a bucket's bound to the next one's */

void
histogram_add(Histogram *h, int64_t us)
{
	int			bucket = us < 1 ? 0 : (int) (log((double) us) / log(GROWTH));

	if (bucket >= HISTOGRAM_BUCKETS)
		bucket = HISTOGRAM_BUCKETS - 1;
	h->buckets[bucket]++;
	h->count++;
	if (us > h->largest_us)
		h->largest_us = us;
}

int64_t
histogram_percentile(const Histogram *h, double percent)
{
	uint64_t	rank = (uint64_t) ceil((double) h->count * percent / 100);
	uint64_t	passed = 0;

	if (h->count == 0)
		return 0;
	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
	{
		passed += h->buckets[i];
		if (passed >= rank)
		{
			/* the bucket's upper bound: never better than it was */
			int64_t		bound = (int64_t) pow(GROWTH, i + 1);

			return bound < h->largest_us ? bound : h->largest_us;
		}
	}
	return h->largest_us;
}

void
histogram_clear(Histogram *h)
{
	memset(h, 0, sizeof(*h));
}
