/*
 * http_answer.c
 *	  Answers of the HTTP service: status lines, headers, errors as JSON.
 */
#include "http_conn.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <netdb.h>
#include <stdio.h>
#include <time.h>

#include "log.h"
#include "stats.h"

#define RETRY_FULL_SECONDS 1
#define RETRY_AWAY_SECONDS 5
#define RETRY_SLOW_SECONDS_MAX 3600

static StatCounter
counter_of(int status)
{
	switch (status)
	{
		case 200:
			return STAT_HTTP_200;
		case 400:
			return STAT_HTTP_400;
		case 401:
			return STAT_HTTP_401;
		case 403:
			return STAT_HTTP_403;
		case 404:
			return STAT_HTTP_404;
		case 405:
			return STAT_HTTP_405;
		case 413:
			return STAT_HTTP_413;
		case 429:
			return STAT_HTTP_429;
		case 503:
			return STAT_HTTP_503;
	}
	return STAT_HTTP_OTHER;
}

static const char *
reason_of(int status)
{
	static const struct
	{
		int			status;
		const char *reason;
	}			reasons[] = {
		{200, "OK"}, {400, "Bad Request"}, {401, "Unauthorized"}, {403, "Forbidden"}, {404, "Not Found"},
		{405, "Method Not Allowed"}, {408, "Request Timeout"}, {413, "Content Too Large"},
		{415, "Unsupported Media Type"}, {417, "Expectation Failed"}, {429, "Too Many Requests"},
		{431, "Request Header Fields Too Large"}, {500, "Internal Server Error"},
		{501, "Not Implemented"}, {503, "Service Unavailable"}, {505, "HTTP Version Not Supported"}
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Error";
}

void
http_answer(HttpConn *conn, int status, const char *headers, const char *type, struct evbuffer *content)
{
	struct evbuffer *out = bufferevent_get_output(conn->bev);
	time_t		now = time(NULL);
	struct tm	tm;
	char		date[40];

	if (conn->body_unread || conn->service->draining)
		conn->keep_alive = false;
	gmtime_r(&now, &tm);
	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	evbuffer_add_printf(out, "HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
						"Cache-Control: no-store\r\nConnection: %s\r\n%s\r\n",
						status, reason_of(status), date, type, evbuffer_get_length(content),
						conn->keep_alive ? "keep-alive" : "close", headers);
	if (conn->head.method != HTTP_HEAD)
		evbuffer_add_buffer(out, content);
	evbuffer_free(content);
	stats_inc(counter_of(status));
	http_telemetry_end(conn);
	http_conn_set_state(conn, HTTP_WRITE);
}

void
http_answer_text(HttpConn *conn, int status, const char *headers, const char *text, size_t len)
{
	struct evbuffer *content = evbuffer_new();

	if (content == NULL || evbuffer_add(content, text, len) != 0)
	{
		if (content != NULL)
			evbuffer_free(content);
		http_conn_abandon(conn);
		return;
	}
	http_answer(conn, status, headers, "application/json", content);
}

void
http_answer_error(HttpConn *conn, int status, const char *headers, const char *error)
{
	char		text[256];
	int			n = snprintf(text, sizeof(text), "{\"error\":\"%s\"}\n", error);

	http_answer_text(conn, status, headers, text, (size_t) n);
}

static void
answer_retry(HttpConn *conn, int status, int seconds, const char *error)
{
	char		header[64];

	snprintf(header, sizeof(header), "Retry-After: %d\r\n", seconds);
	http_answer_error(conn, status, header, error);
}

void
http_answer_away(HttpConn *conn)
{
	answer_retry(conn, 503, RETRY_AWAY_SECONDS, "the database is away");
}

void
http_answer_full(HttpConn *conn)
{
	answer_retry(conn, conn->service->kind->busy_status, RETRY_FULL_SECONDS, "too much is waiting to be committed");
}

void
http_answer_slow(HttpConn *conn, int64_t wait_us)
{
	int64_t		seconds = (wait_us + 999999) / 1000000;

	answer_retry(conn, conn->service->kind->busy_status, (int) (seconds < RETRY_SLOW_SECONDS_MAX ? seconds : RETRY_SLOW_SECONDS_MAX),
				 "more reports than the limit allows");
}

void
http_answer_blocked(HttpConn *conn, int seconds)
{
	stats_inc(STAT_AUTH_BLOCKED);
	conn->keep_alive = false;
	answer_retry(conn, conn->service->kind->busy_status, seconds, "too many failed attempts of this address");
}

void
http_answer_late(HttpConn *conn)
{
	answer_retry(conn, 503, RETRY_AWAY_SECONDS,
				 "no commit in time; it may still follow, and sending again does no harm");
}

void
http_answer_over_quota(HttpConn *conn)
{
	answer_retry(conn, conn->service->kind->busy_status, SINK_QUOTA_SECONDS,
				 "more reports than the quota allows; sending all again does no harm");
}

static const char *
peer_name(const HttpConn *conn, char *out, size_t size)
{
	if (getnameinfo((const struct sockaddr *) &conn->peer, conn->peer_len, out, (socklen_t) size,
					NULL, 0, NI_NUMERICHOST) != 0)
		snprintf(out, size, "unknown");
	return out;
}

void
http_answer_forbidden(HttpConn *conn, const char *error)
{
	char		peer[64];

	log_info("http_forbidden", log_str("peer", peer_name(conn, peer, sizeof(peer))),
			 log_str("reason", error));
	http_answer_error(conn, 403, "", error);
}

void
http_answer_denied(HttpConn *conn, const char *error)
{
	char		peer[64];

	log_info("http_denied", log_str("peer", peer_name(conn, peer, sizeof(peer))),
			 log_str("reason", error));
	http_answer_error(conn, 401, conn->head.token[0] == '\0' ?
					  "WWW-Authenticate: Bearer realm=\"fleetd\"\r\n" :
					  "WWW-Authenticate: Bearer realm=\"fleetd\", error=\"invalid_token\"\r\n", error);
}
