/*
 * columns.c
 *	  What the columns of recorded tracks mean.
 */
#include "columns.h"
#include "timeparse.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define KMH_PER_MPH 1.609344
#define KMH_PER_MS 3.6
#define LARGEST_EXACT_INTEGER 9007199254740992.0

/* The likeliest name of a role first. */
static const struct
{
	ColumnRole	role;
	const char *label;
	const char *names[16];
}			guesses[] = {
	{COLUMN_VEHICLE, "vehicle", {"vehicle_id", "unique_vehicle_id", "vehicleid", "device", "device_id", "deviceid",
		"imei", "unit", "unit_id", "vehicle", "vehicle_number", "veh", "bus", "id"}},
	{COLUMN_TIME, "time", {"event_time", "timestamp", "tst", "datetime", "date_time", "gps_time", "gpstime",
		"fix_time", "fixtime", "tsi", "ts", "time", "date"}},
	{COLUMN_LATITUDE, "latitude", {"latitude", "lat", "location_lat", "location_latitude", "gps_lat", "pos_lat"}},
	{COLUMN_LONGITUDE, "longitude", {"longitude", "lon", "lng", "long", "location_lon", "location_lng",
		"location_longitude", "gps_lon", "pos_lon"}},
	{COLUMN_ALTITUDE, "altitude", {"altitude_m", "altitude", "alt", "elevation", "ele", "location_altitude"}},
	{COLUMN_ACCURACY, "accuracy", {"accuracy_m", "accuracy", "acc", "location_accuracy"}},
	{COLUMN_SPEED, "speed", {"speed_kmh", "speed_mph", "speed_ms", "speed", "spd", "velocity", "vehicle_speed",
		"gps_speed", "gpsspeed", "motion_speed_kmh"}},
	{COLUMN_HEADING, "heading", {"heading_deg", "heading", "hdg", "bearing", "course", "azimuth", "motion_heading"}},
};

/* Signals that have a well-known name under another one. */
static const struct
{
	const char *name;
	const char *field;
}			renames[] = {
	{"soc", "battery_percent"}, {"battery_level", "battery_percent"}, {"odometer", "odometer_km"},
	{"rpm", "engine_rpm"}, {"engine_rpm", "engine_rpm"},
	{"coolant_temperature", "coolant_temp_c"}, {"fuel_tank", "fuel_percent"}, {"fuel_level", "fuel_percent"},
	{"throttle", "throttle_percent"}, {"engine_load", "engine_load_percent"}, {"intake_air_temp", "intake_temp_c"},
	{"intake_manifold_pressure", "intake_pressure_kpa"}, {"ignition", "ignition"}
};

/* Names that mean something at the top level of a document. */
static const char *const reserved[] = {
	"device", "vehicle_id", "event_time", "timestamp", "schema_version", "latitude", "longitude", "altitude_m",
	"accuracy_m", "speed_kmh", "heading_deg", "location", "battery", "motion", "vehicle_status", "diagnostics",
	"received_at"
};

/* Well-known signals that are texts even where they look like numbers. */
static const char *const texts[] = {
	"trip_id", "error_codes", "driver_id", "event_type", "alarm", "charge_state", "gsm_operator", "firmware", "route", "stop_id"
};

void
columns_init(Columns *c)
{
	memset(c, 0, sizeof(*c));
}

/* A name that the document may carry: [A-Za-z_][A-Za-z0-9_]*, at most 63. */
static char *
field_name(const char *name)
{
	char		field[64];
	size_t		len = 0;

	for (size_t i = 0; i < sizeof(renames) / sizeof(renames[0]); i++)
		if (strcasecmp(name, renames[i].name) == 0)
			return xstrdup(renames[i].field);
	if (isdigit((unsigned char) *name) || !*name)
		field[len++] = '_';
	for (const char *p = name; *p && len < sizeof(field) - 8; p++)
		field[len++] = isalnum((unsigned char) *p) ? *p : '_';
	field[len] = '\0';
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
		if (strcmp(field, reserved[i]) == 0)
			strcat(field, "_value");
	return xstrdup(field);
}

