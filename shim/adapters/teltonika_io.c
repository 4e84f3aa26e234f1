/*
 * teltonika_io.c
 *	  IO elements of Teltonika trackers: their signals' names, scales and kinds.
 *
 * An element is known by id and width: where a family of devices uses an id for
 * something else, the width differs most of the time, and the raw value is kept
 * as io_NNN.  So is one outside the range of its signal: devices tell "not
 * available" by the largest value, and one signal out of its range would take the
 * whole report to quarantine.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "teltonika.h"
#include "tracker_text.h"

#define BUILT_IN_IDS 512		/* ids of the built-in table are below */
#define EXACT_MAX (UINT64_C(1) << 53)	/* numbers up to here are exact */
#define MILLI_G 0.00980665		/* m/s2 */

/* *INDENT-OFF* */
static const TeltonikaIo built_in[] = {
	{1, 1, TELTONIKA_BOOLEAN, 1, "digital_input_1", 0, 0},
	{2, 1, TELTONIKA_BOOLEAN, 1, "digital_input_2", 0, 0},
	{3, 1, TELTONIKA_BOOLEAN, 1, "digital_input_3", 0, 0},
	{4, 1, TELTONIKA_BOOLEAN, 1, "digital_input_4", 0, 0},
	{6, 2, TELTONIKA_NUMBER, 0.001, "analog_input_2_v", -100, 100},
	{9, 2, TELTONIKA_NUMBER, 0.001, "analog_input_1_v", -100, 100},
	{12, 4, TELTONIKA_NUMBER, 0.001, "fuel_used_l", 0, 10000000},
	{13, 2, TELTONIKA_NUMBER, 0.01, "fuel_consumption_l100km", 0, 500},
	{16, 4, TELTONIKA_NUMBER, 0.001, "odometer_km", 0, 5000000},
	{17, 2, TELTONIKA_SIGNED, MILLI_G, "acceleration_x_ms2", -200, 200},
	{18, 2, TELTONIKA_SIGNED, MILLI_G, "acceleration_y_ms2", -200, 200},
	{19, 2, TELTONIKA_SIGNED, MILLI_G, "acceleration_z_ms2", -200, 200},
	{21, 1, TELTONIKA_NUMBER, 20, "gsm_signal_percent", 0, 100},
	{30, 1, TELTONIKA_NUMBER, 1, "dtc_count", 0, 1000},
	{31, 1, TELTONIKA_NUMBER, 1, "engine_load_percent", 0, 100},
	{32, 1, TELTONIKA_SIGNED, 1, "coolant_temp_c", -40, 215},
	{33, 1, TELTONIKA_SIGNED, 1, "short_fuel_trim_percent", -100, 100},
	{35, 1, TELTONIKA_NUMBER, 1, "intake_pressure_kpa", 0, 700},
	{36, 2, TELTONIKA_NUMBER, 1, "engine_rpm", 0, 20000},
	{37, 1, TELTONIKA_NUMBER, 1, "obd_speed_kmh", 0, 350},
	{38, 1, TELTONIKA_SIGNED, 1, "timing_advance_deg", -64, 64},
	{39, 1, TELTONIKA_SIGNED, 1, "intake_temp_c", -40, 215},
	{40, 2, TELTONIKA_NUMBER, 0.01, "maf_gs", 0, 2000},
	{41, 1, TELTONIKA_NUMBER, 1, "throttle_percent", 0, 100},
	{42, 2, TELTONIKA_NUMBER, 1, "runtime_s", 0, 1000000},
	{43, 2, TELTONIKA_NUMBER, 1, "distance_with_mil_km", 0, 65535},
	{48, 1, TELTONIKA_NUMBER, 1, "fuel_percent", 0, 100},
	{50, 1, TELTONIKA_NUMBER, 1, "barometric_pressure_kpa", 0, 255},
	{53, 1, TELTONIKA_SIGNED, 1, "ambient_temp_c", -90, 85},
	{58, 1, TELTONIKA_NUMBER, 1, "oil_temp_c", -40, 260},
	{60, 2, TELTONIKA_NUMBER, 0.01, "fuel_rate_lh", 0, 1000},
	{66, 2, TELTONIKA_NUMBER, 0.001, "external_voltage_v", 0, 100},
	{67, 2, TELTONIKA_NUMBER, 0.001, "tracker_battery_v", 0, 30},
	{70, 4, TELTONIKA_SIGNED, 0.1, "tracker_temp_c", -60, 150},
	{78, 8, TELTONIKA_HEX, 1, "driver_id", 0, 0},
	{81, 1, TELTONIKA_NUMBER, 1, "obd_speed_kmh", 0, 350},
	{82, 1, TELTONIKA_NUMBER, 1, "accelerator_percent", 0, 100},
	{83, 4, TELTONIKA_NUMBER, 0.1, "fuel_used_l", 0, 10000000},
	{84, 2, TELTONIKA_NUMBER, 0.1, "fuel_l", 0, 5000},
	{85, 2, TELTONIKA_NUMBER, 1, "engine_rpm", 0, 20000},
	{89, 1, TELTONIKA_NUMBER, 1, "fuel_percent", 0, 100},
	{110, 2, TELTONIKA_NUMBER, 0.1, "fuel_rate_lh", 0, 1000},
	{113, 1, TELTONIKA_NUMBER, 1, "tracker_battery_percent", 0, 100},
	{115, 2, TELTONIKA_SIGNED, 0.1, "coolant_temp_c", -40, 215},
	{179, 1, TELTONIKA_BOOLEAN, 1, "digital_output_1", 0, 0},
	{180, 1, TELTONIKA_BOOLEAN, 1, "digital_output_2", 0, 0},
	{181, 2, TELTONIKA_NUMBER, 0.1, "pdop", 0, 100},
	{182, 2, TELTONIKA_NUMBER, 0.1, "hdop", 0, 100},
	{199, 4, TELTONIKA_NUMBER, 0.001, "trip_distance_km", 0, 100000},
	{239, 1, TELTONIKA_BOOLEAN, 1, "ignition", 0, 0},
	{240, 1, TELTONIKA_BOOLEAN, 1, "movement", 0, 0},
	{241, 4, TELTONIKA_DECIMAL, 1, "gsm_operator", 0, 0},
	{246, 1, TELTONIKA_BOOLEAN, 1, "towing", 0, 0},
	{247, 1, TELTONIKA_BOOLEAN, 1, "crash", 0, 0},
	{249, 1, TELTONIKA_BOOLEAN, 1, "jamming", 0, 0},
	{252, 1, TELTONIKA_NOT, 1, "external_power", 0, 0},
	/* The vehicle's VIN, here and in 325: the product stores none. */
	{256, 0, TELTONIKA_DROP, 1, "vin", 0, 0},
	{281, 0, TELTONIKA_TEXT, 1, "error_codes", 0, 0},
	{325, 0, TELTONIKA_DROP, 1, "vin", 0, 0}
};

