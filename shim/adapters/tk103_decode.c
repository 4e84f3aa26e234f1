/*
 * tk103_decode.c
 *	  TK103 trackers: frames of both forms to records.
 */
#include <string.h>

#include "plausible.h"
#include "tk103.h"
#include "tracker_report.h"
#include "tracker_text.h"

#define FIELDS_MAX 64

typedef struct Text
{
	Str			field[FIELDS_MAX];
	size_t		n;
} Text;

static inline bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline Str
str(const char *text)
{
	return (Str) {text, (uint32_t) strlen(text)};
}

/* --- what both forms share --- */

/* The first that is missing counts: fix without date, latitude, longitude. */
static void
put_place(const Frame *frame, Record *record, bool valid, bool timed, Str latitude, Str longitude)
{
	double		degrees[2];

	if (!timed && valid)
	{
		record->has_event_time = false;
		tracker_defect(record, frame, "missing_field", "event_time");
	}
	tracker_put_boolean(record, "gps_valid", valid);
	if (!valid)
		return;
	if (latitude.len < 2 || strchr("NS", latitude.data[latitude.len - 1]) == NULL ||
		!tracker_angle((Str) {latitude.data, latitude.len - 1}, latitude.data[latitude.len - 1], &degrees[0]))
		tracker_defect(record, frame, "malformed", "latitude");
	else if (longitude.len < 2 || strchr("EW", longitude.data[longitude.len - 1]) == NULL ||
			 !tracker_angle((Str) {longitude.data, longitude.len - 1}, longitude.data[longitude.len - 1], &degrees[1]))
		tracker_defect(record, frame, "malformed", "longitude");
	else
	{
		record->latitude = degrees[0];
		record->longitude = degrees[1];
	}
}

/* Eight digits: the first is 1 without external power, the second with ignition. */
static void
put_status(Record *record, Str status)
{
	uint64_t	fuel;

	if (status.len != 8 || !tracker_hex(status, &fuel))
		return;
	tracker_put_boolean(record, "external_power", status.data[0] == '0');
	tracker_put_boolean(record, "ignition", status.data[1] == '1');
	tracker_put_number(record, "fuel_raw", (double) (fuel & 0xFFF));
	tracker_put_text(record, "status_word", status);
}

/* Metres in hexadecimal; returns the digits it took. */
static uint32_t
put_odometer(Record *record, Str text)
{
	uint64_t	metres;
	uint64_t	digit;
	uint32_t	n = 0;

	while (n < text.len && n < 8 && tracker_hex((Str) {text.data + n, 1}, &digit))
		n++;
	if (tracker_hex((Str) {text.data, n}, &metres))
		tracker_put_number(record, "odometer_km", (double) metres / 1000);
	return n;
}

/* --- the old form --- */

/*
 * The character that tells of a fix: six digits before it, an angle and its
 * hemisphere behind.  Some firmware fills up with spaces.
 */
static bool
find_fix(Str text, uint32_t *at)
{
	for (uint32_t i = 6; i + 1 < text.len; i++)
	{
		uint32_t	end = i + 1;
		int			date;

		if ((text.data[i] != 'A' && text.data[i] != 'V') || !tracker_digits(text.data + i - 6, 6, &date))
			continue;
		while (end < text.len && text.data[end] == ' ')
			end++;
		if (end == text.len || !is_digit(text.data[end]))
			continue;
		while (end < text.len && (is_digit(text.data[end]) || text.data[end] == '.'))
			end++;
		if (end < text.len && (text.data[end] == 'N' || text.data[end] == 'S'))
		{
			*at = i;
			return true;
		}
	}
	return false;
}