Column *
columns_get(Columns *c, const char *name)
{
	Column	   *column;

	for (int i = 0; i < c->count; i++)
		if (strcmp(c->list[i].name, name) == 0)
			return &c->list[i];
	if (c->count == COLUMNS_MAX)
		die("more than %d columns", COLUMNS_MAX);
	column = &c->list[c->count++];
	*column = (Column) {.name = xstrdup(name), .field = field_name(name), .scale = 1};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (strcmp(column->field, texts[i]) == 0)
			column->as_text = true;
	return column;
}

static Column *
column_of_role(const Columns *c, ColumnRole role)
{
	for (int i = 0; i < c->count; i++)
		if (c->list[i].role == role)
			return (Column *) &c->list[i];
	return NULL;
}

static Column *
column_named(const Columns *c, const char *name)
{
	for (int i = 0; i < c->count; i++)
		if (strcasecmp(c->list[i].name, name) == 0)
			return (Column *) &c->list[i];
	return NULL;
}

static void
guess_role(Columns *c, ColumnRole role, const char *const *names)
{
	if (column_of_role(c, role))
		return;
	if (role == COLUMN_VEHICLE && c->vehicle)
		return;
	for (; *names; names++)
	{
		Column	   *column = column_named(c, *names);

		if (!column || column->told)
			continue;
		/* Helsinki's format has "acc" beside "spd": acceleration, not accuracy */
		if (strcasecmp(*names, "acc") == 0 && column_named(c, "spd"))
		{
			free(column->field);
			column->field = xstrdup("acceleration_x_ms2");
			continue;
		}
		column->role = role;
		return;
	}
}

void
columns_guess(Columns *c)
{
	Column	   *speed;
	Column	   *time;
	Column	   *date;

	for (size_t i = 0; i < sizeof(guesses) / sizeof(guesses[0]); i++)
		guess_role(c, guesses[i].role, guesses[i].names);

	time = column_of_role(c, COLUMN_TIME);
	date = column_named(c, "date");
	if (time && strcasecmp(time->name, "time") == 0 && date && !date->told && !column_of_role(c, COLUMN_DATE))
		date->role = COLUMN_DATE;

	speed = column_of_role(c, COLUMN_SPEED);
	if (speed && !speed->told)
	{
		if (c->speed_scale > 0)
			speed->scale = c->speed_scale;
		else if (strcasecmp(speed->name, "speed_mph") == 0)
			speed->scale = KMH_PER_MPH;
		else if (strcasecmp(speed->name, "speed_ms") == 0 || strcasecmp(speed->name, "spd") == 0)
			speed->scale = KMH_PER_MS;
	}
	else if (speed && c->speed_scale > 0)
		speed->scale = c->speed_scale;
	if (!column_of_role(c, COLUMN_VEHICLE) && !c->vehicle)
		die("no column tells the vehicle; say --vehicle-column NAME or --vehicle NAME");
	if (!time)
		die("no column tells the time; say --time-column NAME");
}

void
columns_print(const Columns *c)
{
	fputs("columns:", stderr);
	for (size_t i = 0; i < sizeof(guesses) / sizeof(guesses[0]); i++)
	{
		const Column *column = column_of_role(c, guesses[i].role);
		const Column *date = guesses[i].role == COLUMN_TIME ? column_of_role(c, COLUMN_DATE) : NULL;

		if (!column)
			continue;
		fprintf(stderr, " %s=%s%s%s", guesses[i].label, date ? date->name : "", date ? "+" : "", column->name);
		if (column->scale != 1)
			fprintf(stderr, "*%g", column->scale);
	}
	fputs("; signals:", stderr);
	for (int i = 0; i < c->count; i++)
		if (c->list[i].role == COLUMN_SIGNAL)
		{
			fprintf(stderr, " %s", c->list[i].name);
			if (strcmp(c->list[i].name, c->list[i].field) != 0)
				fprintf(stderr, "(%s)", c->list[i].field);
		}
	fputc('\n', stderr);
}

