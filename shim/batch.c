/*
 * batch.c
 *	  Encodes records as rows of binary COPY.
 */
#include "batch.h"

#include <endian.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define SIGNALS_VERSION 1
#define DEVICE_TEXT_MAX 1024	/* a device's identity that is longer is nonsense */

/* PostgreSQL counts microseconds from 2000-01-01; its calendar ends in 294276. */
#define PG_EPOCH_US INT64_C(946684800000000)
#define PG_TIME_MIN INT64_C(-211813488000000000)
#define PG_TIME_END INT64_C(9223371331200000000)

const char	batch_header[BATCH_HEADER_SIZE] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0";
const char	batch_trailer[BATCH_TRAILER_SIZE] = {(char) 0xFF, (char) 0xFF};

/* Bytes of a row without its strings and signals: a length and 8 bytes each. */
#define ROW_FIXED (2 + BATCH_COLUMNS * 12)

static inline char *
put16(char *p, uint16_t v)
{
	v = htobe16(v);
	memcpy(p, &v, 2);
	return p + 2;
}

static inline char *
put32(char *p, uint32_t v)
{
	v = htobe32(v);
	memcpy(p, &v, 4);
	return p + 4;
}

static inline char *
put64(char *p, uint64_t v)
{
	v = htobe64(v);
	memcpy(p, &v, 8);
	return p + 8;
}

static inline char *
put_null(char *p)
{
	return put32(p, UINT32_MAX);
}

static inline char *
put_double(char *p, double d)
{
	uint64_t	bits;

	memcpy(&bits, &d, 8);
	return put64(p, bits);
}

/* Columns: a length, then the value; NaN and empty strings are null. */
static inline char *
put_float8_column(char *p, double d)
{
	if (isnan(d))
		return put_null(p);
	return put_double(put32(p, 8), d);
}

static inline char *
put_float4_column(char *p, double d)
{
	float		f = (float) d;
	uint32_t	bits;

	if (isnan(d))
		return put_null(p);
	memcpy(&bits, &f, 4);
	return put32(put32(p, 4), bits);
}

static inline char *
put_bytes_column(char *p, const char *data, size_t len)
{
	if (len == 0)
		return put_null(p);
	p = put32(p, (uint32_t) len);
	memcpy(p, data, len);
	return p + len;
}

static inline char *
put_time_column(char *p, int64_t unix_us)
{
	return put64(put32(p, 8), (uint64_t) (unix_us - PG_EPOCH_US));
}

static inline bool
time_fits(int64_t unix_us)
{
	return unix_us >= PG_TIME_MIN + PG_EPOCH_US && unix_us < PG_TIME_END;
}

static bool
valid_name(const char *name, size_t len)
{
	if (len == 0 || len > RECORD_NAME_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
	{
		char		c = name[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
			  (i > 0 && c >= '0' && c <= '9')))
			return false;
	}
	return true;
}

/* Can the server read this signal?  The defect's code when not. */
static const char *
signal_defect(const RecordSignal *signal)
{
	if (!valid_name(signal->name.data, signal->name.len))
		return "malformed";
	switch (signal->kind)
	{
		case RECORD_BOOLEAN:
			return NULL;
		case RECORD_NUMBER:
			return isfinite(signal->number) ? NULL : "out_of_range";
		case RECORD_TEXT:
			if (signal->text.len > RECORD_TEXT_MAX)
				return "out_of_range";
			return buf_valid_utf8(signal->text.data, signal->text.len) ? NULL : "malformed";
	}
	return "malformed";
}

