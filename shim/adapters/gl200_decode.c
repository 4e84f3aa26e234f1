/*
 * gl200_decode.c
 *	  Queclink @Track: messages to records.
 *
 * Each model and firmware has field lists of its own, but the group that tells
 * a place has one form everywhere: so groups are looked for, what stands at
 * known places around them is read, and the rest is kept as it came.
 */
#include "gl200.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "plausible.h"
#include "tracker_text.h"

#define GROUP_BEFORE 6			/* accuracy to latitude, before the time of the fix */
#define CELL_AFTER 4			/* country, network, area, cell behind it */
#define DECIMALS_MIN 4			/* of an angle */
#define GROUPS_MAX 64
#define AHEAD_US 60000000		/* a time of sending beyond that is local time */
#define VIN_LENGTH 17

void
gl200_begin(Session *session, Decoded *out)
{
	record_reset(out->record);
	out->record->device = (Str) {session->device, (uint32_t) strlen(session->device)};
	out->record->received_at_us = session->now_us;
}

/* A signal beyond the limits of a record is not there; nothing else depends on it. */
static void
put_number(Record *r, Str name, double value)
{
	(void) !record_add_number(r, name, value);
}

static void
put_boolean(Record *r, Str name, bool value)
{
	(void) !record_add_boolean(r, name, value);
}

static void
put_text(Record *r, Str name, Str text)
{
	if (text.len > RECORD_TEXT_MAX)
		text.len = RECORD_TEXT_MAX;
	if (text.len > 0 && buf_valid_utf8(text.data, text.len))
		(void) !record_add_text(r, name, text);
}

#define NUMBER(r, name, value) put_number((r), RECORD_STR(name), (value))
#define BOOLEAN(r, name, value) put_boolean((r), RECORD_STR(name), (value))
#define TEXT(r, name, value) put_text((r), RECORD_STR(name), (value))

/* --- fields --- */

static double
number_of(Str field)
{
	double		value = NAN;

	(void) !tracker_number(field, &value);
	return value;
}

static bool
is_angle(Str field)
{
	const char *point = field.len > 0 ? memchr(field.data, '.', field.len) : NULL;

	return point != NULL && field.data + field.len - point > DECIMALS_MIN && !isnan(number_of(field));
}

static bool
is_date(Str field)
{
	int			unused;

	return field.len == 14 && tracker_digits(field.data, 7, &unused) && tracker_digits(field.data + 7, 7, &unused);
}

/* Is field i the time of a fix, with a place before it? */
static bool
is_group(const Gl200Message *m, int i)
{
	if (i < 3 + GROUP_BEFORE || !is_date(m->field[i]) || !is_angle(m->field[i - 1]) || !is_angle(m->field[i - 2]))
		return false;
	for (int k = i - GROUP_BEFORE; k < i - 2; k++)
		if (m->field[k].len > 0 && isnan(number_of(m->field[k])))
			return false;
	return true;
}

/* A vehicle identification number: the product stores none. */
static bool
is_vin(Str field)
{
	if (field.len != VIN_LENGTH)
		return false;
	for (uint32_t i = 0; i < field.len; i++)
		if (!isalnum((unsigned char) field.data[i]))
			return false;
	return true;
}

/* The fields a to b as they came, but for VINs; separators at the end are dropped. */
static Str
span(Record *r, const Gl200Message *m, int a, int b)
{
	size_t		size = a <= b ? (size_t) (m->field[b].data + m->field[b].len - m->field[a].data) + 1 : 0;
	char	   *text = size > 0 ? record_scratch(r, size) : NULL;
	size_t		n = 0;

	if (text == NULL)
		return (Str) {NULL, 0};
	for (int i = a; i <= b; i++)
	{
		if (i > a)
			text[n++] = ',';
		if (m->field[i].len == 0 || is_vin(m->field[i]))
			continue;
		memcpy(text + n, m->field[i].data, m->field[i].len);
		n += m->field[i].len;
	}
	while (n > 0 && text[n - 1] == ',')
		n--;
	record_scratch_trim(r, text, n);
	return (Str) {text, (uint32_t) n};
}

static bool
is_one_of(Str report, const char *names)
{
	const char *at = memmem(names, strlen(names), report.data, report.len);

	return at != NULL && (at - names) % 4 == 0;
}

