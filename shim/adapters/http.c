/*
 * http.c
 *	  HTTP/1.1: telemetry by POST, health and metrics; docs/http.md has the
 *	  protocol.
 *
 * A service of its own on libevent's bufferevents.  libevent's HTTP server is
 * not used: it cannot bound the time of a request, the number of connections
 * or the memory of all bodies, and answers some errors on its own.
 *
 * What is read from memory (heads, chunks, documents, gzip) stands in files
 * of its own; here are connections, their states, limits and answers.
 */
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "adapter.h"
#include "auth.h"
#include "clock.h"
#include "config.h"
#include "gzip.h"
#include "http_body.h"
#include "http_head.h"
#include "json_decode.h"
#include "log.h"
#include "sink.h"
#include "stats.h"

#define ACCEPT_BUDGET 64		/* connections accepted in one turn of the loop */
#define ACCEPT_PAUSE_MS 200		/* after accept() failed */
#define INPUT_HIGH 65536		/* bytes read ahead of what is being handled */
#define BODY_RATE_MIN 1024		/* bytes a second; a slower body is given up */
#define LINGER_SECONDS 2		/* for a peer to read an answer that came early */
#define LINGER_BYTES (1 << 20)	/* of its body that we swallow meanwhile */
#define DOCUMENTS_MAX 100000	/* in a request */
#define ERRORS_MAX 1000			/* told of one by one */
#define RETRY_FULL_SECONDS 1
#define RETRY_AWAY_SECONDS 5
#define ROW_OVERHEAD 256		/* bytes of a queued row beyond its document, at most */

typedef enum HttpState
{
	HTTP_IDLE,					/* no byte of a request yet */
	HTTP_READ_HEAD,
	HTTP_WAIT_AUTH,				/* the database is asked about the token */
	HTTP_READ_BODY,
	HTTP_WAIT_COMMIT,			/* documents are with the sink */
	HTTP_WRITE,					/* the answer leaves */
	HTTP_LINGER					/* answered early: the rest is swallowed, then close */
} HttpState;

typedef struct HttpError
{
	uint64_t	index;			/* of the document, from 0 */
	char		code[24];
	char		field[RECORD_NAME_MAX + 1];
} HttpError;

typedef struct HttpService HttpService;

typedef struct HttpConn
{
	struct HttpConn *next;
	struct HttpConn *prev;
	HttpService *service;
	HttpState	state;
	struct bufferevent *bev;
	struct event *timer;
	struct sockaddr_storage peer;
	socklen_t	peer_len;
	bool		eof;			/* the peer sends no more */

	/* the request */
	HttpHead	head;
	size_t		searched;		/* bytes of input without the head's end */
	bool		serving;		/* counted as a request being served */
	bool		keep_alive;		/* after the answer */
	bool		body_unread;	/* some of it has not been taken from the input */
	AuthRequest *auth;
	int32_t		source_id;
	Buf			body;
	Chunks		chunks;
	uint64_t	body_left;
	size_t		body_seen;		/* bytes when the timer last looked */
	size_t		swallowed;

	/* its documents */
	SinkOwner  *owner;
	int64_t		received_us;
	uint64_t	submitted;
	uint64_t	counts[3];		/* by SinkVerdict */
	HttpError  *errors;
	size_t		nerrors;
	size_t		errors_size;
} HttpConn;

struct HttpService
{
	struct event_base *base;
	const ListenerConfig *config;
	int			fd;				/* -1: draining */
	struct event *accept_event;
	struct event *resume_timer;
	bool		draining;
	HttpConn   *conns;
	size_t		nconns;
};

static Record record;			/* of the document at hand */
static size_t body_memory;		/* of all bodies */

static void conn_process(HttpConn *conn);

/* --- a connection --- */

static void
conn_set_timer(HttpConn *conn, int64_t seconds)
{
	struct timeval tv = {seconds, 0};

	event_add(conn->timer, &tv);
}

