/*
 * http_body.c
 *	  The body of a request: chunks to bytes, bytes to documents.
 */
#include "http_body.h"

#include <string.h>

#include "json_value.h"

#define CHUNK_DIGITS_MAX 8
#define CHUNK_OVERHEAD_MAX 4096 /* bytes that are no data, between two pieces of data */

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One byte that is no data; false when it may not stand there. */
static bool
chunks_byte(Chunks *chunks, char c)
{
	switch (chunks->state)
	{
		case CHUNK_SIZE:
			if (hex(c) >= 0)
			{
				chunks->left = chunks->left * 16 + (uint64_t) hex(c);
				return ++chunks->digits <= CHUNK_DIGITS_MAX;
			}
			chunks->state = c == '\r' ? CHUNK_SIZE_LF : CHUNK_EXTENSION;
			return chunks->digits > 0 && (c == '\r' || c == ';' || c == ' ' || c == '\t');
		case CHUNK_EXTENSION:
			if (c == '\r')
				chunks->state = CHUNK_SIZE_LF;
			return c == '\r' || c == '\t' || (unsigned char) c >= ' ';
		case CHUNK_SIZE_LF:
			chunks->state = chunks->left > 0 ? CHUNK_DATA : CHUNK_TRAILER;
			chunks->digits = 0;
			return c == '\n';
		case CHUNK_DATA_CR:
			chunks->state = CHUNK_DATA_LF;
			return c == '\r';
		case CHUNK_DATA_LF:
			chunks->state = CHUNK_SIZE;
			return c == '\n';
		case CHUNK_TRAILER:
			chunks->state = c == '\r' ? CHUNK_END_LF : CHUNK_TRAILER_LINE;
			return c != '\n';
		case CHUNK_TRAILER_LINE:
			if (c == '\r')
				chunks->state = CHUNK_TRAILER_LF;
			return c != '\n';
		case CHUNK_TRAILER_LF:
			chunks->state = CHUNK_TRAILER;
			return c == '\n';
		case CHUNK_END_LF:
			chunks->state = CHUNK_DONE;
			return c == '\n';
		case CHUNK_DATA:
		case CHUNK_DONE:
			break;
	}
	return false;
}

ChunkResult
chunks_take(Chunks *chunks, const char *data, size_t len, size_t limit, Buf *out, size_t *taken)
{
	size_t		i = 0;

	while (i < len && chunks->state != CHUNK_DONE)
	{
		if (chunks->state == CHUNK_DATA)
		{
			size_t		n = len - i < chunks->left ? len - i : (size_t) chunks->left;

			if (n > limit - buf_len(out))
				return CHUNKS_TOO_LARGE;
			if (!buf_add(out, data + i, n))
				return CHUNKS_NO_MEMORY;
			chunks->overhead = 0;
			chunks->left -= n;
			i += n;
			if (chunks->left == 0)
				chunks->state = CHUNK_DATA_CR;
			continue;
		}
		if (!chunks_byte(chunks, data[i++]) || ++chunks->overhead > CHUNK_OVERHEAD_MAX)
			return CHUNKS_BAD;
	}
	*taken = i;
	return chunks->state == CHUNK_DONE ? CHUNKS_DONE : CHUNKS_MORE;
}

/* --- documents --- */

void
body_begin(Body *body, HttpForm form, const char *text, size_t len)
{
	*body = (Body) {.form = form,.state = BODY_START};
	/* An empty text may have no address. */
	if (len > 0)
	{
		body->next = text;
		body->end = text + len;
	}
	else
		body->state = BODY_END;
}

static BodyResult
next_line(Body *body, Str *document)
{
	while (body->next < body->end)
	{
		const char *line = body->next;
		const char *eol = memchr(line, '\n', (size_t) (body->end - line));
		const char *end = eol != NULL ? eol : body->end;

		body->next = eol != NULL ? eol + 1 : body->end;
		while (line < end && (*line == ' ' || *line == '\t' || *line == '\r'))
			line++;
		while (end > line && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
			end--;
		if (line < end)
		{
			*document = (Str) {line, (uint32_t) (end - line)};
			return BODY_DOCUMENT;
		}
	}
	body->state = BODY_END;
	return BODY_DONE;
}

/* The element at next; the array's end and the body's are checked with the last. */
static BodyResult
next_element(Body *body, Str *document)
{
	const char *p = json_skip_space(body->next, body->end);
	const char *end = json_skip_value(p, body->end);

	if (end == NULL)
		return BODY_NOT_JSON;
	*document = (Str) {p, (uint32_t) (end - p)};
	p = json_skip_space(end, body->end);
	if (p == body->end)
		return BODY_NOT_JSON;
	if (*p == ',')
		body->next = p + 1;
	else if (*p == ']' && json_skip_space(p + 1, body->end) == body->end)
		body->state = BODY_END;
	else
		return BODY_NOT_JSON;
	return BODY_DOCUMENT;
}

static BodyResult
first_of_json(Body *body, Str *document)
{
	const char *p = json_skip_space(body->next, body->end);
	const char *end;

	if (p < body->end && *p == '[')
	{
		p = json_skip_space(p + 1, body->end);
		if (p < body->end && *p == ']')
		{
			body->state = BODY_END;
			return json_skip_space(p + 1, body->end) == body->end ? BODY_DONE : BODY_NOT_JSON;
		}
		body->state = BODY_ARRAY;
		body->next = p;
		return next_element(body, document);
	}
	body->state = BODY_END;
	if (p == body->end || *p != '{')
		return BODY_NOT_JSON;
	end = json_skip_value(p, body->end);
	if (end == NULL || json_skip_space(end, body->end) != body->end)
		return BODY_NOT_JSON;
	*document = (Str) {p, (uint32_t) (end - p)};
	return BODY_DOCUMENT;
}

BodyResult
body_next(Body *body, Str *document)
{
	switch (body->state)
	{
		case BODY_START:
			if (body->form != HTTP_FORM_LINES)
				return first_of_json(body, document);
			body->state = BODY_LINES;
			/* fall through */
		case BODY_LINES:
			return next_line(body, document);
		case BODY_ARRAY:
			return next_element(body, document);
		case BODY_END:
			break;
	}
	return BODY_DONE;
}