/* Digits and points, and the letter behind them. */
static Str
cut_angle(Str *rest)
{
	Str			angle;

	while (rest->len > 0 && rest->data[0] == ' ')
		*rest = (Str) {rest->data + 1, rest->len - 1};
	angle = (Str) {rest->data, 0};
	while (angle.len < rest->len && (is_digit(rest->data[angle.len]) || rest->data[angle.len] == '.'))
		angle.len++;
	if (angle.len < rest->len)
		angle.len++;
	*rest = (Str) {rest->data + angle.len, rest->len - angle.len};
	return angle;
}

/* Blanks, digits, at most one point, at least one digit. */
static bool
is_decimal(const char *text, uint32_t len)
{
	bool		point = false;
	bool		digit = false;

	for (uint32_t i = 0; i < len; i++)
	{
		if (is_digit(text[i]))
			digit = true;
		else if (text[i] == '.' && !point)
			point = true;
		else if (text[i] != ' ' || digit || point)
			return false;
	}
	return digit;
}

static bool
is_status(const char *text, uint32_t len)
{
	uint64_t	bits;

	return len > 8 && text[8] == 'L' && (text[0] == '0' || text[0] == '1') && (text[1] == '0' || text[1] == '1') &&
		tracker_hex((Str) {text, 8}, &bits);
}

/*
 * The course behind the time, of 6 characters or 2 before the status, or of as
 * many as there are when none follows; 0: there is none.
 */
static uint32_t
course_length(const char *text, uint32_t len)
{
	static const uint32_t widths[] = {6, 2};
	uint32_t	n = 0;

	for (size_t i = 0; i < 2; i++)
	{
		uint32_t	width = widths[i];
		uint32_t	comma = len > width && text[width] == ',';

		if (len > width + comma && is_decimal(text, width) && is_status(text + width + comma, len - width - comma))
			return width;
	}
	while (n < len && is_digit(text[n]))
		n++;
	if (n == 0 || n == len || text[n] != '.')
		return 0;
	do
		n++;
	while (n < len && is_digit(text[n]));
	return text[n - 1] != '.' ? n : 0;
}

static bool
is_time(const char *text)
{
	int			part[3];

	for (int i = 0; i < 3; i++)
		if (!tracker_digits(text + 2 * i, 2, &part[i]))
			return false;
	return part[0] < 24 && part[1] < 60 && part[2] < 60;
}

/*
 * Speed, time and course stand without separators: mostly sss.s hhmmss ccc.cc.
 * The widths differ, so that is taken which makes sense of all of it.
 */
static bool
cut_motion(Str *rest, Str *speed, Str *time, Str *course)
{
	for (uint32_t width = 5; width > 0; width--)
	{
		uint32_t	at = width;
		uint32_t	n;

		if (rest->len < width + 6 || !is_decimal(rest->data, width))
			continue;
		/* Few write more digits and a comma. */
		while (at < rest->len && is_digit(rest->data[at]))
			at++;
		at = at < rest->len && rest->data[at] == ',' ? at + 1 : width;
		if (rest->len - at < 6 || !is_time(rest->data + at))
			continue;
		n = course_length(rest->data + at + 6, rest->len - at - 6);
		if (n == 0)
			continue;
		*speed = (Str) {rest->data, width};
		*time = (Str) {rest->data + at, 6};
		*course = (Str) {rest->data + at + 6, n};
		*rest = (Str) {rest->data + at + 6 + n, rest->len - at - 6 - n};
		for (; speed->data[0] == ' '; speed->data++)
			speed->len--;
		for (; course->data[0] == ' '; course->data++)
			course->len--;
		return true;
	}
	return false;
}

