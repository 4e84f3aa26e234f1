/*
 * test_tesla_decode.c
 *	  Envelopes and payloads of the tesla adapter: made by hand, damaged, and
 *	  the encoded samples when they are there.
 *
 * The samples are not part of the project: they are looked for in
 * $FLEET_SHARED/tesla/samples and ../shared/tesla/samples.
 */
#include <math.h>

#include "adapters/tesla.h"
#include "feed.h"
#include "tap.h"
#include "tesla_message.h"

#define STAMP "1206" "08809cd5ca06"

static Feed feed;
static TeslaEnvelope envelope;

/* Reads a message, in memory that ends where it ends. */
static const char *
take(const char *bytes, size_t len)
{
	static Record record;
	Decoded		decoded = {.emit = feed_on_record, .emit_arg = &feed, .record = &record};
	char	   *copy = malloc(len ? len : 1);
	const char *wrong;

	if (feed.adapter != NULL)
		feed_end(&feed);
	feed_begin(&feed, &adapter_json, "car-1");
	feed.ackframes = calloc(1, sizeof(AckFrame));
	if (copy == NULL || feed.ackframes == NULL)
		abort();
	memcpy(copy, bytes, len);
	wrong = tesla_envelope_read(copy, len, &envelope);
	if (wrong == NULL && envelope.type == TESLA_STREAM)
		wrong = tesla_decode(&feed.session, &envelope, (Str) {copy, (uint32_t) len}, &decoded);
	envelope.txid.data = envelope.topic.data = NULL;
	free(copy);
	return wrong != NULL ? wrong : "";
}

static const char *
take_payload(const char *topic, const char *payload)
{
	char		bytes[8192];

	return take(bytes, tesla_message(bytes, "t-1", topic, TESLA_STREAM, 0, payload));
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

	return signal == NULL ? "none" : signal->kind == RECORD_TEXT ? signal->text :
		signal->kind == RECORD_NUMBER ? "number" : signal->boolean ? "true" : "false";
}

static bool
near(double got, double want)
{
	return fabs(got - want) < 1e-5;
}

static void
test_data(void)
{
	/* speed 62.1371 mi/h as text, locked, place, heading, an unknown field */
	is_str(take_payload("V", "0a0d" "0804" "1209" "0a07" "36322e31333731"
						"0a06" "083b" "1202" "3000"
						"0a18" "0815" "1214" "3a12" "090000000000404940" "110000000000000000"
						"0a0d" "0817" "1209" "290000000000807640"
						"0a07" "088f4e" "1202" "1007" STAMP "2001"), "", "data");
	is_int(feed.nrecords, 1, "one record");
	ok(feed.nrecords == 1 && near(feed.records[0].speed_kmh, 62.1371 * 1.609344), "miles an hour, as text");
	ok(feed.nrecords == 1 && near(feed.records[0].latitude, 50.5) && near(feed.records[0].longitude, 0), "place");
	ok(feed.nrecords == 1 && feed.records[0].heading_deg == 0, "360 degrees are 0");
	ok(feed.nrecords == 1 && feed.records[0].event_time_us == INT64_C(1767198208000000), "time");
	is_str(feed.nrecords == 1 ? feed.records[0].device : "", "car-1", "the identity is not the body's");
	is_str(text(0, "locked"), "false", "false is a value");
	is_str(text(0, "is_resend"), "true", "sent again");
	is_int(feed.nrecords == 1 ? (long) feed.records[0].raw_len : -1, 0, "its bytes, which have the VIN, are not kept");
	is_int(number(0, "field_9999"), 7, "a field of newer firmware");

	is_str(take_payload("V", "0a04" "0808" "1200" "0a02" "0808" "0a06" "0808" "1202" "5001" STAMP), "", "no values");
	is_str(text(0, "soc_invalid"), "true", "invalid is a state");
	is_str(text(0, "battery_percent"), "none", "not a number");
	is_str(take_payload("V", "0a09" "0808" "1205" "250000c07f" STAMP), "", "not a number at all");
	is_str(text(0, "soc_invalid"), "true", "is invalid");
	/* charge 300, locked 7, 1000 mi/h, and a place */
	is_str(take_payload("V", "0a09" "0808" "1205" "2500009643" "0a06" "083b" "1202" "1007" "0a09" "0804" "1205" "2500007a44"
						"0a18" "0815" "1214" "3a12" "090000000000404940" "110000000000000000" STAMP), "", "values that cannot be");
	ok(feed.nrecords == 1 && near(feed.records[0].latitude, 50.5) && feed.records[0].defect[0] == '\0', "do not cost the place");
	ok(number(0, "soc") == 300 && number(0, "locked_raw") == 7 && number(0, "vehicle_speed") == 1000 &&
	   isnan(feed.records[0].speed_kmh), "are kept under the vendor's names");
	is_str(take_payload("V", "0a06" "080a" "1202" "4805" "0a07" "08b301" "1202" "0000"), "payload", "a wire type that does not exist");
	is_str(take_payload("V", "0a06" "080a" "1202" "4805" "0a08" "08b301" "1203" "800204" "0a06" "0841" "1202" "6863" STAMP), "", "lists");
	is_str(text(0, "shift_state"), "D", "a label");
	is_str(text(0, "charging"), "true", "charging");
	is_str(text(0, "charge_state"), "Charging", "charge state");
	is_str(text(0, "sentry_mode"), "99", "a label of newer firmware");
	is_str(take_payload("V", "0a0b" "083a" "1207" "aa0104" "08011801" STAMP), "", "doors");
	is_str(text(0, "door_driver_open"), "true", "the driver's is open");
	is_str(text(0, "trunk_open"), "false", "the trunk is not");
	is_str(take_payload("V", "0a0b" "0815" "1207" "0a05" "28312c3229" STAMP), "", "a place that is none");
	is_str(text(0, "location"), "(1,2)", "stays text");
	is_str(take_payload("V", "0a06" "0808" "1202" "1005"), "", "no time");
	is_str(feed.records[0].defect, "missing_field:event_time", "goes to quarantine");
	ok(feed.records[0].raw_len > 0, "with its bytes");
	is_str(take_payload("vapor", ""), "topic", "an unknown topic");
	is_int(feed.nrecords, 0, "gives no record");
	feed_end(&feed);
}

