/*
 * plausible.c
 *	  What the server's dictionary takes, and what becomes of the rest.
 *
 * The table repeats the dictionary of the extension (extension/types/dictionary.c,
 * or the view fleet.signal_dictionary); a unit test compares the two.
 */
#include "plausible.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tracker_text.h"
#include "vin.h"

#define SLOTS 512				/* of the hash table; a power of two */
#define NUMBER_TEXT_MAX 32

typedef struct KnownSignal
{
	const char *name;
	RecordKind	kind;
	double		min;
	double		max;
} KnownSignal;

#define NUMBER(name, min, max) {name, RECORD_NUMBER, min, max}
#define BOOLEAN(name) {name, RECORD_BOOLEAN, 0, 0}
#define TEXT(name) {name, RECORD_TEXT, 0, 0}

static const KnownSignal known[] = {
	NUMBER("latitude", -90, 90),
	NUMBER("longitude", -180, 180),
	NUMBER("altitude_m", -500, 20000),
	NUMBER("accuracy_m", 0, 100000),
	NUMBER("speed_kmh", 0, 350),
	NUMBER("heading_deg", 0, 360),
	NUMBER("battery_percent", 0, 100),
	NUMBER("battery_voltage_v", 0, 1500),
	NUMBER("battery_current_a", -3000, 3000),
	NUMBER("battery_temp_c", -60, 150),
	BOOLEAN("charging"),
	NUMBER("acceleration_x_ms2", -200, 200),
	NUMBER("acceleration_y_ms2", -200, 200),
	NUMBER("acceleration_z_ms2", -200, 200),
	BOOLEAN("locked"),
	BOOLEAN("in_use"),
	TEXT("trip_id"),
	NUMBER("odometer_km", 0, 5000000),
	TEXT("error_codes"),
	NUMBER("last_maintenance_km", 0, 5000000),
	BOOLEAN("ignition"),
	BOOLEAN("movement"),
	TEXT("driver_id"),
	TEXT("event_type"),
	TEXT("alarm"),
	NUMBER("trip_distance_km", 0, 100000),
	NUMBER("engine_hours_h", 0, 500000),
	NUMBER("engine_rpm", 0, 20000),
	BOOLEAN("engine_running"),
	NUMBER("engine_load_percent", 0, 100),
	NUMBER("throttle_percent", 0, 100),
	NUMBER("accelerator_percent", 0, 100),
	NUMBER("brake_percent", 0, 100),
	BOOLEAN("brake_pressed"),
	NUMBER("coolant_temp_c", -40, 215),
	NUMBER("intake_temp_c", -40, 215),
	NUMBER("oil_temp_c", -40, 260),
	NUMBER("oil_pressure_kpa", 0, 2000),
	NUMBER("oil_level_percent", 0, 100),
	NUMBER("transmission_temp_c", -60, 260),
	NUMBER("intake_pressure_kpa", 0, 700),
	NUMBER("maf_gs", 0, 2000),
	NUMBER("barometric_pressure_kpa", 0, 255),
	NUMBER("timing_advance_deg", -64, 64),
	NUMBER("short_fuel_trim_percent", -100, 100),
	NUMBER("long_fuel_trim_percent", -100, 100),
	NUMBER("fuel_rail_pressure_kpa", 0, 655350),
	NUMBER("lambda", 0, 16),
	NUMBER("catalyst_temp_c", -40, 6513.5),
	NUMBER("runtime_s", 0, 1000000),
	NUMBER("distance_with_mil_km", 0, 65535),
	BOOLEAN("mil"),
	NUMBER("dtc_count", 0, 1000),
	NUMBER("obd_speed_kmh", 0, 350),
	NUMBER("gear", -10, 30),
	NUMBER("torque_nm", -20000, 20000),
	BOOLEAN("cruise_control"),
	NUMBER("steering_angle_deg", -2000, 2000),
	NUMBER("fuel_percent", 0, 100),
	NUMBER("fuel_l", 0, 5000),
	NUMBER("fuel_rate_lh", 0, 1000),
	NUMBER("fuel_consumption_l100km", 0, 500),
	NUMBER("fuel_used_l", 0, 10000000),
	NUMBER("adblue_percent", 0, 100),
	NUMBER("range_km", 0, 5000),
	NUMBER("power_kw", -5000, 5000),
	NUMBER("charge_power_kw", 0, 5000),
	NUMBER("charge_limit_percent", 0, 100),
	NUMBER("charge_voltage_v", 0, 1500),
	NUMBER("charge_current_a", -3000, 3000),
	NUMBER("charge_time_left_min", 0, 100000),
	BOOLEAN("charge_cable_connected"),
	BOOLEAN("charge_port_open"),
	TEXT("charge_state"),
	NUMBER("battery_health_percent", 0, 120),
	NUMBER("battery_energy_kwh", 0, 5000),
	NUMBER("battery_temp_min_c", -60, 150),
	NUMBER("battery_temp_max_c", -60, 150),
	NUMBER("cell_voltage_min_v", 0, 10),
	NUMBER("cell_voltage_max_v", 0, 10),
	NUMBER("battery_cycles", 0, 100000),
	NUMBER("motor_rpm", -50000, 50000),
	NUMBER("motor_torque_nm", -20000, 20000),
	NUMBER("motor_temp_c", -60, 300),
	NUMBER("inverter_temp_c", -60, 300),
	NUMBER("energy_consumed_kwh", 0, 10000000),
	NUMBER("energy_regenerated_kwh", 0, 10000000),
	NUMBER("external_voltage_v", 0, 100),
	NUMBER("external_current_a", -3000, 3000),
	BOOLEAN("external_power"),
	NUMBER("tracker_battery_v", 0, 30),
	NUMBER("tracker_battery_percent", 0, 100),
	NUMBER("tracker_temp_c", -60, 150),
	NUMBER("satellites", 0, 255),
	NUMBER("satellites_visible", 0, 255),
	NUMBER("hdop", 0, 100),
	NUMBER("pdop", 0, 100),
	NUMBER("vdop", 0, 100),
	NUMBER("vertical_accuracy_m", 0, 100000),
	BOOLEAN("gps_valid"),
	NUMBER("gsm_signal_percent", 0, 100),
	NUMBER("gsm_signal_dbm", -150, 0),
	TEXT("gsm_operator"),
	BOOLEAN("jamming"),
	BOOLEAN("tamper"),
	BOOLEAN("sos"),
	BOOLEAN("towing"),
	BOOLEAN("crash"),
	TEXT("firmware"),
	NUMBER("sequence", 0, 18446744073709551615.0),
	BOOLEAN("digital_input_1"),
	BOOLEAN("digital_input_2"),
	BOOLEAN("digital_input_3"),
	BOOLEAN("digital_input_4"),
	BOOLEAN("digital_output_1"),
	BOOLEAN("digital_output_2"),
	NUMBER("analog_input_1_v", -100, 100),
	NUMBER("analog_input_2_v", -100, 100),
	NUMBER("yaw_rate_degs", -2000, 2000),
	NUMBER("pitch_deg", -180, 180),
	NUMBER("roll_deg", -180, 180),
	NUMBER("wheel_speed_kmh", 0, 350),
	BOOLEAN("door_open"),
	BOOLEAN("door_driver_open"),
	BOOLEAN("door_passenger_open"),
	BOOLEAN("trunk_open"),
	BOOLEAN("hood_open"),
	BOOLEAN("window_open"),
	BOOLEAN("seatbelt"),
	NUMBER("occupants", 0, 300),
	BOOLEAN("parking_brake"),
	BOOLEAN("headlights"),
	BOOLEAN("hazard_lights"),
	BOOLEAN("wipers"),
	NUMBER("ambient_temp_c", -90, 85),
	NUMBER("cabin_temp_c", -90, 120),
	NUMBER("humidity_percent", 0, 100),
	NUMBER("cargo_temp_c", -100, 150),
	NUMBER("cargo_humidity_percent", 0, 100),
	NUMBER("load_kg", 0, 200000),
	NUMBER("axle_load_kg", 0, 200000),
	NUMBER("tire_pressure_front_left_kpa", 0, 2000),
	NUMBER("tire_pressure_front_right_kpa", 0, 2000),
	NUMBER("tire_pressure_rear_left_kpa", 0, 2000),
	NUMBER("tire_pressure_rear_right_kpa", 0, 2000),
	NUMBER("tire_temp_front_left_c", -60, 200),
	NUMBER("tire_temp_front_right_c", -60, 200),
	NUMBER("tire_temp_rear_left_c", -60, 200),
	NUMBER("tire_temp_rear_right_c", -60, 200),
	TEXT("route"),
	NUMBER("direction", 0, 360),
	TEXT("stop_id"),
	NUMBER("occupancy_percent", 0, 200),
	NUMBER("delay_s", -86400, 86400),
	BOOLEAN("reserved"),
	BOOLEAN("disabled"),
};

