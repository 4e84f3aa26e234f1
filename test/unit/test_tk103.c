/*
 * test_tk103.c
 *	  The tk103 adapter: frames made by hand in both forms, whole and in pieces,
 *	  and what a hostile or broken device sends.
 */
#include "feed_text.h"

#define ADAPTER &adapter_tk103
#define ID "123456789012"
#define IMEI "123456789012345"
#define PLACE "231114A5006.6300N00840.9260E018.5221320245.50"
#define OLD "(" ID "BR00" PLACE "0100001FL000003F9+017.3)"
#define NEW "(" IMEI ",DW3B,141123,A,5006.6300N,00840.9260E,18.5,221320,245.5,112.0,9)"
#define TIME_US INT64_C(1700000000000000)

static bool
is_good(size_t i, const char *device)
{
	const FedRecord *r = record_at(i);

	return is_at(i, 50.1105, 8.6821) && r->event_time_us == TIME_US && r->speed_kmh == 18.5 &&
		r->heading_deg == 245.5 && strcmp(r->device, device) == 0 && r->defect[0] == '\0';
}

static void
test_old(void)
{
	take(ADAPTER, OLD);
	ok(feed.nrecords == 1 && is_good(0, ID), "a position");
	ok(boolean_of(0, "external_power") == 1 && boolean_of(0, "ignition") == 1 && number_of(0, "fuel_raw") == 31 &&
	   fabs(number_of(0, "odometer_km") - 1.017) < 1e-9, "its values");
	is_str(text_of(0, "extra"), "+017.3", "and what stands behind");
	is_int(buf_len(&feed.out), 0, "it is not answered");
	take_slowly(ADAPTER, OLD "\r\n" OLD OLD);
	ok(feed.nrecords == 3 && is_good(2, ID) && feed.unfinished == 0, "byte by byte");
	take(ADAPTER, "(" ID "BP00HSO)");
	is_str(feed_out_text(&feed), "(" ID "AP01HSO)", "a handshake is answered");
	is_int(feed.nrecords, 0, "and no record");
	take(ADAPTER, "(" ID "BP05000" ID PLACE "01000000L00000000)");
	is_str(feed_out_text(&feed), "(" ID "AP05)", "so is a login");
	ok(is_good(0, ID), "its place counts");
	take(ADAPTER, "(" ID "BR00231114A5006.6300S00840.9260W0.5002213207.2500,00000000)");
	ok(is_at(0, -50.1105, -8.6821) && record_at(0)->event_time_us == TIME_US && record_at(0)->speed_kmh == 0.5 &&
	   record_at(0)->heading_deg == 7.25, "three decimals of speed");
	take(ADAPTER, "(" ID "BR00231114V5006.6300N00840.9260E000.0221320000.0010000000L00000000)");
	ok(isnan(record_at(0)->latitude) && record_at(0)->event_time_us == TIME_US && boolean_of(0, "external_power") == 0,
	   "without a fix there is no place");
	take(ADAPTER, "(" ID "BO012" PLACE "00000000L00000000)");
	ok(is_good(0, ID) && boolean_of(0, "sos") == 1, "an alarm");
	is_str(text_of(0, "alarm"), "sos", "by its name");
	take(ADAPTER, "(12345678901BR00" PLACE "00000000L00000000)");
	ok(is_good(0, "(12345678901"), "an identity with its parenthesis");
	take(ADAPTER, "(" ID "BZ00,262,02,3bf7,0425,3bf7,0bf5,01000000)");
	ok(number_of(0, "mcc") == 262 && number_of(0, "lac") == 15351 && number_of(0, "cell_id") == 1061, "cells");
	take(ADAPTER, "(" ID "BZ00,{413,2,30073,16724}\n{413,2,30073,16730}\n,01000000)");
	ok(number_of(0, "mcc") == 413 && number_of(0, "lac") == 30073 && number_of(0, "cell_id") == 16724, "cells in braces");
	take(ADAPTER, "(" ID "BP05" IMEI ",{413,2,30073,16724}\n{413,2,30073,16730}\n,01000000)");
	ok(number_of(0, "lac") == 30073 && number_of(0, "cell_id") == 16724, "cells in braces");
	is_str(feed_out_text(&feed), "(" ID "AP05)", "their answer");
	take(ADAPTER, "(" ID "BV001G1JC5444R7252367)");
	is_int(feed.nrecords, 0, "a VIN is not kept");
	take(ADAPTER, "(" ID "BS50064FF0)");
	is_str(text_of(0, "payload"), "064FF0", "what nobody knows is");
}

