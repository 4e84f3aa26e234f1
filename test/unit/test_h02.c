/*
 * test_h02.c
 *	  The h02 adapter: frames made by hand, text and binary, whole and in
 *	  pieces, and what a hostile or broken device sends.
 */
#include "feed_text.h"

#define ADAPTER &adapter_h02
#define ID "1234567890"
#define V1(fix, date) "*HQ," ID ",V1,221320," fix ",5006.6300,N,00840.9260,E,10.00,245," date ",FFFFFFFF#"
#define GOOD V1("A", "141123")
#define TIME_US INT64_C(1700000000000000)

/* 22:13:20 14-11-23, 50 06.6300 N, battery 06, 008 40.9260 E and A: valid, north, east; 010 knots, 245 degrees */
#define SHORT "24" "1234567890" "221320" "141123" "50066300" "06" "008409260e" "010245" "fffffbff" "ff0024"
#define LONG SHORT "01020304050607080910111213"
#define WIDE "24" "1234567890123450" "221320" "141123" "50066300" "06" "008409260e" "010245" "ffffffff" "01020304050607080910"

static void
take_hex(const char *hex, size_t step)
{
	char		bytes[1024];

	take_bytes(ADAPTER, bytes, feed_from_hex(hex, bytes, sizeof(bytes)), step, false);
}

static bool
is_good(size_t i)
{
	const FedRecord *r = record_at(i);

	return is_at(i, 50.1105, 8.6821) && r->event_time_us == TIME_US && fabs(r->speed_kmh - 18.52) < 1e-9 &&
		r->heading_deg == 245 && strcmp(r->device, ID) == 0 && r->defect[0] == '\0';
}

static void
test_text(void)
{
	take(ADAPTER, GOOD);
	ok(feed.nrecords == 1 && is_good(0), "a position");
	is_str(feed_out_text(&feed), "*HQ," ID ",V4,V1,20270115080909#", "its answer");
	is_int(boolean_of(0, "ignition"), 1, "ignition");
	is_str(text_of(0, "alarm"), "(none)", "no alarm");
	take_slowly(ADAPTER, GOOD "\r\n" GOOD);
	ok(feed.nrecords == 2 && is_good(0) && is_good(1), "byte by byte, with an end of line between");
	is_int(feed.unfinished, 0, "nothing is left");
	take(ADAPTER, V1("V", "141123"));
	ok(feed.nrecords == 1 && isnan(feed.records[0].latitude) && isnan(feed.records[0].speed_kmh) &&
	   feed.records[0].event_time_us == TIME_US, "without a fix there is no place");
	is_int(boolean_of(0, "gps_valid"), 0, "and says so");
	take(ADAPTER, "*HQ," ID ",V1,221320,A,50066300,S,008409260,W,0,360,141123,FFF7F9FE#");
	ok(is_at(0, -50.1105, -8.6821), "without points");
	ok(record_at(0)->heading_deg == 0, "360 is 0");
	is_str(text_of(0, "alarm"), "power_cut", "an alarm");
	is_int(boolean_of(0, "external_power"), 0, "power is cut");
	take(ADAPTER, "*HQ," ID ",V1,221320,A,-23-30.0000,S,-46-15.0000,W,0,0,141123,FFFBFFFF#");
	ok(is_at(0, -23.5, -46.25), "dashes");
	is_int(boolean_of(0, "sos"), 1, "sos");
	take(ADAPTER, "*HQ," ID ",V4,S20,DONE,101010,221320,A,5006.6300,N,00840.9260,E,10.00,245,141123,FFFFFFFF#");
	ok(is_good(0), "an answer to a command has a place");
	is_str(text_of(0, "command_result"), "S20,DONE,101010", "and what it says");
	is_int(buf_len(&feed.out), 0, "it is not answered");
}

static void
test_others(void)
{
	take(ADAPTER, "*HQ," ID ",HTBT,87#");
	is_str(feed_out_text(&feed), "*HQ," ID ",HTBT#", "a heartbeat comes back");
	ok(number_of(0, "tracker_battery_percent") == 87 && record_at(0)->event_time_us == FEED_NOW_US, "of now");
	take(ADAPTER, "*hq," ID ",V0#");
	is_str(feed_out_text(&feed), "*hq," ID ",V0#", "V0 too, in its letters");
	is_int(feed.nrecords, 0, "it is no record");
	take(ADAPTER, "*HQ," ID ",LINK,221320,15,7,84,3,1,141123,FFFFFBFF#");
	ok(number_of(0, "satellites") == 7 && number_of(0, "steps") == 3 && record_at(0)->event_time_us == TIME_US,
	   "a status");
	take(ADAPTER, "*HQ," ID ",NBR,221320,262,02,255,2,431,17003,26,431,11101,13,141123,FFFFFBFF,5#");
	ok(number_of(0, "mcc") == 262 && number_of(0, "lac") == 431 && number_of(0, "cell_id") == 17003 &&
	   record_at(0)->event_time_us == TIME_US, "cells");
	is_str(text_of(0, "cells"), "431,17003,26,431,11101,13", "all of them");
	is_str(feed_out_text(&feed), "*HQ," ID ",V4,NBR,20270115080909#", "their answer");
	take(ADAPTER, "*HQ," ID ",NBR,221320,262,02,255,99999999,431#");
	ok(feed.nrecords == 1 && number_of(0, "mcc") == 262, "more cells than there are");
	take(ADAPTER, "*HQ," ID ",SMS,GPS:A\nGSM:26#");
	is_str(text_of(0, "command_result"), "GPS:A\nGSM:26", "a text of lines");
	take(ADAPTER, "*HQ," ID ",ODD,1,2#");
	is_str(text_of(0, "payload"), "1,2", "what nobody knows is kept");
}

