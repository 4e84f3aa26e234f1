/*
 * gps103.c
 *	  GPS103 trackers (TK102, TK103B, Coban and the like): text over TCP and
 *	  UDP; docs/protocols/gps103.md has the protocol.
 */
#include <string.h>

#include "plausible.h"
#include "tracker_report.h"
#include "tracker_text.h"

#define FRAME_MAX 8192			/* bytes of a frame */
#define FIELDS_MAX 40
#define ID_MIN 10				/* digits of a heartbeat */
#define ID_MAX 17
#define HALF_DAY (12 * 60)		/* minutes */

#define TAG_SOS 1				/* to be answered */

typedef struct Gps103Session
{
	uint32_t	noise;
	bool		has_zone;		/* a fix has told the device's zone */
	int16_t		zone;			/* local time minus UTC, in minutes */
} Gps103Session;

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
is_end(char c)
{
	return c == ';' || c == '\r' || c == '\n';
}

/* Do the bytes begin with that word, as far as they go? */
static bool
may_be(const char *data, size_t len, const char *word)
{
	size_t		n = strlen(word);

	return memcmp(data, word, len < n ? len : n) == 0;
}

/* --- cutting --- */

static FrameStatus
frame_digits(const Session *session, const char *data, size_t len, Frame *out)
{
	size_t		n = 0;

	while (n < len && is_digit(data[n]))
		n++;
	out->length = n;
	if (n == len)
	{
		if (session->datagram)
			return FRAME_READY;
		if (n <= ID_MAX)
			return FRAME_MORE;
	}
	else if (n <= ID_MAX && is_end(data[n]))
	{
		out->length = n + 1;
		return FRAME_READY;
	}
	/* Some firmware begins its report without having ended the heartbeat. */
	else if (n >= ID_MIN && n <= ID_MAX && may_be(data + n, len - n, "imei:"))
		return FRAME_READY;
	return tracker_noise(session, n, len, out);
}

static FrameStatus
frame_text(const Session *session, const char *data, size_t len, Frame *out)
{
	size_t		limit = len < FRAME_MAX ? len : FRAME_MAX;

	for (size_t i = 1; i < limit; i++)
	{
		out->length = i + 1;
		if (is_end(data[i]) || (data[i] == '*' && data[i - 1] == ','))
			return FRAME_READY;
		/* A report that broke off must not take the next one along. */
		out->length = i;
		if (data[0] == 'i' && data[i] == 'i' && limit - i >= 5 && may_be(data + i, 5, "imei:"))
			return FRAME_READY;
	}
	out->length = limit;
	return session->datagram || len >= FRAME_MAX ? FRAME_READY : FRAME_MORE;
}

static FrameStatus
gps103_frame(Session *session, const char *data, size_t len, Frame *out)
{
	size_t		n = 0;

	while (n < len && (is_end(data[n]) || data[n] == '\0'))
		n++;
	if (n > 0)
	{
		out->length = n;
		return FRAME_SKIP;
	}
	if (is_digit(data[0]))
		return frame_digits(session, data, len, out);
	if (may_be(data, len, "imei:") || may_be(data, len, "##,"))
		return frame_text(session, data, len, out);
	for (n = 1; n < len; n++)
		if (is_end(data[n]) || may_be(data + n, len - n, "imei:") || may_be(data + n, len - n, "##,"))
			break;
	return tracker_noise(session, n, len, out);
}

/* --- reports --- */

static Text
split(Str rest)
{
	Text		text = {.n = 0};

	while (text.n < FIELDS_MAX && tracker_field(&rest, ',', &text.field[text.n]))
		text.n++;
	return text;
}

static Str
field(const Text *text, size_t i)
{
	return i < text->n ? text->field[i] : (Str) {"", 0};
}

/* A number, of which the sign of per cent is not part. */
static bool
put_percent(Record *record, const char *name, Str f)
{
	if (f.len > 0 && f.data[f.len - 1] == '%')
		f.len--;
	return tracker_put_decimal(record, name, f);
}

static void
put_flag(Record *record, const char *name, Str f)
{
	if (tracker_equals(f, "0") || tracker_equals(f, "1"))
		tracker_put_boolean(record, name, f.data[0] == '1');
}

/* yymmddhhmm[ss], or the same with signs between, as the device's clock has it. */
static bool
local_time(Str f, int64_t *us)
{
	char		digits[13] = "0000000000" "00";
	size_t		n = 0;

	for (uint32_t i = 0; i < f.len; i++)
		if (is_digit(f.data[i]))
		{
			if (n == 12)
				return false;
			digits[n++] = f.data[i];
		}
		else if (f.data[i] != '/' && f.data[i] != ':' && f.data[i] != ' ')
			return false;
	if (n != 10 && n != 12)
		return false;
	return tracker_time_digits((Str) {digits, 12}, us);
}

