/*
 * http_body.h
 *	  The body of a request: chunks to bytes, bytes to documents.
 */
#ifndef SHIM_HTTP_BODY_H
#define SHIM_HTTP_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "http_head.h"
#include "record.h"

/* --- Transfer-Encoding: chunked --- */
typedef enum ChunkState
{
	CHUNK_SIZE,					/* digits of a chunk's size */
	CHUNK_EXTENSION,			/* what follows them on the line */
	CHUNK_SIZE_LF,
	CHUNK_DATA,
	CHUNK_DATA_CR,
	CHUNK_DATA_LF,
	CHUNK_TRAILER,				/* begin of a line behind the last chunk */
	CHUNK_TRAILER_LINE,
	CHUNK_TRAILER_LF,
	CHUNK_END_LF,				/* of the blank line */
	CHUNK_DONE
} ChunkState;

typedef struct Chunks
{
	ChunkState	state;			/* zero: begin */
	uint64_t	left;			/* bytes of the chunk to come */
	unsigned	digits;
	size_t		overhead;		/* bytes of sizes, extensions, trailer in a row */
} Chunks;

typedef enum ChunkResult
{
	CHUNKS_MORE,				/* all was taken, more must follow */
	CHUNKS_DONE,				/* the body is whole; *taken bytes belonged to it */
	CHUNKS_BAD,
	CHUNKS_TOO_LARGE,			/* more than limit bytes in out */
	CHUNKS_NO_MEMORY
} ChunkResult;

extern ChunkResult chunks_take(Chunks *chunks, const char *data, size_t len, size_t limit,
							   Buf *out, size_t *taken)
			__attribute__((warn_unused_result));

/* --- documents --- */
typedef enum BodyState
{
	BODY_START,
	BODY_LINES,
	BODY_ARRAY,
	BODY_END
} BodyState;

typedef struct Body
{
	const char *next;
	const char *end;
	HttpForm	form;
	BodyState	state;
} Body;

typedef enum BodyResult
{
	BODY_DOCUMENT,				/* *document is the next */
	BODY_DONE,
	BODY_NOT_JSON				/* neither a document nor an array of documents */
} BodyResult;

/*
 * Cuts a body into documents: the lines that are not blank; the elements of an
 * array; or the one there is.  Lines are not looked into: a bad one is a bad
 * document.
 */
extern void body_begin(Body *body, HttpForm form, const char *text, size_t len);
extern BodyResult body_next(Body *body, Str *document) __attribute__((warn_unused_result));

#endif							/* SHIM_HTTP_BODY_H */
