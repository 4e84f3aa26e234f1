/*
 * test_ruptela.c
 *	  The ruptela adapter: frames made by hand, whole and in pieces, and what a
 *	  hostile or broken device sends.
 */
#include <math.h>

#include "crc.h"
#include "feed.h"
#include "tap.h"

#define IMEI "123456789012345"
#define IDENTITY "00007048860ddf79"

/* 2023-11-14 22:13:20 UTC; 8.6821 E, 50.1105 N, 112.5 m, 245 deg, 9 satellites, 18 km/h, hdop 1.1 */
#define TIME "6553f100"
#define PLACE "052cc888" "1dde4168" "0465" "5fb4" "09" "0012" "0b"
#define TIME_US INT64_C(1700000000000000)

/* Event 7; ignition, GSM 21, -5 degrees; 12345 mV; operator 26202, 12345 m; a driver */
#define ELEMENTS "07" "03" "0501" "1b15" "20fb" "01" "1d3039" "02" "960000665a" "4100003039" "01" "22" "ffffffffffffffff"
#define RECORD TIME "00" "00" PLACE ELEMENTS
#define EXTENDED(part, elements) TIME "00" part "01" PLACE "0007" elements
#define STORED "0002640113bc"
#define NOT_STORED "000264000235"

static Feed feed;

static size_t
message(const char *identity, const char *hex, char *frame)
{
	size_t		n = 2;
	uint16_t	sum;

	n += feed_from_hex(identity, frame + n, 8);
	n += feed_from_hex(hex, frame + n, 4000);
	frame[0] = (char) ((n - 2) >> 8);
	frame[1] = (char) (n - 2);
	sum = crc16_kermit(frame + 2, n - 2);
	frame[n++] = (char) (sum >> 8);
	frame[n++] = (char) sum;
	return n;
}

static void
send(const char *hex, size_t step)
{
	char		frame[8192];

	feed_bytes(&feed, frame, message(IDENTITY, hex, frame), step);
}

/* One message on a new connection. */
static void
take(const char *hex, size_t step)
{
	feed_end(&feed);
	feed_begin(&feed, &adapter_ruptela, "");
	send(hex, step);
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

	return signal == NULL ? "" : signal->kind == RECORD_TEXT ? signal->text :
		signal->kind == RECORD_NUMBER ? "number" : signal->boolean ? "true" : "false";
}

static const char *
defect(void)
{
	return feed.nrecords > 0 ? feed.records[0].defect : "no record";
}

static bool
near(double got, double want)
{
	return fabs(got - want) < 1e-5;
}

static bool
placed(size_t record)
{
	const FedRecord *r = &feed.records[record];

	return record < feed.nrecords && strcmp(r->device, IMEI) == 0 && r->event_time_us == TIME_US &&
		near(r->latitude, 50.1105) && near(r->longitude, 8.6821) && near(r->altitude_m, 112.5) &&
		near(r->heading_deg, 245) && r->speed_kmh == 18 && r->defect[0] == '\0';
}