bool
batch_encode(Buf *out, int32_t source_id, int64_t now_us, const Record *record)
{
	char		defect_text[96];
	const char *defect = record->defect.data;
	size_t		defect_len = record->defect.len;
	const char *raw = record->raw.data;
	size_t		raw_len;
	bool		has_device = record->device.len > 0;
	bool		has_time = record->has_event_time;
	size_t		room = ROW_FIXED + record->device.len + defect_len + sizeof(defect_text) +
		record->raw.len + 3;
	char	   *start;
	char	   *p;
	uint16_t	nsignals = 0;

	for (uint32_t i = 0; i < record->nsignals; i++)
		room += 1 + record->signals[i].name.len + 1 + 8 + 2 +
			(record->signals[i].kind == RECORD_TEXT ? record->signals[i].text.len : 0);
	start = p = buf_reserve(out, room);
	if (p == NULL)
		return false;

	if (has_device && (record->device.len > DEVICE_TEXT_MAX ||
					   !buf_valid_utf8(record->device.data, record->device.len)))
	{
		has_device = false;
		if (defect_len == 0)
		{
			defect = "malformed:device";
			defect_len = strlen(defect);
		}
	}
	if (has_time && !time_fits(record->event_time_us))
	{
		has_time = false;
		if (defect_len == 0)
		{
			defect = "out_of_range:event_time";
			defect_len = strlen(defect);
		}
	}

	p = put16(p, BATCH_COLUMNS);
	p = put32(put32(p, 4), (uint32_t) source_id);
	p = put_bytes_column(p, record->device.data, has_device ? record->device.len : 0);
	p = has_time ? put_time_column(p, record->event_time_us) : put_null(p);
	p = put_time_column(p, record->received_at_us ? record->received_at_us : now_us);
	p = put_float8_column(p, record->latitude);
	p = put_float8_column(p, record->longitude);
	p = put_float4_column(p, record->altitude_m);
	p = put_float4_column(p, record->accuracy_m);
	p = put_float4_column(p, record->speed_kmh);
	p = put_float4_column(p, record->heading_deg);

	if (record->nsignals == 0)
		p = put_null(p);
	else
	{
		char	   *length_at = p;
		char	   *count_at;

		p += 4;
		*p++ = SIGNALS_VERSION;
		count_at = p;
		p += 2;
		for (uint32_t i = 0; i < record->nsignals; i++)
		{
			const RecordSignal *signal = &record->signals[i];
			const char *code = signal_defect(signal);

			if (code != NULL)
			{
				if (defect_len == 0)
				{
					bool		named = valid_name(signal->name.data, signal->name.len);

					defect_len = (size_t) snprintf(defect_text, sizeof(defect_text), "%s:%.*s", code,
												   named ? (int) signal->name.len : 7,
												   named ? signal->name.data : "signals");
					defect = defect_text;
				}
				continue;
			}
			*p++ = (char) signal->name.len;
			memcpy(p, signal->name.data, signal->name.len);
			p += signal->name.len;
			*p++ = (char) signal->kind;
			if (signal->kind == RECORD_BOOLEAN)
				*p++ = signal->boolean ? 1 : 0;
			else if (signal->kind == RECORD_NUMBER)
				p = put_double(p, signal->number);
			else
			{
				p = put16(p, (uint16_t) signal->text.len);
				memcpy(p, signal->text.data, signal->text.len);
				p += signal->text.len;
			}
			nsignals++;
		}
		put32(length_at, (uint32_t) (p - length_at - 4));
		put16(count_at, nsignals);
	}

	p = record->schema_version == 0 ? put_null(p) :
		put32(put32(p, 4), (uint32_t) record->schema_version);
	p = put_bytes_column(p, defect, defect_len);
	/* A report that can be stored is kept as columns; its bytes need not travel. */
	raw_len = defect_len > 0 || !has_device || !has_time ? record->raw.len : 0;
	p = put_bytes_column(p, raw, raw_len);
	buf_commit(out, (size_t) (p - start));
	return true;
}

/* --- a row that the server refused, as JSON --- */

typedef struct Column
{
	const char *data;			/* NULL: null */
	size_t		len;
} Column;

static uint16_t
get16(const char *p)
{
	uint16_t	v;

	memcpy(&v, p, 2);
	return be16toh(v);
}

static uint32_t
get32(const char *p)
{
	uint32_t	v;

	memcpy(&v, p, 4);
	return be32toh(v);
}

static uint64_t
get64(const char *p)
{
	uint64_t	v;

	memcpy(&v, p, 8);
	return be64toh(v);
}

static double
get_double(const char *p)
{
	uint64_t	bits = get64(p);
	double		d;

	memcpy(&d, &bits, 8);
	return d;
}

static bool
add_number(Buf *out, double d)
{
	char		text[40];

	if (!isfinite(d))
		return buf_add(out, "null", 4);
	/* Fifteen digits when they say it exactly, for the reader's sake. */
	snprintf(text, sizeof(text), "%.15g", d);
	if (strtod(text, NULL) != d)
		snprintf(text, sizeof(text), "%.17g", d);
	return buf_add(out, text, strlen(text));
}

static bool
add_member(Buf *out, const char *name, size_t len)
{
	return buf_add(out, ",", 1) && buf_add_json(out, name, len) && buf_add(out, ":", 1);
}