static void
test_envelope(void)
{
	char		bytes[4096];
	char		other[4096];
	size_t		n = tesla_message(bytes, "t-1", "V", TESLA_STREAM, 1700000000, "0a06" "0808" "1202" "1005");
	Buf			out = {0};
	Str			txid = {"abc", 3};
	Str			topic = {"alerts", 6};

	is_str(take(bytes, n), "", "a layout of our own");
	is_int(number(0, "battery_percent"), 5, "value");
	is_int(feed.records[0].event_time_us, INT64_C(1700000000000000), "the envelope's time, when there is no other");
	for (size_t i = 0; i < n; i++)
		(void) !take(bytes, i);
	for (size_t i = 0; i < 62; i++)
		for (int bit = 0; bit < 8; bit++)
		{
			memcpy(other, bytes, n);
			other[i] = (char) (other[i] ^ 1 << bit);
			(void) !take(other, n);
		}
	ok(true, "cut anywhere, and each bit of the offsets turned");
	is_str(take("\377\377\377\377\0\0\0\0", 8), "envelope", "a root beyond the end");
	is_str(take("", 0), "envelope", "nothing");

	ok(tesla_envelope_answer(&out, txid, topic, NULL), "an answer");
	ok(tesla_envelope_read(buf_data(&out), buf_len(&out), &envelope) == NULL && envelope.type == TESLA_ACK &&
	   envelope.txid.len == 3 && memcmp(envelope.txid.data, "abc", 3) == 0 &&
	   envelope.topic.len == 6 && memcmp(envelope.topic.data, "alerts", 6) == 0, "stored: reads back");
	buf_release(&out);
	ok(tesla_envelope_answer(&out, txid, topic, "no"), "a refusal");
	ok(tesla_envelope_read(buf_data(&out), buf_len(&out), &envelope) == NULL && envelope.type == TESLA_STREAM &&
	   envelope.txid.len == 3 && envelope.topic.len == 0 &&
	   envelope.payload.len == 2 && memcmp(envelope.payload.data, "no", 2) == 0, "refused: reads back");
	buf_release(&out);
	feed_end(&feed);
}

/* --- samples --- */

static int	samples;
static int	samples_passed;
static int	failures_before;		/* the sample that is looked at */

/* One more sample, or the end of the last one. */
static void
count_sample(bool begins)
{
	static bool open;

	samples_passed += open && tap_failures == failures_before;
	samples += begins;
	open = begins;
	failures_before = tap_failures;
}

static size_t
sample(const char *name, char *bytes, size_t size)
{
	const char *shared = getenv("FLEET_SHARED");
	static char hex[16384];
	char		path[512];
	FILE	   *file;
	size_t		n;

	snprintf(path, sizeof(path), "%s/tesla/samples/%s.hex", shared ? shared : "../shared", name);
	file = fopen(path, "r");
	if (file == NULL)
		return 0;
	n = fread(hex, 1, sizeof(hex) - 1, file);
	fclose(file);
	hex[n] = '\0';
	return feed_from_hex(hex, bytes, size);
}

static const char *
take_sample(const char *name)
{
	static char bytes[8192];

	count_sample(true);
	return take(bytes, sample(name, bytes, sizeof(bytes)));
}

static void
test_answer(const char *name, Str txid, Str topic, const char *refusal)
{
	char		want[1024];
	size_t		n = sample(name, want, sizeof(want));
	Buf			out = {0};

	count_sample(true);
	ok(tesla_envelope_answer(&out, txid, topic, refusal) && buf_len(&out) == n && memcmp(buf_data(&out), want, n) == 0, name);
	buf_release(&out);
}

