/*
 * fuzz_http.c
 *	  HTTP on memory.  The first byte says what the rest is: a head, chunks, a
 *	  body or gzip.  However the bytes arrive, the result must be the same, and
 *	  nothing may pass its limit.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gzip.h"
#include "http_body.h"
#include "http_head.h"
#include "json_value.h"

#define LIMIT 20000

static void
fail(const char *what)
{
	fprintf(stderr, "failed: %s\n", what);
	abort();
}

static void
fuzz_head(const char *text, size_t len)
{
	HttpHead	head;
	const char *why = NULL;
	size_t		n = http_head_length(text, len);
	int			status;

	if (n == 0)
		return;
	if (n > len || memcmp(text + n - 4, "\r\n\r\n", 4) != 0)
		fail("length of a head");
	status = http_head_parse(text, n, &head, &why);
	if (status != 0)
	{
		if (status < 400 || status > 599 || why == NULL)
			fail("a refusal");
		return;
	}
	if (head.path < text || head.path + head.path_len > text + n ||
		strlen(head.token) > HTTP_TOKEN_MAX || strlen(head.mapping) > HTTP_NAME_MAX)
		fail("a head");
	if (head.chunked && head.length != 0)
		fail("two framings");
}

static ChunkResult
take(const char *text, size_t len, size_t step, Buf *out, size_t *used)
{
	Chunks		chunks = {0};
	ChunkResult result = CHUNKS_MORE;

	*used = 0;
	while (*used < len && result == CHUNKS_MORE)
	{
		size_t		n = len - *used < step ? len - *used : step;
		size_t		taken = 0;

		result = chunks_take(&chunks, text + *used, n, LIMIT, out, &taken);
		if (result == CHUNKS_MORE && taken != n)
			fail("bytes left over");
		*used += taken;
	}
	return result;
}

static void
fuzz_chunks(const char *text, size_t len)
{
	Buf			whole = {0};
	Buf			bytes = {0};
	size_t		used_whole;
	size_t		used_bytes;
	ChunkResult a = take(text, len, len ? len : 1, &whole, &used_whole);
	ChunkResult b = take(text, len, 1, &bytes, &used_bytes);

	if (a != b || buf_len(&whole) > LIMIT || buf_len(&bytes) > LIMIT)
		fail("chunks, at once and byte by byte");
	if (a == CHUNKS_DONE && (used_whole != used_bytes || buf_len(&whole) != buf_len(&bytes) ||
							 (buf_len(&whole) > 0 &&
							  memcmp(buf_data(&whole), buf_data(&bytes), buf_len(&whole)) != 0)))
		fail("what the chunks held");
	buf_release(&whole);
	buf_release(&bytes);
}

static void
fuzz_body(HttpForm form, const char *text, size_t len)
{
	Body		body;
	Str			document;
	BodyResult	result;
	const char *before = text;
	size_t		long_integers;

	body_begin(&body, form, text, len);
	while ((result = body_next(&body, &document)) == BODY_DOCUMENT)
	{
		if (document.len == 0 || document.data < before || document.data + document.len > text + len)
			fail("a document's place");
		if (form == HTTP_FORM_JSON && !json_check(document.data, document.len, &long_integers))
			fail("a document that is no JSON");
		if (form == HTTP_FORM_LINES && memchr(document.data, '\n', document.len) != NULL)
			fail("a line of two");
		before = document.data + document.len;
	}
	if (result == BODY_NOT_JSON && form == HTTP_FORM_LINES)
		fail("lines are not looked into");
	/* All of a JSON text is an array or an object, or it is refused. */
	if (form == HTTP_FORM_JSON && len > 0 && result == BODY_DONE)
	{
		const char *p = json_skip_space(text, text + len);

		if (p == text + len || (*p != '{' && *p != '['))
			fail("a body that is neither");
	}
}

int			LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int
LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	const char *text = (const char *) data + 1;
	Buf			out = {0};

	if (size == 0)
		return 0;
	size--;
	switch (*data)
	{
		case 'h':
			fuzz_head(text, size);
			break;
		case 'c':
			fuzz_chunks(text, size);
			break;
		case 'j':
			fuzz_body(HTTP_FORM_JSON, text, size);
			break;
		case 'l':
			fuzz_body(HTTP_FORM_LINES, text, size);
			break;
		case 'z':
			(void) !gzip_inflate(text, size, LIMIT, &out);
			if (buf_len(&out) > LIMIT)
				fail("beyond the limit");
			buf_release(&out);
			break;
	}
	if (buf_memory() != 0)
		fail("memory left behind");
	return 0;
}
