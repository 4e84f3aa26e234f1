/*
 * test_gps103.c
 *	  The gps103 adapter: frames made by hand, whole and in pieces, and what a
 *	  hostile or broken device sends.
 */
#include "feed_text.h"

#define ADAPTER &adapter_gps103
#define ID "123456789012345"
#define FIX(event, local, rest) "imei:" ID "," event "," local ",,F,221320.500," rest ";"
#define PLACE "A,5006.6300,N,00840.9260,E,10.00,245.5,112,1,0,12.5%,30.0%,-4"
#define GOOD FIX("tracker", "231115001325", PLACE)
#define TIME_US INT64_C(1700000000000000)

static bool
is_good(size_t i)
{
	const FedRecord *r = record_at(i);

	return is_at(i, 50.1105, 8.6821) && r->event_time_us == TIME_US && fabs(r->speed_kmh - 18.52) < 1e-9 &&
		r->heading_deg == 245.5 && r->altitude_m == 112 && strcmp(r->device, ID) == 0 && r->defect[0] == '\0';
}

static void
test_reports(void)
{
	take(ADAPTER, "##,imei:" ID ",A;" ID ";" GOOD);
	is_str(feed_out_text(&feed), "LOADON", "login and heartbeat are answered, a report is not");
	ok(feed.nrecords == 1 && is_good(0), "a position, its day that of UTC");
	ok(boolean_of(0, "ignition") == 1 && boolean_of(0, "door_open") == 0 && number_of(0, "fuel_percent") == 12.5 &&
	   number_of(0, "temperature_c") == -4, "its values");
	take_slowly(ADAPTER, GOOD "\r\n" ID GOOD);
	ok(feed.nrecords == 2 && is_good(0) && is_good(1) && feed.unfinished == 0, "byte by byte");
	is_str(feed_out_text(&feed), "ON", "a heartbeat without its end");
	take(ADAPTER, FIX("tracker", "23/11/14 19:43", PLACE));
	ok(is_good(0), "two and a half hours west");
	take(ADAPTER, FIX("tracker", "2311141113", PLACE));
	ok(is_good(0), "eleven hours west");
	take(ADAPTER, FIX("tracker", "231114221320", "V,5006.6300,N,00840.9260,E,10.00,245"));
	ok(feed.nrecords == 1 && isnan(record_at(0)->latitude) && isnan(record_at(0)->speed_kmh) &&
	   record_at(0)->event_time_us == TIME_US && boolean_of(0, "gps_valid") == 0, "without a fix there is no place");
	take(ADAPTER, FIX("tracker", "231114221320", "A,N,5006.6300,W,00840.9260,1,,7"));
	ok(is_at(0, 50.1105, -8.6821) && record_at(0)->altitude_m == 7, "hemispheres before angles");
	take(ADAPTER, FIX("help me", "231114221320", PLACE));
	is_str(feed_out_text(&feed), "**,imei:" ID ",E;", "a call for help is answered");
	ok(boolean_of(0, "sos") == 1, "and kept");
	is_str(text_of(0, "alarm"), "sos", "as an alarm");
	take(ADAPTER, "imei:" ID ",acc on,2311150013,,L,,,0fb6,,CB5D,,,;");
	ok(number_of(0, "lac") == 4022 && number_of(0, "cell_id") == 52061 && boolean_of(0, "ignition") == 1 &&
	   record_at(0)->event_time_us == FEED_NOW_US, "a cell, of now");
	take(ADAPTER, GOOD "imei:" ID ",acc off,231115001325,,L,,,0fb6,,CB5D,,,;");
	ok(record_at(1)->event_time_us == TIME_US + 5000000, "of the device's clock, when its zone is known");
	take(ADAPTER, "imei:" ID ",OBD,231115001325,1785,,9.5,7,54,96.47%,75,20.00%,1892,12.60,P0134,P0571,,;");
	ok(number_of(0, "engine_rpm") == 1892 && number_of(0, "engine_load_percent") == 96.47 &&
	   number_of(0, "external_voltage_v") == 12.6, "OBD");
	is_str(text_of(0, "error_codes"), "P0134,P0571", "and its faults");
	take(ADAPTER, "imei:" ID ",Van 1,---,------,----,221320,141123,26,1,-50.11050,8.68210,067,229,0674,1.00,08,0,1,---,*");
	ok(is_at(0, -50.1105, 8.6821) && record_at(0)->event_time_us == TIME_US && record_at(0)->speed_kmh == 67 &&
	   number_of(0, "satellites") == 8, "plain degrees");
	take(ADAPTER, "imei:" ID ",Van 1,---,------,----,221320,141123,26,1,-50.11050,8.68210,067,229,0674,1.00,00,0,1,---,*");
	ok(feed.nrecords == 1 && isnan(record_at(0)->latitude) && isnan(record_at(0)->speed_kmh), "no satellites: no place");
	take(ADAPTER, "imei:" ID ",rfid,231114221320,4711,F,221320,A,5006.63,N,840.926,,1,;");
	is_str(text_of(0, "driver_id"), "4711", "a driver");
	ok(is_at(0, 50.1105, 8.6821), "east, when nothing is said");
	take(ADAPTER, "imei:" ID ",kt,1,2;");
	is_str(text_of(0, "payload"), "kt,1,2", "what nobody knows is kept");
	take(ADAPTER, "imei:" ID ",L,*" GOOD);
	is_str(feed_out_text(&feed), "LOAD", "another form of login is answered");
	take(ADAPTER, "imei:" ID "\n");
	is_str(feed_out_text(&feed), "LOAD", "and one of nothing but the identity");
	take(ADAPTER, "imei:" ID ",L,*" GOOD);
	ok(feed.nrecords == 1 && is_good(0), "and is no report");
	take(ADAPTER, FIX("oil 51.67", "231114221320", PLACE));
	is_str(text_of(0, "alarm"), "fuel_leak", "fuel drops");
	take(ADAPTER, FIX("oil 51.67", "231114221320", "A,5006.6300,N,00840.9260,E,10.00,"));
	ok(number_of(0, "fuel_percent") == 51.67, "to a level");
	take(ADAPTER, "imei:" ID ",tracker,231114221320,,F,221320.500,A,5006.6300,N,00840.9260,E,10.00,245.5,112,1,0,300%,,-400;");
	ok(is_at(0, 50.1105, 8.6821) && number_of(0, "fuel_percent_raw") == 300 && record_at(0)->defect[0] == '\0',
	   "a value that cannot be does not cost the place");
	take(ADAPTER, "imei:" ID ",vr,0c00fa;");
	is_int(feed.nrecords, 0, "a picture is not");
}

