/*
 * gt06_fields.c
 *	  GT06: dates, fixes, cells and states to columns and signals.
 */
#include "gt06_fields.h"

#include <stdio.h>

#include "tracker_text.h"

/* Signals beyond the limits of a record are not there; nothing else depends on them. */
void
gt06_put_number(Record *r, Str name, double value)
{
	(void) !record_add_number(r, name, value);
}

void
gt06_put_boolean(Record *r, Str name, bool value)
{
	(void) !record_add_boolean(r, name, value);
}

void
gt06_put_copy(Record *r, Str name, const char *text, size_t n)
{
	char	   *copy = record_scratch(r, n);

	if (copy == NULL || n == 0)
		return;
	memcpy(copy, text, n);
	(void) !record_add_text(r, name, (Str) {copy, (uint32_t) n});
}

bool
gt06_read_date(const unsigned char *p, int64_t *us)
{
	return p[0] < 100 && tracker_time(2000 + p[0], p[1], p[2], p[3], p[4], p[5], us);
}

bool
gt06_starts_with_date(const unsigned char *p)
{
	int64_t		us;

	return gt06_read_date(p, &us);
}

/*
 * For messages that have no time their receipt is it.  The old types have the
 * tracker's own time; those from 20 on have UTC, whatever zone it logged in with.
 */
void
gt06_put_date(Session *session, const Gt06Message *m, Record *r, const unsigned char *p)
{
	const Gt06Session *state = session->state;

	r->has_event_time = p == NULL || gt06_read_date(p, &r->event_time_us);
	if (p == NULL)
		r->event_time_us = session->now_us;
	else if (r->has_event_time && m->type < 0x20)
		r->event_time_us -= (int64_t) state->zone_seconds * 1000000;
}

/* Ten bits of course; then north, west, valid, (none), ignition known, ignition on. */
void
gt06_put_course(Record *r, uint16_t word, uint32_t lat, uint32_t lon)
{
	int			course = word & 0x3ff;
	bool		valid = (word & 0x1000) != 0;

	if (valid)
	{
		r->latitude = lat / 1800000.0 * (word & 0x400 ? 1 : -1);
		r->longitude = lon / 1800000.0 * (word & 0x800 ? -1 : 1);
		if (course <= 360)
			r->heading_deg = course % 360;
	}
	BOOLEAN(r, "gps_valid", valid);
	if (word & 0x4000)
		BOOLEAN(r, "ignition", (word & 0x8000) != 0);
}

/* FIX_SIZE bytes; returns whether the ignition was known. */
bool
gt06_put_fix(Record *r, const unsigned char *p)
{
	uint16_t	word = gt06_u16(p + 10);

	/* Without satellites it is the last place, whatever the bit says. */
	if ((p[0] & 15) == 0)
		word &= (uint16_t) ~0x1000;
	gt06_put_course(r, word, gt06_u32(p + 1), gt06_u32(p + 5));
	if (word & 0x1000)
		r->speed_kmh = p[9];
	NUMBER(r, "satellites", p[0] & 15);
	return (word & 0x4000) != 0;
}

static double
big_endian(const unsigned char *p, size_t n)
{
	uint64_t	sum = 0;

	for (size_t i = 0; i < n; i++)
		sum = sum << 8 | p[i];
	return (double) sum;
}

void
gt06_put_cell_of(Record *r, unsigned mcc, unsigned mnc, double area, double cell)
{
	char		text[16];

	if (mcc == 0 || mcc > 999 || mnc > 999)
		return;
	gt06_put_copy(r, RECORD_STR("gsm_operator"), text, (size_t) snprintf(text, sizeof(text), "%03u%02u", mcc, mnc));
	NUMBER(r, "cell_lac", area);
	NUMBER(r, "cell_id", cell);
}

/*
 * Country, network (two bytes when the country's upper bit says so), area and
 * cell: two and three bytes, or four and eight.  Returns the bytes taken, 0
 * when there are not that many.
 */
