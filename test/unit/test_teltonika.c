/*
 * test_teltonika.c
 *	  The teltonika adapter: packets made by hand, whole and in pieces, and
 *	  what a hostile or broken device sends.
 */
#include <json-c/json.h>
#include <math.h>

#include "adapters/teltonika.h"
#include "crc.h"
#include "feed.h"
#include "tap.h"

#define IMEI "123456789012345"
#define LOGIN "000f313233343536373839303132333435"

/* 2023-11-14 22:13:20 UTC, 50.1105 N 8.6821 E, 112 m, 245 deg, 9 satellites, 18 km/h */
#define HEADER "0000018bcfe5680001052cc8881dde4168007000f5090012"
#define TIME_US INT64_C(1700000000000000)

/* The same without satellites. */
#define NO_FIX "0000018bcfe5680001052cc8881dde4168007000f5000012"

/* Event 239; ignition 1, GSM 4, external voltage 12345, odometer 12345. */
#define IO8 "ef0402ef01150401423039011000003039" "00"
#define PACKET8 "0801" HEADER IO8 "01"

static Feed feed;

static size_t
packet(const char *hex, char *frame, size_t size)
{
	size_t		n = feed_from_hex(hex, frame + 8, size - 12);
	uint16_t	sum = crc16_arc(frame + 8, n);

	memset(frame, 0, 8);
	frame[6] = (char) (n >> 8);
	frame[7] = (char) n;
	memset(frame + 8 + n, 0, 4);
	frame[10 + n] = (char) (sum >> 8);
	frame[11 + n] = (char) sum;
	return n + 12;
}

static void
send_hex(const char *hex)
{
	char		bytes[4096];

	feed_bytes(&feed, bytes, feed_from_hex(hex, bytes, sizeof(bytes)), 0);
}

/* A packet of a device that has logged in; what came of it is in feed. */
static void
send_packet(const char *hex, size_t step)
{
	char		frame[8192];

	feed_bytes(&feed, frame, packet(hex, frame, sizeof(frame)), step);
}

static void
take_packet(const char *hex, size_t step)
{
	feed_end(&feed);
	feed_begin(&feed, &adapter_teltonika, IMEI);
	send_packet(hex, step);
}

static double
number(size_t record, const char *name)
{
	const FedSignal *signal = record < feed.nrecords ? feed_signal(&feed.records[record], name) : NULL;

	return signal != NULL && signal->kind == RECORD_NUMBER ? signal->number : NAN;
}

static const char *
text(size_t record, const char *name)
{
	const FedSignal *signal = record < feed.nrecords ? feed_signal(&feed.records[record], name) : NULL;

	return signal != NULL && signal->kind == RECORD_TEXT ? signal->text : "(none)";
}

static int
boolean(size_t record, const char *name)
{
	const FedSignal *signal = record < feed.nrecords ? feed_signal(&feed.records[record], name) : NULL;

	return signal != NULL && signal->kind == RECORD_BOOLEAN ? signal->boolean : -1;
}

static void
test_login(void)
{
	feed_begin(&feed, &adapter_teltonika, "");
	send_hex(LOGIN);
	is_str(feed.session.device, IMEI, "a login gives the identity");
	is_str(feed_out_hex(&feed), "01", "and is taken");
	is_int(feed.nrecords, 0, "it is no record");
	send_hex("ff" LOGIN);
	is_str(feed_out_hex(&feed), "0101", "the same again is taken, after a keep-alive that gets no answer");
	send_hex("000f393939393939393939393939393939");
	is_str(feed.refused, "identity changed", "another is not");
	is_str(feed_out_hex(&feed), "010100", "and is told so");
	is_str(feed.session.device, IMEI, "the first one stays");
	feed_end(&feed);

	feed_begin(&feed, &adapter_teltonika, "");
	send_packet(PACKET8, 0);
	is_str(feed.refused, "data before login", "data without a login");
	is_int(feed.nrecords, 1, "goes to quarantine");
	is_str(feed.records[0].defect, "malformed:login", "for that");
	is_int(buf_len(&feed.out), 0, "without an answer");
}

