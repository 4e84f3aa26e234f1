/*
 * conn.c
 *	  The life of a connection: bytes to frames, frames to records, outcomes
 *	  back to acknowledgements.
 *
 * What is read goes to one scratch buffer that all connections share, and is
 * decoded there; only the rest of an unfinished frame moves to memory of the
 * connection.  So thousands of idle ones cost their struct and no more.
 *
 * Frames are counted from 1.  Those from acked + 1 to counted stand in an array,
 *
 *		frames          frames+frames_start                     frames+frames_size
 *		 | acknowledged  | acked + 1 ... counted | room          |
 *
 * each with the number of its records that are still undecided; as those in
 * front become decided, they are acknowledged.
 */
#include "conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "adapter.h"
#include "auth.h"
#include "clock.h"
#include "config.h"
#include "io.h"
#include "log.h"
#include "sink.h"

#define LINGER_MS 2000			/* for the peer to read our last words and close */
#define LINGER_DRAIN_MS 500		/* the same when the daemon ends */
#define SWEEP_MS 250
#define FRAMES_MIN 16
#define CONNS_KEPT 1024			/* free structs */
#define DESCRIPTORS_RESERVED 24 /* for the database, files, other listeners */
#define ROOM_FIXED ((size_t) 64 << 10)	/* what a frame may need in the sink: this, */
#define ROOM_FACTOR 16			/* and so many times its length */

typedef struct Conn Conn;

struct Conn
{
	ConnState	state;
	Conn	   *prev;			/* in the list of the state */
	Conn	   *next;
	const ListenerConfig *listener;
	const Adapter *adapter;
	int			fd;
	SSL		   *ssl;			/* NULL: no TLS */
	struct event readable;
	struct event writable;
	unsigned char address[16];	/* IPv6, or IPv4 mapped into it */
	char		peer[INET6_ADDRSTRLEN + 8];
	Buf			in;				/* an unfinished frame */
	Buf			out;			/* answers not yet written */
	size_t		in_counted;		/* bytes of both that the gauges know of */
	size_t		out_counted;

	Session		session;
	char		mapping_name[ADAPTER_NAME_MAX + 1]; /* "": the default */
	unsigned	mapping_generation;
	int32_t		source_id;
	AuthRequest *auth;			/* CONN_CHECKING */
	SinkOwner  *owner;			/* from CONN_OPEN on */

	uint64_t	counted;		/* frames read */
	uint64_t	acked;			/* of them durably decided, and answered */
	AckFrame   *frames;
	size_t		frames_start;
	size_t		frames_size;
	AckRejection *rejections;	/* of frames above acked, by seq */
	size_t		nrejections;
	size_t		rejections_size;

	StatCounter reason;			/* of the end, from CONN_DRAINING on */
	const char *detail;			/* static text or NULL */
	bool		overloaded;		/* the sink refused a record of this frame */
	int64_t		opened_us;
	int64_t		active_us;		/* when the last byte came */
	int64_t		progress_us;	/* when output last moved, or began to wait */
	int64_t		ended_us;		/* when CONN_LINGERING began */
	uint64_t	bytes_in;
};

static struct event_base *base;
static Conn *lists[CONN_STATES];
static size_t counts[CONN_STATES];
static struct event *sweeper;
static struct event *reaper;	/* CONN_JUSTFREE to CONN_FREE */
static bool draining;
static int	descriptors;		/* sockets from this number on are not for peers */
static char *scratch;
static size_t scratch_size;
static size_t input_bytes;		/* memory of all Conn.in */
static size_t output_bytes;
static Record record;
static Decoded decoded;

static void conn_close(Conn *conn, StatCounter reason, const char *detail);
static void conn_finish(Conn *conn, StatCounter reason, const char *detail);
static void conn_flush(Conn *conn);
static void conn_ack(Conn *conn);
static void conn_end_if_done(Conn *conn);

/* --- states --- */