static void
test_samples(void)
{
	static const char *const bad[] = {"bad_truncated", "bad_text", "bad_root_offset", "bad_vtable_offset", "bad_protobuf_payload"};
	const FedRecord *r;
	char		bytes[8];

	if (sample("ack_of_v", bytes, sizeof(bytes)) == 0)
	{
		ok(true, "# SKIP samples of tesla are not there");
		printf("#| tesla no samples here\n");
		return;
	}
	is_str(take_sample("v_strings_old_firmware"), "", "v_strings_old_firmware");
	r = &feed.records[0];
	ok(feed.nrecords == 1 && near(r->latitude, 37.412374) && near(r->longitude, -122.145867) &&
	   near(r->speed_kmh, 63.4 * 1.609344) && r->event_time_us == INT64_C(1767225600250000), "place, speed, time");
	is_str(text(0, "shift_state"), "D", "gear");
	ok(near(number(0, "brake_pedal_pos"), 1.1920928955078125e-05), "a small number as text");
	is_str(text(0, "vehicle_name"), "Depot \303\251 7", "a name");
	is_str(take_sample("v_typed_all_kinds"), "", "v_typed_all_kinds");
	r = &feed.records[0];
	ok(feed.nrecords == 1 && near(r->latitude, -33.856784) && near(r->longitude, 151.215297) && near(r->heading_deg, 359.9) &&
	   near(r->speed_kmh, 63.5 * 1.609344) && r->event_time_us == INT64_C(1767225601000000), "place, motion, time");
	ok(near(number(0, "odometer_km"), 12345.678 * 1.609344), "odometer");
	is_str(text(0, "gps_valid"), "true", "boolean");
	is_str(text(0, "shift_state"), "D", "gear");
	is_str(text(0, "sentry_mode"), "Armed", "sentry");
	is_str(text(0, "charge_state"), "Charging", "charge state");
	is_str(text(0, "door_driver_open"), "true", "door");
	is_str(text(0, "trunk_open"), "true", "trunk");
	is_str(text(0, "door_passenger_open"), "false", "another door");
	is_str(text(0, "tpms_hard_warnings_rear_left"), "true", "tire");
	is_str(text(0, "scheduled_charging_start_time"), "06:30:00", "time of day");
	is_int(number(0, "seat_heater_left"), 3, "whole number");
	ok(number(0, "battery_percent") == 0, "zero is a value");
	is_str(text(0, "expected_energy_percent_at_trip_arrival_invalid"), "true", "invalid");
	is_int(number(0, "media_now_playing_duration"), -1, "negative");
	is_str(take_sample("v_resend_with_spoofed_vin"), "", "v_resend_with_spoofed_vin");
	is_str(feed.records[0].device, "car-1", "the body's identity is ignored");
	is_str(text(0, "locked"), "false", "locked");
	is_int(number(0, "charge_limit_percent"), 80, "limit");
	is_str(text(0, "is_resend"), "true", "resend");
	is_str(take_sample("v_unknown_field_and_value_tag"), "", "v_unknown_field_and_value_tag");
	ok(near(number(0, "battery_percent"), 55.5), "the rest is read");
	is_str(take_sample("alerts_three"), "", "alerts_three");
	is_int(feed.nrecords, 3, "three records");
	is_str(text(0, "alarm"), "VCFRONT_a192_exampleActive", "name");
	is_str(text(0, "alarm_audiences"), "customer,service", "audiences");
	is_str(text(0, "alarm_active"), "true", "active");
	is_str(text(1, "alarm_active"), "false", "ended");
	ok(feed.nrecords == 3 && feed.records[0].event_time_us == INT64_C(1767225000000000) &&
	   feed.records[1].event_time_us == INT64_C(1767224600500000) &&
	   feed.records[2].event_time_us == INT64_C(1767225000337000), "times, milliseconds among them");
	is_str(take_sample("errors_one"), "", "errors_one");
	is_str(text(0, "error_name"), "example_error", "name");
	is_str(text(0, "error_body"), "example body", "body");
	is_str(text(0, "error_tag_component"), "tcu", "tag");
	is_str(take_sample("connectivity_connected"), "", "connectivity_connected");
	is_str(text(0, "connected"), "true", "connected");
	is_str(text(0, "network_interface"), "cellular", "network");
	is_str(feed.records[0].device, "car-1", "the body's identity is ignored");
	is_str(take_sample("metrics_one"), "", "metrics_one");
	ok(near(number(0, "metric_example_metric"), 1.5), "metric");
	is_str(text(0, "metric_example_metric_a"), "b", "tag");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		ok(take_sample(bad[i])[0] != '\0', bad[i]);
		is_int(feed.nrecords, 0, "no record");
	}
	is_str(take_sample("bad_union_type_9"), "", "bad_union_type_9 is an envelope");
	is_int(envelope.type, 9, "of an unknown type");
	test_answer("ack_of_v", (Str) {"78ae54a5-000000001", 18}, (Str) {"V", 1}, NULL);
	test_answer("error_answer", (Str) {"78ae54a5-000000009", 18}, (Str) {"", 0}, "incorrect message format");
	count_sample(false);
	printf("#| tesla %d samples, %d passed\n", samples, samples_passed);
	feed_end(&feed);
}

int
main(void)
{
	test_data();
	test_samples();
	test_envelope();
	buf_trim();
	return tap_done();
}