#define KNOWN (sizeof(known) / sizeof(known[0]))

/* --- looking up --- */

static uint16_t slots[SLOTS];	/* index + 1; 0: empty */
static uint8_t lengths[KNOWN];

/* Of its length and both of its ends: names are long, and a record has many. */
static unsigned
hash(Str name)
{
	uint64_t	first = 0;
	uint64_t	last = 0;

	if (name.len >= sizeof(first))
	{
		memcpy(&first, name.data, sizeof(first));
		memcpy(&last, name.data + name.len - sizeof(last), sizeof(last));
	}
	else
		for (uint32_t i = 0; i < name.len; i++)
			first = first << 8 | (unsigned char) name.data[i];
	first = (first + name.len) * UINT64_C(0x9E3779B97F4A7C15) ^ last * UINT64_C(0xC2B2AE3D27D4EB4F);
	return (unsigned) ((first ^ first >> 32) * UINT64_C(0x9E3779B97F4A7C15) >> 55);
}

static void
prepare(void)
{
	_Static_assert(KNOWN < SLOTS / 2, "the hash table is too small");
	_Static_assert(SLOTS == 1 << (64 - 55), "hash() gives another number of bits");
	for (size_t i = 0; i < KNOWN; i++)
	{
		unsigned	at;

		lengths[i] = (uint8_t) strlen(known[i].name);
		at = hash((Str) {known[i].name, lengths[i]});
		while (slots[at] != 0)
			at = (at + 1) & (SLOTS - 1);
		slots[at] = (uint16_t) (i + 1);
	}
}