static void
read_old_place(Str payload, uint32_t at, const Frame *frame, Record *record)
{
	Str			date = {payload.data + at - 6, 6};
	Str			rest = {payload.data + at + 1, payload.len - at - 1};
	bool		valid = payload.data[at] == 'A';
	Str			latitude = cut_angle(&rest);
	Str			longitude = cut_angle(&rest);
	Str			speed = {"", 0};
	Str			time = {"", 0};
	Str			course = {"", 0};
	const char *mark;
	double		number;
	bool		moving = cut_motion(&rest, &speed, &time, &course);

	put_place(frame, record, valid, moving && tracker_time_yymmdd(time, date, &record->event_time_us),
			  latitude, longitude);
	if (valid && tracker_number(speed, &number))
		record->speed_kmh = number;
	if (valid)
		tracker_put_heading(record, course);
	mark = rest.len > 0 ? memchr(rest.data, 'L', rest.len) : NULL;
	if (mark != NULL)
	{
		uint32_t	before = (uint32_t) (mark - rest.data);

		if (before >= 8)
			put_status(record, (Str) {mark - 8, 8});
		rest = (Str) {mark + 1, rest.len - before - 1};
		before = put_odometer(record, rest);
		rest = (Str) {rest.data + before, rest.len - before};
	}
	tracker_put_text(record, "extra", rest);
}

/* {mcc,mnc,lac,cell} and so on, decimal. */
static void
read_braces(Str payload, Record *record)
{
	static const char *const names[] = {"mcc", "mnc", "lac", "cell_id"};
	const char *open = payload.len > 0 ? memchr(payload.data, '{', payload.len) : NULL;
	Str			rest;
	Str			field;
	const char *shut;

	if (open == NULL)
	{
		tracker_put_text(record, "payload", payload);
		return;
	}
	rest = (Str) {open + 1, (uint32_t) (payload.data + payload.len - open - 1)};
	tracker_put_text(record, "cells", (Str) {open, rest.len + 1});
	shut = rest.len > 0 ? memchr(rest.data, '}', rest.len) : NULL;
	if (shut == NULL)
		return;
	rest.len = (uint32_t) (shut - rest.data);
	for (size_t i = 0; i < 4 && tracker_field(&rest, ',', &field); i++)
		(void) tracker_put_decimal(record, names[i], field);
}

/* ,mcc,mnc and pairs or triples of lac and cell in hexadecimal. */
static void
read_old_cells(Str payload, Record *record)
{
	Str			rest = payload;
	Str			field;
	uint64_t	number;

	(void) !tracker_field(&rest, ',', &field);
	if (tracker_field(&rest, ',', &field))
		(void) tracker_put_decimal(record, "mcc", field);
	if (tracker_field(&rest, ',', &field))
		(void) tracker_put_decimal(record, "mnc", field);
	if (rest.data != NULL)
		tracker_put_text(record, "cells", rest);
	if (tracker_field(&rest, ',', &field) && tracker_hex(field, &number))
		tracker_put_number(record, "lac", (double) number);
	if (tracker_field(&rest, ',', &field) && tracker_hex(field, &number))
		tracker_put_number(record, "cell_id", (double) number);
}

static void
put_old_alarm(Str command, Str payload, Record *record)
{
	static const char *const alarms[] = {
		"power_cut", "crash", "sos", "vibration", "low_speed", "overspeed", "geofence"
	};
	static const char *const events[] = {
		"low_battery", "overspeed", "idling", "hard_acceleration", "hard_braking", "temperature"
	};

	if (tracker_equals(command, "BO01") && payload.len > 0 && is_digit(payload.data[0]))
	{
		unsigned	code = (unsigned) (payload.data[0] - '0');

		tracker_put_number(record, "alarm_code", code);
		if (code < sizeof(alarms) / sizeof(alarms[0]))
			tracker_put_text(record, "alarm", str(alarms[code]));
		if (code == 0)
			tracker_put_boolean(record, "external_power", false);
		else if (code == 2)
			tracker_put_boolean(record, "sos", true);
	}
	else if (tracker_equals(command, "BQ81") && payload.len > 7 && memcmp(payload.data, ",ALARM,", 7) == 0)
	{
		Str			rest = {payload.data + 7, payload.len - 7};
		Str			text;
		int			code;

		if (tracker_field(&rest, ',', &text) && text.len > 0 && tracker_digits(text.data, text.len, &code))
		{
			tracker_put_number(record, "alarm_code", code);
			if ((size_t) code < sizeof(events) / sizeof(events[0]))
				tracker_put_text(record, "alarm", str(events[code]));
		}
	}
}

