/*
 * encode_json.c
 *	  A message as the bytes of a JSON document.
 *
 * Numbers are printed by hand where the decimals are known: printf would cost
 * more than everything else the simulator does.
 */
#include "encode_json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void
put_digits(char *out, int digits, unsigned value)
{
	for (int i = digits; i-- > 0; value /= 10)
		out[i] = '0' + value % 10;
}

void
encode_timestamp(char *out, int64_t time_us)
{
	/* Reports come in nearly ascending order: the same second again and again. */
	static int64_t cached_second = -1;
	static char cached[TIMESTAMP_LENGTH + 1];
	int64_t		second = time_us / US_PER_S;

	if (second != cached_second)
	{
		time_t		t = second;
		struct tm	tm;

		gmtime_r(&t, &tm);
		put_digits(cached, 4, tm.tm_year + 1900);
		put_digits(cached + 5, 2, tm.tm_mon + 1);
		put_digits(cached + 8, 2, tm.tm_mday);
		put_digits(cached + 11, 2, tm.tm_hour);
		put_digits(cached + 14, 2, tm.tm_min);
		put_digits(cached + 17, 2, tm.tm_sec);
		cached[4] = cached[7] = '-';
		cached[10] = 'T';
		cached[13] = cached[16] = ':';
		cached[19] = '.';
		cached[23] = 'Z';
		cached_second = second;
	}
	memcpy(out, cached, TIMESTAMP_LENGTH);
	put_digits(out + 20, 3, (unsigned) (time_us / US_PER_MS % 1000));
}

/* A number of at most `decimals` decimals, trailing zeros dropped. */
static void
add_decimal(Buffer *out, double value, int decimals)
{
	static const int64_t powers[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000};
	char		text[32];
	char	   *p = text + sizeof(text);
	int64_t		n = llround(value * (double) powers[decimals]);
	bool		negative = n < 0;
	bool		fraction = false;

	if (negative)
		n = -n;
	for (int i = 0; i < decimals; i++, n /= 10)
	{
		if (n % 10 || fraction)
		{
			*--p = '0' + n % 10;
			fraction = true;
		}
	}
	if (fraction)
		*--p = '.';
	do
		*--p = '0' + n % 10;
	while (n /= 10);
	if (negative)
		*--p = '-';
	buffer_add(out, p, text + sizeof(text) - p);
}

/* The shortest text that gives the same double again. */
static void
add_number(Buffer *out, double value)
{
	char		text[32];

	if (value == floor(value) && fabs(value) < 1e15)
		snprintf(text, sizeof(text), "%.0f", value);
	else
		for (int precision = 15; precision <= 17; precision++)
		{
			snprintf(text, sizeof(text), "%.*g", precision, value);
			if (strtod(text, NULL) == value)
				break;
		}
	buffer_add_string(out, text);
}

static void
add_text(Buffer *out, const char *text)
{
	buffer_add_char(out, '"');
	for (const unsigned char *p = (const unsigned char *) text; *p; p++)
	{
		if (*p == '"' || *p == '\\')
		{
			buffer_add_char(out, '\\');
			buffer_add_char(out, *p);
		}
		else if (*p < 0x20)
			buffer_printf(out, "\\u%04x", *p);
		else
			buffer_add_char(out, *p);
	}
	buffer_add_char(out, '"');
}

static void
add_name(Buffer *out, bool comma, const char *name)
{
	buffer_add(out, ",\"" + !comma, 1 + comma);
	buffer_add_string(out, name);
	buffer_add(out, "\":", 2);
}

void
encode_text_member(Buffer *out, bool comma, const char *name, const char *text)
{
	add_name(out, comma, name);
	add_text(out, text);
}

static void
add_timestamp_member(Buffer *out, const char *name, int64_t time_us)
{
	char		text[TIMESTAMP_LENGTH];

	if (time_us == MESSAGE_NO_TIME)
		return;
	encode_timestamp(text, time_us);
	add_name(out, true, name);
	buffer_add_char(out, '"');
	buffer_add(out, text, sizeof(text));
	buffer_add_char(out, '"');
}

/* Error codes travel as an array of strings. */
static void
add_codes(Buffer *out, const char *codes)
{
	buffer_add_char(out, '[');
	for (bool first = true; *codes; first = false)
	{
		size_t		len = strcspn(codes, ",");

		if (!first)
			buffer_add_char(out, ',');
		buffer_add_char(out, '"');
		buffer_add(out, codes, len);
		buffer_add_char(out, '"');
		codes += len + (codes[len] == ',');
	}
	buffer_add_char(out, ']');
}

/* Where the reference document keeps what is a signal of its own name in the database. */
typedef struct Slot
{
	const char *group;			/* NULL: top level */
	const char *subgroup;
	const char *member;
	const char *signal;
	int			decimals;
} Slot;

