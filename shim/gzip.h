/*
 * gzip.h
 *	  Decompression with a limit.
 */
#ifndef SHIM_GZIP_H
#define SHIM_GZIP_H

#include "buf.h"

#define GZIP_RATIO_MAX 200		/* JSON of telemetry reaches about 30 */
#define GZIP_RATIO_FREE 65536	/* bytes of output before the ratio counts */

typedef enum GzipResult
{
	GZIP_OK,
	GZIP_CORRUPT,				/* no gzip, cut short, or a wrong sum */
	GZIP_TOO_LARGE,				/* more than the limit, or than the ratio allows */
	GZIP_NO_MEMORY
} GzipResult;

/*
 * Appends what the gzip members of the text hold, limit bytes at most.  What
 * was appended before a failure stays in out.
 */
extern GzipResult gzip_inflate(const char *text, size_t len, size_t limit, Buf *out)
			__attribute__((warn_unused_result));

/* The same of what zlib wrapped itself (RFC 1950). */
extern GzipResult gzip_inflate_zlib(const char *text, size_t len, size_t limit, Buf *out)
			__attribute__((warn_unused_result));

#endif							/* SHIM_GZIP_H */