/* --- pieces --- */

static void
put_cell(Record *r, const Gl200Message *m, int i)
{
	const Str  *cell = m->field + i + 1;
	uint64_t	lac;
	uint64_t	id;
	int			mcc;
	int			mnc;
	char	   *text;

	if (m->n - 2 - i <= CELL_AFTER || cell[0].len < 3 || cell[0].len > 4 || cell[1].len < 2 || cell[1].len > 4 ||
		!tracker_digits(cell[0].data, cell[0].len, &mcc) || !tracker_digits(cell[1].data, cell[1].len, &mnc) ||
		!tracker_hex(cell[2], &lac) || !tracker_hex(cell[3], &id) || mcc < 100 || mcc > 999 || mnc > 999)
		return;
	text = record_scratch(r, 6);
	if (text == NULL)
		return;
	for (int k = 2; k >= 0; k--, mcc /= 10)
		text[k] = (char) ('0' + mcc % 10);
	for (int k = mnc > 99 ? 5 : 4; k >= 3; k--, mnc /= 10)
		text[k] = (char) ('0' + mnc % 10);
	TEXT(r, "gsm_operator", ((Str) {text, cell[1].len > 2 && cell[1].data[cell[1].len - 3] != '0' ? 6u : 5u}));
	NUMBER(r, "cell_lac", (double) lac);
	NUMBER(r, "cell_id", (double) id);
}

/* "21": ignition on, at rest; 16 and 1A are those of a vehicle towed or shaken. */
static void
put_motion(Record *r, Str state)
{
	if (state.len < 2)
		return;
	if (state.data[0] == '1' || state.data[0] == '2')
		BOOLEAN(r, "ignition", state.data[0] == '2');
	if (state.data[1] == '1' || state.data[1] == '2')
		BOOLEAN(r, "movement", state.data[1] == '2');
	if (state.data[0] == '1' && state.data[1] == '6')
		BOOLEAN(r, "towing", true);
}

/* State, inputs and outputs, two digits each. */
static bool
put_status(Record *r, Str status)
{
	static const Str inputs[] = {
		RECORD_STR("digital_input_1"), RECORD_STR("digital_input_2"),
		RECORD_STR("digital_input_3"), RECORD_STR("digital_input_4")
	};
	static const Str outputs[] = {RECORD_STR("digital_output_1"), RECORD_STR("digital_output_2")};
	uint64_t	bits;

	if (status.len != 6 || !tracker_hex(status, &bits))
		return false;
	put_motion(r, status);
	for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++)
		put_boolean(r, inputs[i], (bits >> (8 + i) & 1) != 0);
	for (size_t i = 0; i < sizeof(outputs) / sizeof(outputs[0]); i++)
		put_boolean(r, outputs[i], (bits >> i & 1) != 0);
	return true;
}

static bool
put_percent(Record *r, Str field)
{
	double		value = number_of(field);

	if (isnan(value) || value < 0 || value > 100 || value != floor(value))
		return false;
	NUMBER(r, "tracker_battery_percent", value);
	return true;
}

static bool
has_point(Str field)
{
	return field.len > 0 && memchr(field.data, '.', field.len) != NULL;
}

/*
 * Newer models have two digits behind the cell whose bits say what follows: 1
 * satellites, 2 what triggered, 8 three dilutions, 10 jamming; then the mileage,
 * whose field is returned.
 */
static int
put_appended(Record *r, const Gl200Message *m, int at, int end)
{
	uint64_t	mask;
	int			k = at + 1;

	if (at >= end || m->field[at].len != 2 || !tracker_hex(m->field[at], &mask))
		return at;
	k += ((mask & 1) != 0) + ((mask & 2) != 0) + ((mask & 8) != 0 ? 3 : 0) + ((mask & 16) != 0);
	/* Where hours stand before the mileage, they may be empty. */
	if (k >= end || !(has_point(m->field[k]) || (m->field[k].len == 0 && k + 1 < end && has_point(m->field[k + 1]))))
		return at;
	if ((mask & 1) != 0 && number_of(m->field[at + 1]) >= 0)
		NUMBER(r, "satellites", number_of(m->field[at + 1]));
	return k;
}

