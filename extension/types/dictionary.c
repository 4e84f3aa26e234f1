/*
 * dictionary.c
 *	  The well-known signals.
 *
 * The numbers are stored on disk.  A new signal is appended and
 * DICTIONARY_GENERATION raised; an entry is never moved, removed or renamed.
 * Range, unit text and description may be mended.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "fleet.h"
#include "types/dictionary.h"

#define NUMBER(id, name, unit, min, max, vss, description) \
	{id, name, unit, SIGNAL_NUMBER, min, max, vss, description}
#define BOOLEAN(id, name, vss, description) \
	{id, name, "", SIGNAL_BOOLEAN, 0, 0, vss, description}
#define TEXT(id, name, vss, description) \
	{id, name, "", SIGNAL_TEXT, 0, 0, vss, description}

/* *INDENT-OFF* */
static const WellKnownSignal dictionary[] = {
	NUMBER(1, "latitude", "deg", -90, 90,
		"Vehicle.CurrentLocation.Latitude",
		"Latitude, WGS 84; a column of fleet.event"),
	NUMBER(2, "longitude", "deg", -180, 180,
		"Vehicle.CurrentLocation.Longitude",
		"Longitude, WGS 84; a column of fleet.event"),
	NUMBER(3, "altitude_m", "m", -500, 20000,
		"Vehicle.CurrentLocation.Altitude",
		"Height above sea level; a column of fleet.event"),
	NUMBER(4, "accuracy_m", "m", 0, 100000,
		"Vehicle.CurrentLocation.HorizontalAccuracy",
		"Radius of the accuracy circle of the fix; a column of fleet.event"),
	NUMBER(5, "speed_kmh", "km/h", 0, 350,
		"Vehicle.Speed",
		"Speed over ground; a column of fleet.event"),
	NUMBER(6, "heading_deg", "deg", 0, 360,
		"Vehicle.CurrentLocation.Heading",
		"Course over ground, clockwise from north; a column of fleet.event"),
	NUMBER(7, "battery_percent", "%", 0, 100,
		"Vehicle.Powertrain.TractionBattery.StateOfCharge.Displayed",
		"State of charge of the traction battery"),
	NUMBER(8, "battery_voltage_v", "V", 0, 1500,
		"Vehicle.Powertrain.TractionBattery.CurrentVoltage",
		"Voltage of the traction battery"),
	NUMBER(9, "battery_current_a", "A", -3000, 3000,
		"Vehicle.Powertrain.TractionBattery.CurrentCurrent",
		"Current of the traction battery; the sign convention is the vendor's"),
	NUMBER(10, "battery_temp_c", "Cel", -60, 150,
		"Vehicle.Powertrain.TractionBattery.Temperature.Average",
		"Temperature of the traction battery"),
	BOOLEAN(11, "charging", "Vehicle.Powertrain.TractionBattery.Charging.IsCharging",
		"The traction battery is being charged"),
	NUMBER(12, "acceleration_x_ms2", "m/s2", -200, 200,
		"Vehicle.Acceleration.Longitudinal",
		"Acceleration along the vehicle, forward positive"),
	NUMBER(13, "acceleration_y_ms2", "m/s2", -200, 200,
		"Vehicle.Acceleration.Lateral",
		"Acceleration across the vehicle"),
	NUMBER(14, "acceleration_z_ms2", "m/s2", -200, 200,
		"Vehicle.Acceleration.Vertical",
		"Vertical acceleration"),
	BOOLEAN(15, "locked", NULL,
		"The vehicle is locked"),
	BOOLEAN(16, "in_use", NULL,
		"The vehicle is rented or otherwise in use"),
	TEXT(17, "trip_id", NULL,
		"Identifier of the current trip"),
	NUMBER(18, "odometer_km", "km", 0, 5000000,
		"Vehicle.TraveledDistance",
		"Distance travelled in the vehicle's life"),
	TEXT(19, "error_codes", "Vehicle.OBD.DTCList",
		"Active trouble codes, joined by commas; empty: none"),
	NUMBER(20, "last_maintenance_km", "km", 0, 5000000,
		NULL,
		"Odometer at the last maintenance"),
	BOOLEAN(21, "ignition", NULL,
		"The ignition is on"),
	BOOLEAN(22, "movement", "Vehicle.IsMoving",
		"The tracker says that the vehicle moves"),
	TEXT(23, "driver_id", "Vehicle.Driver.Identifier.Subject",
		"Identifier of the driver, best a pseudonym"),
	TEXT(24, "event_type", NULL,
		"What made the tracker send this report, in the vendor's words"),
	TEXT(25, "alarm", NULL,
		"Alarm raised by the tracker, in the vendor's words"),
	NUMBER(26, "trip_distance_km", "km", 0, 100000,
		"Vehicle.TripMeterReading",
		"Distance of the current trip"),
	NUMBER(27, "engine_hours_h", "h", 0, 500000,
		"Vehicle.Powertrain.CombustionEngine.EngineHours",
		"Operating time of the engine in its life"),
	NUMBER(28, "engine_rpm", "/min", 0, 20000,
		"Vehicle.Powertrain.CombustionEngine.Speed",
		"Speed of the engine"),
	BOOLEAN(29, "engine_running", "Vehicle.Powertrain.CombustionEngine.IsRunning",
		"The combustion engine runs"),
	NUMBER(30, "engine_load_percent", "%", 0, 100,
		"Vehicle.OBD.EngineLoad",
		"Calculated engine load"),
	NUMBER(31, "throttle_percent", "%", 0, 100,
		"Vehicle.OBD.ThrottlePosition",
		"Throttle position"),
	NUMBER(32, "accelerator_percent", "%", 0, 100,
		"Vehicle.Chassis.Accelerator.PedalPosition",
		"Accelerator pedal position"),
	NUMBER(33, "brake_percent", "%", 0, 100,
		"Vehicle.Chassis.Brake.PedalPosition",
		"Brake pedal position"),
	BOOLEAN(34, "brake_pressed", NULL,
		"The brake pedal is pressed"),
	NUMBER(35, "coolant_temp_c", "Cel", -40, 215,
		"Vehicle.OBD.CoolantTemperature",
		"Temperature of the engine's coolant"),
	NUMBER(36, "intake_temp_c", "Cel", -40, 215,
		"Vehicle.OBD.IntakeTemp",
		"Temperature of the intake air"),
	NUMBER(37, "oil_temp_c", "Cel", -40, 260,
		"Vehicle.OBD.OilTemperature",
		"Temperature of the engine's oil"),
	NUMBER(38, "oil_pressure_kpa", "kPa", 0, 2000,
		NULL,
		"Pressure of the engine's oil"),
	NUMBER(39, "oil_level_percent", "%", 0, 100,
		NULL,
		"Level of the engine's oil"),
	NUMBER(40, "transmission_temp_c", "Cel", -60, 260,
		"Vehicle.Powertrain.Transmission.Temperature",
		"Temperature of the transmission"),
	NUMBER(41, "intake_pressure_kpa", "kPa", 0, 700,
		"Vehicle.OBD.MAP",
		"Absolute pressure in the intake manifold"),
	NUMBER(42, "maf_gs", "g/s", 0, 2000,
		"Vehicle.OBD.MAF",
		"Mass air flow"),
	NUMBER(43, "barometric_pressure_kpa", "kPa", 0, 255,
		"Vehicle.OBD.BarometricPressure",
		"Pressure of the outside air as the engine measures it"),
	NUMBER(44, "timing_advance_deg", "deg", -64, 64,
		"Vehicle.OBD.TimingAdvance",
		"Ignition timing before top dead centre"),
	NUMBER(45, "short_fuel_trim_percent", "%", -100, 100,
		"Vehicle.OBD.ShortTermFuelTrim1",
		"Short-term fuel trim, bank 1"),
	NUMBER(46, "long_fuel_trim_percent", "%", -100, 100,
		"Vehicle.OBD.LongTermFuelTrim1",
		"Long-term fuel trim, bank 1"),
	NUMBER(47, "fuel_rail_pressure_kpa", "kPa", 0, 655350,
		"Vehicle.OBD.FuelRailPressureAbsolute",
		"Pressure in the fuel rail"),
	NUMBER(48, "lambda", "", 0, 16,
		"Vehicle.OBD.O2WR.Sensor1.Lambda",
		"Air-fuel equivalence ratio"),
	NUMBER(49, "catalyst_temp_c", "Cel", -40, 6513.5,
		"Vehicle.OBD.Catalyst.Bank1.Temperature1",
		"Temperature of the catalyst, bank 1, sensor 1"),
	NUMBER(50, "runtime_s", "s", 0, 1000000,
		"Vehicle.OBD.RunTime",
		"Time since the engine was started"),
	NUMBER(51, "distance_with_mil_km", "km", 0, 65535,
		"Vehicle.OBD.DistanceWithMIL",
		"Distance driven with the malfunction lamp lit"),
	BOOLEAN(52, "mil", "Vehicle.OBD.Status.IsMILOn",
		"The malfunction indicator lamp is lit"),
	NUMBER(53, "dtc_count", "", 0, 1000,
		"Vehicle.OBD.Status.DTCCount",
		"Number of active trouble codes"),
	NUMBER(54, "obd_speed_kmh", "km/h", 0, 350,
		"Vehicle.OBD.Speed",
		"Speed from the vehicle's bus"),
	NUMBER(55, "gear", "", -10, 30,
		"Vehicle.Powertrain.Transmission.CurrentGear",
		"Engaged gear: 0 neutral, negative reverse"),
	NUMBER(56, "torque_nm", "N.m", -20000, 20000,
		"Vehicle.Powertrain.CombustionEngine.Torque",
		"Torque of the engine"),
	BOOLEAN(57, "cruise_control", "Vehicle.ADAS.CruiseControl.IsActive",
		"Cruise control is active"),
	NUMBER(58, "steering_angle_deg", "deg", -2000, 2000,
		"Vehicle.Chassis.SteeringWheel.Angle",
		"Steering wheel angle, left positive"),
	NUMBER(59, "fuel_percent", "%", 0, 100,
		"Vehicle.Powertrain.FuelSystem.RelativeLevel",
		"Level of the fuel tank"),
	NUMBER(60, "fuel_l", "L", 0, 5000,
		"Vehicle.Powertrain.FuelSystem.AbsoluteLevel",
		"Fuel in the tank"),
	NUMBER(61, "fuel_rate_lh", "L/h", 0, 1000,
		"Vehicle.OBD.FuelRate",
		"Fuel consumption by time"),
	NUMBER(62, "fuel_consumption_l100km", "L/100km", 0, 500,
		"Vehicle.Powertrain.FuelSystem.InstantConsumption",
		"Fuel consumption by distance"),
	NUMBER(63, "fuel_used_l", "L", 0, 10000000,
		NULL,
		"Fuel used in the vehicle's life"),
	NUMBER(64, "adblue_percent", "%", 0, 100,
		"Vehicle.Powertrain.CombustionEngine.DieselExhaustFluid.Level",
		"Level of diesel exhaust fluid"),
	NUMBER(65, "range_km", "km", 0, 5000,
		"Vehicle.Powertrain.Range",
		"Remaining range"),
	NUMBER(66, "power_kw", "kW", -5000, 5000,
		"Vehicle.Powertrain.TractionBattery.CurrentPower",
		"Power of the drive; the sign convention is the vendor's"),
	NUMBER(67, "charge_power_kw", "kW", 0, 5000,
		NULL,
		"Power at which the battery is charged"),
	NUMBER(68, "charge_limit_percent", "%", 0, 100,
		"Vehicle.Powertrain.TractionBattery.Charging.ChargeLimit",
		"State of charge at which charging will stop"),
	NUMBER(69, "charge_voltage_v", "V", 0, 1500,
		"Vehicle.Powertrain.TractionBattery.Charging.ChargeVoltage.DC",
		"Voltage of the charger"),
	NUMBER(70, "charge_current_a", "A", -3000, 3000,
		"Vehicle.Powertrain.TractionBattery.Charging.ChargeCurrent.DC",
		"Current of the charger"),
	NUMBER(71, "charge_time_left_min", "min", 0, 100000,
		"Vehicle.Powertrain.TractionBattery.Charging.TimeToComplete",
		"Time until the charge limit is reached"),
	BOOLEAN(72, "charge_cable_connected", "Vehicle.Powertrain.TractionBattery.Charging.IsChargingCableConnected",
		"A charging cable is plugged in"),
	BOOLEAN(73, "charge_port_open", NULL,
		"The charging flap is open"),
	TEXT(74, "charge_state", NULL,
		"State of the charging session, in the vendor's words"),
	NUMBER(75, "battery_health_percent", "%", 0, 120,
		"Vehicle.Powertrain.TractionBattery.StateOfHealth",
		"State of health of the traction battery"),
	NUMBER(76, "battery_energy_kwh", "kW.h", 0, 5000,
		"Vehicle.Powertrain.TractionBattery.StateOfCharge.CurrentEnergy",
		"Energy in the traction battery"),
	NUMBER(77, "battery_temp_min_c", "Cel", -60, 150,
		"Vehicle.Powertrain.TractionBattery.Temperature.Min",
		"Coldest cell of the traction battery"),
	NUMBER(78, "battery_temp_max_c", "Cel", -60, 150,
		"Vehicle.Powertrain.TractionBattery.Temperature.Max",
		"Hottest cell of the traction battery"),
	NUMBER(79, "cell_voltage_min_v", "V", 0, 10,
		"Vehicle.Powertrain.TractionBattery.CellVoltage.Min",
		"Lowest cell voltage"),
	NUMBER(80, "cell_voltage_max_v", "V", 0, 10,
		"Vehicle.Powertrain.TractionBattery.CellVoltage.Max",
		"Highest cell voltage"),
	NUMBER(81, "battery_cycles", "", 0, 100000,
		NULL,
		"Charge cycles of the traction battery"),
	NUMBER(82, "motor_rpm", "/min", -50000, 50000,
		"Vehicle.Powertrain.ElectricMotor.Speed",
		"Speed of the electric motor"),
	NUMBER(83, "motor_torque_nm", "N.m", -20000, 20000,
		"Vehicle.Powertrain.ElectricMotor.Torque",
		"Torque of the electric motor"),
	NUMBER(84, "motor_temp_c", "Cel", -60, 300,
		"Vehicle.Powertrain.ElectricMotor.Temperature",
		"Temperature of the electric motor"),
	NUMBER(85, "inverter_temp_c", "Cel", -60, 300,
		NULL,
		"Temperature of the inverter"),
	NUMBER(86, "energy_consumed_kwh", "kW.h", 0, 10000000,
		"Vehicle.Powertrain.TractionBattery.AccumulatedConsumedEnergy",
		"Energy drawn from the traction battery in its life"),
	NUMBER(87, "energy_regenerated_kwh", "kW.h", 0, 10000000,
		NULL,
		"Energy returned by braking in the vehicle's life"),
	NUMBER(88, "external_voltage_v", "V", 0, 100,
		"Vehicle.LowVoltageBattery.CurrentVoltage",
		"Supply voltage at the tracker, the vehicle's 12 or 24 V battery"),
	NUMBER(89, "external_current_a", "A", -3000, 3000,
		"Vehicle.LowVoltageBattery.CurrentCurrent",
		"Current of the vehicle's low-voltage battery"),
	BOOLEAN(90, "external_power", NULL,
		"The tracker is supplied from outside"),
	NUMBER(91, "tracker_battery_v", "V", 0, 30,
		NULL,
		"Voltage of the tracker's own battery"),
	NUMBER(92, "tracker_battery_percent", "%", 0, 100,
		NULL,
		"State of charge of the tracker's own battery"),
	NUMBER(93, "tracker_temp_c", "Cel", -60, 150,
		NULL,
		"Temperature of the tracker"),
	NUMBER(94, "satellites", "", 0, 255,
		NULL,
		"Satellites used in the fix"),
	NUMBER(95, "satellites_visible", "", 0, 255,
		NULL,
		"Satellites in view"),
	NUMBER(96, "hdop", "", 0, 100,
		NULL,
		"Horizontal dilution of precision"),
	NUMBER(97, "pdop", "", 0, 100,
		NULL,
		"Position dilution of precision"),
	NUMBER(98, "vdop", "", 0, 100,
		NULL,
		"Vertical dilution of precision"),
	NUMBER(99, "vertical_accuracy_m", "m", 0, 100000,
		"Vehicle.CurrentLocation.VerticalAccuracy",
		"Vertical accuracy of the fix"),
	BOOLEAN(100, "gps_valid", NULL,
		"The tracker calls its fix valid"),
	NUMBER(101, "gsm_signal_percent", "%", 0, 100,
		NULL,
		"Strength of the mobile network"),
	NUMBER(102, "gsm_signal_dbm", "dBm", -150, 0,
		NULL,
		"Received power of the mobile network"),
	TEXT(103, "gsm_operator", NULL,
		"Mobile network, MCC and MNC"),
	BOOLEAN(104, "jamming", NULL,
		"The tracker sees its radio jammed"),
	BOOLEAN(105, "tamper", NULL,
		"The tracker was opened or removed"),
	BOOLEAN(106, "sos", NULL,
		"The emergency button was pressed"),
	BOOLEAN(107, "towing", NULL,
		"The vehicle is being towed"),
	BOOLEAN(108, "crash", NULL,
		"The tracker recognised a crash"),
	TEXT(109, "firmware", NULL,
		"Version of the tracker's firmware"),
	NUMBER(110, "sequence", "", 0, 18446744073709551615.0,
		NULL,
		"Running number of the report"),
	BOOLEAN(111, "digital_input_1", NULL,
		"Digital input 1"),
	BOOLEAN(112, "digital_input_2", NULL,
		"Digital input 2"),
	BOOLEAN(113, "digital_input_3", NULL,
		"Digital input 3"),
	BOOLEAN(114, "digital_input_4", NULL,
		"Digital input 4"),
	BOOLEAN(115, "digital_output_1", NULL,
		"Digital output 1"),
	BOOLEAN(116, "digital_output_2", NULL,
		"Digital output 2"),
	NUMBER(117, "analog_input_1_v", "V", -100, 100,
		NULL,
		"Analogue input 1"),
	NUMBER(118, "analog_input_2_v", "V", -100, 100,
		NULL,
		"Analogue input 2"),
	NUMBER(119, "yaw_rate_degs", "deg/s", -2000, 2000,
		"Vehicle.AngularVelocity.Yaw",
		"Rate of turn about the vertical axis"),
	NUMBER(120, "pitch_deg", "deg", -180, 180,
		NULL,
		"Pitch of the vehicle"),
	NUMBER(121, "roll_deg", "deg", -180, 180,
		NULL,
		"Roll of the vehicle"),
	NUMBER(122, "wheel_speed_kmh", "km/h", 0, 350,
		NULL,
		"Speed of the wheels"),
	BOOLEAN(123, "door_open", NULL,
		"A door is open"),
	BOOLEAN(124, "door_driver_open", "Vehicle.Cabin.Door.Row1.DriverSide.IsOpen",
		"The driver's door is open"),
	BOOLEAN(125, "door_passenger_open", "Vehicle.Cabin.Door.Row1.PassengerSide.IsOpen",
		"The front passenger's door is open"),
	BOOLEAN(126, "trunk_open", "Vehicle.Body.Trunk.Rear.IsOpen",
		"The trunk is open"),
	BOOLEAN(127, "hood_open", "Vehicle.Body.Hood.IsOpen",
		"The hood is open"),
	BOOLEAN(128, "window_open", NULL,
		"A window is open"),
	BOOLEAN(129, "seatbelt", "Vehicle.Cabin.Seat.Row1.DriverSide.IsBelted",
		"The driver's belt is fastened"),
	NUMBER(130, "occupants", "", 0, 300,
		NULL,
		"Persons on board"),
	BOOLEAN(131, "parking_brake", "Vehicle.Chassis.ParkingBrake.IsEngaged",
		"The parking brake is engaged"),
	BOOLEAN(132, "headlights", "Vehicle.Body.Lights.Beam.Low.IsOn",
		"The low beam is on"),
	BOOLEAN(133, "hazard_lights", "Vehicle.Body.Lights.Hazard.IsSignaling",
		"The hazard lights flash"),
	BOOLEAN(134, "wipers", "Vehicle.Body.Windshield.Front.Wiping.System.IsWiping",
		"The front wipers are on"),
	NUMBER(135, "ambient_temp_c", "Cel", -90, 85,
		"Vehicle.Exterior.AirTemperature",
		"Temperature outside"),
	NUMBER(136, "cabin_temp_c", "Cel", -90, 120,
		"Vehicle.Cabin.HVAC.AmbientAirTemperature",
		"Temperature in the cabin"),
	NUMBER(137, "humidity_percent", "%", 0, 100,
		"Vehicle.Exterior.Humidity",
		"Relative humidity outside"),
	NUMBER(138, "cargo_temp_c", "Cel", -100, 150,
		NULL,
		"Temperature of the cargo"),
	NUMBER(139, "cargo_humidity_percent", "%", 0, 100,
		NULL,
		"Relative humidity of the cargo"),
	NUMBER(140, "load_kg", "kg", 0, 200000,
		NULL,
		"Load"),
	NUMBER(141, "axle_load_kg", "kg", 0, 200000,
		NULL,
		"Load on the axle"),
	NUMBER(142, "tire_pressure_front_left_kpa", "kPa", 0, 2000,
		"Vehicle.Chassis.Axle.Row1.Wheel.Left.Tire.Pressure",
		"Pressure of the front left tire"),
	NUMBER(143, "tire_pressure_front_right_kpa", "kPa", 0, 2000,
		"Vehicle.Chassis.Axle.Row1.Wheel.Right.Tire.Pressure",
		"Pressure of the front right tire"),
	NUMBER(144, "tire_pressure_rear_left_kpa", "kPa", 0, 2000,
		"Vehicle.Chassis.Axle.Row2.Wheel.Left.Tire.Pressure",
		"Pressure of the rear left tire"),
	NUMBER(145, "tire_pressure_rear_right_kpa", "kPa", 0, 2000,
		"Vehicle.Chassis.Axle.Row2.Wheel.Right.Tire.Pressure",
		"Pressure of the rear right tire"),
	NUMBER(146, "tire_temp_front_left_c", "Cel", -60, 200,
		"Vehicle.Chassis.Axle.Row1.Wheel.Left.Tire.Temperature",
		"Temperature of the front left tire"),
	NUMBER(147, "tire_temp_front_right_c", "Cel", -60, 200,
		"Vehicle.Chassis.Axle.Row1.Wheel.Right.Tire.Temperature",
		"Temperature of the front right tire"),
	NUMBER(148, "tire_temp_rear_left_c", "Cel", -60, 200,
		"Vehicle.Chassis.Axle.Row2.Wheel.Left.Tire.Temperature",
		"Temperature of the rear left tire"),
	NUMBER(149, "tire_temp_rear_right_c", "Cel", -60, 200,
		"Vehicle.Chassis.Axle.Row2.Wheel.Right.Tire.Temperature",
		"Temperature of the rear right tire"),
	TEXT(150, "route", NULL,
		"Line or route being served"),
	NUMBER(151, "direction", "", 0, 360,
		NULL,
		"Direction of the line, as the feed numbers it"),
	TEXT(152, "stop_id", NULL,
		"Stop at or before which the vehicle is"),
	NUMBER(153, "occupancy_percent", "%", 0, 200,
		NULL,
		"How full the vehicle is, in per cent of its places"),
	NUMBER(154, "delay_s", "s", -86400, 86400,
		NULL,
		"Behind the timetable; negative: early"),
	BOOLEAN(155, "reserved", NULL,
		"The vehicle is reserved"),
	BOOLEAN(156, "disabled", NULL,
		"The vehicle is taken out of service"),
};
/* *INDENT-ON* */