static void
test_hostile(void)
{
	char		garbage[9000];

	take(ADAPTER, "abc" GOOD "def;" GOOD);
	ok(feed.nrecords == 4 && record_at(0)->raw_len == 3 && is_good(1) && record_at(2)->raw_len == 3 && is_good(3),
	   "noise between frames goes to quarantine");
	take(ADAPTER, "imei:" ID ",tracker,2311" GOOD);
	ok(feed.nrecords == 2 && strcmp(record_at(0)->defect, "malformed:frame") == 0 && is_good(1),
	   "a frame that breaks off does not take the next one along");
	take(ADAPTER, GOOD "imei:999999999999999,tracker,1,,L,;");
	is_str(feed.refused, "identity changed", "another identity");
	take(ADAPTER, GOOD "999999999999999;");
	is_str(feed.refused, "identity changed", "another identity's heartbeat");
	is_int(feed.nrecords, 1, "only the first counts");
	take(ADAPTER, "imei:,tracker,1,,L,;");
	ok(is_refused("malformed:device"), "no identity");
	take(ADAPTER, "##,;");
	ok(is_refused("malformed:frame"), "a login without an identity");
	take(ADAPTER, "12345;");
	ok(is_refused("malformed:device"), "a heartbeat of few digits");
	take(ADAPTER, FIX("help me", "231114221320", "A,9906.63,N,840.926,E,1,"));
	ok(is_refused("malformed:latitude"), "a latitude that is none");
	take(ADAPTER, FIX("tracker", "231114221320", "A,5006.63,N,,E,1,"));
	ok(is_refused("malformed:longitude"), "a longitude that is none");
	take(ADAPTER, FIX("tracker", "000000000", PLACE));
	ok(is_refused("missing_field:event_time"), "a date that is none");
	memset(garbage, 'x', sizeof(garbage));
	take_bytes(ADAPTER, garbage, sizeof(garbage), 100, false);
	is_str(feed.refused, "not gps103", "nothing but noise");
	ok(is_refused("malformed:frame"), "goes to quarantine");
	memset(garbage, '1', sizeof(garbage));
	take_bytes(ADAPTER, garbage, sizeof(garbage), 0, false);
	ok(feed.nrecords > 0 && record_at(0)->defect[0] != '\0', "digits without end");
	memcpy(garbage, "imei:", 5);
	take_bytes(ADAPTER, garbage, sizeof(garbage), 0, false);
	ok(feed.nrecords > 0 && strcmp(record_at(0)->defect, "malformed:frame") == 0, "a report without end");
	take(ADAPTER, "imei:" ID ",tracker");
	ok(feed.nrecords == 0 && feed.unfinished > 0, "half a frame waits");
	take_datagram(ADAPTER, "imei:" ID ",tracker,231115001325,,F,221320," PLACE);
	ok(feed.nrecords == 1 && is_good(0), "the end of a datagram may end a frame");
	take_datagram(ADAPTER, ID);
	is_str(feed_out_text(&feed), "ON", "a heartbeat's, too");
	take_datagram(ADAPTER, "hello");
	ok(is_refused("malformed:frame"), "noise in a datagram");
}

int
main(void)
{
	test_reports();
	test_hostile();
	feed_end(&feed);
	buf_trim();
	return tap_done();
}
