/*
 * streets.h
 *	  A made-up town: crossings joined by straight streets, with speed limits
 *	  and traffic lights.  It is computed, not stored: every crossing follows
 *	  from its two street numbers.
 */
#ifndef SIM_STREETS_H
#define SIM_STREETS_H

#include "util.h"

#define STREETS_PER_AXIS 72		/* about 10 km from end to end */

/* Directions in the order of the compass; +1 turns right. */
typedef enum Direction
{
	NORTHBOUND,
	EASTBOUND,
	SOUTHBOUND,
	WESTBOUND
} Direction;

/* Metres east and north of the town's centre. */
typedef struct Place
{
	double		east;
	double		north;
} Place;

typedef struct Crossing
{
	int			column;			/* 0 to STREETS_PER_AXIS - 1, counted from the west */
	int			row;			/* the same from the south */
} Crossing;

extern Place streets_place(Crossing c);
/* The crossing one street further; false at the edge of the town. */
extern bool streets_next(Crossing from, Direction d, Crossing *to);
extern double streets_limit_kmh(Crossing from, Direction d);
extern bool streets_has_light(Crossing c);
/* Whether traffic that arrives in direction d may go at that time. */
extern bool streets_light_is_green(Crossing c, Direction d, int64_t time_us);

#endif							/* SIM_STREETS_H */