static void
conn_set_state(HttpConn *conn, HttpState state)
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

static void
conn_release_body(HttpConn *conn)
{
	body_memory -= buf_len(&conn->body);
	stats_gauge_add(GAUGE_HTTP_BODY_BYTES, -(double) buf_len(&conn->body));
	buf_release(&conn->body);
}

/* The request is over, whatever came of it. */
static void
conn_end_request(HttpConn *conn)
{
	conn_release_body(conn);
	if (conn->auth != NULL)
		auth_cancel(conn->auth);
	if (conn->owner != NULL)
		sink_owner_free(conn->owner);
	conn->auth = NULL;
	conn->owner = NULL;
	free(conn->errors);
	conn->errors = NULL;
	conn->nerrors = 0;
	conn->errors_size = 0;
	conn->submitted = 0;
	memset(conn->counts, 0, sizeof(conn->counts));
	if (conn->serving)
		stats_gauge_add(GAUGE_HTTP_REQUESTS, -1);
	conn->serving = false;
}

static void
conn_free(HttpConn *conn)
{
	struct ssl_st *ssl = bufferevent_openssl_get_ssl(conn->bev);

	conn_end_request(conn);
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

/*
 * There is no memory for an answer: ends it in the next turn of the loop, since
 * the callers still use it.
 */
static void
conn_abandon(HttpConn *conn)
{
	conn_end_request(conn);
	conn_set_state(conn, HTTP_LINGER);
	conn_set_timer(conn, 0);
}

static const char *
conn_peer(const HttpConn *conn, char *out, size_t size)
{
	if (getnameinfo((const struct sockaddr *) &conn->peer, conn->peer_len, out, (socklen_t) size,
					NULL, 0, NI_NUMERICHOST) != 0)
		snprintf(out, size, "unknown");
	return out;
}

/* --- answers --- */

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
		{200, "OK"}, {400, "Bad Request"}, {401, "Unauthorized"}, {404, "Not Found"},
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

/*
 * Writes the answer; headers are whole lines.  The connection goes on only
 * when all of the request has been read and both sides want it.
 */
static void
answer(HttpConn *conn, int status, const char *headers, const char *type, struct evbuffer *content)
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
	conn_end_request(conn);
	conn_set_state(conn, HTTP_WRITE);
}

static void
answer_text(HttpConn *conn, int status, const char *headers, const char *text, size_t len)
{
	struct evbuffer *content = evbuffer_new();

	if (content == NULL || evbuffer_add(content, text, len) != 0)
	{
		if (content != NULL)
			evbuffer_free(content);
		conn_abandon(conn);
		return;
	}
	answer(conn, status, headers, "application/json", content);
}

/* {"error":"..."}; the text is ours, and holds nothing to be escaped. */
static void
answer_error(HttpConn *conn, int status, const char *headers, const char *error)
{
	char		text[256];
	int			n = snprintf(text, sizeof(text), "{\"error\":\"%s\"}\n", error);

	answer_text(conn, status, headers, text, (size_t) n);
}

static void
answer_retry(HttpConn *conn, int status, int seconds, const char *error)
{
	char		header[64];

	snprintf(header, sizeof(header), "Retry-After: %d\r\n", seconds);
	answer_error(conn, status, header, error);
}

static void
answer_away(HttpConn *conn)
{
	answer_retry(conn, 503, RETRY_AWAY_SECONDS, "the database is away");
}

static void
answer_full(HttpConn *conn)
{
	answer_retry(conn, 429, RETRY_FULL_SECONDS, "too much is waiting to be committed");
}

static void
answer_denied(HttpConn *conn, const char *error)
{
	char		peer[64];

	log_info("http_denied", log_str("peer", conn_peer(conn, peer, sizeof(peer))),
			 log_str("reason", error));
	answer_error(conn, 401, conn->head.token[0] == '\0' ?
				 "WWW-Authenticate: Bearer realm=\"fleetd\"\r\n" :
				 "WWW-Authenticate: Bearer realm=\"fleetd\", error=\"invalid_token\"\r\n", error);
}

