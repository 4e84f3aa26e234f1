/*
 * buf.c
 *	  Growing byte buffers over power-of-two pieces of memory.
 */
#include "buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define BUF_CLASSES 22			/* BUF_MIN << 21 is BUF_MAX */
#define BUF_KEPT_BYTES ((size_t) 4 << 20)	/* a class keeps at most so much */

/* A piece on a free list begins with this. */
typedef struct FreePiece
{
	struct FreePiece *next;
} FreePiece;

static FreePiece *free_pieces[BUF_CLASSES];
static size_t free_counts[BUF_CLASSES];
static size_t memory_in_use;

static unsigned
class_of(size_t size)
{
	unsigned	class = 0;

	while (((size_t) BUF_MIN << class) < size)
		class++;
	return class;
}

static char *
piece_take(size_t size)
{
	unsigned	class = class_of(size);
	char	   *piece;

	if (free_pieces[class] != NULL)
	{
		piece = (char *) free_pieces[class];
		free_pieces[class] = free_pieces[class]->next;
		free_counts[class]--;
	}
	else
		piece = malloc(size);
	if (piece != NULL)
		memory_in_use += size;
	return piece;
}

static void
piece_give(char *piece, size_t size)
{
	unsigned	class = class_of(size);

	memory_in_use -= size;
	if (free_counts[class] < BUF_KEPT_BYTES / size)
	{
		FreePiece  *head = (FreePiece *) piece;

		head->next = free_pieces[class];
		free_pieces[class] = head;
		free_counts[class]++;
	}
	else
		free(piece);
}

char *
buf_reserve(Buf *b, size_t n)
{
	size_t		size;
	char	   *piece;

	if (n > BUF_MAX - b->len)
		return NULL;
	if (b->size - b->start - b->len >= n && b->data != NULL)
		return b->data + b->start + b->len;

	/* Moving to the front is enough when that frees at least half. */
	if (b->size - b->len >= n && b->start >= b->size / 2 && b->data != NULL)
	{
		memmove(b->data, b->data + b->start, b->len);
		b->start = 0;
		return b->data + b->len;
	}

	size = BUF_MIN;
	while (size - b->len < n || size < b->len)
		size *= 2;
	piece = piece_take(size);
	if (piece == NULL)
		return NULL;
	if (b->data != NULL)
	{
		memcpy(piece, b->data + b->start, b->len);
		piece_give(b->data, b->size);
	}
	b->data = piece;
	b->start = 0;
	b->size = size;
	return b->data + b->len;
}

bool
buf_add(Buf *b, const void *bytes, size_t n)
{
	char	   *room;

	if (n == 0)
		return true;
	room = buf_reserve(b, n);
	if (room == NULL)
		return false;
	memcpy(room, bytes, n);
	buf_commit(b, n);
	return true;
}

bool
buf_printf(Buf *b, const char *format,...)
{
	va_list		args;
	char		small[256];
	char	   *room;
	int			n;

	va_start(args, format);
	n = vsnprintf(small, sizeof(small), format, args);
	va_end(args);
	if (n < 0)
		return false;
	if ((size_t) n < sizeof(small))
		return buf_add(b, small, (size_t) n);

	room = buf_reserve(b, (size_t) n + 1);
	if (room == NULL)
		return false;
	va_start(args, format);
	vsnprintf(room, (size_t) n + 1, format, args);
	va_end(args);
	buf_commit(b, (size_t) n);
	return true;
}

/* Bytes in the UTF-8 character at s, 0 when it is not one. */
static size_t
utf8_char(const unsigned char *s, size_t left)
{
	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xC2 && s[0] <= 0xDF)
		return left >= 2 && (s[1] & 0xC0) == 0x80 ? 2 : 0;
	if (s[0] >= 0xE0 && s[0] <= 0xEF)
	{
		if (left < 3 || (s[1] & 0xC0) != 0x80 || (s[2] & 0xC0) != 0x80)
			return 0;
		if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F))
			return 0;
		return 3;
	}
	if (s[0] >= 0xF0 && s[0] <= 0xF4)
	{
		if (left < 4 || (s[1] & 0xC0) != 0x80 || (s[2] & 0xC0) != 0x80 ||
			(s[3] & 0xC0) != 0x80)
			return 0;
		if ((s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F))
			return 0;
		return 4;
	}
	return 0;
}

bool
buf_valid_utf8(const char *text, size_t n)
{
	const unsigned char *s = (const unsigned char *) text;
	size_t		i = 0;

	while (i < n)
	{
		size_t		bytes;

		if (s[i] == 0)
			return false;
		bytes = utf8_char(s + i, n - i);
		if (bytes == 0)
			return false;
		i += bytes;
	}
	return true;
}

bool
buf_add_json(Buf *b, const char *text, size_t n)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *s = (const unsigned char *) text;
	char	   *start;
	char	   *out;
	size_t		i = 0;

	/* No byte becomes more than six. */
	if (n > (BUF_MAX - 2) / 6)
		return false;
	start = out = buf_reserve(b, n * 6 + 2);
	if (out == NULL)
		return false;
	*out++ = '"';
	while (i < n)
	{
		unsigned char c = s[i];
		size_t		bytes;

		if (c == '"' || c == '\\')
		{
			*out++ = '\\';
			*out++ = (char) c;
			i++;
		}
		else if (c == '\n' || c == '\r' || c == '\t')
		{
			*out++ = '\\';
			*out++ = c == '\n' ? 'n' : c == '\r' ? 'r' : 't';
			i++;
		}
		else if (c < 0x20 || c == 0x7F)
		{
			memcpy(out, "\\u00", 4);
			out[4] = hex[c >> 4];
			out[5] = hex[c & 15];
			out += 6;
			i++;
		}
		else if ((bytes = utf8_char(s + i, n - i)) > 0)
		{
			memcpy(out, s + i, bytes);
			out += bytes;
			i += bytes;
		}
		else
		{
			memcpy(out, "\xEF\xBF\xBD", 3);
			out += 3;
			i++;
		}
	}
	*out++ = '"';
	buf_commit(b, (size_t) (out - start));
	return true;
}

void
buf_consume(Buf *b, size_t n)
{
	if (n > b->len)
		n = b->len;
	b->start += n;
	b->len -= n;
	if (b->len == 0)
		buf_release(b);
}

void
buf_release(Buf *b)
{
	if (b->data != NULL)
		piece_give(b->data, b->size);
	memset(b, 0, sizeof(*b));
}

size_t
buf_memory(void)
{
	return memory_in_use;
}

void
buf_trim(void)
{
	for (unsigned class = 0; class < BUF_CLASSES; class++)
	{
		while (free_pieces[class] != NULL)
		{
			FreePiece  *piece = free_pieces[class];

			free_pieces[class] = piece->next;
			free(piece);
		}
		free_counts[class] = 0;
	}
}