static void
check_packet8(const char *how)
{
	const FedRecord *record = feed.records;

	if (!is_int(feed.nrecords, 1, how))
		return;
	is_str(record->device, IMEI, "device");
	is_int(record->event_time_us, TIME_US, "time");
	ok(fabs(record->latitude - 50.1105) < 1e-9 && fabs(record->longitude - 8.6821) < 1e-9, "place");
	ok(record->altitude_m == 112 && record->heading_deg == 245 && record->speed_kmh == 18, "motion");
	is_int(number(0, "satellites"), 9, "satellites");
	is_int(number(0, "priority"), 1, "priority");
	is_str(text(0, "event_type"), "ignition", "the element that made the report");
	is_int(boolean(0, "ignition"), 1, "a boolean");
	is_int(number(0, "gsm_signal_percent"), 80, "a scaled number");
	ok(fabs(number(0, "external_voltage_v") - 12.345) < 1e-9, "a voltage");
	ok(fabs(number(0, "odometer_km") - 12.345) < 1e-9, "a distance");
	is_int(record->nsignals, 7, "and no more");
	is_str(feed_out_hex(&feed), "00000001", "one is confirmed");
}

static void
test_codec8(void)
{
	feed_end(&feed);
	feed_begin(&feed, &adapter_teltonika, "");
	send_hex(LOGIN);
	buf_release(&feed.out);
	send_packet(PACKET8, 0);
	check_packet8("codec 8, after its login");
	take_packet(PACKET8, 1);
	check_packet8("byte by byte");
	take_packet(PACKET8, 7);
	check_packet8("seven by seven");

	take_packet("0802" HEADER IO8 NO_FIX "0000" "00000000" "02", 0);
	is_int(feed.nrecords, 2, "two records");
	ok(isnan(feed.records[1].latitude) && isnan(feed.records[1].longitude), "no satellites, no place");
	ok(isnan(feed.records[1].speed_kmh) && isnan(feed.records[1].altitude_m), "nor what belongs to it");
	is_int(number(1, "satellites"), 0, "but their number");
	is_str(text(1, "event_type"), "(none)", "no event");
	is_str(feed_out_hex(&feed), "00000002", "two are confirmed");

	take_packet("0801" "0000018bcfe56800" "02" "fb2f6530" "e1fd4a10" "ff9c" "0000" "05" "0000" "0000" "00000000" "01", 0);
	ok(fabs(feed.records[0].longitude + 8.0779984) < 1e-6 && fabs(feed.records[0].latitude + 50.3494128) < 1e-6,
	   "south and west");
	is_int(feed.records[0].altitude_m, -100, "below the sea");
	is_str(text(0, "alarm"), "panic", "priority 2");

	take_packet("0801" HEADER "0005" "02" "fc01" "c807" "01" "11fc18" "00" "02" "4e1122334455667788" "ccffffffffffffffff" "01", 0);
	is_int(feed.nrecords, 1, "more elements");
	is_int(boolean(0, "external_power"), 0, "unplugged");
	is_int(number(0, "io_200"), 7, "no well-known name");
	ok(fabs(number(0, "acceleration_x_ms2") + 9.80665) < 1e-9, "a signed one");
	is_str(text(0, "driver_id"), "1122334455667788", "an iButton");
	is_str(text(0, "io_204"), "18446744073709551615", "beyond what a number can tell, its digits");

	take_packet("0801" HEADER "0001" "00" "01" "ef0001" "00" "00" "01", 0);
	is_int(number(0, "io_239"), 1, "a known id of another width is raw");

	take_packet("0801" HEADER "0003" "02" "1fff" "2080" "01" "b6ffff" "00" "00" "01", 0);
	is_int(number(0, "io_31"), 255, "not available is no engine load");
	is_int(number(0, "io_32"), 128, "nor a temperature");
	is_int(number(0, "io_182"), 65535, "nor a dilution");
	is_int(feed.records[0].nsignals, 5, "they are raw");

	take_packet("0801" HEADER "0001" "00" "00" "00" "00" "01" "cb000102030405060708090a0b0c0d0e0f" "01", 0);
	is_int(feed.nrecords, 1, "a group of 16-byte values, as some models send");
	is_str(text(0, "io_203"), "000102030405060708090a0b0c0d0e0f", "its digits");

	take_packet("0800" "00", 0);
	is_int(feed.nrecords, 0, "no records");
	is_str(feed_out_hex(&feed), "00000000", "none confirmed");
}