static int
compare_errors(const void *a, const void *b)
{
	uint64_t	x = ((const HttpError *) a)->index;
	uint64_t	y = ((const HttpError *) b)->index;

	return (x > y) - (x < y);
}

/* {"accepted":2,"repeated":0,"rejected":1,"errors":[{"index":1,...}]} */
static void
answer_outcome(HttpConn *conn)
{
	Buf			text = {0};
	bool		ok;

	/* Database connections decide in any order. */
	if (conn->nerrors > 1)
		qsort(conn->errors, conn->nerrors, sizeof(HttpError), compare_errors);
	ok = buf_printf(&text, "{\"accepted\":%llu,\"repeated\":%llu,\"rejected\":%llu,\"errors\":[",
					(unsigned long long) conn->counts[SINK_ACCEPTED],
					(unsigned long long) conn->counts[SINK_REPEATED],
					(unsigned long long) conn->counts[SINK_REJECTED]);
	for (size_t i = 0; ok && i < conn->nerrors; i++)
	{
		const HttpError *error = &conn->errors[i];

		ok = buf_printf(&text, "%s{\"index\":%llu,\"code\":", i > 0 ? "," : "",
						(unsigned long long) error->index) &&
			buf_add_json(&text, error->code, strlen(error->code));
		if (ok && error->field[0] != '\0')
			ok = buf_add(&text, ",\"field\":", 9) &&
				buf_add_json(&text, error->field, strlen(error->field));
		ok = ok && buf_add(&text, "}", 1);
	}
	ok = ok && buf_add(&text, "]", 1);
	if (ok && conn->counts[SINK_REJECTED] > conn->nerrors)
		ok = buf_printf(&text, ",\"errors_omitted\":%llu",
						(unsigned long long) (conn->counts[SINK_REJECTED] - conn->nerrors));
	ok = ok && buf_add(&text, "}\n", 2);
	if (ok)
		answer_text(conn, 200, "", buf_data(&text), buf_len(&text));
	else
		conn_abandon(conn);
	buf_release(&text);
}

/* --- the sink's answers --- */

static void
on_decided(void *arg, const SinkOutcome *outcome)
{
	HttpConn   *conn = arg;
	HttpError  *error;

	conn->counts[outcome->verdict]++;
	if (outcome->verdict != SINK_REJECTED || conn->nerrors == ERRORS_MAX)
		return;
	if (conn->nerrors == conn->errors_size)
	{
		size_t		size = conn->errors_size ? conn->errors_size * 2 : 8;
		HttpError  *more = realloc(conn->errors, size * sizeof(HttpError));

		/* Told of by number only. */
		if (more == NULL)
			return;
		conn->errors = more;
		conn->errors_size = size;
	}
	error = &conn->errors[conn->nerrors++];
	error->index = outcome->seq;
	snprintf(error->code, sizeof(error->code), "%s", outcome->code);
	snprintf(error->field, sizeof(error->field), "%s", outcome->field);
}

static void
on_settled(void *arg)
{
	HttpConn   *conn = arg;

	/* While documents are still being submitted, there is more to come. */
	if (conn->state == HTTP_WAIT_COMMIT &&
		conn->counts[0] + conn->counts[1] + conn->counts[2] == conn->submitted)
		answer_outcome(conn);
}

static const SinkOwnerOps owner_ops = {.decided = on_decided,.settled = on_settled};

/* --- POST /v1/telemetry --- */

