/*
 * test_galileosky.c
 *	  The galileosky adapter: packets made by hand, whole and in pieces, several
 *	  records and packets at once, and what a hostile or broken terminal sends.
 */
#include <math.h>

#include "crc.h"
#include "feed.h"
#include "tap.h"

#define IMEI "123456789012345"

/* hardware 17, firmware 34, terminal 50 */
#define TAG_IMEI "03" "313233343536373839303132333435"
#define HEAD "01" "11" "02" "22" TAG_IMEI "04" "3200"

/* 2023-11-14 22:13:20 UTC; 9 satellites, 50.1105 N 8.6821 E; 18.3 km/h, 245.1 deg; 112 m; hdop 0.9 */
#define TIME "20" "00f15365"
#define PLACE_OF(flags) "30" flags "24a0fc02" "747a8400"
#define PLACE PLACE_OF("09")
#define MOTION "33" "b700" "9309" "34" "7000" "35" "09"
#define RECORD TIME PLACE MOTION
#define TIME_US INT64_C(1700000000000000)

static Feed feed;

/* The length's upper bit: more waits in the archive. */
static size_t
packet(const char *header, const char *hex, char *frame)
{
	size_t		n = 3;
	uint16_t	sum;

	(void) feed_from_hex(header, frame, 1);
	n += feed_from_hex(hex, frame + n, 0x7fff);
	frame[1] = (char) (n - 3);
	frame[2] = (char) ((n - 3) >> 8 | 0x80);
	sum = crc16_modbus(frame, n);
	frame[n++] = (char) sum;
	frame[n++] = (char) (sum >> 8);
	return n;
}

/* The answer to that packet. */
static const char *
confirmation(const char *hex)
{
	static char text[8];
	char		frame[0x8010];
	size_t		n = packet("01", hex, frame);

	snprintf(text, sizeof(text), "02%02x%02x", (unsigned char) frame[n - 2], (unsigned char) frame[n - 1]);
	return text;
}

static void
send(const char *hex, size_t step)
{
	char		frame[0x8010];

	feed_bytes(&feed, frame, packet("01", hex, frame), step);
}

static void
begin(const char *device)
{
	feed_end(&feed);
	feed_begin(&feed, &adapter_galileosky, device);
}

/* One packet of a terminal that is known. */
static void
take(const char *hex)
{
	begin(IMEI);
	send(hex, 0);
}

static const FedSignal *
signal_of(size_t record, const char *name)
{
	return record < feed.nrecords ? feed_signal(&feed.records[record], name) : NULL;
}

static double
number(size_t record, const char *name)
{
	const FedSignal *signal = signal_of(record, name);

	return signal != NULL && signal->kind == RECORD_NUMBER ? signal->number : NAN;
}

static const char *
text(size_t record, const char *name)
{
	const FedSignal *signal = signal_of(record, name);

	return signal == NULL ? "" : signal->kind == RECORD_TEXT ? signal->text :
		signal->kind == RECORD_NUMBER ? "number" : signal->boolean ? "true" : "false";
}

static const char *
defect(size_t record)
{
	return record < feed.nrecords ? feed.records[record].defect : "no record";
}

static bool
near(double got, double want)
{
	return fabs(got - want) < 1e-6;
}

static bool
placed(size_t record)
{
	const FedRecord *r = &feed.records[record];

	return record < feed.nrecords && strcmp(r->device, IMEI) == 0 && r->event_time_us == TIME_US &&
		near(r->latitude, 50.1105) && near(r->longitude, 8.6821) && near(r->altitude_m, 112) &&
		near(r->heading_deg, 245.1) && near(r->speed_kmh, 18.3) && r->defect[0] == '\0';
}

