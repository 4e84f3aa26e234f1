/*
 * conn.c
 *	  The life of a connection: from accept through its states to its end, and
 *	  the limits of number and time.
 */
#include "conn_int.h"

#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "failures.h"
#include "gate.h"
#include "io.h"
#include "log.h"
#include "net.h"
#include "tls.h"

#define LINGER_MS 2000			/* for the peer to read our last words and close */
#define LINGER_DRAIN_MS 500		/* the same when the daemon ends */
#define SWEEP_MS 250
#define CONNS_KEPT 1024			/* free structs */

static struct event_base *base;
static Conn *lists[CONN_STATES];
static size_t counts[CONN_STATES];
static struct event *sweeper;
static struct event *reaper;	/* CONN_JUSTFREE to CONN_FREE */
static bool draining;
static size_t input_bytes;		/* memory of all Conn.in */
static size_t output_bytes;

/* --- states --- */

static const char *
state_name(ConnState state)
{
	static const char *const names[CONN_STATES] = {
		"free", "justfree", "tls", "hello", "checking", "open", "waiting", "stuffed",
		"slowed", "draining", "closing", "lingering"
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

void
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
		case CONN_SLOWED:
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

void
conn_account(Conn *conn)
{
	input_bytes += conn->in.size - conn->in_counted;
	output_bytes += conn->out.len - conn->out_counted;
	conn->in_counted = conn->in.size;
	conn->out_counted = conn->out.len;
	stats_gauge_set(GAUGE_INPUT_BYTES, (double) input_bytes);
	stats_gauge_set(GAUGE_OUTPUT_BYTES, (double) output_bytes);
}

size_t
conn_input_bytes(void)
{
	return input_bytes;
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

void
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
	command_detach(&conn->commands);
	conn_over(conn, stats_label(reason));
	if (conn->owner != NULL)
		sink_owner_free(conn->owner);
	event_del(&conn->readable);
	event_del(&conn->writable);
	if (conn->ssl != NULL)
	{
		if (conn->state == CONN_CLOSING)
			io_end(conn->fd, conn->ssl);
		SSL_free(conn->ssl);
		conn->ssl = NULL;
	}
	close(conn->fd);
	buf_release(&conn->in);
	buf_release(&conn->out);
	conn_account(conn);
	credential_drop(conn->credential);
	conn->credential = NULL;
	free(conn->session.state);
	free(conn->frames);
	free(conn->rejections);
	conn_set_state(conn, CONN_JUSTFREE);
	event_active(reaper, EV_TIMEOUT, 0);
}

void
conn_finish(Conn *conn, StatCounter reason, const char *detail)
{
	if (conn->state >= CONN_DRAINING || conn->state <= CONN_JUSTFREE)
		return;
	if (conn->state == CONN_TLS)
	{
		conn_close(conn, reason, detail);
		return;
	}
	/* An answer that comes now must not open it again. */
	if (conn->auth != NULL)
		auth_cancel(conn->auth);
	conn->auth = NULL;
	command_detach(&conn->commands);
	conn->reason = reason;
	conn->detail = detail;
	buf_release(&conn->in);
	conn_account(conn);
	conn_set_state(conn, CONN_DRAINING);
	conn_end_if_done(conn);
}

void
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
					conn_welcome(conn, AUTH_UNAVAILABLE, NULL);
				else
					conn_finish(conn, STAT_CLOSED_AUTH_TIMEOUT, NULL);
			}
			else if (state == CONN_OPEN && conn->acked == conn->counted &&
					 now - conn->active_us > (conn->session.idle_us > 0 ? conn->session.idle_us : idle_us))
			{
				conn_cut(conn);
				conn_finish(conn, STAT_CLOSED_IDLE, NULL);
			}
			else if (conn->session.ending != NULL && state >= CONN_OPEN && state < CONN_DRAINING)
				conn_finish(conn, STAT_CLOSED_PROTOCOL, conn->session.ending);
			else if (state == CONN_SLOWED && now >= conn->slow_until_us)
				conn_resume(conn);
			else if (state == CONN_LINGERING && now - conn->ended_us > linger_us)
				conn_close(conn, conn->reason, conn->detail);
		}
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

