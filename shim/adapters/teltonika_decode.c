/*
 * teltonika_decode.c
 *	  Packets of Teltonika trackers to records.
 *
 * A packet is walked twice: first to see that every length in it is true, then
 * to emit.  So a packet that ends wrong yields nothing, and a device that is
 * told so sends all of it again.
 */
#include <math.h>
#include <string.h>

#include "teltonika.h"
#include "tracker_text.h"

#define HEADER_SIZE 24			/* of a record, before its IO elements */
#define SPEED_MAX 350			/* km/h; as the extension's contract has it */
#define EPOCH_2007_S 1167609600 /* codec 7 counts from there */
#define AHEAD_MAX_US INT64_C(300000000) /* a clock may be ahead so much */
#define TIME_MAX_MS INT64_C(9000000000000000)	/* microseconds of it fit */

/* How a codec writes IO elements. */
typedef struct Layout
{
	uint8_t		id_size;
	uint8_t		count_size;
	bool		generation;		/* a byte after the event's id */
	bool		wide;			/* a group of 16-byte values */
	bool		variable;		/* a group of values with their length */
} Layout;

typedef struct Reader
{
	const unsigned char *at;
	const unsigned char *end;
} Reader;

static inline bool
take(Reader *reader, size_t n, const unsigned char **bytes)
{
	if (n > (size_t) (reader->end - reader->at))
		return false;
	*bytes = reader->at;
	reader->at += n;
	return true;
}

static inline bool
take_number(Reader *reader, size_t n, uint64_t *value)
{
	const unsigned char *bytes;

	if (!take(reader, n, &bytes))
		return false;
	*value = teltonika_be(bytes, n);
	return true;
}

static inline void
set_defect(Record *record, const char *field, const unsigned char *begin, const unsigned char *end)
{
	record_set_defect(record, "malformed", (Str) {field, (uint32_t) strlen(field)});
	record->raw = (Str) {(const char *) begin, (uint32_t) (end - begin)};
}

/* All groups of a record; *fits tells whether the record took them. */
static bool
read_groups(Reader *reader, const Layout *layout, Record *record, bool *fits)
{
	static const uint8_t widths[] = {1, 2, 4, 8, 16};
	size_t		ngroups = layout->wide ? 5 : 4;
	const unsigned char *value;
	uint64_t	count;
	uint64_t	id;
	uint64_t	len;

	for (size_t group = 0; group < ngroups; group++)
	{
		if (!take_number(reader, layout->count_size, &count))
			return false;
		for (; count > 0; count--)
		{
			if (!take_number(reader, layout->id_size, &id) || !take(reader, widths[group], &value))
				return false;
			if (record != NULL && *fits)
				*fits = teltonika_io(record, false, (unsigned) id, value, widths[group], false);
		}
	}
	if (!layout->variable)
		return true;
	if (!take_number(reader, layout->count_size, &count))
		return false;
	for (; count > 0; count--)
	{
		if (!take_number(reader, layout->id_size, &id) || !take_number(reader, 2, &len) ||
			!take(reader, (size_t) len, &value))
			return false;
		if (record != NULL && *fits)
			*fits = teltonika_io(record, false, (unsigned) id, value, (size_t) len, true);
	}
	return true;
}

static inline void
add_number(Record *record, const char *name, double value, bool *fits)
{
	*fits = *fits && record_add_number(record, (Str) {name, (uint32_t) strlen(name)}, value);
}

/* What cannot be is kept raw: it would take the whole report to quarantine. */
static void
put_altitude(Record *record, int metres, bool *fits)
{
	if (metres >= -500 && metres <= 20000)
		record->altitude_m = metres;
	else
		add_number(record, "altitude_raw", metres, fits);
}

/* The part that codecs 8, 8 extended and 16 share. */
static void
put_header(Record *record, const unsigned char *p, bool *fits)
{
	uint64_t	ms = teltonika_be(p, 8);
	unsigned	priority = p[8];
	unsigned	satellites = p[21];
	unsigned	heading = (unsigned) teltonika_be(p + 19, 2);
	unsigned	speed = (unsigned) teltonika_be(p + 22, 2);

	if (ms <= TIME_MAX_MS)
	{
		record->has_event_time = true;
		record->event_time_us = (int64_t) ms * 1000;
	}
	/* Without satellites the rest is that of the last fix. */
	if (satellites > 0)
	{
		record->longitude = (int32_t) teltonika_be(p + 9, 4) / 1e7;
		record->latitude = (int32_t) teltonika_be(p + 13, 4) / 1e7;
		put_altitude(record, (int16_t) teltonika_be(p + 17, 2), fits);
		if (heading <= 360)
			record->heading_deg = heading;
		else
			add_number(record, "heading_raw", heading, fits);
		if (speed <= SPEED_MAX)
			record->speed_kmh = speed;
		else
			add_number(record, "speed_raw", speed, fits);
	}
	add_number(record, "satellites", satellites, fits);
	add_number(record, "priority", priority, fits);
	if (priority == 2)
		*fits = *fits && record_add_text(record, RECORD_STR("alarm"), RECORD_STR("panic"));
}