/* Where it is known how far the device's clock is off UTC, it tells the time. */
static void
put_local_time(const Gps103Session *state, Str f, Record *record)
{
	int64_t		us;

	if (state->has_zone && local_time(f, &us))
		record->event_time_us = us - state->zone * INT64_C(60000000);
}

/*
 * The date is that of the device's clock, the time UTC: the day is the one that
 * lets them differ by no more than half a day.
 */
static bool
fix_time(Gps103Session *state, Str date, Str utc, int64_t *us)
{
	const int64_t minute_us = 60000000;
	int			part[3];
	int			minutes;
	int			off;
	int64_t		local;

	if (!local_time(date, &local))
		return false;
	local -= local % minute_us;
	if (utc.len < 6 || !tracker_digits(utc.data, 2, &part[0]) || !tracker_digits(utc.data + 2, 2, &part[1]) ||
		!tracker_digits(utc.data + 4, 2, &part[2]) || part[0] > 23 || part[1] > 59 || part[2] > 59)
	{
		/* Few models have no other time. */
		*us = local;
		return true;
	}
	minutes = (int) (local / minute_us % (24 * 60));
	off = minutes - part[0] * 60 - part[1];
	if (off <= -HALF_DAY)
		off += 2 * HALF_DAY;
	else if (off > HALF_DAY)
		off -= 2 * HALF_DAY;
	state->has_zone = true;
	state->zone = (int16_t) off;
	*us = local - off * minute_us + part[2] * INT64_C(1000000);
	return true;
}

static void
put_event(Record *record, Str event)
{
	static const char *const alarms[][2] = {
		{"help me", "sos"},
		{"low battery", "low_battery"},
		{"stockade", "geofence"},
		{"move", "movement"},
		{"speed", "overspeed"},
		{"door alarm", "door"},
		{"ac alarm", "power_cut"},
		{"acc alarm", "ignition"},
		{"accident alarm", "crash"},
		{"sensor alarm", "vibration"},
		{"bonnet alarm", "bonnet"},
		{"footbrake alarm", "footbrake"},
		{"DTC", "fault"},
		{"service", "service"}
	};

	tracker_put_text(record, "event_type", event);
	if (event.len > 3 && memcmp(event.data, "oil", 3) == 0)
	{
		/* oil1 and oil2: it drops in that tank; or the level that it fell to */
		tracker_put_text(record, "alarm", RECORD_STR("fuel_leak"));
		if (event.data[3] == ' ' && event.len > 5)
			(void) put_percent(record, "fuel_percent", (Str) {event.data + 4, event.len - 4});
	}
	if (event.len > 2 && memcmp(event.data, "T:", 2) == 0)
	{
		(void) tracker_put_decimal(record, "temperature_c", (Str) {event.data + 2, event.len - 2});
		tracker_put_text(record, "alarm", RECORD_STR("temperature"));
	}
	for (size_t i = 0; i < sizeof(alarms) / sizeof(alarms[0]); i++)
		if (tracker_equals(event, alarms[i][0]))
			tracker_put_text(record, "alarm", (Str) {alarms[i][1], (uint32_t) strlen(alarms[i][1])});
	if (tracker_equals(event, "help me"))
		tracker_put_boolean(record, "sos", true);
	else if (tracker_equals(event, "ac alarm"))
		tracker_put_boolean(record, "external_power", false);
	else if (tracker_equals(event, "acc on") || tracker_equals(event, "acc off"))
		tracker_put_boolean(record, "ignition", event.len == 6);
}

static void
put_fuel(Record *record, const char *percent, const char *raw, Str f)
{
	(void) put_percent(record, f.len > 0 && f.data[f.len - 1] == '%' ? percent : raw, f);
}

