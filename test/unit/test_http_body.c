/*
 * test_http_body.c
 *	  HTTP on memory: heads, chunks, bodies cut into documents.
 */
#include <stdlib.h>

#include "http_body.h"
#include "http_head.h"
#include "tap.h"

static HttpHead head;

/* Status of a head whose lines are given with \n. */
static int
parse(const char *lines)
{
	static char text[4096];
	size_t		n = 0;
	const char *why = NULL;

	for (const char *p = lines; *p != '\0'; p++)
	{
		if (*p == '\n')
			text[n++] = '\r';
		text[n++] = *p;
	}
	memcpy(text + n, "\r\n", 2);
	n += 2;
	if (http_head_length(text, n) != n)
		return -1;
	return http_head_parse(text, n, &head, &why);
}

static void
status(const char *lines, int want, const char *name)
{
	is_int(parse(lines), want, name);
}

static void
test_heads(void)
{
	char		long_token[400];

	/* 1. What matters is read */
	status("POST /v1/telemetry?x=1&mapping=ac%6De&y HTTP/1.1\nHost: a\nauthorization: bearer  abc \n"
		   "Content-Type: application/x-ndjson; charset=utf-8\nContent-Length: 42\nContent-Encoding: gzip\n"
		   "Expect: 100-continue\n", 0, "a whole head");
	is_int(head.method, HTTP_POST, "method");
	ok(head.path_len == 13 && memcmp(head.path, "/v1/telemetry", 13) == 0, "path without the query");
	is_str(head.mapping, "acme", "mapping of the query");
	is_str(head.token, "abc", "token");
	is_int(head.form, HTTP_FORM_LINES, "lines");
	is_int(head.encoding, HTTP_ENCODING_GZIP, "gzip");
	ok(head.has_body && !head.chunked && head.length == 42, "length");
	ok(head.keep_alive && head.expects_continue, "keep-alive and continue");

	status("GET http://host:80/metrics HTTP/1.1\nHost: a\nConnection: foo, Close\n", 0, "a proxy's form");
	ok(head.path_len == 8 && memcmp(head.path, "/metrics", 8) == 0, "... has a path");
	ok(!head.keep_alive && !head.has_body && head.token[0] == '\0', "... and nothing else");
	status("GET / HTTP/1.0\n", 0, "HTTP/1.0 needs no Host");
	ok(!head.keep_alive, "... and closes");
	status("GET / HTTP/1.0\nConnection: keep-alive\n", 0, "... unless asked");
	ok(head.keep_alive, "... not to");
	status("DELETE / HTTP/1.1\nHost:\n", 0, "another method");
	is_int(head.method, HTTP_METHOD_OTHER, "... is another");
	status("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: Chunked\nContent-Type: text/xml\nContent-Encoding: br\n", 0, "chunked");
	ok(head.chunked && head.has_body && head.form == HTTP_FORM_OTHER && head.encoding == HTTP_ENCODING_OTHER,
	   "... of a kind we do not take");
	status("POST / HTTP/1.1\nHost: a\nAuthorization: Basic abc\n", 0, "another scheme");
	is_str(head.token, "", "... is no token");
	snprintf(long_token, sizeof(long_token),
			 "POST / HTTP/1.1\nHost: a\nAuthorization: Bearer %0300d\n", 7);
	status(long_token, 0, "a token too long");
	is_str(head.token, "", "... is none");

	/* 2. What two parties could read in two ways is refused */
	status("POST / HTTP/1.1\nHost: a\nContent-Length: 1\nTransfer-Encoding: chunked\n", 400, "two framings");
	status("POST / HTTP/1.1\nHost: a\nContent-Length: 1\nContent-Length: 1\n", 400, "two lengths");
	status("POST / HTTP/1.1\nHost: a\nContent-Length: +1\n", 400, "a sign");
	status("POST / HTTP/1.1\nHost: a\nContent-Length: 1, 1\n", 400, "a list");
	status("POST / HTTP/1.1\nHost: a\nContent-Length: 9999999999999999999\n", 400, "a length that overflows");
	status("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: gzip, chunked\n", 501, "another coding");
	status("POST / HTTP/1.0\nTransfer-Encoding: chunked\nConnection: keep-alive\n", 400, "chunks in HTTP/1.0");
	status("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked\n", 501, "twice");
	status("POST / HTTP/1.1\nHost : a\n", 400, "a blank before the colon");
	status("POST / HTTP/1.1\nHost: a\n folded\n", 400, "a folded header");
	status("POST / HTTP/1.1\nHost: a\nnothing\n", 400, "a header without colon");
	status("POST / HTTP/1.1\nHost: a\nHost: b\n", 400, "two hosts");
	status("POST / HTTP/1.1\n", 400, "no host");
	status("GET / HTTP/1.1\nHost: a\nX: \001\n", 400, "a control character");

	/* 3. Request lines */
	status("GET /\n", 400, "HTTP/0.9");
	status("GET  / HTTP/1.1\nHost: a\n", 400, "two blanks");
	status("GET / HTTP/2.0\nHost: a\n", 505, "HTTP/2");
	status("GET / http/1.1\nHost: a\n", 400, "small letters");
	status("GET metrics HTTP/1.1\nHost: a\n", 400, "no slash");
	status("GET /\303\244 HTTP/1.1\nHost: a\n", 400, "beyond ASCII");
	status("GET /?mapping=%0 HTTP/1.1\nHost: a\n", 400, "half an escape");
	status("GET /?mapping=%00 HTTP/1.1\nHost: a\n", 400, "an escaped NUL");
	status("POST / HTTP/1.1\nHost: a\nExpect: wonders\n", 417, "another expectation");
	is_int(http_head_length("GET / HTTP/1.1\r\nHost: a\r\n", 25), 0, "no blank line yet");
}