static void
test_binary(void)
{
	take_hex(SHORT, 0);
	ok(feed.nrecords == 1 && is_good(0), "binary, 32 bytes");
	is_int(number_of(0, "tracker_battery_percent"), 100, "battery");
	is_int(boolean_of(0, "ignition"), 0, "ignition is off");
	is_int(buf_len(&feed.out), 0, "not answered");
	take_hex(LONG LONG SHORT, 0);
	ok(feed.nrecords == 2 && is_good(0) && is_good(1) && feed.unfinished == 32, "45 bytes, and then one may be unfinished");
	take_hex(SHORT SHORT SHORT, 0);
	ok(feed.nrecords == 3 && is_good(2) && feed.unfinished == 0, "32 bytes, three");
	take_hex(LONG LONG LONG, 1);
	ok(feed.nrecords == 3 && is_good(0) && is_good(1) && is_good(2) && feed.unfinished == 0, "45 bytes, byte by byte");
	take_hex(WIDE WIDE, 0);
	ok(feed.nrecords == 2 && is_at(1, 50.1105, 8.6821), "42 bytes");
	is_str(record_at(0)->device, "123456789012345", "have an IMEI");
	take_hex("24" ID "221320" "141123" "50066300" "06" "0084092600" "010245" "ffffffff" "ff0000", 0);
	ok(feed.nrecords == 1 && isnan(feed.records[0].latitude), "without a fix");
	{
		char		bytes[256];
		size_t		n = feed_from_hex(SHORT, bytes, sizeof(bytes));

		memcpy(bytes + n, GOOD, strlen(GOOD));
		n += strlen(GOOD);
		n += feed_from_hex(SHORT, bytes + n, sizeof(bytes) - n);
		take_bytes(ADAPTER, bytes, n, 0, false);
		ok(feed.nrecords == 3 && is_good(0) && is_good(1) && is_good(2), "binary, text, binary");
		take_bytes(ADAPTER, bytes, n, 1, false);
		ok(feed.nrecords == 3 && is_good(0) && is_good(1) && is_good(2), "byte by byte");
	}
}

static void
test_hostile(void)
{
	char		garbage[8192];

	take(ADAPTER, "abc" GOOD);
	ok(feed.nrecords == 2 && strcmp(record_at(0)->defect, "malformed:frame") == 0 && record_at(0)->raw_len == 3 && is_good(1),
	   "noise before a frame goes to quarantine");
	take(ADAPTER, "*HQ," ID ",V1,2213" GOOD);
	ok(feed.nrecords == 2 && strcmp(record_at(0)->defect, "malformed:frame") == 0 && is_good(1),
	   "a frame that breaks off does not take the next one along");
	take(ADAPTER, GOOD "*HQ,999,V1,1#");
	is_str(feed.refused, "identity changed", "another identity");
	ok(feed.nrecords == 1 && is_good(0), "only the first counts");
	take(ADAPTER, "*HQ,,V1,1#");
	ok(is_refused("malformed:device"), "no identity");
	take(ADAPTER, "*HQ#");
	ok(is_refused("malformed:frame"), "no fields");
	take(ADAPTER, "*HQ," ID ",V1,221320,A,9906.6300,N,00840.9260,E,1,1,141123,FFFFFFFF#");
	ok(is_refused("malformed:latitude"), "a latitude that is none");
	take(ADAPTER, "*HQ," ID ",V1,221320,A,5006.6300,N,x,E,1,1,141123,FFFFFFFF#");
	ok(is_refused("malformed:longitude"), "a longitude that is none");
	take(ADAPTER, V1("A", "320123"));
	ok(feed.nrecords == 1 && strcmp(record_at(0)->defect, "missing_field:event_time") == 0, "a date that is none");
	take(ADAPTER, "*HQ," ID ",SMS,\x01\xff#");
	is_str(text_of(0, "command_result"), "01ff", "binary where text should be");
	take_hex("24" "12345678ff" "221320" "141123" "50066300" "06" "008409260e" "010245" "ffffffff" "ff0000", 0);
	ok(is_refused("malformed:device"), "digits that are none");
	take_hex("24" ID "221320" "141123" "9f066300" "06" "008409260e" "010245" "ffffffff" "ff0000", 0);
	ok(is_refused("malformed:latitude"), "degrees that are none");
	take_hex("24" ID "ffffff" "ffffff" "9f066300" "06" "008409260e" "010245" "ffffffff" "ff0000", 0);
	ok(feed.nrecords == 1 && record_at(0)->defect[0] != '\0', "no time");
	memset(garbage, 'x', sizeof(garbage));
	take_bytes(ADAPTER, garbage, sizeof(garbage), 100, false);
	is_str(feed.refused, "neither text nor binary", "nothing but noise");
	ok(is_refused("malformed:frame"), "goes to quarantine");
	garbage[0] = '*';
	take_bytes(ADAPTER, garbage, sizeof(garbage), 0, false);
	ok(feed.nrecords > 0 && strcmp(record_at(0)->defect, "malformed:frame") == 0, "text without end");
	take(ADAPTER, "*HQ," ID ",V1,2213");
	ok(feed.nrecords == 0 && feed.unfinished > 0, "half a frame waits");
}

