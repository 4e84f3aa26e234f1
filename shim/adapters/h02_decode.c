/*
 * h02_decode.c
 *	  Frames of H02 trackers to records.
 */
#include <string.h>

#include "h02.h"
#include "tracker_text.h"

#define FIELDS_MAX 128
#define SPEED_MAX 350			/* km/h */
#define HEAD 3					/* fields before the body: maker, identity, type */

typedef struct Text
{
	Str			field[FIELDS_MAX];	/* the last one is all the rest */
	size_t		n;
} Text;

static Text
split(Str rest)
{
	Text		text = {.n = 0};

	while (text.n < FIELDS_MAX - 1 && tracker_field(&rest, ',', &text.field[text.n]))
		text.n++;
	if (rest.data != NULL)
		text.field[text.n++] = rest;
	return text;
}

/* From one field to another, with what stands between; empty when there are none. */
static Str
span(const Text *text, size_t from, size_t upto)
{
	const char *end;

	if (from >= text->n || upto < from)
		return (Str) {"", 0};
	if (upto >= text->n)
		upto = text->n - 1;
	end = text->field[upto].data + text->field[upto].len;
	return (Str) {text->field[from].data, (uint32_t) (end - text->field[from].data)};
}

static Str
field(const Text *text, size_t i)
{
	Str			f = i < text->n ? text->field[i] : (Str) {"", 0};

	while (f.len > 0 && f.data[0] == ' ')
		f = (Str) {f.data + 1, f.len - 1};
	return f;
}

static bool
all_digits(Str f)
{
	for (uint32_t i = 0; i < f.len; i++)
		if (f.data[i] < '0' || f.data[i] > '9')
			return false;
	return f.len > 0;
}

static inline bool
is_one_of(Str f, const char *letters)
{
	return f.len == 1 && f.data[0] != '\0' && strchr(letters, f.data[0]) != NULL;
}

/* --- what text and binary share --- */

/* Bits of the status word are low when they hold, but for that of the ignition. */
static void
put_status(Record *record, uint32_t status)
{
	bool		sos = !(status >> 1 & 1) || !(status >> 18 & 1);
	bool		power = status >> 19 & 1;
	const char *alarm = NULL;
	char	   *digits = record_scratch(record, 8);

	if (digits != NULL)
	{
		for (int i = 0; i < 8; i++)
			digits[i] = "0123456789ABCDEF"[status >> (28 - 4 * i) & 15];
		tracker_put_text(record, "status_word", (Str) {digits, 8});
	}
	tracker_put_boolean(record, "ignition", status >> 10 & 1);
	tracker_put_boolean(record, "external_power", power);
	if (sos)
	{
		alarm = "sos";
		tracker_put_boolean(record, "sos", true);
	}
	else if (!power)
		alarm = "power_cut";
	else if (!(status >> 2 & 1))
		alarm = "overspeed";
	else if (!(status & 1))
		alarm = "vibration";
	if (alarm != NULL)
		tracker_put_text(record, "alarm", (Str) {alarm, (uint32_t) strlen(alarm)});
}

/* 1 to 6 are steps, higher ones per cent. */
static void
put_battery(Record *record, unsigned raw)
{
	static const uint8_t steps[] = {0, 0, 10, 20, 60, 80, 100};

	if (raw >= 1 && raw <= 100)
		tracker_put_number(record, "tracker_battery_percent", raw < sizeof(steps) ? steps[raw] : raw);
	else if (raw != 0)
		tracker_put_number(record, "battery_raw", raw);
}

/* Knots; what no vehicle drives would take the whole report to quarantine. */
static void
put_speed(Record *record, double knots)
{
	if (knots >= 0 && knots * KMH_PER_KNOT <= SPEED_MAX)
		record->speed_kmh = knots * KMH_PER_KNOT;
	else
		tracker_put_number(record, "speed_knots", knots);
}

/* Under its name when that can be, else under the other. */
static void
put_ranged(Record *record, const char *name, const char *raw, double min, double max, Str text)
{
	double		value;

	if (tracker_number(text, &value))
		tracker_put_number(record, value >= min && value <= max ? name : raw, value);
}

/* --- text --- */

static bool
put_status_field(Record *record, Str f)
{
	uint64_t	status;

	if (f.len != 8 || !tracker_hex(f, &status))
		return false;
	put_status(record, (uint32_t) status);
	return true;
}

/*
 * ddmm.mmmm; without its point, ddmmmmmm; or dd-mm.mmmm.  A sign says no more
 * than the hemisphere does.
 */
