/*
 * util.h
 *	  What every file of fleetsim uses: messages, memory, clocks, a byte buffer.
 */
#ifndef SIM_UTIL_H
#define SIM_UTIL_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define US_PER_MS INT64_C(1000)
#define US_PER_S INT64_C(1000000)

/* Exit codes of every subcommand. */
#define EXIT_PROVEN_WRONG 1		/* verify found a loss, run left messages unacknowledged */
#define EXIT_USAGE 2			/* wrong options, files, credentials */

/* Prints "fleetsim: ..." and a newline to stderr. */
extern void warn(const char *fmt,...) __attribute__((format(printf, 1, 2)));
extern void die(const char *fmt,...) __attribute__((format(printf, 1, 2), noreturn));

extern void *xmalloc(size_t size);
extern void *xcalloc(size_t count, size_t size);
extern void *xrealloc(void *p, size_t size);
extern char *xstrdup(const char *s);

/* Microseconds since 1970 UTC, and of a clock that never jumps. */
extern int64_t wall_us(void);
extern int64_t monotonic_us(void);

/* Parse a whole option value or die naming the option. */
extern double option_number(const char *option, const char *text, double min, double max);

/* Set by SIGINT and SIGTERM once catch_stop_signals() was called. */
extern volatile int stop_requested;
extern void catch_stop_signals(void);

/* 64-bit FNV-1a, chained through `hash`. */
#define HASH_START UINT64_C(0xcbf29ce484222325)

static inline uint64_t
hash_bytes(uint64_t hash, const void *data, size_t len)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
	return hash;
}

/* Spreads the bits of x over the whole word (the finalizer of splitmix64). */
static inline uint64_t
hash_mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

/* A growing run of bytes; `data` is not NUL-terminated. */
typedef struct Buffer
{
	char	   *data;
	size_t		len;
	size_t		size;
} Buffer;

extern void buffer_reserve(Buffer *b, size_t more);
extern void buffer_printf(Buffer *b, const char *fmt,...) __attribute__((format(printf, 2, 3)));
extern void buffer_free(Buffer *b);

static inline void
buffer_add(Buffer *b, const void *data, size_t len)
{
	if (len > b->size - b->len)
		buffer_reserve(b, len);
	memcpy(b->data + b->len, data, len);
	b->len += len;
}

static inline void
buffer_add_string(Buffer *b, const char *s)
{
	buffer_add(b, s, strlen(s));
}

static inline void
buffer_add_char(Buffer *b, char c)
{
	buffer_add(b, &c, 1);
}

#endif							/* SIM_UTIL_H */
