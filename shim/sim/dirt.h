/*
 * dirt.h
 *	  What real fleets do to their data: a filter between generator and client.
 */
#ifndef SIM_DIRT_H
#define SIM_DIRT_H

#include "dialect.h"
#include "message.h"
#include "rng.h"

typedef enum DirtKind
{
	DIRT_REPEAT,				/* the same line twice */
	DIRT_ORDER,					/* a line that comes after younger ones */
	DIRT_GAP,					/* reports that never come */
	DIRT_MALFORMED,				/* broken, incomplete or impossible documents */
	DIRT_CLOCK,					/* a clock that is years off */
	DIRT_JITTER					/* a parked vehicle whose fix wanders */
} DirtKind;

#define DIRT_KINDS 6

extern const char *const dirt_names[DIRT_KINDS];

typedef struct DirtCounts
{
	uint64_t	of[DIRT_KINDS];
} DirtCounts;

/* A line for the wire; content 0: it must not become an event. */
typedef void (*DirtEmit) (void *context, const char *device, int64_t time_us, uint64_t content,
						  const char *line, size_t len);

typedef struct Dirt Dirt;

/* kinds: a set of bits 1 << DirtKind; dialect NULL: documents */
extern Dirt *dirt_create(uint64_t seed, double percent, unsigned kinds, int vehicles,
						 const Dialect *dialect, DirtEmit emit, void *context);
/* Parses "repeats,order,..." or dies. */
extern unsigned dirt_parse_kinds(const char *text);
/* How far a parked vehicle's fix should wander, metres; 0 mostly. */
extern double dirt_jitter_m(Dirt *d);
/* Passes the report of vehicle `number` on, unharmed or not. */
extern void dirt_pass(Dirt *d, int number, Message *m);
/* Emits what is still held back. */
extern void dirt_finish(Dirt *d);
extern const DirtCounts *dirt_counts(const Dirt *d);
extern void dirt_free(Dirt *d);

#endif							/* SIM_DIRT_H */