static bool
read_angle(Str text, char hemisphere, double *degrees)
{
	char		digits[24];
	const char *dash;
	double		whole;
	double		minutes;
	double		limit = hemisphere == 'N' || hemisphere == 'S' ? 90 : 180;

	if (text.len > 0 && text.data[0] == '-')
		text = (Str) {text.data + 1, text.len - 1};
	if (text.len < 1 || text.len >= sizeof(digits) - 1)
		return false;
	dash = memchr(text.data, '-', text.len);
	if (dash != NULL)
	{
		Str			before = {text.data, (uint32_t) (dash - text.data)};
		Str			after = {dash + 1, text.len - before.len - 1};

		if (!all_digits(before) || after.len == 0 || after.data[0] < '0' || after.data[0] > '9' ||
			!tracker_number(before, &whole) || !tracker_number(after, &minutes) || minutes >= 60 ||
			whole + minutes / 60 > limit)
			return false;
		whole += minutes / 60;
		*degrees = hemisphere == 'S' || hemisphere == 'W' ? -whole : whole;
		return true;
	}
	if (memchr(text.data, '.', text.len) == NULL && text.len > 6)
	{
		memcpy(digits, text.data, text.len - 4);
		digits[text.len - 4] = '.';
		memcpy(digits + text.len - 3, text.data + text.len - 4, 4);
		text = (Str) {digits, text.len + 1};
	}
	return tracker_angle(text, hemisphere, degrees);
}

/* The field with the hemisphere of the latitude, 0 when there is none. */
static size_t
find_place(const Text *text)
{
	for (size_t i = HEAD + 1; i + 2 < text->n; i++)
		if (is_one_of(field(text, i), "NS") && is_one_of(field(text, i + 2), "EW"))
			return i;
	return 0;
}

/* What stands behind the date. */
static void
put_rest(const Text *text, size_t at, Record *record)
{
	if (!put_status_field(record, field(text, at)))
	{
		tracker_put_text(record, "extra", span(text, at, text->n));
		(void) put_status_field(record, field(text, text->n - 1));
		return;
	}
	at++;
	if (text->n >= at + 6 && all_digits(field(text, at)) && field(text, at + 2).len > 1 &&
		memchr(field(text, at + 2).data, '.', field(text, at + 2).len) != NULL)
	{
		double		number;

		if (tracker_number(field(text, at), &number))
			tracker_put_number(record, number <= 5e9 ? "odometer_km" : "odometer_raw", number <= 5e9 ? number / 1000 : number);
		(void) tracker_put_decimal(record, "temperature_c", field(text, at + 1));
		put_ranged(record, "fuel_percent", "fuel_raw", 0, 100, field(text, at + 2));
		if (tracker_number(field(text, at + 3), &number) && number >= -500 && number <= 20000)
			record->altitude_m = number;
		at += 4;
	}
	tracker_put_text(record, "extra", span(text, at, text->n));
}

/* False when nothing of a place was said, which is not to be answered. */
static bool
read_position(const Text *text, size_t at, const Frame *frame, Record *record)
{
	Str			date = field(text, at + 5);
	Str			time = at - 3 >= HEAD ? field(text, at - 3) : (Str) {"", 0};
	Str			fix = at - 2 >= HEAD ? field(text, at - 2) : (Str) {"", 0};
	Str			latitude = field(text, at - 1);
	Str			longitude = field(text, at + 1);
	bool		valid = is_one_of(fix, "A") || all_digits(fix);
	size_t		rest = at + 6;
	double		number;

	/* Some put their battery before the date. */
	if (date.len < 6 && all_digits(date) && field(text, at + 6).len == 6)
	{
		if (tracker_number(date, &number))
			tracker_put_number(record, "battery_raw", number);
		date = field(text, at + 6);
		rest++;
	}
	if (tracker_equals(field(text, 2), "VP1"))
		time = RECORD_STR("000000");
	if (tracker_equals(field(text, 2), "V4") && at - 3 > HEAD)
		tracker_put_text(record, "command_result", span(text, HEAD, at - 4));
	if (!tracker_time_ddmmyy(time, date, &record->event_time_us) && valid)
	{
		record->has_event_time = false;
		tracker_defect(record, frame, "missing_field", "event_time");
	}
	tracker_put_boolean(record, "gps_valid", valid);
	if (valid)
	{
		double		degrees[2];

		if (!read_angle(latitude, field(text, at).data[0], &degrees[0]))
			tracker_defect(record, frame, "malformed", "latitude");
		else if (!read_angle(longitude, field(text, at + 2).data[0], &degrees[1]))
			tracker_defect(record, frame, "malformed", "longitude");
		else
		{
			record->latitude = degrees[0];
			record->longitude = degrees[1];
		}
		if (tracker_number(field(text, at + 3), &number))
			put_speed(record, number);
		tracker_put_heading(record, field(text, at + 4));
	}
	if (rest < text->n)
		put_rest(text, rest, record);
	return latitude.len > 0 && longitude.len > 0;
}