/* One value that cannot be takes no report to quarantine. */
static void
test_ranges(void)
{
	take(ADAPTER, "*HQ," ID ",V1,221320,A,5006.6300,N,00840.9260,E,999.50,400,141123,FFFFFFFF,1000,20,100.5,-600,1,2#");
	ok(feed.nrecords == 1 && record_at(0)->defect[0] == '\0' && fabs(record_at(0)->latitude - 50.1105) < 1e-5,
	   "the place is good");
	ok(feed.nrecords == 1 && isnan(record_at(0)->speed_kmh) && isnan(record_at(0)->heading_deg) &&
	   isnan(record_at(0)->altitude_m), "speed, course and altitude that are none are left out");
	is_int(number_of(0, "speed_knots"), 999, "the speed is kept raw");
	ok(number_of(0, "fuel_raw") == 100.5, "and the fuel");
	is_int(number_of(0, "odometer_km"), 1, "the odometer is good");
	take_hex("24" ID "221320" "141123" "50066300" "06" "008409260e" "999245" "ffffffff" "ff0000", 0);
	ok(feed.nrecords == 1 && isnan(record_at(0)->speed_kmh) && number_of(0, "speed_knots") == 999, "binary");
	take(ADAPTER, "*HQ," ID ",HTBT,255#");
	is_int(number_of(0, "battery_raw"), 255, "a battery of 255");
	is_str(feed_out_text(&feed), "*HQ," ID ",HTBT#", "is answered");
	take(ADAPTER, "*HQ," ID ",LINK,221320,22,300,101,0,0,141123,FFFFFFFF#");
	is_int(number_of(0, "satellites_raw"), 300, "too many satellites");
	is_int(number_of(0, "battery_raw"), 101, "too much battery");
	take(ADAPTER, "*HQ," ID ",V4,S20,DONE#");
	is_str(text_of(0, "command_result"), "S20,DONE", "an answer without a place");
	take(ADAPTER, "*HQ," ID ",ICCID,89490123456789012345#");
	is_str(text_of(0, "iccid"), "89490123456789012345", "a card's number");
	take(ADAPTER, "*HQ," ID ",V6,221320,A,5006.6300,N,00840.9260,E,10.00,245,141123,FFFFFFFF,262,02,1,2,89490123456789012345,#");
	ok(feed.nrecords == 1 && fabs(record_at(0)->latitude - 50.1105) < 1e-5, "V6");
	is_int(buf_len(&feed.out), 0, "takes no answer");
	take(ADAPTER, GOOD ",T0.0#" GOOD);
	ok(feed.nrecords == 3 && is_good(0) && is_good(2), "what stands behind a frame harms none");
}

static void
test_datagrams(void)
{
	take_datagram(ADAPTER, GOOD);
	ok(feed.nrecords == 1 && is_good(0), "a datagram");
	is_str(feed_out_text(&feed), "*HQ," ID ",V4,V1,20270115080909#", "its answer");
	take_datagram(ADAPTER, GOOD " \r\n" GOOD " \r\n");
	ok(feed.nrecords == 2 && is_good(0) && is_good(1) && feed.refused == NULL, "blanks behind its frames");
	take_datagram(ADAPTER, "*HQ," ID ",HTBT,100");
	is_int(number_of(0, "tracker_battery_percent"), 100, "its end may end a frame");
	take_datagram(ADAPTER, "*HQ," ID ",V1,221320,A,5006.6300,N,0");
	ok(is_refused("malformed:frame") && buf_len(&feed.out) == 0, "but not in the middle");
	take_datagram(ADAPTER, "*HQ," ID ",V1,221320,A,5006.6300,N,00840.9260,E,1,1,14");
	ok(is_refused("malformed:frame") && buf_len(&feed.out) == 0, "nor in its date");
	take_datagram(ADAPTER, "$123");
	ok(is_refused("malformed:frame"), "a short binary one");
	take_datagram(ADAPTER, "hello");
	ok(is_refused("malformed:frame"), "noise");
}

int
main(void)
{
	test_text();
	test_others();
	test_binary();
	test_hostile();
	test_ranges();
	test_datagrams();
	feed_end(&feed);
	buf_trim();
	return tap_done();
}