static const KnownSignal *
lookup(Str name)
{
	static bool prepared;

	if (!prepared)
		prepare();
	prepared = true;
	for (unsigned at = hash(name); slots[at] != 0; at = (at + 1) & (SLOTS - 1))
	{
		size_t		i = slots[at] - 1u;

		if (name.len == lengths[i] && memcmp(name.data, known[i].name, name.len) == 0)
			return &known[i];
	}
	return NULL;
}

bool
plausible_number(Str name, double value)
{
	const KnownSignal *signal = lookup(name);

	if (!isfinite(value))
		return false;
	return signal == NULL || (signal->kind == RECORD_NUMBER && value >= signal->min && value <= signal->max);
}

/* --- VINs --- */

bool
plausible_vin(Str text)
{
	return text.len == VIN_LENGTH && vin_looks_valid(text.data);
}

/* The begin of the next one from there on, or len. */
static uint32_t
find_vin(Str text, uint32_t from)
{
	return (uint32_t) vin_find(text.data, text.len, from, VIN_IN_TEXT);
}

/* Takes VINs out of a text; false when nothing is left of it, or there is no room. */
static bool
strip_vins(Record *record, Str *text)
{
	uint32_t	at = find_vin(*text, 0);
	uint32_t	from = 0;
	uint32_t	n = 0;
	char	   *to;

	if (at == text->len)
		return true;
	if (text->len == VIN_LENGTH || (to = record_scratch(record, text->len)) == NULL)
		return false;
	for (; from < text->len; at = find_vin(*text, from))
	{
		memcpy(to + n, text->data + from, at - from);
		n += at - from;
		from = at < text->len ? at + VIN_LENGTH : at;
	}
	record_scratch_trim(record, to, n);
	*text = (Str) {to, n};
	return n > 0;
}

/* --- records --- */