static bool
add_time(Buf *out, int64_t pg_us)
{
	int64_t		us = pg_us + PG_EPOCH_US;

	/* Epoch milliseconds: a number that fleet.ingest_json reads back. */
	return buf_printf(out, "%lld.%03lld", (long long) (us / 1000), (long long) (us % 1000 + 1000) % 1000);
}

static bool
add_signals(Buf *out, Column signals)
{
	const char *p = signals.data;
	const char *end = signals.data + signals.len;
	uint16_t	count;
	bool		ok = true;

	if (signals.data == NULL || signals.len < 3)
		return true;
	count = get16(p + 1);
	p += 3;
	while (ok && count-- > 0 && end - p >= 3)
	{
		size_t		name_len = (unsigned char) *p++;
		const char *name = p;
		char		kind;

		p += name_len;
		kind = *p++;
		ok = add_member(out, name, name_len);
		if (!ok)
			break;
		if (kind == RECORD_BOOLEAN)
		{
			ok = *p ? buf_add(out, "true", 4) : buf_add(out, "false", 5);
			p++;
		}
		else if (kind == RECORD_NUMBER)
		{
			ok = add_number(out, get_double(p));
			p += 8;
		}
		else
		{
			ok = buf_add_json(out, p + 2, get16(p));
			p += 2 + get16(p);
		}
	}
	return ok;
}

/* The row is our own work, so its shape needs no distrust. */
static bool
row_to_json(Buf *out, const Column *columns)
{
	static const struct
	{
		const char *name;
		int			column;
	}			numbers[] = {
		{"latitude", 4}, {"longitude", 5}, {"altitude_m", 6},
		{"accuracy_m", 7}, {"speed_kmh", 8}, {"heading_deg", 9}
	};
	bool		ok = buf_add(out, "{\"device\":", 10);

	ok = ok && (columns[1].data ? buf_add_json(out, columns[1].data, columns[1].len)
				: buf_add(out, "null", 4));
	if (columns[2].data != NULL)
		ok = ok && add_member(out, "event_time", 10) && add_time(out, (int64_t) get64(columns[2].data));
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
	{
		Column		c = columns[numbers[i].column];
		float		f;

		if (c.data == NULL)
			continue;
		ok = ok && add_member(out, numbers[i].name, strlen(numbers[i].name));
		if (c.len == 8)
			ok = ok && add_number(out, get_double(c.data));
		else
		{
			uint32_t	bits = get32(c.data);

			memcpy(&f, &bits, 4);
			ok = ok && buf_printf(out, isfinite(f) ? "%.9g" : "null", (double) f);
		}
	}
	ok = ok && add_signals(out, columns[10]);
	if (columns[11].data != NULL)
		ok = ok && add_member(out, "schema_version", 14) &&
			buf_printf(out, "%d", (int) get32(columns[11].data));
	return ok && buf_add(out, "}", 1);
}

bool
batch_salvage(Buf *out, const char *row, size_t len, bool keep_device)
{
	static const char defect[] = "malformed";
	Column		columns[BATCH_COLUMNS];
	const char *p = row + 2;
	const char *end = row + len;
	Buf			json = {0};
	const char *raw;
	size_t		raw_len;
	char	   *start;
	char	   *w;

	for (int i = 0; i < BATCH_COLUMNS; i++)
	{
		uint32_t	n = get32(p);

		p += 4;
		columns[i].data = n == UINT32_MAX ? NULL : p;
		columns[i].len = n == UINT32_MAX ? 0 : n;
		p += columns[i].len;
	}
	if (p != end)
		return false;

	/* What came with its bytes keeps them. */
	raw = columns[13].data;
	raw_len = columns[13].len;
	if (raw == NULL)
	{
		if (!row_to_json(&json, columns))
		{
			buf_release(&json);
			return false;
		}
		raw = buf_data(&json);
		raw_len = buf_len(&json);
	}
	start = w = buf_reserve(out, ROW_FIXED + columns[1].len + sizeof(defect) + raw_len);
	if (w == NULL)
	{
		buf_release(&json);
		return false;
	}
	w = put16(w, BATCH_COLUMNS);
	w = put_bytes_column(w, columns[0].data, columns[0].len);
	w = put_bytes_column(w, columns[1].data, keep_device ? columns[1].len : 0);
	w = put_null(w);
	w = put_bytes_column(w, columns[3].data, columns[3].len);
	for (int i = 4; i < 12; i++)
		w = put_null(w);
	w = put_bytes_column(w, defect, sizeof(defect) - 1);
	w = put_bytes_column(w, raw, raw_len);
	buf_commit(out, (size_t) (w - start));
	buf_release(&json);
	return true;
}
