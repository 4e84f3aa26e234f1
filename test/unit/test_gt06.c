/*
 * test_gt06.c
 *	  The gt06 adapter: frames made by hand, whole and in pieces, and what a
 *	  hostile or broken device sends.
 */
#include <math.h>

#include "crc.h"
#include "feed.h"
#include "tap.h"

#define IMEI "123456789012345"
#define LOGIN "0123456789012345"

/* 2023-11-14 22:13:20, 9 satellites, 50.1105 N 8.6821 E, 18 km/h */
#define DATE "170b0e160d14"
#define FIX "c9" "0560" "5374" "00ee" "7604" "12"
#define COURSE "14f5"			/* valid, north, east, 245 degrees */
#define CELL "0106" "02" "1a2b" "00abcd"
#define TIME_US INT64_C(1700000000000000)

static Feed feed;

/* A frame of that type and content, with a serial of 0x0102. */
static size_t
message(bool extended, const char *type, const char *content, char *frame)
{
	size_t		head = extended ? 4 : 3;
	size_t		n = head;
	uint16_t	sum;

	frame[0] = frame[1] = extended ? 0x79 : 0x78;
	n += feed_from_hex(type, frame + n, 1);
	n += feed_from_hex(content, frame + n, 4000);
	n += feed_from_hex("0102", frame + n, 2);
	frame[head - 2] = (char) ((n + 2 - head) >> 8);
	frame[head - 1] = (char) (n + 2 - head);
	if (!extended)
		frame[1] = 0x78;
	sum = crc16_x25(frame + 2, n - 2);
	frame[n++] = (char) (sum >> 8);
	frame[n++] = (char) sum;
	frame[n++] = '\r';
	frame[n++] = '\n';
	return n;
}

static void
send_hex(const char *hex)
{
	char		bytes[4096];

	feed_bytes(&feed, bytes, feed_from_hex(hex, bytes, sizeof(bytes)), 0);
}

static void
send_message(bool extended, const char *type, const char *content, size_t step)
{
	char		frame[8192];

	feed_bytes(&feed, frame, message(extended, type, content, frame), step);
}

/* One message of a device that has logged in. */
static void
take(bool extended, const char *type, const char *content)
{
	feed_end(&feed);
	feed_begin(&feed, &adapter_gt06, IMEI);
	send_message(extended, type, content, 0);
}

static double
number(const char *name)
{
	const FedSignal *signal = feed.nrecords > 0 ? feed_signal(&feed.records[0], name) : NULL;

	return signal != NULL && signal->kind == RECORD_NUMBER ? signal->number : NAN;
}

static const char *
text(const char *name)
{
	const FedSignal *signal = feed.nrecords > 0 ? feed_signal(&feed.records[0], name) : NULL;

	return signal == NULL ? "" : signal->kind == RECORD_TEXT ? signal->text :
		signal->kind == RECORD_NUMBER ? "number" : signal->boolean ? "true" : "false";
}

static bool
near(double got, double want)
{
	return fabs(got - want) < 1e-5;
}

static void
test_login(void)
{
	feed_begin(&feed, &adapter_gt06, "");
	send_message(false, "01", LOGIN, 1);
	is_str(feed.session.device, IMEI, "login: the first of sixteen digits is dropped");
	is_str(feed_out_hex(&feed), "787805010102f29f0d0a", "login: answered at once with its serial");
	is_int(feed.nrecords, 0, "login: no record");
	send_message(false, "01", LOGIN, 0);
	ok(feed.refused == NULL, "login: the same once more");
	send_message(false, "01", "0123456789012346", 0);
	is_str(feed.refused, "identity changed", "login: another identity");
	feed_end(&feed);

	feed_begin(&feed, &adapter_gt06, "");
	send_message(false, "01", "01234567890123ff", 0);
	is_str(feed.refused, "login without identity", "login: no digits");
	feed_end(&feed);

	feed_begin(&feed, &adapter_gt06, "");
	send_message(false, "12", DATE FIX COURSE CELL, 0);
	is_str(feed.refused, "no login", "a report before login");
	ok(feed.nrecords == 1 && feed.records[0].raw_len > 0, "goes to quarantine");
	ok(feed.nrecords == 1 && isnan(feed.records[0].latitude), "without what it says");
	is_int(buf_len(&feed.out), 0, "and gets no answer");
	feed_end(&feed);

	/* +08:00 */
	feed_begin(&feed, &adapter_gt06, "");
	send_message(false, "01", LOGIN "100b" "3201", 0);
	send_message(false, "12", DATE FIX COURSE CELL, 0);
	ok(feed.nrecords == 1 && feed.records[0].event_time_us == TIME_US - INT64_C(8) * 3600 * 1000000,
	   "login: the zone that it tells counts for the old types");
	send_message(false, "22", DATE FIX COURSE CELL, 0);
	ok(feed.nrecords == 2 && feed.records[1].event_time_us == TIME_US, "login: the newer ones are UTC");
	feed_end(&feed);
}