static const char *
state_name(ConnState state)
{
	static const char *const names[CONN_STATES] = {
		"free", "justfree", "tls", "hello", "checking", "open", "waiting", "stuffed",
		"draining", "closing", "lingering"
	};

	return names[state];
}

static void
list_remove(Conn *conn)
{
	if (conn->prev != NULL)
		conn->prev->next = conn->next;
	else
		lists[conn->state] = conn->next;
	if (conn->next != NULL)
		conn->next->prev = conn->prev;
	counts[conn->state]--;
}

static void
list_add(Conn *conn)
{
	conn->prev = NULL;
	conn->next = lists[conn->state];
	if (conn->next != NULL)
		conn->next->prev = conn;
	lists[conn->state] = conn;
	counts[conn->state]++;
}

static void
conn_set_state(Conn *conn, ConnState state)
{
	ConnState	from = conn->state;
	bool		reads = false;

	list_remove(conn);
	conn->state = state;
	list_add(conn);
	if (from >= CONN_TLS)
		stats_gauge_add(GAUGE_CONN_TLS + (from - CONN_TLS), -1);
	if (state >= CONN_TLS)
		stats_gauge_add(GAUGE_CONN_TLS + (state - CONN_TLS), 1);

	switch (state)
	{
		case CONN_FREE:
		case CONN_JUSTFREE:
			return;
		case CONN_TLS:
		case CONN_HELLO:
		case CONN_OPEN:
		case CONN_LINGERING:
			reads = true;
			break;
		case CONN_CHECKING:
		case CONN_WAITING:
		case CONN_STUFFED:
		case CONN_DRAINING:
		case CONN_CLOSING:
			break;
		default:
			log_fatal("connection_in_unknown_state", log_int("state", state));
			abort();
	}
	if (reads)
		event_add(&conn->readable, NULL);
	else
		event_del(&conn->readable);
	log_debug("connection_state", log_str("peer", conn->peer),
			  log_str("from", state_name(from)), log_str("to", state_name(state)));
}

size_t
conn_count(void)
{
	size_t		n = 0;

	for (int state = CONN_TLS; state < CONN_STATES; state++)
		n += counts[state];
	return n;
}

/* The gauges follow what the buffers hold. */
static void
account(Conn *conn)
{
	input_bytes += conn->in.size - conn->in_counted;
	output_bytes += conn->out.len - conn->out_counted;
	conn->in_counted = conn->in.size;
	conn->out_counted = conn->out.len;
	stats_gauge_set(GAUGE_INPUT_BYTES, (double) input_bytes);
	stats_gauge_set(GAUGE_OUTPUT_BYTES, (double) output_bytes);
}

/* --- the end --- */

static void
on_reap(evutil_socket_t fd, short what, void *arg)
{
	(void) fd;
	(void) what;
	(void) arg;
	while (lists[CONN_JUSTFREE] != NULL)
	{
		Conn	   *conn = lists[CONN_JUSTFREE];

		if (counts[CONN_FREE] < CONNS_KEPT)
			conn_set_state(conn, CONN_FREE);
		else
		{
			list_remove(conn);
			free(conn);
		}
	}
}

static void
conn_close(Conn *conn, StatCounter reason, const char *detail)
{
	if (conn->state <= CONN_JUSTFREE)
		return;
	stats_inc(reason);
	log_info("connection_closed", log_str("peer", conn->peer),
			 log_str("adapter", conn->adapter->name),
			 log_str("reason", stats_label(reason)), log_str("detail", detail),
			 log_str("state", state_name(conn->state)),
			 log_int("source", conn->source_id),
			 log_int("age_ms", (clock_us() - conn->opened_us) / 1000),
			 log_int("bytes", (int64_t) conn->bytes_in),
			 log_int("frames", (int64_t) conn->counted),
			 log_int("acked", (int64_t) conn->acked));
	if (conn->auth != NULL)
		auth_cancel(conn->auth);
	if (conn->owner != NULL)
		sink_owner_free(conn->owner);
	event_del(&conn->readable);
	event_del(&conn->writable);
	if (conn->ssl != NULL)
	{
		if (conn->state == CONN_CLOSING)
			io_end(conn->fd, conn->ssl);
		SSL_free(conn->ssl);
	}
	close(conn->fd);
	buf_release(&conn->in);
	buf_release(&conn->out);
	account(conn);
	free(conn->session.state);
	free(conn->frames);
	free(conn->rejections);
	conn_set_state(conn, CONN_JUSTFREE);
	event_active(reaper, EV_TIMEOUT, 0);
}

