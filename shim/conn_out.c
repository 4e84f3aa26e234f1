/*
 * conn_out.c
 *	  Outcomes of records to acknowledgements, and answers to the socket.
 */
#include "conn_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "gate.h"
#include "io.h"
#include "rate.h"

#define FRAMES_MIN 16

/* --- output --- */

void
conn_flush(Conn *conn)
{
	bool		waits = event_pending(&conn->writable, EV_WRITE, NULL);

	if (conn->state <= CONN_TLS)
		return;
	if (conn_command_overdue(conn))
		return;
	if (conn->out.len > conn->out_counted && conn->out_counted == 0)
		conn->progress_us = clock_us();
	while (buf_len(&conn->out) > 0)
	{
		size_t		n;
		IoResult	result = io_write(conn->fd, conn->ssl, buf_data(&conn->out),
									  buf_len(&conn->out), &n);

		if (result == IO_DONE)
		{
			stats_add(STAT_BYTES_OUT, n);
			buf_consume(&conn->out, n);
			conn->progress_us = clock_us();
			continue;
		}
		if (result == IO_WANT_WRITE || result == IO_WANT_READ)
			break;
		conn_account(conn);
		conn_close(conn, STAT_CLOSED_ERROR, "write");
		return;
	}
	conn_account(conn);

	if (buf_len(&conn->out) > 0)
	{
		if (!waits)
			event_add(&conn->writable, NULL);
		if (buf_len(&conn->out) > (size_t) cf->limit_output_bytes && conn->state == CONN_OPEN)
		{
			stats_inc(STAT_PAUSES_OUTPUT);
			conn_set_state(conn, CONN_STUFFED);
		}
		return;
	}
	conn->command_until_us = 0;
	if (waits)
		event_del(&conn->writable);
	if (conn->state == CONN_CLOSING)
	{
		if (conn->reason == STAT_CLOSED_EOF)
			conn_close(conn, conn->reason, conn->detail);
		else
		{
			/* Closing with input unread would take the answer back. */
			io_end(conn->fd, conn->ssl);
			conn->ended_us = clock_us();
			conn_set_state(conn, CONN_LINGERING);
		}
	}
}

void
conn_resume(Conn *conn)
{
	if (conn->state != CONN_WAITING && conn->state != CONN_STUFFED && conn->state != CONN_SLOWED)
		return;
	if (buf_len(&conn->out) > (size_t) cf->limit_output_bytes / 2)
	{
		if (conn->state != CONN_STUFFED)
			conn_set_state(conn, CONN_STUFFED);
		return;
	}
	if (sink_full() || conn->empty >= CONN_EMPTY_MAX)
	{
		if (conn->state != CONN_WAITING)
			conn_set_state(conn, CONN_WAITING);
		return;
	}
	conn->slow_until_us = 0;
	conn_set_state(conn, CONN_OPEN);
	/* Whole frames may stand in the buffer, and no byte may follow them. */
	if (buf_len(&conn->in) > 0 || io_pending(conn->ssl))
		event_active(&conn->readable, EV_READ, 0);
}

/* --- acknowledgements --- */

bool
conn_frames_reserve(Conn *conn)
{
	size_t		used = (size_t) (conn->counted - conn->acked);
	size_t		size = conn->frames_size;

	if (conn->frames_start + used < size)
		return true;
	if (conn->frames_start < size / 2 || size == 0)
	{
		AckFrame   *more;

		size = size ? size * 2 : FRAMES_MIN;
		more = realloc(conn->frames, size * sizeof(*more));
		if (more == NULL)
			return false;
		conn->frames = more;
		conn->frames_size = size;
	}
	memmove(conn->frames, conn->frames + conn->frames_start, used * sizeof(*conn->frames));
	conn->frames_start = 0;
	return true;
}