static void
test_records(void)
{
	char		two[1024];
	size_t		n;

	feed_begin(&feed, &adapter_ruptela, "");
	for (size_t step = 0; step < 2; step++)
	{
		take("01" "00" "01" RECORD, step);
		is_int(feed.nrecords, 1, step ? "byte by byte" : "whole");
		ok(placed(0), "identity, time, place, motion");
		is_int(number(0, "satellites"), 9, "satellites");
		ok(near(number(0, "hdop"), 1.1), "hdop");
		is_int(number(0, "event_id"), 7, "event");
		is_str(text(0, "ignition"), "true", "ignition");
		is_int(number(0, "gsm_signal_dbm"), -71, "network");
		is_int(number(0, "tracker_temp_c"), -5, "temperature, signed");
		ok(near(number(0, "external_voltage_v"), 12.345), "voltage");
		ok(near(number(0, "odometer_km"), 12.345), "odometer");
		is_str(text(0, "gsm_operator"), "26202", "operator");
		is_str(text(0, "io_34"), "18446744073709551615", "eight bytes, to the last digit");
		is_str(feed_out_hex(&feed), STORED, "acknowledged");
	}
	take("01" "05" "02" RECORD RECORD, 0);
	ok(feed.nrecords == 2 && placed(0) && placed(1), "two records");
	is_str(feed_out_hex(&feed), STORED, "one answer");
	take("01" "00" "00", 0);
	is_int(feed.nrecords, 0, "no records");
	is_str(feed_out_hex(&feed), STORED, "are stored");

	feed_end(&feed);
	feed_begin(&feed, &adapter_ruptela, "");
	feed.late_acks = true;
	n = message(IDENTITY, "01" "00" "01" RECORD, two);
	n += message(IDENTITY, "01" "00" "01" RECORD, two + n);
	feed_bytes(&feed, two, n, 0);
	is_int(feed.nrecords, 2, "two frames at once");
	is_str(feed_out_hex(&feed), STORED STORED, "are two answers");

	take("44" "00" "02" EXTENDED("10", "01" "019901" "00" "01" "010000000102" "00")
		 EXTENDED("11", "00" "01" "04001234" "00" "01" "0068" "5555314a4a463030"), 0);
	is_int(feed.nrecords, 2, "extended: two parts");
	ok(placed(0) && placed(1), "extended: each with time and place");
	is_str(text(0, "ignition"), "true", "extended: ids of two bytes");
	is_int(number(0, "io_256"), 0x102, "extended: four bytes");
	is_int(number(1, "io_1024"), 0x1234, "extended: the second part's");
	is_int(number(1, "priority"), 1, "extended: priority");
	is_str(feed_out_hex(&feed), STORED, "extended: the same answer as records");

	take("01" "00" "01" TIME "00" "00" "80000000" "80000000" "0465" "5fb4" "09" "0012" "0b" ELEMENTS, 0);
	ok(feed.nrecords == 1 && isnan(feed.records[0].latitude) && isnan(feed.records[0].speed_kmh), "no fix");
	take("01" "00" "01" TIME "00" "00" "052cc888" "1dde4168" "0465" "5fb4" "00" "0012" "0b" ELEMENTS, 0);
	ok(feed.nrecords == 1 && isnan(feed.records[0].latitude), "no satellites");
	take("01" "00" "01" TIME "00" "00" "fad33778" "e221be98" "0465" "5fb4" "09" "0012" "0b" ELEMENTS, 0);
	ok(feed.nrecords == 1 && near(feed.records[0].latitude, -50.1105) && near(feed.records[0].longitude, -8.6821),
	   "south and west");
	take("01" "00" "01" TIME "02" "00" PLACE "07" "02" "1bff" "cfff" "00" "00" "00", 0);
	is_int(number(0, "io_27"), 255, "what is no signal strength stays raw");
	is_int(number(0, "io_207"), 255, "nor is it a fuel level");
	is_int(number(0, "time_extension"), 2, "the second within a second");
	take("01" "00" "01" TIME "00" "00" "052cc888" "1dde4168" "0465" "5fb4" "09" "ffff" "0b" ELEMENTS, 0);
	ok(feed.nrecords == 1 && near(feed.records[0].latitude, 50.1105) && isnan(feed.records[0].speed_kmh) &&
	   feed.records[0].defect[0] == '\0', "a speed of no vehicle harms itself only");
	is_int(number(0, "speed_raw"), 65535, "and is kept raw");
	feed_end(&feed);
}

/* One record with these groups of elements. */
static void
take_elements(const char *groups)
{
	char		hex[512];

	snprintf(hex, sizeof(hex), "010001" TIME "00" "00" PLACE "07" "%s", groups);
	take(hex, 0);
}