static const TeltonikaIo built_in7[] = {
	{1, 1, TELTONIKA_NUMBER, 1, "tracker_battery_percent", 0, 100},
	{20, 1, TELTONIKA_NUMBER, 0.1, "hdop", 0, 100},
	{21, 1, TELTONIKA_NUMBER, 0.1, "vdop", 0, 100},
	{22, 1, TELTONIKA_NUMBER, 0.1, "pdop", 0, 100},
	{67, 2, TELTONIKA_NUMBER, 0.001, "tracker_battery_v", 0, 30},
	{222, 1, TELTONIKA_BOOLEAN, 1, "sos", 0, 0},
	{240, 1, TELTONIKA_BOOLEAN, 1, "movement", 0, 0}
};
/* *INDENT-ON* */

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static TeltonikaIo *extra;		/* by id, then as given */
static size_t nextra;
static char *extra_names;
static const TeltonikaIo *by_id[BUILT_IN_IDS];
static const TeltonikaIo *by_id7[256];
static bool prepared;

static void
prepare(void)
{
	for (size_t i = 0; i < LENGTH(built_in); i++)
		by_id[built_in[i].id] = &built_in[i];
	for (size_t i = 0; i < LENGTH(built_in7); i++)
		by_id7[built_in7[i].id] = &built_in7[i];
	prepared = true;
}

