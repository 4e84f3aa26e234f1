/*
 * ruptela_io.c
 *	  Elements of Ruptela's records: their signals' names, scales and ranges.
 *
 * A value outside its range means "error" or "not available", and is kept raw
 * under io_NNN, as is all that has no row: under its signal's name it would
 * take the whole report to quarantine.
 */
#include <inttypes.h>
#include <stdio.h>

#include "ruptela.h"
#include "tracker_text.h"

#define GRAVITY 9.80665

typedef enum Kind
{
	KIND_NUMBER,				/* raw * scale + offset */
	KIND_SIGNED,				/* likewise, two's complement of its size */
	KIND_BOOLEAN,				/* not 0 */
	KIND_DIGITS,				/* a text of decimal digits */
	KIND_HEX,					/* a text of hexadecimal digits, of eight bytes */
	KIND_DROP					/* not kept */
} Kind;

typedef struct Element
{
	uint16_t	id;
	uint8_t		kind;			/* a Kind */
	double		scale;
	double		offset;
	int64_t		min;			/* of the raw value */
	int64_t		max;
	const char *name;
} Element;

/* By id.  *INDENT-OFF* */
static const Element elements[] = {
	{2, KIND_BOOLEAN, 1, 0, 0, 1, "digital_input_1"},
	{3, KIND_BOOLEAN, 1, 0, 0, 1, "digital_input_2"},
	{4, KIND_BOOLEAN, 1, 0, 0, 1, "digital_input_3"},
	{5, KIND_BOOLEAN, 1, 0, 0, 1, "ignition"},
	{22, KIND_NUMBER, 0.001, 0, 0, 65534, "analog_input_1_v"},
	{23, KIND_NUMBER, 0.001, 0, 0, 65534, "analog_input_2_v"},
	{27, KIND_NUMBER, 2, -113, 0, 31, "gsm_signal_dbm"},
	{29, KIND_NUMBER, 0.001, 0, 0, 65534, "external_voltage_v"},
	{30, KIND_NUMBER, 0.001, 0, 0, 30000, "tracker_battery_v"},
	{32, KIND_SIGNED, 1, 0, -60, 150, "tracker_temp_c"},
	{34, KIND_HEX, 1, 0, 0, 0, "driver_id"},
	{36, KIND_BOOLEAN, 1, 0, 0, 1, "brake_pressed"},
	{37, KIND_BOOLEAN, 1, 0, 0, 1, "cruise_control"},
	{39, KIND_NUMBER, 1, 0, 0, 100, "engine_load_percent"},
	{49, KIND_SIGNED, 0.05 * GRAVITY, 0, -128, 127, "acceleration_x_ms2"},
	{50, KIND_SIGNED, 0.05 * GRAVITY, 0, -128, 127, "acceleration_y_ms2"},
	{51, KIND_SIGNED, 0.05 * GRAVITY, 0, -128, 127, "acceleration_z_ms2"},
	{65, KIND_NUMBER, 0.001, 0, 0, UINT32_MAX, "odometer_km"},
	{88, KIND_BOOLEAN, 1, 0, 0, 1, "jamming"},
	{89, KIND_NUMBER, 0.03125, -273, 5856, 11456, "ambient_temp_c"},
	{92, KIND_NUMBER, 0.001, 0, 0, INT64_C(4211081215), "fuel_used_l"},
	{94, KIND_NUMBER, 0.25, 0, 0, 65535, "engine_rpm"},
	{95, KIND_NUMBER, 1, 0, 0, 255, "obd_speed_kmh"},
	{96, KIND_NUMBER, 1, -40, 0, 254, "coolant_temp_c"},
	{97, KIND_NUMBER, 1, -40, 0, 125, "ambient_temp_c"},
	{98, KIND_NUMBER, 100.0 / 255, 0, 0, 254, "fuel_percent"},
	{100, KIND_NUMBER, 0.05, 0, 0, 20000, "fuel_rate_lh"},
	{102, KIND_NUMBER, 1, 0, 0, 65535, "distance_with_mil_km"},
	{103, KIND_NUMBER, 100.0 / 255, 0, 0, 255, "accelerator_percent"},
	/* Parts of the vehicle's VIN: the product stores none. */
	{104, KIND_DROP, 1, 0, 0, 0, ""},
	{105, KIND_DROP, 1, 0, 0, 0, ""},
	{106, KIND_DROP, 1, 0, 0, 0, ""},
	{107, KIND_NUMBER, 1, 0, 0, 65535, "runtime_s"},
	{108, KIND_NUMBER, 1, 0, 0, 1000, "dtc_count"},
	{115, KIND_NUMBER, 1, -40, 0, 250, "coolant_temp_c"},
	{116, KIND_NUMBER, 0.05, 0, 0, 20000, "fuel_rate_lh"},
	{123, KIND_DROP, 1, 0, 0, 0, ""},
	{124, KIND_DROP, 1, 0, 0, 0, ""},
	{125, KIND_DROP, 1, 0, 0, 0, ""},
	{150, KIND_DIGITS, 1, 0, 10000, 999999, "gsm_operator"},
	{152, KIND_DROP, 1, 0, 0, 0, ""},
	{153, KIND_DROP, 1, 0, 0, 0, ""},
	{154, KIND_DROP, 1, 0, 0, 0, ""},
	{166, KIND_NUMBER, 0.125, 0, 0, 64255, "engine_rpm"},
	{173, KIND_BOOLEAN, 1, 0, 0, 1, "movement"},
	{197, KIND_NUMBER, 0.125, 0, 0, 64255, "engine_rpm"},
	{201, KIND_NUMBER, 0.4, 0, 0, 250, "adblue_percent"},
	{203, KIND_NUMBER, 0.05, 0, 0, 10000000, "engine_hours_h"},
	{205, KIND_NUMBER, 1, 0, 0, 5000, "fuel_l"},
	{206, KIND_NUMBER, 0.4, 0, 0, 250, "accelerator_percent"},
	{207, KIND_NUMBER, 0.4, 0, 0, 250, "fuel_percent"},
	{208, KIND_NUMBER, 0.5, 0, 0, 20000000, "fuel_used_l"},
	{210, KIND_NUMBER, 1.0 / 256, 0, 0, 64255, "wheel_speed_kmh"},
	{251, KIND_BOOLEAN, 1, 0, 0, 1, "ignition"},
	{409, KIND_BOOLEAN, 1, 0, 0, 1, "ignition"}
};
/* *INDENT-ON* */