/* Reads no more; what is in flight is still acknowledged, then it closes. */
static void
conn_finish(Conn *conn, StatCounter reason, const char *detail)
{
	if (conn->state >= CONN_DRAINING || conn->state <= CONN_JUSTFREE)
		return;
	if (conn->state == CONN_TLS)
	{
		conn_close(conn, reason, detail);
		return;
	}
	conn->reason = reason;
	conn->detail = detail;
	buf_release(&conn->in);
	account(conn);
	conn_set_state(conn, CONN_DRAINING);
	conn_end_if_done(conn);
}

static void
conn_end_if_done(Conn *conn)
{
	if (conn->state == CONN_DRAINING && conn->acked == conn->counted)
	{
		if (conn->adapter->farewell != NULL)
			conn->adapter->farewell(&conn->session, stats_label(conn->reason), &conn->out);
		conn_set_state(conn, CONN_CLOSING);
	}
	conn_flush(conn);
}

/* --- output --- */

/* Writes what can be written; may close the connection. */
static void
conn_flush(Conn *conn)
{
	bool		waits = event_pending(&conn->writable, EV_WRITE, NULL);

	if (conn->state <= CONN_TLS)
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
		account(conn);
		conn_close(conn, STAT_CLOSED_ERROR, "write");
		return;
	}
	account(conn);

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

/* Goes on reading if nothing is against it. */
static void
conn_resume(Conn *conn)
{
	if (conn->state != CONN_WAITING && conn->state != CONN_STUFFED)
		return;
	if (buf_len(&conn->out) > (size_t) cf->limit_output_bytes / 2)
	{
		if (conn->state != CONN_STUFFED)
			conn_set_state(conn, CONN_STUFFED);
		return;
	}
	if (sink_full())
	{
		if (conn->state != CONN_WAITING)
			conn_set_state(conn, CONN_WAITING);
		return;
	}
	conn_set_state(conn, CONN_OPEN);
	/* Whole frames may stand in the buffer, and no byte may follow them. */
	if (buf_len(&conn->in) > 0 || io_pending(conn->ssl))
		event_active(&conn->readable, EV_READ, 0);
}

static void
on_sink_ready(void *arg)
{
	(void) arg;
	for (Conn *conn = lists[CONN_WAITING], *next; conn != NULL; conn = next)
	{
		next = conn->next;
		conn_resume(conn);
	}
}

/* --- acknowledgements --- */

static inline AckFrame *
frame_entry(Conn *conn, uint64_t seq)
{
	return &conn->frames[conn->frames_start + (size_t) (seq - conn->acked - 1)];
}

/* Room for the entry of frame counted + 1. */
static bool
frames_reserve(Conn *conn)
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
	size_t		at = conn->nrejections;

	if (at == conn->rejections_size)
	{
		size_t		size = conn->rejections_size ? conn->rejections_size * 2 : 8;
		AckRejection *more = realloc(conn->rejections, size * sizeof(*more));

		if (more == NULL)
			return;				/* acknowledged, but without the reason */
		conn->rejections = more;
		conn->rejections_size = size;
	}
	while (at > 0 && conn->rejections[at - 1].seq > outcome->seq)
	{
		conn->rejections[at] = conn->rejections[at - 1];
		at--;
	}
	conn->rejections[at].seq = outcome->seq;
	snprintf(conn->rejections[at].code, sizeof(conn->rejections[at].code), "%s", outcome->code);
	snprintf(conn->rejections[at].field, sizeof(conn->rejections[at].field), "%s", outcome->field);
	conn->nrejections++;
}