static int
compare_ids(const void *a, const void *b)
{
	const TeltonikaIo *x = a;
	const TeltonikaIo *y = b;

	return x->id != y->id ? (x->id < y->id ? -1 : 1) : (x->width > y->width) - (x->width < y->width);
}

static bool
is_name(const char *name)
{
	size_t		n = strlen(name);

	if (n < 1 || n > RECORD_NAME_MAX || (name[0] >= '0' && name[0] <= '9'))
		return false;
	return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == n;
}

bool
teltonika_row_valid(const TeltonikaIo *row)
{
	return is_name(row->name) && isfinite(row->scale) && row->kind <= TELTONIKA_DROP;
}

bool
teltonika_extend(const TeltonikaIo *rows, size_t nrows)
{
	size_t		size = 0;
	TeltonikaIo *copy = NULL;
	char	   *names = NULL;
	char	   *next;

	if (nrows > TELTONIKA_EXTRA_MAX)
		return false;
	for (size_t i = 0; i < nrows; i++)
	{
		if (!teltonika_row_valid(&rows[i]))
			return false;
		size += strlen(rows[i].name) + 1;
	}
	if (nrows > 0)
	{
		copy = malloc(nrows * sizeof(*copy));
		names = malloc(size);
		if (copy == NULL || names == NULL)
		{
			free(copy);
			free(names);
			return false;
		}
		next = names;
		for (size_t i = 0; i < nrows; i++)
		{
			copy[i] = rows[i];
			copy[i].name = strcpy(next, rows[i].name);
			next += strlen(next) + 1;
		}
		qsort(copy, nrows, sizeof(*copy), compare_ids);
	}
	free(extra);
	free(extra_names);
	extra = copy;
	extra_names = names;
	nextra = nrows;
	return true;
}

