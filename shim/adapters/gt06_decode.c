/*
 * gt06_decode.c
 *	  GT06: messages to records.
 *
 * Models differ in what they put behind the same type, and do not say which
 * model they are; so a layout is taken when the bytes have its form, and what
 * no layout fits is kept as hexadecimal text.
 */
#include "gt06_fields.h"

#include <stdio.h>

#include "tracker_text.h"

void
gt06_begin(Session *session, Decoded *out)
{
	record_reset(out->record);
	out->record->device = (Str) {session->device, (uint32_t) strlen(session->device)};
	out->record->received_at_us = session->now_us;
}

Gt06Result
gt06_emit(const Gt06Message *m, Decoded *out)
{
	Record	   *r = out->record;

	if (!r->has_event_time)
		record_set_defect(r, "missing_field", RECORD_STR("event_time"));
	if (r->defect.len > 0)
		r->raw = (Str) {m->frame->data, (uint32_t) m->frame->length};
	out->emit(out->emit_arg, r);
	return GT06_EMITTED;
}

/* 13: switches, level, signal, language.  23: switches, battery in 1/100 V, signal. */
static Gt06Result
heartbeat(Session *session, const Gt06Message *m, Decoded *out)
{
	const unsigned char *p = m->content;
	Record	   *r = out->record;

	if (m->length < 1)
		return GT06_MALFORMED;
	gt06_begin(session, out);
	gt06_put_date(session, m, r, NULL);
	gt06_put_switches(r, p[0], false);
	if (m->type == 0x23 && m->length >= 4)
	{
		if (gt06_u16(p + 1) <= 3000)
			NUMBER(r, "tracker_battery_v", gt06_u16(p + 1) / 100.0);
		if (p[3] <= 4)
			NUMBER(r, "gsm_signal_percent", p[3] * 25);
	}
	else if (m->length <= 6 && m->length >= 3)
		gt06_put_levels(r, p[1], p[2]);
	else if (m->type == 0x13 && m->length == 16)
	{
		/* Satellites, alarm, language, battery, mode, volts, times of work, temperature. */
		if (p[5] <= 100)
			NUMBER(r, "tracker_battery_percent", p[5]);
		if (gt06_u16(p + 7) <= 3000)
			NUMBER(r, "tracker_battery_v", gt06_u16(p + 7) / 100.0);
		NUMBER(r, "temperature_c", (gt06_u16(p + 14) & 0x7fff) / (p[14] & 0x80 ? 10.0 : -10.0));
		gt06_put_hex(r, RECORD_STR("gt06_rest"), p + 1, m->length - 1);
	}
	else
		gt06_put_hex(r, RECORD_STR("gt06_rest"), p + 1, m->length - 1);
	return gt06_emit(m, out);
}

/* 19 and a5: the cell and a status; a date may come first. */
static Gt06Result
cell_status(Session *session, const Gt06Message *m, Decoded *out)
{
	const unsigned char *p = m->content;
	size_t		n = m->length;
	bool		dated = m->type == 0x19 && n >= 14 && gt06_starts_with_date(p);
	size_t		cell;

	gt06_begin(session, out);
	gt06_put_date(session, m, out->record, dated ? p : NULL);
	if (dated)
	{
		p += DATE_SIZE;
		n -= DATE_SIZE;
	}
	cell = gt06_put_cell(out->record, p, n, m->type == 0xa5);
	if (cell == 0)
		return GT06_MALFORMED;
	gt06_put_status(out->record, p + cell, n - cell, false, false);
	return gt06_emit(m, out);
}

