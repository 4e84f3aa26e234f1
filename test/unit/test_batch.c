/*
 * test_batch.c
 *	  Rows of binary COPY: read back column by column.
 */
#include <endian.h>
#include <math.h>

#include "batch.h"
#include "tap.h"

typedef struct Row
{
	int			ncolumns;
	int			len[BATCH_COLUMNS]; /* -1: null */
	const char *data[BATCH_COLUMNS];
	bool		whole;			/* the columns fill the row to the byte */
} Row;

static Record record;

static uint64_t
be(const char *p, int n)
{
	uint64_t	v = 0;

	while (n-- > 0)
		v = v << 8 | (unsigned char) *p++;
	return v;
}

static Row
read_row(const Buf *b)
{
	Row			row = {0};
	const char *p = buf_data(b);
	const char *end = p + buf_len(b);

	row.ncolumns = (int) be(p, 2);
	p += 2;
	for (int i = 0; i < BATCH_COLUMNS && end - p >= 4; i++)
	{
		row.len[i] = (int32_t) be(p, 4);
		p += 4;
		row.data[i] = p;
		if (row.len[i] > 0)
			p += row.len[i];
	}
	row.whole = p == end;
	return row;
}

static double
be_double(const char *p)
{
	uint64_t	bits = be(p, 8);
	double		d;

	memcpy(&d, &bits, 8);
	return d;
}

static float
be_float(const char *p)
{
	uint32_t	bits = (uint32_t) be(p, 4);
	float		f;

	memcpy(&f, &bits, 4);
	return f;
}

static bool
column_is(const Row *row, int column, const char *text)
{
	return row->len[column] == (int) strlen(text) &&
		memcmp(row->data[column], text, strlen(text)) == 0;
}

static void
test_full_row(void)
{
	Buf			b = {0};
	Row			row;
	const char *s;

	record_reset(&record);
	record.device = RECORD_STR("bus-7");
	record.has_event_time = true;
	record.event_time_us = INT64_C(946684800000000) + 5;
	record.received_at_us = INT64_C(946684800000000) - 1;
	record.latitude = 50.1105;
	record.longitude = -8.5;
	record.altitude_m = 112.5;
	record.accuracy_m = 5.25;
	record.speed_kmh = 0;
	record.heading_deg = 359;
	record.schema_version = 3;
	record.raw = RECORD_STR("not sent with a sound report");
	ok(record_add_number(&record, RECORD_STR("battery_percent"), 68) &&
	   record_add_boolean(&record, RECORD_STR("charging"), true) &&
	   record_add_text(&record, RECORD_STR("trip_id"), RECORD_STR("t\xc3\xa9")), "a record with signals");
	ok(batch_encode(&b, 42, 99, &record), "is encoded");

	row = read_row(&b);
	is_int(row.ncolumns, BATCH_COLUMNS, "all columns");
	ok(row.whole, "nothing behind the last one");
	ok(row.len[0] == 4 && be(row.data[0], 4) == 42, "source_id");
	ok(column_is(&row, 1, "bus-7"), "device");
	ok(row.len[2] == 8 && be(row.data[2], 8) == 5, "event_time, counted from 2000");
	ok(row.len[3] == 8 && (int64_t) be(row.data[3], 8) == -1, "received_at, before 2000");
	ok(row.len[4] == 8 && be_double(row.data[4]) == 50.1105, "latitude");
	ok(row.len[5] == 8 && be_double(row.data[5]) == -8.5, "longitude");
	ok(row.len[6] == 4 && be_float(row.data[6]) == 112.5f, "altitude_m");
	ok(row.len[7] == 4 && be_float(row.data[7]) == 5.25f, "accuracy_m");
	ok(row.len[8] == 4 && be_float(row.data[8]) == 0.0f, "speed_kmh: zero is a value");
	ok(row.len[9] == 4 && be_float(row.data[9]) == 359.0f, "heading_deg");
	ok(row.len[11] == 4 && be(row.data[11], 4) == 3, "schema_version");
	is_int(row.len[12], -1, "no defect");
	is_int(row.len[13], -1, "no raw");

	s = row.data[10];
	is_int(row.len[10], 3 + 1 + 15 + 1 + 8 + 1 + 8 + 1 + 1 + 1 + 7 + 1 + 2 + 3, "size of the signals");
	ok(s[0] == 1 && be(s + 1, 2) == 3, "version and count of the signals");
	ok(s[3] == 15 && memcmp(s + 4, "battery_percent", 15) == 0 && s[19] == 2 &&
	   be_double(s + 20) == 68, "a number");
	ok(s[28] == 8 && memcmp(s + 29, "charging", 8) == 0 && s[37] == 1 && s[38] == 1, "a boolean");
	ok(s[39] == 7 && memcmp(s + 40, "trip_id", 7) == 0 && s[47] == 3 && be(s + 48, 2) == 3 &&
	   memcmp(s + 50, "t\xc3\xa9", 3) == 0, "a text");
	buf_release(&b);
}

