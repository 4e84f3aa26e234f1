/*
 * gzip.c
 *	  Decompression with a limit on the size and on the ratio, both checked
 *	  while it goes on: a bomb is noticed before it has grown.
 */
#include "gzip.h"

#include <zlib.h>

#define PIECE 32768				/* bytes of output asked for at once */

/* One step: more output, or the reason why there is none. */
static GzipResult
inflate_some(z_stream *z, size_t len, size_t limit, Buf *out, size_t *produced, int *rc)
{
	size_t		room = limit - *produced;
	size_t		piece = room < PIECE ? room + 1 : PIECE;	/* + 1: to see that it is too much */
	char	   *to = buf_reserve(out, piece);
	size_t		got;
	size_t		taken;

	if (to == NULL)
		return GZIP_NO_MEMORY;
	z->next_out = (Bytef *) to;
	z->avail_out = (uInt) piece;
	*rc = inflate(z, Z_NO_FLUSH);
	got = piece - z->avail_out;
	if (got > room)
		return GZIP_TOO_LARGE;
	buf_commit(out, got);
	*produced += got;
	taken = len - z->avail_in;
	if (*produced > GZIP_RATIO_FREE && *produced / GZIP_RATIO_MAX > taken)
		return GZIP_TOO_LARGE;
	if (*rc == Z_MEM_ERROR)
		return GZIP_NO_MEMORY;
	if (*rc != Z_OK && *rc != Z_STREAM_END)
		return GZIP_CORRUPT;
	return GZIP_OK;
}

static GzipResult
inflate_all(const char *text, size_t len, int window_bits, size_t limit, Buf *out)
{
	z_stream	z = {0};
	GzipResult	result = GZIP_OK;
	size_t		produced = 0;
	int			rc = Z_OK;

	if (len == 0 || len > UINT32_MAX)
		return len == 0 ? GZIP_CORRUPT : GZIP_TOO_LARGE;
	if (inflateInit2(&z, window_bits) != Z_OK)
		return GZIP_NO_MEMORY;
	z.next_in = (Bytef *) text;
	z.avail_in = (uInt) len;
	for (;;)
	{
		result = inflate_some(&z, len, limit, out, &produced, &rc);
		if (result != GZIP_OK)
			break;
		if (rc == Z_STREAM_END)
		{
			if (z.avail_in == 0)
				break;
			/* A gzip file may have several members. */
			if (inflateReset(&z) != Z_OK)
			{
				result = GZIP_CORRUPT;
				break;
			}
		}
	}
	inflateEnd(&z);
	return result;
}

GzipResult
gzip_inflate(const char *text, size_t len, size_t limit, Buf *out)
{
	/* 16: gzip, and nothing else */
	return inflate_all(text, len, 16 + MAX_WBITS, limit, out);
}

GzipResult
gzip_inflate_zlib(const char *text, size_t len, size_t limit, Buf *out)
{
	return inflate_all(text, len, MAX_WBITS, limit, out);
}
