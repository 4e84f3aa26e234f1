/*
 * tk103.c
 *	  TK103 trackers: text in parentheses over TCP and UDP, in an old form
 *	  without separators and a new one with commas; docs/protocols/tk103.md has
 *	  the protocol.
 */
#include <string.h>

#include "tracker_report.h"
#include "tracker_text.h"

#define FRAME_MAX 4096			/* bytes of a frame */
#define FIELDS_MAX 64
#define OLD_ID 12				/* characters of an identity in the old form */
#define COMMAND 4				/* and of a command */
#define ID_DIGITS_MIN 10		/* that make "(" the begin of a frame within another */

#define TAG_LOGIN 1				/* to be answered */

typedef struct Tk103Session
{
	uint32_t	noise;
} Tk103Session;

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

static inline bool
is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static inline Str
str(const char *text)
{
	return (Str) {text, (uint32_t) strlen(text)};
}

/* --- cutting --- */

/* Up to the ")" that stands outside of $...$. */
static FrameStatus
frame_text(const Session *session, const char *data, size_t len, Frame *out)
{
	size_t		limit = len < FRAME_MAX ? len : FRAME_MAX;
	bool		quoted = false;
	size_t		digits = 0;
	size_t		inner = 0;		/* "(" that may begin a frame */

	for (size_t i = 1; i < limit; i++)
	{
		if (data[i] == '$')
			quoted = !quoted;
		if (quoted)
			inner = 0;
		else if (data[i] == ')')
		{
			out->length = i + 1;
			return FRAME_READY;
		}
		else if (data[i] == '(')
		{
			inner = i;
			digits = 0;
		}
		else if (inner > 0 && is_digit(data[i]) && ++digits == ID_DIGITS_MIN)
		{
			/* A frame that broke off must not take the next one along. */
			out->length = inner;
			return FRAME_READY;
		}
		else if (inner > 0 && !is_digit(data[i]))
			inner = 0;
	}
	out->length = limit;
	return session->datagram || len >= FRAME_MAX ? FRAME_READY : FRAME_MORE;
}

static FrameStatus
tk103_frame(Session *session, const char *data, size_t len, Frame *out)
{
	Tk103Session *state = session->state;
	size_t		n = 0;

	while (n < len && (data[n] == '\r' || data[n] == '\n' || data[n] == '\0'))
		n++;
	if (n > 0)
	{
		out->length = n;
		return FRAME_SKIP;
	}
	if (data[0] == '(')
		return frame_text(session, data, len, out);
	while (n < len && data[n] != '(')
		n++;
	return tracker_noise(session, &state->noise, n, out);
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
 * hemisphere behind.
 */
static bool
find_fix(Str text, uint32_t *at)
{
	for (uint32_t i = 6; i + 1 < text.len; i++)
	{
		uint32_t	n = 0;
		int			date;

		if ((text.data[i] != 'A' && text.data[i] != 'V') || !tracker_digits(text.data + i - 6, 6, &date))
			continue;
		while (i + 1 + n < text.len && (is_digit(text.data[i + 1 + n]) || text.data[i + 1 + n] == '.'))
			n++;
		if (n > 0 && i + 1 + n < text.len && (text.data[i + 1 + n] == 'N' || text.data[i + 1 + n] == 'S'))
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
	Str			angle = {rest->data, 0};

	while (angle.len < rest->len && (is_digit(rest->data[angle.len]) || rest->data[angle.len] == '.'))
		angle.len++;
	if (angle.len < rest->len)
		angle.len++;
	*rest = (Str) {rest->data + angle.len, rest->len - angle.len};
	return angle;
}

/*
 * Speed, time and course stand without separators: sss.s hhmmss ccc.cc, or, with
 * one digit before the point of the speed, s.sss hhmmss c.cccc.
 */
static bool
cut_motion(Str *rest, Str *speed, Str *time, Str *course)
{
	const char *first = rest->len > 0 ? memchr(rest->data, '.', rest->len) : NULL;
	const char *second;
	uint32_t	whole;
	uint32_t	between;
	uint32_t	decimals;
	uint32_t	last;

	if (first == NULL)
		return false;
	whole = (uint32_t) (first - rest->data);
	second = memchr(first + 1, '.', rest->len - whole - 1);
	if (second == NULL)
		return false;
	between = (uint32_t) (second - first - 1);
	decimals = whole == 1 && between >= 3 + 6 + 1 ? 3 : 1;
	if (between < decimals + 6)
		return false;
	*speed = (Str) {rest->data, whole + 1 + decimals};
	*time = (Str) {first + 1 + decimals, 6};
	*course = (Str) {first + 1 + decimals + 6, between - decimals - 6};
	*rest = (Str) {second, rest->len - whole - 1 - between};
	last = 1;
	while (last < rest->len && last <= 2 && is_digit(rest->data[last]))
		last++;
	course->len += last;
	*rest = (Str) {rest->data + last, rest->len - last};
	return true;
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
		NULL, "crash", "sos", "vibration", "low_speed", "overspeed", "geofence"
	};

	if (tracker_equals(command, "BO01") && payload.len > 0 && is_digit(payload.data[0]))
	{
		unsigned	code = (unsigned) (payload.data[0] - '0');

		tracker_put_number(record, "alarm_code", code);
		if (code < sizeof(alarms) / sizeof(alarms[0]) && alarms[code] != NULL)
			tracker_put_text(record, "alarm", str(alarms[code]));
		if (code == 2)
			tracker_put_boolean(record, "sos", true);
	}
	else if (tracker_equals(command, "BQ81") && payload.len > 7 && memcmp(payload.data, ",ALARM,", 7) == 0)
	{
		Str			rest = {payload.data + 7, payload.len - 7};
		Str			code;

		if (tracker_field(&rest, ',', &code) && tracker_put_decimal(record, "alarm_code", code) &&
			tracker_equals(code, "1"))
			tracker_put_text(record, "alarm", RECORD_STR("overspeed"));
	}
}

static DecodeStatus
decode_old(Session *session, const Frame *frame, Str command, Str payload, Decoded *out)
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
	else if (tracker_equals(command, "BZ00"))
		read_old_cells(payload, record);
	else
		read_braces(payload, record);
	if (tracker_equals(command, "BP05") &&
		!(record->defect.len > 8 && memcmp(record->defect.data, "malformed", 9) == 0))
		out->tag = TAG_LOGIN;
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
		{"ZC25", "sos"}
	};

	for (size_t i = 0; i < sizeof(alarms) / sizeof(alarms[0]); i++)
		if (tracker_equals(type, alarms[i][0]))
			tracker_put_text(record, "alarm", str(alarms[i][1]));
}