/* How many documents there are; -1 when it has been answered why there are none. */
static int64_t
count_documents(HttpConn *conn, const char *text, size_t len)
{
	Body		body;
	Str			document;
	BodyResult	result;
	int64_t		n = 0;

	body_begin(&body, conn->head.form, text, len);
	while ((result = body_next(&body, &document)) == BODY_DOCUMENT)
	{
		if (document.len > (size_t) cf->limit_frame_bytes)
		{
			answer_error(conn, 413, "", "a document is too long");
			return -1;
		}
		if (++n > DOCUMENTS_MAX)
		{
			answer_error(conn, 413, "", "too many documents");
			return -1;
		}
	}
	if (result == BODY_NOT_JSON)
	{
		answer_error(conn, 400, "", "the body is neither a JSON object nor an array");
		return -1;
	}
	if (n == 0 && (len == 0 || conn->head.form == HTTP_FORM_LINES))
	{
		answer_error(conn, 400, "", "the body is empty");
		return -1;
	}
	return n;
}

static void
submit_documents(HttpConn *conn, const Mapping *mapping, const char *text, size_t len)
{
	Body		body;
	Str			document;

	body_begin(&body, conn->head.form, text, len);
	while (body_next(&body, &document) == BODY_DOCUMENT)
	{
		json_decode(mapping, document.data, document.len, &record);
		/* A gateway may know when it had it; nobody has it before it came. */
		if (record.received_at_us == 0 || record.received_at_us > conn->received_us)
			record.received_at_us = conn->received_us;
		/* What was taken will be committed; the sender repeats it all. */
		if (sink_submit(conn->owner, conn->submitted, conn->source_id, &record) != SINK_OK)
		{
			answer_full(conn);
			return;
		}
		conn->submitted++;
	}
	conn_set_state(conn, HTTP_WAIT_COMMIT);
}

static void
take_documents(HttpConn *conn, const char *text, size_t len)
{
	const char *name = conn->head.mapping[0] != '\0' ? conn->head.mapping :
		conn->service->config->mapping_name;
	const Mapping *mapping = config_mapping(name);
	int64_t		n;

	if (mapping == NULL)
	{
		answer_error(conn, 400, "", "mapping unknown");
		return;
	}
	n = count_documents(conn, text, len);
	if (n < 0)
		return;
	if (n == 0)
	{
		answer_outcome(conn);
		return;
	}
	if (len + (size_t) n * ROW_OVERHEAD > sink_room())
	{
		answer_full(conn);
		return;
	}
	conn->owner = sink_owner_new(&owner_ops, conn);
	if (conn->owner == NULL)
	{
		answer_full(conn);
		return;
	}
	submit_documents(conn, mapping, text, len);
}

/* All of the body is there. */
static void
body_complete(HttpConn *conn)
{
	Buf			plain = {0};

	conn->body_unread = false;
	conn->received_us = clock_unix_us();
	if (conn->head.encoding == HTTP_ENCODING_NONE)
	{
		/* It must outlive the answer to it, which releases conn->body. */
		plain = conn->body;
		conn->body = (Buf) {0};
		body_memory -= buf_len(&plain);
		stats_gauge_add(GAUGE_HTTP_BODY_BYTES, -(double) buf_len(&plain));
		take_documents(conn, buf_data(&plain), buf_len(&plain));
	}
	else
	{
		GzipResult	result = gzip_inflate(buf_data(&conn->body), buf_len(&conn->body),
										  (size_t) cf->http_body_bytes, &plain);

		conn_release_body(conn);
		switch (result)
		{
			case GZIP_OK:
				take_documents(conn, buf_data(&plain), buf_len(&plain));
				break;
			case GZIP_CORRUPT:
				answer_error(conn, 400, "", "the body is not gzip");
				break;
			case GZIP_TOO_LARGE:
				answer_error(conn, 413, "", "the body is too large when decompressed");
				break;
			case GZIP_NO_MEMORY:
				answer_full(conn);
				break;
		}
	}
	buf_release(&plain);
}