static void
test_records(void)
{
	char		two[256];
	char		want[16];
	size_t		n;

	/* A packet worked out by hand: an empty one, and its CRC-16/MODBUS. */
	begin("");
	send("01" "11" "04" "3200", 0);
	is_str(feed_out_hex(&feed), confirmation("01" "11" "04" "3200"), "a head packet without an IMEI is confirmed");
	send(TAG_IMEI RECORD, 0);
	ok(feed.nrecords == 1 && placed(0), "the first record has it");
	begin("");
	feed_bytes(&feed, "\x01\x00\x00\x01\x50", 5, 0);
	is_str(feed.refused, "checksum", "a sum that is wrong");
	begin(IMEI);
	feed_bytes(&feed, "\x01\x00\x00\x20\x00", 5, 0);
	is_str(feed_out_hex(&feed), "022000", "no tags: nothing to store, confirmed");

	for (size_t step = 0; step < 2; step++)
	{
		begin("");
		send(HEAD, step);
		is_int(feed.nrecords, 0, "the head packet is no record");
		is_str(feed.session.device, IMEI, "but tells who it is");
		is_str(feed_out_hex(&feed), confirmation(HEAD), "and is confirmed");
		buf_consume(&feed.out, buf_len(&feed.out));
		send("10" "0201" RECORD, step);
		is_int(feed.nrecords, 1, step ? "byte by byte" : "whole");
		ok(placed(0), "identity, time, place, motion");
		is_int(number(0, "satellites"), 9, "satellites");
		is_str(text(0, "gps_valid"), "true", "a fix");
		ok(near(number(0, "hdop"), 0.9), "hdop");
		is_int(number(0, "sequence"), 258, "number in the archive");
		is_str(feed_out_hex(&feed), confirmation("10" "0201" RECORD), "confirmed with the sum");
	}

	/* Each with identity, or none; a tag that is not above the last begins a record. */
	begin("");
	send(HEAD "10" "0100" RECORD HEAD "10" "0200" RECORD TIME PLACE MOTION, 1);
	ok(feed.nrecords == 3 && placed(0) && placed(1) && placed(2), "three records in a packet");
	is_int(number(1, "sequence"), 2, "the second is the second");
	is_int(number(1, "hardware"), 17, "and says what the terminal is");
	is_str(text(1, "firmware"), "34", "and its firmware");
	ok(signal_of(2, "sequence") == NULL, "the third has no number");
	take(TIME "50" "0100" "50" "0200");
	ok(feed.nrecords == 2 && feed.records[1].defect[0] != '\0', "the same tag again begins one, too");

	begin(IMEI);
	feed.late_acks = true;
	n = packet("01", RECORD, two);
	n += packet("01", TIME, two + n);
	feed_bytes(&feed, two, n, 0);
	snprintf(want, sizeof(want), "%s", confirmation(RECORD));
	strcat(want, confirmation(TIME));
	is_int(feed.nrecords, 2, "two packets at once");
	is_str(feed_out_hex(&feed), want, "are two confirmations, in order");
}

static void
test_places(void)
{
	const FedRecord *r;

	take(TIME PLACE_OF("00") MOTION);
	ok(feed.nrecords == 1 && isnan(feed.records[0].latitude) && isnan(feed.records[0].speed_kmh) &&
	   isnan(feed.records[0].altitude_m), "no satellites: neither place nor motion");
	is_str(text(0, "gps_valid"), "false", "no fix");
	take(TIME PLACE_OF("19") MOTION);
	ok(feed.nrecords == 1 && isnan(feed.records[0].latitude), "not correct: no place");
	take(TIME PLACE_OF("39") MOTION);
	ok(feed.nrecords == 1 && isnan(feed.records[0].latitude), "not correct, another way");
	take(TIME PLACE_OF("20") "35" "1e");
	r = &feed.records[0];
	ok(feed.nrecords == 1 && near(r->latitude, 50.1105) && r->accuracy_m == 300, "by cells: a place, and how good it is");
	is_str(text(0, "gps_valid"), "false", "which is no fix");
	ok(isnan(number(0, "hdop")), "nor has it a dilution");
	take(TIME PLACE_OF("20"));
	ok(feed.nrecords == 1 && isnan(feed.records[0].latitude), "by cells, nobody knows how good: no place");
	take(TIME "30" "09" "dc5f03fd" "8c857bff" "33" "0000" "100e" "34" "f6ff");
	r = &feed.records[0];
	ok(feed.nrecords == 1 && near(r->latitude, -50.1105) && near(r->longitude, -8.6821), "south and west");
	is_int(r->heading_deg, 0, "360 degrees are 0");
	is_int(r->altitude_m, -10, "below the sea");
	take(TIME "33" "0a00" "110e");
	ok(feed.nrecords == 1 && feed.records[0].speed_kmh == 1 && isnan(feed.records[0].heading_deg), "more than 360 is no course");
}

