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

static Gt06Result
emit(const Gt06Message *m, Decoded *out)
{
	Record	   *r = out->record;

	if (!r->has_event_time)
		record_set_defect(r, "missing_field", RECORD_STR("event_time"));
	if (r->defect.len > 0)
		r->raw = (Str) {m->frame->data, (uint32_t) m->frame->length};
	out->emit(out->emit_arg, r);
	return GT06_EMITTED;
}

/* What follows the fix, by type. */
static void
put_rest(Record *r, const Gt06Message *m, const unsigned char *p, size_t n, bool ignition_known)
{
	size_t		cell;

	switch (m->type)
	{
		case 0x16:
		case 0x26:
		case 0x27:
		case 0xa4:
			/* The cell's size comes first, but not in all models. */
			cell = m->type == 0xa4 ? 16 : 9;
			if (n > cell && p[0] >= 8 && p[0] <= cell + 1)
			{
				(void) gt06_put_cell(r, p + 1, p[0] - 1, m->type == 0xa4);
				gt06_put_status(r, p + p[0], n - p[0], ignition_known);
			}
			else if ((cell = gt06_put_cell(r, p, n, m->type == 0xa4)) > 0)
				gt06_put_status(r, p + cell, n - cell, ignition_known);
			break;
		case 0x11:
		case 0x12:
		case 0x22:
		case 0x2d:
		case 0xa0:
			cell = gt06_put_cell(r, p, n, m->type == 0xa0);
			if (m->type != 0x12 && cell > 0 && n > cell && p[cell] <= 1 && !ignition_known)
				BOOLEAN(r, "ignition", p[cell] == 1);
			if (cell > 0 && n > cell + 1)
				gt06_put_hex(r, RECORD_STR("gt06_rest"), p + cell, n - cell);
			break;
		default:
			gt06_put_hex(r, RECORD_STR("gt06_rest"), p, n);
			break;
	}
}

static bool
starts_with_date(const unsigned char *p)
{
	int64_t		us;

	return gt06_read_date(p, &us);
}

/*
 * Where date and fix begin.  Usually at once; some models put their number
 * first (QH302R), or a one, their number and the time of sending (NT20).  The
 * eight digits of an IMEI never look like a date: its second byte is no month.
 */
static size_t
find_fix(const unsigned char *p, size_t n)
{
	if (starts_with_date(p))
		return 0;
	if (n >= 8 + DATE_SIZE + FIX_SIZE && starts_with_date(p + 8))
		return 8;
	if (n >= 15 + DATE_SIZE + FIX_SIZE && p[0] == 1 && starts_with_date(p + 9) && starts_with_date(p + 15))
		return 15;
	return 0;
}

static Gt06Result
position(Session *session, const Gt06Message *m, Decoded *out, size_t at)
{
	const unsigned char *p = m->content + at;
	bool		ignition_known;

	if (at > m->length || m->length - at < DATE_SIZE + FIX_SIZE)
		return GT06_MALFORMED;
	gt06_begin(session, out);
	gt06_put_date(session, out->record, p);
	ignition_known = gt06_put_fix(out->record, p + DATE_SIZE);
	put_rest(out->record, m, p + DATE_SIZE + FIX_SIZE, m->length - at - DATE_SIZE - FIX_SIZE, ignition_known);
	return emit(m, out);
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
	gt06_put_date(session, r, NULL);
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
	else
		gt06_put_hex(r, RECORD_STR("gt06_rest"), p + 1, m->length - 1);
	return emit(m, out);
}

/* 19 and a5: the cell and a status; a date may come first. */
static Gt06Result
cell_status(Session *session, const Gt06Message *m, Decoded *out)
{
	const unsigned char *p = m->content;
	size_t		n = m->length;
	bool		dated = m->type == 0x19 && n >= 14 && starts_with_date(p);
	size_t		cell;

	gt06_begin(session, out);
	gt06_put_date(session, out->record, dated ? p : NULL);
	if (dated)
	{
		p += DATE_SIZE;
		n -= DATE_SIZE;
	}
	cell = gt06_put_cell(out->record, p, n, m->type == 0xa5);
	if (cell == 0)
		return GT06_MALFORMED;
	gt06_put_status(out->record, p + cell, n - cell, false);
	return emit(m, out);
}

/* 95, in three layouts: with a picture's name, with a fix, or neither. */
static Gt06Result
camera_alarm(Session *session, const Gt06Message *m, Decoded *out)
{
	const unsigned char *p = m->content;
	size_t		n = m->length;
	Record	   *r = out->record;
	uint8_t		code;

	gt06_begin(session, out);
	if (n >= 27 && p[0] == 0xff && p[1] == 0xff)
	{
		gt06_put_date(session, r, p + 3);
		NUMBER(r, "satellites", p[9] & 15);
		gt06_put_course(r, gt06_u16(p + 18), gt06_u32(p + 10), gt06_u32(p + 14));
		if (gt06_u16(p + 18) & 0x1000)
			r->speed_kmh = gt06_u16(p + 20);
		gt06_put_hex(r, RECORD_STR("gt06_rest"), p + 22, 2);
		NUMBER(r, "event", p[24]);
		if (n > 27)
			gt06_put_text(r, RECORD_STR("file"), p + 27, n - 27);
		return emit(m, out);
	}
	if (n < DATE_SIZE + 1)
		return GT06_MALFORMED;
	gt06_put_date(session, r, p);
	p += DATE_SIZE;
	n -= DATE_SIZE;
	if (n >= 11)
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
	return emit(m, out);
}

