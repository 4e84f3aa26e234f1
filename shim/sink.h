/*
 * sink.h
 *	  Where records go: batches over N database connections, outcomes back.
 *
 * A record is encoded at once, so nothing of it need outlive sink_submit.  All
 * records of one device of one source take the same connection, hence keep
 * their order.  Every record that sink_submit takes will be decided, if need
 * be after the database was away for hours; only the end of the process
 * forgets it.
 */
#ifndef SHIM_SINK_H
#define SHIM_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "record.h"

struct event_base;

typedef enum SinkVerdict
{
	SINK_ACCEPTED,				/* stored */
	SINK_REPEATED,				/* was stored before */
	SINK_REJECTED				/* in quarantine, unless sink_over_quota() says otherwise */
} SinkVerdict;

typedef struct SinkOutcome
{
	uint64_t	seq;			/* as given to sink_submit */
	SinkVerdict verdict;
	const char *code;			/* SINK_REJECTED: defect code, else "" */
	const char *field;			/* SINK_REJECTED: field at fault or "" */
} SinkOutcome;

/* When what is beyond a quota may be tried again. */
#define SINK_QUOTA_SECONDS 5

/*
 * Beyond what its tenant may send at a time?  Then it is not stored, so whoever
 * has it must not hear otherwise, and sends it again later.
 */
static inline bool
sink_over_quota(const SinkOutcome *outcome)
{
	return outcome->verdict == SINK_REJECTED && strcmp(outcome->code, "over_quota") == 0 &&
		strcmp(outcome->field, "events_per_second") == 0;
}

/* Whoever submits records: a connection, an HTTP request. */
typedef struct SinkOwner SinkOwner;

typedef struct SinkOwnerOps
{
	/*
	 * One call per committed record.  With several database connections the
	 * seqs of different devices may come out of order; those of one device do
	 * not.  The outcome's strings live until the call returns.
	 */
	void		(*decided) (void *arg, const SinkOutcome *outcome);
	/* After the last outcome of one commit for this owner: time to answer. */
	void		(*settled) (void *arg);
} SinkOwnerOps;

/* Both callbacks may call sink_submit and sink_owner_free. */
extern SinkOwner *sink_owner_new(const SinkOwnerOps *ops, void *arg);

/*
 * The owner goes away.  Its records in flight are committed all the same; no
 * callback will be called for them.
 */
extern void sink_owner_free(SinkOwner *owner);

typedef enum SinkStatus
{
	SINK_OK,					/* taken; an outcome will follow */
	SINK_FULL					/* not taken, the hard limit is reached */
} SinkStatus;

/*
 * Stop feeding when sink_full() says so; the hard limit, at which sink_submit
 * refuses, is high mark plus a quarter, room for the rest of one frame or
 * request.
 */
extern SinkStatus sink_submit(SinkOwner *owner, uint64_t seq, int32_t source_id,
							  const Record *record) __attribute__((warn_unused_result));

/* Above the high mark, and since then not yet below the low one. */
extern bool sink_full(void);

/* Bytes that can still be queued before the hard limit. */
extern size_t sink_room(void);

/* What there is room for when the queue is empty, with that high mark. */
#define SINK_HARD_LIMIT(high_bytes) ((size_t) ((high_bytes) + (high_bytes) / 4))

/* What a frame of that length may need of it, at most. */
#define SINK_NEED(length) (((size_t) 64 << 10) + 16 * (size_t) (length))

/*
 * As if the high mark had been reached: who waits for room that there is not is
 * called when there is more.  Only while something is pending.
 */
extern void sink_wait(void);

/* At least one database connection is up. */
extern bool sink_up(void);

/* Has a database connection been up since the start? */
extern bool sink_was_up(void);

/*
 * Called whenever the queue falls below the low mark after sink_full() was
 * true, and when the database comes up for the first time.  Register at the
 * start; at most SINK_HOOKS_MAX.
 */
#define SINK_HOOKS_MAX 8
extern void sink_on_ready(void (*ready) (void *arg), void *arg);

/* --- for main.c --- */
extern bool sink_start(struct event_base *base);

/* Close the open batches now and do not wait for more (drain). */
extern void sink_flush(void);

/* Records not yet decided. */
extern size_t sink_pending(void);
extern void sink_stop(void);

#endif							/* SHIM_SINK_H */