/* F: time, A or V, place, speed, course and what the model adds. */
static void
read_fix(Gps103Session *state, const Text *text, const Frame *frame, Record *record)
{
	/* In few models the hemispheres stand before their angles. */
	bool		swapped = tracker_equals(field(text, 7), "N") || tracker_equals(field(text, 7), "S");
	Str			latitude = field(text, swapped ? 8 : 7);
	Str			north = field(text, swapped ? 7 : 8);
	Str			longitude = field(text, swapped ? 10 : 9);
	Str			east = field(text, swapped ? 9 : 10);
	bool		valid = tracker_equals(field(text, 6), "A");
	double		number;

	if (!fix_time(state, field(text, 2), field(text, 5), &record->event_time_us) && valid)
	{
		record->has_event_time = false;
		tracker_defect(record, frame, "missing_field", "event_time");
	}
	tracker_put_boolean(record, "gps_valid", valid);
	if (valid)
	{
		double		degrees[2];

		if (north.len != 1 || (north.data[0] != 'N' && north.data[0] != 'S') ||
			!tracker_angle(latitude, north.data[0], &degrees[0]))
			tracker_defect(record, frame, "malformed", "latitude");
		else if (east.len > 1 || (east.len == 1 && east.data[0] != 'E' && east.data[0] != 'W') ||
				 !tracker_angle(longitude, east.len == 1 ? east.data[0] : 'E', &degrees[1]))
			tracker_defect(record, frame, "malformed", "longitude");
		else
		{
			record->latitude = degrees[0];
			record->longitude = degrees[1];
		}
		if (tracker_number(field(text, 11), &number) && number >= 0)
			record->speed_kmh = number * KMH_PER_KNOT;
		tracker_put_heading(record, field(text, 12));
		if (tracker_number(field(text, 13), &number))
			record->altitude_m = number;
	}
	put_flag(record, "ignition", field(text, 14));
	put_flag(record, "door_open", field(text, 15));
	put_fuel(record, "fuel_percent", "fuel_1", field(text, 16));
	put_fuel(record, "fuel_2_percent", "fuel_2", field(text, 17));
	(void) tracker_put_decimal(record, "temperature_c", field(text, 18));
}

/* L: no fix, perhaps a cell. */
static void
read_no_fix(const Gps103Session *state, const Text *text, Record *record)
{
	uint64_t	number;

	put_local_time(state, field(text, 2), record);
	tracker_put_boolean(record, "gps_valid", false);
	if (tracker_hex(field(text, 7), &number))
		tracker_put_number(record, "lac", (double) number);
	if (tracker_hex(field(text, 9), &number))
		tracker_put_number(record, "cell_id", (double) number);
	put_flag(record, "ignition", field(text, 14));
	put_flag(record, "door_open", field(text, 15));
}

static void
read_obd(const Gps103Session *state, const Text *text, Record *record)
{
	static const char *const names[] = {
		"odometer_raw", NULL, "fuel_consumption_raw", "engine_hours_h", "obd_speed_kmh", "engine_load_percent",
		"coolant_temp_c", "throttle_percent", "engine_rpm", "external_voltage_v"
	};
	char	   *codes = record_scratch(record, FRAME_MAX);
	uint32_t	len = 0;

	put_local_time(state, field(text, 2), record);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i] != NULL)
			(void) put_percent(record, names[i], field(text, 3 + i));
	for (size_t i = 13; codes != NULL && i < text->n; i++)
	{
		Str			code = field(text, i);

		if (code.len == 0 || code.len > FRAME_MAX - 1 - len)
			continue;
		if (len > 0)
			codes[len++] = ',';
		memcpy(codes + len, code.data, code.len);
		len += code.len;
	}
	if (codes != NULL)
		tracker_put_text(record, "error_codes", (Str) {codes, len});
}

/* hhmmss, ddmmyy, signal, fix, degrees, km/h and so on: another maker's. */
static bool
is_plain(const Text *text)
{
	return text->n >= 18 && field(text, 5).len == 6 && field(text, 6).len == 6 &&
		field(text, 9).len > 0 && memchr(field(text, 9).data, '.', field(text, 9).len) != NULL;
}

static void
read_plain(const Text *text, const Frame *frame, Record *record)
{
	double		degrees[2];
	double		number;
	bool		valid = tracker_equals(field(text, 8), "1") && !(tracker_number(field(text, 15), &number) && number == 0);

	if (!tracker_time_ddmmyy(field(text, 5), field(text, 6), &record->event_time_us) && valid)
	{
		record->has_event_time = false;
		tracker_defect(record, frame, "missing_field", "event_time");
	}
	tracker_put_boolean(record, "gps_valid", valid);
	if (valid)
	{
		if (!tracker_number(field(text, 9), &degrees[0]) || degrees[0] < -90 || degrees[0] > 90)
			tracker_defect(record, frame, "malformed", "latitude");
		else if (!tracker_number(field(text, 10), &degrees[1]) || degrees[1] < -180 || degrees[1] > 180)
			tracker_defect(record, frame, "malformed", "longitude");
		else
		{
			record->latitude = degrees[0];
			record->longitude = degrees[1];
		}
		if (tracker_number(field(text, 11), &number) && number >= 0)
			record->speed_kmh = number;
		tracker_put_heading(record, field(text, 12));
		if (tracker_number(field(text, 13), &number))
			record->altitude_m = number;
	}
	(void) tracker_put_decimal(record, "gsm_signal", field(text, 7));
	(void) tracker_put_decimal(record, "hdop", field(text, 14));
	(void) tracker_put_decimal(record, "satellites", field(text, 15));
	put_flag(record, "ignition", field(text, 16));
	put_flag(record, "external_power", field(text, 17));
}

