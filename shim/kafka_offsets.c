/*
 * kafka_offsets.c
 *	  What of one partition may be committed.
 */
#include "kafka_offsets.h"

#include <stdlib.h>
#include <string.h>

#define SIZE_FIRST 64

void
offsets_init(Offsets *offsets)
{
	memset(offsets, 0, sizeof(*offsets));
	offsets->settled = OFFSETS_NONE;
}

void
offsets_release(Offsets *offsets)
{
	free(offsets->ring);
	offsets_init(offsets);
}

static OffsetsEntry *
entry(const Offsets *offsets, uint64_t seq)
{
	return &offsets->ring[seq & (offsets->size - 1)];
}

/* Twice the ring; entries keep their seq, hence move. */
static bool
grow(Offsets *offsets)
{
	size_t		size = offsets->size ? offsets->size * 2 : SIZE_FIRST;
	OffsetsEntry *ring;

	if (size > SIZE_MAX / 2 / sizeof(*ring))
		return false;
	ring = malloc(size * sizeof(*ring));
	if (ring == NULL)
		return false;
	for (uint64_t seq = offsets->first; seq < offsets->first + offsets->nwaiting; seq++)
		ring[seq & (size - 1)] = *entry(offsets, seq);
	free(offsets->ring);
	offsets->ring = ring;
	offsets->size = size;
	return true;
}

bool
offsets_take(Offsets *offsets, int64_t offset, uint64_t *seq)
{
	if (offsets->nwaiting == offsets->size && !grow(offsets))
		return false;
	*seq = offsets->first + offsets->nwaiting++;
	*entry(offsets, *seq) = (OffsetsEntry) {offset, false};
	return true;
}

void
offsets_decide(Offsets *offsets, uint64_t seq)
{
	if (seq >= offsets->first && seq - offsets->first < offsets->nwaiting)
		entry(offsets, seq)->decided = true;
}

size_t
offsets_settle(Offsets *offsets)
{
	size_t		n = 0;

	while (offsets->nwaiting > 0 && entry(offsets, offsets->first)->decided)
	{
		offsets->settled = entry(offsets, offsets->first)->offset + 1;
		offsets->first++;
		offsets->nwaiting--;
		n++;
	}
	return n;
}

int64_t
offsets_position(const Offsets *offsets)
{
	return offsets->nwaiting > 0 ? entry(offsets, offsets->first)->offset : offsets->settled;
}