static void
test_others(void)
{
	char		two[512];
	size_t		n;

	take_packet("8e01" HEADER "0000" "0005" "0001" "00ef01" "0000" "0000" "0001" "004e0000000000000000"
				"0003" "0119" "0005" "5030323939" "2a4f" "0002" "beef" "0100" "0011" "5756315a5a5a32455a3836303135333838" "01", 0);
	is_int(feed.nrecords, 1, "codec 8 extended");
	is_int(boolean(0, "ignition"), 1, "a known element");
	is_str(text(0, "driver_id"), "", "no iButton");
	is_str(text(0, "error_codes"), "P0299", "a text");
	is_str(text(0, "io_10831"), "beef", "bytes");
	ok(feed_signal(&feed.records[0], "vin") == NULL && feed_signal(&feed.records[0], "io_256") == NULL,
	   "the VIN is dropped");
	is_str(feed_out_hex(&feed), "00000001", "confirmed");

	take_packet("1001" HEADER "0200" "05" "02" "02" "000101" "012c07" "00" "00" "00" "01", 0);
	is_int(feed.nrecords, 1, "codec 16");
	is_int(number(0, "generation_type"), 5, "what made it");
	is_str(text(0, "event_type"), "io_512", "an event without a well-known name");
	is_int(number(0, "io_300"), 7, "its element");

	take_packet("0702" "50aa17f3" "03" "1f" "42486666" "4109999a" "008d" "40" "02" "09" "01f001"
				"10aa17f4" "0f" "e0" "00010002" "1a" "0000552b" "010164" "0143100c" "010500000005" "02", 0);
	is_int(feed.nrecords, 2, "codec 7");
	is_int(feed.records[0].event_time_us, INT64_C(1447192307000000), "its time");
	ok(fabs(feed.records[0].latitude - 50.1) < 1e-5 && fabs(feed.records[0].longitude - 8.6) < 1e-5, "place");
	ok(feed.records[0].heading_deg == 90 && feed.records[0].altitude_m == 141 && feed.records[0].speed_kmh == 2,
	   "motion");
	is_int(boolean(0, "movement"), 1, "an element");
	ok(isnan(feed.records[1].latitude), "no place");
	is_int(number(1, "tracker_battery_percent"), 100, "an element of its own");
	is_int(number(1, "cell_id"), 2, "a cell");
	is_str(text(1, "gsm_operator"), "21803", "an operator");
	is_str(feed_out_hex(&feed), "00000002", "confirmed");

	/* Two packets in one piece, a keep-alive between; both confirmed in order. */
	n = packet(PACKET8, two, sizeof(two));
	two[n] = (char) 0xFF;
	n += 1 + packet("0802" HEADER IO8 HEADER IO8 "02", two + n + 1, sizeof(two) - n - 1);
	feed_end(&feed);
	feed_begin(&feed, &adapter_teltonika, IMEI);
	feed.late_acks = true;
	feed_bytes(&feed, two, n, 0);
	is_int(feed.nrecords, 3, "two packets at once");
	is_str(feed_out_hex(&feed), "0000000100000002", "confirmed in order");
}

static void
test_messages(void)
{
	Buf			out = {0};

	take_packet("0c01" "06" "00000007" "5665723a310d0a" "01", 0);
	is_int(feed.nrecords, 1, "an answer to a command");
	is_str(text(0, "command_result"), "Ver:1", "its text");
	is_int(feed.records[0].event_time_us, FEED_NOW_US, "of now");
	is_int(buf_len(&feed.out), 0, "is not confirmed");
	take_packet("0c01" "06" "00000003" "0001ff" "01", 0);
	is_str(text(0, "command_result"), "0001ff", "digits, where it is no text");
	take_packet("0d01" "06" "00000006" "65000000" "4f4b" "01", 0);
	is_str(text(0, "command_result"), "OK", "codec 13");
	is_int(number(0, "device_time_s"), 0x65000000, "with the device's time");
	is_int(feed.records[0].event_time_us, INT64_C(0x65000000) * 1000000, "which counts");
	take_packet("0d01" "06" "00000006" "00000100" "4f4b" "01", 0);
	is_int(feed.records[0].event_time_us, FEED_NOW_US, "unless its clock has not been set");
	take_packet("0e01" "06" "0000000a" "0123456789012345" "4f4b" "01", 0);
	is_str(text(0, "command_result"), "OK", "codec 14");

	/* The vendor's own example. */
	ok(teltonika_command("getinfo", 7, &out), "a command");
	feed_end(&feed);
	feed.out = out;
	is_str(feed_out_hex(&feed), "000000000000000f0c010500000007676574696e666f0100004312", "as the device takes it");
	ok(!teltonika_command("", 0, &out), "an empty one");
	feed_end(&feed);
}

