/*
 * wialon_decode.c
 *	  Wialon IPS: the body of a report to a record.
 */
#include "wialon.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "plausible.h"
#include "tracker_text.h"

#define INPUTS_NAMED 4			/* bits that have a signal of their own */
#define OUTPUTS_NAMED 2
#define ANALOG_NAMED 2
#define BITS_MAX 4294967295.0

enum
{
	FIELD_DATE, FIELD_TIME, FIELD_LAT, FIELD_LAT_SIDE, FIELD_LON, FIELD_LON_SIDE, FIELD_SPEED, FIELD_COURSE,
	FIELD_HEIGHT, FIELD_SATELLITES, FIELD_HDOP, FIELD_INPUTS, FIELD_OUTPUTS, FIELD_ADC, FIELD_IBUTTON,
	FIELD_PARAMETERS
};

void
wialon_begin(Session *session, Decoded *out)
{
	record_reset(out->record);
	out->record->device = (Str) {session->device, (uint32_t) strlen(session->device)};
	out->record->received_at_us = session->now_us;
}

void
wialon_quarantine(Session *session, Str raw, const char *field, Decoded *out)
{
	wialon_begin(session, out);
	record_set_defect(out->record, "malformed", (Str) {field, (uint32_t) strlen(field)});
	out->record->raw = raw;
	out->emit(out->emit_arg, out->record);
}

static bool
is_absent(Str field)
{
	return field.len == 0 || tracker_equals(field, "NA");
}

static void
malformed(Record *r, const char *field)
{
	record_set_defect(r, "malformed", (Str) {field, (uint32_t) strlen(field)});
}

/* NaN when it is absent. */
static double
read_number(Record *r, Str field, const char *name)
{
	double		value = NAN;

	if (!is_absent(field) && !tracker_number(field, &value))
		malformed(r, name);
	return value;
}

/* A signal beyond the limits of a record is not there; nothing else depends on it. */
static void
put_number(Record *r, Str name, double value)
{
	if (!isnan(value))
		(void) !record_add_number(r, name, value);
}

static void
put_text(Record *r, Str name, Str text)
{
	if (text.len > 0 && buf_valid_utf8(text.data, text.len))
		(void) !record_add_text(r, name, text);
}

/* --- the short form --- */

/* Both absent means the server's time; the protocol says so. */
static void
put_time(Session *session, Record *r, Str date, Str time)
{
	if (is_absent(date) && is_absent(time))
	{
		r->has_event_time = true;
		r->event_time_us = session->now_us;
		return;
	}
	r->has_event_time = tracker_time_ddmmyy(time, date, &r->event_time_us);
	if (!r->has_event_time)
		malformed(r, "event_time");
}

static bool
read_angle(Record *r, const Str *field, const char *sides, const char *name, double *degrees)
{
	if (is_absent(field[0]))
		return false;
	if (field[1].len == 1 && strchr(sides, field[1].data[0]) != NULL && field[1].data[0] != '\0' &&
		tracker_angle(field[0], field[1].data[0], degrees))
		return true;
	malformed(r, name);
	return false;
}

static void
put_place(Record *r, const Str *field)
{
	double		satellites = read_number(r, field[FIELD_SATELLITES], "satellites");
	double		latitude;
	double		longitude;
	bool		north = read_angle(r, field + FIELD_LAT, "NS", "latitude", &latitude);
	bool		east = read_angle(r, field + FIELD_LON, "EW", "longitude", &longitude);

	if (north && east)
	{
		r->latitude = latitude;
		r->longitude = longitude;
	}
	r->speed_kmh = read_number(r, field[FIELD_SPEED], "speed_kmh");
	r->heading_deg = read_number(r, field[FIELD_COURSE], "heading_deg");
	r->altitude_m = read_number(r, field[FIELD_HEIGHT], "altitude_m");
	/* Without satellites these are of the last place, or of none at all. */
	if (satellites == 0)
		r->latitude = r->longitude = r->speed_kmh = r->heading_deg = r->altitude_m = NAN;
	put_number(r, RECORD_STR("satellites"), satellites);
}

/* --- the full form --- */

static void
put_bits(Record *r, Str field, Str name, const Str *bits, int n)
{
	double		value = read_number(r, field, name.data);

	put_number(r, name, value);
	if (!(value >= 0 && value <= BITS_MAX) || value != floor(value))
		return;
	for (int i = 0; i < n; i++)
		(void) !record_add_boolean(r, bits[i], ((uint32_t) value >> i & 1) != 0);
}

/* "14.77,0.02": the first is number 1; one may be empty. */
static void
put_analog(Record *r, Str field)
{
	Str			one;

	if (is_absent(field))
		return;
	for (unsigned i = 1; tracker_field(&field, ',', &one) && i < RECORD_MAX_SIGNALS; i++)
	{
		char	   *name = record_scratch(r, 24);

		if (name == NULL)
			return;
		snprintf(name, 24, i <= ANALOG_NAMED ? "analog_input_%u_v" : "analog_input_%u", i);
		put_number(r, (Str) {name, (uint32_t) strlen(name)}, read_number(r, one, "adc"));
	}
}