/* --- the beginning --- */

static size_t
count_address(const unsigned char *bytes)
{
	size_t		n = 0;

	for (int state = CONN_TLS; state < CONN_STATES; state++)
		for (Conn *conn = lists[state]; conn != NULL; conn = conn->next)
			n += memcmp(conn->address, bytes, 16) == 0;
	return n;
}

int
conn_address_wait(const unsigned char *bytes)
{
	int			wait = failures_wait(bytes);

	if (wait == 0)
		return 0;
	for (int state = CONN_OPEN; state < CONN_DRAINING; state++)
		for (Conn *conn = lists[state]; conn != NULL; conn = conn->next)
			if ((!conn->unasked || conn->session.certificate[0] != '\0') && failures_same(conn->address, bytes))
			{
				failures_success(bytes);
				return 0;
			}
	return wait;
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
	net_peer(address, bytes, peer, sizeof(peer));
	if (!config_allows(listener, bytes))
	{
		turn_away(fd, adapter, STAT_REFUSED_NETWORK, peer, listener->tls != NULL);
		return;
	}
	if (adapter->claims && !gate_is_open((int32_t) listener->source))
	{
		turn_away(fd, adapter, STAT_REFUSED_SOURCE, peer, listener->tls != NULL);
		return;
	}
	/* Who has nothing to prove cannot fail. */
	if ((!adapter->claims || listener->tls != NULL) && conn_address_wait(bytes) > 0)
	{
		stats_inc(STAT_AUTH_BLOCKED);
		turn_away(fd, adapter, STAT_REFUSED_FAILURES, peer, listener->tls != NULL);
		return;
	}
	if (conn_count() >= (size_t) cf->limit_connections || !net_descriptor_is_spare(fd))
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
	conn->session.authenticated = adapter->claims;
	conn->unasked = adapter->claims;
	conn->session.topic = listener->topic;
	conn->session.no_sack = !listener->sack;
	conn->session.listener = listener;
	conn->session.command_topic = listener->command_topic;
	conn->session.frame_max = (size_t) cf->limit_frame_bytes;
	memcpy(conn->address, bytes, sizeof(bytes));
	memcpy(conn->peer, peer, sizeof(peer));
	conn->opened_us = conn->active_us = conn->progress_us = clock_us();
	conn_commands_begin(conn);
	event_assign(&conn->readable, base, fd, EV_READ | EV_PERSIST, conn_on_readable, conn);
	event_assign(&conn->writable, base, fd, EV_WRITE | EV_PERSIST, conn_on_writable, conn);
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

	base = event_base;
	sweeper = event_new(base, -1, EV_PERSIST, on_sweep, NULL);
	reaper = evtimer_new(base, on_reap, NULL);
	sink_on_ready(on_sink_ready, NULL);
	return conn_in_start() && sweeper != NULL && reaper != NULL && event_add(sweeper, &tv) == 0;
}

static StatCounter
end_reason(const Conn *conn)
{
	if (conn->unasked)
		return STAT_CLOSED_SOURCE;
	return conn->credential->state == CREDENTIAL_REVOKED ? STAT_CLOSED_TOKEN_REVOKED : STAT_CLOSED_TOKEN_EXPIRED;
}

void
conn_end_revoked(void)
{
	for (int state = CONN_HELLO; state < CONN_DRAINING; state++)
		for (Conn *conn = lists[state], *next; conn != NULL; conn = next)
		{
			next = conn->next;
			if (conn->credential != NULL && !credential_is_live(conn->credential))
				conn_finish(conn, end_reason(conn), NULL);
			else if (conn->ssl != NULL && conn->listener->tls != NULL && tls_peer_revoked(conn->listener->tls, conn->ssl))
				conn_finish(conn, STAT_CLOSED_REVOKED, NULL);
		}
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
	conn_in_stop();
}