static void
test_tags(void)
{
	take(TIME "36" "0f" "40" "0182" "41" "3930" "42" "a00f" "43" "fb" "44" "0106d014" "45" "0200" "46" "0500" "47" "0a141e28"
		 "48" "0300" "49" "02" "50" "e803" "57" "0200" "58" "0700" "5a" "01000100" "5d" "010203");
	is_int(feed.nrecords, 1, "what the terminal measures");
	ok(near(number(0, "pdop"), 1.5), "pdop");
	is_int(number(0, "device_status"), 0x8201, "status");
	is_str(text(0, "movement"), "true", "status: moves");
	is_str(text(0, "ignition"), "true", "status: engine");
	is_str(text(0, "alarm"), "alarm", "status: alarm");
	ok(near(number(0, "external_voltage_v"), 12.345), "supply");
	ok(near(number(0, "tracker_battery_v"), 4), "battery");
	is_int(number(0, "tracker_temp_c"), -5, "temperature, signed");
	is_int(number(0, "acceleration_x_raw"), 0x201, "acceleration, x");
	is_int(number(0, "acceleration_y_raw"), 1, "y");
	is_int(number(0, "acceleration_z_raw"), 333, "z");
	is_str(text(0, "digital_output_1"), "false", "output 1");
	is_str(text(0, "digital_output_2"), "true", "output 2");
	is_int(number(0, "io_70"), 5, "inputs");
	is_str(text(0, "digital_input_3"), "true", "input 3");
	ok(near(number(0, "eco_cornering_g"), 0.3), "driving");
	is_int(number(0, "extended_status"), 3, "extended status");
	is_int(number(0, "io_73"), 2, "one of which only the size is known");
	is_int(number(0, "input_0"), 1000, "input 0");
	is_int(number(0, "input_7"), 2, "input 7");
	is_int(number(0, "rs232_0"), 7, "RS232");
	is_int(number(0, "electricity_meter"), 65537, "meter");
	is_str(text(0, "dosimeter"), "010203", "dosimeter");
	take(TIME "40" "0000" "42" "ffff" "43" "80");
	is_str(text(0, "ignition"), "false", "status: nothing");
	ok(signal_of(0, "alarm") == NULL, "no alarm");
	ok(near(number(0, "tracker_battery_v_raw"), 65.535), "what is no voltage of a battery");
	is_int(number(0, "tracker_temp_c_raw"), -128, "what is no temperature");
	take(TIME PLACE "33" "ffff" "9309");
	ok(feed.nrecords == 1 && isnan(feed.records[0].speed_kmh) && near(feed.records[0].latitude, 50.1105), "what is no speed does not cost the place");

	take(TIME "60" "1027" "62" "0100" "63" "0a00" "fe" "6f" "0b00" "14" "70" "01" "ec" "77" "02" "15" "79" "0300" "80" "05" "14" "ff"
		 "88" "09" "8a" "fd" "90" "0000000a" "d3" "00000000" "d5" "05");
	is_int(number(0, "fuel_sensor_0"), 10000, "fuel sensor 0");
	is_int(number(0, "fuel_sensor_3"), 10, "fuel sensor 3");
	is_int(number(0, "fuel_sensor_3_c"), -2, "and its temperature");
	is_int(number(0, "fuel_sensor_15"), 11, "fuel sensor 15");
	is_int(number(0, "thermometer_0_c"), -20, "thermometer 0");
	is_int(number(0, "thermometer_7_id"), 2, "thermometer 7");
	is_int(number(0, "input_9"), 3, "input 9");
	is_int(number(0, "hygrometer_0_percent"), 100, "humidity");
	is_int(number(0, "io_136"), 9, "more of RS232");
	is_int(number(0, "fuel_sensor_0_c"), -3, "temperature of fuel sensor 0");
	is_str(text(0, "driver_id"), "0a000000", "driver");
	ok(signal_of(0, "ibutton_2") == NULL, "no second key");
	is_int(number(0, "ibutton_states"), 5, "keys");

	take(TIME "a0" "01" "af" "02" "b0" "0300" "b9" "0400" "c0" "02000000" "c1" "fa725025" "c2" "c8000000" "c3" "05000000" "c4" "06" "d2" "07"
		 "d4" "39300000" "d6" "0800" "da" "0900" "db" "0a000000" "df" "0b000000" "e2" "0c000000" "e9" "0d000000" "ea" "02" "beef"
		 "f0" "0e000000" "f9" "0f000000" "fa" "010203" "fd" "0102030405060708");
	is_int(number(0, "can8_15"), 1, "eight bits, 15");
	is_int(number(0, "can8_30"), 2, "30");
	is_int(number(0, "can16_5"), 3, "sixteen, 5");
	is_int(number(0, "can16_14"), 4, "14");
	is_int(number(0, "fuel_used_l"), 1, "fuel used");
	is_int(number(0, "fuel_percent"), 100, "level, as in the manual's example");
	is_int(number(0, "coolant_temp_c"), 74, "temperature, as there");
	is_int(number(0, "engine_rpm"), 1194, "speed of the engine, as there");
	is_int(number(0, "can_odometer_km"), 1, "the vehicle's odometer");
	is_int(number(0, "can_b1"), 5, "B1");
	is_int(number(0, "can8_0"), 6, "eight bits, 0");
	is_int(number(0, "can8_14"), 7, "14");
	ok(near(number(0, "odometer_km"), 12.345), "the terminal's odometer");
	is_int(number(0, "can16_0"), 8, "sixteen, 0");
	is_int(number(0, "can16_4"), 9, "4");
	is_int(number(0, "can32_0"), 10, "thirty-two, 0");
	is_int(number(0, "can32_4"), 11, "4");
	is_int(number(0, "user_data_0"), 12, "user data 0");
	is_int(number(0, "user_data_7"), 13, "7");
	is_str(text(0, "user_data"), "beef", "an array of them");
	is_int(number(0, "can32_5"), 14, "thirty-two, 5");
	is_int(number(0, "can32_14"), 15, "14");
	is_str(text(0, "io_250"), "010203", "three bytes of something");
	is_str(text(0, "io_253"), "0102030405060708", "eight bytes");
	take(TIME "c0" "00000000" "c1" "00000000" "c2" "00000000");
	ok(feed.nrecords == 1 && feed.records[0].nsignals == 0, "nothing from the bus: no empty tank");
	take(TIME "c1" "fffeffff");
	ok(feed.nrecords == 1 && feed.records[0].nsignals == 0, "what is not available is no value");
}

