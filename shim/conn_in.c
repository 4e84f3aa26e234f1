/*
 * conn_in.c
 *	  Bytes to frames, frames to records, records to the sink.
 *
 * What is read goes to one scratch buffer that all connections share, and is
 * decoded there; only the rest of an unfinished frame moves to memory of the
 * connection, and there waits for more.  So thousands of idle ones cost their struct and no more.
 */
#include "conn_int.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "failures.h"
#include "gate.h"
#include "io.h"
#include "log.h"
#include "peer.h"
#include "pseudonym.h"
#include "rate.h"
#include "tls.h"

#define FOREIGN "not_permitted:device"	/* what adapters say of another device's report */

#define REMAINS_MAX 1024		/* bytes kept of what is no frame */

static char *scratch;
static size_t scratch_size;
static Record record;
static Decoded decoded;

/*
 * May the connection bring reports of that device?  What it has proved to be
 * decides, then the listener's list.  Where a certificate is all that a protocol
 * goes by, the adapter says what device it means.
 */
static bool
may_send(const Conn *conn, Str device)
{
	const char *proved = conn->session.certificate;

	if (proved[0] != '\0' && !conn->adapter->certificates &&
		(strlen(proved) != device.len || memcmp(proved, device.data, device.len) != 0))
		return false;
	device = pseudonym_device(conn->source_id, device);
	return config_allows_device(conn->listener, device.data, device.len);
}

static void
on_record(void *arg, const Record *rec)
{
	Conn	   *conn = arg;
	uint64_t	seq = conn->counted + 1;
	AckFrame   *frame = conn_frame(conn, seq);
	int64_t		wait;

	if (conn->overloaded || conn->stranger || conn->state != CONN_OPEN)
		return;
	if (rec->device.len > 0 && !may_send(conn, rec->device))
	{
		conn->stranger = true;
		return;
	}
	if (sink_submit(conn->owner, seq, conn->source_id, rec) != SINK_OK)
	{
		conn->overloaded = true;
		return;
	}
	if (rec->defect.len == strlen(FOREIGN) && memcmp(rec->defect.data, FOREIGN, rec->defect.len) == 0)
		stats_inc(STAT_RECORDS_FOREIGN);
	frame->open++;
	if (frame->records < UINT16_MAX)
		frame->records++;
	if (conn->session.takes_commands && conn->session.device[0] == '\0' && rec->defect.len == 0)
		command_attach(&conn->commands, conn->source_id, rec->device);
	wait = rate_charge(conn->source_id, pseudonym_device(conn->source_id, rec->device));
	if (wait > 0 && clock_us() + wait > conn->slow_until_us)
		conn->slow_until_us = clock_us() + wait;
}

/* Was it, or its source, above its rate before it came?  Coming anew is no way out. */
static void
look_at_rate(Conn *conn)
{
	Str			device = pseudonym_device(conn->source_id,
										  (Str) {conn->session.device, (uint32_t) strlen(conn->session.device)});
	int64_t		of_device = rate_wait_device(conn->source_id, device);
	int64_t		of_source = rate_wait_source(conn->source_id);
	int64_t		wait = of_device > of_source ? of_device : of_source;

	if (wait > 0 && clock_us() + wait > conn->slow_until_us)
		conn->slow_until_us = clock_us() + wait;
}

/* A device that the listener does not allow: its frame gets no answer but the end. */
static bool
is_stranger(const Conn *conn)
{
	Str			device = {conn->session.device, (uint32_t) strlen(conn->session.device)};

	return conn->stranger || (device.len > 0 && !may_send(conn, device));
}

/* A record of the end: nobody waits for its outcome. */
static void
on_last_record(void *arg, const Record *rec)
{
	Conn	   *conn = arg;

	if (!may_send(conn, rec->device))
		return;
	if (sink_submit(conn->owner, 0, conn->source_id, rec) != SINK_OK)
		log_warning("last_record_lost", log_str("peer", conn->peer), log_str("reason", "overload"));
}