static void
test_elements(void)
{
	take_elements("04" "0500" "fb01" "6128" "5801" "00" "00" "00");
	is_str(text(0, "ignition"), "true", "the tracker's own ignition");
	is_int(number(0, "ambient_temp_c"), 0, "the outside air of OBD");
	is_str(text(0, "jamming"), "true", "jamming");
	take_elements("02" "fb01" "0500" "00" "00" "00");
	is_str(text(0, "ignition"), "true", "whichever comes first");
	is_int(number(0, "io_5"), 0, "the wire is kept beside it");
	take_elements("04" "3114" "5fff" "6280" "c97d" "00" "00" "00");
	ok(near(number(0, "acceleration_x_ms2"), 9.80665), "acceleration");
	is_int(number(0, "obd_speed_kmh"), 255, "speed of OBD");
	ok(near(number(0, "fuel_percent"), 12800.0 / 255), "fuel");
	is_int(number(0, "adblue_percent"), 50, "AdBlue");
	take_elements("00" "03" "1dffff" "16ffff" "592400" "00" "00");
	is_int(number(0, "io_29"), 65535, "no voltage");
	is_int(number(0, "io_22"), 65535, "nor one of an input");
	ok(near(number(0, "ambient_temp_c"), 15), "the outside air of CAN");
	take_elements("00" "00" "03" "d0fffffffe" "cb00000064" "5c000003e8" "00");
	is_int(number(0, "io_208"), INT64_C(4294967294), "no fuel counter");
	is_int(number(0, "engine_hours_h"), 5, "hours of the engine");
	is_int(number(0, "fuel_used_l"), 1, "fuel used");
	take_elements("00" "00" "00" "03" "22010203040506a7b8" "685756575a5a5a31" "69004b31323334");
	ok(feed.nrecords == 0 || strcmp(defect(), "malformed:records") == 0, "elements that end too early");
	take_elements("00" "00" "00" "03" "22010203040506a7b8" "685756575a5a5a314b" "7b5756575a5a5a314b");
	is_str(text(0, "driver_id"), "010203040506a7b8", "driver");
	ok(strcmp(text(0, "io_104"), "") == 0 && strcmp(text(0, "io_123"), "") == 0, "no part of a VIN is kept");
	feed_end(&feed);
}

static void
test_others(void)
{
	take("10", 0);
	is_str(feed_out_hex(&feed), "00027401862d", "heartbeat: answered at once");
	is_int(feed.nrecords, 0, "heartbeat: no record");
	take("0f" "4573303430302e3033" "00" "c2b3", 1);
	is_str(text(0, "firmware"), "Es0400.03", "identification: firmware");
	is_str(text(0, "identification"), "00c2b3", "identification: the rest");
	is_str(feed_out_hex(&feed), "00027301cb25", "identification: answered");
	ok(feed.nrecords == 1 && feed.records[0].event_time_us == FEED_NOW_US, "identification: the time of receipt");
	take("09" "02" "00" TIME "052cc888" "1dde4168" "02" "5030313233" "00" TIME "80000000" "80000000" "00" "5530313030", 0);
	is_int(feed.nrecords, 2, "trouble codes");
	is_str(text(0, "error_codes"), "P0123", "the first");
	ok(feed.nrecords == 2 && near(feed.records[0].latitude, 50.1105) && isnan(feed.records[1].latitude), "places");
	is_str(feed_out_hex(&feed), "00026d01c4a4", "answered");
	take("09" "03" "00" TIME "052cc888" "1dde4168" "02" "5030313233", 0);
	is_str(feed_out_hex(&feed), "00026d00d52d", "a number that lies: not stored");
	take("07" "6f6b", 0);
	is_str(text(0, "command_result"), "ok", "answer to a command");
	is_int(buf_len(&feed.out), 0, "takes no answer");
	take("03" "45636f342030302e3037", 0);
	is_str(text(0, "command_result"), "Eco4 00.07", "so does that of a version");
	take("25" "010203", 0);
	is_int(feed.nrecords + buf_len(&feed.out), 0, "a file is not taken, and not acknowledged");
	take("63" "0102", 0);
	is_str(text(0, "ruptela_99"), "0102", "an unknown command is kept as it is");
	is_int(buf_len(&feed.out), 0, "without an answer");
	feed_end(&feed);
}

