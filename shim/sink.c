/*
 * sink.c
 *	  Lanes: each a database connection, the batch that fills, those that wait
 *	  and the one in flight.
 *
 *	sink_submit -> open batch -> (rows or time) -> waiting -> flight -> outcomes
 *
 * This is where every record passes, so this is where VINs end: pseudonym.c.
 *
 * A batch in flight is a stack of spans over its rows.  At first one span has
 * them all.  When the server refuses a row's content, the span is halved until
 * the guilty row stands alone; that row is then sent as malformed.  When the
 * connection is lost or the server is unable, the same span is sent again: the
 * pipeline knows repeats, so an unknown outcome does no harm.
 */
#include "sink.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch.h"
#include "clock.h"
#include "config.h"
#include "db.h"
#include "log.h"
#include "pseudonym.h"
#include "sink_batch.h"
#include "stats.h"
#include "verdicts.h"

#define COPY_PIECE ((size_t) 128 << 10) /* bytes handed to libpq at once */
#define BATCH_BYTES_MAX ((size_t) 8 << 20)	/* a batch is sent when it has so much */
#define BATCH_OVERHEAD ((size_t) 640)	/* a batch beyond its rows: there may be one for each */
#define SPANS_MAX 64			/* halving 2^32 rows leaves 33 */

#define SINK_QUERY BATCH_COPY \
	"; SELECT batch_id, accepted, repeated, late, rejected, refused, repeats FROM fleet.last_batch()"

typedef enum SpanMode
{
	SPAN_ROWS,					/* as they are */
	SPAN_SALVAGE,				/* one row, as malformed */
	SPAN_SALVAGE_BARE			/* the same, without its device */
} SpanMode;

typedef struct Span
{
	size_t		from;
	size_t		to;				/* past the last row */
	SpanMode	mode;
} Span;

typedef enum LaneState
{
	LANE_AWAY,					/* no connection */
	LANE_IDLE,
	LANE_SENDING,				/* a span is in flight */
	LANE_HELD					/* waits before it sends the span again */
} LaneState;

typedef struct Lane
{
	int			number;
	LaneState	state;
	Db		   *db;
	Batch	   *open;			/* fills; NULL: none */
	bool		open_due;		/* its time is over */
	Batch	   *waiting;		/* closed, in order */
	Batch	  **waiting_end;
	Batch	   *flight;
	Span		spans[SPANS_MAX];
	size_t		nspans;			/* the last one is in flight */
	struct event *due_timer;	/* of the open batch */
	struct event *held_timer;	/* LANE_HELD: send again; LANE_SENDING: patience */
	unsigned	failures;		/* of this span, in a row */
	int64_t		sent_us;

	/* the COPY that runs */
	Buf			salvaged;		/* the row of a salvage span */
	int			copy_step;		/* header, rows, trailer */
	size_t		copy_at;
	size_t		copy_end;

	/* what the server said of it */
	char		sqlstate[6];	/* "": no error */
	PGresult   *answer;			/* of last_batch() */
} Lane;

static struct event_base *base;
static Lane *lanes;
static size_t nlanes;
static size_t lanes_up;
static bool was_up;
static bool draining;
static bool full;
static size_t queue_bytes;
static size_t queue_rows;
static Verdicts verdicts;		/* of the span being settled */
static struct
{
	void		(*ready) (void *arg);
	void	   *arg;
}			hooks[SINK_HOOKS_MAX];
static size_t nhooks;

static void lane_next(Lane *lane);

/* --- the queue and its marks --- */

static size_t
hard_limit(void)
{
	return SINK_HARD_LIMIT(cf->queue_high_bytes);
}

bool
sink_full(void)
{
	return full;
}

size_t
sink_room(void)
{
	size_t		limit = hard_limit();

	return queue_bytes < limit ? limit - queue_bytes : 0;
}

void
sink_wait(void)
{
	if (queue_rows > 0)
		full = true;
}

bool
sink_up(void)
{
	return lanes_up > 0;
}

bool
sink_was_up(void)
{
	return was_up;
}

size_t
sink_pending(void)
{
	return queue_rows;
}

void
sink_on_ready(void (*ready) (void *arg), void *arg)
{
	if (nhooks == SINK_HOOKS_MAX)
	{
		log_fatal("too_many_sink_hooks");
		abort();
	}
	hooks[nhooks].ready = ready;
	hooks[nhooks++].arg = arg;
}