static void
on_decided(void *arg, const SinkOutcome *outcome)
{
	Conn	   *conn = arg;

	frame_entry(conn, outcome->seq)->open--;
	if (outcome->verdict == SINK_REJECTED)
		add_rejection(conn, outcome);
}

static void
conn_ack(Conn *conn)
{
	size_t		undecided = (size_t) (conn->counted - conn->acked);
	size_t		n = 0;
	Ack			ack;

	while (n < undecided && conn->frames[conn->frames_start + n].open == 0)
		n++;
	if (n == 0)
		return;
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

	conn_ack(conn);
	conn_end_if_done(conn);
}

static const SinkOwnerOps owner_ops = {.decided = on_decided,.settled = on_settled};

/* --- input --- */

static void
on_record(void *arg, const Record *rec)
{
	Conn	   *conn = arg;
	uint64_t	seq = conn->counted + 1;
	AckFrame   *frame = frame_entry(conn, seq);

	if (conn->overloaded || conn->state != CONN_OPEN)
		return;
	if (sink_submit(conn->owner, seq, conn->source_id, rec) != SINK_OK)
	{
		conn->overloaded = true;
		return;
	}
	frame->open++;
	frame->records++;
}

/* The mapping by its name: a reload may have made it anew. */
static bool
find_mapping(Conn *conn)
{
	conn->session.mapping = config_mapping(conn->mapping_name[0] ? conn->mapping_name : NULL);
	conn->mapping_generation = config_generation();
	return conn->session.mapping != NULL;
}

static void
conn_welcome(Conn *conn, AuthStatus status, int32_t source_id)
{
	Welcome		welcome = status == AUTH_OK ? WELCOME_OK :
		status == AUTH_DENIED ? WELCOME_DENIED : WELCOME_UNAVAILABLE;
	StatCounter reason = status == AUTH_DENIED ? STAT_CLOSED_DENIED : STAT_CLOSED_UNAVAILABLE;

	if (welcome == WELCOME_OK && !find_mapping(conn))
	{
		welcome = WELCOME_NO_MAPPING;
		reason = STAT_CLOSED_MAPPING;
	}
	if (welcome == WELCOME_OK)
	{
		conn->owner = sink_owner_new(&owner_ops, conn);
		if (conn->owner == NULL)
		{
			conn_close(conn, STAT_CLOSED_NO_MEMORY, NULL);
			return;
		}
		conn->source_id = source_id;
		conn->session.authenticated = true;
		conn->active_us = clock_us();
		conn_set_state(conn, CONN_OPEN);
		log_debug("connection_opened", log_str("peer", conn->peer), log_int("source", source_id));
	}
	conn->adapter->welcome(&conn->session, welcome, &conn->out);
	if (welcome == WELCOME_OK)
		conn_flush(conn);
	else
		conn_finish(conn, reason, NULL);
}

static void
on_auth(void *arg, AuthStatus status, int32_t source_id)
{
	Conn	   *conn = arg;

	conn->auth = NULL;
	conn_welcome(conn, status, source_id);
	/* What followed the token without waiting for the answer. */
	if (conn->state == CONN_OPEN && (buf_len(&conn->in) > 0 || io_pending(conn->ssl)))
		event_active(&conn->readable, EV_READ, 0);
}

static void
conn_hello(Conn *conn)
{
	int32_t		source_id;
	AuthStatus	status;
	const char *mapping = decoded.mapping[0] ? decoded.mapping : conn->listener->mapping_name;

	snprintf(conn->mapping_name, sizeof(conn->mapping_name), "%s", mapping ? mapping : "");
	status = auth_check(decoded.token, strlen(decoded.token), &source_id, on_auth, conn, &conn->auth);
	OPENSSL_cleanse(decoded.token, sizeof(decoded.token));
	if (status == AUTH_PENDING)
		conn_set_state(conn, CONN_CHECKING);
	else
		conn_welcome(conn, status, source_id);
}

