/*
 * sink_batch.c
 *	  Rows that wait for their commit, in batches, and whom they belong to.
 */
#include "sink_batch.h"

#include <stdlib.h>

#include "batch.h"
#include "clock.h"
#include "config.h"

#define BATCHES_KEPT 8			/* empty ones, for the next */
#define ROWS_FIRST 256			/* what a batch begins with, unless it may have less */

static Batch *free_batches;
static size_t nfree_batches;

/* --- owners --- */

SinkOwner *
sink_owner_new(const SinkOwnerOps *ops, void *arg)
{
	SinkOwner  *owner = malloc(sizeof(*owner));

	if (owner == NULL)
		return NULL;
	owner->ops = ops;
	owner->arg = arg;
	owner->holds = 0;
	owner->next_touched = owner;
	return owner;
}

void
sink_owner_free(SinkOwner *owner)
{
	owner->arg = NULL;
	if (owner->holds == 0)
		free(owner);
}

void
sink_owner_release(SinkOwner *owner)
{
	if (--owner->holds == 0 && owner->arg == NULL)
		free(owner);
}

/* --- batches --- */

Batch *
sink_batch_take(void)
{
	Batch	   *batch = free_batches;

	if (batch != NULL)
	{
		free_batches = batch->next;
		nfree_batches--;
		batch->next = NULL;
		return batch;
	}
	return calloc(1, sizeof(*batch));
}

void
sink_batch_give(Batch *batch)
{
	buf_release(&batch->data);
	rekeys_release(&batch->rekeys);
	batch->nrows = 0;
	if (nfree_batches < BATCHES_KEPT && batch->capacity <= 2 * (size_t) cf->batch_rows)
	{
		batch->next = free_batches;
		free_batches = batch;
		nfree_batches++;
		return;
	}
	free(batch->rows);
	free(batch);
}

size_t
sink_batch_row_end(const Batch *batch, size_t row)
{
	return row + 1 < batch->nrows ? batch->rows[row + 1].offset : buf_len(&batch->data);
}

bool
sink_batch_add(Batch *batch, SinkOwner *owner, uint64_t seq, int32_t source_id, const Record *record)
{
	size_t		offset = buf_len(&batch->data);

	if (batch->nrows == batch->capacity)
	{
		size_t		first = cf->batch_rows < ROWS_FIRST ? (size_t) cf->batch_rows : ROWS_FIRST;
		size_t		capacity = batch->capacity ? batch->capacity * 2 : first;
		BatchRow   *rows = realloc(batch->rows, capacity * sizeof(*rows));

		if (rows == NULL)
			return false;
		batch->rows = rows;
		batch->capacity = capacity;
	}
	if (!pseudonym_tell(source_id, record->device, &batch->rekeys) ||
		!batch_encode(&batch->data, source_id, clock_unix_us(), pseudonym_record(source_id, record)))
		return false;
	batch->rows[batch->nrows].offset = offset;
	batch->rows[batch->nrows].owner = owner;
	batch->rows[batch->nrows].seq = seq;
	batch->nrows++;
	return true;
}

void
sink_batches_free(Batch *batch)
{
	while (batch != NULL)
	{
		Batch	   *next = batch->next;

		for (size_t i = 0; i < batch->nrows; i++)
			sink_owner_release(batch->rows[i].owner);
		buf_release(&batch->data);
		rekeys_release(&batch->rekeys);
		free(batch->rows);
		free(batch);
		batch = next;
	}
}

void
sink_batches_forget(void)
{
	sink_batches_free(free_batches);
	free_batches = NULL;
	nfree_batches = 0;
}
