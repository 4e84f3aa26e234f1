/*
 * test_gl200.c
 *	  The gl200 adapter: messages made by hand, whole and in pieces, and what a
 *	  hostile or broken device sends.
 */
#include <math.h>

#include "feed.h"
#include "tap.h"

#define ID "861000000000001"
#define GROUP "1,18.0,245,112.5,8.682100,50.110500,20231114221320,0262,0002,1A2B,00ABCD"
#define TAIL "20231114221322,0A1F$"
#define FRI "+RESP:GTFRI,060228," ID ",van,12500,10,1," GROUP ",00,1234.5,00100:00:00,,,88,210100,,,," TAIL
#define TIME_US INT64_C(1700000000000000)

static Feed feed;

static void
take(const char *text, size_t step)
{
	feed_end(&feed);
	feed_begin(&feed, &adapter_gl200, "");
	feed_bytes(&feed, text, strlen(text), step);
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
test_position(void)
{
	for (size_t step = 0; step < 2; step++)
	{
		take(FRI, step);
		is_int(feed.nrecords, 1, "position: one record");
		is_str(feed.records[0].device, ID, "position: identity");
		ok(feed.records[0].has_event_time && feed.records[0].event_time_us == TIME_US, "position: time of the fix");
		ok(near(feed.records[0].latitude, 50.1105) && near(feed.records[0].longitude, 8.6821), "position: place");
		ok(feed.records[0].speed_kmh == 18 && feed.records[0].heading_deg == 245 && feed.records[0].altitude_m == 112.5,
		   "position: motion");
		is_str(feed_out_text(&feed), "+SACK:0A1F$", "position: answered after the commit");
	}
	is_str(text("event_type"), "FRI", "position: report");
	is_str(text("device_name"), "van", "position: name");
	is_str(text("gps_valid"), "true", "position: there is a fix");
	is_str(text("gsm_operator"), "26202", "position: operator");
	ok(number("cell_lac") == 0x1a2b && number("cell_id") == 0xabcd, "position: cell");
	ok(near(number("odometer_km"), 1234.5) && number("tracker_battery_percent") == 88, "position: mileage and battery");
	is_str(text("ignition"), "true", "position: ignition");
	is_str(text("movement"), "false", "position: at rest");
	is_str(text("digital_input_1"), "true", "position: input");
	ok(number("sequence") == 0x0a1f, "position: count");
	is_str(text("gl200_head"), "12500,10,1", "position: what stands before is kept");

	take("+BUFF:GTFRI,020102," ID ",,0,0,2," GROUP ",00,0,4.3,92,70.0,-8.500000,-50.250000,20231114221420,0262,0002,1A2B,00ABCD,00,77," TAIL, 0);
	is_int(feed.nrecords, 2, "two places: two records");
	ok(near(feed.records[1].latitude, -50.25) && feed.records[1].event_time_us == TIME_US + 60000000, "two places: second");
	is_str(text("event_type"), "", "two places: nothing else in the first");
	ok(feed_signal(&feed.records[1], "buffered") != NULL && feed_signal(&feed.records[1], "tracker_battery_percent")->number == 77,
	   "two places: the rest in the last");
	is_str(feed_signal(&feed.records[1], "gps_valid")->boolean ? "true" : "false", "false", "two places: accuracy 0 is no fix");
	is_str(feed_out_text(&feed), "+SACK:0A1F$", "two places: one answer");
}

static void
test_events(void)
{
	take("+RESP:GTSOS,020102," ID ",,0,0,1," GROUP ",00,90," TAIL, 0);
	is_str(text("alarm"), "sos", "sos: alarm");
	is_str(text("sos"), "true", "sos: signal");
	take("+RESP:GTHBM,0F0100," ID ",,,12,1," GROUP ",00,2000.0," TAIL, 0);
	is_str(text("alarm"), "hard_cornering", "harsh behaviour: alarm");
	take("+RESP:GTIGF,060228," ID ",,1958," GROUP ",00,,936.8," TAIL, 0);
	is_str(text("ignition"), "false", "ignition off");
	take("+RESP:GTSTT,060228," ID ",,22," GROUP ",00," TAIL, 0);
	is_str(text("movement"), "true", "state: moves");
	take("+RESP:GTIGF,060228," ID ",,0,0,,,,,,,0262,0002,A08F,872B36,00,,0.0," TAIL, 0);
	ok(feed.nrecords == 1 && isnan(feed.records[0].latitude), "no place: none");
	ok(feed.records[0].event_time_us == TIME_US + 2000000, "no place: time of sending");
	take("+RESP:GTPNA,710402," ID ",,20990101000000,0121$", 0);
	ok(feed.records[0].event_time_us == FEED_NOW_US, "no place: a time of sending ahead is that of receipt");
	take("+RESP:GTINF,060100," ID ",,16,8986008109068048812,16,0,1,12345,,4.1,0,0,0,0,20231114221320,0,1300,2000,00,00,+0800,0," TAIL, 0);
	ok(near(number("external_voltage_v"), 12.345) && near(number("tracker_battery_v"), 4.1), "information: voltages");
	is_str(text("iccid"), "8986008109068048812", "information: sim");
	is_str(text("towing"), "true", "information: towed");
	take("+RESP:GTINF,1A0800," ID ",GL300,42,89701016426133851978,17,0,1,26.6,,3.90,1,1,0,0,0,20231114221320,69,1,44,,," TAIL, 0);
	ok(number("tracker_battery_percent") == 69 && near(number("tracker_battery_v"), 3.9), "information: level");
	is_str(text("movement"), "true", "information: moves");
	take("+RESP:GTOBD,1F0109," ID ",1M8GDM9AXKP042788,car,0,1M8GDM9AXKP042788,1," GROUP ",00,0.0," TAIL, 0);
	is_str(text("device_name"), "", "a VIN is not kept as name");
	is_str(text("gl200_head"), "car,0,,1", "a VIN is not kept in the rest");
}

/* What other models and firmware write otherwise. */
static void
test_dialects(void)
{
	take("+RESP:GTFRI,060228," ID ",van,12500,10,1," GROUP ",00,12.5,,,,88,210100,,,,20231114221322,0A1F" "x", 0);
	is_int(feed.nframes, 0, "neither $ nor a zero byte: waits");
	feed_end(&feed);
	feed_begin(&feed, &adapter_gl200, "");
	feed_bytes(&feed, "+ACK:GTHBD,1A0401," ID ",,20231114221320,11F0\0+RESP:GTRTL,060228," ID ",,0,0,1," GROUP ",00,77,20231114221322,0A1F\0",
			   sizeof("+ACK:GTHBD,1A0401," ID ",,20231114221320,11F0\0+RESP:GTRTL,060228," ID ",,0,0,1," GROUP ",00,77,20231114221322,0A1F\0") - 1, 0);
	is_str(feed_out_text(&feed), "+SACK:GTHBD,1A0401,11F0$+SACK:0A1F$", "a zero byte ends a message");
	ok(feed.nrecords == 1 && near(feed.records[0].latitude, 50.1105) && number("tracker_battery_percent") == 77, "... and its place is read");

	take("+RESP:GTPNA,710402," ID ",,20231114221322,0a1f$", 0);
	is_str(feed_out_text(&feed), "+SACK:0a1f$", "a count is answered as it was written");
	take("+RESP:GTFRI,04040D," ID ",,,10,1,0,,,,0,0,,,,,,,,,,,,00,00,,,,0099$", 0);
	ok(feed.nrecords == 1 && isnan(feed.records[0].latitude) && feed.records[0].event_time_us == FEED_NOW_US &&
	   feed.records[0].defect[0] == '\0', "neither place nor time");

	take("+RESP:GTTRI," ID ",1,0,99," GROUP ",00,0103010100," TAIL, 0);
	is_str(feed.records[0].device, ID, "without a version: identity");
	ok(near(feed.records[0].longitude, 8.6821), "without a version: place");
	is_str(text("gl200_head"), "1,0,99", "without a version: no name");
	take("+RESP:GTINF," ID ",8938000000000000001f,18,99,1,0,+2.00,0,20231114221322,00EE,0103090402$", 0);
	is_str(feed.records[0].device, ID, "version behind the count: identity");
	is_str(text("protocol_version"), "0103090402", "version behind the count: kept");
	is_str(feed_out_text(&feed), "+SACK:00EE$", "version behind the count: answered");
	ok(feed.records[0].event_time_us == TIME_US + 2000000, "version behind the count: time");

	take("+RESP:GTRTL," ID ",0,0,0,1,4.3,92,70.0,2,8.682100,50.110500,20231114221320,0262,0002,18d8,6141,00,11F0,0102120204$", 0);
	ok(near(feed.records[0].latitude, 50.1105) && feed.records[0].speed_kmh == 4.3 && feed.records[0].heading_deg == 92 &&
	   feed.records[0].altitude_m == 70 && number("hdop") == 2, "... and its accuracy behind the height");

	take("+RESP:GTINF,060228," ID ",1M8GDM9AXKP042788,,11F0$", 0);
	ok(feed.nrecords == 1 && feed_signal(&feed.records[0], "ignition") == NULL, "an INF with nothing in it");

	take("+RESP:GTFRI,423037," ID ",van,0,1,1,5,12,0.1,0,46.8,8.682100,50.110500,20231114221320,2,0e36c9916485,-50,,,,e831cd5eb79d,-73,,,,262,02,711D,81ECF0F,00,,93," TAIL, 0);
	ok(near(feed.records[0].latitude, 50.1105) && number("hdop") == 12, "access points behind the place");
	take("+BUFF:GTFRI,8020040703," ID ",van,28204,10,1," GROUP ",0B,12,0,0.69,1.11,1.30,659946.1,0001265:30:00,,,,88,220100,,,," TAIL, 0);
	ok(number("satellites") == 12 && near(number("odometer_km"), 659946.1) && near(number("engine_hours_h"), 1265.5) &&
	   number("tracker_battery_percent") == 88, "what a mask appends to the place");
	take("+RESP:GTFRI,DE0114," ID ",,0,0,1," GROUP ",19,0,,93,0,,," TAIL, 0);
	ok(isnan(number("satellites")) && isnan(number("odometer_km")), "a level of the radio is no mask");
	take("+RESP:GTSTR,400201," ID ",van,0,0,2,21.1,86," GROUP ",,,," TAIL, 0);
	ok(number("tracker_battery_percent") == 86, "battery before the place");
	take("+RESP:GTIGL,270302," ID ",,,00,1," GROUP ",00,243.1," TAIL, 0);
	is_str(text("ignition"), "true", "ignition of IGL: 0 is on");
	take("+RESP:GTIGL,270302," ID ",,,01,1," GROUP ",00,243.1," TAIL, 0);
	is_str(text("ignition"), "false", "ignition of IGL: 1 is off");
	take("+RESP:GTGEO,270302," ID ",,,30,1," GROUP ",00,243.1," TAIL, 0);
	is_str(text("alarm"), "geofence_exit", "out of a fence");
	take("+RESP:GTGEO,270302," ID ",,,01,1," GROUP ",00,243.1," TAIL, 0);
	is_str(text("alarm"), "geofence_enter", "into a fence");
	take("+RESP:GTNMR,210102," ID ",,0,1,1," GROUP ",00,73," TAIL, 0);
	is_str(text("movement"), "true", "begins to move");
	take("+BUFF:GTIGN,6E0202," ID ",van,379," GROUP ",01,11,,12.5," TAIL, 0);
	ok(number("satellites") == 11 && number("odometer_km") == 12.5, "satellites before empty hours");
	take("+RESP:GTMPF,270302," ID ",,," GROUP ",00," TAIL, 0);
	is_str(text("alarm"), "power_cut", "power cut");
	is_str(text("external_power"), "false", "... there is no power");
	take("+RESP:GTFRI,060228," ID ",,,00,1,0,0.0,0,0.0,0.000000,0.000000,20231114221320,0262,0002,1A2B,00ABCD,00,1.0,,,,80,210100,,,," TAIL, 0);
	ok(feed.nrecords == 1 && isnan(feed.records[0].latitude) && feed.records[0].defect[0] == '\0', "never had a fix: no place");
	take("+RESP:GTDTT,410502," ID ",,,,0,9,a$b,$5,x,20231114221322,EA2E$" FRI, 0);
	is_int(feed.nrecords, 2, "data with $ in it");
	is_str(text("gl200_rest"), ",,0,9,a$b,$5,x", "data with $ in it: all of it");
	take("+RESP:GTDTT,410502," ID ",,,,0,9,a$b,$5,x,20231114221322,EA2E$", 1);
	is_int(feed.nrecords, 1, "data with $ in it, byte by byte");

	/* More than the dictionary takes: kept beside its place. */
	take("+RESP:GTFRI,060228," ID ",,,10,1,1,999.9,245,99999.9,8.682100,50.110500,20231114221320,0262,0002,1A2B,00ABCD,00,9999999.9,,,,88,210100,,,," TAIL, 0);
	ok(near(feed.records[0].latitude, 50.1105) && isnan(feed.records[0].speed_kmh) && number("speed_kmh_raw") == 999.9 &&
	   number("odometer_km_raw") == 9999999.9, "values that cannot be do not cost the place");

	feed_end(&feed);
	feed_begin(&feed, &adapter_gl200, "");
	feed.session.no_sack = true;
	feed_bytes(&feed, FRI "+ACK:GTHBD,1A0401," ID ",,20231114221320,11F0$", strlen(FRI "+ACK:GTHBD,1A0401," ID ",,20231114221320,11F0$"), 0);
	is_str(feed_out_text(&feed), "+SACK:GTHBD,1A0401,11F0$", "sack switched off: only heartbeats are answered");
}

static void
test_answers(void)
{
	take("+ACK:GTHBD,1A0401," ID ",,20231114221320,11F0$", 1);
	is_str(feed_out_text(&feed), "+SACK:GTHBD,1A0401,11F0$", "heartbeat: answered at once");
	is_int(feed.nrecords, 0, "heartbeat: no record");
	take("+ACK:GTRTO,1A0800," ID ",GL300,VER,FFFF,20231114221320,0C19$", 0);
	is_str(feed_out_text(&feed), "", "command: no answer");
	is_str(text("command_result"), "GL300,VER,FFFF", "command: its result");
}

static void
test_hostile(void)
{
	char		noise[700];

	take(FRI "\r\n" FRI, 0);
	is_int(feed.nrecords, 2, "two at once, a line end between");
	is_str(feed_out_text(&feed), "+SACK:0A1F$+SACK:0A1F$", "two at once: two answers");
	take("+RESP:GTFRI,060228," ID ",van,125" FRI, 0);
	is_str(feed.refused, "malformed before an identity", "cut short: refused");
	take(FRI "+RESP:GTFRI,060228," ID ",van,125" FRI, 0);
	is_int(feed.nrecords, 3, "cut short: what follows is read");
	is_str(feed.records[1].defect, "malformed", "cut short: goes to quarantine");
	is_str(feed_out_text(&feed), "+SACK:0A1F$+SACK:0A1F$", "cut short: has no answer");
	take(FRI "noise" FRI, 0);
	is_int((long) feed.records[1].raw_len, 5, "noise: goes to quarantine");
	is_int(feed.nrecords, 3, "noise: what follows is read");
	take("GET / HTTP/1.1\r\n", 0);
	is_str(feed.refused, "not gl200", "another protocol");
	take(FRI "+RESP:GTSTT,060228,861000000000002,,22," TAIL, 0);
	is_str(feed.refused, "identity changed", "another identity");
	take(FRI "+RESP:GTFRI,060228$", 0);
	is_str(feed.records[1].defect, "malformed", "too few fields");
	take("+RESP:GTFRI,060228," ID ",,0,0,1,1,18.0,245,112.5,8.682100,50.110500,20231314221320,0262,0002,1A2B,00ABCD,00,88," TAIL, 0);
	is_str(feed.records[0].defect, "missing_field:event_time", "no such month");
	take("+RESP:GTFRI,060228," ID ",van", 0);
	is_int((long) feed.unfinished, (long) strlen("+RESP:GTFRI,060228," ID ",van"), "truncated: waits");

	memset(noise, ',', sizeof(noise));
	memcpy(noise, "+RESP:GTFRI,060228," ID, strlen("+RESP:GTFRI,060228," ID));
	noise[sizeof(noise) - 1] = '$';
	take(FRI, 0);
	feed_bytes(&feed, noise, sizeof(noise), 0);
	is_str(feed.records[1].defect, "malformed", "more fields than there can be");

	feed_end(&feed);
	feed_begin(&feed, &adapter_gl200, "");
	feed.session.datagram = true;
	feed_bytes(&feed, "+RESP:GTFRI,060228", 18, 0);
	is_str(feed.records[0].defect, "malformed", "datagram: cut short");
	feed_end(&feed);
}

int
main(void)
{
	feed_begin(&feed, &adapter_gl200, "");
	test_position();
	test_events();
	test_dialects();
	test_answers();
	test_hostile();
	buf_trim();
	return tap_done();
}
