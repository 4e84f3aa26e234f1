/*
 * http_head.c
 *	  The head of an HTTP/1.x request.
 *
 * As strict as RFC 9112 where a lenient reading would let two parties disagree
 * about where a message ends; headers that do not matter here are checked for
 * their form only.
 */
#include "http_head.h"

#include <string.h>
#include <strings.h>

#define LENGTH_DIGITS_MAX 18

typedef struct Slice
{
	const char *data;
	size_t		len;
} Slice;

/* What the headers said; some may come once only. */
typedef struct Seen
{
	bool		host;
	bool		length;
	bool		coding;
	bool		authorization;
	bool		type;
	bool		encoding;
	bool		close;
	bool		keep_alive;
} Seen;

size_t
http_head_length(const char *text, size_t len)
{
	const char *end = memmem(text, len, "\r\n\r\n", 4);

	return end != NULL ? (size_t) (end - text) + 4 : 0;
}

static bool
is(Slice s, const char *word)
{
	return s.len == strlen(word) && strncasecmp(s.data, word, s.len) == 0;
}

static Slice
trim(Slice s)
{
	while (s.len > 0 && (s.data[0] == ' ' || s.data[0] == '\t'))
		s.data++, s.len--;
	while (s.len > 0 && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t'))
		s.len--;
	return s;
}

/* The part before the first c, trimmed; *s becomes what follows it. */
static Slice
cut(Slice *s, char c)
{
	const char *at = memchr(s->data, c, s->len);
	Slice		head = *s;

	if (at == NULL)
		*s = (Slice) {s->data + s->len, 0};
	else
	{
		head.len = (size_t) (at - s->data);
		*s = (Slice) {at + 1, s->len - head.len - 1};
	}
	return trim(head);
}

static bool
is_token_char(unsigned char c)
{
	return c > ' ' && c < 0x7F && strchr("\"(),/:;<=>?@[\\]{}", c) == NULL;
}

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decodes into out; false when it does not fit or holds a NUL. */
static bool
decode_query(Slice value, char *out, size_t size)
{
	size_t		n = 0;

	for (size_t i = 0; i < value.len; i++)
	{
		char		c = value.data[i];

		if (c == '%')
		{
			if (value.len - i < 3 || hex(value.data[i + 1]) < 0 || hex(value.data[i + 2]) < 0)
				return false;
			c = (char) (hex(value.data[i + 1]) * 16 + hex(value.data[i + 2]));
			i += 2;
		}
		if (c == '\0' || n + 1 >= size)
			return false;
		out[n++] = c;
	}
	out[n] = '\0';
	return true;
}

/* POST /v1/telemetry?mapping=acme HTTP/1.1 */
static int
parse_request_line(Slice line, HttpHead *head, bool *http11, const char **why)
{
	Slice		method;
	Slice		target;
	const char *at = memchr(line.data, ' ', line.len);

	*why = "the request line is not one";
	if (at == NULL)
		return 400;
	method = (Slice) {line.data, (size_t) (at - line.data)};
	target = (Slice) {at + 1, line.len - method.len - 1};
	at = memchr(target.data, ' ', target.len);
	if (method.len == 0 || at == NULL)
		return 400;
	line = (Slice) {at + 1, target.len - (size_t) (at - target.data) - 1};
	target.len = (size_t) (at - target.data);

	for (size_t i = 0; i < method.len; i++)
		if (!is_token_char((unsigned char) method.data[i]))
			return 400;
	if (line.len != 8 || memcmp(line.data, "HTTP/", 5) != 0 || line.data[6] != '.')
		return 400;
	if (line.data[5] != '1' || line.data[7] < '0' || line.data[7] > '9')
	{
		*why = "only HTTP/1.x is spoken here";
		return 505;
	}
	*http11 = line.data[7] != '0';

	head->method = HTTP_METHOD_OTHER;
	if (method.len == 3 && memcmp(method.data, "GET", 3) == 0)
		head->method = HTTP_GET;
	else if (method.len == 4 && memcmp(method.data, "HEAD", 4) == 0)
		head->method = HTTP_HEAD;
	else if (method.len == 4 && memcmp(method.data, "POST", 4) == 0)
		head->method = HTTP_POST;

	/* http://host/path is for proxies, but a server must understand it. */
	if (target.len > 7 && strncasecmp(target.data, "http", 4) == 0)
	{
		at = memmem(target.data, target.len, "://", 3);
		if (at != NULL)
		{
			Slice		rest = {at + 3, target.len - (size_t) (at + 3 - target.data)};

			at = memchr(rest.data, '/', rest.len);
			if (at == NULL)
				return 400;
			target = (Slice) {at, rest.len - (size_t) (at - rest.data)};
		}
	}
	if (target.len == 0 || (target.data[0] != '/' && !is(target, "*")))
		return 400;
	for (size_t i = 0; i < target.len; i++)
		if ((unsigned char) target.data[i] <= ' ' || (unsigned char) target.data[i] >= 0x7F)
			return 400;

	{
		Slice		query = target;
		Slice		path = cut(&query, '?');

		head->path = path.data;
		head->path_len = path.len;
		head->query = query.data;
		head->query_len = query.len;
		while (query.len > 0)
		{
			Slice		pair = cut(&query, '&');
			Slice		name = cut(&pair, '=');

			if (is(name, "mapping") && !decode_query(pair, head->mapping, sizeof(head->mapping)))
			{
				*why = "the mapping's name is not one";
				return 400;
			}
		}
	}
	return 0;
}

static int
parse_length(Slice value, HttpHead *head, Seen *seen, const char **why)
{
	uint64_t	length = 0;

	*why = "Content-Length is not a number";
	if (seen->length || value.len == 0 || value.len > LENGTH_DIGITS_MAX)
		return 400;
	for (size_t i = 0; i < value.len; i++)
	{
		if (value.data[i] < '0' || value.data[i] > '9')
			return 400;
		length = length * 10 + (uint64_t) (value.data[i] - '0');
	}
	seen->length = true;
	head->has_body = length > 0;
	head->length = length;
	return 0;
}

static int
parse_authorization(Slice value, HttpHead *head, Seen *seen, const char **why)
{
	Slice		scheme = cut(&value, ' ');

	if (seen->authorization)
	{
		*why = "more than one Authorization";
		return 400;
	}
	seen->authorization = true;
	value = trim(value);
	/* Another scheme, or a token that cannot be one, is as good as none. */
	if (is(scheme, "Bearer") && value.len > 0 && value.len <= HTTP_TOKEN_MAX &&
		memchr(value.data, ' ', value.len) == NULL)
	{
		memcpy(head->token, value.data, value.len);
		head->token[value.len] = '\0';
	}
	return 0;
}

static int
parse_header(Slice name, Slice value, HttpHead *head, Seen *seen, const char **why)
{
	if (is(name, "Content-Length"))
		return parse_length(value, head, seen, why);
	if (is(name, "Authorization"))
		return parse_authorization(value, head, seen, why);
	if (is(name, "Host"))
	{
		*why = "more than one Host";
		if (seen->host)
			return 400;
		seen->host = true;
	}
	else if (is(name, "Transfer-Encoding"))
	{
		*why = "only chunked is known as Transfer-Encoding";
		if (seen->coding || !is(value, "chunked"))
			return 501;
		seen->coding = true;
		head->chunked = true;
		head->has_body = true;
	}
	else if (is(name, "Connection"))
	{
		while (value.len > 0)
		{
			Slice		word = cut(&value, ',');

			seen->close |= is(word, "close");
			seen->keep_alive |= is(word, "keep-alive");
		}
	}
	else if (is(name, "Expect"))
	{
		*why = "only 100-continue can be expected";
		if (!is(value, "100-continue"))
			return 417;
		head->expects_continue = true;
	}
	else if (is(name, "Content-Type"))
	{
		Slice		type = cut(&value, ';');

		*why = "more than one Content-Type";
		if (seen->type)
			return 400;
		seen->type = true;
		/* the last is what curl -d says when nobody tells it */
		if (is(type, "application/json") || is(type, "application/x-www-form-urlencoded"))
			head->form = HTTP_FORM_JSON;
		else if (is(type, "application/x-ndjson") || is(type, "application/ndjson") ||
				 is(type, "application/jsonl"))
			head->form = HTTP_FORM_LINES;
		else
			head->form = HTTP_FORM_OTHER;
	}
	else if (is(name, "Content-Encoding"))
	{
		*why = "more than one Content-Encoding";
		if (seen->encoding)
			return 400;
		seen->encoding = true;
		if (is(value, "gzip") || is(value, "x-gzip"))
			head->encoding = HTTP_ENCODING_GZIP;
		else if (!is(value, "identity"))
			head->encoding = HTTP_ENCODING_OTHER;
	}
	return 0;
}

int
http_head_parse(const char *text, size_t len, HttpHead *head, const char **why)
{
	const char *p = text;
	const char *end = text + len - 2;	/* the blank line */
	Seen		seen = {0};
	bool		http11 = false;
	bool		first = true;

	memset(head, 0, sizeof(*head));
	head->form = HTTP_FORM_JSON;
	while (p < end)
	{
		const char *eol = memmem(p, (size_t) (end - p), "\r\n", 2);
		Slice		line = {p, (size_t) ((eol != NULL ? eol : end) - p)};
		int			status;

		for (size_t i = 0; i < line.len; i++)
			if (((unsigned char) line.data[i] < ' ' && line.data[i] != '\t') || line.data[i] == 0x7F)
			{
				*why = "a control character in the head";
				return 400;
			}
		if (first)
			status = parse_request_line(line, head, &http11, why);
		else
		{
			const char *colon = memchr(line.data, ':', line.len);
			Slice		name = {line.data, colon != NULL ? (size_t) (colon - line.data) : 0};

			*why = "a header is not one";
			if (name.len == 0)
				return 400;
			for (size_t i = 0; i < name.len; i++)
				if (!is_token_char((unsigned char) name.data[i]))
					return 400;
			status = parse_header(name, trim((Slice) {colon + 1, line.len - name.len - 1}),
								  head, &seen, why);
		}
		if (status != 0)
			return status;
		first = false;
		p = eol != NULL ? eol + 2 : end;
	}
	if (http11 && !seen.host)
	{
		*why = "Host is missing";
		return 400;
	}
	/* Who speaks 1.0 knows no chunks: somebody on the way may see another end. */
	if (seen.coding && !http11)
	{
		*why = "Transfer-Encoding in HTTP/1.0";
		return 400;
	}
	if (seen.length && seen.coding)
	{
		*why = "both Content-Length and Transfer-Encoding";
		return 400;
	}
	head->keep_alive = !seen.close && (http11 || seen.keep_alive);
	return 0;
}
