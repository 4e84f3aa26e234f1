/*
 * batch.h
 *	  The reports of one statement, collected and then sent down the pipeline.
 */
#ifndef FLEET_BATCH_H
#define FLEET_BATCH_H

#include "pipeline/report.h"
#include "watch/watch.h"

/* What became of the reports of a statement; see fleet.last_batch(). */
typedef struct BatchOutcome
{
	int64		batch_id;
	int64		received;
	int64		accepted;
	int64		repeated;
	int64		late;
	int64		rejected;
} BatchOutcome;

/* What fleet.last_batch() returns; last_batch.c */
typedef struct LastBatch LastBatch;

typedef struct Batch
{
	struct Batch *outer;		/* the statement around this one, or NULL */
	int			level;			/* transaction nesting level it began at */
	Oid			sender;			/* role that runs the statement */
	Oid			view;			/* whose rows it collects; InvalidOid: it is no trigger's */
	MemoryContext context;		/* holds the batch and all it refers to */
	MemoryContext piece;		/* holds the reports; reset after each piece */
	bool		running;		/* in the pipeline now */

	Report	  **reports;		/* of the current piece */
	int64		nreports;
	int64		capacity;
	bool		exclusive;		/* more than one piece: see pipeline_run() */

	bool		tenant_seen;	/* tenant_allowed is the answer for tenant_id */
	int32		tenant_id;
	bool		tenant_allowed;

	TimestampTz now;			/* when the statement began */
	BatchOutcome outcome;
	LastBatch  *notes;			/* what the outcome does not say */
	int32		source_id;		/* the common one; 0 when there are several */
	int32		common_tenant_id;	/* the same */
	bool		source_seen;
	TimestampTz first_event_time;	/* of accepted reports; valid if any */
	TimestampTz last_event_time;
} Batch;

/* Opens a batch for the statement that starts now; it becomes the current one. */
extern Batch *batch_begin(void);
/* The innermost open batch, or NULL. */
extern Batch *batch_current(void);
/* A new report, empty but for its ordinal, in batch->piece. */
extern Report *batch_add(Batch *batch);
/* The collected reports go down the pipeline if they take much memory. */
extern void batch_limit_memory(Batch *batch);
/* Sends what is left down the pipeline, records the outcome, closes the batch. */
extern void batch_finish(Batch *batch);
/* Closes it without sending anything. */
extern void batch_close(Batch *batch);

extern void batch_init(void);

/* --- pipeline.c: the stages in order, over the collected reports --- */
extern void pipeline_run(Batch *batch);

/* --- last_batch.c --- */
extern void last_batch_begin(Batch *batch);
extern void last_batch_note(Batch *batch);	/* after each piece */
extern void last_batch_end(Batch *batch);
extern void last_batch_abort(int level);	/* of this level or deeper is void */
extern void last_batch_commit_sub(int level);

#endif							/* FLEET_BATCH_H */
