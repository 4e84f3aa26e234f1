/*
 * batch.c
 *	  The buffer of one statement that writes to fleet.ingest.
 *
 * Statements nest (a function called by one may run another), so open batches
 * form a stack.  A batch lives in a child of CurTransactionContext: whatever
 * ends the statement's (sub)transaction badly also frees it, and the callbacks
 * below take it off the stack.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "fleet.h"
#include "pipeline/batch.h"
#include "pipeline/quota.h"
#include "pipeline/registry.h"

#define BATCH_FIRST_CAPACITY 256

static Batch *current_batch = NULL;

Batch *
batch_begin(void)
{
	MemoryContext context = AllocSetContextCreate(CurTransactionContext, "fleet batch",
												  ALLOCSET_DEFAULT_SIZES);
	Batch	   *batch = MemoryContextAllocZero(context, sizeof(Batch));

	batch->context = context;
	batch->piece = AllocSetContextCreate(context, "fleet reports", ALLOCSET_DEFAULT_SIZES);
	batch->sender = GetUserId();
	batch->level = GetCurrentTransactionNestLevel();
	batch->now = GetCurrentTimestamp();
	batch->outer = current_batch;
	current_batch = batch;
	last_batch_begin(batch);
	return batch;
}

Batch *
batch_current(void)
{
	return current_batch;
}

Report *
batch_add(Batch *batch)
{
	Report	   *report;

	if (batch->nreports == batch->capacity)
	{
		int64		capacity = Max(BATCH_FIRST_CAPACITY, batch->capacity * 2);

		if (batch->reports == NULL)
			batch->reports = MemoryContextAllocHuge(batch->context, capacity * sizeof(Report *));
		else
			batch->reports = repalloc_huge(batch->reports, capacity * sizeof(Report *));
		batch->capacity = capacity;
	}
	report = MemoryContextAllocZero(batch->piece, sizeof(Report));
	batch->reports[batch->nreports++] = report;
	report->ordinal = ++batch->outcome.received;
	return report;
}

static void
run_piece(Batch *batch)
{
	batch->running = true;
	pipeline_run(batch);
	batch->running = false;
	last_batch_note(batch);
	MemoryContextReset(batch->piece);
	batch->nreports = 0;
}

void
batch_limit_memory(Batch *batch)
{
	if (MemoryContextMemAllocated(batch->piece, false) < (Size) fleet_batch_memory * 1024)
		return;
	batch->exclusive = true;
	run_piece(batch);
}

void
batch_finish(Batch *batch)
{
	if (batch->nreports > 0)
		run_piece(batch);
	last_batch_end(batch);
	batch_close(batch);
}

void
batch_close(Batch *batch)
{
	Assert(batch == current_batch);
	current_batch = batch->outer;
	MemoryContextDelete(batch->context);
}

static void
batch_xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PARALLEL_ABORT:
			last_batch_abort(1);
			registry_abort();
			quota_abort();
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PARALLEL_COMMIT:
			last_batch_commit_sub(1);	/* no later rollback concerns it */
			break;
		case XACT_EVENT_PREPARE:
			break;
		default:
			return;				/* not over yet */
	}
	current_batch = NULL;
	registry_end_transaction();
}

static void
batch_subxact_callback(SubXactEvent event, SubTransactionId mine,
					   SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();

	if (event == SUBXACT_EVENT_COMMIT_SUB)
		last_batch_commit_sub(level);
	if (event != SUBXACT_EVENT_ABORT_SUB)
		return;
	while (current_batch != NULL && current_batch->level >= level)
		current_batch = current_batch->outer;
	last_batch_abort(level);
	registry_abort();
	quota_abort();
}

void
batch_init(void)
{
	RegisterXactCallback(batch_xact_callback, NULL);
	RegisterSubXactCallback(batch_subxact_callback, NULL);
}