/* One frame; false when the connection reads no further for now. */
static bool
conn_take_frame(Conn *conn, const Frame *frame)
{
	AckFrame   *entry;

	if (conn->mapping_generation != config_generation() && conn->state == CONN_OPEN &&
		!find_mapping(conn))
	{
		conn_finish(conn, STAT_CLOSED_MAPPING, "removed by a reload");
		return false;
	}
	if (!frames_reserve(conn))
	{
		conn_close(conn, STAT_CLOSED_NO_MEMORY, NULL);
		return false;
	}
	entry = frame_entry(conn, conn->counted + 1);
	memset(entry, 0, sizeof(*entry));
	decoded.emit_arg = conn;
	decoded.tag = 0;
	decoded.reason = NULL;
	decoded.reply = &conn->out;
	decoded.token[0] = '\0';
	decoded.mapping[0] = '\0';
	switch (conn->adapter->decode(&conn->session, frame, &decoded))
	{
		case DECODE_OK:
			if (conn->state != CONN_OPEN)
			{
				conn_finish(conn, STAT_CLOSED_PROTOCOL, "not authenticated");
				return false;
			}
			if (conn->overloaded)
			{
				/* No acknowledgement for half a frame: the peer sends it again. */
				conn_close(conn, STAT_CLOSED_OVERLOAD, NULL);
				return false;
			}
			entry->tag = decoded.tag;
			conn->counted++;
			stats_inc(STAT_FRAMES);
			return true;
		case DECODE_IGNORED:
		case DECODE_REPLY:
			return true;
		case DECODE_HELLO:
			if (conn->state != CONN_HELLO)
			{
				conn_finish(conn, STAT_CLOSED_PROTOCOL, "authenticates twice");
				return false;
			}
			conn_hello(conn);
			return conn->state == CONN_OPEN;
		case DECODE_BAD:
			conn_finish(conn, STAT_CLOSED_PROTOCOL, decoded.reason);
			return false;
	}
	return false;
}

/* Takes whole frames from data; returns the bytes that are done with. */
static size_t
conn_take(Conn *conn, const char *data, size_t len)
{
	size_t		at = 0;

	while (at < len && (conn->state == CONN_HELLO || conn->state == CONN_OPEN))
	{
		size_t		limit = (size_t) (conn->state == CONN_HELLO ? cf->limit_first_frame_bytes
									  : cf->limit_frame_bytes);
		Frame		frame = {data + at, 0, NULL};

		switch (conn->adapter->frame(&conn->session, data + at, len - at, &frame))
		{
			case FRAME_MORE:
				if (len - at > limit)
					conn_finish(conn, STAT_CLOSED_FRAME_TOO_LONG, NULL);
				return at;
			case FRAME_BAD:
				conn_finish(conn, STAT_CLOSED_PROTOCOL, frame.reason);
				return at;
			case FRAME_SKIP:
				stats_inc(STAT_FRAMES_SKIPPED);
				at += frame.length;
				break;
			case FRAME_READY:
				if (frame.length > limit)
				{
					conn_finish(conn, STAT_CLOSED_FRAME_TOO_LONG, NULL);
					return at;
				}
				/* Never begin a frame that the sink might refuse half-way. */
				if (conn->state == CONN_OPEN &&
					sink_room() < ROOM_FIXED + ROOM_FACTOR * frame.length)
				{
					stats_inc(STAT_PAUSES_SINK);
					conn_set_state(conn, CONN_WAITING);
					return at;
				}
				at += frame.length;
				if (!conn_take_frame(conn, &frame))
					return at;
				break;
		}
	}
	return at;
}

/* Keeps what conn_take left: of n bytes that were kept before, and the rest. */
static void
conn_keep(Conn *conn, size_t kept, size_t taken, size_t len)
{
	bool		ok;

	if (conn->state <= CONN_JUSTFREE || conn->state >= CONN_DRAINING)
		return;
	if (taken == 0)
		ok = buf_add(&conn->in, scratch + kept, len - kept);
	else
	{
		buf_release(&conn->in);
		ok = buf_add(&conn->in, scratch + taken, len - taken);
	}
	account(conn);
	if (!ok)
		conn_close(conn, STAT_CLOSED_NO_MEMORY, NULL);
	else if (input_bytes > (size_t) cf->limit_input_bytes && conn->in.size > 0)
		conn_finish(conn, STAT_CLOSED_INPUT_MEMORY, NULL);
}

