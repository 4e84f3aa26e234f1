/*
 * test_buf.c
 *	  Byte buffers: order is kept, memory comes back, nothing wraps.
 */
#include <stdlib.h>

#include "buf.h"
#include "tap.h"

static void
test_order(void)
{
	Buf			b = {0};
	unsigned	written = 0;
	unsigned	read = 0;
	bool		same = true;

	/* Random sizes in and out; what comes out is what went in. */
	srandom(1);
	for (int turn = 0; turn < 20000; turn++)
	{
		size_t		n = (size_t) random() % 700;
		char	   *room = buf_reserve(&b, n);

		if (room == NULL)
			break;
		for (size_t i = 0; i < n; i++)
			room[i] = (char) (written++ * 31 >> 3);
		buf_commit(&b, n);
		n = (size_t) random() % 720;
		if (n > buf_len(&b))
			n = buf_len(&b);
		for (size_t i = 0; i < n; i++)
			if (buf_data(&b)[i] != (char) (read++ * 31 >> 3))
				same = false;
		buf_consume(&b, n);
	}
	ok(same, "bytes come out in the order in which they went in");
	is_int(buf_len(&b), written - read, "the length is what is left");
	buf_release(&b);
	is_int(buf_memory(), 0, "release gives the memory back");
}

static void
test_empty(void)
{
	Buf			b = {0};

	ok(buf_add(&b, "", 0), "nothing can be added");
	is_int(b.size, 0, "and takes no memory");
	ok(buf_add(&b, "abc", 3), "three bytes");
	is_int(b.size, BUF_MIN, "take the smallest piece");
	buf_consume(&b, 2);
	ok(memcmp(buf_data(&b), "c", 1) == 0, "the rest stays");
	buf_consume(&b, 99);
	ok(b.data == NULL && b.size == 0, "a buffer that is read empty holds no memory");
	is_int(buf_memory(), 0, "none at all");
}

static void
test_limits(void)
{
	Buf			b = {0};

	ok(buf_add(&b, "x", 1), "one byte");
	ok(buf_reserve(&b, BUF_MAX) == NULL, "beyond the limit there is no room");
	ok(buf_reserve(&b, SIZE_MAX) == NULL, "nor for a length that would wrap");
	ok(buf_reserve(&b, SIZE_MAX - 1) == NULL, "by one either");
	is_int(buf_len(&b), 1, "a refusal leaves the buffer as it was");
	ok(!buf_add_json(&b, "x", SIZE_MAX / 2), "JSON text that long is refused before it is looked at");
	buf_release(&b);
}

static const char *
json_of(const char *text, size_t n)
{
	static char out[256];
	Buf			b = {0};

	if (!buf_add_json(&b, text, n))
		return NULL;
	snprintf(out, sizeof(out), "%.*s", (int) buf_len(&b), buf_data(&b));
	buf_release(&b);
	return out;
}

static void
test_json(void)
{
	is_str(json_of("plain", 5), "\"plain\"", "plain text");
	is_str(json_of("a\"b\\c", 5), "\"a\\\"b\\\\c\"", "quote and backslash");
	is_str(json_of("\n\r\t\x01\x7f\0", 6), "\"\\n\\r\\t\\u0001\\u007f\\u0000\"", "control characters");
	is_str(json_of("\xc3\xa9\xe2\x82\xac\xf0\x9f\x9a\x97", 9), "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x9a\x97\"", "UTF-8 stays");
	is_str(json_of("\xff", 1), "\"\xef\xbf\xbd\"", "a byte that is not UTF-8");
	is_str(json_of("\xe2\x82", 2), "\"\xef\xbf\xbd\xef\xbf\xbd\"", "a character cut short");
	is_str(json_of("\xc0\xaf", 2), "\"\xef\xbf\xbd\xef\xbf\xbd\"", "an overlong form");
	is_str(json_of("\xed\xa0\x80", 3), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"", "a surrogate");
	is_str(json_of("", 0), "\"\"", "nothing");

	ok(buf_valid_utf8("d\xc3\xa9", 3), "valid UTF-8");
	ok(!buf_valid_utf8("d\xc3", 2), "cut short");
	ok(!buf_valid_utf8("a\0b", 3), "a zero byte");
	ok(buf_valid_utf8("", 0), "nothing");
	ok(!buf_valid_utf8("\xf4\x90\x80\x80", 4), "beyond U+10FFFF");
}

static void
test_printf(void)
{
	Buf			b = {0};
	char		wide[600];

	memset(wide, 'w', sizeof(wide) - 1);
	wide[sizeof(wide) - 1] = '\0';
	ok(buf_printf(&b, "%d-%s", 7, "x"), "short text");
	ok(buf_printf(&b, "%s", wide), "text longer than the first guess");
	is_int(buf_len(&b), 3 + 599, "both are there, without a zero byte");
	buf_release(&b);
}

int
main(void)
{
	test_order();
	test_empty();
	test_limits();
	test_json();
	test_printf();
	buf_trim();
	return tap_done();
}