static void
call_hooks(void)
{
	for (size_t i = 0; i < nhooks; i++)
		hooks[i].ready(hooks[i].arg);
}

static void
account(size_t rows, size_t bytes, bool added)
{
	if (added)
	{
		queue_rows += rows;
		queue_bytes += bytes;
	}
	else
	{
		queue_rows -= rows;
		queue_bytes -= bytes;
	}
	stats_gauge_set(GAUGE_QUEUE_ROWS, (double) queue_rows);
	stats_gauge_set(GAUGE_QUEUE_BYTES, (double) queue_bytes);
	if (queue_bytes > (size_t) cf->queue_high_bytes)
		full = true;
}

/* --- submitting --- */

/* The open batch takes no more rows. */
static void
lane_close_batch(Lane *lane)
{
	event_del(lane->due_timer);
	*lane->waiting_end = lane->open;
	lane->waiting_end = &lane->open->next;
	lane->open->next = NULL;
	lane->open = NULL;
	lane->open_due = false;
}

static uint32_t
hash_device(int32_t source_id, Str device)
{
	uint32_t	h = 2166136261u ^ (uint32_t) source_id;

	for (uint32_t i = 0; i < device.len; i++)
		h = (h ^ (unsigned char) device.data[i]) * 16777619u;
	/* FNV's low bits are weak, and they choose the lane. */
	return h ^ (h >> 15);
}

SinkStatus
sink_submit(SinkOwner *owner, uint64_t seq, int32_t source_id, const Record *record)
{
	Str			device = pseudonym_device(source_id, record->device);
	Lane	   *lane = &lanes[hash_device(source_id, device) % nlanes];
	Batch	   *batch;
	size_t		before;

	if (sink_room() == 0)
		return SINK_FULL;
	if (lane->open == NULL)
	{
		struct timeval tv = {cf->batch_milliseconds / 1000, (cf->batch_milliseconds % 1000) * 1000};

		lane->open = sink_batch_take();
		if (lane->open == NULL)
			return SINK_FULL;
		account(0, BATCH_OVERHEAD, true);
		lane->open->since_us = clock_us();
		lane->open_due = draining;
		if (!draining)
			event_add(lane->due_timer, &tv);
	}
	batch = lane->open;
	before = buf_len(&batch->data);
	if (!sink_batch_add(batch, owner, seq, source_id, record))
		return SINK_FULL;
	owner->holds++;
	account(1, buf_len(&batch->data) - before + sizeof(BatchRow), true);
	stats_inc(STAT_RECORDS);

	if (batch->nrows >= (size_t) cf->batch_rows || buf_len(&batch->data) >= BATCH_BYTES_MAX)
		lane_close_batch(lane);
	if (lane->state == LANE_IDLE && (lane->open == NULL || lane->open_due))
		lane_next(lane);
	return SINK_OK;
}

/* --- sending --- */

/* How often rows that may not be to blame are sent again as they are. */
#define RETRIES_FIRST 3

static void
hold(Lane *lane)
{
	unsigned	ms = db_backoff_ms(lane->failures++);
	struct timeval tv = {ms / 1000, (ms % 1000) * 1000};

	lane->state = LANE_HELD;
	event_add(lane->held_timer, &tv);
}

static void
send_span(Lane *lane)
{
	Span	   *span = &lane->spans[lane->nspans - 1];
	Batch	   *batch = lane->flight;
	Buf			query = {0};

	buf_release(&lane->salvaged);
	if (span->mode == SPAN_ROWS)
	{
		lane->copy_at = batch->rows[span->from].offset;
		lane->copy_end = sink_batch_row_end(batch, span->to - 1);
	}
	else
	{
		size_t		at = batch->rows[span->from].offset;

		if (!batch_salvage(&lane->salvaged, buf_data(&batch->data) + at,
						   sink_batch_row_end(batch, span->from) - at, span->mode == SPAN_SALVAGE))
		{
			log_error("row_not_salvaged", log_int("lane", lane->number));
			hold(lane);
			return;
		}
		lane->copy_at = 0;
		lane->copy_end = buf_len(&lane->salvaged);
	}
	/* In one transaction: among how many the quotas are shared, identities that the rows need, the rows. */
	if (!buf_printf(&query, "SET LOCAL fleet.ingest_sessions = %zu; ", nlanes) ||
		!rekeys_sql(&batch->rekeys, &query) || !buf_add(&query, SINK_QUERY, sizeof(SINK_QUERY)))
	{
		log_error("out_of_memory", log_int("lane", lane->number));
		buf_release(&query);
		hold(lane);
		return;
	}
	lane->copy_step = 0;
	lane->sqlstate[0] = '\0';
	PQclear(lane->answer);
	lane->answer = NULL;
	lane->sent_us = clock_us();
	lane->state = LANE_SENDING;
	if (cf->commit_seconds > 0)
	{
		struct timeval tv = {cf->commit_seconds, 0};

		event_add(lane->held_timer, &tv);
	}
	db_query(lane->db, buf_data(&query));
	buf_release(&query);
}

