/*
 * http_conn.c
 *	  A connection's life: heads and paths, what libevent reports, time limits.
 */
#include "http_conn.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "failures.h"
#include "log.h"
#include "net.h"
#include "stats.h"
#include "tls.h"

#define INPUT_HIGH 65536		/* bytes read ahead of what is being handled */
#define BODY_RATE_MIN 1024		/* bytes a second; a slower body is given up */
#define LINGER_SECONDS 2		/* for a peer to read an answer that came early */
#define LINGER_BYTES (1 << 20)	/* of its body that we swallow meanwhile */

static void
conn_set_timer(HttpConn *conn, int64_t seconds)
{
	struct timeval tv = {seconds, 0};

	event_add(conn->timer, &tv);
}

void
http_conn_set_state(HttpConn *conn, HttpState state)
{
	conn->state = state;
	switch (state)
	{
		case HTTP_IDLE:
		case HTTP_READ_HEAD:
		case HTTP_READ_BODY:
			conn_set_timer(conn, cf->http_idle_seconds);
			break;
		case HTTP_WAIT_AUTH:
		case HTTP_WAIT_COMMIT:
			conn_set_timer(conn, cf->http_commit_seconds);
			break;
		case HTTP_WRITE:
			conn_set_timer(conn, cf->limit_write_seconds);
			break;
		case HTTP_LINGER:
			conn_set_timer(conn, LINGER_SECONDS);
			break;
	}
}

void
http_conn_free(HttpConn *conn)
{
	struct ssl_st *ssl = bufferevent_openssl_get_ssl(conn->bev);

	http_telemetry_end(conn);
	/* Say goodbye, without waiting for the peer's. */
	if (ssl != NULL && SSL_is_init_finished(ssl))
		SSL_shutdown(ssl);
	bufferevent_free(conn->bev);
	event_free(conn->timer);
	if (conn->next != NULL)
		conn->next->prev = conn->prev;
	if (conn->prev != NULL)
		conn->prev->next = conn->next;
	else
		conn->service->conns = conn->next;
	conn->service->nconns--;
	free(conn);
}

void
http_conn_abandon(HttpConn *conn)
{
	http_telemetry_end(conn);
	http_conn_set_state(conn, HTTP_LINGER);
	conn_set_timer(conn, 0);
}

/* --- paths --- */

static void
answer_health(HttpConn *conn)
{
	static const char good[] = "{\"status\":\"ok\"}\n";
	static const char bad[] = "{\"status\":\"the database is away\"}\n";

	if (sink_up())
		http_answer_text(conn, 200, "", good, sizeof(good) - 1);
	else
		http_answer_text(conn, 503, "Retry-After: 5\r\n", bad, sizeof(bad) - 1);
}

static void
answer_metrics(HttpConn *conn)
{
	struct evbuffer *content = evbuffer_new();

	if (content == NULL)
	{
		http_conn_abandon(conn);
		return;
	}
	stats_write_prometheus(content);
	http_answer(conn, 200, "", "text/plain; version=0.0.4; charset=utf-8", content);
}

static void
route(HttpConn *conn, const char *path, size_t len)
{
	static const struct
	{
		const char *path;
		bool		post;
		void		(*handle) (HttpConn *conn);
	}			routes[] = {
		{"/v1/telemetry", true, http_telemetry_begin},
		{"/healthz", false, answer_health},
		{"/metrics", false, answer_metrics}
	};
	HttpMethod	method = conn->head.method;

	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
	{
		if (strlen(routes[i].path) != len || memcmp(routes[i].path, path, len) != 0)
			continue;
		if (routes[i].post ? method == HTTP_POST : method == HTTP_GET || method == HTTP_HEAD)
			routes[i].handle(conn);
		else
			http_answer_error(conn, 405, routes[i].post ? "Allow: POST\r\n" : "Allow: GET, HEAD\r\n",
							  "method not allowed here");
		return;
	}
	http_answer_error(conn, 404, "", "there is nothing here");
}

/* --- reading --- */

