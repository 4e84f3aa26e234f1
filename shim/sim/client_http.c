/*
 * client_http.c
 *	  POST /v1/telemetry with a batch of documents, one per line; the next
 *	  request leaves when the answer to the one before has come.
 */
#include "client.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <zlib.h>

#define RETRY_AFTER_DEFAULT_S 1
#define GZIP_WINDOW (15 + 16)	/* largest window, gzip header */

static void
http_opened(Lane *lane)
{
	/* Credentials travel with each request. */
	lane_set_state(lane, LANE_READY);
}

static void
add_gzipped(Buffer *out, const char *data, size_t len)
{
	z_stream	z = {0};

	if (deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		die("zlib cannot be set up");
	buffer_reserve(out, deflateBound(&z, len));
	z.next_in = (Bytef *) data;
	z.avail_in = len;
	z.next_out = (Bytef *) out->data + out->len;
	z.avail_out = out->size - out->len;
	if (deflate(&z, Z_FINISH) != Z_STREAM_END)
		die("zlib cannot compress");
	out->len += z.total_out;
	deflateEnd(&z);
}

static void
http_produce(Lane *lane)
{
	const Client *c = lane->client;
	Outbox	   *o = &lane->outbox;
	Buffer		packed = {0};
	size_t		len = 0;
	const char *data = o->bytes.data + o->head_offset;

	if (lane->in_request || outbox_entries(o) == 0)
		return;
	while (lane->in_request < (size_t) c->options.http_batch && lane->in_request < outbox_entries(o))
		len += o->entries[o->head + lane->in_request++].len;
	if (c->options.http_gzip)
	{
		add_gzipped(&packed, data, len);
		data = packed.data;
		len = packed.len;
	}
	buffer_printf(&lane->control,
				  "POST /v1/telemetry%s%s HTTP/1.1\r\n"
				  "Host: %s:%s\r\n"
				  "Authorization: Bearer %s\r\n"
				  "Content-Type: application/x-ndjson\r\n"
				  "%s"
				  "Content-Length: %zu\r\n\r\n",
				  c->options.mapping ? "?mapping=" : "", c->options.mapping ? c->options.mapping : "",
				  c->host, c->port, c->options.token,
				  c->options.http_gzip ? "Content-Encoding: gzip\r\n" : "", len);
	buffer_add(&lane->control, data, len);
	buffer_free(&packed);
}

typedef struct Response
{
	int			status;
	const char *body;
	size_t		body_len;
	size_t		total_len;
	int			retry_after_s;
	bool		closes;
} Response;

/* 1: a whole response, 0: more is needed, -1: not understood. */
static int
parse_response(const Buffer *in, Response *r)
{
	const char *end = memmem(in->data, in->len, "\r\n\r\n", 4);
	const char *line = in->data;
	long		content_length = -1;
	int			minor;

	if (!end)
		return 0;
	*r = (Response) {.retry_after_s = RETRY_AFTER_DEFAULT_S};
	if (sscanf(line, "HTTP/1.%d %d", &minor, &r->status) != 2)
		return -1;
	while (line < end)
	{
		const char *next = (const char *) memmem(line, end + 2 - line, "\r\n", 2) + 2;

		if (strncasecmp(line, "Content-Length:", 15) == 0)
			content_length = strtol(line + 15, NULL, 10);
		else if (strncasecmp(line, "Retry-After:", 12) == 0)
			r->retry_after_s = (int) strtol(line + 12, NULL, 10);
		else if (strncasecmp(line, "Connection: close", 17) == 0)
			r->closes = true;
		line = next;
	}
	if (content_length < 0)
		return -1;
	r->body = end + 4;
	if (in->len - (r->body - in->data) < (size_t) content_length)
		return 0;
	r->body_len = content_length;
	r->total_len = r->body - in->data + content_length;
	return 1;
}

/*
 * {"accepted":a,"repeated":r,"rejected":n,"errors":[{"index":i,"code":...,"field":...}]},
 * indexes counted from 0.
 */
static bool
take_result(Lane *lane, const Response *r, const char **reason)
{
	const ClientEvents *events = &lane->client->events;
	struct json_tokener *tokener = json_tokener_new();
	struct json_object *result = json_tokener_parse_ex(tokener, r->body, (int) r->body_len);
	struct json_object *errors = NULL;
	size_t		next = 0;
	size_t		listed = 0;
	bool		ok = json_object_is_type(result, json_type_object);

	if (!ok)
		*reason = "an answer that is no JSON object";
	else
	{
		if (json_object_object_get_ex(result, "errors_omitted", NULL))
			die("the daemon does not tell all documents that it rejected; use a smaller --http-batch");
		if (json_object_object_get_ex(result, "errors", &errors) && json_object_is_type(errors, json_type_array))
			listed = json_object_array_length(errors);
		for (size_t n = 0; n < lane->in_request; n++)
		{
			uint64_t	id = outbox_take(&lane->outbox);
			struct json_object *entry = next < listed ? json_object_array_get_idx(errors, next) : NULL;
			struct json_object *value;

			if (entry && json_object_object_get_ex(entry, "index", &value) &&
				(size_t) json_object_get_int64(value) == n)
			{
				struct json_object *field = NULL;

				next++;
				json_object_object_get_ex(entry, "code", &value);
				json_object_object_get_ex(entry, "field", &field);
				events->rejected(events->context, id, value ? json_object_get_string(value) : "unnamed",
								 field ? json_object_get_string(field) : NULL);
			}
			else
				events->acked(events->context, id);
		}
		lane->in_request = 0;
	}
	json_object_put(result);
	json_tokener_free(tokener);
	return ok;
}

static bool
http_receive(Lane *lane, const char **reason)
{
	for (;;)
	{
		Response	r;
		int			found = parse_response(&lane->input, &r);

		if (found == 0)
			return true;
		if (found < 0)
		{
			*reason = "an answer that is not understood";
			return false;
		}
		switch (r.status)
		{
			case 200:
				if (!take_result(lane, &r, reason))
					return false;
				break;
			case 429:
			case 503:
				lane_retry(lane, r.retry_after_s * US_PER_S, "the daemon is full or has no database");
				return true;
			case 401:
			case 403:
				die("the daemon refused the token");
			default:
				die("the daemon answered %d: %.*s", r.status, (int) r.body_len, r.body);
		}
		memmove(lane->input.data, lane->input.data + r.total_len, lane->input.len - r.total_len);
		lane->input.len -= r.total_len;
		if (r.closes)
		{
			*reason = "closed by the daemon";
			return false;
		}
	}
}

const Protocol protocol_http = {
	.name = "http",
	.streams = false,
	.opened = http_opened,
	.produce = http_produce,
	.receive = http_receive
};