/* The widths of speed, time and course differ by firmware. */
static void
test_widths(void)
{
	static const struct
	{
		const char *motion;
		double		speed;
		double		heading;
	}			all[] = {
		{"E0001822132045.500", 18, 45.5},
		{"E018.522132045.500", 18.5, 45.5},
		{"E 18.5221320 45.50", 18.5, 45.5},
		{"E018.5221320000000", 18.5, 0},
		{"E018.522132045", 18.5, 45},
		{"E018.5221320245.50,", 18.5, 245.5}
	};
	char		text[128];

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
	{
		snprintf(text, sizeof(text), "(" ID "BR00231114A5006.6300N00840.9260%s0100001FL000003F9)", all[i].motion);
		take(ADAPTER, text);
		ok(is_at(0, 50.1105, 8.6821) && record_at(0)->event_time_us == TIME_US && record_at(0)->speed_kmh == all[i].speed &&
		   record_at(0)->heading_deg == all[i].heading && number_of(0, "fuel_raw") == 31, all[i].motion);
	}
	take(ADAPTER, "(" ID "BR00231114A5006.6300N 840.9260W 18.5221320 45.500100001FL000003F9)");
	ok(is_at(0, 50.1105, -8.6821) && record_at(0)->speed_kmh == 18.5, "an angle filled up with a space");
	take(ADAPTER, "(" IMEI "BP02,G,2,231114A5006.6300N00840.9260E001.622132091.048,7)");
	ok(is_at(0, 50.1105, 8.6821) && record_at(0)->event_time_us == TIME_US && record_at(0)->heading_deg == 91.048 &&
	   strcmp(record_at(0)->device, IMEI) == 0, "a whole IMEI before the command");
	take(ADAPTER, "(" ID "BR00231114A5006.6300N00840.9260E999.9221320245.5001000000L00000000)");
	ok(is_at(0, 50.1105, 8.6821) && isnan(record_at(0)->speed_kmh) && number_of(0, "speed_kmh_raw") == 999.9,
	   "a speed that cannot be does not cost the place");
}

static void
test_alarms(void)
{
	take(ADAPTER, "(" ID "BO010" PLACE "00000000L00000000)");
	ok(boolean_of(0, "external_power") == 1, "the status says what the power is now");
	is_str(text_of(0, "alarm"), "power_cut", "without power");
	take(ADAPTER, "(" ID "BQ81,ALARM,4,164," PLACE ",00000000)");
	is_str(text_of(0, "alarm"), "hard_braking", "an alarm of driving");
	take(ADAPTER, "(" IMEI ",DW3E,141123,A,5006.6300N,00840.9260E,18.5,221320,245.5)");
	ok(is_good(0, IMEI) && boolean_of(0, "sos") == 1, "a call for help");
	take(ADAPTER, "(" IMEI ",ZC26,141123,A,5006.6300N,00840.9260E,18.5,221320,245.5,112,9)");
	ok(boolean_of(0, "tamper") == 1 && record_at(0)->altitude_m == 112, "a cover opened; a height without a point");
	take(ADAPTER, "(" IMEI ",ZC26,141123,A,5006.6300N,00840.9260E,18.5,221320,245.5,112,0)");
	ok(feed.nrecords == 1 && isnan(record_at(0)->latitude) && isnan(record_at(0)->speed_kmh) && number_of(0, "satellites") == 0,
	   "no satellites: no place");
	take(ADAPTER, "(" IMEI ",ZC15,141123,A,5006.6300N,00840.9260E,18.5,221320,245.5)");
	is_int(boolean_of(0, "ignition"), 1, "ignition on");
	take(ADAPTER, "(" IMEI ",DW36,141123,A,5006.6300N,00840.9260E,18.5,221320,245.5)");
	is_int(boolean_of(0, "ignition"), 0, "ignition off");
}