/* 7979 32 and 33: date, size of the fix, the fix or nothing. */
static Gt06Result
sized_fix(Session *session, const Gt06Message *m, Decoded *out)
{
	const unsigned char *p = m->content;
	size_t		n = m->length;
	size_t		size;

	if (n < DATE_SIZE + 1)
		return GT06_MALFORMED;
	size = p[DATE_SIZE];
	if (size > n - DATE_SIZE - 1 || (size > 0 && size < FIX_SIZE))
		return GT06_MALFORMED;
	gt06_begin(session, out);
	gt06_put_date(session, out->record, p);
	if (size > 0)
		(void) gt06_put_fix(out->record, p + DATE_SIZE + 1);
	gt06_put_hex(out->record, RECORD_STR("gt06_rest"), p + DATE_SIZE + 1 + size, n - DATE_SIZE - 1 - size);
	return emit(m, out);
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
	gt06_put_date(session, r, NULL);
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
				r->altitude_m = (int16_t) gt06_u16(p + 5);
				r->speed_kmh = p[15];
			}
		}
		p += size;
		n -= size;
	}
	return n == 0 ? emit(m, out) : GT06_MALFORMED;
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
				lon;
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
	if (word_after(text, n, "Course:", &word))
		(void) !tracker_number(word, &r->heading_deg);
	if (word_after(text, n, "Speed:", &word))
		(void) !tracker_number(word, &r->speed_kmh);
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

/* 15: size, the server's mark, text, language.  21: the mark, encoding, text. */
static Gt06Result
command_answer(Session *session, const Gt06Message *m, Decoded *out)
{
	const unsigned char *p = m->content;
	size_t		n = m->length;
	size_t		size;

	gt06_begin(session, out);
	gt06_put_date(session, out->record, NULL);
	if (m->type == 0x21)
	{
		if (n < 5)
			return GT06_MALFORMED;
		if (p[4] == 2)
			put_utf16(out->record, RECORD_STR("command_result"), p + 5, n - 5);
		else
			gt06_put_text(out->record, RECORD_STR("command_result"), p + 5, n - 5);
		put_worded_place(out->record, p + 5, n - 5);
		return emit(m, out);
	}
	if (n < 5)
		return GT06_MALFORMED;
	/* The size counts the mark too; some models leave it 0. */
	size = p[0] >= 4 && p[0] <= n - 1 ? p[0] - 4u : n - 5 - (n >= 7 ? 2 : 0);
	gt06_put_text(out->record, RECORD_STR("command_result"), p + 5, size);
	return emit(m, out);
}

/* 94: a kind, and what it says. */
static Gt06Result
information(Session *session, const Gt06Message *m, Decoded *out)
{
	const unsigned char *p = m->content;
	size_t		n = m->length;
	Record	   *r = out->record;
	char		digits[21];

	if (n < 1)
		return GT06_MALFORMED;
	gt06_begin(session, out);
	gt06_put_date(session, r, NULL);
	if (p[0] == 0x00 && n == 3 && gt06_u16(p + 1) <= 10000)
		NUMBER(r, "external_voltage_v", gt06_u16(p + 1) / 100.0);
	else if (p[0] == 0x0a && n == 27 && tracker_bcd(p + 17, 10, digits))
		gt06_put_copy(r, RECORD_STR("iccid"), digits, 20);
	else
	{
		NUMBER(r, "information_kind", p[0]);
		gt06_put_text(r, RECORD_STR("information"), p + 1, n - 1);
	}
	return emit(m, out);
}

/* What nobody has told us to read: kept as it is, with its date if it has one. */
static Gt06Result
other(Session *session, const Gt06Message *m, Decoded *out)
{
	char	   *name;

	if (m->length == 0)
		return GT06_NOTHING;
	if (m->length > KEPT_MAX)
		return GT06_NOTHING;
	gt06_begin(session, out);
	gt06_put_date(session, out->record, m->length >= DATE_SIZE && starts_with_date(m->content) ? m->content : NULL);
	name = record_scratch(out->record, 8);
	if (name == NULL)
		return GT06_NOTHING;
	snprintf(name, 8, "gt06_%02x", m->type);
	gt06_put_hex(out->record, (Str) {name, 7}, m->content, m->length);
	return emit(m, out);
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
				return sized_fix(session, m, out);
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
			return position(session, m, out, 4);
		case 0x61:
			return position(session, m, out, 8);
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
			return n < DATE_SIZE + FIX_SIZE ? GT06_MALFORMED : position(session, m, out, find_fix(p, n));
		case 0xa1:
		case 0xa2:
		case 0xa3:
			/* A fix when its size, 12, is in the upper half; else cells, networks, steps. */
			if (n >= DATE_SIZE + FIX_SIZE && starts_with_date(p) && p[DATE_SIZE] >> 4 >= FIX_SIZE)
				return position(session, m, out, 0);
			return other(session, m, out);
	}
	return other(session, m, out);
}