/* imei:ID, or with L or A behind it: some models begin so, instead of with ##. */
static bool
is_login(const Text *text)
{
	Str			event = field(text, 1);

	return (event.len == 0 || tracker_equals(event, "L") || tracker_equals(event, "A")) &&
		(text->n <= 2 || (text->n == 3 && text->field[2].len == 0));
}

static DecodeStatus
decode_report(Session *session, const Frame *frame, Str whole, Decoded *out)
{
	Gps103Session *state = session->state;
	Text		text = split(whole);
	Str			event = field(&text, 1);
	Record	   *record;

	if (tracker_equals(event, "vr"))
		return DECODE_IGNORED;	/* a piece of a picture */
	if (is_login(&text))
	{
		(void) !buf_printf(out->reply, "LOAD");
		return DECODE_REPLY;
	}
	record = tracker_report(session, out);
	put_event(record, event);
	if (tracker_equals(event, "OBD"))
		read_obd(state, &text, record);
	else if (tracker_equals(field(&text, 4), "F"))
		read_fix(state, &text, frame, record);
	else if (tracker_equals(field(&text, 4), "L"))
		read_no_fix(state, &text, record);
	else if (is_plain(&text))
		read_plain(&text, frame, record);
	else
		tracker_put_text(record, "payload", (Str) {event.data, (uint32_t) (whole.data + whole.len - event.data)});
	if (tracker_equals(event, "rfid"))
		tracker_put_text(record, "driver_id", field(&text, 3));
	if (tracker_equals(event, "help me") &&
		!(record->defect.len > 8 && memcmp(record->defect.data, "malformed", 9) == 0))
		out->tag = TAG_SOS;
	plausible(record);
	out->emit(out->emit_arg, record);
	return DECODE_OK;
}

static DecodeStatus
gps103_decode(Session *session, const Frame *frame, Decoded *out)
{
	Gps103Session *state = session->state;
	Str			whole = {frame->data, (uint32_t) frame->length};
	bool		login = whole.len > 3 && memcmp(whole.data, "##,", 3) == 0;
	bool		heartbeat = is_digit(whole.data[0]);
	bool		ended = is_end(whole.data[whole.len - 1]) || whole.data[whole.len - 1] == '*';
	Str			rest;
	Str			id = {NULL, 0};

	while (whole.len > 0 && (is_end(whole.data[whole.len - 1]) || whole.data[whole.len - 1] == '*'))
		whole.len--;
	rest = whole;
	if (login)
		rest = (Str) {whole.data + 3, whole.len - 3};
	if (heartbeat && whole.len > ID_MAX)
		return tracker_refuse_noise(session, &state->noise, frame, "not gps103", out);
	else if (heartbeat)
		id = whole;
	else if (rest.len > 5 && memcmp(rest.data, "imei:", 5) == 0 && (ended || session->datagram))
	{
		whole = rest = (Str) {rest.data + 5, rest.len - 5};
		(void) !tracker_field(&rest, ',', &id);
	}
	else if (!login && !may_be(frame->data, frame->length, "imei:"))
		return tracker_refuse_noise(session, &state->noise, frame, "not gps103", out);
	else
	{
		tracker_refuse(session, frame, "frame", out);
		return DECODE_OK;
	}
	if (heartbeat)
		for (uint32_t i = 0; i < id.len; i++)
			if (!is_digit(id.data[i]) || id.len < ID_MIN || id.len > ID_MAX)
				id.len = 0;
	switch (tracker_claim(session, id))
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
	state->noise = 0;
	if (login || heartbeat)
	{
		(void) !buf_printf(out->reply, login ? "LOAD" : "ON");
		return DECODE_REPLY;
	}
	return decode_report(session, frame, whole, out);
}

/* Only a call for help is answered. */
static void
gps103_ack(Session *session, const Ack *ack, Buf *out)
{
	for (uint64_t seq = ack->from; seq <= ack->upto; seq++)
		if (ack->frames[seq - ack->from].tag == TAG_SOS)
			(void) !buf_printf(out, "**,imei:%s,E;", session->device);
}

const Adapter adapter_gps103 = {
	.name = "gps103",
	.help = "GPS103 trackers (Coban, TK102, TK103B), text",
	.session_size = sizeof(Gps103Session),
	.claims = true,
	.datagrams = true,
	.frame = gps103_frame,
	.decode = gps103_decode,
	.ack = gps103_ack
};