/* The lane is idle: what is next? */
static void
lane_next(Lane *lane)
{
	if (lane->flight == NULL)
	{
		if (lane->waiting == NULL && lane->open != NULL && lane->open_due)
			lane_close_batch(lane);
		if (lane->waiting == NULL)
			return;
		lane->flight = lane->waiting;
		lane->waiting = lane->flight->next;
		if (lane->waiting == NULL)
			lane->waiting_end = &lane->waiting;
		lane->flight->next = NULL;
		lane->spans[0] = (Span) {0, lane->flight->nrows, SPAN_ROWS};
		lane->nspans = 1;
		lane->failures = 0;
	}
	send_span(lane);
}

static bool
on_copy(void *arg, const char **data, size_t *len)
{
	Lane	   *lane = arg;
	Span	   *span = &lane->spans[lane->nspans - 1];

	switch (lane->copy_step)
	{
		case 0:
			lane->copy_step = 1;
			*data = batch_header;
			*len = BATCH_HEADER_SIZE;
			return true;
		case 1:
			*data = (span->mode == SPAN_ROWS ? buf_data(&lane->flight->data)
					 : buf_data(&lane->salvaged)) + lane->copy_at;
			*len = lane->copy_end - lane->copy_at;
			if (*len > COPY_PIECE)
				*len = COPY_PIECE;
			lane->copy_at += *len;
			if (lane->copy_at == lane->copy_end)
				lane->copy_step = 2;
			return true;
		case 2:
			lane->copy_step = 3;
			*data = batch_trailer;
			*len = BATCH_TRAILER_SIZE;
			return true;
	}
	return false;
}

/* --- what became of it --- */

static void
on_result(void *arg, const PGresult *result)
{
	Lane	   *lane = arg;
	ExecStatusType status = PQresultStatus(result);

	if (status == PGRES_TUPLES_OK)
	{
		PQclear(lane->answer);
		lane->answer = PQcopyResult(result, PG_COPYRES_TUPLES | PG_COPYRES_ATTRS);
	}
	else if (status != PGRES_COMMAND_OK)
	{
		const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
		Span	   *span = &lane->spans[lane->nspans - 1];

		snprintf(lane->sqlstate, sizeof(lane->sqlstate), "%s", sqlstate ? sqlstate : "XX000");
		/* The detail and the context may hold what a device sent. */
		log_warning("batch_refused", log_int("lane", lane->number),
					log_str("sqlstate", lane->sqlstate),
					log_str("message", PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY)),
					log_int("rows", (int64_t) (span->to - span->from)));
	}
}

/* Is it the content of a row, so that other rows can do better? */
static bool
blames_a_row(const char *sqlstate)
{
	return strncmp(sqlstate, "22", 2) == 0 || strncmp(sqlstate, "23", 2) == 0 ||
		strncmp(sqlstate, "54", 2) == 0 || strncmp(sqlstate, "P0", 2) == 0 ||
		strcmp(sqlstate, "XX000") == 0;
}

/*
 * May the same rows do better later?  An internal error may pass by itself, so
 * a single row is not blamed for it at once; a statement that was cancelled
 * three times was perhaps too long, and is cut.
 */
static bool
deserves_retry(const Lane *lane, size_t rows)
{
	if (strcmp(lane->sqlstate, "XX000") == 0)
		return rows == 1 && lane->failures < RETRIES_FIRST;
	if (strcmp(lane->sqlstate, "57014") == 0)
		return rows == 1 || lane->failures < RETRIES_FIRST;
	return !blames_a_row(lane->sqlstate);
}

