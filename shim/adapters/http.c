/*
 * http.c
 *	  HTTP/1.1: telemetry by POST, health and metrics; docs/http.md has the
 *	  protocol.
 *
 * A service of its own on libevent's bufferevents.  libevent's HTTP server is
 * not used: it cannot bound the time of a request, the number of connections
 * or the memory of all bodies, and answers some errors on its own.
 *
 * Here it listens, drains and stops.  http_conn.h tells where connections and
 * answers are; what is read from memory (heads, chunks, documents, gzip) stands
 * in files of its own, too.
 */
#include <errno.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adapter.h"
#include "config.h"
#include "failures.h"
#include "http_conn.h"
#include "log.h"
#include "net.h"
#include "stats.h"
#include "tls.h"

#define ACCEPT_BUDGET 64		/* connections accepted in one turn of the loop */
#define ACCEPT_PAUSE_MS 200		/* after accept() failed */

/* --- listening --- */

/* Told in the clear only: with TLS, closing says it all. */
static void
refuse(HttpService *service, int fd, StatCounter counter, const char *peer)
{
	bool		slower = counter == STAT_REFUSED_ADDRESS && service->kind->busy_status == 429;
	char		content[64];
	char		text[256];
	int			n;

	stats_inc(counter);
	log_warning("connection_refused", log_str("peer", peer), log_str("adapter", service->kind->name),
				log_str("reason", stats_label(counter)));
	if (service->config->tls == NULL && counter != STAT_REFUSED_NETWORK)
	{
		stats_inc(slower ? STAT_HTTP_429 : STAT_HTTP_503);
		n = snprintf(content, sizeof(content), "{\"error\":\"too many connections%s\"}\n",
					 counter == STAT_REFUSED_ADDRESS ? " of this address" : "");
		n = snprintf(text, sizeof(text), "HTTP/1.1 %s\r\nRetry-After: 5\r\nContent-Type: application/json\r\n"
					 "Content-Length: %d\r\nConnection: close\r\n\r\n%s",
					 slower ? "429 Too Many Requests" : "503 Service Unavailable", n, content);
		/* One try: the socket's buffer is empty, and nobody is owed more. */
		(void) !send(fd, text, (size_t) n, MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	close(fd);
}

static size_t
count_address(const HttpService *service, const unsigned char *address)
{
	size_t		n = 0;

	for (const HttpConn *conn = service->conns; conn != NULL; conn = conn->next)
		n += memcmp(conn->address, address, sizeof(conn->address)) == 0;
	return n;
}

static void
accept_conn(HttpService *service, int fd, const struct sockaddr *peer, socklen_t peer_len)
{
	unsigned char address[16];
	char		text[NET_PEER_MAX];

	net_peer(peer, address, text, sizeof(text));
	if (!config_allows(service->config, address))
		refuse(service, fd, STAT_REFUSED_NETWORK, text);
	else if (service->config->tls != NULL && failures_wait_handshake(address) > 0)
	{
		/* Those who fail with tokens are told, by http_answer_blocked. */
		stats_inc(STAT_AUTH_BLOCKED);
		refuse(service, fd, STAT_REFUSED_FAILURES, text);
	}
	else if (service->nconns >= (size_t) cf->http_connections || !net_descriptor_is_spare(fd))
		refuse(service, fd, STAT_REFUSED_TOTAL, text);
	else if (cf->limit_connections_per_address > 0 &&
			 count_address(service, address) >= (size_t) cf->limit_connections_per_address)
		refuse(service, fd, STAT_REFUSED_ADDRESS, text);
	else
		http_conn_new(service, fd, peer, peer_len, address);
}

static void
on_resume(evutil_socket_t fd, short what, void *arg)
{
	HttpService *service = arg;

	(void) fd;
	(void) what;
	if (!service->draining)
		event_add(service->accept_event, NULL);
}

static void
on_accept(evutil_socket_t fd, short what, void *arg)
{
	HttpService *service = arg;

	(void) what;
	for (int i = 0; i < ACCEPT_BUDGET; i++)
	{
		struct sockaddr_storage peer;
		socklen_t	len = sizeof(peer);
		struct timeval tv = {0, ACCEPT_PAUSE_MS * 1000};
		int			conn = accept4(fd, (struct sockaddr *) &peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (conn >= 0)
		{
			accept_conn(service, conn, (struct sockaddr *) &peer, len);
			continue;
		}
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			return;
		if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO)
			continue;
		/* No descriptor or no memory: trying again at once would only spin. */
		stats_inc(STAT_ACCEPT_FAILED);
		log_error("accept_failed", log_str("message", strerror(errno)),
				  log_int("pause_ms", ACCEPT_PAUSE_MS));
		event_del(service->accept_event);
		event_add(service->resume_timer, &tv);
		return;
	}
}

/* --- the service --- */

void
http_service_stop(void *arg)
{
	HttpService *service = arg;

	while (service->conns != NULL)
		http_conn_free(service->conns);
	if (service->accept_event != NULL)
		event_free(service->accept_event);
	if (service->resume_timer != NULL)
		event_free(service->resume_timer);
	if (service->fd >= 0)
		close(service->fd);
	free(service);
}

void *
http_service_start(struct event_base *base, int fd, const ListenerConfig *config, const HttpKind *kind)
{
	HttpService *service = calloc(1, sizeof(*service));

	if (service == NULL)
		return NULL;
	service->kind = kind;
	service->base = base;
	service->config = config;
	service->fd = fd;
	service->accept_event = event_new(base, fd, EV_READ | EV_PERSIST, on_accept, service);
	service->resume_timer = evtimer_new(base, on_resume, service);
	if (service->accept_event == NULL || service->resume_timer == NULL ||
		event_add(service->accept_event, NULL) != 0)
	{
		/* The socket stays the caller's. */
		service->fd = -1;
		http_service_stop(service);
		return NULL;
	}
	return service;
}

void
http_service_drain(void *arg)
{
	HttpService *service = arg;
	HttpConn   *next;

	if (service->draining)
		return;
	service->draining = true;
	event_free(service->accept_event);
	service->accept_event = NULL;
	close(service->fd);
	service->fd = -1;
	for (HttpConn *conn = service->conns; conn != NULL; conn = next)
	{
		next = conn->next;
		if (conn->state == HTTP_IDLE || conn->state == HTTP_READ_HEAD || conn->state == HTTP_LINGER)
			http_conn_free(conn);
	}
}

void
http_service_end_revoked(void *arg)
{
	HttpService *service = arg;
	HttpConn   *next;

	for (HttpConn *conn = service->conns; conn != NULL; conn = next)
	{
		struct ssl_st *ssl = bufferevent_openssl_get_ssl(conn->bev);
		char		peer[NET_PEER_MAX];

		next = conn->next;
		if (conn->credential != NULL && !credential_is_live(conn->credential))
		{
			http_telemetry_revoke(conn);
			continue;
		}
		if (ssl == NULL || service->config->tls == NULL || !tls_peer_revoked(service->config->tls, ssl))
			continue;
		stats_inc(STAT_CLOSED_REVOKED);
		net_peer((const struct sockaddr *) &conn->peer, conn->address, peer, sizeof(peer));
		log_info("connection_closed", log_str("peer", peer), log_str("adapter", service->kind->name),
				 log_str("reason", stats_label(STAT_CLOSED_REVOKED)));
		/* What was handed on is answered, and nothing after it. */
		if (conn->state == HTTP_WAIT_COMMIT || conn->state == HTTP_WRITE)
			conn->keep_alive = false;
		else
			http_conn_free(conn);
	}
}

size_t
http_service_busy(void *arg)
{
	HttpService *service = arg;
	size_t		n = 0;

	for (HttpConn *conn = service->conns; conn != NULL; conn = conn->next)
		if (conn->state != HTTP_IDLE && conn->state != HTTP_READ_HEAD && conn->state != HTTP_LINGER)
			n++;
	return n;
}

static const HttpKind kind = {
	.name = "http",
	.take = http_telemetry_take,
	.outcome = http_telemetry_outcome,
	.busy_status = 429
};

static void *
http_start(struct event_base *base, int fd, const ListenerConfig *config)
{
	return http_service_start(base, fd, config, &kind);
}

static const Service http_service = {
	.start = http_start,
	.drain = http_service_drain,
	.end_revoked = http_service_end_revoked,
	.busy = http_service_busy,
	.stop = http_service_stop
};

const Adapter adapter_http = {
	.name = "http",
	.help = "JSON documents by HTTP POST, health, metrics",
	.service = &http_service
};