/* Moves what has come from the input to the body. */
static void
read_body(HttpConn *conn)
{
	struct evbuffer *in = bufferevent_get_input(conn->bev);
	size_t		limit = (size_t) cf->http_body_bytes;
	bool		done = false;

	while (!done)
	{
		size_t		before = buf_len(&conn->body);
		size_t		n = evbuffer_get_contiguous_space(in);
		const char *data = (const char *) evbuffer_pullup(in, (ev_ssize_t) n);
		ChunkResult result = CHUNKS_MORE;
		size_t		taken = n;

		if (n == 0)
			return;
		if (conn->head.chunked)
			result = chunks_take(&conn->chunks, data, n, limit, &conn->body, &taken);
		else
		{
			if (taken > conn->body_left)
				taken = (size_t) conn->body_left;
			conn->body_left -= taken;
			if (!buf_add(&conn->body, data, taken))
				result = CHUNKS_NO_MEMORY;
			else if (conn->body_left == 0)
				result = CHUNKS_DONE;
		}
		body_memory += buf_len(&conn->body) - before;
		stats_gauge_add(GAUGE_HTTP_BODY_BYTES, (double) (buf_len(&conn->body) - before));
		switch (result)
		{
			case CHUNKS_BAD:
				answer_error(conn, 400, "", "the chunks are not in order");
				return;
			case CHUNKS_TOO_LARGE:
				answer_error(conn, 413, "", "the body is too large");
				return;
			case CHUNKS_NO_MEMORY:
				answer_full(conn);
				return;
			case CHUNKS_MORE:
			case CHUNKS_DONE:
				break;
		}
		evbuffer_drain(in, taken);
		done = result == CHUNKS_DONE;
		if (body_memory > (size_t) cf->limit_input_bytes)
		{
			answer_full(conn);
			return;
		}
	}
	body_complete(conn);
}

static void
begin_body(HttpConn *conn)
{
	conn->chunks = (Chunks) {0};
	conn->body_left = conn->head.length;
	conn->body_seen = 0;
	conn_set_state(conn, HTTP_READ_BODY);
	if (conn->head.expects_continue && evbuffer_get_length(bufferevent_get_input(conn->bev)) == 0)
		evbuffer_add_printf(bufferevent_get_output(conn->bev), "HTTP/1.1 100 Continue\r\n\r\n");
}

static void
authenticated(HttpConn *conn, AuthStatus status, int32_t source_id)
{
	switch (status)
	{
		case AUTH_OK:
			conn->source_id = source_id;
			begin_body(conn);
			break;
		case AUTH_DENIED:
			answer_denied(conn, "token unknown");
			break;
		case AUTH_UNAVAILABLE:
			answer_away(conn);
			break;
		case AUTH_PENDING:
			conn_set_state(conn, HTTP_WAIT_AUTH);
			break;
	}
}

static void
on_auth(void *arg, AuthStatus status, int32_t source_id)
{
	HttpConn   *conn = arg;

	conn->auth = NULL;
	authenticated(conn, status, source_id);
	if (conn->state == HTTP_READ_BODY)
		conn_process(conn);
}

static void
begin_telemetry(HttpConn *conn)
{
	HttpHead   *head = &conn->head;
	AuthStatus	status;

	conn->serving = true;
	stats_gauge_add(GAUGE_HTTP_REQUESTS, 1);
	if (head->token[0] == '\0')
		answer_denied(conn, "Authorization: Bearer TOKEN is missing");
	else if (head->form == HTTP_FORM_OTHER)
		answer_error(conn, 415, "", "Content-Type must be application/json or application/x-ndjson");
	else if (head->encoding == HTTP_ENCODING_OTHER)
		answer_error(conn, 415, "Accept-Encoding: gzip\r\n", "Content-Encoding must be gzip or identity");
	else if (!head->has_body)
		answer_error(conn, 400, "", "the body is empty");
	else if (!head->chunked && head->length > (uint64_t) cf->http_body_bytes)
		answer_error(conn, 413, "", "the body is too large");
	else if (!sink_up())
		answer_away(conn);
	else if (sink_full() || body_memory > (size_t) cf->limit_input_bytes)
		answer_full(conn);
	else
	{
		status = auth_check(head->token, strlen(head->token), &conn->source_id, on_auth, conn,
							&conn->auth);
		authenticated(conn, status, conn->source_id);
	}
}