static void
span_failed(Lane *lane)
{
	Span	   *span = &lane->spans[lane->nspans - 1];

	if (deserves_retry(lane, span->to - span->from))
	{
		stats_inc(STAT_BATCHES_RETRIED);
		hold(lane);
		return;
	}
	lane->failures = 0;
	if (span->to - span->from > 1)
	{
		size_t		middle = span->from + (span->to - span->from) / 2;
		Span		front = {span->from, middle, SPAN_ROWS};

		stats_inc(STAT_BATCHES_SPLIT);
		span->from = middle;
		lane->spans[lane->nspans++] = front;
		send_span(lane);
		return;
	}
	if (span->mode != SPAN_SALVAGE_BARE)
	{
		span->mode++;
		send_span(lane);
		return;
	}
	/* Nothing may disappear: it stays at the head of its lane, in sight. */
	stats_inc(STAT_ROWS_STUCK);
	log_error("row_stuck", log_int("lane", lane->number), log_str("sqlstate", lane->sqlstate));
	lane->failures = 6;
	hold(lane);
}

static uint64_t
answer_number(const PGresult *answer, int column)
{
	return strtoull(PQgetvalue(answer, 0, column), NULL, 10);
}

/* The span is committed: tells the owners of its rows. */
static void
settle_span(Lane *lane)
{
	Span		span = lane->spans[lane->nspans - 1];
	Batch	   *batch = lane->flight;
	size_t		nrows = span.to - span.from;
	SinkOwner  *touched = NULL;
	SinkOwner **touched_end = &touched;
	size_t		bytes = 0;
	uint64_t	counts[3] = {0, 0, 0};
	bool		answered;

	answered = lane->answer != NULL && PQntuples(lane->answer) == 1 && PQnfields(lane->answer) == 7;
	/* Not understood, the rows are committed all the same. */
	if (!verdicts_read(&verdicts, nrows, answered ? PQgetvalue(lane->answer, 0, 5) : "[]",
					   answered ? PQgetvalue(lane->answer, 0, 6) : "") || !answered)
		log_error("answer_not_understood", log_int("lane", lane->number));

	for (size_t i = 0; i < nrows; i++)
	{
		BatchRow   *row = &batch->rows[span.from + i];
		SinkOwner  *owner = row->owner;
		SinkOutcome outcome = verdicts_outcome(&verdicts, i);

		outcome.seq = row->seq;
		counts[outcome.verdict]++;
		if (sink_over_quota(&outcome))
			stats_inc(STAT_OVER_QUOTA);
		if (owner->arg == NULL)
		{
			stats_inc(STAT_ORPHANS);
			sink_owner_release(owner);
			continue;
		}
		if (owner->next_touched == owner)
		{
			owner->next_touched = NULL;
			owner->holds++;
			*touched_end = owner;
			touched_end = &owner->next_touched;
		}
		owner->ops->decided(owner->arg, &outcome);
		sink_owner_release(owner);
	}
	bytes = sink_batch_row_end(batch, span.to - 1) - batch->rows[span.from].offset + nrows * sizeof(BatchRow);
	if (answered &&
		(counts[SINK_ACCEPTED] != answer_number(lane->answer, 1) ||
		 counts[SINK_REPEATED] != answer_number(lane->answer, 2) ||
		 counts[SINK_REJECTED] != answer_number(lane->answer, 4)))
		log_error("counts_differ", log_int("lane", lane->number), log_int("rows", (int64_t) nrows),
				  log_str("batch", PQgetvalue(lane->answer, 0, 0)));

	if (answered)
		stats_add(STAT_RECORDS_LATE, answer_number(lane->answer, 3));
	stats_inc(STAT_BATCHES);
	stats_add(STAT_RECORDS_ACCEPTED, counts[SINK_ACCEPTED]);
	stats_add(STAT_RECORDS_REPEATED, counts[SINK_REPEATED]);
	stats_add(STAT_RECORDS_REJECTED, counts[SINK_REJECTED]);
	stats_observe(HISTOGRAM_COMMIT_SECONDS, (double) (clock_us() - lane->sent_us) / 1e6);
	stats_observe(HISTOGRAM_BATCH_ROWS, (double) nrows);
	if (span.mode != SPAN_ROWS)
		stats_inc(STAT_ROWS_SALVAGED);
	log_debug("batch_committed", log_int("lane", lane->number), log_int("rows", (int64_t) nrows),
			  log_int("milliseconds", (clock_us() - lane->sent_us) / 1000));

	PQclear(lane->answer);
	lane->answer = NULL;
	buf_release(&lane->salvaged);
	lane->nspans--;
	lane->failures = 0;
	if (lane->nspans == 0)
	{
		bytes += BATCH_OVERHEAD;
		sink_batch_give(batch);
		lane->flight = NULL;
	}
	account(nrows, bytes, false);

	/* The next batch goes out before the answers are written. */
	lane->state = LANE_IDLE;
	lane_next(lane);

	while (touched != NULL)
	{
		SinkOwner  *owner = touched;

		touched = owner->next_touched;
		owner->next_touched = owner;
		if (owner->arg != NULL)
			owner->ops->settled(owner->arg);
		sink_owner_release(owner);
	}
	if (full && queue_bytes < (size_t) cf->queue_low_bytes)
	{
		full = false;
		call_hooks();
	}
}