static void
test_empty_row(void)
{
	Buf			b = {0};
	Row			row;
	bool		nulls = true;

	record_reset(&record);
	ok(batch_encode(&b, 1, INT64_C(946684800000000) + 7, &record), "a record with nothing in it");
	row = read_row(&b);
	for (int i = 1; i < BATCH_COLUMNS; i++)
		if (i != 3 && row.len[i] != -1)
			nulls = false;
	ok(nulls, "is null in all columns");
	ok(row.len[3] == 8 && be(row.data[3], 8) == 7, "but received_at, which is now");
	buf_release(&b);
	record.raw = RECORD_STR("{}");
	ok(batch_encode(&b, 1, 0, &record), "without device and time");
	row = read_row(&b);
	ok(column_is(&row, 13, "{}") && row.len[12] == -1, "the bytes go with it, the verdict is the pipeline's");
	buf_release(&b);
}

/* What the server would not read becomes a defect here. */
static void
defect_of(char *out, size_t size, Row *row, Buf *b)
{
	buf_release(b);
	*row = (Row) {0};
	out[0] = '\0';
	if (!batch_encode(b, 1, 0, &record))
		return;
	*row = read_row(b);
	if (row->whole && row->len[12] > 0)
		snprintf(out, size, "%.*s", row->len[12], row->data[12]);
}

static void
test_defects(void)
{
	Buf			b = {0};
	Row			row;
	char		defect[128];

	record_reset(&record);
	record.device = RECORD_STR("a\xff");
	record.raw = RECORD_STR("bytes");
	defect_of(defect, sizeof(defect), &row, &b);
	is_str(defect, "malformed:device", "a device that is not UTF-8");
	is_int(row.len[1], -1, "is left out");
	ok(column_is(&row, 13, "bytes"), "and the bytes go with it");

	record.device = (Str) {"a\0b", 3};
	defect_of(defect, sizeof(defect), &row, &b);
	is_str(defect, "malformed:device", "a device with a zero byte");

	record_reset(&record);
	record.has_event_time = true;
	record.event_time_us = INT64_MAX;
	defect_of(defect, sizeof(defect), &row, &b);
	is_str(defect, "out_of_range:event_time", "a time after the calendar's end");
	is_int(row.len[2], -1, "is left out");
	record.event_time_us = INT64_MIN;
	defect_of(defect, sizeof(defect), &row, &b);
	is_str(defect, "out_of_range:event_time", "a time before its beginning");

	record_reset(&record);
	record.nsignals = 3;
	record.signals[0] = (RecordSignal) {RECORD_STR("good"), RECORD_NUMBER, false, 1, {NULL, 0}};
	record.signals[1] = (RecordSignal) {RECORD_STR("nan"), RECORD_NUMBER, false, NAN, {NULL, 0}};
	record.signals[2] = (RecordSignal) {RECORD_STR("last"), RECORD_BOOLEAN, true, 0, {NULL, 0}};
	defect_of(defect, sizeof(defect), &row, &b);
	is_str(defect, "out_of_range:nan", "a number that is not finite");
	ok(be(row.data[10] + 1, 2) == 2, "the other signals stay");
	record.signals[1] = (RecordSignal) {RECORD_STR("sp ace"), RECORD_BOOLEAN, true, 0, {NULL, 0}};
	defect_of(defect, sizeof(defect), &row, &b);
	is_str(defect, "malformed:signals", "a name that is none");
	record.signals[1] = (RecordSignal) {RECORD_STR("t"), RECORD_TEXT, false, 0, RECORD_STR("\xc3")};
	defect_of(defect, sizeof(defect), &row, &b);
	is_str(defect, "malformed:t", "a text that is not UTF-8");
	record.signals[1] = (RecordSignal) {RECORD_STR("k"), 9, false, 0, {NULL, 0}};
	defect_of(defect, sizeof(defect), &row, &b);
	is_str(defect, "malformed:k", "a kind that is none");

	record.defect = RECORD_STR("missing_field:latitude");
	defect_of(defect, sizeof(defect), &row, &b);
	is_str(defect, "missing_field:latitude", "the decoder's defect comes first");
	buf_release(&b);
}