static void
conn_read(Conn *conn)
{
	size_t		kept = buf_len(&conn->in);
	size_t		budget = (size_t) cf->limit_read_bytes;
	size_t		n = 0;
	size_t		taken;
	IoResult	result;

	if (conn->state == CONN_OPEN && sink_full())
	{
		stats_inc(STAT_PAUSES_SINK);
		conn_set_state(conn, CONN_WAITING);
		return;
	}
	if (scratch_size < kept + budget)
	{
		char	   *more = realloc(scratch, kept + budget);

		if (more == NULL)
		{
			conn_close(conn, STAT_CLOSED_NO_MEMORY, NULL);
			return;
		}
		scratch = more;
		scratch_size = kept + budget;
	}
	result = io_read(conn->fd, conn->ssl, scratch + kept, budget, &n);
	if (result == IO_ERROR)
	{
		conn_close(conn, STAT_CLOSED_ERROR, "read");
		return;
	}
	if (result == IO_WANT_WRITE)
		event_add(&conn->writable, NULL);
	if (n > 0)
	{
		conn->active_us = clock_us();
		conn->bytes_in += n;
		stats_add(STAT_BYTES_IN, n);
	}
	if (kept > 0)
		memcpy(scratch, buf_data(&conn->in), kept);
	conn->session.now_us = clock_unix_us();
	taken = conn_take(conn, scratch, kept + n);
	conn_keep(conn, kept, taken, kept + n);

	/* Frames without records need no commit. */
	if (conn->state >= CONN_OPEN && conn->counted > conn->acked)
		conn_ack(conn);
	if (result == IO_EOF && (conn->state == CONN_HELLO || conn->state == CONN_OPEN))
	{
		if (buf_len(&conn->in) > 0)
			stats_inc(STAT_FRAMES_CUT);
		conn_finish(conn, STAT_CLOSED_EOF, NULL);
		return;
	}
	if (conn->state > CONN_TLS)
		conn_flush(conn);
	if (n == budget)
	{
		stats_inc(STAT_BUDGET_ENDED);
		if (io_pending(conn->ssl) && (conn->state == CONN_HELLO || conn->state == CONN_OPEN))
			event_active(&conn->readable, EV_READ, 0);
	}
}

static void
conn_handshake(Conn *conn)
{
	switch (io_handshake(conn->ssl))
	{
		case IO_DONE:
			event_del(&conn->writable);
			conn_set_state(conn, CONN_HELLO);
			conn_read(conn);
			break;
		case IO_WANT_READ:
			event_del(&conn->writable);
			break;
		case IO_WANT_WRITE:
			event_add(&conn->writable, NULL);
			break;
		default:
			conn_close(conn, STAT_CLOSED_TLS, NULL);
			break;
	}
}

/* Swallows what the peer still sends, so that it gets to read our last words. */
static void
conn_swallow(Conn *conn)
{
	size_t		n;
	IoResult	result = io_read(conn->fd, NULL, scratch, scratch_size, &n);

	if (result == IO_EOF || result == IO_ERROR)
		conn_close(conn, conn->reason, conn->detail);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	Conn	   *conn = arg;

	(void) fd;
	(void) what;
	switch (conn->state)
	{
		case CONN_TLS:
			conn_handshake(conn);
			break;
		case CONN_HELLO:
		case CONN_OPEN:
			conn_read(conn);
			break;
		case CONN_LINGERING:
			conn_swallow(conn);
			break;
		default:
			break;
	}
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	Conn	   *conn = arg;

	(void) fd;
	(void) what;
	if (conn->state == CONN_TLS)
	{
		conn_handshake(conn);
		return;
	}
	conn_flush(conn);
	if (conn->state == CONN_STUFFED)
		conn_resume(conn);
	/* TLS may have wanted to write before it reads on. */
	if (conn->state == CONN_OPEN && conn->ssl != NULL)
		conn_read(conn);
}