static void
test_sizes(void)
{
	char		hex[512];

	/* Parts 1, 4 and 14 of the refrigerator: 7 + 10 + 2 + 2 bytes. */
	take(TIME "5b" "01" "1240" "00000000" "00000000000000000000" "0000" "0000" "d5" "01");
	is_int(strlen(text(0, "refrigerator")), 42, "a value that tells its own size");
	is_int(number(0, "ibutton_states"), 1, "what follows it");
	take(TIME "5c" "ff00" "d5" "01");
	is_str(text(0, "tires"), "ff00", "tires: no receiver");
	is_int(number(0, "ibutton_states"), 1, "what follows");
	snprintf(hex, sizeof(hex), TIME "5c%0136d" "d5" "01", 1);
	take(hex);
	is_int(strlen(text(0, "tires")), 136, "tires");
	is_int(number(0, "ibutton_states"), 1, "what follows, too");

	take(TIME "fe" "1500" "0100" "d2040000" "8100" "0102" "8500" "33" "8e00" "0c090000" "fe");
	is_str(defect(0), "malformed:length_fe", "an extended block that ends within a tag behind it");
	take(TIME "fe" "1300" "0100" "d2040000" "8100" "0102" "8500" "33" "8e00" "0c0900" "00");
	is_str(defect(0), "", "an extended block");
	is_int(number(0, "ext_1"), 1234, "a value of it");
	is_int(number(0, "cell_id"), 0x201, "the cell");
	is_int(number(0, "ext_133"), 0x33, "its strength");
	is_int(number(0, "satellites_visible"), 12, "satellites in view");
	take(TIME "fe" "0800" "0100" "d2040000" "8100");
	is_str(text(0, "ext_rest"), "8100", "what breaks off within the block harms nothing");
	is_str(defect(0), "", "since the block's own length is right");
	take(TIME "fe" "0600" "ff7f" "01020304");
	is_str(text(0, "ext_rest"), "ff7f01020304", "what is not known in it is kept as it is");
}