static void
read_head(HttpConn *conn)
{
	struct evbuffer *in = bufferevent_get_input(conn->bev);
	size_t		limit = (size_t) cf->http_header_bytes;
	size_t		available;
	char		lead[2];
	struct evbuffer_ptr at;
	size_t		len;
	char	   *text;
	char	   *path;
	size_t		path_len;
	const char *why;
	int			status;

	/* Some clients end a body with a line end that is not counted. */
	while (conn->searched == 0 && evbuffer_copyout(in, lead, 2) == 2 && memcmp(lead, "\r\n", 2) == 0)
		evbuffer_drain(in, 2);
	available = evbuffer_get_length(in);
	if (available == 0)
		return;
	if (conn->state == HTTP_IDLE)
		http_conn_set_state(conn, HTTP_READ_HEAD);

	evbuffer_ptr_set(in, &at, conn->searched, EVBUFFER_PTR_SET);
	at = evbuffer_search(in, "\r\n\r\n", 4, &at);
	len = at.pos >= 0 ? (size_t) at.pos + 4 : available;
	if (len > limit)
	{
		memset(&conn->head, 0, sizeof(conn->head));
		conn->keep_alive = false;
		conn->body_unread = true;
		http_answer_error(conn, 431, "", "the head is too long");
		return;
	}
	if (at.pos < 0)
	{
		conn->searched = available > 3 ? available - 3 : 0;
		return;
	}
	conn->searched = 0;
	text = (char *) evbuffer_pullup(in, (ev_ssize_t) len);
	if (text == NULL)
	{
		http_conn_abandon(conn);
		return;
	}
	status = http_head_parse(text, len, &conn->head, &why);
	if (status != 0)
	{
		conn->keep_alive = false;
		conn->body_unread = true;
		http_answer_error(conn, status, "", why);
		return;
	}
	conn->keep_alive = conn->head.keep_alive;
	conn->body_unread = conn->head.has_body;

	/* The path goes with the input. */
	path_len = conn->head.path_len;
	path = strndup(conn->head.path, path_len);
	conn->head.path = NULL;
	buf_release(&conn->query);
	if (path != NULL && conn->service->kind->begin != NULL &&
		!buf_add(&conn->query, conn->head.query, conn->head.query_len))
	{
		free(path);
		path = NULL;
	}
	conn->head.query = NULL;
	evbuffer_drain(in, len);
	if (path == NULL)
	{
		http_conn_abandon(conn);
		return;
	}
	if (conn->service->kind->begin != NULL)
		conn->service->kind->begin(conn);
	else
		route(conn, path, path_len);
	free(path);
}

void
http_conn_process(HttpConn *conn)
{
	struct evbuffer *in = bufferevent_get_input(conn->bev);

	switch (conn->state)
	{
		case HTTP_IDLE:
		case HTTP_READ_HEAD:
			read_head(conn);
			break;
		case HTTP_READ_BODY:
			break;
		case HTTP_LINGER:
			conn->swallowed += evbuffer_get_length(in);
			evbuffer_drain(in, evbuffer_get_length(in));
			if (conn->swallowed > LINGER_BYTES)
				http_conn_free(conn);
			return;
		case HTTP_WAIT_AUTH:
		case HTTP_WAIT_COMMIT:
		case HTTP_WRITE:
			return;
	}
	if (conn->state == HTTP_READ_BODY)
		http_telemetry_read(conn);
	/* The rest of it will never come. */
	if (conn->eof && (conn->state == HTTP_IDLE || conn->state == HTTP_READ_HEAD ||
					  conn->state == HTTP_READ_BODY))
		http_conn_free(conn);
}

/* --- what libevent reports --- */

static void
on_read(struct bufferevent *bev, void *arg)
{
	HttpConn   *conn = arg;

	(void) bev;
	http_conn_process(conn);
}

/* Everything was written. */
static void
on_write(struct bufferevent *bev, void *arg)
{
	HttpConn   *conn = arg;

	if (conn->state != HTTP_WRITE || evbuffer_get_length(bufferevent_get_output(bev)) > 0)
		return;
	if (conn->keep_alive && !conn->service->draining)
	{
		http_conn_set_state(conn, HTTP_IDLE);
		/* There may be a next request already, or an end. */
		http_conn_process(conn);
		return;
	}
	if (!conn->body_unread || conn->eof)
	{
		http_conn_free(conn);
		return;
	}
	/* Closing now would reset the connection before the peer reads the answer. */
	if (bufferevent_openssl_get_ssl(bev) == NULL)
		shutdown(bufferevent_getfd(bev), SHUT_WR);
	conn->swallowed = 0;
	http_conn_set_state(conn, HTTP_LINGER);
	http_conn_process(conn);
}

