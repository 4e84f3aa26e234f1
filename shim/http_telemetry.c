/*
 * http_telemetry.c
 *	  POST /v1/telemetry: token, body, documents to the sink, their outcomes.
 */
#include "http_conn.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "conn.h"
#include "failures.h"
#include "gate.h"
#include "gzip.h"
#include "json_decode.h"
#include "pseudonym.h"
#include "rate.h"
#include "stats.h"

#define DOCUMENTS_MAX 100000	/* in a request */
#define NO_SOURCE "the database does not permit the source"
#define ERRORS_MAX 1000			/* told of one by one */
#define ROW_OVERHEAD 256		/* bytes of a queued row beyond its document, at most */

static Record record;			/* of the document at hand */
static size_t body_memory;		/* of all bodies */

static void
release_body(HttpConn *conn)
{
	body_memory -= buf_len(&conn->body);
	stats_gauge_add(GAUGE_HTTP_BODY_BYTES, -(double) buf_len(&conn->body));
	buf_release(&conn->body);
}

void
http_telemetry_end(HttpConn *conn)
{
	release_body(conn);
	buf_release(&conn->query);
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
	conn->unasked = false;
	conn->over_quota = false;
	credential_drop(conn->credential);
	conn->credential = NULL;
	memset(conn->counts, 0, sizeof(conn->counts));
	if (conn->serving)
		stats_gauge_add(GAUGE_HTTP_REQUESTS, -1);
	conn->serving = false;
}

/* --- outcomes --- */

static int
compare_errors(const void *a, const void *b)
{
	uint64_t	x = ((const HttpError *) a)->index;
	uint64_t	y = ((const HttpError *) b)->index;

	return (x > y) - (x < y);
}

/* {"accepted":2,"repeated":0,"rejected":1,"errors":[{"index":1,...}]} */
void
http_telemetry_outcome(HttpConn *conn)
{
	Buf			text = {0};
	bool		ok;

	/* As with trackers: what the database says of its first reports tells of the source. */
	for (size_t i = 0; conn->unasked && i < conn->nerrors; i++)
	{
		SinkOutcome outcome = {conn->errors[i].index, SINK_REJECTED, conn->errors[i].code, conn->errors[i].field};

		if (gate_is_refusal(&outcome))
		{
			gate_shut(conn->source_id);
			http_answer_forbidden(conn, NO_SOURCE);
			return;
		}
	}
	if (conn->over_quota)
	{
		http_answer_over_quota(conn);
		return;
	}
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
		http_answer_text(conn, 200, "", buf_data(&text), buf_len(&text));
	else
		http_conn_abandon(conn);
	buf_release(&text);
}

static void
on_decided(void *arg, const SinkOutcome *outcome)
{
	HttpConn   *conn = arg;
	HttpError  *error;

	conn->counts[outcome->verdict]++;
	if (sink_over_quota(outcome))
	{
		rate_hold_source(conn->source_id);
		conn->over_quota = true;
	}
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
		conn->service->kind->outcome(conn);
}

const SinkOwnerOps http_owner_ops = {.decided = on_decided,.settled = on_settled};

/* --- documents --- */

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
			http_answer_error(conn, 413, "", "a document is too long");
			return -1;
		}
		if (++n > DOCUMENTS_MAX)
		{
			http_answer_error(conn, 413, "", "too many documents");
			return -1;
		}
	}
	if (result == BODY_NOT_JSON)
	{
		http_answer_error(conn, 400, "", "the body is neither a JSON object nor an array");
		return -1;
	}
	if (n == 0 && (len == 0 || conn->head.form == HTTP_FORM_LINES))
	{
		http_answer_error(conn, 400, "", "the body is empty");
		return -1;
	}
	return n;
}

/* Reads a document; false when it is of another device than the peer's. */
static bool
read_document(HttpConn *conn, const Mapping *mapping, Str document)
{
	json_decode(mapping, document.data, document.len, &record);
	return conn->device[0] == '\0' ||
		record_bind(&record, (Str) {conn->device, (uint32_t) strlen(conn->device)}, document);
}

/* Before any is submitted: are all of the device that the certificate proves? */
static bool
all_are_its_own(HttpConn *conn, const Mapping *mapping, const char *text, size_t len)
{
	Body		body;
	Str			document;

	body_begin(&body, conn->head.form, text, len);
	while (conn->device[0] != '\0' && body_next(&body, &document) == BODY_DOCUMENT)
		if (!read_document(conn, mapping, document))
			return false;
	return true;
}