static void
check_position(const char *how)
{
	const FedRecord *r = feed.records;

	is_int(feed.nrecords, 1, how);
	if (feed.nrecords == 0)
		return;
	is_str(r->device, IMEI, "identity of the login");
	ok(r->has_event_time && r->event_time_us == TIME_US, "time");
	ok(near(r->latitude, 50.1105) && near(r->longitude, 8.6821), "place");
	ok(r->speed_kmh == 18 && r->heading_deg == 245, "motion");
	is_int(number("satellites"), 9, "satellites");
}

static void
test_position(void)
{
	char		two[512];
	size_t		n;
	size_t		one;

	feed_begin(&feed, &adapter_gt06, IMEI);
	for (size_t step = 0; step < 2; step++)
	{
		feed_end(&feed);
		feed_begin(&feed, &adapter_gt06, IMEI);
		send_message(false, "22", DATE FIX COURSE CELL "010500", step);
		check_position(step ? "byte by byte" : "whole");
		is_str(text("ignition"), "true", "ignition");
		is_str(text("gsm_operator"), "26202", "operator");
		is_int(number("cell_id"), 0xabcd, "cell");
		is_int(buf_len(&feed.out), 10, "acknowledged");
		ok(memcmp(buf_data(&feed.out), "\x78\x78\x05\x22\x01\x02", 6) == 0, "with type and serial");
	}
	feed_end(&feed);

	feed_begin(&feed, &adapter_gt06, IMEI);
	feed.late_acks = true;
	one = message(false, "12", DATE FIX COURSE CELL, two);
	n = one + message(false, "12", DATE FIX COURSE CELL, two + one);
	feed_bytes(&feed, two, n, 0);
	is_int(feed.nrecords, 2, "two at once");
	is_int(buf_len(&feed.out), 20, "are two answers");

	take(false, "12", DATE FIX "04f5" CELL);
	ok(feed.nrecords == 1 && isnan(feed.records[0].latitude) && isnan(feed.records[0].speed_kmh), "no fix: no place");
	is_str(text("gps_valid"), "false", "no fix: told");
	take(false, "12", DATE "c0" "0560534d" "00ee7612" "12" COURSE CELL);
	ok(feed.nrecords == 1 && isnan(feed.records[0].latitude) && isnan(feed.records[0].speed_kmh) && number("satellites") == 0,
	   "no satellites: no place, whatever the bit says");
	take(false, "12", DATE FIX "d8f5" CELL);
	ok(feed.nrecords == 1 && near(feed.records[0].latitude, -50.1105) &&
	   near(feed.records[0].longitude, -8.6821), "south and west");
	is_str(text("ignition"), "true", "ignition in the course word");
	take(false, "12", "170d0e160d14" FIX COURSE CELL);
	is_str(feed.nrecords ? feed.records[0].defect : "", "missing_field:event_time", "a month 13");
	take(false, "12", DATE FIX);
	is_str(feed.nrecords ? feed.records[0].defect : "", "malformed", "cut within the fix, with a right sum");
	is_int(buf_len(&feed.out), 0, "is not acknowledged");

	/* 0d0a in the middle: the length decides. */
	take(false, "12", DATE FIX COURSE "0106020d0a00abcd");
	check_position("an end of line inside");

	/* The layouts of other models. */
	take(false, "12", "0866703066502297" DATE FIX COURSE);
	check_position("a number before the date");
	take(false, "22", "01" LOGIN DATE DATE FIX COURSE "0000");
	check_position("number and time of sending before the date");
	take(false, "61", LOGIN DATE FIX COURSE);
	check_position("61: its identity first");
	feed_end(&feed);
	feed_begin(&feed, &adapter_gt06, IMEI);
	send_message(false, "61", "0123456789012346" DATE FIX COURSE, 0);
	is_str(feed.refused, "identity changed", "61: of another device");
	take(false, "34", "00000000" DATE FIX COURSE);
	check_position("34");
	is_int(buf_len(&feed.out), 0, "34: takes no answer");
	take(true, "38", DATE FIX COURSE "00");
	check_position("the long form");
	is_int(buf_len(&feed.out), 0, "the long form: no answer");
	take(true, "32", DATE "0c" FIX COURSE "0102");
	check_position("a fix that tells its size");
	ok(buf_len(&feed.out) == 11 && memcmp(buf_data(&feed.out), "\x79\x79\x00\x05\x32\x01\x02", 7) == 0,
	   "answered in the long form");
	take(true, "32", DATE "40" FIX COURSE "0102");
	is_str(feed.nrecords ? feed.records[0].defect : "", "malformed", "a fix beyond the end");
	take(true, "70", "00330012" "6553f100" "09" "0070" "05605374" "00ee7604" "12" "14f5" "00280001" "0b");
	check_position("70: modules");
	ok(feed.nrecords == 1 && feed.records[0].altitude_m == 112 && near(number("hdop"), 1.1), "70: altitude, hdop");
	take(true, "70", "00330012" "6553f100" "09");
	is_str(feed.nrecords ? feed.records[0].defect : "", "malformed", "70: a module beyond the end");
	take(true, "21", "00000000" "01" "4c61743a4e35302e313130352c4c6f6e3a45382e363832312c436f757273653a3234352c53706565643a31382e302c"
		 "4461746554696d653a323032332d31312d31342020" "32323a31333a3230");
	ok(feed.nrecords == 1 && near(feed.records[0].latitude, 50.1105) && feed.records[0].event_time_us == TIME_US,
	   "21: a place in words");
	feed_end(&feed);
}