/* NAME_raw; false when there is no room for it. */
static bool
rename_raw(Record *record, Str *name)
{
	char	   *text;

	if (name->len > RECORD_NAME_MAX - 4 || record->signals_size > RECORD_SIGNALS_SIZE - 4)
		return false;
	text = record_scratch(record, name->len + 4);
	if (text == NULL)
		return false;
	memcpy(text, name->data, name->len);
	memcpy(text + name->len, "_raw", 4);
	*name = (Str) {text, name->len + 4};
	record->signals_size += 4;
	return true;
}

static uint32_t
value_size(const RecordSignal *signal)
{
	return signal->kind == RECORD_BOOLEAN ? 1 : signal->kind == RECORD_NUMBER ? 8 : 2 + signal->text.len;
}

/* The same value as another kind, when it has one. */
static bool
convert(Record *record, RecordSignal *signal, RecordKind kind)
{
	if (kind == RECORD_BOOLEAN && signal->kind == RECORD_NUMBER && (signal->number == 0 || signal->number == 1))
		signal->boolean = signal->number != 0;
	else if (kind == RECORD_BOOLEAN && signal->kind == RECORD_TEXT &&
			 (tracker_equals(signal->text, "true") || tracker_equals(signal->text, "false")))
		signal->boolean = signal->text.len == 4;
	else if (kind == RECORD_NUMBER && signal->kind == RECORD_TEXT)
	{
		if (!tracker_number(signal->text, &signal->number))
			return false;
	}
	else if (kind == RECORD_TEXT)
	{
		char	   *text = record_scratch(record, NUMBER_TEXT_MAX);
		int			n;

		if (text == NULL)
			return false;
		n = signal->kind == RECORD_NUMBER ? snprintf(text, NUMBER_TEXT_MAX, "%.15g", signal->number) :
			snprintf(text, NUMBER_TEXT_MAX, "%s", signal->boolean ? "true" : "false");
		record_scratch_trim(record, text, (size_t) n);
		signal->text = (Str) {text, (uint32_t) n};
	}
	else
		return false;
	signal->kind = (uint8_t) kind;
	return true;
}

/* False: without it.  signals_size has counted it as it came. */
static bool
keep(Record *record, RecordSignal *signal)
{
	const KnownSignal *row = lookup(signal->name);
	uint32_t	before = value_size(signal);

	if (row == NULL && signal->name.len >= VIN_LENGTH && find_vin(signal->name, 0) < signal->name.len)
		return false;
	if (signal->kind == RECORD_TEXT && signal->text.len >= VIN_LENGTH)
	{
		bool		left = strip_vins(record, &signal->text);

		record->signals_size = record->signals_size - before + value_size(signal);
		before = value_size(signal);
		if (!left)
			return false;
	}
	if (row == NULL)
		return true;
	if (row->kind != signal->kind && convert(record, signal, row->kind))
		record->signals_size = record->signals_size - before + value_size(signal);
	if (row->kind == signal->kind &&
		(row->kind != RECORD_NUMBER || (signal->number >= row->min && signal->number <= row->max)))
		return true;
	return rename_raw(record, &signal->name);
}

static void
check_column(Record *record, double *value, const char *name, const char *raw)
{
	if (isnan(*value) || plausible_number((Str) {name, (uint32_t) strlen(name)}, *value))
		return;
	(void) !record_add_number(record, (Str) {raw, (uint32_t) strlen(raw)}, *value);
	*value = NAN;
}

void
plausible(Record *record)
{
	uint32_t	n = 0;

	if (record->defect.len > 0)
		return;
	for (uint32_t i = 0; i < record->nsignals; i++)
	{
		RecordSignal *signal = &record->signals[i];

		if (!keep(record, signal))
			record->signals_size -= 2 + signal->name.len + value_size(signal);
		else if (n++ < i)
			record->signals[n - 1] = *signal;
	}
	record->nsignals = n;
	check_column(record, &record->speed_kmh, "speed_kmh", "speed_kmh_raw");
	check_column(record, &record->heading_deg, "heading_deg", "heading_deg_raw");
	check_column(record, &record->altitude_m, "altitude_m", "altitude_m_raw");
	check_column(record, &record->accuracy_m, "accuracy_m", "accuracy_m_raw");
}
