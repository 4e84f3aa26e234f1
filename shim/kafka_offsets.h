/*
 * kafka_offsets.h
 *	  What of one partition may be committed: the offset up to which every
 *	  message that was taken is decided in the database.
 *
 *	taken     10 11 14 15 17        offsets have holes: compaction, transactions
 *	decided    x  x     x
 *	settled         ^ 12: a consumer that begins here misses nothing
 */
#ifndef SHIM_KAFKA_OFFSETS_H
#define SHIM_KAFKA_OFFSETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OFFSETS_NONE (-1)

typedef struct OffsetsEntry
{
	int64_t		offset;
	bool		decided;
} OffsetsEntry;

/* All zero, but for settled, which is OFFSETS_NONE: offsets_init. */
typedef struct Offsets
{
	OffsetsEntry *ring;			/* seq modulo size */
	size_t		size;			/* a power of two, or 0 */
	uint64_t	first;			/* seq of the oldest that is not settled */
	size_t		nwaiting;		/* taken and not settled */
	int64_t		settled;		/* where to begin after a restart */
} Offsets;

extern void offsets_init(Offsets *offsets);
extern void offsets_release(Offsets *offsets);

/*
 * A message was taken; seq is what names it from then on.  False when out of
 * memory.  In the order of arrival, which a reset of the partition may turn back.
 */
extern bool offsets_take(Offsets *offsets, int64_t offset, uint64_t *seq) __attribute__((warn_unused_result));

/* In any order; a seq that is not waiting is ignored. */
extern void offsets_decide(Offsets *offsets, uint64_t seq);

/* How many were settled by it; when not 0, settled is to be stored. */
extern size_t offsets_settle(Offsets *offsets);

/* The oldest offset that is not settled, as far as known; else OFFSETS_NONE. */
extern int64_t offsets_position(const Offsets *offsets);

#endif							/* SHIM_KAFKA_OFFSETS_H */