/* One record; with out NULL it is only checked. */
static bool
read_record(Reader *reader, const Layout *layout, const Session *session, Str device, Decoded *out)
{
	Record	   *record = out != NULL ? out->record : NULL;
	const unsigned char *begin = reader->at;
	const unsigned char *header;
	const unsigned char *generation = NULL;
	uint64_t	event_id;
	uint64_t	total;
	bool		fits = true;

	if (!take(reader, HEADER_SIZE, &header) || !take_number(reader, layout->id_size, &event_id) ||
		(layout->generation && !take(reader, 1, &generation)) ||
		!take_number(reader, layout->count_size, &total))
		return false;
	if (record != NULL)
	{
		record_reset(record);
		record->device = device;
		record->received_at_us = session->now_us;
		put_header(record, header, &fits);
		if (event_id != 0)
		{
			Str			name = teltonika_io_name(record, false, (unsigned) event_id);

			fits = fits && name.data != NULL && record_add_text(record, RECORD_STR("event_type"), name);
		}
		if (generation != NULL)
			add_number(record, "generation_type", *generation, &fits);
	}
	if (!read_groups(reader, layout, record, &fits))
		return false;
	if (record == NULL)
		return true;
	if (!record->has_event_time)
		set_defect(record, "event_time", begin, reader->at);
	else if (!fits)
		set_defect(record, "io", begin, reader->at);
	out->emit(out->emit_arg, record);
	return true;
}

/* --- codec 7 --- */

/*
 * GPS element: a mask, then what it announces.  The record may be NULL.
 */
static bool
read_gps7(Reader *reader, Record *record, bool *fits)
{
	static const uint8_t sizes[] = {8, 2, 1, 1, 1, 4, 1, 4};
	const unsigned char *mask;
	const unsigned char *part[8] = {NULL};

	if (!take(reader, 1, &mask))
		return false;
	for (int bit = 0; bit < 8; bit++)
		if ((*mask >> bit & 1) && !take(reader, sizes[bit], &part[bit]))
			return false;
	if (record == NULL)
		return true;
	/* Without satellites the rest is that of the last fix. */
	if (part[0] != NULL && (part[4] == NULL || *part[4] > 0))
	{
		uint32_t	raw[2] = {(uint32_t) teltonika_be(part[0], 4), (uint32_t) teltonika_be(part[0] + 4, 4)};
		float		degrees[2];

		memcpy(degrees, raw, sizeof(degrees));
		if (isfinite(degrees[0]) && isfinite(degrees[1]))
		{
			record->latitude = degrees[0];
			record->longitude = degrees[1];
		}
		if (part[1] != NULL)
			put_altitude(record, (int16_t) teltonika_be(part[1], 2), fits);
		if (part[2] != NULL)
			record->heading_deg = *part[2] * 360.0 / 256;
		if (part[3] != NULL)
			record->speed_kmh = *part[3];
	}
	if (part[4] != NULL)
		add_number(record, "satellites", *part[4], fits);
	if (part[5] != NULL)
	{
		add_number(record, "lac", (double) teltonika_be(part[5], 2), fits);
		add_number(record, "cell_id", (double) teltonika_be(part[5] + 2, 2), fits);
	}
	if (part[6] != NULL)
		add_number(record, "gsm_signal", *part[6], fits);
	if (part[7] != NULL)
		*fits = *fits && teltonika_io(record, false, 241, part[7], 4, false);
	return true;
}

static bool
read_record7(Reader *reader, const Session *session, Str device, Decoded *out)
{
	static const uint8_t widths[] = {1, 2, 4};
	Record	   *record = out != NULL ? out->record : NULL;
	const unsigned char *begin = reader->at;
	const unsigned char *header;
	unsigned	mask;
	bool		fits = true;

	if (!take(reader, 5, &header))
		return false;
	mask = header[4];
	if (record != NULL)
	{
		uint64_t	stamp = teltonika_be(header, 4);

		record_reset(record);
		record->device = device;
		record->received_at_us = session->now_us;
		record->has_event_time = true;
		record->event_time_us = ((int64_t) (stamp & 0x3FFFFFFF) + EPOCH_2007_S) * INT64_C(1000000);
		add_number(record, "priority", (double) (stamp >> 30), &fits);
	}
	if ((mask & 1) && !read_gps7(reader, record, &fits))
		return false;
	for (int group = 0; group < 3; group++)
	{
		uint64_t	count;
		const unsigned char *pair;

		if (!(mask >> (group + 1) & 1))
			continue;
		if (!take_number(reader, 1, &count))
			return false;
		for (; count > 0; count--)
		{
			if (!take(reader, 1 + (size_t) widths[group], &pair))
				return false;
			if (record != NULL && fits)
				fits = teltonika_io(record, true, pair[0], pair + 1, widths[group], false);
		}
	}
	if (record == NULL)
		return true;
	if (!fits)
		set_defect(record, "io", begin, reader->at);
	out->emit(out->emit_arg, record);
	return true;
}

/* --- codecs 12 to 15: commands and what devices say to them --- */

