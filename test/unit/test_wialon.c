/*
 * test_wialon.c
 *	  The wialon adapter: lines made by hand, whole and in pieces, and what a
 *	  hostile or broken device sends.
 */
#include <math.h>
#include <zlib.h>

#include "crc.h"
#include "feed.h"
#include "tap.h"

#define FIX "141123;221320;5006.6300;N;00840.9260;E;18;245;112;9"
#define MORE ";0.9;5;2;12.5,,3.3;A1B2;"
#define TIME_US INT64_C(1700000000000000)

static Feed feed;

static void
begin(const char *device, bool datagram)
{
	feed_end(&feed);
	feed_begin(&feed, &adapter_wialon, device);
	feed.session.datagram = datagram;
}

static void
send_text(const char *text, size_t step)
{
	feed_bytes(&feed, text, strlen(text), step);
}

/* A line of a device that has logged in. */
static void
take(const char *line)
{
	begin("861", false);
	send_text(line, 0);
}

/* The same of one that speaks version 2, with its checksum. */
static void
take_summed(const char *type, const char *body)
{
	char		line[4096];

	begin("", false);
	snprintf(line, sizeof(line), "#L#2.0;861;NA;%04X\r\n", crc16_arc("2.0;861;NA;", 11));
	send_text(line, 0);
	snprintf(line, sizeof(line), "#%s#%s%04X\r\n", type, body, crc16_arc(body, strlen(body)));
	send_text(line, 0);
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

static void
test_login(void)
{
	begin("", false);
	send_text("#L#861;secret\r\n", 1);
	is_str(feed.session.device, "861", "login: the identity");
	is_str(feed_out_text(&feed), "#AL#1\r\n", "login: answered at once");
	is_int(feed.nrecords, 0, "login: no record");
	send_text("#L#861;secret\r\n", 0);
	ok(feed.refused == NULL, "login: the same once more");
	send_text("#L#862;secret\r\n", 0);
	is_str(feed.refused, "identity changed", "login: another identity");
	is_str(feed_out_text(&feed), "#AL#1\r\n#AL#1\r\n#AL#0\r\n", "login: another identity is told so");
	buf_release(&feed.out);
	adapter_wialon.farewell(&feed.session, "idle", &feed.out);
	adapter_wialon.farewell(&feed.session, "device_not_allowed", &feed.out);
	is_str(feed_out_text(&feed), "#AL#0\r\n", "login: so is one that the listener does not allow");

	begin("", false);
	send_text("#L#2.0;861;NA;0000\r\n", 0);
	is_str(feed_out_text(&feed), "#AL#10\r\n", "login: a wrong checksum");
	is_str(feed.refused, "checksum of the login", "login: a wrong checksum closes");
	is_str(defect(), "malformed:checksum", "login: a wrong checksum goes to quarantine");
	is_str(feed.session.device, "", "login: a wrong checksum names nobody");

	begin("", false);
	send_text("#L#2.0;861\r\n", 0);
	is_str(feed_out_text(&feed), "#AL#10\r\n", "login: version 2 without a checksum");

	begin("", false);
	send_text("#L#;secret\r\n", 0);
	is_str(feed_out_text(&feed), "#AL#0\r\n", "login: without identity");

	begin("", false);
	send_text("#P#\r\n", 1);
	is_str(feed_out_text(&feed), "#AP#\r\n", "ping");

	begin("", false);
	send_text("#SD#" FIX "\r\n", 0);
	is_str(feed.refused, "no login", "a report before a login");
	is_str(feed_out_text(&feed), "", "a report before a login has no answer");
	is_int((long) feed.records[0].raw_len, (long) strlen("#SD#" FIX "\r\n"), "a report before a login is kept");
}

static void
test_short(void)
{
	for (size_t step = 0; step < 2; step++)
	{
		begin("861", false);
		send_text("#SD#" FIX "\r\n", step);
		is_int(feed.nrecords, 1, "short: one record");
		is_str(feed.records[0].device, "861", "short: device");
		ok(feed.records[0].has_event_time && feed.records[0].event_time_us == TIME_US, "short: time");
		ok(near(feed.records[0].latitude, 50.1105) && near(feed.records[0].longitude, 8.6821), "short: place");
		ok(feed.records[0].speed_kmh == 18 && feed.records[0].heading_deg == 245 && feed.records[0].altitude_m == 112,
		   "short: motion");
		ok(number("satellites") == 9, "short: satellites");
		is_str(feed_out_text(&feed), "#ASD#1\r\n", "short: answered after the commit");
	}
	begin("861", false);
	feed.late_acks = true;
	send_text("#SD#" FIX "\r\n#SD#141123;221321;NA;NA;NA;NA;NA;NA;NA;0\r\n\r\n#P#\r\n", 0);
	is_int(feed.nrecords, 2, "several: two records");
	ok(isnan(feed.records[1].latitude) && isnan(feed.records[1].speed_kmh), "several: nothing where NA stands");
	is_str(feed_out_text(&feed), "#AP#\r\n#ASD#1\r\n#ASD#1\r\n", "several: answers in order");

	take("#SD#141123;221320;5006.6300;S;00840.9260;W;18;245;112;0\r\n");
	ok(isnan(feed.records[0].latitude) && number("satellites") == 0, "no satellites: no place");
	take("#SD#141123;221320;5006.6300;S;00840.9260;W;18;245;112;NA\n");
	ok(near(feed.records[0].latitude, -50.1105) && near(feed.records[0].longitude, -8.6821), "south and west, bare newline");
	take("#SD#141123;221320;5006.6300;N;00840.9260;E;18;245;112;0\r\n");
	ok(isnan(feed.records[0].latitude) && isnan(feed.records[0].speed_kmh) && isnan(feed.records[0].heading_deg) &&
	   isnan(feed.records[0].altitude_m), "nor anything else of the last fix");
	take("#SD#NA;NA;5006.6300;N;00840.9260;E;18;245;112;9\r\n");
	ok(feed.records[0].event_time_us == FEED_NOW_US, "no date: the time of receipt");
}

static void
test_full(void)
{
	take("#D#" FIX MORE "count:1:564,fuel:2:45.8,hw:3:V4:5,101_5:1:7,\xd0\x91\xd0\xb0:3:100 %,SOS:1:1\r\n");
	is_str(feed_out_text(&feed), "#AD#1\r\n", "full: answer");
	ok(near(number("hdop"), 0.9) && number("inputs") == 5 && number("outputs") == 2, "full: hdop, inputs, outputs");
	is_str(text("digital_input_1"), "true", "full: first input");
	is_str(text("digital_input_2"), "false", "full: second input");
	is_str(text("digital_output_2"), "true", "full: second output");
	ok(near(number("analog_input_1_v"), 12.5) && isnan(number("analog_input_2_v")) && near(number("analog_input_3"), 3.3),
	   "full: analog inputs");
	is_str(text("driver_id"), "A1B2", "full: driver");
	ok(number("count") == 564 && near(number("fuel"), 45.8), "full: numbers");
	is_str(text("hw"), "V4:5", "full: text with a colon");
	ok(number("io_101_5") == 7, "full: a name of digits");
	is_str(text("u0411u0430"), "100 %", "full: a name of other letters");
	is_str(text("alarm"), "sos", "full: the alarm");

	take("#D#" FIX MORE "\r\n");
	is_str(defect(), "", "full: no parameters");
	take("#D#" FIX MORE "broken\r\n");
	is_str(defect(), "malformed:parameters", "full: a parameter without type");
	is_str(feed_out_text(&feed), "#AD#15\r\n", "full: a parameter without type is told");
}

static void
test_batch(void)
{
	take("#B#" FIX "|141123;221330;5006.6300;N;00840.9260;E;18;245;112;9" MORE "a:1:1\r\n");
	is_int(feed.nrecords, 2, "batch: two records");
	is_str(feed_out_text(&feed), "#AB#2\r\n", "batch: counted");
	ok(feed.records[1].event_time_us == TIME_US + 10000000 && feed_signal(&feed.records[1], "a") != NULL,
	   "batch: short and full mixed");
	take("#B#" FIX "|nonsense|" FIX "\r\n");
	is_int(feed.nrecords, 3, "batch: a broken record among good ones");
	is_str(feed.records[1].defect, "malformed", "batch: it goes to quarantine");
	is_str(feed_out_text(&feed), "#AB#2\r\n", "batch: it is not counted");
}

static void
test_sums(void)
{
	take_summed("SD", FIX ";");
	is_str(feed_out_text(&feed), "#AL#1\r\n#ASD#1\r\n", "version 2: short");
	is_str(defect(), "", "version 2: nothing wrong");
	take_summed("D", FIX MORE "a:1:1;");
	is_str(feed_out_text(&feed), "#AL#1\r\n#AD#1\r\n", "version 2: full");
	take_summed("B", FIX "|" FIX "|");
	is_str(feed_out_text(&feed), "#AL#1\r\n#AB#2\r\n", "version 2: batch");
	take_summed("M", "hello; you;");
	is_str(text("driver_message"), "hello; you", "version 2: message");
	is_str(feed_out_text(&feed), "#AL#1\r\n#AM#1\r\n", "version 2: message answered");

	take_summed("SD", FIX);
	is_str(feed_out_text(&feed), "#AL#1\r\n#ASD#13\r\n", "version 2: short without checksum");
	is_str(defect(), "malformed:checksum", "version 2: that goes to quarantine");
	take_summed("B", FIX);
	is_str(feed_out_text(&feed), "#AL#1\r\n#AB#\r\n", "version 2: batch without checksum");
	take("#D#" FIX MORE "a:1:1;0000\r\n");
	is_str(feed_out_text(&feed), "#AD#16\r\n", "a wrong checksum where none was due");
	take("#SD#" FIX ";0000\r\n");
	is_str(feed_out_text(&feed), "#ASD#13\r\n", "a wrong checksum of the short form");
	take("#M#hello\r\n");
	is_str(text("driver_message"), "hello", "version 1: message");
	ok(feed.records[0].event_time_us == FEED_NOW_US, "version 1: message has the time of receipt");
}

static void
test_datagram(void)
{
	char		line[256];

	begin("", true);
	send_text("861#SD#" FIX, 0);
	is_str(feed_out_text(&feed), "#ASD#1\r\n", "datagram: without a line end");
	is_str(feed.records[0].device, "861", "datagram: identity");
	begin("", true);
	snprintf(line, sizeof(line), "2.0;861#SD#" FIX ";%04X\r\n861#P#\r\n", crc16_arc(FIX ";", strlen(FIX ";")));
	send_text(line, 0);
	is_str(feed_out_text(&feed), "#ASD#1\r\n#AP#\r\n", "datagram: version 2, two lines");
	begin("", true);
	send_text("2.0;861#SD#" FIX "\r\n", 0);
	is_str(feed_out_text(&feed), "#ASD#13\r\n", "datagram: version 2 without checksum");
	begin("", true);
	send_text("861#P#\r\n862#SD#" FIX "\r\n", 0);
	is_str(feed.refused, "identity changed", "datagram: two identities");
	begin("", true);
	send_text("8 1#SD#" FIX "\r\n", 0);
	is_str(feed.refused, "malformed identity", "datagram: no identity");
}

/* A value that cannot be is no reason to lose the place. */
static void
test_implausible(void)
{
	take("#D#" FIX ";120.5;NA;NA;452986639,;NA;ignition:1:1,sos:1:7,fuel_percent:2:255,alarm:1:3,vin:3:1M8GDM9AXKP042788,fuel_l:3:12.5\r\n");
	ok(feed.nrecords == 1 && fabs(feed.records[0].latitude - 50.1105) < 1e-6, "implausible: the place is kept");
	is_str(defect(), "", "implausible: nothing for the quarantine");
	is_str(feed_out_text(&feed), "#AD#1\r\n", "implausible: taken");
	ok(isnan(number("hdop")) && number("hdop_raw") == 120.5 && number("fuel_percent_raw") == 255 &&
	   number("analog_input_1_v_raw") == 452986639, "implausible: kept under another name");
	ok(feed_signal(&feed.records[0], "ignition")->kind == RECORD_BOOLEAN && number("sos_raw") == 7,
	   "implausible: 1 is a boolean, 7 is none");
	is_str(feed_signal(&feed.records[0], "alarm")->text, "3", "implausible: a number for a text");
	ok(number("fuel_l") == 12.5, "implausible: a text for a number");
	take("#D#" FIX ";NA;NA;NA;;NA;motion:3:false\r\n");
	ok(feed_signal(&feed.records[0], "motion")->kind == RECORD_BOOLEAN, "a boolean as text");
	ok(feed_signal(&feed.records[0], "vin") == NULL, "implausible: no VIN is kept");
	take("#SD#141123;221320;5006.6300;N;00840.9260;E;999;400;99999;9\r\n");
	ok(feed.nrecords == 1 && isnan(feed.records[0].speed_kmh) && isnan(feed.records[0].heading_deg) &&
	   isnan(feed.records[0].altitude_m) && number("speed_kmh_raw") == 999 && number("heading_deg_raw") == 400 &&
	   number("altitude_m_raw") == 99999, "implausible: speed, course, height");
}

static void
send_packed(const char *text, size_t step)
{
	unsigned char packed[512];
	uLongf		length = sizeof(packed) - 3;

	if (compress(packed + 3, &length, (const Bytef *) text, strlen(text)) != Z_OK)
		abort();
	packed[0] = 0xff;
	packed[1] = (unsigned char) length;
	packed[2] = (unsigned char) (length >> 8);
	feed_bytes(&feed, (const char *) packed, 3 + length, step);
}

static void
test_packed(void)
{
	for (int step = 0; step < 2; step++)
	{
		begin("", false);
		send_packed("#L#861;NA\r\n", (size_t) step);
		send_packed("#B#" FIX "|" FIX "\r\n", (size_t) step);
		send_text("#P#\r\n", (size_t) step);
		is_str(feed_out_text(&feed), "#AL#1\r\n#AB#2\r\n#AP#\r\n", "compressed: lines, between others");
		ok(feed.nrecords == 2 && feed.records[1].event_time_us == TIME_US, "compressed: a batch");
	}
	take("\xff\x05");
	is_int(feed.nframes, 0, "compressed: waits for the rest");
	take("\xff\x05\x01");
	is_int(feed.nframes, 0, "compressed: and for its bytes");
	begin("861", false);
	feed_bytes(&feed, "\xff\x03\x00xyz#P#\r\n", 11, 0);
	is_str(defect(), "malformed:compressed", "compressed: no such thing");
	is_str(feed_out_text(&feed), "#AP#\r\n", "compressed: the next line is read");
	begin("861", false);
	send_packed("#P#\r\n#P#\r\n", 0);
	is_str(defect(), "malformed:compressed", "compressed: two lines in one");
	begin("861", false);
	feed_bytes(&feed, "\xff\x00\x00", 3, 0);
	is_str(defect(), "malformed:compressed", "compressed: nothing");
}

static void
test_files(void)
{
	begin("861", false);
	send_text("#I#12;0;1;141123;221320;a.jpg\r\n#SD#\n\n123456#SD#" FIX "\r\n", 0);
	is_str(feed_out_text(&feed), "#AI#0;0\r\n#ASD#1\r\n", "a picture is not taken, the next line is");
	is_int(feed.nrecords, 1, "a picture is no record");
	begin("861", false);
	send_text("#IT#141123;221320;D1;0;3\r\n#T#0;4;7\r\n\r\n\r\n#P#\r\n", 1);
	is_str(feed_out_text(&feed), "#AIT#0\r\n#AT#7;0\r\n#AP#\r\n", "a tachograph's file, byte by byte");
}

static void
test_hostile(void)
{
	char		noise[512];

	take("#SD#" FIX "\r");
	is_int(feed.nframes, 0, "truncated: waits");
	take("#SD#14;22\r\n");
	is_str(defect(), "malformed", "too few fields");
	is_str(feed_out_text(&feed), "#ASD#-1\r\n", "too few fields: told");
	take("#SD#" FIX ";1;2;3\r\n");
	is_str(feed_out_text(&feed), "#ASD#-1\r\n", "too many fields: told");
	take("#SD#321123;221320;5006.6300;N;00840.9260;E;18;245;112;9\r\n");
	is_str(defect(), "malformed:event_time", "no such day");
	is_str(feed_out_text(&feed), "#ASD#0\r\n", "no such day: told");
	take("#SD#141123;221320;9906.6300;N;00840.9260;E;18;245;112;9\r\n");
	is_str(feed_out_text(&feed), "#ASD#10\r\n", "no such latitude");
	take("#SD#141123;221320;5006.6300;N;00840.9260;N;18;245;112;9\r\n");
	is_str(feed_out_text(&feed), "#ASD#10\r\n", "no such side");
	ok(isnan(feed.records[0].latitude), "half a place is none");
	take("#SD#141123;221320;5006.6300;N;00840.9260;E;fast;245;112;9\r\n");
	is_str(feed_out_text(&feed), "#ASD#11\r\n", "no number for a speed");
	take("#SD#141123;221320;5006.6300;N;00840.9260;E;18;245;112;x\r\n");
	is_str(feed_out_text(&feed), "#ASD#12\r\n", "no number for the satellites");
	take("#XX#1\r\n#SD#" FIX "\r\n");
	is_int(feed.nrecords, 1, "a type of later versions is passed over");
	is_str(feed_out_text(&feed), "#ASD#1\r\n", "... without an answer");
	take("#x!#1\r\n");
	is_str(defect(), "malformed:type", "what is no type");
	take("garbage\r\n");
	is_str(defect(), "malformed", "garbage of a device");
	ok(feed.refused == NULL, "garbage of a device: it stays");
	begin("", false);
	send_text("GET / HTTP/1.1\r\n", 0);
	is_str(feed.refused, "not wialon", "garbage before a login");
	take("#I#-5;0;1;141123;221320;a.jpg\r\n");
	is_str(feed.refused, "malformed file", "a file of no size");
	take("#I#99999999;0;1;141123;221320;a.jpg\r\n");
	is_str(feed.refused, "malformed file", "a file too large");

	begin("861", false);
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (char) (i * 7);
	feed_bytes(&feed, "#M#", 3, 0);
	noise[sizeof(noise) - 1] = '\n';
	feed_bytes(&feed, noise, sizeof(noise), 0);
	ok(true, "bytes of every value are borne");
	feed_end(&feed);
}

int
main(void)
{
	feed_begin(&feed, &adapter_wialon, "");
	test_login();
	test_short();
	test_full();
	test_batch();
	test_sums();
	test_datagram();
	test_implausible();
	test_packed();
	test_files();
	test_hostile();
	buf_trim();
	return tap_done();
}