/* A decimal number, the whole text; no hexadecimal, no "inf". */
static bool
parse_number(const char *text, double *value)
{
	char	   *end;

	if (!*text || strspn(text, "0123456789+-.eE") != strlen(text))
		return false;
	*value = strtod(text, &end);
	return *end == '\0' && end != text && isfinite(*value);
}

/* "007" and numbers too long for a double are names, not quantities. */
static bool
is_quantity(const char *text, double *value)
{
	const char *digits = text + (*text == '-');

	if (digits[0] == '0' && isdigit((unsigned char) digits[1]))
		return false;
	return parse_number(text, value) && fabs(*value) < LARGEST_EXACT_INTEGER;
}

static bool
is_null(const Column *column, const char *text)
{
	double		a,
				b;

	if (!*text)
		return true;
	if (!column->null_value)
		return false;
	if (strcmp(text, column->null_value) == 0)
		return true;
	return parse_number(text, &a) && parse_number(column->null_value, &b) && a == b;
}

static void
add_signal(Message *m, const Column *column, const char *text)
{
	double		value;

	if (!column->as_text && is_quantity(text, &value))
		message_add_number(m, column->field, value * column->scale);
	else if (!column->as_text && strcasecmp(text, "true") == 0)
		message_add_boolean(m, column->field, true);
	else if (!column->as_text && strcasecmp(text, "false") == 0)
		message_add_boolean(m, column->field, false);
	else
		message_add_text(m, column->field, text);
}

/* A field of the document proper; what is no number goes along as the text it is. */
static bool
set_number(Message *m, double *target, const char *field, const Column *column, const char *text)
{
	if (parse_number(text, target))
	{
		*target *= column->scale;
		return true;
	}
	*target = NAN;
	message_add_text(m, field, text);
	return false;
}

RowResult
columns_message(const Columns *c, char *const *values, Buffer *scratch, Message *m)
{
	const char *date = NULL;
	const char *time = NULL;
	bool		good = true;

	message_clear(m);
	if (c->vehicle)
		snprintf(m->device, sizeof(m->device), "%s", c->vehicle);
	for (int i = 0; i < c->count; i++)
	{
		const Column *column = &c->list[i];
		const char *text = values[i];

		if (!text || column->role == COLUMN_SKIPPED || is_null(column, text))
			continue;
		switch (column->role)
		{
			case COLUMN_VEHICLE:
				snprintf(m->device, sizeof(m->device), "%s", text);
				break;
			case COLUMN_TIME:
				time = text;
				break;
			case COLUMN_DATE:
				date = text;
				break;
			case COLUMN_LATITUDE:
				good &= set_number(m, &m->latitude, "latitude", column, text);
				break;
			case COLUMN_LONGITUDE:
				good &= set_number(m, &m->longitude, "longitude", column, text);
				break;
			case COLUMN_ALTITUDE:
				good &= set_number(m, &m->altitude_m, "altitude_m", column, text);
				break;
			case COLUMN_ACCURACY:
				good &= set_number(m, &m->accuracy_m, "accuracy_m", column, text);
				break;
			case COLUMN_SPEED:
				good &= set_number(m, &m->speed_kmh, "speed_kmh", column, text);
				break;
			case COLUMN_HEADING:
				good &= set_number(m, &m->heading_deg, "heading_deg", column, text);
				break;
			default:
				add_signal(m, column, text);
		}
	}

	if (date)
	{
		scratch->len = 0;
		buffer_printf(scratch, "%s%s%s", date, time ? " " : "", time ? time : "");
		buffer_add_char(scratch, '\0');
		time = scratch->data;
	}
	if (!time || !time_parse(time, c->time_format, &m->time_us))
	{
		if (time)
			message_add_text(m, "event_time", time);
		m->time_us = MESSAGE_NO_TIME;
		good = false;
	}
	return good && m->device[0] ? ROW_GOOD : ROW_BAD_FIELD;
}