static const Slot slots[] = {
	{"battery", NULL, "percent", "battery_percent", 2},
	{"battery", NULL, "voltage", "battery_voltage_v", 1},
	{"battery", NULL, "current", "battery_current_a", 1},
	{"battery", NULL, "temperature", "battery_temp_c", 1},
	{"battery", NULL, "charging", "charging", 0},
	{"motion", "acceleration", "x", "acceleration_x_ms2", 1},
	{"motion", "acceleration", "y", "acceleration_y_ms2", 1},
	{"motion", "acceleration", "z", "acceleration_z_ms2", 1},
	{"vehicle_status", NULL, "locked", "locked", 0},
	{"vehicle_status", NULL, "in_use", "in_use", 0},
	{"vehicle_status", NULL, "trip_id", "trip_id", 0},
	{"diagnostics", NULL, "odometer_km", "odometer_km", 1},
	{"diagnostics", NULL, "error_codes", "error_codes", 0},
	{"diagnostics", NULL, "last_maintenance_km", "last_maintenance_km", 1},
};

/* Signals come in the order of slots, so the search goes on where it stopped. */
static const Slot *
find_slot(const char *signal, int *hint)
{
	int			count = sizeof(slots) / sizeof(slots[0]);

	for (int i = 0; i < count; i++)
	{
		const Slot *s = &slots[(*hint + i) % count];

		if (strcmp(s->signal, signal) == 0)
		{
			*hint = (s - slots + 1) % count;
			return s;
		}
	}
	return NULL;
}

static bool
same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static void
add_location(Buffer *out, const Message *m)
{
	add_name(out, true, "location");
	buffer_add_string(out, "{\"lat\":");
	add_decimal(out, m->latitude, 7);
	buffer_add_string(out, ",\"lon\":");
	add_decimal(out, m->longitude, 7);
	buffer_add_string(out, ",\"altitude\":");
	add_decimal(out, m->altitude_m, 1);
	buffer_add_string(out, ",\"accuracy\":");
	add_decimal(out, m->accuracy_m, 1);
	buffer_add_char(out, '}');
}

void
encode_reference(Buffer *out, const Message *m)
{
	const char *group = NULL;
	const char *subgroup = NULL;
	bool		comma = true;
	int			hint = 0;

	buffer_add_string(out, "{\"vehicle_id\":");
	buffer_add_string(out, m->device);
	add_timestamp_member(out, "timestamp", m->time_us);
	add_location(out, m);

	for (int i = 0; i < m->signal_count; i++)
	{
		const MessageSignal *s = &m->signals[i];
		const Slot *slot = find_slot(s->name, &hint);
		const char *new_group = slot ? slot->group : NULL;
		const char *new_subgroup = slot ? slot->subgroup : NULL;

		if (!same(subgroup, new_subgroup) && subgroup)
			buffer_add_char(out, '}');
		if (!same(group, new_group))
		{
			if (group)
				buffer_add_char(out, '}');
			comma = true;
			if (new_group)
			{
				add_name(out, true, new_group);
				buffer_add_char(out, '{');
				comma = false;
			}
			if (same(new_group, "motion"))
			{
				buffer_add_string(out, "\"speed_kmh\":");
				add_decimal(out, m->speed_kmh, 1);
				buffer_add_string(out, ",\"heading\":");
				add_decimal(out, m->heading_deg, 1);
				comma = true;
			}
		}
		if (!same(subgroup, new_subgroup) && new_subgroup)
		{
			add_name(out, comma, new_subgroup);
			buffer_add_char(out, '{');
			comma = false;
		}
		group = new_group;
		subgroup = new_subgroup;

		add_name(out, comma, slot ? slot->member : s->name);
		comma = true;
		if (s->kind == MESSAGE_BOOLEAN)
			buffer_add_string(out, s->number ? "true" : "false");
		else if (s->kind == MESSAGE_NUMBER)
			add_decimal(out, s->number, slot ? slot->decimals : 3);
		else if (strcmp(s->name, "error_codes") == 0)
			add_codes(out, s->text);
		else
			add_text(out, s->text);
	}
	if (subgroup)
		buffer_add_char(out, '}');
	if (group)
		buffer_add_char(out, '}');
	buffer_add_char(out, '}');
}

void
encode_flat(Buffer *out, const Message *m)
{
	const struct
	{
		const char *name;
		double		value;
	}			numbers[] = {
		{"latitude", m->latitude}, {"longitude", m->longitude},
		{"altitude_m", m->altitude_m}, {"accuracy_m", m->accuracy_m},
		{"speed_kmh", m->speed_kmh}, {"heading_deg", m->heading_deg}
	};

	buffer_add_char(out, '{');
	encode_text_member(out, false, "device", m->device);
	add_timestamp_member(out, "event_time", m->time_us);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (!isnan(numbers[i].value))
		{
			add_name(out, true, numbers[i].name);
			add_number(out, numbers[i].value);
		}
	for (int i = 0; i < m->signal_count; i++)
	{
		const MessageSignal *s = &m->signals[i];

		add_name(out, true, s->name);
		if (s->kind == MESSAGE_BOOLEAN)
			buffer_add_string(out, s->number ? "true" : "false");
		else if (s->kind == MESSAGE_NUMBER)
			add_number(out, s->number);
		else
			add_text(out, s->text);
	}
	buffer_add_char(out, '}');
}