/* 95, in three layouts: with a picture's name, with a fix, or neither. */
static Gt06Result
camera_alarm(Session *session, const Gt06Message *m, Decoded *out)
{
	const unsigned char *p = m->content;
	size_t		n = m->length;
	Record	   *r = out->record;
	bool		placed = n >= DATE_SIZE + 11;
	uint8_t		code;

	gt06_begin(session, out);
	if (n >= 27 && p[0] == 0xff && p[1] == 0xff)
	{
		gt06_put_date(session, m, r, p + 3);
		NUMBER(r, "satellites", p[9] & 15);
		gt06_put_course(r, gt06_u16(p + 18), gt06_u32(p + 10), gt06_u32(p + 14));
		if ((gt06_u16(p + 18) & 0x1000) && gt06_u16(p + 20) <= 350)
			r->speed_kmh = gt06_u16(p + 20);
		gt06_put_hex(r, RECORD_STR("gt06_rest"), p + 22, 2);
		NUMBER(r, "event", p[24]);
		if (n > 27)
			gt06_put_text(r, RECORD_STR("file"), p + 27, n - 27);
		return gt06_emit(m, out);
	}
	if (n < DATE_SIZE + 1)
		return GT06_MALFORMED;
	gt06_put_date(session, m, r, p);
	p += DATE_SIZE;
	n -= DATE_SIZE;
	if (placed)
	{
		gt06_put_course(r, gt06_u16(p + 8), gt06_u32(p), gt06_u32(p + 4));
		p += 10;
		n -= 10;
		if (n > 3)
			gt06_put_text(r, RECORD_STR("file"), p + 3, n - 3);
	}
	code = p[0];
	NUMBER(r, "alarm_code", code);
	switch (code)
	{
		case 0x01:
			/* Cameras that tell no place have no such button. */
			if (!placed)
			{
				TEXT(r, "alarm", "general");
				break;
			}
			TEXT(r, "alarm", "sos");
			BOOLEAN(r, "sos", true);
			break;
		case 0x80:
			TEXT(r, "alarm", "vibration");
			break;
		case 0x87:
			TEXT(r, "alarm", "overspeed");
			break;
		case 0x90:
			TEXT(r, "alarm", "hard_acceleration");
			break;
		case 0x91:
			TEXT(r, "alarm", "hard_braking");
			break;
		case 0x92:
			TEXT(r, "alarm", "hard_cornering");
			break;
		case 0x93:
			TEXT(r, "alarm", "collision");
			BOOLEAN(r, "crash", true);
			break;
	}
	return gt06_emit(m, out);
}

/* 70: modules, each a number, a length, and what the number says. */
static Gt06Result
modules(Session *session, const Gt06Message *m, Decoded *out)
{
	const unsigned char *p = m->content;
	size_t		n = m->length;
	Record	   *r = out->record;
	char		digits[41];

	gt06_begin(session, out);
	gt06_put_date(session, m, r, NULL);
	while (n >= 4)
	{
		unsigned	module = gt06_u16(p);
		size_t		size = gt06_u16(p + 2);

		p += 4;
		n -= 4;
		if (size > n)
			return GT06_MALFORMED;
		if (module == 0x03 && size == 10 && tracker_bcd(p, size, digits))
			gt06_put_copy(r, RECORD_STR("iccid"), digits, 2 * size);
		else if (module == 0x09 && size == 1)
			NUMBER(r, "satellites", p[0]);
		else if (module == 0x0a && size == 1)
			NUMBER(r, "satellites_visible", p[0]);
		else if (module == 0x11 && size >= 8)
			(void) gt06_put_cell(r, p, size, false);
		else if (module == 0x18 && size == 2 && gt06_u16(p) <= 3000)
			NUMBER(r, "tracker_battery_v", gt06_u16(p) / 100.0);
		else if (module == 0x28 && size == 1)
			NUMBER(r, "hdop", p[0] / 10.0);
		else if (module == 0x29 && size == 4)
			NUMBER(r, "sequence", gt06_u32(p));
		else if (module == 0x33 && size >= 18)
		{
			/* seconds of the Unix epoch, satellites, altitude, place, speed, course */
			uint16_t	word = gt06_u16(p + 16);

			r->event_time_us = (int64_t) gt06_u32(p) * 1000000;
			r->has_event_time = true;
			NUMBER(r, "satellites", p[4]);
			gt06_put_course(r, word, gt06_u32(p + 7), gt06_u32(p + 11));
			if (word & 0x1000)
			{
				gt06_put_altitude(r, gt06_u16(p + 5));
				r->speed_kmh = p[15];
			}
		}
		p += size;
		n -= size;
	}
	return n == 0 ? gt06_emit(m, out) : GT06_MALFORMED;
}

