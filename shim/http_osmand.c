/*
 * http_osmand.c
 *	  Requests of phones with OsmAnd's protocol; docs/protocols/osmand.md has it.
 *
 * Connections, heads, bodies and limits are those of the http adapter.  A phone
 * keeps what was answered with 5xx, so all that passes is 503 here.
 */
#include "http_conn.h"

#include <string.h>

#include "clock.h"
#include "gate.h"
#include "json_value.h"
#include "osmand_decode.h"
#include "pseudonym.h"
#include "rate.h"
#include "stats.h"

static Record record;			/* of the report at hand */

static bool
is_json(const char *text, size_t len)
{
	const char *p = json_skip_space(text, text + len);

	return p < text + len && *p == '{';
}

/* In the JSON form a phone is told 404 where it would be 400. */
static void
answer_unknown(HttpConn *conn, const char *error)
{
	http_answer_error(conn, conn->json ? 404 : 400, "", error);
}

static void
submit(void *arg, const Record *r)
{
	HttpConn   *conn = arg;
	Str			device = pseudonym_device(conn->source_id, r->device);
	int64_t		wait;

	if (conn->state == HTTP_WRITE || conn->state == HTTP_LINGER)
		return;					/* answered already */
	if (!config_allows_device(conn->service->config, device.data, device.len))
	{
		answer_unknown(conn, "device unknown");
		return;
	}
	if (conn->device[0] != '\0' && (r->device.len != strlen(conn->device) || memcmp(r->device.data, conn->device, r->device.len) != 0))
	{
		stats_inc(STAT_RECORDS_FOREIGN);
		http_answer_forbidden(conn, "a report is of another device than the certificate's");
		return;
	}
	wait = conn->submitted == 0 ? rate_wait_device(conn->source_id, device) : 0;
	if (wait > 0)
		http_answer_slow(conn, wait);
	else if (sink_submit(conn->owner, conn->submitted, conn->source_id, r) != SINK_OK)
		http_answer_full(conn);
	else
	{
		(void) rate_charge(conn->source_id, device);
		conn->submitted++;
	}
}

/* The query, and all of the body. */
void
http_osmand_take(HttpConn *conn, const char *text, size_t len)
{
	OsmandSink	sink = {submit, conn, &record, conn->received_us};
	Str			query = {buf_len(&conn->query) > 0 ? buf_data(&conn->query) : "", (uint32_t) buf_len(&conn->query)};
	Str			body = {len > 0 ? text : "", (uint32_t) len};
	OsmandResult result;

	conn->json = is_json(text, len);
	if (len > sink_room())
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
	result = conn->json ? osmand_json(body, &sink) : osmand_form(query, body, &sink);
	if (conn->state == HTTP_WRITE || conn->state == HTTP_LINGER)
		return;
	if (result == OSMAND_NO_DEVICE)
		answer_unknown(conn, "id is missing");
	else if (result == OSMAND_MALFORMED)
		http_answer_error(conn, 400, "", "the body is no JSON object");
	else if (conn->submitted == 0)
		http_answer_text(conn, 200, "", "", 0);
	else
		http_conn_set_state(conn, HTTP_WAIT_COMMIT);
}

/*
 * All is committed.  What is in quarantine for what it says was taken: the same
 * again would not mend it.  What could not be read, or whose device is unknown,
 * is told; of a source that the database turns away the phone keeps its reports.
 */
void
http_osmand_outcome(HttpConn *conn)
{
	bool		unknown = false;
	bool		malformed = false;
	bool		refused = false;

	for (size_t i = 0; i < conn->nerrors; i++)
	{
		const HttpError *error = &conn->errors[i];
		SinkOutcome outcome = {error->index, SINK_REJECTED, error->code, error->field};

		refused |= gate_is_refusal(&outcome);
		unknown |= strcmp(error->code, "unknown_device") == 0;
		malformed |= strcmp(error->code, "malformed") == 0;
	}
	if (refused)
	{
		gate_shut(conn->source_id);
		http_answer_away(conn);
	}
	else if (conn->over_quota)
		http_answer_over_quota(conn);
	else if (unknown)
		answer_unknown(conn, "device unknown");
	else if (malformed)
		http_answer_error(conn, 400, "", "malformed report");
	else
		http_answer_text(conn, 200, "", "", 0);
}

/* Any path: phones are given an address, and what stands behind it differs. */
void
http_osmand_begin(HttpConn *conn)
{
	int64_t		wait;

	conn->serving = true;
	stats_gauge_add(GAUGE_HTTP_REQUESTS, 1);
	conn->source_id = (int32_t) conn->service->config->source;
	wait = rate_wait_source(conn->source_id);
	if (conn->proof == PEER_NAMELESS)
		http_answer_forbidden(conn, "the certificate names no device");
	else if (conn->head.method != HTTP_GET && conn->head.method != HTTP_POST)
		http_answer_error(conn, 405, "Allow: GET, POST\r\n", "method not allowed here");
	else if (conn->head.encoding == HTTP_ENCODING_OTHER)
		http_answer_error(conn, 415, "Accept-Encoding: gzip\r\n", "Content-Encoding must be gzip or identity");
	else if (conn->head.has_body && !conn->head.chunked && conn->head.length > (uint64_t) cf->http_body_bytes)
		http_answer_error(conn, 413, "", "the body is too large");
	else if (!sink_up() || !gate_is_open(conn->source_id))
		http_answer_away(conn);
	else if (sink_full())
		http_answer_full(conn);
	else if (wait > 0)
		http_answer_slow(conn, wait);
	else if (conn->head.has_body)
		http_body_begin(conn);
	else
	{
		conn->received_us = clock_unix_us();
		http_osmand_take(conn, "", 0);
	}
}