/* Bytes of the UTF-8 sequence at text, and what it stands for; text is valid. */
static size_t
code_point(const char *text, unsigned *code)
{
	unsigned char lead = (unsigned char) text[0];
	size_t		n = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;

	*code = n == 1 ? lead : lead & (0x7fu >> n);
	for (size_t i = 1; i < n; i++)
		*code = *code << 6 | ((unsigned char) text[i] & 0x3f);
	return n;
}

/*
 * The vendor's name, as a signal can have it: "io_" before a digit, "_" for
 * signs, "uXXXX" for letters of other alphabets, so that two names stay two.
 */
static Str
signal_name(Record *r, Str name)
{
	char	   *text = record_scratch(r, RECORD_NAME_MAX + 1);
	size_t		n = 0;

	if (text == NULL || name.len == 0 || !buf_valid_utf8(name.data, name.len))
		return (Str) {NULL, 0};
	if (name.data[0] >= '0' && name.data[0] <= '9')
	{
		memcpy(text, "io_", 3);
		n = 3;
	}
	for (uint32_t at = 0; at < name.len && n < RECORD_NAME_MAX;)
	{
		unsigned	code;
		char		piece[12];
		size_t		size = 1;

		at += (uint32_t) code_point(name.data + at, &code);
		if (code >= 0x80)
			size = (size_t) snprintf(piece, sizeof(piece), "u%04x", code);
		else
			piece[0] = (code >= '0' && code <= '9') || ((code | 0x20) >= 'a' && (code | 0x20) <= 'z') ? (char) code : '_';
		if (size > RECORD_NAME_MAX - n)
			break;
		memcpy(text + n, piece, size);
		n += size;
	}
	record_scratch_trim(r, text, n);
	return (Str) {text, (uint32_t) n};
}

/* name:type:value; the value may hold colons. */
static void
put_parameter(Record *r, Str parameter)
{
	Str			name;
	Str			type;
	Str			signal;
	double		value;

	if (parameter.len == 0)
		return;
	if (!tracker_field(&parameter, ':', &name) || !tracker_field(&parameter, ':', &type) ||
		parameter.data == NULL || type.len != 1 || type.data[0] < '1' || type.data[0] > '3')
	{
		malformed(r, "parameters");
		return;
	}
	signal = signal_name(r, name);
	if (signal.len == 0)
	{
		malformed(r, "parameters");
		return;
	}
	if (type.data[0] == '3' && (tracker_equals(parameter, "true") || tracker_equals(parameter, "false")))
		(void) !record_add_boolean(r, signal, parameter.len == 4);
	else if (type.data[0] == '3' || !tracker_number(parameter, &value))
		put_text(r, signal, parameter);
	else if (tracker_equals(name, "SOS"))
	{
		(void) !record_add_boolean(r, RECORD_STR("sos"), value != 0);
		if (value != 0)
			(void) !record_add_text(r, RECORD_STR("alarm"), RECORD_STR("sos"));
	}
	else
		put_number(r, signal, value);
}

static void
put_more(Record *r, const Str *field)
{
	static const Str inputs[INPUTS_NAMED] = {
		RECORD_STR("digital_input_1"), RECORD_STR("digital_input_2"),
		RECORD_STR("digital_input_3"), RECORD_STR("digital_input_4")
	};
	static const Str outputs[OUTPUTS_NAMED] = {
		RECORD_STR("digital_output_1"), RECORD_STR("digital_output_2")
	};
	Str			rest = field[FIELD_PARAMETERS];
	Str			parameter;

	put_number(r, RECORD_STR("hdop"), read_number(r, field[FIELD_HDOP], "hdop"));
	put_bits(r, field[FIELD_INPUTS], RECORD_STR("inputs"), inputs, INPUTS_NAMED);
	put_bits(r, field[FIELD_OUTPUTS], RECORD_STR("outputs"), outputs, OUTPUTS_NAMED);
	put_analog(r, field[FIELD_ADC]);
	if (!is_absent(field[FIELD_IBUTTON]))
		put_text(r, RECORD_STR("driver_id"), field[FIELD_IBUTTON]);
	if (!is_absent(rest))
		while (tracker_field(&rest, ',', &parameter))
			put_parameter(r, parameter);
}

bool
wialon_report(Session *session, Str body, int fields, Str raw, Decoded *out)
{
	Str			field[WIALON_FULL_FIELDS];
	Record	   *r = out->record;
	int			n = 0;

	while (n < fields && tracker_field(&body, ';', &field[n]))
		n++;
	if (n < fields || body.data != NULL)
	{
		wialon_quarantine(session, raw, "", out);
		return false;
	}
	wialon_begin(session, out);
	put_time(session, r, field[FIELD_DATE], field[FIELD_TIME]);
	put_place(r, field);
	if (fields == WIALON_FULL_FIELDS)
		put_more(r, field);
	plausible(r);
	if (r->defect.len > 0 || r->device.len == 0)
		r->raw = raw;
	out->emit(out->emit_arg, r);
	return true;
}