/* --- the other paths --- */

static void
answer_health(HttpConn *conn)
{
	static const char good[] = "{\"status\":\"ok\"}\n";
	static const char bad[] = "{\"status\":\"the database is away\"}\n";

	if (sink_up())
		answer_text(conn, 200, "", good, sizeof(good) - 1);
	else
		answer_text(conn, 503, "Retry-After: 5\r\n", bad, sizeof(bad) - 1);
}

static void
answer_metrics(HttpConn *conn)
{
	struct evbuffer *content = evbuffer_new();

	if (content == NULL)
	{
		conn_abandon(conn);
		return;
	}
	stats_write_prometheus(content);
	answer(conn, 200, "", "text/plain; version=0.0.4; charset=utf-8", content);
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
		{"/v1/telemetry", true, begin_telemetry},
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
			answer_error(conn, 405, routes[i].post ? "Allow: POST\r\n" : "Allow: GET, HEAD\r\n",
						 "method not allowed here");
		return;
	}
	answer_error(conn, 404, "", "there is nothing here");
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
		conn_set_state(conn, HTTP_READ_HEAD);

	evbuffer_ptr_set(in, &at, conn->searched, EVBUFFER_PTR_SET);
	at = evbuffer_search(in, "\r\n\r\n", 4, &at);
	len = at.pos >= 0 ? (size_t) at.pos + 4 : available;
	if (len > limit)
	{
		memset(&conn->head, 0, sizeof(conn->head));
		conn->keep_alive = false;
		conn->body_unread = true;
		answer_error(conn, 431, "", "the head is too long");
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
		conn_abandon(conn);
		return;
	}
	status = http_head_parse(text, len, &conn->head, &why);
	if (status != 0)
	{
		conn->keep_alive = false;
		conn->body_unread = true;
		answer_error(conn, status, "", why);
		return;
	}
	conn->keep_alive = conn->head.keep_alive;
	conn->body_unread = conn->head.has_body;

	/* The path goes with the input. */
	path_len = conn->head.path_len;
	path = strndup(conn->head.path, path_len);
	conn->head.path = NULL;
	evbuffer_drain(in, len);
	if (path == NULL)
	{
		conn_abandon(conn);
		return;
	}
	route(conn, path, path_len);
	free(path);
}

/* Goes on with the input as far as the state lets it. */
static void
conn_process(HttpConn *conn)
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
				conn_free(conn);
			return;
		case HTTP_WAIT_AUTH:
		case HTTP_WAIT_COMMIT:
		case HTTP_WRITE:
			return;
	}
	if (conn->state == HTTP_READ_BODY)
		read_body(conn);
	/* The rest of it will never come. */
	if (conn->eof && (conn->state == HTTP_IDLE || conn->state == HTTP_READ_HEAD ||
					  conn->state == HTTP_READ_BODY))
		conn_free(conn);
}