static void
test_status(void)
{
	take(false, "13", "46" "04" "03" "0002");
	ok(feed.nrecords == 1 && feed.records[0].event_time_us == FEED_NOW_US, "heartbeat: the time of receipt");
	is_str(text("ignition"), "true", "heartbeat: ignition");
	is_str(text("external_power"), "true", "heartbeat: power");
	is_int(number("gsm_signal_percent"), 75, "heartbeat: network");
	is_int(buf_len(&feed.out), 10, "heartbeat: answered");
	take(false, "23", "00" "0186" "04" "0002");
	ok(near(number("tracker_battery_v"), 3.9), "heartbeat of the other kind: volts");
	take(false, "26", DATE FIX COURSE "09" CELL "58" "05" "04" "02" "01");
	check_position("alarm");
	is_str(text("alarm"), "power_cut", "alarm: its byte goes before the switches");
	take(false, "26", DATE FIX COURSE "09" CELL "60" "05" "04" "02" "01");
	is_str(text("alarm"), "sos", "alarm: SOS goes before its byte");
	is_int(number("alarm_code"), 2, "alarm: which is kept");
	take(false, "16", DATE FIX COURSE CELL "60" "05" "04" "00" "01");
	is_str(text("alarm"), "sos", "alarm: the switches; no size of the cell");
	is_str(text("sos"), "true", "alarm: SOS");
	take(false, "27", DATE FIX COURSE "09" CELL "40" "05" "04" "7e" "02" "ff");
	is_str(text("alarm"), "code_126", "alarm: a code without name");
	take(false, "a5", "0106" "02" "00001a2b" "000000000000abcd" "02" "05" "04" "13" "00");
	is_str(text("alarm"), "tamper", "alarm without a fix");
	is_int(number("cell_id"), 0xabcd, "alarm without a fix: its cell");
	take(false, "95", DATE "90");
	is_str(text("alarm"), "hard_acceleration", "camera: alarm alone");
	take(false, "95", DATE "05605374" "00ee7604" COURSE "93" "0000" "41");
	is_str(text("alarm"), "collision", "camera: alarm with a place");
	ok(feed.nrecords == 1 && near(feed.records[0].latitude, 50.1105), "camera: the place");
	take(false, "95", "ffff01" DATE "c9" "05605374" "00ee7604" COURSE "0012" "0087" "69" "0000" "612e6d7034");
	check_position("camera: event");
	is_int(number("event"), 105, "camera: the event's number");
	is_str(text("file"), "a.mp4", "camera: its film");
	take(false, "95", DATE "01");
	is_str(text("alarm"), "general", "camera: without a place it is no SOS");
	is_str(text("sos"), "", "camera: nor told so");
	take(false, "15", "06" "00000000" "4f4b" "0002");
	is_str(text("command_result"), "OK", "answer to a command");
	take(true, "21", "00000000" "02" "004f004b20ac");
	is_str(text("command_result"), "OK\xe2\x82\xac", "in UTF-16");
	take(true, "21", "00000000" "01" "4fff");
	is_str(text("command_result"), "4fff", "neither ASCII nor UTF-8");
	take(true, "94", "00" "04ce");
	ok(near(number("external_voltage_v"), 12.3), "information: voltage");
	take(false, "77", DATE "abcd");
	is_str(text("gt06_77"), DATE "abcd", "an unknown type is kept as it is");
	ok(feed.nrecords == 1 && feed.records[0].event_time_us == TIME_US, "with its date");
	is_int(buf_len(&feed.out), 0, "and not answered");
	take(false, "8a", "");
	/* 2027-01-15 08:09:09 */
	ok(buf_len(&feed.out) == 16 && memcmp(buf_data(&feed.out), "\x78\x78\x0b\x8a\x1b\x01\x0f\x08\x09\x09\x01\x02", 12) == 0,
	   "the time is told");
	feed_end(&feed);
}