#define DICTIONARY_SIZE ((int) lengthof(dictionary))
/* a power of two, at least four times the dictionary: probes stay short */
#define SLOTS 1024

StaticAssertDecl(SLOTS >= 4 * lengthof(dictionary), "hash table of the dictionary is too small");

/* Open addressing by name; slot 0: free.  Filled on first use. */
static uint16 slots[SLOTS];
static uint8 name_lengths[lengthof(dictionary) + 1];
static bool slots_filled = false;

/*
 * Cheap rather than perfect: the first and the last eight bytes.  Look-ups
 * happen for every signal of every report.
 */
static inline uint32
hash_name(const char *name, int len)
{
	uint64		first = 0;
	uint64		last = 0;
	uint64		h;

	if (len >= 8)
	{
		memcpy(&first, name, 8);
		memcpy(&last, name + len - 8, 8);
	}
	else if (len >= 4)
	{
		uint32		a;
		uint32		b;

		memcpy(&a, name, 4);
		memcpy(&b, name + len - 4, 4);
		first = a;
		last = b;
	}
	else
		for (int i = 0; i < len; i++)
			first = (first << 8) | (unsigned char) name[i];
	h = (first + len) * UINT64CONST(0x9E3779B97F4A7C15);
	h = (h ^ last ^ (h >> 32)) * UINT64CONST(0xD6E8FEB86659FD93);
	return (uint32) (h >> 40) & (SLOTS - 1);
}