/* "00079:19:15": hours of the engine. */
static bool
put_hours(Record *r, Str field)
{
	Str			rest = field;
	Str			part[3];
	int			number[3];
	int			n = 0;

	while (n < 3 && tracker_field(&rest, ':', &part[n]))
		n++;
	if (n < 3 || rest.data != NULL || part[1].len != 2 || part[2].len != 2)
		return false;
	for (int i = 0; i < 3; i++)
		if (part[i].len == 0 || !tracker_digits(part[i].data, part[i].len, &number[i]))
			return false;
	NUMBER(r, "engine_hours_h", number[0] + number[1] / 60.0 + number[2] / 3600.0);
	return true;
}

/* Behind the last group: mileage, then battery and status, or the battery last. */
static void
put_behind(Record *r, const Gl200Message *m, int i)
{
	int			end = m->n - 2; /* the time of sending */
	int			from = put_appended(r, m, i + 1 + CELL_AFTER, end);
	bool		found = false;

	for (int k = from; k < end && k < from + 3; k++)
		if (has_point(m->field[k]) && number_of(m->field[k]) >= 0)
		{
			NUMBER(r, "odometer_km", number_of(m->field[k]));
			break;
		}
	for (int k = from; k < end && k < from + 3; k++)
		if (put_hours(r, m->field[k]))
			break;
	for (int k = i + 2 + CELL_AFTER; k < end && !found; k++)
		if (put_status(r, m->field[k]))
		{
			found = true;
			if (k > i + 2 + CELL_AFTER)
				(void) !put_percent(r, m->field[k - 1]);
		}
	/* The short lists of portable trackers: ..., mileage, battery, time, count. */
	if (!found && end - i >= 3 + CELL_AFTER && end - i <= 5 + CELL_AFTER && is_one_of(m->report, "FRI,NMR,RTL,SOS,DOG,"))
		(void) !put_percent(r, m->field[end - 1]);
}

/* State of the device: identity of the SIM, voltages; places differ, forms do not. */
static void
put_information(Record *r, const Gl200Message *m)
{
	Str			state = m->n > 7 ? m->field[is_vin(m->field[3]) && m->field[4].len == 0 ? 5 : 4] : (Str) {NULL, 0};
	bool		external = false;
	int			battery = 0;

	if (state.len == 2 && !m->old)
		put_motion(r, state);
	for (int k = 5; k < m->n - 2; k++)
	{
		double		value = number_of(m->field[k]);

		/* Portable trackers have their level behind the time of the last fix, others a 0. */
		if (!m->old && state.len == 2 && state.data[0] == '4' && is_date(m->field[k - 1]) && value > 0)
			(void) !put_percent(r, m->field[k]);
		if (m->field[k].len >= 18 && m->field[k].len <= 20 && m->field[k].data[0] == '8')
			TEXT(r, "iccid", m->field[k]);
		else if (value >= 3 && value < 4.6 && memchr(m->field[k].data, '.', m->field[k].len) != NULL)
			battery = k;
	}
	if (battery == 0)
		return;
	NUMBER(r, "tracker_battery_v", number_of(m->field[battery]));
	for (int k = 8; k < battery && !external; k++)
	{
		double		value = number_of(m->field[k]);

		external = value >= 6000 && value <= 60000 && value == floor(value);
		if (external)
			NUMBER(r, "external_voltage_v", value / 1000);
	}
}

/* --- what happened --- */

/* "00": it was switched on; "01": off.  The first digit is that of the report. */
static void
put_ignition(Record *r, Str kind)
{
	if (kind.len == 2 && (kind.data[1] == '0' || kind.data[1] == '1'))
		BOOLEAN(r, "ignition", kind.data[1] == '0');
}

