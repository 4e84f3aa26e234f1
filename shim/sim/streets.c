/*
 * streets.c
 *	  A made-up town: a grid that is turned against north, its streets
 *	  unevenly spaced, every fourth a collector, every eighth an arterial.
 */
#include "streets.h"

#include <math.h>

#define SPACING_M 140.0
#define STREET_SHIFT_M 35.0		/* a whole street against its even place */
#define CROSSING_SHIFT_M 9.0	/* one crossing, so that streets bend a little */
#define TOWN_ANGLE_RAD 0.31

#define LIMIT_RESIDENTIAL_KMH 30.0
#define LIMIT_COLLECTOR_KMH 50.0
#define LIMIT_ARTERIAL_KMH 70.0

#define LIGHT_CYCLE_MIN_S 50
#define LIGHT_CYCLE_SPREAD_S 40

enum
{
	COLLECTOR_EVERY = 4,
	ARTERIAL_EVERY = 8
};

/* In [-1, 1), always the same for the same key. */
static double
steady_random(uint64_t key)
{
	return (double) (hash_mix(key * UINT64_C(0x9e3779b97f4a7c15) + 1) >> 11) * 0x1p-52 - 1.0;
}

static uint64_t
crossing_key(Crossing c)
{
	return ((uint64_t) c.row << 16 | (uint64_t) c.column) + 4096;
}

Place
streets_place(Crossing c)
{
	double		middle = (STREETS_PER_AXIS - 1) / 2.0;
	uint64_t	key = crossing_key(c);
	double		x = (c.column - middle) * SPACING_M + steady_random(c.column) * STREET_SHIFT_M +
		steady_random(key << 1) * CROSSING_SHIFT_M;
	double		y = (c.row - middle) * SPACING_M + steady_random(c.row + 1024) * STREET_SHIFT_M +
		steady_random(key << 1 | 1) * CROSSING_SHIFT_M;

	return (Place) {
		.east = x * cos(TOWN_ANGLE_RAD) + y * sin(TOWN_ANGLE_RAD),
		.north = y * cos(TOWN_ANGLE_RAD) - x * sin(TOWN_ANGLE_RAD)
	};
}

bool
streets_next(Crossing from, Direction d, Crossing *to)
{
	*to = from;
	switch (d)
	{
		case NORTHBOUND:
			return ++to->row < STREETS_PER_AXIS;
		case EASTBOUND:
			return ++to->column < STREETS_PER_AXIS;
		case SOUTHBOUND:
			return --to->row >= 0;
		case WESTBOUND:
			return --to->column >= 0;
	}
	return false;
}

static double
street_limit(int number)
{
	if (number % ARTERIAL_EVERY == 0)
		return LIMIT_ARTERIAL_KMH;
	return number % COLLECTOR_EVERY == 0 ? LIMIT_COLLECTOR_KMH : LIMIT_RESIDENTIAL_KMH;
}

double
streets_limit_kmh(Crossing from, Direction d)
{
	return street_limit(d == NORTHBOUND || d == SOUTHBOUND ? from.column : from.row);
}

/* Two main streets meet, one of them an arterial. */
bool
streets_has_light(Crossing c)
{
	double		column_limit = street_limit(c.column);
	double		row_limit = street_limit(c.row);

	return fmin(column_limit, row_limit) >= LIMIT_COLLECTOR_KMH &&
		fmax(column_limit, row_limit) >= LIMIT_ARTERIAL_KMH;
}

bool
streets_light_is_green(Crossing c, Direction d, int64_t time_us)
{
	uint64_t	key = hash_mix(crossing_key(c));
	int64_t		cycle_us = (LIGHT_CYCLE_MIN_S + (int64_t) (key % LIGHT_CYCLE_SPREAD_S)) * US_PER_S;
	int64_t		phase_us = (time_us + (int64_t) (key >> 40) * US_PER_S) % cycle_us;
	bool		first_half = phase_us < cycle_us / 2;

	return first_half == (d == NORTHBOUND || d == SOUTHBOUND);
}