/* --- time limits --- */

static void
on_sweep(evutil_socket_t fd, short what, void *arg)
{
	int64_t		now = clock_us();
	int64_t		auth_us = cf->limit_auth_seconds * 1000000;
	int64_t		idle_us = cf->limit_idle_seconds * 1000000;
	int64_t		write_us = cf->limit_write_seconds * 1000000;
	int64_t		linger_us = (draining ? LINGER_DRAIN_MS : LINGER_MS) * 1000;

	(void) fd;
	(void) what;
	(void) arg;
	for (int state = CONN_TLS; state < CONN_STATES; state++)
		for (Conn *conn = lists[state], *next; conn != NULL; conn = next)
		{
			next = conn->next;
			if (buf_len(&conn->out) > 0 && now - conn->progress_us > write_us)
				conn_close(conn, STAT_CLOSED_WRITE_TIMEOUT, NULL);
			else if (state <= CONN_CHECKING && now - conn->opened_us > auth_us)
			{
				if (conn->auth != NULL)
					auth_cancel(conn->auth);
				conn->auth = NULL;
				if (state == CONN_CHECKING)
					conn_welcome(conn, AUTH_UNAVAILABLE, 0);
				else
					conn_finish(conn, STAT_CLOSED_AUTH_TIMEOUT, NULL);
			}
			else if (state == CONN_OPEN && conn->acked == conn->counted &&
					 now - conn->active_us > idle_us)
				conn_finish(conn, STAT_CLOSED_IDLE, NULL);
			else if (state == CONN_LINGERING && now - conn->ended_us > linger_us)
				conn_close(conn, conn->reason, conn->detail);
		}
}

/* --- the beginning --- */

static void
set_address(const struct sockaddr *address, unsigned char *bytes, char *text, size_t size)
{
	char		host[INET6_ADDRSTRLEN] = "?";
	unsigned	port = 0;

	memset(bytes, 0, 16);
	if (address->sa_family == AF_INET)
	{
		const struct sockaddr_in *in = (const struct sockaddr_in *) address;

		bytes[10] = bytes[11] = 0xFF;
		memcpy(bytes + 12, &in->sin_addr, 4);
		inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		port = ntohs(in->sin_port);
	}
	else if (address->sa_family == AF_INET6)
	{
		const struct sockaddr_in6 *in = (const struct sockaddr_in6 *) address;

		memcpy(bytes, &in->sin6_addr, 16);
		inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof(host));
		port = ntohs(in->sin6_port);
	}
	snprintf(text, size, "%s:%u", host, port);
}

static size_t
count_address(const unsigned char *bytes)
{
	size_t		n = 0;

	for (int state = CONN_TLS; state < CONN_STATES; state++)
		for (Conn *conn = lists[state]; conn != NULL; conn = conn->next)
			n += memcmp(conn->address, bytes, 16) == 0;
	return n;
}

static void
turn_away(int fd, const Adapter *adapter, StatCounter counter, const char *peer, bool tls)
{
	Session		session = {0};
	Buf			out = {0};

	stats_inc(counter);
	log_warning("connection_refused", log_str("peer", peer),
				log_str("adapter", adapter->name), log_str("reason", stats_label(counter)));
	if (adapter->farewell != NULL && !tls)
	{
		adapter->farewell(&session, stats_label(counter), &out);
		if (buf_len(&out) > 0)
			(void) !send(fd, buf_data(&out), buf_len(&out), MSG_NOSIGNAL);
		buf_release(&out);
	}
	close(fd);
}

static Conn *
conn_take_struct(void)
{
	Conn	   *conn = lists[CONN_FREE];

	if (conn != NULL)
	{
		list_remove(conn);
		memset(conn, 0, sizeof(*conn));
	}
	else
		conn = calloc(1, sizeof(*conn));
	if (conn != NULL)
		list_add(conn);			/* of CONN_FREE, which is 0 */
	return conn;
}