/* Refused: quarantined for that, answered with 0. */
static void
refused(const char *hex, const char *defect, const char *name)
{
	char		what[200];

	take_packet(hex, 0);
	ok(feed.nrecords == 1 && strcmp(feed.records[0].defect, defect) == 0 && feed.records[0].raw_len > 12 &&
	   strcmp(feed.records[0].device, IMEI) == 0, name);
	snprintf(what, sizeof(what), "%s: refused", name);
	is_str(feed_out_hex(&feed), "00000000", what);
}

/* Garbage: quarantined, and the connection closed. */
static void
closed(const char *hex, const char *device, const char *reason, const char *answer)
{
	feed_end(&feed);
	feed_begin(&feed, &adapter_teltonika, device);
	send_hex(hex);
	is_str(feed.refused, reason, reason);
	ok(feed.nrecords == 1 && strcmp(feed.records[0].defect, "malformed:frame") == 0 && feed.records[0].raw_len > 0,
	   "goes to quarantine");
	is_str(feed_out_hex(&feed), answer, "answered");
}

static void
test_hostile(void)
{
	char		frame[256];
	size_t		n = packet(PACKET8, frame, sizeof(frame));

	frame[20] ^= 1;
	feed_end(&feed);
	feed_begin(&feed, &adapter_teltonika, IMEI);
	feed_bytes(&feed, frame, n, 0);
	ok(feed.nrecords == 1 && strcmp(feed.records[0].defect, "malformed:checksum") == 0 &&
	   feed.records[0].raw_len == n, "a wrong sum");
	is_str(feed_out_hex(&feed), "00000000", "none confirmed");
	is_int(feed.refused == NULL, 1, "the connection stays");
	frame[20] ^= 1;
	feed_bytes(&feed, frame, n, 0);
	ok(feed.nrecords == 2 && feed.records[1].defect[0] == '\0', "and may send it again");
	is_str(feed_out_hex(&feed), "0000000000000001", "to be confirmed");

	refused("0801" HEADER IO8 "02", "malformed:count", "two numbers of records");
	refused("0802" HEADER IO8 "02", "malformed:records", "fewer records than that");
	refused("0801" HEADER IO8 HEADER IO8 "01", "malformed:records", "more records than that");
	refused("0801" HEADER IO8 "aa" "01", "malformed:records", "garbage behind");
	refused("0801" HEADER "0001" "ff" "01", "malformed:records", "elements that are not there");
	refused("8e01" HEADER "0000" "ffff" "ffff" "01", "malformed:records", "65535 of them");
	refused("8e01" HEADER "0000" "0001" "0000" "0000" "0000" "0000" "0001" "0119" "ffff" "50" "01", "malformed:records",
			"a value beyond the end");
	refused("0c01" "06" "ffffffff" "4f4b" "01", "malformed:records", "an answer beyond the end");
	refused("0d01" "06" "00000003" "000000" "01", "malformed:records", "an answer too short for its time");
	refused("6601" HEADER IO8 "01", "malformed:codec", "a codec nobody knows");

	take_packet("0801" "ffffffffffffffff" "00" "052cc888" "1dde4168" "0070" "00f5" "09" "0012" "0000" "00000000" "01", 0);
	ok(feed.nrecords == 1 && strcmp(feed.records[0].defect, "malformed:event_time") == 0 &&
	   feed.records[0].raw_len == 30 && !feed.records[0].has_event_time, "a time beyond the calendar");
	is_str(feed_out_hex(&feed), "00000001", "is confirmed: sending it again would not mend it");

	closed("474554202f20485454502f312e310d0a", "", "neither login nor data", "");
	closed("474554202f20485454502f312e310d0a", IMEI, "neither login nor data", "00000000");
	closed("0000010000000036", IMEI, "no zeros before data", "00000000");
	closed("0000000000000000", IMEI, "impossible length", "00000000");
	closed("00000000ffffffff08", IMEI, "impossible length", "00000000");
	closed("0003413233", "", "neither login nor data", "");

	feed_end(&feed);
	feed_begin(&feed, &adapter_teltonika, IMEI);
	feed_bytes(&feed, frame, n - 1, 0);
	ok(feed.nrecords == 0 && feed.unfinished == n - 1 && buf_len(&feed.out) == 0, "a packet without its end waits");
}