/* Some models tell their place in words: "...Lat:N54.73,Lon:E25.27,...". */
static bool
word_after(const unsigned char *text, size_t n, const char *label, Str *value)
{
	size_t		size = strlen(label);
	const char *at = n > 0 ? memmem(text, n, label, size) : NULL;
	Str			rest;

	if (at == NULL)
		return false;
	rest = (Str) {at + size, (uint32_t) (n - (size_t) (at - (const char *) text) - size)};
	return tracker_field(&rest, ',', value);
}

static bool
worded_angle(Str text, const char *signs, double *degrees)
{
	if (text.len < 2 || (text.data[0] != signs[0] && text.data[0] != signs[1]))
		return false;
	if (!tracker_number((Str) {text.data + 1, text.len - 1}, degrees))
		return false;
	if (text.data[0] == signs[1])
		*degrees = -*degrees;
	return true;
}

static void
put_worded_place(Record *r, const unsigned char *text, size_t n)
{
	Str			word;
	double		lat,
				lon,
				number;
	char		digits[14];
	uint32_t	count = 0;

	if (!word_after(text, n, "Lat:", &word) || !worded_angle(word, "NS", &lat) ||
		!word_after(text, n, "Lon:", &word) || !worded_angle(word, "EW", &lon) ||
		!word_after(text, n, "DateTime:", &word))
		return;
	for (uint32_t i = 0; i < word.len && count < sizeof(digits); i++)
		if (word.data[i] >= '0' && word.data[i] <= '9')
			digits[count++] = word.data[i];
	if (!tracker_time_digits((Str) {digits, count}, &r->event_time_us))
		return;
	r->latitude = lat;
	r->longitude = lon;
	if (word_after(text, n, "Course:", &word) && tracker_number(word, &number) && number >= 0 && number <= 360)
		r->heading_deg = number;
	if (word_after(text, n, "Speed:", &word) && tracker_number(word, &number) && number >= 0 && number <= 350)
		r->speed_kmh = number;
}

/* UTF-16 of the basic plane to UTF-8; what is beyond becomes a question mark. */
static void
put_utf16(Record *r, Str name, const unsigned char *p, size_t n)
{
	char	   *text = record_scratch(r, n / 2 * 3 + 1);
	size_t		at = 0;

	if (text == NULL)
		return;
	for (; n >= 2; p += 2, n -= 2)
	{
		unsigned	c = gt06_u16(p);

		if (c == 0 || (c >= 0xd800 && c < 0xe000))
			c = '?';
		if (c < 0x80)
			text[at++] = (char) c;
		else if (c < 0x800)
		{
			text[at++] = (char) (0xc0 | c >> 6);
			text[at++] = (char) (0x80 | (c & 0x3f));
		}
		else
		{
			text[at++] = (char) (0xe0 | c >> 12);
			text[at++] = (char) (0x80 | (c >> 6 & 0x3f));
			text[at++] = (char) (0x80 | (c & 0x3f));
		}
	}
	if (at > 0)
		(void) !record_add_text(r, name, (Str) {text, (uint32_t) at});
}

/*
 * The mark tells which command it answers.  Some models send 0 always: then it
 * is the one that waits, unless one before was never answered.
 */
static void
answer_command(Session *session, uint32_t mark, Decoded *out)
{
	Gt06Session *state = session->state;
	const RecordSignal *last = out->record->nsignals > 0 ? &out->record->signals[out->record->nsignals - 1] : NULL;
	Answer		answer = {.command_id = state->command_id,.ok = true};

	if (state->command_id == 0 || (mark != (uint32_t) state->command_id && (mark != 0 || state->unanswered)))
		return;
	if (last != NULL && last->kind == RECORD_TEXT && last->name.len == 14 &&
		memcmp(last->name.data, "command_result", 14) == 0)
		answer.text = last->text;
	state->command_id = 0;
	state->unanswered = false;
	if (out->answer != NULL)
		out->answer(out->emit_arg, &answer);
}