static void
submit_documents(HttpConn *conn, const Mapping *mapping, const char *text, size_t len)
{
	Body		body;
	Str			document;

	body_begin(&body, conn->head.form, text, len);
	while (body_next(&body, &document) == BODY_DOCUMENT)
	{
		(void) read_document(conn, mapping, document);
		/* A gateway may know when it had it; nobody has it before it came. */
		if (record.received_at_us == 0 || record.received_at_us > conn->received_us)
			record.received_at_us = conn->received_us;
		/*
		 * The first device stands for the request: once begun it is taken whole,
		 * or a buffer larger than the limit would never come through.
		 */
		if (conn->submitted == 0)
		{
			int64_t		wait = rate_wait_device(conn->source_id, pseudonym_device(conn->source_id, record.device));

			if (wait > 0)
			{
				http_answer_slow(conn, wait);
				return;
			}
		}
		/* What was taken will be committed; the sender repeats it all. */
		if (sink_submit(conn->owner, conn->submitted, conn->source_id, &record) != SINK_OK)
		{
			http_answer_full(conn);
			return;
		}
		(void) rate_charge(conn->source_id, pseudonym_device(conn->source_id, record.device));
		conn->submitted++;
	}
	http_conn_set_state(conn, HTTP_WAIT_COMMIT);
}

void
http_telemetry_take(HttpConn *conn, const char *text, size_t len)
{
	const char *name = conn->head.mapping[0] != '\0' ? conn->head.mapping :
		conn->service->config->mapping_name;
	const Mapping *mapping = config_mapping(name);
	int64_t		n;

	if (mapping == NULL)
	{
		http_answer_error(conn, 400, "", "mapping unknown");
		return;
	}
	n = count_documents(conn, text, len);
	if (n < 0)
		return;
	if (n == 0)
	{
		conn->service->kind->outcome(conn);
		return;
	}
	if (!all_are_its_own(conn, mapping, text, len))
	{
		stats_inc(STAT_RECORDS_FOREIGN);
		http_answer_forbidden(conn, "a document is of another device than the certificate's");
		return;
	}
	if (len + (size_t) n * ROW_OVERHEAD > SINK_HARD_LIMIT(cf->queue_high_bytes))
	{
		/* Waiting would not help. */
		http_answer_error(conn, 413, "", "more documents than the queue has room for");
		return;
	}
	if (len + (size_t) n * ROW_OVERHEAD > sink_room())
	{
		http_answer_full(conn);
		return;
	}
	conn->owner = sink_owner_new(&http_owner_ops, conn);
	if (conn->owner == NULL)
	{
		http_answer_full(conn);
		return;
	}
	submit_documents(conn, mapping, text, len);
}

/* --- the body --- */

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
		conn->service->kind->take(conn, buf_data(&plain), buf_len(&plain));
	}
	else
	{
		GzipResult	result = gzip_inflate(buf_data(&conn->body), buf_len(&conn->body),
										  (size_t) cf->http_body_bytes, &plain);

		release_body(conn);
		switch (result)
		{
			case GZIP_OK:
				conn->service->kind->take(conn, buf_data(&plain), buf_len(&plain));
				break;
			case GZIP_CORRUPT:
				http_answer_error(conn, 400, "", "the body is not gzip");
				break;
			case GZIP_TOO_LARGE:
				http_answer_error(conn, 413, "", "the body is too large when decompressed");
				break;
			case GZIP_NO_MEMORY:
				http_answer_full(conn);
				break;
		}
	}
	buf_release(&plain);
}

void
http_telemetry_read(HttpConn *conn)
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
				http_answer_error(conn, 400, "", "the chunks are not in order");
				return;
			case CHUNKS_TOO_LARGE:
				http_answer_error(conn, 413, "", "the body is too large");
				return;
			case CHUNKS_NO_MEMORY:
				http_answer_full(conn);
				return;
			case CHUNKS_MORE:
			case CHUNKS_DONE:
				break;
		}
		evbuffer_drain(in, taken);
		done = result == CHUNKS_DONE;
		if (body_memory > (size_t) cf->limit_input_bytes)
		{
			http_answer_full(conn);
			return;
		}
	}
	body_complete(conn);
}