void
conn_accept(int fd, const struct sockaddr *address, socklen_t len, const ListenerConfig *listener)
{
	const Adapter *adapter = listener->adapter;
	unsigned char bytes[16];
	char		peer[sizeof(((Conn *) NULL)->peer)];
	int			on = 1;
	Conn	   *conn;

	(void) len;
	stats_inc(STAT_ACCEPTED);
	set_address(address, bytes, peer, sizeof(peer));
	if (conn_count() >= (size_t) cf->limit_connections || fd >= descriptors)
	{
		turn_away(fd, adapter, STAT_REFUSED_TOTAL, peer, listener->tls != NULL);
		return;
	}
	if (cf->limit_connections_per_address > 0 &&
		count_address(bytes) >= (size_t) cf->limit_connections_per_address)
	{
		turn_away(fd, adapter, STAT_REFUSED_ADDRESS, peer, listener->tls != NULL);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));

	conn = conn_take_struct();
	if (conn == NULL)
	{
		close(fd);
		return;
	}
	conn->fd = fd;
	conn->listener = listener;
	conn->adapter = adapter;
	memcpy(conn->address, bytes, sizeof(bytes));
	memcpy(conn->peer, peer, sizeof(peer));
	conn->opened_us = conn->active_us = conn->progress_us = clock_us();
	event_assign(&conn->readable, base, fd, EV_READ | EV_PERSIST, on_readable, conn);
	event_assign(&conn->writable, base, fd, EV_WRITE | EV_PERSIST, on_writable, conn);
	if (listener->tls != NULL)
		conn->ssl = tls_session(listener->tls);
	if (adapter->session_size > 0)
		conn->session.state = calloc(1, adapter->session_size);
	if (conn->ssl != NULL)
		SSL_set_fd(conn->ssl, fd);
	conn_set_state(conn, listener->tls != NULL ? CONN_TLS : CONN_HELLO);
	if ((listener->tls != NULL && conn->ssl == NULL) ||
		(adapter->session_size > 0 && conn->session.state == NULL))
		conn_close(conn, STAT_CLOSED_NO_MEMORY, NULL);
}

bool
conn_start(struct event_base *event_base)
{
	struct timeval tv = {0, SWEEP_MS * 1000};
	struct rlimit limit;

	base = event_base;
	/* The lowest free number is always taken, so the number tells how many there are. */
	descriptors = INT_MAX;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < INT_MAX)
		descriptors = (int) limit.rlim_cur - DESCRIPTORS_RESERVED;
	scratch_size = (size_t) (cf->limit_frame_bytes + cf->limit_read_bytes);
	scratch = malloc(scratch_size);
	sweeper = event_new(base, -1, EV_PERSIST, on_sweep, NULL);
	reaper = evtimer_new(base, on_reap, NULL);
	decoded.emit = on_record;
	decoded.record = &record;
	sink_on_ready(on_sink_ready, NULL);
	return scratch != NULL && sweeper != NULL && reaper != NULL && event_add(sweeper, &tv) == 0;
}

void
conn_drain(void)
{
	draining = true;
	for (int state = CONN_TLS; state < CONN_STATES; state++)
		for (Conn *conn = lists[state], *next; conn != NULL; conn = next)
		{
			next = conn->next;
			conn_finish(conn, STAT_CLOSED_SHUTDOWN, NULL);
		}
}

void
conn_stop(void)
{
	for (int state = CONN_TLS; state < CONN_STATES; state++)
		while (lists[state] != NULL)
			conn_close(lists[state], STAT_CLOSED_SHUTDOWN, NULL);
	on_reap(-1, 0, NULL);
	while (lists[CONN_FREE] != NULL)
	{
		Conn	   *conn = lists[CONN_FREE];

		list_remove(conn);
		free(conn);
	}
	event_free(sweeper);
	event_free(reaper);
	free(scratch);
	scratch = NULL;
}
