/*
 * gt06_position.c
 *	  GT06: messages with a fix, and what models put behind it.
 */
#include <math.h>

#include "gt06_fields.h"

#define LATITUDE_MAX (90 * 1800000u)
#define LONGITUDE_MAX (180 * 1800000u)

static bool
is_zero(const unsigned char *p, size_t n)
{
	while (n > 0 && p[n - 1] == 0)
		n--;
	return n == 0;
}

/* Eight bytes of a driver's card. */
static void
put_driver(Record *r, const unsigned char *p)
{
	if (!is_zero(p, 8))
		gt06_put_hex(r, RECORD_STR("driver_id"), p, 8);
}

/*
 * The cell, of which some models do not tell the size, some without the byte
 * of the size itself, and some as 0; then the status.
 */
static void
put_cell_and_status(Record *r, const Gt06Message *m, const unsigned char *p, size_t n, bool ignition_known)
{
	bool		wide = m->type == 0xa4;
	bool		fenced = m->type == 0xa4 || m->type == 0x27;
	size_t		longest = wide ? 17 : 10;	/* size and cell, with a network of two bytes */
	size_t		at;

	if (n > 0 && p[0] >= 8 && p[0] <= longest)
	{
		at = 1 + gt06_put_cell(r, p + 1, n - 1, wide);
		at = at < p[0] ? p[0] : at;
	}
	else if (n > 0 && n < longest && p[0] == 0)
		at = 1;
	else if (n >= longest + 4 && is_zero(p, longest - 1))
		at = longest - 1;
	else
		at = gt06_put_cell(r, p, n, wide);
	if (at == 0 || at >= n)
		return;
	p += at;
	n -= at;
	if (m->type == 0x16 && n == 6 && p[5] <= 2)
		gt06_put_percents(r, p, ignition_known);
	else if (m->type == 0x16 && (n == 13 || n == 14))
	{
		gt06_put_status(r, p, 5, ignition_known, false);
		put_driver(r, p + 5);
	}
	else
		gt06_put_status(r, p, n, ignition_known, fenced);
}

/* Ignition, what made it send, whether it is sent late; then, by model, the mileage or modules. */
static void
put_upload(Record *r, const Gt06Message *m, const unsigned char *p, size_t n, bool ignition_known)
{
	if (n < 3 || p[0] > 1)
	{
		gt06_put_hex(r, RECORD_STR("gt06_rest"), p, n);
		return;
	}
	if (!ignition_known)
		BOOLEAN(r, "ignition", p[0] == 1);
	NUMBER(r, "upload_mode", p[1]);
	BOOLEAN(r, "reuploaded", p[2] > 0);
	p += 3;
	n -= 3;
	if (n == 4)
	{
		gt06_put_mileage(r, p);
		return;
	}
	while (m->type == 0x37 && n >= 3 && p[2] <= n - 3)
	{
		unsigned	module = gt06_u16(p);
		size_t		size = p[2];

		if (module == 0x27 && size == 2)
			gt06_put_volts(r, gt06_u16(p + 3));
		else if (module == 0x2e && size == 4)
			gt06_put_mileage(r, p + 3);
		else if (module == 0x3b && size == 2)
			r->accuracy_m = gt06_u16(p + 3) / 100.0;
		p += 3 + size;
		n -= 3 + size;
	}
	gt06_put_hex(r, RECORD_STR("gt06_rest"), p, n);
}

/* 12: models tell more behind the cell, and are known by how much it is. */
static void
put_more(Record *r, const unsigned char *p, size_t n, bool ignition_known)
{
	if (n == 4)
		gt06_put_mileage(r, p);
	else if (n == 5 || n == 12)
	{
		gt06_put_switches(r, p[0], ignition_known);
		gt06_put_volts(r, gt06_u16(p + 1));
		gt06_put_levels(r, UINT8_MAX, p[3]);
		if (n == 5)
			return;
		gt06_put_alarm(r, p[4]);
		NUMBER(r, "oil", gt06_u16(p + 5));
		NUMBER(r, "temperature_c", p[7] & 0x80 ? -(p[7] & 0x7f) : p[7]);
		if (gt06_u32(p + 8) <= 500000000)	/* tens of metres */
			NUMBER(r, "odometer_km", gt06_u32(p + 8) / 100.0);
	}
	else
		gt06_put_hex(r, RECORD_STR("gt06_rest"), p, n);
}

/* Of models that put their number first: volts, the battery's too, and minutes of work. */
static void
put_work(Record *r, const unsigned char *p, size_t n)
{
	size_t		cell = gt06_put_cell(r, p, n, false);

	if (n - cell == 14)
	{
		p += cell;
		gt06_put_volts(r, gt06_u16(p + 2));
		NUMBER(r, "tracker_battery_v", p[4] / 10.0);
		if (gt06_u32(p + 10) <= 500000 * 60)
			NUMBER(r, "engine_hours_h", gt06_u32(p + 10) / 60.0);
	}
	else
		gt06_put_hex(r, RECORD_STR("gt06_rest"), p + cell, n - cell);
}