/* date, level, volts times 100, external volts times 10 */
static void
read_battery(const Text *text, Record *record)
{
	static const uint8_t levels[] = {0, 0, 10, 20, 60, 80, 100};
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
	bool		valid = tracker_equals(field(text, at), "A");
	Str			more = field(text, at + 6);
	double		number;

	put_place(frame, record, valid,
			  tracker_time_ddmmyy(field(text, at + 4), field(text, at - 1), &record->event_time_us),
			  field(text, at + 1), field(text, at + 2));
	if (valid && tracker_number(field(text, at + 3), &number) && number >= 0)
		record->speed_kmh = number;
	if (valid)
		tracker_put_heading(record, field(text, at + 5));
	if (more.len > 0 && memchr(more.data, '.', more.len) != NULL)
	{
		if (valid && tracker_number(more, &number))
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

static DecodeStatus
decode_new(Session *session, const Frame *frame, Str body, Decoded *out)
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
	out->emit(out->emit_arg, record);
	return DECODE_OK;
}

static bool
is_command(const char *text, size_t len)
{
	return len >= COMMAND && is_upper(text[0]) && is_upper(text[1]) &&
		(is_upper(text[2]) || is_digit(text[2])) && (is_upper(text[3]) || is_digit(text[3]));
}

static DecodeStatus
tk103_decode(Session *session, const Frame *frame, Decoded *out)
{
	Tk103Session *state = session->state;
	Str			body = {frame->data, (uint32_t) frame->length};
	Str			id;
	Str			command = {NULL, 0};
	bool		ended = body.data[body.len - 1] == ')';

	if (body.data[0] != '(')
	{
		tracker_refuse(session, frame, "frame", out);
		out->reason = "not tk103";
		return DECODE_BAD;
	}
	state->noise = 0;
	if (!ended && !session->datagram)
	{
		tracker_refuse(session, frame, "frame", out);
		return DECODE_OK;
	}
	body.len -= ended;

	/* An identity of 11 characters takes the parenthesis as its twelfth. */
	if (body.len > 1 + OLD_ID && is_command(body.data + 1 + OLD_ID, body.len - 1 - OLD_ID))
		body = (Str) {body.data + 1, body.len - 1};
	if (body.len > OLD_ID && is_command(body.data + OLD_ID, body.len - OLD_ID) &&
		memchr(body.data, ',', OLD_ID) == NULL)
	{
		id = (Str) {body.data, OLD_ID};
		command = (Str) {body.data + OLD_ID, COMMAND};
		body = (Str) {command.data + COMMAND, body.len - OLD_ID - COMMAND};
	}
	else
	{
		Str			rest = {frame->data + 1, (uint32_t) frame->length - 1 - ended};

		body = rest;
		if (rest.len == 0 || !tracker_field(&rest, ',', &id) || rest.data == NULL)
		{
			tracker_refuse(session, frame, "frame", out);
			return DECODE_OK;
		}
	}
	switch (tracker_claim(session, id))
	{
		case TRACKER_CLAIM_OK:
			break;
		case TRACKER_CLAIM_NONE:
			tracker_refuse(session, frame, "device", out);
			return DECODE_OK;
		case TRACKER_CLAIM_OTHER:
			out->reason = "identity changed";
			return DECODE_BAD;
	}
	if (command.data != NULL)
		return decode_old(session, frame, command, body, out);
	return decode_new(session, frame, body, out);
}

static void
tk103_ack(Session *session, const Ack *ack, Buf *out)
{
	for (uint64_t seq = ack->from; seq <= ack->upto; seq++)
		if (ack->frames[seq - ack->from].tag == TAG_LOGIN)
			(void) !buf_printf(out, "(%sAP05)", session->device);
}

const Adapter adapter_tk103 = {
	.name = "tk103",
	.help = "TK103 trackers, text in parentheses",
	.session_size = sizeof(Tk103Session),
	.claims = true,
	.datagrams = true,
	.frame = tk103_frame,
	.decode = tk103_decode,
	.ack = tk103_ack
};