static void
test_hostile(void)
{
	char		frame[1024];
	char		bytes[4096];
	size_t		n = message(IDENTITY, "01" "00" "01" RECORD, frame);
	bool		more = true;
	Frame		cut = {0};

	feed_begin(&feed, &adapter_ruptela, "");
	for (size_t i = 1; i < n; i++)
	{
		char	   *piece = feed_copy(frame, i);

		more = more && adapter_ruptela.frame(&feed.session, piece, i, &cut) == FRAME_MORE;
		free(piece);
	}
	ok(more, "every beginning needs more");

	feed.late_acks = true;
	memcpy(bytes, frame, n);
	memcpy(bytes + n, frame, n);
	memcpy(bytes + 2 * n, frame, n);
	bytes[n + 20] ^= 1;
	feed_bytes(&feed, bytes, 3 * n, 0);
	is_int(feed.nrecords, 3, "a wrong sum between two good frames");
	ok(feed.nrecords == 3 && strcmp(feed.records[1].defect, "malformed:checksum") == 0 && feed.records[1].raw_len == n,
	   "is quarantined with its bytes");
	is_str(feed_out_hex(&feed), STORED NOT_STORED STORED, "and answered in its turn");

	take("01" "00" "02" RECORD, 0);
	is_str(defect(), "malformed:records", "more records told than sent");
	is_str(feed_out_hex(&feed), NOT_STORED, "are not stored");
	take("01" "00" "01" RECORD "00", 0);
	is_str(defect(), "malformed:records", "a byte behind the last");
	is_int(feed.nrecords, 1, "nothing of it is taken");
	take("01" "00" "01" TIME "00" "00" PLACE "07" "ff" "0501", 0);
	is_str(defect(), "malformed:records", "a group of 255 elements that are not there");
	take("01", 0);
	is_str(defect(), "malformed:records", "no payload");

	feed_end(&feed);
	feed_begin(&feed, &adapter_ruptela, "");
	feed_bytes(&feed, frame, n, 0);
	feed_bytes(&feed, frame, message("00007048860ddf7a", "01" "00" "01" RECORD, frame), 0);
	is_str(feed.refused, "identity changed", "another identity");
	is_str(feed_out_hex(&feed), STORED NOT_STORED, "is told so");
	is_int(feed.nrecords, 1, "and nothing of it taken");
	feed_end(&feed);
	feed_begin(&feed, &adapter_ruptela, "");
	feed.late_acks = true;
	feed_bytes(&feed, frame, n, 0);
	buf_release(&feed.out);
	adapter_ruptela.farewell(&feed.session, "idle", &feed.out);
	adapter_ruptela.farewell(&feed.session, "device_not_allowed", &feed.out);
	is_str(feed_out_hex(&feed), NOT_STORED, "a device that the listener does not allow is told so");

	feed_end(&feed);
	feed_begin(&feed, &adapter_ruptela, "");
	feed_bytes(&feed, "GET / HTTP/1.1\r\n\r\n", 18, 0);
	is_str(feed.refused, "frame", "another protocol");
	ok(feed.nrecords == 1 && feed.records[0].raw_len == 18, "is quarantined");
	feed_end(&feed);
	feed_begin(&feed, &adapter_ruptela, "");
	feed_bytes(&feed, "\0\1\0\0", 4, 1);
	is_str(feed.refused, "frame", "a length below any frame's");
	feed_end(&feed);
	feed_begin(&feed, &adapter_ruptela, "");
	memset(bytes, 0xff, sizeof(bytes));
	feed_bytes(&feed, bytes, sizeof(bytes), 0);
	ok(feed.nrecords == 1 && feed.records[0].raw_len == 1024, "of a length of 65535, 1024 bytes");
	feed_end(&feed);

	/* The text goes beyond its length, to where the sum is right. */
	for (size_t step = 0; step < 2; step++)
	{
		feed_begin(&feed, &adapter_ruptela, "");
		n = message(IDENTITY, "07" "636f6e66696775726174696f6e206f6b", frame);
		frame[1] = (char) (frame[1] - 10);
		n += message(IDENTITY, "10", frame + n);
		feed_bytes(&feed, frame, n, step);
		is_str(text(0, "command_result"), "configuration ok", "a length too short for the text");
		is_str(feed_out_hex(&feed), "00027401862d", "the next frame is found");
		feed_end(&feed);
	}
	/* Here it is not right anywhere. */
	feed_begin(&feed, &adapter_ruptela, "");
	n = message(IDENTITY, "07" "6f6b", frame);
	frame[12] ^= 1;
	n += message(IDENTITY, "10", frame + n);
	feed_bytes(&feed, frame, n, 1);
	is_str(defect(), "malformed:checksum", "a text with a wrong sum");
	is_str(feed_out_hex(&feed), "00027401862d", "the next frame is found all the same");
	feed_end(&feed);
}

int
main(void)
{
	test_records();
	test_elements();
	test_others();
	test_hostile();
	buf_trim();
	return tap_done();
}