/* 15: size, the server's mark, text, language.  21: the mark, encoding, text. */
static Gt06Result
command_answer(Session *session, const Gt06Message *m, Decoded *out)
{
	const unsigned char *p = m->content;
	size_t		n = m->length;
	size_t		size;

	gt06_begin(session, out);
	gt06_put_date(session, m, out->record, NULL);
	if (m->type == 0x21)
	{
		if (n < 5)
			return GT06_MALFORMED;
		if (p[4] == 2)
			put_utf16(out->record, RECORD_STR("command_result"), p + 5, n - 5);
		else
			gt06_put_text(out->record, RECORD_STR("command_result"), p + 5, n - 5);
		answer_command(session, gt06_u32(p), out);
		put_worded_place(out->record, p + 5, n - 5);
		return gt06_emit(m, out);
	}
	if (n < 5)
		return GT06_MALFORMED;
	/* The size counts the mark too; some models leave it 0. */
	size = p[0] >= 4 && p[0] <= n - 1 ? p[0] - 4u : n - 5 - (n >= 7 ? 2 : 0);
	gt06_put_text(out->record, RECORD_STR("command_result"), p + 5, size);
	answer_command(session, gt06_u32(p + 1), out);
	return gt06_emit(m, out);
}

/* Of a card or tag: as text, or two bytes, its number, a sum and an end. */
static void
put_tag(Record *r, const unsigned char *p, size_t n)
{
	if (n == 8 && p[0] == 2)
		gt06_put_hex(r, RECORD_STR("driver_id"), p + 2, 4);
	else
		gt06_put_text(r, RECORD_STR("driver_id"), p, n);
}

/* 94: a kind, and what it says; the short form has volts only. */
static Gt06Result
information(Session *session, const Gt06Message *m, Decoded *out)
{
	const unsigned char *p = m->content;
	size_t		n = m->length;
	Record	   *r = out->record;
	size_t		filler;
	char		digits[21];

	if (n < 1)
		return GT06_MALFORMED;
	gt06_begin(session, out);
	gt06_put_date(session, m, r, NULL);
	if (!m->extended && n == 2)
		gt06_put_volts(r, gt06_u16(p));
	else if ((p[0] == 0x00 || p[0] == 0x0b) && n == 3)
		gt06_put_volts(r, gt06_u16(p + 1));
	else if (p[0] == 0x05 && (n == 2 || n == 2 + DATE_SIZE))
	{
		if (n > 2)
			gt06_put_date(session, m, r, p + 1);
		BOOLEAN(r, "door_open", (p[n - 1] & 1) != 0);
		BOOLEAN(r, "digital_input_1", (p[n - 1] & 4) != 0);
	}
	else if (p[0] == 0x0a && n == 27)
	{
		/* The card's number has 19 digits or 20, then an f stands at the end. */
		filler = (p[26] & 15) == 15 ? 1 : 0;
		tracker_to_hex(p + 17, 10, digits);
		gt06_put_copy(r, RECORD_STR("iccid"), digits, 20 - filler);
	}
	else if (p[0] == 0x1b)
		put_tag(r, p + 1, n - 1);
	else if (p[0] == 0x1e && n == 9)
	{
		NUMBER(r, "temperature_c", (int32_t) gt06_u32(p + 1) / 10.0);
		if (gt06_u32(p + 5) <= 1000)
			NUMBER(r, "humidity_percent", gt06_u32(p + 5) / 10.0);
	}
	else
	{
		/* 0d, a sensor's text, may have a date before it. */
		size_t		at = p[0] == 0x0d && n > 1 + DATE_SIZE && p[1] != '!' ? 1 + DATE_SIZE : 1;

		NUMBER(r, "information_kind", p[0]);
		gt06_put_text(r, RECORD_STR("information"), p + at, n - at);
	}
	return gt06_emit(m, out);
}