static void
test_new(void)
{
	take(ADAPTER, NEW);
	ok(feed.nrecords == 1 && is_good(0, IMEI) && record_at(0)->altitude_m == 112 && number_of(0, "satellites") == 9,
	   "the new form");
	take(ADAPTER, "(" IMEI ",ZC13,141123,V,0000.0000N,00000.0000E,0,221320,0)");
	ok(isnan(record_at(0)->latitude) && record_at(0)->event_time_us == TIME_US, "without a fix");
	is_str(text_of(0, "alarm"), "power_cut", "an alarm");
	take(ADAPTER, "(" IMEI ",BP05,141123,A,5006.6300N,00840.9260E,18.5,221320,245.5,01000000,L000003F9)");
	ok(is_good(0, IMEI) && boolean_of(0, "ignition") == 1 && number_of(0, "odometer_km") == 1.017, "with a status");
	take(ADAPTER, "(" IMEI ",ZC20,141123,221320,6,392,112,255)");
	ok(number_of(0, "tracker_battery_percent") == 100 && number_of(0, "tracker_battery_v") == 3.92 &&
	   number_of(0, "external_voltage_v") == 11.2 && record_at(0)->event_time_us == TIME_US, "batteries");
	take(ADAPTER, "(" IMEI ",DW51,262,1,3215,43370,1,58:F3:BB:3B:AA:82*-65*1,141123,221320)");
	ok(number_of(0, "lac") == 3215 && number_of(0, "wifi_count") == 1 && record_at(0)->event_time_us == TIME_US,
	   "cells");
	take_slowly(ADAPTER, "(" IMEI ",ZC03,141123,221320,$On (all), 1) ok$)" NEW);
	is_str(text_of(0, "command_result"), "On (all), 1) ok", "a text with parentheses");
	ok(feed.nrecords == 2 && is_good(1, IMEI), "and the next frame");
}

static void
test_hostile(void)
{
	char		garbage[8192];

	take(ADAPTER, "ab)$c" OLD "$" OLD);
	ok(feed.nrecords == 4 && record_at(0)->raw_len == 5 && is_good(1, ID) && record_at(2)->raw_len == 1 && is_good(3, ID),
	   "noise between frames goes to quarantine");
	take(ADAPTER, "(" ID "BR00231114A50" OLD);
	ok(feed.nrecords == 2 && strcmp(record_at(0)->defect, "malformed:frame") == 0 && is_good(1, ID),
	   "a frame that breaks off does not take the next one along");
	take(ADAPTER, OLD NEW);
	is_str(feed.refused, "identity changed", "another identity");
	is_int(feed.nrecords, 1, "only the first counts");
	take(ADAPTER, "()");
	ok(is_refused("malformed:frame"), "nothing");
	take(ADAPTER, "(123)");
	ok(is_refused("malformed:frame"), "only an identity");
	take(ADAPTER, "(,DW3B,1)");
	ok(is_refused("malformed:device"), "no identity");
	take(ADAPTER, "(" ID "BP05231114A9906.6300N00840.9260E018.5221320245.5000000000L0)");
	ok(is_refused("malformed:latitude"), "a latitude that is none");
	take(ADAPTER, "(" IMEI ",DW3B,141123,A,5006.6300N,x,18.5,221320,245.5)");
	ok(is_refused("malformed:longitude"), "a longitude that is none");
	take(ADAPTER, "(" ID "BR00231314A5006.6300N00840.9260E018.5221320245.5000000000L0)");
	ok(is_refused("missing_field:event_time"), "a date that is none");
	take(ADAPTER, "(" ID "BR00231114A5006.6300N00840.9260E018)");
	ok(is_refused("missing_field:event_time"), "a frame that stops before its time");
	memset(garbage, 'x', sizeof(garbage));
	take_bytes(ADAPTER, garbage, sizeof(garbage), 100, false);
	is_str(feed.refused, "not tk103", "nothing but noise");
	ok(is_refused("malformed:frame"), "goes to quarantine");
	garbage[0] = '(';
	take_bytes(ADAPTER, garbage, sizeof(garbage), 0, false);
	ok(feed.nrecords > 0 && strcmp(record_at(0)->defect, "malformed:frame") == 0, "a frame without end");
	take(ADAPTER, "(" ID "BR00");
	ok(feed.nrecords == 0 && feed.unfinished > 0, "half a frame waits");
	take_datagram(ADAPTER, OLD);
	ok(feed.nrecords == 1 && is_good(0, ID), "a datagram");
	take_datagram(ADAPTER, "(" ID "BP05" IMEI "231114A5006.6300N00840.9260E0");
	ok(feed.nrecords == 1 && strcmp(record_at(0)->defect, "missing_field:event_time") == 0 && buf_len(&feed.out) == 0,
	   "one that is cut short is not answered");
	take_datagram(ADAPTER, "hello");
	ok(is_refused("malformed:frame"), "noise in one");
}

int
main(void)
{
	test_old();
	test_widths();
	test_alarms();
	test_new();
	test_hostile();
	feed_end(&feed);
	buf_trim();
	return tap_done();
}
