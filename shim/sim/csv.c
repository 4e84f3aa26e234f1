/*
 * csv.c
 *	  Records of a CSV text in memory (RFC 4180).
 */
#include "csv.h"

#include <stdlib.h>

/* Fields are collected as offsets, since the text moves while it grows. */
static void
begin_field(CsvRecord *r)
{
	if (r->count == r->size)
	{
		r->size = r->size ? r->size * 2 : 32;
		r->fields = xrealloc(r->fields, r->size * sizeof(char *));
	}
	r->fields[r->count++] = (char *) r->text.len;
}

static void
offsets_to_pointers(CsvRecord *r)
{
	for (int i = 0; i < r->count; i++)
		r->fields[i] = r->text.data + (size_t) r->fields[i];
}

static size_t
line_length(const char *data, size_t len)
{
	const char *newline = memchr(data, '\n', len);

	return newline ? (size_t) (newline + 1 - data) : len;
}

/* Copies a quoted field without its quotes; the length it takes, 0 when it never ends. */
static size_t
take_quoted(CsvRecord *r, const char *data, size_t len)
{
	size_t		pos = 1;

	for (;;)
	{
		const char *quote = memchr(data + pos, '"', len - pos);
		size_t		end;

		if (!quote)
			return 0;
		end = quote - data;
		buffer_add(&r->text, data + pos, end - pos);
		pos = end + 1;
		if (pos == len || data[pos] != '"')
			return pos;
		buffer_add_char(&r->text, '"');
		pos++;
	}
}

size_t
csv_read(CsvRecord *r, const char *data, size_t len, char separator, bool *ok)
{
	size_t		pos = 0;

	r->count = 0;
	r->text.len = 0;
	*ok = true;
	for (;;)
	{
		begin_field(r);
		if (pos < len && data[pos] == '"')
		{
			size_t		taken = take_quoted(r, data + pos, len - pos);

			pos += taken;
			if (taken == 0 ||
				(pos < len && data[pos] != separator && data[pos] != '\n' && data[pos] != '\r'))
			{
				*ok = false;
				return line_length(data, len);
			}
		}
		else
		{
			size_t		begin = pos;

			while (pos < len && data[pos] != separator && data[pos] != '\n' && data[pos] != '\r')
				pos++;
			buffer_add(&r->text, data + begin, pos - begin);
		}
		buffer_add_char(&r->text, '\0');

		if (pos < len && data[pos] == separator)
		{
			pos++;
			continue;
		}
		if (pos < len && data[pos] == '\r')
			pos++;
		if (pos < len && data[pos] == '\n')
			pos++;
		offsets_to_pointers(r);
		return pos;
	}
}

void
csv_free(CsvRecord *r)
{
	free(r->fields);
	buffer_free(&r->text);
	*r = (CsvRecord) {0};
}

char
csv_guess_separator(const char *data, size_t len)
{
	static const char candidates[] = ",;\t";
	size_t		line = line_length(data, len);
	char		best = ',';
	int			best_count = 0;

	for (const char *c = candidates; *c; c++)
	{
		int			count = 0;

		for (size_t i = 0; i < line; i++)
			count += data[i] == *c;
		if (count > best_count)
		{
			best_count = count;
			best = *c;
		}
	}
	return best;
}