/* The field before a group, by name of the report. */
static void
put_event(Record *r, const Gl200Message *m, int group)
{
	static const struct
	{
		char		report[4];
		Str			alarm;
	}			alarms[] = {
		{"SOS", RECORD_STR("sos")}, {"TOW", RECORD_STR("tow")}, {"SPD", RECORD_STR("overspeed")},
		{"BPL", RECORD_STR("low_battery")}, {"MPF", RECORD_STR("power_cut")}, {"JDS", RECORD_STR("jamming")},
		{"JDR", RECORD_STR("jamming")}, {"PFA", RECORD_STR("power_off")}, {"PNA", RECORD_STR("power_on")},
		{"TEM", RECORD_STR("temperature")}, {"CRA", RECORD_STR("collision")}, {"DIS", RECORD_STR("input")},
		{"ANT", RECORD_STR("gps_antenna")}, {"LBP", RECORD_STR("low_battery")},
		{"TMP", RECORD_STR("temperature")}, {"EPF", RECORD_STR("power_cut")}, {"EPN", RECORD_STR("power_restored")},
		{"MPN", RECORD_STR("power_restored")}, {"SWG", RECORD_STR("geofence")}, {"GEO", RECORD_STR("geofence")},
		{"GIN", RECORD_STR("geofence_enter")}, {"GOT", RECORD_STR("geofence_exit")}, {"IDN", RECORD_STR("idling")},
		{"DAR", RECORD_STR("driver")}
	};
	static const Str harsh[] = {
		RECORD_STR("hard_braking"), RECORD_STR("hard_acceleration"), RECORD_STR("hard_cornering"),
		RECORD_STR("hard_braking"), RECORD_STR("hard_acceleration")	/* in a turn */
	};
	Str			before = group > 0 ? m->field[group - GROUP_BEFORE - 1] : (Str) {NULL, 0};

	for (size_t i = 0; i < sizeof(alarms) / sizeof(alarms[0]); i++)
		if (tracker_equals(m->report, alarms[i].report))
			put_text(r, RECORD_STR("alarm"), alarms[i].alarm);
	if (tracker_equals(m->report, "SOS"))
		BOOLEAN(r, "sos", true);
	if (tracker_equals(m->report, "TOW"))
		BOOLEAN(r, "towing", true);
	if (tracker_equals(m->report, "CRA"))
		BOOLEAN(r, "crash", true);
	if (is_one_of(m->report, "JDS,JDR,"))
		BOOLEAN(r, "jamming", !tracker_equals(m->report, "JDS") || !tracker_equals(before, "1"));
	if (is_one_of(m->report, "IGN,VGN,"))
		BOOLEAN(r, "ignition", true);
	if (is_one_of(m->report, "IGF,VGF,"))
		BOOLEAN(r, "ignition", false);
	if (is_one_of(m->report, "MPF,MPN,EPF,EPN,"))
		BOOLEAN(r, "external_power", is_one_of(m->report, "MPN,EPN,"));
	if (is_one_of(m->report, "STR,CTN,"))
		(void) !put_percent(r, before);
	if (tracker_equals(m->report, "IGL") && group > GROUP_BEFORE + 4)
		put_ignition(r, m->field[group - GROUP_BEFORE - 2]);
	if (is_one_of(m->report, "BTC,STC,"))
		BOOLEAN(r, "tracker_charging", tracker_equals(m->report, "BTC"));
	if (tracker_equals(m->report, "NMR") && m->n > 7 && (tracker_equals(m->field[5], "0") || tracker_equals(m->field[5], "1")))
		BOOLEAN(r, "movement", tracker_equals(m->field[5], "1"));
	if (tracker_equals(m->report, "STT"))
		put_motion(r, before);
	if (tracker_equals(m->report, "BPL") && number_of(before) > 2 && number_of(before) < 5)
		NUMBER(r, "tracker_battery_v", number_of(before));
	if (tracker_equals(m->report, "GEO") && group > GROUP_BEFORE + 4)
	{
		Str			kind = m->field[group - GROUP_BEFORE - 2];

		/* 01: into the first fence, 30: out of the fourth. */
		if (kind.len > 0 && (kind.data[kind.len - 1] == '0' || kind.data[kind.len - 1] == '1'))
			put_text(r, RECORD_STR("alarm"), kind.data[kind.len - 1] == '1' ? RECORD_STR("geofence_enter") : RECORD_STR("geofence_exit"));
	}
	if (tracker_equals(m->report, "HBM") && group > GROUP_BEFORE + 4)
	{
		Str			kind = m->field[group - GROUP_BEFORE - 2];

		/* 10 to 12 and so on: the first digit is the range of speed. */
		if (kind.len == 2 && kind.data[1] >= '0' && kind.data[1] <= '4')
			put_text(r, RECORD_STR("alarm"), harsh[kind.data[1] - '0']);
	}
	if (tracker_equals(m->report, "INF"))
		put_information(r, m);
}

