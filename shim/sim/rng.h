/*
 * rng.h
 *	  Reproducible random numbers (xorshift64*): the same seed drives the same
 *	  fleet on every machine, which rand() would not promise.
 */
#ifndef SIM_RNG_H
#define SIM_RNG_H

#include "util.h"

typedef struct Rng
{
	uint64_t	state;			/* never 0 */
} Rng;

static inline Rng
rng_make(uint64_t seed, uint64_t stream)
{
	uint64_t	state = hash_mix(hash_mix(seed + UINT64_C(0x9e3779b97f4a7c15)) + stream);

	return (Rng) {state ? state : 1};
}

static inline uint64_t
rng_next(Rng *r)
{
	r->state ^= r->state >> 12;
	r->state ^= r->state << 25;
	r->state ^= r->state >> 27;
	return r->state * UINT64_C(0x2545f4914f6cdd1d);
}

/* In [0, 1). */
static inline double
rng_unit(Rng *r)
{
	return (rng_next(r) >> 11) * 0x1p-53;
}

static inline double
rng_between(Rng *r, double low, double high)
{
	return low + (high - low) * rng_unit(r);
}

/* In [0, n). */
static inline uint32_t
rng_below(Rng *r, uint32_t n)
{
	return (uint32_t) (((rng_next(r) >> 32) * n) >> 32);
}

static inline bool
rng_chance(Rng *r, double probability)
{
	return rng_unit(r) < probability;
}

#endif							/* SIM_RNG_H */