void
conn_over(Conn *conn, const char *reason)
{
	if (conn->adapter->over == NULL || conn->session.state == NULL)
		return;
	decoded.emit = conn->owner != NULL ? on_last_record : NULL;
	decoded.emit_arg = conn;
	conn->session.now_us = clock_unix_us();
	conn->adapter->over(&conn->session, reason, &decoded);
	decoded.emit = on_record;
}

/* The mapping by its name: a reload may have made it anew. */
static bool
find_mapping(Conn *conn)
{
	conn->session.mapping = config_mapping(conn->mapping_name[0] ? conn->mapping_name : NULL);
	conn->mapping_generation = config_generation();
	return conn->session.mapping != NULL;
}

/* Its source is known: from now on its frames go to the sink. */
static bool
conn_open(Conn *conn, Credential *credential)
{
	conn->owner = sink_owner_new(&conn_owner_ops, conn);
	if (conn->owner == NULL || credential == NULL)
	{
		conn_close(conn, STAT_CLOSED_NO_MEMORY, NULL);
		return false;
	}
	conn->credential = credential_hold(credential);
	conn->source_id = credential->source_id;
	conn->session.authenticated = true;
	conn->active_us = clock_us();
	conn_set_state(conn, CONN_OPEN);
	log_debug("connection_opened", log_str("peer", conn->peer), log_int("source", conn->source_id));
	return true;
}

static void
set_mapping_name(Conn *conn, const char *name)
{
	snprintf(conn->mapping_name, sizeof(conn->mapping_name), "%s", name ? name : "");
}

/* The first frame of a peer that claims what it is; the listener has its source. */
static bool
conn_believe(Conn *conn)
{
	set_mapping_name(conn, conn->listener->mapping_name);
	if (!find_mapping(conn))
	{
		conn_finish(conn, STAT_CLOSED_MAPPING, NULL);
		return false;
	}
	return conn_open(conn, credential_source((int32_t) conn->listener->source));
}

/*
 * Bytes of a tracker that no frame can be made of: to quarantine, before the
 * connection ends.  They are no frame, so ack() does not hear of them.
 */
static void
quarantine(Conn *conn, const char *data, size_t len)
{
	if (!conn->adapter->claims || (conn->state == CONN_HELLO && !conn_believe(conn)) || conn->state != CONN_OPEN ||
		is_stranger(conn))
		return;
	record_reset(&record);
	record.device = (Str) {conn->session.device, (uint32_t) strlen(conn->session.device)};
	record.received_at_us = conn->session.now_us;
	record_set_defect(&record, "malformed", (Str) {0});
	record.raw = (Str) {data, (uint32_t) (len < REMAINS_MAX ? len : REMAINS_MAX)};
	if (sink_submit(conn->owner, conn->counted + 1, conn->source_id, &record) != SINK_OK)
		log_warning("last_record_lost", log_str("peer", conn->peer), log_str("reason", "overload"));
	(void) rate_charge(conn->source_id, pseudonym_device(conn->source_id, record.device));
}

void
conn_cut(Conn *conn)
{
	if (buf_len(&conn->in) == 0)
		return;
	stats_inc(STAT_FRAMES_CUT);
	conn->session.now_us = clock_unix_us();
	quarantine(conn, buf_data(&conn->in), buf_len(&conn->in));
}