static void
fill_slots(void)
{
	for (int i = 0; i < DICTIONARY_SIZE; i++)
	{
		int			len = strlen(dictionary[i].name);
		uint32		slot = hash_name(dictionary[i].name, len);

		Assert(dictionary[i].id == i + 1);
		Assert(len <= SIGNAL_NAME_MAX);
		while (slots[slot] != 0)
			slot = (slot + 1) & (SLOTS - 1);
		slots[slot] = i + 1;
		name_lengths[i + 1] = len;
	}
	slots_filled = true;
}

const WellKnownSignal *
dictionary_by_id(uint16 id)
{
	return id >= 1 && id <= DICTIONARY_SIZE ? &dictionary[id - 1] : NULL;
}

const WellKnownSignal *
dictionary_by_name(const char *name, int name_len)
{
	uint32		slot;

	if (unlikely(!slots_filled))
		fill_slots();
	if (name_len <= 0 || name_len > SIGNAL_NAME_MAX)
		return NULL;
	slot = hash_name(name, name_len);
	while (slots[slot] != 0)
	{
		uint16		id = slots[slot];

		if (name_lengths[id] == name_len &&
			memcmp(dictionary[id - 1].name, name, name_len) == 0)
			return &dictionary[id - 1];
		slot = (slot + 1) & (SLOTS - 1);
	}
	return NULL;
}