static ChunkResult
chunk(const char *text, size_t step, size_t limit, Buf *out, size_t *used)
{
	Chunks		chunks = {0};
	ChunkResult result = CHUNKS_MORE;
	size_t		len = strlen(text);

	*used = 0;
	buf_release(out);
	while (*used < len && result == CHUNKS_MORE)
	{
		size_t		n = len - *used < step ? len - *used : step;
		size_t		taken = 0;

		result = chunks_take(&chunks, text + *used, n, limit, out, &taken);
		*used += taken;
	}
	return result;
}

static void
test_chunks(void)
{
	static const char whole[] = "4\r\nWiki\r\n6;a=\"b\"\r\npedia \r\nE \r\nin \r\n\r\nchunks.\r\n0\r\nX: y\r\n\r\nGET";
	Buf			out = {0};
	size_t		used;

	for (size_t step = 1; step <= sizeof(whole); step++)
	{
		bool		good = chunk(whole, step, 100, &out, &used) == CHUNKS_DONE &&
			used == strlen(whole) - 3 && buf_len(&out) == 24 &&
			memcmp(buf_data(&out), "Wikipedia in \r\n\r\nchunks.", 24) == 0;

		if (!good || step == 1 || step == sizeof(whole))
			ok(good, step == 1 ? "chunks, byte by byte" : "chunks, in larger pieces");
	}
	is_int(chunk(whole, 64, 23, &out, &used), CHUNKS_TOO_LARGE, "a limit");
	is_int(chunk("4\r\nWi", 64, 100, &out, &used), CHUNKS_MORE, "more to come");
	is_int(chunk("4\r\nWikiX", 64, 100, &out, &used), CHUNKS_BAD, "longer than said");
	is_int(chunk("4x\r\n", 64, 100, &out, &used), CHUNKS_BAD, "no digit");
	is_int(chunk("\r\n", 64, 100, &out, &used), CHUNKS_BAD, "no size");
	is_int(chunk("-1\r\n", 64, 100, &out, &used), CHUNKS_BAD, "a sign");
	is_int(chunk("4\nWiki", 64, 100, &out, &used), CHUNKS_BAD, "a bare line end");
	is_int(chunk("123456789\r\n", 64, 100, &out, &used), CHUNKS_BAD, "too many digits");
	is_int(chunk("ffffffff\r\nx", 64, 100, &out, &used), CHUNKS_MORE, "a size is not believed");
	buf_release(&out);
	{
		static char endless[6000];

		memset(endless, 'x', sizeof(endless) - 1);
		memcpy(endless, "1;", 2);
		is_int(chunk(endless, 64, 100, &out, &used), CHUNKS_BAD, "an endless extension");
	}
	buf_release(&out);
}

/* Documents joined by | and how it ended. */
static const char *
cut(HttpForm form, const char *text)
{
	static char joined[512];
	Body		body;
	Str			document;
	BodyResult	result;
	size_t		n = 0;

	body_begin(&body, form, text, strlen(text));
	while ((result = body_next(&body, &document)) == BODY_DOCUMENT)
		n += (size_t) snprintf(joined + n, sizeof(joined) - n, "%.*s|", (int) document.len, document.data);
	snprintf(joined + n, sizeof(joined) - n, "%s", result == BODY_DONE ? "." : "!");
	return joined;
}

static void
test_documents(void)
{
	const HttpForm json = HTTP_FORM_JSON;
	const HttpForm lines = HTTP_FORM_LINES;

	is_str(cut(json, "{\"a\":1}"), "{\"a\":1}|.", "one document");
	is_str(cut(json, " \r\n{ }\n"), "{ }|.", "space around it");
	is_str(cut(json, "[{\"a\":[1,2]} , 5,\"x\" ,[]]"), "{\"a\":[1,2]}|5|\"x\"|[]|.", "an array");
	is_str(cut(json, " [ ] "), ".", "an empty array");
	is_str(cut(json, "[{\"a\":\"]},\\\"\"}]"), "{\"a\":\"]},\\\"\"}|.", "brackets in a string");
	is_str(cut(json, ""), ".", "nothing");
	is_str(cut(json, "  "), "!", "space only");
	is_str(cut(json, "5"), "!", "a number");
	is_str(cut(json, "{\"a\":1} {\"a\":2}"), "!", "two documents");
	is_str(cut(json, "{\"a\":}"), "!", "no JSON");
	is_str(cut(json, "[{},]"), "{}|!", "a comma too many");
	is_str(cut(json, "[{}"), "!", "no end");
	is_str(cut(json, "[{}] x"), "!", "more behind the end");
	is_str(cut(json, "[,{}]"), "!", "a comma too early");
	is_str(cut(lines, "{\"a\":1}\n{\"a\":2}\n"), "{\"a\":1}|{\"a\":2}|.", "lines");
	is_str(cut(lines, "{}\r\n\r\n \nbad\n5"), "{}|bad|5|.", "blank lines, bad lines, no end");
	is_str(cut(lines, "\n\n"), ".", "blank lines only");
}

int
main(void)
{
	test_heads();
	test_chunks();
	test_documents();
	is_int((long long) buf_memory(), 0, "no memory is left behind");
	buf_trim();
	return tap_done();
}