void
conn_welcome(Conn *conn, AuthStatus status, Credential *credential)
{
	int32_t		source_id = credential != NULL ? credential->source_id : 0;
	Welcome		welcome = status == AUTH_OK ? WELCOME_OK :
		status == AUTH_DENIED ? WELCOME_DENIED : WELCOME_UNAVAILABLE;
	StatCounter reason = status == AUTH_DENIED ? STAT_CLOSED_DENIED : STAT_CLOSED_UNAVAILABLE;

	/* Who comes with both has to be right by both. */
	if (welcome == WELCOME_OK && conn->session.token_optional && source_id != conn->listener->source)
	{
		welcome = WELCOME_FORBIDDEN;
		reason = STAT_CLOSED_DENIED;
	}
	if (welcome == WELCOME_OK && conn->unasked && !gate_is_open(source_id))
	{
		welcome = WELCOME_FORBIDDEN;
		reason = STAT_CLOSED_SOURCE;
	}
	if (welcome == WELCOME_OK)
		failures_success(conn->address);
	else if (reason == STAT_CLOSED_DENIED)
		failures_add(conn->address, FAILURE_TOKEN);
	if (welcome == WELCOME_OK && !find_mapping(conn))
	{
		welcome = WELCOME_NO_MAPPING;
		reason = STAT_CLOSED_MAPPING;
	}
	if (welcome == WELCOME_OK && !conn_open(conn, credential))
		return;
	conn->adapter->welcome(&conn->session, welcome, &conn->out);
	if (welcome == WELCOME_OK)
	{
		conn_flush(conn);
		conn_commands_look(conn);
	}
	else
		conn_finish(conn, reason, NULL);
}

static void
on_auth(void *arg, AuthStatus status, Credential *credential)
{
	Conn	   *conn = arg;

	conn->auth = NULL;
	conn_welcome(conn, status, credential);
	/* What followed the token without waiting for the answer. */
	if (conn->state == CONN_OPEN && (buf_len(&conn->in) > 0 || io_pending(conn->ssl)))
		event_active(&conn->readable, EV_READ, 0);
}

static void
conn_hello(Conn *conn)
{
	Credential *credential;
	AuthStatus	status;
	const char *mapping = decoded.mapping;

	if (mapping[0] == '\0' || (decoded.mapping_optional && config_mapping(mapping) == NULL))
		mapping = conn->listener->mapping_name;
	set_mapping_name(conn, mapping);
	if (decoded.token[0] == '\0' && conn->session.token_optional)
	{
		conn->unasked = true;
		conn_welcome(conn, AUTH_OK, credential_source((int32_t) conn->listener->source));
		return;
	}
	status = auth_check(decoded.token, strlen(decoded.token), &credential, on_auth, conn, &conn->auth);
	OPENSSL_cleanse(decoded.token, sizeof(decoded.token));
	if (status == AUTH_PENDING)
		conn_set_state(conn, CONN_CHECKING);
	else
		conn_welcome(conn, status, credential);
}