/* Which cells are heard; time and date where they are said. */
static void
read_cells(const Text *text, Record *record)
{
	Str			type = field(text, 2);
	Str			mcc = field(text, 4);
	Str			mnc = field(text, 5);
	size_t		first;
	size_t		last;
	size_t		date = text->n;
	uint64_t	battery;

	if (tracker_equals(type, "NBR"))
	{
		double		count;

		first = 8;
		if (!tracker_number(field(text, 7), &count) || count < 0 || count > FIELDS_MAX / 3)
			count = 0;
		last = first + 3 * (size_t) count;
		date = last;
		(void) tracker_put_decimal(record, "cell_signal", field(text, first + 2));
		if (tracker_number(field(text, date + 2), &count))
			tracker_put_number(record, "battery_raw", count);
	}
	else if (tracker_equals(type, "V3"))
	{
		if (mcc.len > 3)
		{
			mnc = (Str) {mcc.data + 3, mcc.len - 3};
			mcc.len = 3;
		}
		first = 6;
		last = text->n > first + 5 ? text->n - 5 : first;
		date = text->n > 2 ? text->n - 2 : text->n;
		if (field(text, last).len <= 4 && tracker_hex(field(text, last), &battery))
			tracker_put_number(record, "battery_raw", (double) battery);
	}
	else
	{
		first = 6;
		last = text->n;
	}
	(void) tracker_put_decimal(record, "mcc", mcc);
	(void) tracker_put_decimal(record, "mnc", mnc);
	(void) tracker_put_decimal(record, "lac", field(text, first));
	(void) tracker_put_decimal(record, "cell_id", field(text, first + 1));
	if (last > first)
		tracker_put_text(record, "cells", span(text, first, last - 1));
	(void) !tracker_time_ddmmyy(field(text, 3), field(text, date), &record->event_time_us);
	(void) put_status_field(record, field(text, date + 1));
}

static void
read_link(const Text *text, Record *record)
{
	(void) tracker_put_decimal(record, "gsm_signal", field(text, HEAD + 1));
	put_ranged(record, "satellites", "satellites_raw", 0, 255, field(text, HEAD + 2));
	put_ranged(record, "tracker_battery_percent", "battery_raw", 0, 100, field(text, HEAD + 3));
	(void) tracker_put_decimal(record, "steps", field(text, HEAD + 4));
	(void) tracker_put_decimal(record, "turnovers", field(text, HEAD + 5));
	(void) !tracker_time_ddmmyy(field(text, HEAD), field(text, HEAD + 6), &record->event_time_us);
	(void) put_status_field(record, field(text, HEAD + 7));
}

DecodeStatus
h02_text(Session *session, const Frame *frame, Decoded *out)
{
	Str			whole = {frame->data, (uint32_t) frame->length};
	Text		text;
	Str			type;
	Record	   *record;
	size_t		place;
	H02Answer	answer = H02_NONE;
	bool		ended = frame->data[whole.len - 1] == '#';

	whole.len -= ended;
	if (!ended && !session->datagram)
	{
		tracker_refuse(session, frame, "frame", out);
		return DECODE_OK;
	}
	text = split(whole);
	type = field(&text, 2);
	if (text.n < HEAD || text.field[0].len != 3 || type.len == 0)
	{
		tracker_refuse(session, frame, "frame", out);
		return DECODE_OK;
	}
	switch (tracker_claim(session, text.field[1]))
	{
		case TRACKER_CLAIM_OK:
			break;
		case TRACKER_CLAIM_NONE:
			tracker_refuse(session, frame, "device", out);
			return DECODE_OK;
		case TRACKER_CLAIM_OTHER:
			out->reason = ADAPTER_OTHER_DEVICE;
			return DECODE_BAD;
	}
	record = tracker_report(session, out);
	tracker_put_text(record, "event_type", type);
	place = find_place(&text);
	if (tracker_equals(type, "HTBT") || tracker_equals(type, "V0"))
	{
		double		battery;
		bool		told = tracker_number(field(&text, HEAD), &battery);

		put_ranged(record, "tracker_battery_percent", "battery_raw", 0, 100, field(&text, HEAD));
		answer = tracker_equals(type, "HTBT") ? H02_HEARTBEAT : H02_HELLO;
		out->tag = answer | (uint32_t) (unsigned char) frame->data[1] << 8 |
			(uint32_t) (unsigned char) frame->data[2] << 16;
		if (!told)
		{
			h02_answer(session, out->tag, out->reply);
			return DECODE_REPLY;
		}
		out->emit(out->emit_arg, record);
		return DECODE_OK;
	}
	if (place > 0)
	{
		if (read_position(&text, place, frame, record) && tracker_equals(type, "V1"))
			answer = H02_POSITION;
	}
	else if (tracker_equals(type, "NBR") || tracker_equals(type, "V3") ||
			 (tracker_equals(type, "VP1") && is_one_of(field(&text, HEAD), "V")))
	{
		read_cells(&text, record);
		if (tracker_equals(type, "NBR"))
			answer = H02_CELLS;
	}
	else if (tracker_equals(type, "LINK"))
		read_link(&text, record);
	else
		tracker_put_text(record, tracker_equals(type, "SMS") || tracker_equals(type, "V4") ? "command_result" :
						 tracker_equals(type, "ICCID") ? "iccid" : "payload", span(&text, HEAD, text.n));
	/* The end of a datagram may end a frame, but not in the middle. */
	if (!ended && (record->defect.len > 0 || (place == 0 && tracker_equals(type, "V1"))))
	{
		tracker_refuse(session, frame, "frame", out);
		return DECODE_OK;
	}
	if (record->defect.len >= 9 && memcmp(record->defect.data, "malformed", 9) == 0)
		answer = H02_NONE;
	out->tag = answer;
	out->emit(out->emit_arg, record);
	return DECODE_OK;
}