static void
datagram(const char *hex)
{
	feed_end(&feed);
	feed_begin(&feed, &adapter_teltonika, "");
	feed.session.datagram = true;
	send_hex(hex);
}

/* One value that cannot be takes no report to quarantine. */
static void
test_ranges(void)
{
	take_packet("0801" "0000018bcfe5680001052cc8881dde4168" "8000" "ffff" "09" "ffff" IO8 "01", 0);
	ok(feed.nrecords == 1 && feed.records[0].defect[0] == '\0' && fabs(feed.records[0].latitude - 50.1105) < 1e-5,
	   "a good place");
	ok(feed.nrecords == 1 && isnan(feed.records[0].altitude_m) && isnan(feed.records[0].heading_deg) &&
	   isnan(feed.records[0].speed_kmh), "altitude, course and speed that cannot be are left out");
	is_int(number(0, "altitude_raw"), -32768, "and kept raw: altitude");
	is_int(number(0, "heading_raw"), 65535, "course");
	is_int(number(0, "speed_raw"), 65535, "speed");
	is_str(feed_out_hex(&feed), "00000001", "confirmed");
	take_packet("8e01" HEADER "0000" "0001" "0000" "0000" "0000" "0000" "0001" "0145" "0003" "414243" "01", 0);
	ok(feed.nrecords == 1 && feed_signal(&feed.records[0], "io_325") == NULL &&
	   feed_signal(&feed.records[0], "vin") == NULL, "325 is a VIN, too, and not kept");
	take_packet("0802" HEADER "fd01" "01fd02" "00" "00" "00" HEADER "0001" "01fd04" "00" "00" "00" "02", 0);
	is_str(text(0, "alarm"), "hard_braking", "green driving: what it was");
	is_int(number(0, "io_253"), 2, "green driving: raw");
	is_str(text(1, "alarm"), "(none)", "green driving: of a kind that nobody knows");
	take_packet("0f01" "0b" "0000000e" "6553f100" "0123456789012345" "4f4b" "01", 0);
	is_str(text(0, "command_result"), "OK", "codec 15");
	is_int(number(0, "device_time_s"), 1700000000, "codec 15: its time");
	is_int(buf_len(&feed.out), 0, "codec 15: nothing to confirm");
	take_packet("0f01" "0b" "0000000b" "6553f100" "01234567890123" "01", 0);
	ok(feed.nrecords == 1 && strcmp(feed.records[0].defect, "malformed:records") == 0, "codec 15: too short for its IMEI");
}

static void
test_datagrams(void)
{
	char		hex[400];
	const char *rest = "cafe" "01" "05" LOGIN PACKET8;

	snprintf(hex, sizeof(hex), "%04x%s", (unsigned) strlen(rest) / 2, rest);
	datagram(hex);
	is_int(feed.nrecords, 1, "a datagram");
	is_str(feed.nrecords ? feed.records[0].device : "", IMEI, "its identity");
	is_str(feed_out_hex(&feed), "0005cafe010501", "its answer");
	is_str(feed.session.device, "", "it logs nobody in");
	hex[3]++;
	datagram(hex);
	is_str(feed.refused, "impossible length", "another length");
	ok(feed.nrecords == 1 && feed.records[0].raw_len > 0, "goes to quarantine");
	is_int(buf_len(&feed.out), 0, "without an answer");
	rest = "cafe" "01" "05" LOGIN "0801" HEADER IO8 "02";
	snprintf(hex, sizeof(hex), "%04x%s", (unsigned) strlen(rest) / 2, rest);
	datagram(hex);
	ok(feed.nrecords == 1 && strcmp(feed.records[0].defect, "malformed:count") == 0, "one with a wrong packet");
	is_str(feed_out_hex(&feed), "0005cafe010500", "none confirmed");
	datagram("0007cafe0105000f31");
	is_str(feed.refused, "no identity", "one that ends in its identity");
	datagram("00");
	is_str(feed.refused, "impossible length", "one byte");
	datagram("ff");
	ok(feed.refused == NULL && feed.nrecords == 0 && buf_len(&feed.out) == 0, "a keep-alive");
}