/* What is text stays text, without the end of the line; else digits. */
static Str
readable(Record *record, const unsigned char *data, size_t len)
{
	char	   *digits;

	while (len > 0 && (data[len - 1] == '\0' || data[len - 1] == '\r' || data[len - 1] == '\n'))
		len--;
	if (len <= RECORD_TEXT_MAX && buf_valid_utf8((const char *) data, len))
	{
		size_t		i = 0;

		while (i < len && (data[i] >= ' ' || data[i] == '\r' || data[i] == '\n' || data[i] == '\t'))
			i++;
		if (i == len)
			return (Str) {(const char *) data, (uint32_t) len};
	}
	if (len > RECORD_TEXT_MAX / 2)
		len = RECORD_TEXT_MAX / 2;
	digits = record_scratch(record, 2 * len);
	if (digits == NULL)
		return (Str) {"", 0};
	tracker_to_hex(data, len, digits);
	return (Str) {digits, (uint32_t) (2 * len)};
}

/* 06 is an answer, 11 a no: of codec 14, to a command for another IMEI. */
static void
answer(const Session *session, unsigned type, Str text, Decoded *out)
{
	TeltonikaSession *state = session->state;
	Answer		said = {.ok = type == 0x06,.text = text};

	if ((type != 0x06 && type != 0x11) || session->datagram || !state->owes)
		return;
	state->owes = false;
	if (out->answer != NULL)
		out->answer(out->emit_arg, &said);
}

static bool
read_message(Reader *reader, unsigned codec, const Session *session, Str device, Decoded *out)
{
	Record	   *record = out != NULL ? out->record : NULL;
	uint64_t	type;
	uint64_t	size;
	uint64_t	stamp = 0;
	const unsigned char *payload;
	Str			text;
	bool		fits = true;

	if (!take_number(reader, 1, &type) || !take_number(reader, 4, &size))
		return false;
	/* Time and identity count as part of what has that size. */
	if (codec == 0x0D || codec == 0x0F)
	{
		if (size < 4 || !take_number(reader, 4, &stamp))
			return false;
		size -= 4;
	}
	if (codec == 0x0E || codec == 0x0F)
	{
		if (size < 8 || !take(reader, 8, &payload))
			return false;
		size -= 8;
	}
	if (!take(reader, (size_t) size, &payload))
		return false;
	if (record == NULL)
		return true;
	record_reset(record);
	record->device = device;
	record->received_at_us = session->now_us;
	record->has_event_time = true;
	record->event_time_us = session->now_us;
	/* A clock that has not been set yet counts from 1970. */
	if (stamp >= EPOCH_2007_S && (int64_t) stamp * 1000000 <= session->now_us + AHEAD_MAX_US)
		record->event_time_us = (int64_t) stamp * 1000000;
	add_number(record, "message_type", (double) type, &fits);
	if (codec == 0x0D || codec == 0x0F)
		add_number(record, "device_time_s", (double) stamp, &fits);
	text = readable(record, payload, (size_t) size);
	fits = fits && record_add_text(record, RECORD_STR("command_result"), text);
	answer(session, (unsigned) type, text, out);
	if (!fits)
		set_defect(record, "io", payload, payload + size);
	out->emit(out->emit_arg, record);
	return true;
}

/* --- packets --- */

static bool
read_all(unsigned codec, const Layout *layout, const char *data, size_t len, const Session *session, Str device,
		 Decoded *out)
{
	Reader		reader = {(const unsigned char *) data + 2, (const unsigned char *) data + len - 1};
	unsigned	count = (unsigned char) data[1];

	for (unsigned i = 0; i < count; i++)
		if (layout != NULL ? !read_record(&reader, layout, session, device, out) :
			codec == 0x07 ? !read_record7(&reader, session, device, out) :
			!read_message(&reader, codec, session, device, out))
			return false;
	return reader.at == reader.end;
}

bool
teltonika_packet(const Session *session, Str device, const char *data, size_t len, Decoded *out, int *count,
				 const char **field)
{
	static const Layout layouts[] = {
		{1, 1, false, false, false},	/* 8 */
		{1, 1, false, true, false}, /* 8 with values of 16 bytes, as some models send */
		{2, 2, false, false, true}, /* 8 extended */
		{2, 1, true, false, false}	/* 16 */
	};
	unsigned	codec = (unsigned char) data[0];
	const Layout *layout = NULL;

	*count = (unsigned char) data[1];
	*field = "count";
	if (data[len - 1] != data[1])
		return false;
	switch (codec)
	{
		case 0x08:
			layout = &layouts[0];
			break;
		case 0x8E:
			layout = &layouts[2];
			break;
		case 0x10:
			layout = &layouts[3];
			break;
		case 0x07:
			break;
		case 0x0C:
		case 0x0D:
		case 0x0E:
		case 0x0F:
			*count = -1;
			break;
		default:
			*field = "codec";
			return false;
	}
	*field = "records";
	if (!read_all(codec, layout, data, len, session, device, NULL))
	{
		if (codec != 0x08)
			return false;
		layout = &layouts[1];
		if (!read_all(codec, layout, data, len, session, device, NULL))
			return false;
	}
	return read_all(codec, layout, data, len, session, device, out);
}
