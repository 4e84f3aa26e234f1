/*
 * tracks.c
 *	  A file of recorded tracks.
 *
 * The file is held unpacked in memory and each row is parsed twice: once for
 * its time, once when it is sent.  That costs less memory than keeping every
 * row's message, and a track file is read once.
 */
#include "tracks.h"
#include "csv.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#define READ_SIZE (1 << 20)
#define NAME_SIZE 256
#define UTF8_MARK "\xef\xbb\xbf"

static void
read_file(Buffer *out, const char *path)
{
	/* zlib reads what is not compressed as it is. */
	gzFile		file = gzopen(path, "rb");
	int			got;

	if (!file)
		die("cannot open \"%s\"", path);
	gzbuffer(file, READ_SIZE);
	do
	{
		buffer_reserve(out, READ_SIZE);
		got = gzread(file, out->data + out->len, READ_SIZE);
		if (got < 0)
			die("cannot read \"%s\": %s", path, gzerror(file, &got));
		out->len += got;
	} while (got > 0);
	gzclose(file);
}

static void
add_row(Tracks *t, size_t begin, size_t len)
{
	if (t->count == t->size)
	{
		t->size = t->size ? t->size * 2 : 4096;
		t->rows = xrealloc(t->rows, t->size * sizeof(TrackRow));
	}
	t->rows[t->count] = (TrackRow) {.number = t->count + 1, .begin = begin, .len = len};
	t->count++;
}

/* Members of nested objects get names joined by "_"; arrays are kept as text. */
static void
flatten(Columns *c, struct json_object *object, const char *prefix, char **values)
{
	json_object_object_foreach(object, key, value)
	{
		char		name[NAME_SIZE];
		Column	   *column;

		snprintf(name, sizeof(name), "%s%s%s", prefix, *prefix ? "_" : "", key);
		if (json_object_is_type(value, json_type_object))
		{
			flatten(c, value, name, values);
			continue;
		}
		column = columns_get(c, name);
		if (values && value)
			values[column - c->list] = (char *) json_object_get_string(value);
	}
}

static struct json_object *
parse_object(struct json_tokener *tokener, const char *data, size_t len)
{
	struct json_object *object;

	json_tokener_reset(tokener);
	object = json_tokener_parse_ex(tokener, data, (int) len);
	if (!object && json_tokener_get_error(tokener) == json_tokener_continue)
		object = json_tokener_parse_ex(tokener, "\n", 1);
	if (object && !json_object_is_type(object, json_type_object))
	{
		json_object_put(object);
		return NULL;
	}
	return object;
}

static struct json_tokener *
row_tokener(void)
{
	static struct json_tokener *tokener;

	if (!tokener)
		tokener = json_tokener_new();
	return tokener;
}

static void
find_rows(Tracks *t, size_t pos)
{
	CsvRecord	record = {0};

	while (pos < t->text.len)
	{
		const char *data = t->text.data + pos;
		size_t		left = t->text.len - pos;
		const char *newline = memchr(data, '\n', left);
		size_t		len = newline ? (size_t) (newline + 1 - data) : left;
		size_t		taken = len;
		bool		ok;

		/* Only a quoted field can make a record longer than its first line. */
		if (!t->ndjson && memchr(data, '"', len))
			taken = len = csv_read(&record, data, left, t->separator, &ok);
		while (len > 0 && (data[len - 1] == '\n' || data[len - 1] == '\r'))
			len--;
		if (len > 0)
			add_row(t, pos, len);
		pos += taken;
	}
	csv_free(&record);
}

static size_t
read_header(Tracks *t)
{
	CsvRecord	header = {0};
	bool		ok;
	int			told = t->columns.count;
	size_t		mark = t->text.len >= 3 && memcmp(t->text.data, UTF8_MARK, 3) == 0 ? 3 : 0;
	size_t		taken;
	Columns		in_order;

	if (t->text.len == mark)
		die("the file is empty");
	t->separator = csv_guess_separator(t->text.data + mark, t->text.len - mark);
	taken = csv_read(&header, t->text.data + mark, t->text.len - mark, t->separator, &ok);
	if (!ok)
		die("the header line is not CSV");

	/* Columns must stand in the file's order; those told before are found by name. */
	in_order = t->columns;
	in_order.count = 0;
	for (int i = 0; i < header.count; i++)
	{
		Column		column = *columns_get(&t->columns, header.fields[i]);

		if (in_order.count > 0)
			for (int j = 0; j < in_order.count; j++)
				if (strcmp(in_order.list[j].name, column.name) == 0)
					die("two columns are called \"%s\"", column.name);
		in_order.list[in_order.count++] = column;
	}
	for (int i = 0; i < told; i++)
	{
		bool		found = false;

		for (int j = 0; j < header.count; j++)
			found = found || strcmp(t->columns.list[i].name, header.fields[j]) == 0;
		if (!found)
			die("the file has no column \"%s\"", t->columns.list[i].name);
	}
	t->columns = in_order;
	csv_free(&header);
	return mark + taken;
}

TrackResult
tracks_message(Tracks *t, const TrackRow *row, Message *m)
{
	static Buffer scratch;
	static CsvRecord record;
	static struct json_object *object;
	const char *data = t->text.data + row->begin;
	RowResult	result;

	if (t->ndjson)
	{
		char	   *values[COLUMNS_MAX] = {NULL};

		json_object_put(object);
		object = parse_object(row_tokener(), data, row->len);
		if (!object)
			return TRACK_UNREADABLE;
		flatten(&t->columns, object, "", values);
		result = columns_message(&t->columns, values, &scratch, m);
	}
	else
	{
		bool		ok;

		csv_read(&record, data, row->len, t->separator, &ok);
		if (!ok || record.count != t->columns.count)
			return TRACK_UNREADABLE;
		result = columns_message(&t->columns, record.fields, &scratch, m);
	}
	return result == ROW_GOOD ? TRACK_GOOD : TRACK_BAD_FIELD;
}

void
tracks_load(Tracks *t, const char *path)
{
	int64_t		order_us = INT64_MIN;
	size_t		pos = 0;
	size_t		first;
	Message		m;

	read_file(&t->text, path);
	first = 0;
	while (first < t->text.len && strchr(" \t\r\n\xef\xbb\xbf", t->text.data[first]) && t->text.data[first])
		first++;
	t->ndjson = first < t->text.len && t->text.data[first] == '{';
	if (!t->ndjson)
		pos = read_header(t);
	find_rows(t, pos);

	if (t->ndjson)
	{
		/* Every row may bring members that no other has. */
		for (size_t i = 0; i < t->count; i++)
		{
			struct json_object *object = parse_object(row_tokener(), t->text.data + t->rows[i].begin, t->rows[i].len);

			if (object)
				flatten(&t->columns, object, "", NULL);
			json_object_put(object);
		}
	}
	columns_guess(&t->columns);

	for (size_t i = 0; i < t->count; i++)
	{
		TrackRow   *row = &t->rows[i];

		row->time_us = tracks_message(t, row, &m) == TRACK_UNREADABLE ? MESSAGE_NO_TIME : m.time_us;
		if (row->time_us != MESSAGE_NO_TIME)
			order_us = row->time_us;
		row->order_us = order_us;
	}
}

static int
compare_rows(const void *a, const void *b)
{
	const TrackRow *x = a;
	const TrackRow *y = b;

	if (x->order_us != y->order_us)
		return x->order_us < y->order_us ? -1 : 1;
	return x->number < y->number ? -1 : 1;
}

void
tracks_sort(Tracks *t)
{
	qsort(t->rows, t->count, sizeof(TrackRow), compare_rows);
}