/* One frame; false when the connection reads no further for now. */
static bool
conn_take_frame(Conn *conn, const Frame *frame)
{
	AckFrame   *entry;
	size_t		answered = buf_len(&conn->out);
	DecodeStatus status;

	if (conn->mapping_generation != config_generation() && conn->state == CONN_OPEN &&
		!find_mapping(conn))
	{
		conn_finish(conn, STAT_CLOSED_MAPPING, "removed by a reload");
		return false;
	}
	if (!conn_frames_reserve(conn))
	{
		conn_close(conn, STAT_CLOSED_NO_MEMORY, NULL);
		return false;
	}
	entry = conn_frame(conn, conn->counted + 1);
	memset(entry, 0, sizeof(*entry));
	decoded.emit_arg = conn;
	decoded.tag = 0;
	decoded.reason = NULL;
	decoded.reply = &conn->out;
	decoded.token[0] = '\0';
	decoded.mapping[0] = '\0';
	decoded.mapping_optional = false;
	status = conn->adapter->decode(&conn->session, frame, &decoded);
	if (conn->overloaded)
	{
		/* No acknowledgement for half a frame: the peer sends it again. */
		conn_close(conn, STAT_CLOSED_OVERLOAD, NULL);
		return false;
	}
	if (is_stranger(conn))
	{
		/* Not the welcome that the adapter may have written. */
		if (answered == 0)
			buf_release(&conn->out);
		else if (conn->out.len > answered)
			conn->out.len = answered;
		conn_finish(conn, STAT_CLOSED_DEVICE, NULL);
		return false;
	}
	if (status == DECODE_OK || entry->records > 0)
	{
		if (conn->state != CONN_OPEN)
		{
			conn_finish(conn, STAT_CLOSED_PROTOCOL, "not authenticated");
			return false;
		}
		entry->tag = decoded.tag;
		conn->counted++;
		conn->empty += entry->records == 0;
		stats_inc(STAT_FRAMES);
	}
	conn_commands_look(conn);
	switch (status)
	{
		case DECODE_OK:
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
		case DECODE_END:
			conn_finish(conn, STAT_CLOSED_EOF, decoded.reason);
			return false;
		case DECODE_BAD:
			if (decoded.reason != NULL && strcmp(decoded.reason, ADAPTER_OTHER_DEVICE) == 0)
				stats_inc(STAT_RECORDS_FOREIGN);
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
		bool		proves = conn->state == CONN_HELLO && !conn->adapter->claims;
		size_t		limit = (size_t) (proves ? cf->limit_first_frame_bytes : cf->limit_frame_bytes);
		Frame		frame = {data + at, 0, NULL};
		FrameStatus status = conn->adapter->frame(&conn->session, data + at, len - at, &frame);

		if (status != FRAME_MORE)
			conn->session.searched = 0;
		switch (status)
		{
			case FRAME_MORE:
				if (len - at > limit)
				{
					quarantine(conn, data + at, len - at);
					conn_finish(conn, STAT_CLOSED_FRAME_TOO_LONG, NULL);
				}
				return at;
			case FRAME_BAD:
				quarantine(conn, data + at, len - at);
				conn_finish(conn, STAT_CLOSED_PROTOCOL, frame.reason);
				return at;
			case FRAME_SKIP:
				stats_inc(STAT_FRAMES_SKIPPED);
				at += frame.length;
				break;
			case FRAME_READY:
				if (frame.length > limit)
				{
					quarantine(conn, data + at, frame.length);
					conn_finish(conn, STAT_CLOSED_FRAME_TOO_LONG, NULL);
					return at;
				}
				if (conn->state == CONN_HELLO && !proves && !conn_believe(conn))
					return at;
				/* Never begin a frame that the sink might refuse half-way. */
				if (conn->state == CONN_OPEN && conn->empty >= CONN_EMPTY_MAX)
					conn_ack(conn);
				if (conn->state == CONN_OPEN && conn->empty >= CONN_EMPTY_MAX)
				{
					stats_inc(STAT_PAUSES_SINK);
					conn_set_state(conn, CONN_WAITING);
					return at;
				}
				if (conn->state == CONN_OPEN && sink_pending() > 0 &&
					sink_room() < SINK_NEED(frame.length))
				{
					stats_inc(STAT_PAUSES_SINK);
					sink_wait();
					conn_set_state(conn, CONN_WAITING);
					return at;
				}
				at += frame.length;
				if (!conn_take_frame(conn, &frame))
					return at;
				if (conn->state != CONN_OPEN)
					break;
				look_at_rate(conn);
				if (conn->slow_until_us > 0)
				{
					stats_inc(STAT_PAUSES_RATE);
					conn_set_state(conn, CONN_SLOWED);
					return at;
				}
				break;
		}
	}
	return at;
}

/*
 * Keeps what conn_take left of len bytes, which stand in scratch or, when some
 * of them were kept before, in the connection's own memory.
 */