size_t
gt06_put_cell(Record *r, const unsigned char *p, size_t n, bool wide)
{
	size_t		area = wide ? 4 : 2;
	size_t		cell = wide ? 8 : 3;
	size_t		network = n > 0 && p[0] & 0x80 ? 2 : 1;
	size_t		size = 2 + network + area + cell;

	if (n < size)
		return 0;
	gt06_put_cell_of(r, gt06_u16(p) & 0x7fff, network == 2 ? gt06_u16(p + 2) : p[2],
					 big_endian(p + 2 + network, area), big_endian(p + 2 + network + area, cell));
	return size;
}

void
gt06_put_alarm(Record *r, uint8_t code)
{
	static const struct
	{
		uint8_t		code;
		Str			name;
	}			alarms[] = {
		{0x01, RECORD_STR("sos")}, {0x02, RECORD_STR("power_cut")}, {0x03, RECORD_STR("vibration")},
		{0x04, RECORD_STR("geofence_enter")}, {0x05, RECORD_STR("geofence_exit")}, {0x06, RECORD_STR("overspeed")},
		{0x09, RECORD_STR("movement")}, {0x0a, RECORD_STR("gps_lost")}, {0x0b, RECORD_STR("gps_found")},
		{0x0c, RECORD_STR("power_on")}, {0x0d, RECORD_STR("gps_first_fix")},
		{0x0e, RECORD_STR("low_power")}, {0x0f, RECORD_STR("low_power_protection")},
		{0x10, RECORD_STR("sim_change")}, {0x11, RECORD_STR("power_off")}, {0x12, RECORD_STR("airplane_mode")},
		{0x13, RECORD_STR("tamper")}, {0x14, RECORD_STR("door")}, {0x15, RECORD_STR("low_battery_shutdown")},
		{0x16, RECORD_STR("sound")}, {0x17, RECORD_STR("false_base_station")}, {0x18, RECORD_STR("cover_open")},
		{0x19, RECORD_STR("low_battery")}, {0x20, RECORD_STR("deep_sleep")},
		{0x23, RECORD_STR("fall")}, {0x25, RECORD_STR("tamper")},
		{0x29, RECORD_STR("hard_acceleration")}, {0x2a, RECORD_STR("hard_left_turn")},
		{0x2b, RECORD_STR("hard_right_turn")}, {0x2c, RECORD_STR("collision")}, {0x30, RECORD_STR("hard_braking")},
		{0x32, RECORD_STR("unplugged")}, {0xfe, RECORD_STR("ignition_on")}, {0xff, RECORD_STR("ignition_off")}
	};
	char		text[16];

	if (code == 0)
		return;
	NUMBER(r, "alarm_code", code);
	if (code == 0x01)
		BOOLEAN(r, "sos", true);
	if (code == 0x13 || code == 0x25)
		BOOLEAN(r, "tamper", true);
	if (code == 0x2c)
		BOOLEAN(r, "crash", true);
	for (size_t i = 0; i < sizeof(alarms) / sizeof(alarms[0]); i++)
		if (alarms[i].code == code)
		{
			(void) !record_add_text(r, RECORD_STR("alarm"), alarms[i].name);
			return;
		}
	gt06_put_copy(r, RECORD_STR("alarm"), text, (size_t) snprintf(text, sizeof(text), "code_%u", code));
}

/* The byte of switches that heartbeats and alarms have. */
void
gt06_put_switches(Record *r, uint8_t info, bool ignition_known)
{
	if (!ignition_known)
		BOOLEAN(r, "ignition", (info & 2) != 0);
	BOOLEAN(r, "external_power", (info & 4) != 0);
	BOOLEAN(r, "fuel_cut", (info & 0x80) != 0);
	switch (info >> 3 & 7)
	{
		case 1:
			TEXT(r, "alarm", "vibration");
			break;
		case 2:
			TEXT(r, "alarm", "power_cut");
			break;
		case 3:
			TEXT(r, "alarm", "low_battery");
			break;
		case 4:
			TEXT(r, "alarm", "sos");
			BOOLEAN(r, "sos", true);
			break;
		case 6:
			TEXT(r, "alarm", "geofence");
			break;
		case 7:
			TEXT(r, "alarm", "removing");
			break;
	}
}