/* --- records --- */

static void
put_group(Record *r, const Gl200Message *m, int i)
{
	int			motion = m->oldest ? i - 6 : i - 5;
	double		accuracy = number_of(m->field[m->oldest ? i - 3 : i - 6]);

	r->has_event_time = tracker_time_digits(m->field[i], &r->event_time_us);
	r->speed_kmh = number_of(m->field[motion]);
	r->heading_deg = number_of(m->field[motion + 1]);
	r->altitude_m = number_of(m->field[motion + 2]);
	/* What a device says that never had a fix is no place. */
	if (accuracy > 0 || number_of(m->field[i - 2]) != 0 || number_of(m->field[i - 1]) != 0)
	{
		r->longitude = number_of(m->field[i - 2]);
		r->latitude = number_of(m->field[i - 1]);
	}
	/* Its unit is the satellites' geometry, not metres. */
	if (!isnan(accuracy))
	{
		BOOLEAN(r, "gps_valid", accuracy > 0);
		if (accuracy > 0 && accuracy <= 100)
			NUMBER(r, "hdop", accuracy);
	}
	put_cell(r, m, i);
}

/* What stands outside of the groups: known signals, and the rest as it came. */
static void
put_common(Record *r, const Gl200Message *m, int first, int last)
{
	Str			name = m->field[3];
	int			begin = m->old ? 3 : 4;
	uint64_t	count;
	int			end = m->n - 3;			/* the last before the time of sending */

	if (m->kind == GL200_ANSWER)
	{
		TEXT(r, "command", m->report);
		TEXT(r, "command_result", span(r, m, 3, end));
		return;
	}
	TEXT(r, "event_type", m->report);
	if (m->kind == GL200_STORED)
		BOOLEAN(r, "buffered", true);
	TEXT(r, "protocol_version", m->field[1]);
	if (m->n > 5 && !m->old && !is_vin(name))
		TEXT(r, "device_name", name);
	put_event(r, m, last);
	if (last > 0 && !is_one_of(m->report, "CAN,OBD,DAT,"))
		put_behind(r, m, last);
	if (last > 0)
	{
		TEXT(r, "gl200_head", span(r, m, begin, first - GROUP_BEFORE - 1));
		TEXT(r, "gl200_rest", span(r, m, last + 1 + CELL_AFTER, end));
	}
	else
		TEXT(r, "gl200_rest", span(r, m, begin, end));
	if (is_date(m->field[m->n - 2]))
		TEXT(r, "send_time", m->field[m->n - 2]);
	if (m->field[m->n - 1].len == 4 && tracker_hex(m->field[m->n - 1], &count))
		NUMBER(r, "sequence", (double) count);
}

static void
emit(const Gl200Message *m, Decoded *out)
{
	Record	   *r = out->record;

	plausible(r);
	if (!r->has_event_time)
	{
		record_set_defect(r, "missing_field", RECORD_STR("event_time"));
		r->raw = (Str) {m->frame->data, (uint32_t) m->frame->length};
	}
	out->emit(out->emit_arg, r);
}

/* Without a place: when it was sent, or received if that is no time of the past. */
static void
put_send_time(Session *session, Record *r, const Gl200Message *m)
{
	r->has_event_time = true;
	if (!tracker_time_digits(m->field[m->n - 2], &r->event_time_us) ||
		r->event_time_us > session->now_us + AHEAD_US)
		r->event_time_us = session->now_us;
}

void
gl200_report(Session *session, const Gl200Message *m, Decoded *out)
{
	int			groups[GROUPS_MAX];
	int			n = 0;

	for (int i = 0; i < m->n - 1 && n < GROUPS_MAX; i++)
		if (m->kind != GL200_ANSWER && is_group(m, i))
			groups[n++] = i;
	for (int i = 0; i < n; i++)
	{
		gl200_begin(session, out);
		put_group(out->record, m, groups[i]);
		/* They are oldest first: what the message says besides is of the last. */
		if (i == n - 1)
			put_common(out->record, m, groups[0], groups[i]);
		emit(m, out);
	}
	if (n > 0)
		return;
	gl200_begin(session, out);
	put_send_time(session, out->record, m);
	put_common(out->record, m, 0, 0);
	emit(m, out);
}