static void
conn_keep(Conn *conn, bool own, size_t taken, size_t len)
{
	bool		ok = true;

	if (conn->state <= CONN_JUSTFREE || conn->state >= CONN_DRAINING)
		return;
	if (!own)
		ok = buf_add(&conn->in, scratch + taken, len - taken);
	else if (taken > 0)
	{
		Buf			rest = {0};

		/* The rest may do with much less memory. */
		ok = buf_add(&rest, buf_data(&conn->in) + taken, len - taken);
		buf_release(&conn->in);
		conn->in = rest;
	}
	conn_account(conn);
	if (!ok)
		conn_close(conn, STAT_CLOSED_NO_MEMORY, NULL);
	else if (conn_input_bytes() > (size_t) cf->limit_input_bytes && conn->in.size > 0)
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
	if (scratch_size < budget)
	{
		char	   *more = realloc(scratch, budget);

		if (more == NULL)
		{
			conn_close(conn, STAT_CLOSED_NO_MEMORY, NULL);
			return;
		}
		scratch = more;
		scratch_size = budget;
	}
	/* What was kept from a pause holds whole frames, or an end: those first. */
	if (kept > (size_t) cf->limit_frame_bytes)
		budget = 0;
	result = budget == 0 ? IO_WANT_READ : io_read(conn->fd, conn->ssl, scratch, budget, &n);
	if (result == IO_ERROR)
	{
		conn_cut(conn);
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
	/* What comes in small pieces is not copied anew with each of them. */
	if (kept > 0 && !buf_add(&conn->in, scratch, n))
	{
		conn_close(conn, STAT_CLOSED_NO_MEMORY, NULL);
		return;
	}
	conn->session.now_us = clock_unix_us();
	taken = conn_take(conn, kept > 0 ? buf_data(&conn->in) : scratch, kept + n);
	conn_keep(conn, kept > 0, taken, kept + n);

	/* Frames without records need no commit. */
	if (conn->state >= CONN_OPEN && conn->counted > conn->acked)
		conn_ack(conn);
	if (result == IO_EOF && (conn->state == CONN_HELLO || conn->state == CONN_OPEN))
	{
		conn_cut(conn);
		conn_finish(conn, STAT_CLOSED_EOF, NULL);
		return;
	}
	if (conn->state > CONN_TLS)
		conn_flush(conn);
	if (n == budget)
	{
		if (budget > 0)
			stats_inc(STAT_BUDGET_ENDED);
		/* It may have come to its end meanwhile. */
		if ((conn->state == CONN_HELLO || conn->state == CONN_OPEN) && io_pending(conn->ssl))
			event_active(&conn->readable, EV_READ, 0);
	}
}

/* The handshake is done: who is it?  False when it was closed. */
static bool
conn_identify(Conn *conn)
{
	switch (peer_prove(conn->listener, conn->ssl, conn->session.certificate, sizeof(conn->session.certificate)))
	{
		case PEER_UNASKED:
		case PEER_NONE:
			return true;
		case PEER_MISSING:
			conn_close(conn, STAT_CLOSED_TLS, "no certificate");
			return false;
		case PEER_NAMELESS:
			conn_close(conn, STAT_CLOSED_CERTIFICATE, NULL);
			return false;
		case PEER_REVOKED:
			conn_close(conn, STAT_CLOSED_REVOKED, NULL);
			return false;
		case PEER_PROVED:
			break;
	}
	conn->session.token_optional = !conn->adapter->claims && conn->listener->source != 0;
	if (conn->adapter->claims)
		failures_success(conn->address);
	return true;
}

static void
conn_handshake(Conn *conn)
{
	const char *failure;

	switch (io_handshake(conn->ssl))
	{
		case IO_DONE:
			event_del(&conn->writable);
			if (!conn_identify(conn))
				break;
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
			/* A peer that only went away, as those do who look whether we live, has not failed. */
			failure = tls_failure(conn->ssl, 0);
			if (failure != NULL)
				failures_add(conn->address, FAILURE_HANDSHAKE);
			conn_close(conn, STAT_CLOSED_TLS, failure);
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

void
conn_on_readable(evutil_socket_t fd, short what, void *arg)
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

void
conn_on_writable(evutil_socket_t fd, short what, void *arg)
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

bool
conn_in_start(void)
{
	scratch_size = (size_t) cf->limit_read_bytes;
	scratch = malloc(scratch_size);
	decoded.emit = on_record;
	decoded.answer = conn_on_answer;
	decoded.record = &record;
	return scratch != NULL;
}

void
conn_in_stop(void)
{
	free(scratch);
	scratch = NULL;
}