DecodeStatus
tk103_old(Session *session, const Frame *frame, Str command, Str payload, Decoded *out)
{
	Record	   *record;
	uint32_t	at;

	if (tracker_equals(command, "BP00"))
	{
		(void) !buf_printf(out->reply, "(%sAP01HSO)", session->device);
		return DECODE_REPLY;
	}
	if (tracker_equals(command, "BV00"))
		return DECODE_IGNORED;	/* the vehicle's VIN */
	record = tracker_report(session, out);
	tracker_put_text(record, "event_type", command);
	put_old_alarm(command, payload, record);
	if (find_fix(payload, &at))
		read_old_place(payload, at, frame, record);
	else if (tracker_equals(command, "BZ00") && (payload.len == 0 || memchr(payload.data, '{', payload.len) == NULL))
		read_old_cells(payload, record);
	else
		read_braces(payload, record);
	if (tracker_equals(command, "BP05") &&
		!(record->defect.len > 8 && memcmp(record->defect.data, "malformed", 9) == 0))
		out->tag = TK103_TAG_LOGIN;
	plausible(record);
	out->emit(out->emit_arg, record);
	return DECODE_OK;
}

/* --- the new form --- */

static Str
field(const Text *text, size_t i)
{
	return i < text->n ? text->field[i] : (Str) {"", 0};
}

static void
put_new_alarm(Str type, Record *record)
{
	static const char *const alarms[][2] = {
		{"ZC11", "movement"}, {"DW31", "movement"}, {"DW51", "movement"},
		{"ZC12", "low_battery"}, {"DW32", "low_battery"}, {"DW52", "low_battery"},
		{"ZC13", "power_cut"}, {"DW33", "power_cut"}, {"DW53", "power_cut"},
		{"ZC17", "removing"}, {"DW37", "removing"}, {"DW57", "removing"},
		{"ZC25", "sos"}, {"DW3E", "sos"}, {"DW5E", "sos"},
		{"ZC26", "tamper"}, {"DW3F", "tamper"}, {"DW5F", "tamper"},
		{"ZC27", "low_power"}, {"DW40", "low_power"}, {"DW60", "low_power"}
	};
	static const char *const on[] = {"ZC15", "DW35", "DW55", "ZC29", "DW42", "DW62"};
	static const char *const off[] = {"ZC16", "DW36", "DW56"};

	for (size_t i = 0; i < sizeof(on) / sizeof(on[0]); i++)
		if (tracker_equals(type, on[i]))
			tracker_put_boolean(record, "ignition", true);
	for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++)
		if (tracker_equals(type, off[i]))
			tracker_put_boolean(record, "ignition", false);
	for (size_t i = 0; i < sizeof(alarms) / sizeof(alarms[0]); i++)
		if (tracker_equals(type, alarms[i][0]))
		{
			tracker_put_text(record, "alarm", str(alarms[i][1]));
			if (strcmp(alarms[i][1], "sos") == 0)
				tracker_put_boolean(record, "sos", true);
			else if (strcmp(alarms[i][1], "tamper") == 0)
				tracker_put_boolean(record, "tamper", true);
			else if (strcmp(alarms[i][1], "power_cut") == 0)
				tracker_put_boolean(record, "external_power", false);
		}
}

/* date, level, volts times 100, external volts times 10 */
static void
read_battery(const Text *text, Record *record)
{
	static const uint8_t levels[] = {0, 0, 10, 20, 50, 80, 100};
	double		number;

	if (tracker_number(field(text, 4), &number) && number >= 1 && number <= 6)
		tracker_put_number(record, "tracker_battery_percent", levels[(int) number]);
	if (tracker_number(field(text, 5), &number) && number < 65535)
		tracker_put_number(record, "tracker_battery_v", number / 100);
	if (tracker_number(field(text, 6), &number) && number < 65535)
		tracker_put_number(record, "external_voltage_v", number / 10);
	(void) !tracker_time_ddmmyy(field(text, 3), field(text, 2), &record->event_time_us);
}