static void
test_commands(void)
{
	begin("");
	send(TAG_IMEI "04" "3200" "e0" "07000000" "e1" "02" "6f6b", 1);
	ok(feed.nrecords == 1 && feed.records[0].event_time_us == FEED_NOW_US, "an answer to a command has the time of receipt");
	is_str(text(0, "command_result"), "ok", "its text");
	is_int(number(0, "command_number"), 7, "its number");
	take("e1" "02" "00ff");
	is_str(text(0, "command_result"), "00ff", "what is no text");
	take("e1" "00");
	ok(feed.nrecords == 1 && signal_of(0, "command_result") == NULL, "an empty one");
}

/* What is said in a right packet is decided, whatever it is: the same would come again. */
static void
test_quarantine(void)
{
	static const char unknown[] = RECORD "10" "0500" RECORD "fb" "0102" RECORD;

	take(unknown);
	is_int(feed.nrecords, 2, "an unknown tag");
	ok(placed(0), "the record before it is stored");
	is_str(defect(1), "malformed:tag_fb", "its own is quarantined");
	ok(feed.nrecords == 2 && feed.records[1].raw_len == (sizeof(unknown) - 1) / 2 + 5, "with the packet");
	ok(feed.nrecords == 2 && feed.records[1].event_time_us == TIME_US && near(feed.records[1].latitude, 50.1105), "and with what is known of it");
	is_str(feed_out_hex(&feed), confirmation(unknown), "confirmed: sending it again would not mend it");
	ok(feed.refused == NULL, "the connection stays");
	take(RECORD "05" "01");
	ok(feed.nrecords == 2 && placed(0) && strcmp(defect(1), "malformed:tag_05") == 0, "an unknown tag that begins a record");

	take(TIME "50" "01");
	is_str(defect(0), "malformed:length_50", "a tag that is cut short");
	take(TIME "e1" "05" "6f6b");
	is_str(defect(0), "malformed:length_e1", "a text that is cut short");
	take(TIME "e1");
	is_str(defect(0), "malformed:length_e1", "a text without a length");
	take(TIME "fe" "01");
	is_str(defect(0), "malformed:length_fe", "a block without a length");
	take(TIME "5b" "01");
	is_str(defect(0), "malformed:length_5b", "a refrigerator without the word");
	take(TIME "5c" "01");
	is_str(defect(0), "malformed:length_5c", "tires, half a wheel");
	is_str(feed_out_hex(&feed), confirmation(TIME "5c" "01"), "confirmed, all of them");

	take(PLACE MOTION "10" "0100" TIME PLACE MOTION);
	is_str(defect(0), "missing_field:event_time", "a place without a time");
	is_int(feed.records[0].raw_len, 20, "is quarantined with its own bytes");
	is_int(feed.nrecords, 2, "and the next record stored");
	take("20" "00000000" PLACE MOTION);
	is_str(defect(0), "missing_field:event_time", "a clock that was not set");
	is_str(feed_out_hex(&feed), confirmation("20" "00000000" PLACE MOTION), "confirmed");
	take(TIME "30" "09" "804a5d05" "747a8400");
	ok(feed.nrecords == 1 && near(feed.records[0].latitude, 90) && feed.records[0].defect[0] == '\0', "what a place may be is the contract's business");
}