static void
on_read(struct bufferevent *bev, void *arg)
{
	HttpConn   *conn = arg;

	(void) bev;
	conn_process(conn);
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
		conn_set_state(conn, HTTP_IDLE);
		/* There may be a next request already, or an end. */
		conn_process(conn);
		return;
	}
	if (!conn->body_unread || conn->eof)
	{
		conn_free(conn);
		return;
	}
	/* Closing now would reset the connection before the peer reads the answer. */
	if (bufferevent_openssl_get_ssl(bev) == NULL)
		shutdown(bufferevent_getfd(bev), SHUT_WR);
	conn->swallowed = 0;
	conn_set_state(conn, HTTP_LINGER);
	conn_process(conn);
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	HttpConn   *conn = arg;

	(void) bev;
	if (what & BEV_EVENT_CONNECTED)
		return;
	/* Half closed: who waits for an answer gets it. */
	if ((what & BEV_EVENT_EOF) && (conn->state == HTTP_WAIT_AUTH ||
								   conn->state == HTTP_WAIT_COMMIT || conn->state == HTTP_WRITE))
	{
		conn->eof = true;
		return;
	}
	conn_free(conn);
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
			conn_free(conn);
			break;
		case HTTP_READ_HEAD:
			memset(&conn->head, 0, sizeof(conn->head));
			conn->keep_alive = false;
			conn->body_unread = true;
			answer_error(conn, 408, "", "the request took too long");
			break;
		case HTTP_READ_BODY:
			/* A large body may take its time, as long as it comes. */
			if (buf_len(&conn->body) - conn->body_seen >=
				(size_t) cf->http_idle_seconds * BODY_RATE_MIN)
			{
				conn->body_seen = buf_len(&conn->body);
				conn_set_state(conn, HTTP_READ_BODY);
			}
			else
				answer_error(conn, 408, "", "the request took too long");
			break;
		case HTTP_WAIT_AUTH:
			answer_away(conn);
			break;
		case HTTP_WAIT_COMMIT:
			answer_retry(conn, 503, RETRY_AWAY_SECONDS,
						 "no commit in time; it may still follow, and sending again does no harm");
			break;
	}
}

/* --- listening --- */

static void
refuse(int fd)
{
	static const char text[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n"
		"Content-Type: application/json\r\nContent-Length: 33\r\nConnection: close\r\n\r\n"
		"{\"error\":\"too many connections\"}\n";

	stats_inc(STAT_REFUSED_TOTAL);
	stats_inc(STAT_HTTP_503);
	/* One try: the socket's buffer is empty, and nobody is owed more. */
	(void) !send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

static void
accept_conn(HttpService *service, int fd, const struct sockaddr *peer, socklen_t peer_len)
{
	HttpConn   *conn;
	int			on = 1;

	if (service->nconns >= (size_t) cf->http_connections)
	{
		/* In the clear: with TLS, closing says it all. */
		if (service->config->tls != NULL)
		{
			stats_inc(STAT_REFUSED_TOTAL);
			close(fd);
		}
		else
			refuse(fd);
		return;
	}
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
	conn_set_state(conn, HTTP_IDLE);
	bufferevent_enable(conn->bev, EV_READ | EV_WRITE);
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

static void
http_stop(void *arg)
{
	HttpService *service = arg;

	while (service->conns != NULL)
		conn_free(service->conns);
	if (service->accept_event != NULL)
		event_free(service->accept_event);
	if (service->resume_timer != NULL)
		event_free(service->resume_timer);
	if (service->fd >= 0)
		close(service->fd);
	free(service);
}

static void *
http_start(struct event_base *base, int fd, const ListenerConfig *config)
{
	HttpService *service = calloc(1, sizeof(*service));

	if (service == NULL)
		return NULL;
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
		http_stop(service);
		return NULL;
	}
	return service;
}

static void
http_drain(void *arg)
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
			conn_free(conn);
	}
}

static size_t
http_busy(void *arg)
{
	HttpService *service = arg;
	size_t		n = 0;

	for (HttpConn *conn = service->conns; conn != NULL; conn = conn->next)
		if (conn->state != HTTP_IDLE && conn->state != HTTP_READ_HEAD && conn->state != HTTP_LINGER)
			n++;
	return n;
}

static const Service http_service = {
	.start = http_start,
	.drain = http_drain,
	.busy = http_busy,
	.stop = http_stop
};

const Adapter adapter_http = {
	.name = "http",
	.help = "JSON documents by HTTP POST, health, metrics",
	.service = &http_service
};