/* Levels of 0 to 6 and 0 to 4; some models send per cent instead. */
void
gt06_put_levels(Record *r, uint8_t voltage, uint8_t signal)
{
	if (voltage <= 6)
		NUMBER(r, "voltage_level", voltage);
	else if (voltage <= 100)
		NUMBER(r, "tracker_battery_percent", voltage);
	if (signal <= 4)
		NUMBER(r, "gsm_signal_percent", signal * 25);
	else if (signal <= 100)
		NUMBER(r, "gsm_signal_percent", signal);
}

void
gt06_put_altitude(Record *r, uint16_t word)
{
	int			metres = (int16_t) word;

	if (metres >= -500 && metres <= 20000)
		r->altitude_m = metres;
}

void
gt06_put_volts(Record *r, uint16_t hundredths)
{
	if (hundredths <= 10000)
		NUMBER(r, "external_voltage_v", hundredths / 100.0);
}

void
gt06_put_mileage(Record *r, const unsigned char *p)
{
	NUMBER(r, "odometer_km", gt06_u32(p) / 1000.0);
}

/*
 * Switches, levels, alarm, language; then, by model, the fence's number, the
 * mileage in metres, or both.  Switches and code may tell two alarms at once:
 * SOS goes before all others, else the code.
 */
void
gt06_put_status(Record *r, const unsigned char *p, size_t n, bool ignition_known, bool fenced)
{
	size_t		known = fenced && n > 5 ? 6 : 5;

	if (n < 5)
		return;
	gt06_put_switches(r, p[0], ignition_known);
	gt06_put_levels(r, p[1], p[2]);
	gt06_put_alarm(r, p[3]);
	if ((p[0] >> 3 & 7) == 4)
		TEXT(r, "alarm", "sos");
	if (known == 6 && (p[3] == 0x04 || p[3] == 0x05))
		NUMBER(r, "fence", p[5]);
	if (n == known + 4)
		gt06_put_mileage(r, p + known);
	else if (n > known)
		gt06_put_hex(r, RECORD_STR("gt06_rest"), p + known, n - known);
}

/* Of other models: switches, voltage of some scale, per cent, signal, alarm, language. */
void
gt06_put_percents(Record *r, const unsigned char *p, bool ignition_known)
{
	gt06_put_switches(r, p[0], ignition_known);
	if (p[2] <= 100)
		NUMBER(r, "tracker_battery_percent", p[2]);
	if (p[3] <= 100)
		NUMBER(r, "gsm_signal_percent", p[3]);
	gt06_put_alarm(r, p[4]);
}

void
gt06_put_hex(Record *r, Str name, const unsigned char *p, size_t n)
{
	char	   *hex;

	if (n == 0 || n > KEPT_MAX || (hex = record_scratch(r, 2 * n)) == NULL)
		return;
	tracker_to_hex(p, n, hex);
	(void) !record_add_text(r, name, (Str) {hex, (uint32_t) (2 * n)});
}

/* As text when it is one, else as hexadecimal digits. */
void
gt06_put_text(Record *r, Str name, const unsigned char *p, size_t n)
{
	while (n > 0 && (p[n - 1] == 0 || p[n - 1] == '\r' || p[n - 1] == '\n'))
		n--;
	for (size_t i = 0; i < n; i++)
		if (p[i] < ' ' && p[i] != '\r' && p[i] != '\n' && p[i] != '\t')
		{
			gt06_put_hex(r, name, p, n);
			return;
		}
	if (n == 0 || n > RECORD_TEXT_MAX || !buf_valid_utf8((const char *) p, n))
		gt06_put_hex(r, name, p, n);
	else
		gt06_put_copy(r, name, (const char *) p, n);
}