static void
on_done(void *arg)
{
	Lane	   *lane = arg;

	event_del(lane->held_timer);
	if (lane->sqlstate[0] != '\0')
		span_failed(lane);
	else
		settle_span(lane);
}

static void
on_up(void *arg)
{
	Lane	   *lane = arg;

	lanes_up++;
	stats_gauge_set(GAUGE_DATABASE_UP, (double) lanes_up);
	event_del(lane->held_timer);
	lane->state = LANE_IDLE;
	lane_next(lane);
	if (!was_up)
	{
		was_up = true;
		call_hooks();
	}
}

static void
on_lost(void *arg)
{
	Lane	   *lane = arg;

	lanes_up--;
	stats_gauge_set(GAUGE_DATABASE_UP, (double) lanes_up);
	event_del(lane->held_timer);
	/* What is in flight stays, and is sent again by on_up. */
	if (lane->flight != NULL)
		stats_inc(STAT_BATCHES_RETRIED);
	lane->state = LANE_AWAY;
}

static void
on_due(evutil_socket_t fd, short what, void *arg)
{
	Lane	   *lane = arg;

	(void) fd;
	(void) what;
	lane->open_due = true;
	if (lane->state == LANE_IDLE)
		lane_next(lane);
}

static void
on_held(evutil_socket_t fd, short what, void *arg)
{
	Lane	   *lane = arg;

	(void) fd;
	(void) what;
	if (lane->state == LANE_HELD)
	{
		lane->state = LANE_IDLE;
		lane_next(lane);
	}
	else if (lane->state == LANE_SENDING)
		db_reset(lane->db, "no commit in time");
}

static const DbOps lane_ops = {
	.up = on_up,.lost = on_lost,.result = on_result,.done = on_done,.copy = on_copy
};

bool
sink_start(struct event_base *event_base)
{
	base = event_base;
	nlanes = (size_t) cf->connections;
	lanes = calloc(nlanes, sizeof(Lane));
	if (lanes == NULL)
		return false;
	stats_gauge_set(GAUGE_DATABASE_CONNECTIONS, (double) nlanes);
	for (size_t i = 0; i < nlanes; i++)
	{
		Lane	   *lane = &lanes[i];

		lane->number = (int) i;
		lane->state = LANE_AWAY;
		lane->waiting_end = &lane->waiting;
		lane->due_timer = evtimer_new(base, on_due, lane);
		lane->held_timer = evtimer_new(base, on_held, lane);
		lane->db = db_new(base, "sink", (int) i, &lane_ops, lane);
		if (lane->due_timer == NULL || lane->held_timer == NULL || lane->db == NULL)
			return false;
	}
	return true;
}

void
sink_flush(void)
{
	draining = true;
	for (size_t i = 0; i < nlanes; i++)
	{
		lanes[i].open_due = true;
		if (lanes[i].state == LANE_IDLE)
			lane_next(&lanes[i]);
	}
}

void
sink_stop(void)
{
	for (size_t i = 0; i < nlanes; i++)
	{
		Lane	   *lane = &lanes[i];

		event_free(lane->due_timer);
		event_free(lane->held_timer);
		db_free(lane->db);
		PQclear(lane->answer);
		buf_release(&lane->salvaged);
		sink_batches_free(lane->open);
		sink_batches_free(lane->waiting);
		/* Rows of spans that were settled have let go of their owners. */
		if (lane->flight != NULL)
		{
			size_t		settled = lane->spans[lane->nspans - 1].from;

			lane->flight->nrows -= settled;
			memmove(lane->flight->rows, lane->flight->rows + settled,
					lane->flight->nrows * sizeof(BatchRow));
			sink_batches_free(lane->flight);
		}
	}
	sink_batches_forget();
	free(lanes);
	verdicts_free(&verdicts);
	lanes = NULL;
	nlanes = 0;
}