/* --- binary --- */

/* Digits from one nibble to another, as a number; -1 when one is none. */
static int
digits_at(const unsigned char *p, size_t nibble, size_t count)
{
	int			value = 0;

	for (size_t i = nibble; i < nibble + count; i++)
	{
		int			digit = i % 2 == 0 ? p[i / 2] >> 4 : p[i / 2] & 15;

		if (digit > 9)
			return -1;
		value = value * 10 + digit;
	}
	return value;
}

DecodeStatus
h02_binary(Session *session, const Frame *frame, Decoded *out)
{
	bool		wide = h02_is_wide(frame->data, frame->length);
	size_t		id_size = wide ? 8 : 5;
	const unsigned char *id = (const unsigned char *) frame->data + 1;
	const unsigned char *p = id + id_size;
	char		digits[2 * 8];
	Str			claim = {digits, wide ? 15 : 10};
	int			part[6];
	int			angle[4];
	int			speed;
	int			course;
	unsigned	flags;
	Record	   *record;

	if (frame->length < id_size + 25)
	{
		tracker_refuse(session, frame, "frame", out);
		return DECODE_OK;
	}
	tracker_to_hex(id, id_size, digits);
	if (!all_digits(claim))
	{
		tracker_refuse(session, frame, "device", out);
		return DECODE_OK;
	}
	if (tracker_claim(session, claim) == TRACKER_CLAIM_OTHER)
	{
		out->reason = ADAPTER_OTHER_DEVICE;
		return DECODE_BAD;
	}
	for (size_t i = 0; i < 6; i++)
		part[i] = digits_at(p, 2 * i, 2);
	angle[0] = digits_at(p + 6, 0, 2);
	angle[1] = digits_at(p + 6, 2, 6);
	angle[2] = digits_at(p + 11, 0, 3);
	angle[3] = digits_at(p + 11, 3, 6);
	flags = p[15] & 15;
	speed = digits_at(p + 16, 0, 3);
	course = digits_at(p + 16, 3, 3);

	record = tracker_report(session, out);
	if (!tracker_time(part[5], part[4], part[3], part[0], part[1], part[2], &record->event_time_us))
	{
		record->has_event_time = false;
		tracker_defect(record, frame, "missing_field", "event_time");
	}
	tracker_put_boolean(record, "gps_valid", flags >> 1 & 1);
	if (flags >> 1 & 1)
	{
		if (angle[0] < 0 || angle[1] < 0 || angle[0] * 60 + angle[1] / 1e4 > 90 * 60)
			tracker_defect(record, frame, "malformed", "latitude");
		else if (angle[2] < 0 || angle[3] < 0 || angle[2] * 60 + angle[3] / 1e4 > 180 * 60)
			tracker_defect(record, frame, "malformed", "longitude");
		else
		{
			record->latitude = (angle[0] + angle[1] / 6e5) * (flags >> 2 & 1 ? 1 : -1);
			record->longitude = (angle[2] + angle[3] / 6e5) * (flags >> 3 & 1 ? 1 : -1);
		}
		if (speed >= 0)
			put_speed(record, speed);
		if (course >= 0 && course <= 360)
			record->heading_deg = course % 360;
	}
	put_battery(record, p[10]);
	put_status(record, (uint32_t) p[19] << 24 | (uint32_t) p[20] << 16 | (uint32_t) p[21] << 8 | p[22]);
	if (frame->length > id_size + 24)
	{
		size_t		rest = frame->length - id_size - 24;
		char	   *more = record_scratch(record, 2 * rest);

		if (more != NULL)
		{
			tracker_to_hex(frame->data + id_size + 24, rest, more);
			tracker_put_text(record, "extra", (Str) {more, (uint32_t) (2 * rest)});
		}
	}
	out->emit(out->emit_arg, record);
	return DECODE_OK;
}