/* Its row; width -1: whichever. */
static const TeltonikaIo *
lookup(bool codec7, unsigned id, int width)
{
	const TeltonikaIo *row;
	size_t		low = 0;
	size_t		high = nextra;

	while (low < high)
	{
		size_t		middle = low + (high - low) / 2;

		if (extra[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < nextra && extra[low].id == id; low++)
		if (width < 0 || extra[low].width == TELTONIKA_ANY || extra[low].width == width)
			return &extra[low];
	if (!prepared)
		prepare();
	row = codec7 ? (id < LENGTH(by_id7) ? by_id7[id] : NULL) : (id < BUILT_IN_IDS ? by_id[id] : NULL);
	return row != NULL && (width < 0 || row->width == width) ? row : NULL;
}

static Str
decimal(Record *record, const char *prefix, uint64_t value)
{
	char		digits[20];
	size_t		n = 0;
	size_t		len = strlen(prefix);
	char	   *text;

	do
		digits[n++] = (char) ('0' + value % 10);
	while ((value /= 10) > 0);
	text = record_scratch(record, len + n);
	if (text == NULL)
		return (Str) {NULL, 0};
	memcpy(text, prefix, len);
	for (size_t i = 0; i < n; i++)
		text[len + i] = digits[n - 1 - i];
	return (Str) {text, (uint32_t) (len + n)};
}

static Str
hexadecimal(Record *record, const unsigned char *value, size_t width)
{
	size_t		n = width > RECORD_TEXT_MAX / 2 ? RECORD_TEXT_MAX / 2 : width;
	char	   *text = record_scratch(record, 2 * n);

	if (text == NULL)
		return (Str) {NULL, 0};
	tracker_to_hex(value, n, text);
	return (Str) {text, (uint32_t) (2 * n)};
}

Str
teltonika_io_name(Record *record, bool codec7, unsigned id)
{
	const TeltonikaIo *row = lookup(codec7, id, -1);

	if (row != NULL && row->kind != TELTONIKA_DROP)
		return (Str) {row->name, (uint32_t) strlen(row->name)};
	return decimal(record, "io_", id);
}

/* As it came: a number where one is exact. */
static bool
put_raw(Record *record, Str name, const unsigned char *value, size_t width, bool variable)
{
	uint64_t	number;
	Str			text;

	if (name.data == NULL)
		return false;
	if (variable || width > 8)
		text = hexadecimal(record, value, width);
	else
	{
		number = teltonika_be(value, width);
		if (number <= EXACT_MAX)
			return record_add_number(record, name, (double) number);
		text = decimal(record, "", number);
	}
	return text.data != NULL && record_add_text(record, name, text);
}

static bool
is_text(const unsigned char *value, size_t width)
{
	for (size_t i = 0; i < width; i++)
		if (value[i] < ' ' || value[i] > '~')
			return false;
	return width <= RECORD_TEXT_MAX;
}

/* Elements that tell of an event, and of what kind; raw they are kept too. */
static bool
put_event(Record *record, unsigned id, unsigned value)
{
	static const char *const driving[] = {"hard_acceleration", "hard_braking", "hard_cornering"};
	const char *alarm = id == 253 && value >= 1 && value <= 3 ? driving[value - 1] :
		id == 236 && value == 1 ? "general" : NULL;

	return alarm == NULL || record_add_text(record, RECORD_STR("alarm"), (Str) {alarm, (uint32_t) strlen(alarm)});
}

bool
teltonika_io(Record *record, bool codec7, unsigned id, const unsigned char *value, size_t width, bool variable)
{
	const TeltonikaIo *row = lookup(codec7, id, variable ? 0 : (int) width);
	uint64_t	number;
	double		scaled;
	Str			name;
	Str			text;

	if (row == NULL)
		return (codec7 || width != 1 || variable || put_event(record, id, value[0])) &&
			put_raw(record, decimal(record, "io_", id), value, width, variable);
	name = (Str) {row->name, (uint32_t) strlen(row->name)};
	/* Bytes are no number, whatever their row says. */
	if ((variable || width > 8) && row->kind < TELTONIKA_HEX)
		return put_raw(record, name, value, width, variable);
	number = width <= 8 ? teltonika_be(value, width) : 1;
	switch ((TeltonikaKind) row->kind)
	{
		case TELTONIKA_NUMBER:
		case TELTONIKA_SIGNED:
			scaled = (double) number;
			if (row->kind == TELTONIKA_SIGNED)
				/* The sign bit up, and down again. */
				scaled = (double) ((int64_t) (number << (64 - 8 * width)) >> (64 - 8 * width));
			scaled *= row->scale;
			if (row->min < row->max && (scaled < row->min || scaled > row->max))
				return put_raw(record, decimal(record, "io_", id), value, width, variable);
			return record_add_number(record, name, scaled);
		case TELTONIKA_BOOLEAN:
			return record_add_boolean(record, name, number != 0);
		case TELTONIKA_NOT:
			return record_add_boolean(record, name, number == 0);
		case TELTONIKA_DECIMAL:
			text = decimal(record, "", number);
			return text.data != NULL && record_add_text(record, name, text);
		case TELTONIKA_HEX:
			text = !variable && number == 0 ? RECORD_STR("") : hexadecimal(record, value, width);
			return text.data != NULL && record_add_text(record, name, text);
		case TELTONIKA_TEXT:
			if (!variable || !is_text(value, width))
				return put_raw(record, decimal(record, "io_", id), value, width, variable);
			return record_add_text(record, name, (Str) {(const char *) value, (uint32_t) width});
		case TELTONIKA_DROP:
			return true;
	}
	return true;
}