static const Element *
find(unsigned id)
{
	size_t		low = 0;
	size_t		high = sizeof(elements) / sizeof(elements[0]);

	while (low < high)
	{
		size_t		middle = low + (high - low) / 2;

		if (elements[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < sizeof(elements) / sizeof(elements[0]) && elements[low].id == id ? &elements[low] : NULL;
}

static bool
put_copy(Record *r, Str name, const char *text, size_t n)
{
	char	   *copy = record_scratch(r, n);

	if (copy == NULL)
		return false;
	memcpy(copy, text, n);
	return record_add_text(r, name, (Str) {copy, (uint32_t) n});
}

/* Those of eight bytes are numbers of drivers and pieces of text: kept to the last digit. */
static bool
put_raw(Record *r, unsigned id, uint64_t value, size_t size)
{
	char	   *name = record_scratch(r, 9);
	char		text[24];
	int			n;

	if (name == NULL)
		return false;
	n = snprintf(name, 9, "io_%u", id);
	if (size <= 4)
		return record_add_number(r, (Str) {name, (uint32_t) n}, (double) value);
	return put_copy(r, (Str) {name, (uint32_t) n}, text, (size_t) snprintf(text, sizeof(text), "%" PRIu64, value));
}

/* The wire to the fourth input is the ignition's, unless the tracker knows better. */
static bool
told_already(const Record *r, Str name)
{
	for (uint32_t i = 0; i < r->nsignals; i++)
		if (r->signals[i].name.len == name.len && memcmp(r->signals[i].name.data, name.data, name.len) == 0)
			return true;
	return false;
}

bool
ruptela_io(Record *r, unsigned id, const unsigned char *p, size_t size)
{
	const Element *e = find(id);
	uint64_t	value = 0;
	int64_t		number;
	char		text[24];
	Str			name;

	for (size_t i = 0; i < size; i++)
		value = value << 8 | p[i];
	if (e == NULL)
		return put_raw(r, id, value, size);
	if (e->kind == KIND_DROP)
		return true;
	name = (Str) {e->name, (uint32_t) strlen(e->name)};
	if (e->kind == KIND_HEX)
	{
		if (size != 8 || value == 0 || value == UINT64_MAX)
			return put_raw(r, id, value, size);
		tracker_to_hex(p, size, text);
		return put_copy(r, name, text, 2 * size);
	}
	if (size > 4)
		return put_raw(r, id, value, size);
	number = (int64_t) value;
	if (e->kind == KIND_SIGNED)
		number = (int64_t) (value << (64 - 8 * size)) >> (64 - 8 * size);
	if (number < e->min || number > e->max)
		return put_raw(r, id, value, size);
	switch ((Kind) e->kind)
	{
		case KIND_BOOLEAN:
			if (id == 5 && told_already(r, name))
				return put_raw(r, id, value, size);
			return record_add_boolean(r, name, number != 0);
		case KIND_DIGITS:
			return put_copy(r, name, text, (size_t) snprintf(text, sizeof(text), "%" PRId64, number));
		case KIND_NUMBER:
		case KIND_SIGNED:
		case KIND_HEX:
		case KIND_DROP:
			break;
	}
	return record_add_number(r, name, (double) number * e->scale + e->offset);
}