static void
test_table(void)
{
	static const TeltonikaIo rows[] = {
		{10831, 0, TELTONIKA_HEX, 1, "beacons"},
		{200, 1, TELTONIKA_NUMBER, 1, "sleep_mode"},
		{66, TELTONIKA_ANY, TELTONIKA_NUMBER, 0.01, "external_voltage_v"},
		{256, 0, TELTONIKA_TEXT, 1, "label"},
		{21, 1, TELTONIKA_DROP, 1, "x"}
	};
	static const TeltonikaIo wrong = {1, 1, TELTONIKA_NUMBER, 1, "9 lives"};

	ok(teltonika_extend(rows, 5), "a table of one's own");
	ok(!teltonika_extend(&wrong, 1), "a name that is none changes nothing");
	take_packet("8e01" HEADER "00c8" "0006" "0002" "00c807" "001504" "0001" "00423039" "0000" "0000"
				"0002" "2a4f" "0002" "beef" "0100" "0003" "414243" "01", 0);
	is_str(text(0, "event_type"), "sleep_mode", "names the event");
	is_int(number(0, "sleep_mode"), 7, "names an element");
	is_str(text(0, "beacons"), "beef", "one of variable length");
	is_str(text(0, "label"), "ABC", "a text");
	ok(fabs(number(0, "external_voltage_v") - 123.45) < 1e-9, "overrides a built-in one");
	ok(feed_signal(&feed.records[0], "gsm_signal_percent") == NULL, "drops another");
	ok(teltonika_extend(NULL, 0), "and goes away");
	take_packet(PACKET8, 0);
	ok(fabs(number(0, "external_voltage_v") - 12.345) < 1e-9, "the built-in one is back");
}

/* What the configuration says of it. */
static const char *
rows_of(const char *json)
{
	static char err[200];
	struct json_object *object = json_tokener_parse(json);
	TeltonikaIo *rows;
	size_t		nrows;

	err[0] = '\0';
	if (teltonika_read_rows(object, &rows, &nrows, err, sizeof(err)))
		ok(teltonika_extend(rows, nrows), json);
	teltonika_free_rows(rows, nrows);
	json_object_put(object);
	return err;
}

static void
test_configuration(void)
{
	is_str(rows_of("{\"200\": \"sleep_mode\", \"66\": {\"name\": \"v\", \"kind\": \"signed\", \"scale\": 0.5, \"width\": 2},"
				   " \"10831\": \"beacons\", \"21\": null}"), "", "rows");
	take_packet("8e01" HEADER "0000" "0004" "0002" "00c807" "001504" "0001" "0042fffe" "0000" "0000"
				"0001" "2a4f" "0002" "beef" "01", 0);
	is_int(number(0, "sleep_mode"), 7, "a name");
	is_int(number(0, "v"), -1, "kind and scale");
	is_str(text(0, "beacons"), "beef", "bytes under a name alone");
	ok(feed_signal(&feed.records[0], "gsm_signal_percent") == NULL && feed_signal(&feed.records[0], "io_21") == NULL,
	   "null drops");
	is_str(rows_of("[]"), "must be an object", "a list");
	is_str(rows_of("{\"x\": \"a\"}"), "element x: not the id of an element", "no id");
	is_str(rows_of("{\"65536\": \"a\"}"), "element 65536: not the id of an element", "too large an id");
	is_str(rows_of("{\"1\": \"a b\"}"), "element 1: not a signal's name, or not a scale", "no name");
	is_str(rows_of("{\"1\": 7}"), "element 1: must be a signal's name, an object with \"name\", or null", "a number");
	is_str(rows_of("{\"1\": {\"kind\": \"hex\"}}"), "element 1: must be a signal's name, an object with \"name\", or null",
		   "without a name");
	is_str(rows_of("{\"1\": {\"name\": \"a\", \"kind\": \"float\"}}"),
		   "element 1: \"kind\" must be number, signed, boolean, not, decimal, hex or text", "another kind");
	is_str(rows_of("{\"1\": {\"name\": \"a\", \"width\": 17}}"), "element 1: \"width\" must be from 0 to 16", "too wide");
	is_str(rows_of("{\"1\": {\"name\": \"a\", \"unit\": \"V\"}}"), "element 1: members are name, kind, scale and width",
		   "another member");
	is_str(rows_of("{}"), "", "none");
}

int
main(void)
{
	test_login();
	test_codec8();
	test_others();
	test_messages();
	test_hostile();
	test_ranges();
	test_datagrams();
	test_table();
	test_configuration();
	feed_end(&feed);
	buf_trim();
	return tap_done();
}