/* 40: of a vehicle that rides on its battery, and of that; the time is that of Unix. */
static Gt06Result
battery(Session *session, const Gt06Message *m, Decoded *out)
{
	const unsigned char *p = m->content + 12;
	Record	   *r = out->record;
	double		kelvin;

	if (m->length < 27)
		return GT06_MALFORMED;
	gt06_begin(session, out);
	gt06_put_date(session, m, r, NULL);
	r->event_time_us = (int64_t) gt06_u32(m->content + 8) * 1000000;
	if (p[0] <= 100)
		NUMBER(r, "battery_percent", p[0]);
	if (p[6] <= 120)
		NUMBER(r, "battery_health_percent", p[6]);
	kelvin = gt06_u16(p + 7) / 10.0;
	if (kelvin >= 214 && kelvin <= 423)
		NUMBER(r, "battery_temp_c", kelvin - 273.1);
	NUMBER(r, "battery_current_raw", gt06_u16(p + 9));
	NUMBER(r, "battery_voltage_v", gt06_u16(p + 11) / 1000.0);
	NUMBER(r, "battery_cycles", gt06_u16(p + 13));
	gt06_put_hex(r, RECORD_STR("gt06_rest"), p + 15, m->length - 27);
	return gt06_emit(m, out);
}

/*
 * What nobody has told us to read: kept as it is, with its date if it has one,
 * and the first of its cells.
 */
static Gt06Result
other(Session *session, const Gt06Message *m, Decoded *out)
{
	const unsigned char *p = m->content;
	size_t		n = m->length;
	bool		dated = n >= DATE_SIZE && gt06_starts_with_date(p);
	Record	   *r = out->record;
	char	   *name;

	if (n == 0 || n > KEPT_MAX)
		return GT06_NOTHING;
	gt06_begin(session, out);
	gt06_put_date(session, m, r, dated ? p : NULL);
	name = record_scratch(r, 8);
	if (name == NULL)
		return GT06_NOTHING;
	snprintf(name, 8, "gt06_%02x", m->type);
	switch (dated ? m->type : 0)
	{
		case 0x18:
		case 0x24:
		case 0x28:
		case 0x2c:
		case 0x2e:
			/* Some put a byte before the first cell. */
			p += m->type == 0x24 && n == 44 ? 7 : 6;
			(void) gt06_put_cell(r, p, n - (size_t) (p - m->content), false);
			break;
		case 0x33:
		case 0xa1:
		case 0xa2:
			(void) gt06_put_cell(r, p + 6, n - 6, true);
			break;
		case 0x2a:
			/* Somebody's telephone number follows the fix. */
			n = n < DATE_SIZE + FIX_SIZE ? n : DATE_SIZE + FIX_SIZE;
			break;
	}
	gt06_put_hex(r, (Str) {name, 7}, m->content, n);
	return gt06_emit(m, out);
}

Gt06Result
gt06_report(Session *session, const Gt06Message *m, Decoded *out)
{
	const unsigned char *p = m->content;
	size_t		n = m->length;

	if (m->extended)
		switch (m->type)
		{
			case 0x32:
			case 0x33:
				return gt06_sized_fix(session, m, out);
			case 0x36:
				return other(session, m, out);
		}
	switch (m->type)
	{
		case 0x13:
		case 0x23:
			return heartbeat(session, m, out);
		case 0x15:
		case 0x21:
			return command_answer(session, m, out);
		case 0x19:
		case 0xa5:
			return cell_status(session, m, out);
		case 0x34:
			return gt06_position(session, m, out, 4);
		case 0x40:
			return battery(session, m, out);
		case 0x61:
			return gt06_position(session, m, out, 8);
		case 0x70:
			return modules(session, m, out);
		case 0x94:
			return information(session, m, out);
		case 0x95:
			return camera_alarm(session, m, out);
		case 0x10:
		case 0x11:
		case 0x12:
		case 0x16:
		case 0x17:
		case 0x1a:
		case 0x1e:
		case 0x22:
		case 0x26:
		case 0x27:
		case 0x2d:
		case 0x31:
		case 0x32:
		case 0x36:
		case 0x37:
		case 0x38:
		case 0xa0:
		case 0xa4:
			return n < DATE_SIZE + FIX_SIZE ? GT06_MALFORMED : gt06_position(session, m, out, gt06_find_fix(p, n));
	}
	/* 2a has a fix, but asks for its address only. */
	if (m->type != 0x2a && gt06_looks_placed(p, n))
		return gt06_position(session, m, out, 0);
	return other(session, m, out);
}
