/*
 * test_gzip.c
 *	  Decompression within limits.
 */
#include <stdlib.h>
#include <zlib.h>

#include "gzip.h"
#include "tap.h"

/* Appends the text as one gzip member. */
static void
compress_to(Buf *out, const char *text, size_t len)
{
	z_stream	z = {0};
	size_t		size = len + 1024;
	char	   *to = buf_reserve(out, size);

	if (to == NULL || deflateInit2(&z, 9, Z_DEFLATED, 16 + MAX_WBITS, 9, Z_DEFAULT_STRATEGY) != Z_OK)
		abort();
	z.next_in = (Bytef *) text;
	z.avail_in = (uInt) len;
	z.next_out = (Bytef *) to;
	z.avail_out = (uInt) size;
	if (deflate(&z, Z_FINISH) != Z_STREAM_END)
		abort();
	buf_commit(out, size - z.avail_out);
	deflateEnd(&z);
}

int
main(void)
{
	static char text[300000];
	static char zeros[4000000];
	Buf			packed = {0};
	Buf			out = {0};
	size_t		first;
	bool		all = true;

	/* Not very compressible. */
	srand(7);
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char) ('a' + rand() % 26);

	/* 1. Whole */
	compress_to(&packed, text, sizeof(text));
	first = buf_len(&packed);
	is_int(gzip_inflate(buf_data(&packed), first, sizeof(text), &out), GZIP_OK, "exactly the limit");
	ok(buf_len(&out) == sizeof(text) && memcmp(buf_data(&out), text, sizeof(text)) == 0, "... and unharmed");
	buf_release(&out);
	is_int(gzip_inflate(buf_data(&packed), first, sizeof(text) - 1, &out), GZIP_TOO_LARGE, "one byte beyond it");
	ok(buf_len(&out) <= sizeof(text) - 1, "... and no more was kept");
	buf_release(&out);

	/* 2. Several members */
	compress_to(&packed, "abc", 3);
	is_int(gzip_inflate(buf_data(&packed), buf_len(&packed), 1000000, &out), GZIP_OK, "two members");
	ok(buf_len(&out) == sizeof(text) + 3 && memcmp(buf_data(&out) + sizeof(text), "abc", 3) == 0, "... both are there");
	buf_release(&out);
	is_int(gzip_inflate(buf_data(&packed) + first, buf_len(&packed) - first, 3, &out), GZIP_OK, "a small one");
	buf_release(&out);

	/* 3. Damaged */
	for (size_t cut = 0; cut < buf_len(&packed) - first; cut++)
	{
		all &= gzip_inflate(buf_data(&packed) + first, cut, 1000, &out) == GZIP_CORRUPT;
		buf_release(&out);
	}
	ok(all, "cut short anywhere");
	is_int(gzip_inflate("{\"device\":1}", 12, 1000, &out), GZIP_CORRUPT, "plain text");
	packed.data[packed.start + first / 2] ^= 0x10;
	is_int(gzip_inflate(buf_data(&packed), first, 1000000, &out), GZIP_CORRUPT, "a bit turned");
	buf_release(&out);
	buf_release(&packed);

	/* 4. A bomb is noticed by its ratio, long before the limit */
	compress_to(&packed, zeros, sizeof(zeros));
	is_int(gzip_inflate(buf_data(&packed), buf_len(&packed), (size_t) 1 << 30, &out), GZIP_TOO_LARGE, "a bomb");
	ok(buf_len(&out) < sizeof(zeros), "... was not unpacked");
	buf_release(&out);
	buf_release(&packed);
	is_int((long long) buf_memory(), 0, "no memory is left behind");
	buf_trim();
	return tap_done();
}