static void
test_salvage(void)
{
	Buf			b = {0};
	Buf			s = {0};
	Row			row;
	const char *want = "{\"device\":\"d\\\"1\",\"event_time\":1700000000123.456,\"latitude\":50.1,"
		"\"speed_kmh\":18.5,\"soc\":0.1,\"on\":false,\"note\":\"x\",\"schema_version\":2}";

	record_reset(&record);
	record.device = RECORD_STR("d\"1");
	record.has_event_time = true;
	record.event_time_us = INT64_C(1700000000123456);
	record.received_at_us = INT64_C(946684800000000);
	record.latitude = 50.1;
	record.speed_kmh = 18.5;
	record.schema_version = 2;
	ok(record_add_number(&record, RECORD_STR("soc"), 0.1) &&
	   record_add_boolean(&record, RECORD_STR("on"), false) &&
	   record_add_text(&record, RECORD_STR("note"), RECORD_STR("x")) &&
	   batch_encode(&b, 5, 0, &record), "a row");
	ok(batch_salvage(&s, buf_data(&b), buf_len(&b), true), "that was refused is salvaged");
	row = read_row(&s);
	ok(row.whole && row.ncolumns == BATCH_COLUMNS, "as a whole row");
	ok(be(row.data[0], 4) == 5 && column_is(&row, 1, "d\"1"), "of the same source and device");
	ok(column_is(&row, 12, "malformed"), "with the defect malformed");
	ok(row.len[2] == -1 && row.len[4] == -1 && row.len[10] == -1, "without its values");
	ok(row.len[3] == 8, "received at the same time");
	ok(column_is(&row, 13, want), "which stand in raw");
	if (!column_is(&row, 13, want))
		printf("# got %.*s\n", row.len[13], row.data[13]);
	buf_release(&s);

	ok(batch_salvage(&s, buf_data(&b), buf_len(&b), false), "once more, without the device");
	row = read_row(&s);
	is_int(row.len[1], -1, "it is null");
	ok(row.len[13] > 0 && memmem(row.data[13], (size_t) row.len[13], "d\\\"1", 4) != NULL,
	   "but still in raw");
	buf_release(&s);
	buf_release(&b);

	record.defect = RECORD_STR("malformed");
	record.raw = RECORD_STR("{bad");
	ok(batch_encode(&b, 5, 0, &record) && batch_salvage(&s, buf_data(&b), buf_len(&b), true),
	   "a row that was malformed before");
	row = read_row(&s);
	ok(column_is(&row, 13, "{bad"), "keeps its bytes");
	buf_release(&s);
	buf_release(&b);
}

int
main(void)
{
	is_int(sizeof(batch_header), 19, "the header's size");
	ok(memcmp(batch_header, "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19) == 0, "the header");
	test_full_row();
	test_empty_row();
	test_defects();
	test_salvage();
	is_int(buf_memory(), 0, "no memory is left behind");
	buf_trim();
	return tap_done();
}