void
http_body_begin(HttpConn *conn)
{
	conn->chunks = (Chunks) {0};
	conn->body_left = conn->head.length;
	conn->body_seen = 0;
	http_conn_set_state(conn, HTTP_READ_BODY);
	if (conn->head.expects_continue && evbuffer_get_length(bufferevent_get_input(conn->bev)) == 0)
		evbuffer_add_printf(bufferevent_get_output(conn->bev), "HTTP/1.1 100 Continue\r\n\r\n");
}

/* Is its certificate enough, so that the listener's source is its own? */
static bool
token_is_optional(const HttpConn *conn)
{
	return conn->proof == PEER_PROVED && conn->service->config->source != 0;
}

static void
authenticated(HttpConn *conn, AuthStatus status, Credential *credential)
{
	int32_t		source_id = credential != NULL ? credential->source_id : 0;
	int64_t		wait;

	switch (status)
	{
		case AUTH_OK:
			/* Who comes with both has to be right by both. */
			if (token_is_optional(conn) && source_id != conn->service->config->source)
			{
				failures_add(conn->address, FAILURE_TOKEN);
				http_answer_forbidden(conn, "the token is of another source than the certificate");
				break;
			}
			failures_success(conn->address);
			conn->source_id = source_id;
			conn->credential = credential_hold(credential);
			wait = rate_wait_source(source_id);
			if (wait > 0)
				http_answer_slow(conn, wait);
			else
				http_body_begin(conn);
			break;
		case AUTH_DENIED:
			failures_add(conn->address, FAILURE_TOKEN);
			http_answer_denied(conn, "token unknown");
			break;
		case AUTH_UNAVAILABLE:
			http_answer_away(conn);
			break;
		case AUTH_PENDING:
			http_conn_set_state(conn, HTTP_WAIT_AUTH);
			break;
	}
}

void
http_telemetry_revoke(HttpConn *conn)
{
	/* What was handed on is answered, and nothing after it. */
	conn->keep_alive = false;
	if (conn->state != HTTP_READ_BODY)
		return;
	if (conn->unasked)
		http_answer_forbidden(conn, NO_SOURCE);
	else
		http_answer_denied(conn, conn->credential->state == CREDENTIAL_REVOKED ? "token revoked" : "token expired");
}

static void
on_auth(void *arg, AuthStatus status, Credential *credential)
{
	HttpConn   *conn = arg;

	conn->auth = NULL;
	authenticated(conn, status, credential);
	if (conn->state == HTTP_READ_BODY)
		http_conn_process(conn);
}

void
http_telemetry_begin(HttpConn *conn)
{
	HttpHead   *head = &conn->head;
	Credential *credential;
	AuthStatus	status;
	int			blocked = conn_address_wait(conn->address);

	conn->serving = true;
	conn->unasked = head->token[0] == '\0' && token_is_optional(conn);
	stats_gauge_add(GAUGE_HTTP_REQUESTS, 1);
	if (blocked > 0)
		http_answer_blocked(conn, blocked);
	else if (conn->proof == PEER_NAMELESS)
		http_answer_forbidden(conn, "the certificate names no device");
	else if (head->token[0] == '\0' && !conn->unasked)
		http_answer_denied(conn, "Authorization: Bearer TOKEN is missing");
	else if (head->form == HTTP_FORM_OTHER)
		http_answer_error(conn, 415, "", "Content-Type must be application/json or application/x-ndjson");
	else if (head->encoding == HTTP_ENCODING_OTHER)
		http_answer_error(conn, 415, "Accept-Encoding: gzip\r\n", "Content-Encoding must be gzip or identity");
	else if (!head->has_body)
		http_answer_error(conn, 400, "", "the body is empty");
	else if (!head->chunked && head->length > (uint64_t) cf->http_body_bytes)
		http_answer_error(conn, 413, "", "the body is too large");
	else if (!sink_up())
		http_answer_away(conn);
	else if (conn->unasked && !gate_is_open((int32_t) conn->service->config->source))
		http_answer_forbidden(conn, NO_SOURCE);
	else if (sink_full() || body_memory > (size_t) cf->limit_input_bytes)
		http_answer_full(conn);
	else if (conn->unasked)
	{
		credential = credential_source((int32_t) conn->service->config->source);
		authenticated(conn, credential != NULL ? AUTH_OK : AUTH_UNAVAILABLE, credential);
	}
	else
	{
		status = auth_check(head->token, strlen(head->token), &credential, on_auth, conn,
							&conn->auth);
		authenticated(conn, status, credential);
	}
}
