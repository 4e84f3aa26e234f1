/*
 * http_head.h
 *	  The head of an HTTP/1.x request, read from memory.
 */
#ifndef SHIM_HTTP_HEAD_H
#define SHIM_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_NAME_MAX 64		/* bytes of a mapping's name */
#define HTTP_TOKEN_MAX 256

typedef enum HttpMethod
{
	HTTP_GET,
	HTTP_HEAD,
	HTTP_POST,
	HTTP_METHOD_OTHER
} HttpMethod;

typedef enum HttpForm
{
	HTTP_FORM_JSON,				/* a document, or an array of them */
	HTTP_FORM_LINES,			/* one document a line */
	HTTP_FORM_OTHER				/* a content type that we do not take */
} HttpForm;

typedef enum HttpEncoding
{
	HTTP_ENCODING_NONE,
	HTTP_ENCODING_GZIP,
	HTTP_ENCODING_OTHER
} HttpEncoding;

typedef struct HttpHead
{
	HttpMethod	method;
	const char *path;			/* without the query; points into the text */
	size_t		path_len;
	const char *query;			/* behind the "?"; points into the text */
	size_t		query_len;
	char		mapping[HTTP_NAME_MAX + 1]; /* of the query; "": none */
	char		token[HTTP_TOKEN_MAX + 1];	/* bearer; "": none */
	bool		keep_alive;		/* the peer will use the connection again */
	bool		expects_continue;
	bool		has_body;
	bool		chunked;
	uint64_t	length;			/* of the body, when not chunked */
	HttpForm	form;
	HttpEncoding encoding;
} HttpHead;

/* Bytes of the head that begins the text, with its blank line; 0: more to come. */
extern size_t http_head_length(const char *text, size_t len);

/*
 * Reads a whole head.  0 when it is fine, else the status to answer, with *why
 * set to a static text; the connection cannot be followed any further then.
 */
extern int	http_head_parse(const char *text, size_t len, HttpHead *head, const char **why)
			__attribute__((warn_unused_result));

#endif							/* SHIM_HTTP_HEAD_H */
