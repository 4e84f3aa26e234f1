/*
 * buf.h
 *	  A growing byte buffer with a read position.
 *
 *		data            data+start              data+start+len        data+size
 *		 | already read  | what buf_data() shows |  room               |
 *
 * Memory comes from power-of-two classes with free lists of limited length; an
 * empty buffer holds none, so that an idle connection costs nothing.
 */
#ifndef SHIM_BUF_H
#define SHIM_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define BUF_MIN 512				/* smallest piece of memory */
#define BUF_MAX ((size_t) 1 << 30)	/* no buffer grows beyond */

typedef struct Buf
{
	char	   *data;
	size_t		start;			/* read so far */
	size_t		len;			/* bytes to read */
	size_t		size;			/* allocated */
} Buf;

static inline const char *
buf_data(const Buf *b)
{
	return b->data + b->start;
}

static inline size_t
buf_len(const Buf *b)
{
	return b->len;
}

/*
 * Room for n more bytes behind the last; NULL when that passes BUF_MAX or
 * memory is out.  buf_commit then says how many of them were written.
 */
extern char *buf_reserve(Buf *b, size_t n) __attribute__((warn_unused_result));

static inline void
buf_commit(Buf *b, size_t n)
{
	b->len += n;
}

/* False when there was no room; nothing was added then. */
extern bool buf_add(Buf *b, const void *bytes, size_t n) __attribute__((warn_unused_result));
extern bool buf_printf(Buf *b, const char *format,...) __attribute__((format(printf, 2, 3), warn_unused_result));

/* A JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
extern bool buf_add_json(Buf *b, const char *text, size_t n) __attribute__((warn_unused_result));

/* Is it UTF-8 without a zero byte, as the database wants it? */
extern bool buf_valid_utf8(const char *text, size_t n);

/* The first n bytes were read. */
extern void buf_consume(Buf *b, size_t n);

/* Empties it and gives its memory back. */
extern void buf_release(Buf *b);

/* Bytes that all buffers hold now. */
extern size_t buf_memory(void);

/* Frees what the free lists keep. */
extern void buf_trim(void);

#endif							/* SHIM_BUF_H */