/* What models put behind a fix. */
static void
test_models(void)
{
	take(false, "22", DATE FIX COURSE CELL "01" "05" "01" "0000ea60");
	is_str(text("ignition"), "true", "22: ignition");
	is_int(number("upload_mode"), 5, "22: why it was sent");
	is_str(text("reuploaded"), "true", "22: late");
	ok(near(number("odometer_km"), 60), "22: mileage");
	take(false, "a0", DATE FIX COURSE "8106" "0002" "00001a2b" "000000000000abcd" "00" "00" "00");
	is_str(text("gsm_operator"), "26202", "a0: a network of two bytes");
	is_str(text("ignition"), "false", "a0: ignition");
	take(false, "37", DATE FIX COURSE CELL "01" "00" "00" "0027" "02" "04ce" "002e" "04" "0000ea60");
	ok(near(number("external_voltage_v"), 12.3) && near(number("odometer_km"), 60), "37: modules");
	take(false, "12", DATE FIX COURSE CELL "0000ea60");
	ok(near(number("odometer_km"), 60), "12: mileage");
	take(false, "12", DATE FIX COURSE CELL "42" "04ce" "03" "00");
	is_str(text("ignition"), "true", "12: switches");
	ok(near(number("external_voltage_v"), 12.3), "12: volts");
	is_int(number("gsm_signal_percent"), 75, "12: network");
	take(false, "12", DATE FIX COURSE CELL "00" "04ce" "04" "01" "0007" "85" "00001770");
	ok(number("temperature_c") == -5 && near(number("odometer_km"), 60), "12: temperature, mileage");
	is_str(text("alarm"), "sos", "12: alarm");
	take(false, "11", DATE FIX COURSE "0106" "0002" "1a2b" "0000abcd");
	is_str(text("gsm_operator"), "26202", "11: a network of two bytes");
	is_int(number("cell_id"), 0xabcd, "11: a cell of four");
	take(false, "17", DATE FIX COURSE CELL "bf00000123456789" "00");
	is_str(text("driver_id"), "bf00000123456789", "17: driver");
	take(false, "31", DATE FIX COURSE CELL "c415010000000000" "00" "02a6");
	ok(feed.nrecords == 1 && feed.records[0].altitude_m == 678, "31: altitude");
	take(false, "31", DATE FIX COURSE CELL "c415010000000000" "00" "7fff");
	ok(feed.nrecords == 1 && isnan(feed.records[0].altitude_m), "31: none that could be");
	take(false, "22", "01" LOGIN DATE DATE FIX COURSE "0000000000000000" "00" "46" "0984" "28" "4c" "0002" "00000000" "0171");
	ok(near(number("external_voltage_v"), 24.36) && near(number("tracker_battery_v"), 4) &&
	   near(number("engine_hours_h"), 6.15), "volts and hours of work");

	/* The size of the cell counts itself, or not, or is 0, or is not there. */
	take(false, "16", DATE FIX COURSE "08" CELL "47" "06" "03" "30" "02");
	is_str(text("alarm"), "hard_braking", "a size without itself");
	is_str(text("ignition"), "true", "and the switches behind");
	take(false, "16", DATE FIX COURSE "08" CELL "45" "06" "04" "e8" "01" "c300000123456789");
	is_str(text("alarm"), "code_232", "a driver's card");
	is_str(text("driver_id"), "c300000123456789", "and its number");
	take(false, "26", DATE FIX COURSE "0a" "8106" "0002" "1a2b" "00abcd" "47" "06" "03" "06" "02");
	is_str(text("alarm"), "overspeed", "a network of two bytes");
	take(false, "16", DATE FIX COURSE "00" "47" "06" "03" "06" "02");
	is_str(text("alarm"), "overspeed", "a size of 0");
	take(false, "16", DATE FIX COURSE "00" "0000000000000000" "47" "06" "03" "06" "02");
	is_str(text("alarm"), "overspeed", "a size of 0, and zeros");
	take(false, "16", DATE FIX COURSE "00fa" "02" "1a2b" "00abcd" "47" "06" "03" "06" "02" "0000ea60");
	is_str(text("gsm_operator"), "25002", "no size, and a country below 256");
	is_str(text("alarm"), "overspeed", "and its alarm");
	take(false, "16", DATE FIX COURSE "09" CELL "03" "41" "3e" "42" "01" "02");
	is_int(number("tracker_battery_percent"), 62, "per cent");
	is_str(text("alarm"), "sos", "per cent: alarm");
	take(false, "27", DATE FIX COURSE "09" CELL "40" "05" "04" "05" "02" "01");
	is_str(text("alarm"), "geofence_exit", "a fence");
	is_int(number("fence"), 1, "and its number");
	take(false, "26", DATE FIX COURSE "09" CELL "46" "05" "04" "03" "02" "0000ea60");
	ok(near(number("odometer_km"), 60), "an alarm's mileage");
	take(false, "27", DATE FIX COURSE "09" CELL "46" "05" "04" "03" "02" "ff" "0000ea60");
	ok(near(number("odometer_km"), 60) && isnan(number("fence")), "behind a fence of none");

	take(false, "16", "000000000000" FIX "04f5" "09" CELL "40" "05" "04" "03" "02");
	is_str(text("alarm"), "vibration", "an alarm before clock and fix");
	ok(feed.nrecords == 1 && feed.records[0].event_time_us == FEED_NOW_US && !feed.records[0].defect[0], "is of now");
	take(false, "16", "000000000000" FIX COURSE "09" CELL "40" "05" "04" "03" "02");
	is_str(feed.nrecords ? feed.records[0].defect : "", "missing_field:event_time", "a fix without a date is not");

	take(false, "13", "40" "8019" "00" "00" "2e" "42" "016f" "00" "0872" "0000" "802b");
	is_int(number("tracker_battery_percent"), 46, "heartbeat: per cent");
	ok(near(number("tracker_battery_v"), 3.67) && near(number("temperature_c"), 4.3), "heartbeat: volts, temperature");
	take(false, "28", DATE CELL "3e");
	is_int(number("cell_id"), 0xabcd, "cells: the first");
	take(false, "a1", DATE "0106" "02" "00001a2b" "000000000000abcd" "3e");
	is_int(number("cell_id"), 0xabcd, "wide cells: the first");
	take(false, "24", DATE FIX COURSE CELL "01" "04ce" "0186");
	check_position("24 of models that have a fix there");
	ok(near(number("external_voltage_v"), 12.3) && near(number("tracker_battery_v"), 3.9), "24: volts");
	is_str(text("ignition"), "true", "24: ignition");
	take(false, "24", DATE "07" "0106" "02" "07" "1a2b" "00abcd" "3e" "1a2b" "00abcd" "3e1a2b00abcd3e1a2b00abcd3e1a2b00abcd3e");
	ok(feed.nrecords == 1 && isnan(feed.records[0].latitude), "24 of others has cells");
	take(false, "57", DATE FIX COURSE "0102");
	check_position("a type that nobody told us of");
	is_int(buf_len(&feed.out), 10, "is answered as a position");
	take(false, "57", DATE "f9" "ffffffff" "00ee7604" "12" COURSE "0102");
	is_str(text("gt06_57"), DATE "f9" "ffffffff" "00ee7604" "12" COURSE "0102", "unless it is no fix");
	take(false, "34", "00000000" DATE FIX COURSE "0000" "0000ea60" "0106" "02" "1a2b" "0000abcd" "00000000");
	ok(near(number("odometer_km"), 60) && number("cell_id") == 0xabcd, "34: mileage, cell");
	take(false, "33", DATE "0106" "02" "00001a2b" "000000000000abcd" "3e");
	is_int(number("cell_id"), 0xabcd, "33: likewise");
	is_int(buf_len(&feed.out), 10, "33: answered");
	take(false, "40", "0102030405060708" "6553f100" "57" "0102" "58" "0203" "62" "0b9b" "0010" "bc40" "0021" "1010");
	ok(feed.nrecords == 1 && feed.records[0].event_time_us == TIME_US, "battery: its time");
	ok(number("battery_percent") == 87 && number("battery_health_percent") == 98 &&
	   near(number("battery_temp_c"), 24), "battery: charge, health, temperature");
	ok(near(number("battery_voltage_v"), 48.192) && number("battery_cycles") == 33, "battery: volts, cycles");
	is_int(buf_len(&feed.out), 10, "battery: answered");
	take(false, "2a", DATE FIX COURSE "3132333435");
	ok(strstr(text("gt06_2a"), "3132333435") == NULL, "2a: the telephone number is not kept");
	take(true, "94", "05" DATE "03");
	is_str(text("door_open"), "true", "information: door");
	take(true, "94", "0a" LOGIN LOGIN "8949012345678901234f");
	is_str(text("iccid"), "8949012345678901234", "information: a card of nineteen digits");
	take(true, "94", "1b" "02" "08" "4277efef" "35" "03");
	is_str(text("driver_id"), "4277efef", "information: tag");
	take(true, "94", "1e" "ffffffce" "000002ee");
	ok(near(number("temperature_c"), -5) && near(number("humidity_percent"), 75), "information: weather");
	take(true, "94", "0d" DATE "2141494f494c");
	is_str(text("information"), "!AIOIL", "information: a sensor's text");
	take(false, "94", "04ce");
	ok(near(number("external_voltage_v"), 12.3), "information, short: volts");
	feed_end(&feed);
}

