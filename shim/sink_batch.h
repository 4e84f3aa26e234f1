/*
 * sink_batch.h
 *	  What waits in the sink's memory: owners, rows, batches.  Private to sink.c.
 */
#ifndef SHIM_SINK_BATCH_H
#define SHIM_SINK_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "pseudonym.h"
#include "record.h"
#include "sink.h"

struct SinkOwner
{
	const SinkOwnerOps *ops;
	void	   *arg;			/* NULL: gone, waits for its rows */
	size_t		holds;			/* rows in flight, and being on a touched list */
	SinkOwner  *next_touched;	/* itself: not on the list */
};

typedef struct BatchRow
{
	size_t		offset;			/* in the batch's data */
	SinkOwner  *owner;
	uint64_t	seq;
} BatchRow;

typedef struct Batch
{
	struct Batch *next;
	Buf			data;
	BatchRow   *rows;
	size_t		nrows;
	size_t		capacity;
	Rekeys		rekeys;			/* goes ahead of the rows */
	int64_t		since_us;		/* when the first row came */
} Batch;

/* One hold less; who is gone and held no more is freed. */
extern void sink_owner_release(SinkOwner *owner);

/* An empty batch, NULL when memory is out; given back when all is decided. */
extern Batch *sink_batch_take(void);
extern void sink_batch_give(Batch *batch);
/* Appends a row; false when memory is out.  The owner's holds are the caller's. */
extern bool sink_batch_add(Batch *batch, SinkOwner *owner, uint64_t seq, int32_t source_id,
						   const Record *record) __attribute__((warn_unused_result));
/* Where a row ends in the batch's data. */
extern size_t sink_batch_row_end(const Batch *batch, size_t row);

/* At the end: a list of batches, whose rows let go of their owners; the empty ones. */
extern void sink_batches_free(Batch *batch);
extern void sink_batches_forget(void);

#endif							/* SHIM_SINK_BATCH_H */