/* What follows the fix, by type. */
static void
put_rest(Record *r, const Gt06Message *m, const unsigned char *p, size_t n, bool ignition_known)
{
	size_t		cell = 0;

	switch (m->type)
	{
		case 0x16:
		case 0x26:
		case 0x27:
		case 0xa4:
			put_cell_and_status(r, m, p, n, ignition_known);
			return;
		case 0x32:
			if (m->extended)
				break;
			put_cell_and_status(r, m, p, n, ignition_known);
			return;
		case 0x11:
			if (n == 10)		/* network of two bytes, cell of four */
			{
				gt06_put_cell_of(r, gt06_u16(p) & 0x7fff, gt06_u16(p + 2), gt06_u16(p + 4), gt06_u32(p + 6));
				return;
			}
			/* FALLTHROUGH */
		case 0x22:
		case 0x2d:
		case 0x37:
		case 0xa0:
			cell = gt06_put_cell(r, p, n, m->type == 0xa0);
			put_upload(r, m, p + cell, n - cell, ignition_known);
			return;
		case 0x12:
			cell = gt06_put_cell(r, p, n, false);
			put_more(r, p + cell, n - cell, ignition_known);
			return;
		case 0x17:
			cell = gt06_put_cell(r, p, n, false);
			if (n - cell == 9)
			{
				put_driver(r, p + cell);
				return;
			}
			break;
		case 0x24:
			cell = gt06_put_cell(r, p, n, false);
			if (n - cell == 5)
			{
				if (!ignition_known)
					BOOLEAN(r, "ignition", p[cell] > 0);
				gt06_put_volts(r, gt06_u16(p + cell + 1));
				if (gt06_u16(p + cell + 3) <= 3000)
					NUMBER(r, "tracker_battery_v", gt06_u16(p + cell + 3) / 100.0);
				return;
			}
			break;
		case 0x34:
			/* Flags, mileage, a cell of four bytes. */
			if (n >= 15)
			{
				gt06_put_mileage(r, p + 2);
				gt06_put_cell_of(r, gt06_u16(p + 6), p[8], gt06_u16(p + 9), gt06_u32(p + 11));
				cell = 15;
			}
			break;
		case 0x31:
			cell = gt06_put_cell(r, p, n, false);
			if (n - cell == 11)
				gt06_put_altitude(r, gt06_u16(p + n - 2));
			break;
	}
	gt06_put_hex(r, RECORD_STR("gt06_rest"), p + cell, n - cell);
}

/*
 * Where date and fix begin.  Usually at once; some models put their number
 * first (QH302R), or a one, their number and the time of sending (NT20).  The
 * eight digits of an IMEI never look like a date: its second byte is no month.
 */
size_t
gt06_find_fix(const unsigned char *p, size_t n)
{
	if (gt06_starts_with_date(p))
		return 0;
	if (n >= 8 + DATE_SIZE + FIX_SIZE && gt06_starts_with_date(p + 8))
		return 8;
	if (n >= 15 + DATE_SIZE + FIX_SIZE && p[0] == 1 && gt06_starts_with_date(p + 9) && gt06_starts_with_date(p + 15))
		return 15;
	return 0;
}

/*
 * Do date and fix stand there?  A fix tells its size, at least 12, where a
 * cell's country begins with less.  So types that have a fix in some models
 * only are told apart, and one is found in those that nobody has told us of.
 */
bool
gt06_looks_placed(const unsigned char *p, size_t n)
{
	return n >= DATE_SIZE + FIX_SIZE && gt06_starts_with_date(p) && p[DATE_SIZE] >> 4 >= FIX_SIZE &&
		gt06_u32(p + DATE_SIZE + 1) <= LATITUDE_MAX && gt06_u32(p + DATE_SIZE + 5) <= LONGITUDE_MAX &&
		(gt06_u16(p + DATE_SIZE + 10) & 0x3ff) <= 360;
}

Gt06Result
gt06_position(Session *session, const Gt06Message *m, Decoded *out, size_t at)
{
	const unsigned char *p = m->content + at;
	bool		ignition_known;
	size_t		n;

	if (at > m->length || m->length - at < DATE_SIZE + FIX_SIZE)
		return GT06_MALFORMED;
	gt06_begin(session, out);
	gt06_put_date(session, m, out->record, p);
	ignition_known = gt06_put_fix(out->record, p + DATE_SIZE);
	/* Neither place nor clock yet: what it says is of now. */
	if (isnan(out->record->latitude) && p[1] == 0 && p[2] == 0)
		gt06_put_date(session, m, out->record, NULL);
	p += DATE_SIZE + FIX_SIZE;
	n = m->length - at - DATE_SIZE - FIX_SIZE;
	if (at == 15)
		put_work(out->record, p, n);
	else
		put_rest(out->record, m, p, n, ignition_known);
	return gt06_emit(m, out);
}

/* 7979 32 and 33: date, size of the fix, the fix or nothing. */
Gt06Result
gt06_sized_fix(Session *session, const Gt06Message *m, Decoded *out)
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
	gt06_put_date(session, m, out->record, p);
	if (size > 0)
		(void) gt06_put_fix(out->record, p + DATE_SIZE + 1);
	gt06_put_hex(out->record, RECORD_STR("gt06_rest"), p + DATE_SIZE + 1 + size, n - DATE_SIZE - 1 - size);
	return gt06_emit(m, out);
}