static void
test_hostile(void)
{
	char		frame[512];
	size_t		n = message(false, "12", DATE FIX COURSE CELL, frame);
	bool		more = true;
	Frame		cut = {0};
	char		lies[600];

	feed_begin(&feed, &adapter_gt06, IMEI);
	for (size_t i = 1; i < n; i++)
	{
		char	   *piece = feed_copy(frame, i);

		more = more && adapter_gt06.frame(&feed.session, piece, i, &cut) == FRAME_MORE;
		free(piece);
	}
	ok(more, "every beginning needs more");

	frame[10] ^= 1;
	feed_bytes(&feed, frame, n, 0);
	is_str(feed.nrecords ? feed.records[0].defect : "", "malformed", "a wrong sum");
	is_int(feed.nrecords ? (long long) feed.records[0].raw_len : 0, (long long) n, "is kept whole");
	is_int(buf_len(&feed.out), 0, "not acknowledged");
	ok(feed.refused == NULL, "and the connection stays");
	frame[10] ^= 1;
	feed_bytes(&feed, frame, n, 0);
	is_int(feed.nrecords, 2, "the next frame is good");
	is_int(buf_len(&feed.out), 10, "and acknowledged");
	feed_end(&feed);

	/* The length is too short, then too long; the stream is found again. */
	for (int off = -9; off <= 9; off += 18)
	{
		feed_begin(&feed, &adapter_gt06, IMEI);
		memcpy(lies, frame, n);
		lies[2] = (char) (lies[2] + off);
		memcpy(lies + n, frame, n);
		feed_bytes(&feed, lies, 2 * n, 1);
		is_int(feed.nrecords, 2, off < 0 ? "a length too short" : "a length too long");
		ok(feed.nrecords == 2 && feed.records[0].defect[0] && !feed.records[1].defect[0], "harms its own frame only");
		feed_end(&feed);
	}

	feed_begin(&feed, &adapter_gt06, IMEI);
	memcpy(lies, "garbage", 7);
	memcpy(lies + 7, frame, n);
	feed_bytes(&feed, lies, n + 7, 0);
	is_int(feed.nrecords, 2, "garbage before a frame");
	ok(feed.nrecords == 2 && feed.records[0].raw_len == 7 && !feed.records[1].defect[0], "is kept apart");
	feed_end(&feed);

	feed_begin(&feed, &adapter_gt06, IMEI);
	memset(lies, '?', sizeof(lies));
	feed_bytes(&feed, lies, sizeof(lies), 2);
	is_str(feed.refused, "malformed frames", "garbage without end");
	is_int(feed.nrecords, 16, "is given up soon");
	feed_end(&feed);

	feed_begin(&feed, &adapter_gt06, "");
	send_hex("474554202f20");
	is_str(feed.refused, "not gt06", "another protocol");
	feed_end(&feed);
	feed_begin(&feed, &adapter_gt06, "");
	send_hex("7979ffff01");
	is_str(feed.refused, "length", "a length of 65535");
	feed_end(&feed);
	feed_begin(&feed, &adapter_gt06, IMEI);
	memset(lies, 0x78, sizeof(lies));
	feed_bytes(&feed, lies, sizeof(lies), 0);
	feed_bytes(&feed, lies, sizeof(lies), 0);
	is_int(feed.nrecords, 0, "no end: nothing yet");
	feed_end(&feed);
	feed_begin(&feed, &adapter_gt06, IMEI);
	send_hex("787801080d0a");
	is_str(feed.nrecords ? feed.records[0].defect : "", "malformed", "a length below any frame's");
	feed_end(&feed);
	for (int type = 0; type < 256; type++)
	{
		char		hex[3];

		snprintf(hex, sizeof(hex), "%02x", type);
		for (int size = 0; size < 40; size += 3)
		{
			char		content[128] = "";

			memset(content, '0', 2 * (size_t) size);
			take(type & 1, hex, content);
		}
	}
	ok(true, "zeros of every type and many sizes are borne");
	feed_end(&feed);
}

int
main(void)
{
	test_login();
	test_position();
	test_status();
	test_models();
	test_hostile();
	buf_trim();
	return tap_done();
}