static void
add_rejection(Conn *conn, const SinkOutcome *outcome)
{
	AckRejection *last;

	if (conn->nrejections == conn->rejections_size)
	{
		size_t		size = conn->rejections_size ? conn->rejections_size * 2 : 8;
		AckRejection *more = realloc(conn->rejections, size * sizeof(*more));

		if (more == NULL)
			return;				/* acknowledged, but without the reason */
		conn->rejections = more;
		conn->rejections_size = size;
	}
	last = &conn->rejections[conn->nrejections++];
	last->seq = outcome->seq;
	snprintf(last->code, sizeof(last->code), "%s", outcome->code);
	snprintf(last->field, sizeof(last->field), "%s", outcome->field);
	if (conn->nrejections > 1 && last[-1].seq > last->seq)
		conn->rejections_unsorted = true;
}

static int
compare_rejections(const void *a, const void *b)
{
	uint64_t	x = ((const AckRejection *) a)->seq;
	uint64_t	y = ((const AckRejection *) b)->seq;

	return (x > y) - (x < y);
}

static void
on_decided(void *arg, const SinkOutcome *outcome)
{
	Conn	   *conn = arg;

	/* Nobody waits for what a frame emitted that was then refused. */
	if (outcome->seq > conn->counted)
		return;
	/* Its frame stays open, so neither that one nor what follows is acknowledged. */
	if (sink_over_quota(outcome))
	{
		rate_hold_source(conn->source_id);
		conn->over_quota = !conn->adapter->tells_rejected;
		if (conn->over_quota)
			return;
	}
	conn_frame(conn, outcome->seq)->open--;
	if (conn->unasked && gate_is_refusal(outcome))
		conn->not_permitted = true;
	if (outcome->verdict == SINK_REJECTED)
		add_rejection(conn, outcome);
}

void
conn_ack(Conn *conn)
{
	size_t		undecided = (size_t) (conn->counted - conn->acked);
	size_t		n = 0;
	Ack			ack;

	while (n < undecided && conn->frames[conn->frames_start + n].open == 0)
	{
		conn->empty -= conn->frames[conn->frames_start + n].records == 0;
		n++;
	}
	if (n == 0)
		return;
	/* Once for a commit: many thousands may wait for one that is late. */
	if (conn->rejections_unsorted)
		qsort(conn->rejections, conn->nrejections, sizeof(AckRejection), compare_rejections);
	conn->rejections_unsorted = false;
	ack.from = conn->acked + 1;
	ack.upto = conn->acked + n;
	ack.frames = conn->frames + conn->frames_start;
	ack.rejected = conn->rejections;
	ack.nrejected = 0;
	while (ack.nrejected < conn->nrejections && conn->rejections[ack.nrejected].seq <= ack.upto)
		ack.nrejected++;
	conn->adapter->ack(&conn->session, &ack, &conn->out);
	stats_inc(STAT_ACKS);

	conn->acked = ack.upto;
	conn->frames_start += n;
	conn->nrejections -= ack.nrejected;
	if (ack.nrejected > 0 && conn->nrejections > 0)
		memmove(conn->rejections, conn->rejections + ack.nrejected,
				conn->nrejections * sizeof(*conn->rejections));
	/* Nothing in flight: a connection that rests keeps no memory. */
	if (conn->acked == conn->counted)
	{
		free(conn->frames);
		conn->frames = NULL;
		conn->frames_start = conn->frames_size = 0;
		free(conn->rejections);
		conn->rejections = NULL;
		conn->nrejections = conn->rejections_size = 0;
	}
}

static void
on_settled(void *arg)
{
	Conn	   *conn = arg;

	if (conn->not_permitted)
	{
		/* No acknowledgement: once the source is put right, it is sent again. */
		gate_shut(conn->source_id);
		conn_close(conn, STAT_CLOSED_SOURCE, NULL);
		return;
	}
	conn_ack(conn);
	conn_end_if_done(conn);
	if (conn->over_quota)
	{
		/* What was acknowledged before has been written; the rest is sent again. */
		conn_close(conn, STAT_CLOSED_QUOTA, NULL);
		return;
	}
	/* It may have waited for this commit rather than for the sink's mark. */
	if (conn->state == CONN_WAITING && !sink_full())
		conn_resume(conn);
}

const SinkOwnerOps conn_owner_ops = {.decided = on_decided,.settled = on_settled};