int
dictionary_size(void)
{
	return DICTIONARY_SIZE;
}

/* --- the dictionary as rows --- */

#define COLUMNS 8

PG_FUNCTION_INFO_V1(signal_dictionary);
Datum
signal_dictionary(PG_FUNCTION_ARGS)
{
	FuncCallContext *call;
	const WellKnownSignal *signal;
	Datum		values[COLUMNS];
	bool		nulls[COLUMNS] = {false};

	if (SRF_IS_FIRSTCALL())
	{
		TupleDesc	tupdesc;
		MemoryContext old;

		call = SRF_FIRSTCALL_INIT();
		old = MemoryContextSwitchTo(call->multi_call_memory_ctx);
		if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE ||
			tupdesc->natts != COLUMNS)
			elog(ERROR, "signal_dictionary must return %d columns", COLUMNS);
		call->tuple_desc = BlessTupleDesc(tupdesc);
		MemoryContextSwitchTo(old);
	}
	call = SRF_PERCALL_SETUP();
	signal = dictionary_by_id(call->call_cntr + 1);
	if (signal == NULL)
		SRF_RETURN_DONE(call);

	values[0] = Int32GetDatum(signal->id);
	values[1] = CStringGetTextDatum(signal->name);
	if (signal->unit[0] != '\0')
		values[2] = CStringGetTextDatum(signal->unit);
	else
		nulls[2] = true;
	values[3] = CStringGetTextDatum(signal_kind_name(signal->kind));
	nulls[4] = nulls[5] = signal->kind != SIGNAL_NUMBER;
	if (signal->kind == SIGNAL_NUMBER)
	{
		values[4] = Float8GetDatum(signal->min);
		values[5] = Float8GetDatum(signal->max);
	}
	if (signal->vss_path != NULL)
		values[6] = CStringGetTextDatum(signal->vss_path);
	else
		nulls[6] = true;
	values[7] = CStringGetTextDatum(signal->description);
	SRF_RETURN_NEXT(call, HeapTupleGetDatum(heap_form_tuple(call->tuple_desc, values, nulls)));
}