static void
test_hostile(void)
{
	char		frame[0x8010];
	char		piece[8];
	char	   *many = malloc(0x10000);
	size_t		n = packet("01", HEAD "10" "0100" RECORD, frame);
	bool		more = true;
	Frame		cut = {0};

	begin("");
	for (size_t i = 1; i < n; i++)
	{
		char	   *copy = feed_copy(frame, i);

		more = more && adapter_galileosky.frame(&feed.session, copy, i, &cut) == FRAME_MORE;
		free(copy);
	}
	ok(more, "every beginning needs more");

	for (size_t i = 0; i < n; i++)
	{
		begin("");
		frame[i] ^= 0x10;
		feed_bytes(&feed, frame, n, 0);
		frame[i] ^= 0x10;
		more = more && buf_len(&feed.out) == 0 && (feed.nrecords == 0 || (feed.records[0].defect[0] != '\0' && feed.refused != NULL));
	}
	ok(more, "no damaged byte is confirmed, or stored as good");
	begin(IMEI);
	feed.late_acks = true;
	frame[20] ^= 1;
	feed_bytes(&feed, frame, n, 0);
	is_str(defect(0), "malformed:checksum", "a wrong sum");
	ok(feed.nrecords == 1 && feed.records[0].raw_len == n, "is quarantined with the packet");
	is_str(feed.refused, "checksum", "and the connection closed");
	is_int(buf_len(&feed.out), 0, "without an answer: it comes again");

	begin("");
	send(RECORD, 0);
	is_str(feed.refused, "no identity", "records before an identity");
	is_str(defect(0), "malformed:identity", "are quarantined");
	is_int(buf_len(&feed.out), 0, "and not confirmed");
	begin("");
	send("03" "30303030303030303030303030303a" RECORD, 0);
	is_str(feed.refused, "no identity", "an identity that is no number");
	begin(IMEI);
	send("03" "393939393939393939393939393939" RECORD, 0);
	is_str(feed.refused, "identity changed", "another identity");
	is_int(feed.nrecords + buf_len(&feed.out), 0, "nothing of it is taken");
	begin("");
	send(HEAD RECORD "03" "393939393939393939393939393939" RECORD, 0);
	is_str(feed.refused, "identity changed", "two identities in a packet");
	is_int(feed.nrecords, 0, "nothing of it is taken, either");

	begin("");
	feed_bytes(&feed, "GET / HTTP/1.1\r\n\r\n", 18, 0);
	is_str(feed.refused, "frame", "another protocol");
	ok(feed.nrecords == 1 && feed.records[0].raw_len == 18, "is quarantined");
	begin("");
	memset(many, 0xff, 0x10000);
	feed_bytes(&feed, many, 0x10000, 0);
	ok(feed.nrecords == 1 && feed.records[0].raw_len == 1024, "of garbage, 1024 bytes");
	begin("");
	memset(many, 0x01, 0x10000);
	feed_bytes(&feed, many, 200, 0);
	ok(feed.nrecords == 0 && feed.refused == NULL && feed.unfinished == 200, "what a length claims is waited for");

	/* 32767 bytes of tags that begin a record each. */
	for (size_t i = 0; i < 0x7fff / 3; i++)
		snprintf(many + 6 * i, 7, "500000");
	take(many);
	is_str(feed.refused, "too many records", "more records than a packet can hold");
	is_int(feed.nrecords, 1, "are one row of quarantine");
	is_int(buf_len(&feed.out), 0, "and not confirmed");
	for (size_t i = 0; i < 2000; i++)
		snprintf(many + 30 * i, 31, TIME "30" "09" "24a0fc02" "747a8400");
	take(many);
	is_int(feed.nrecords, 2000, "hours of them are taken");
	is_str(feed_out_hex(&feed), confirmation(many), "and confirmed at once");
	/* Some five thousand values in one record. */
	n = (size_t) snprintf(many, 64, TIME "fe" "187e");
	for (size_t i = 0; i < 5380; i++)
		n += (size_t) snprintf(many + n, 13, "010000000000");
	take(many);
	is_str(defect(0), "malformed:signals", "more values than a record can have");

	for (size_t i = 0; i < 3; i++)
	{
		static const char *const headers[] = {"06", "07", "08"};

		begin(IMEI);
		n = packet(headers[i], "0102030405", frame);
		feed_bytes(&feed, frame, n, 1);
		is_int(buf_len(&feed.out), 0, "a packet of another kind is not confirmed");
		is_int(feed.nrecords, i == 2, "pictures and navigators are not taken, compressed packets quarantined");
	}
	is_str(feed.refused, "compressed packets", "which end the connection");
	begin(IMEI);
	(void) feed_from_hex("02fdef", piece, sizeof(piece));
	feed_bytes(&feed, piece, 3, 0);
	is_str(feed.refused, "frame", "a server's answer is not for us");
	free(many);
}

int
main(void)
{
	feed_begin(&feed, &adapter_galileosky, "");
	test_records();
	test_places();
	test_tags();
	test_sizes();
	test_commands();
	test_quarantine();
	test_hostile();
	feed_end(&feed);
	buf_trim();
	return tap_done();
}