/* The handshake failed; a peer that only went away has not. */
static void
log_failure(HttpConn *conn)
{
	unsigned long code = bufferevent_get_openssl_error(conn->bev);
	const char *failure = code != 0 ? tls_failure(bufferevent_openssl_get_ssl(conn->bev), code) : NULL;
	char		peer[NET_PEER_MAX];

	if (failure == NULL)
		return;
	failures_add(conn->address, FAILURE_HANDSHAKE);
	stats_inc(STAT_CLOSED_TLS);
	net_peer((const struct sockaddr *) &conn->peer, conn->address, peer, sizeof(peer));
	log_info("connection_closed", log_str("peer", peer), log_str("adapter", conn->service->kind->name),
			 log_str("reason", stats_label(STAT_CLOSED_TLS)),
			 log_str("detail", failure));
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	HttpConn   *conn = arg;
	SSL		   *ssl = bufferevent_openssl_get_ssl(bev);

	if (what & BEV_EVENT_CONNECTED)
	{
		conn->proof = peer_prove(conn->service->config, ssl, conn->device, sizeof(conn->device));
		if (conn->proof == PEER_MISSING || conn->proof == PEER_REVOKED)
			http_conn_free(conn);
		return;
	}
	if ((what & BEV_EVENT_ERROR) && ssl != NULL && !SSL_is_init_finished(ssl))
		log_failure(conn);
	/* Half closed: who waits for an answer gets it. */
	if ((what & BEV_EVENT_EOF) && (conn->state == HTTP_WAIT_AUTH ||
								   conn->state == HTTP_WAIT_COMMIT || conn->state == HTTP_WRITE))
	{
		conn->eof = true;
		return;
	}
	http_conn_free(conn);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	HttpConn   *conn = arg;

	(void) fd;
	(void) what;
	switch (conn->state)
	{
		case HTTP_IDLE:
		case HTTP_WRITE:
		case HTTP_LINGER:
			http_conn_free(conn);
			break;
		case HTTP_READ_HEAD:
			memset(&conn->head, 0, sizeof(conn->head));
			conn->keep_alive = false;
			conn->body_unread = true;
			http_answer_error(conn, 408, "", "the request took too long");
			break;
		case HTTP_READ_BODY:
			/* A large body may take its time, as long as it comes. */
			if (buf_len(&conn->body) - conn->body_seen >=
				(size_t) cf->http_idle_seconds * BODY_RATE_MIN)
			{
				conn->body_seen = buf_len(&conn->body);
				http_conn_set_state(conn, HTTP_READ_BODY);
			}
			else
				http_answer_error(conn, 408, "", "the request took too long");
			break;
		case HTTP_WAIT_AUTH:
			http_answer_away(conn);
			break;
		case HTTP_WAIT_COMMIT:
			http_answer_late(conn);
			break;
	}
}

/* --- birth --- */

void
http_conn_new(HttpService *service, int fd, const struct sockaddr *peer, socklen_t peer_len,
			  const unsigned char *address)
{
	HttpConn   *conn;
	int			on = 1;

	conn = calloc(1, sizeof(*conn));
	if (conn == NULL)
	{
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	conn->service = service;
	memcpy(&conn->peer, peer, peer_len);
	conn->peer_len = peer_len;
	memcpy(conn->address, address, sizeof(conn->address));
	conn->timer = evtimer_new(service->base, on_timer, conn);
	if (service->config->tls != NULL)
	{
		struct ssl_st *ssl = tls_session(service->config->tls);

		if (ssl != NULL)
		{
			conn->bev = bufferevent_openssl_socket_new(service->base, fd, ssl,
													   BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
			if (conn->bev == NULL)
				SSL_free(ssl);
			else
				bufferevent_openssl_set_allow_dirty_shutdown(conn->bev, 1);
		}
	}
	else
		conn->bev = bufferevent_socket_new(service->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (conn->timer == NULL || conn->bev == NULL)
	{
		if (conn->timer != NULL)
			event_free(conn->timer);
		if (conn->bev != NULL)
			bufferevent_free(conn->bev);
		else
			close(fd);
		free(conn);
		return;
	}
	stats_inc(STAT_ACCEPTED);
	conn->next = service->conns;
	if (conn->next != NULL)
		conn->next->prev = conn;
	service->conns = conn;
	service->nconns++;
	bufferevent_setcb(conn->bev, on_read, on_write, on_event, conn);
	bufferevent_setwatermark(conn->bev, EV_READ, 0, INPUT_HIGH + (size_t) cf->http_header_bytes);
	bufferevent_set_max_single_read(conn->bev, INPUT_HIGH);
	http_conn_set_state(conn, HTTP_IDLE);
	bufferevent_enable(conn->bev, EV_READ | EV_WRITE);
}