/* date, A or V, latitude, longitude, speed, time, course, altitude, satellites */
static void
read_new_place(const Text *text, size_t at, const Frame *frame, Record *record)
{
	Str			more = field(text, at + 6);
	bool		counted = more.len > 0 && more.len != 8;	/* satellites are told */
	double		number;
	bool		valid = tracker_equals(field(text, at), "A") &&
		!(counted && tracker_number(field(text, at + 7), &number) && number == 0);

	put_place(frame, record, valid,
			  tracker_time_ddmmyy(field(text, at + 4), field(text, at - 1), &record->event_time_us),
			  field(text, at + 1), field(text, at + 2));
	if (valid && tracker_number(field(text, at + 3), &number) && number >= 0)
		record->speed_kmh = number;
	if (valid)
		tracker_put_heading(record, field(text, at + 5));
	if (counted && tracker_number(more, &number))
	{
		if (valid)
			record->altitude_m = number;
		(void) tracker_put_decimal(record, "satellites", field(text, at + 7));
	}
	else if (more.len == 8)
	{
		Str			odometer = field(text, at + 7);

		put_status(record, more);
		if (odometer.len > 1 && odometer.data[0] == 'L')
			(void) put_odometer(record, (Str) {odometer.data + 1, odometer.len - 1});
	}
}

DecodeStatus
tk103_new(Session *session, const Frame *frame, Str body, Decoded *out)
{
	static const char *const cell_names[] = {"mcc", "mnc", "lac", "cell_id"};
	Text		text = {.n = 0};
	Str			rest = body;
	Str			type;
	Record	   *record = tracker_report(session, out);
	size_t		at = 0;

	while (text.n < FIELDS_MAX && tracker_field(&rest, ',', &text.field[text.n]))
		text.n++;
	type = field(&text, 1);
	rest = field(&text, 2);
	rest.len = (uint32_t) (body.data + body.len - rest.data);
	if (text.n < 3)
		rest = (Str) {"", 0};
	tracker_put_text(record, "event_type", type);
	put_new_alarm(type, record);
	for (size_t i = 3; i + 1 < text.n && at == 0; i++)
		if ((tracker_equals(text.field[i], "A") || tracker_equals(text.field[i], "V")) && text.field[i + 1].len > 1)
			at = i;
	if (at > 0)
		read_new_place(&text, at, frame, record);
	else if (tracker_equals(type, "ZC20"))
		read_battery(&text, record);
	else if (tracker_equals(type, "ZC03"))
	{
		Str			said = field(&text, 4);

		(void) !tracker_time_ddmmyy(field(&text, 3), field(&text, 2), &record->event_time_us);
		if (text.n > 4)
			said.len = (uint32_t) (body.data + body.len - said.data);
		if (said.len >= 2 && said.data[0] == '$' && said.data[said.len - 1] == '$')
			said = (Str) {said.data + 1, said.len - 2};
		tracker_put_text(record, "command_result", said);
	}
	else if (type.len == 4 && memcmp(type.data, "DW5", 3) == 0 && text.n >= 9)
	{
		for (size_t i = 0; i < 4; i++)
			(void) tracker_put_decimal(record, cell_names[i], text.field[2 + i]);
		(void) tracker_put_decimal(record, "wifi_count", text.field[6]);
		tracker_put_text(record, "cells", rest);
		(void) !tracker_time_ddmmyy(text.field[text.n - 1], text.field[text.n - 2], &record->event_time_us);
	}
	else
		tracker_put_text(record, "payload", rest);
	plausible(record);
	out->emit(out->emit_arg, record);
	return DECODE_OK;
}
