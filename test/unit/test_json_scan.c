/*
 * test_json_scan.c
 *	  Documents to records: the scanner and json-c give the same, each says what
 *	  it should, and the usual ones are decided by the scanner alone.
 */
#include <json-c/json.h>
#include <math.h>
#include <stdlib.h>

#include "json_decode.h"
#include "json_doc.h"
#include "json_scan.h"
#include "tap.h"

static Mapping *mapping;
static Record record;
static char shown[65536];

static size_t
show_number(size_t n, const char *name, double value)
{
	if (isnan(value))
		return n;
	return n + (size_t) snprintf(shown + n, sizeof(shown) - n, " %s=%.17g", name, value);
}

/* The record as one line: device @microseconds columns signals !defect. */
static const char *
show(const Record *r)
{
	size_t		n = 0;

	n += (size_t) snprintf(shown + n, sizeof(shown) - n, "%.*s", (int) r->device.len, r->device.data);
	if (r->has_event_time)
		n += (size_t) snprintf(shown + n, sizeof(shown) - n, " @%lld", (long long) r->event_time_us);
	if (r->received_at_us != 0)
		n += (size_t) snprintf(shown + n, sizeof(shown) - n, " received@%lld", (long long) r->received_at_us);
	n = show_number(n, "lat", r->latitude);
	n = show_number(n, "lon", r->longitude);
	n = show_number(n, "alt", r->altitude_m);
	n = show_number(n, "acc", r->accuracy_m);
	n = show_number(n, "speed", r->speed_kmh);
	n = show_number(n, "heading", r->heading_deg);
	if (r->schema_version != 0)
		n = show_number(n, "schema", r->schema_version);
	for (uint32_t i = 0; i < r->nsignals && i < 40; i++)
	{
		const RecordSignal *s = &r->signals[i];

		n += (size_t) snprintf(shown + n, sizeof(shown) - n, " %.*s:", (int) s->name.len, s->name.data);
		if (s->kind == RECORD_BOOLEAN)
			n += (size_t) snprintf(shown + n, sizeof(shown) - n, "%s", s->boolean ? "true" : "false");
		else if (s->kind == RECORD_NUMBER)
			n += (size_t) snprintf(shown + n, sizeof(shown) - n, "%.17g", s->number);
		else
			n += (size_t) snprintf(shown + n, sizeof(shown) - n, "'%.*s'", (int) s->text.len, s->text.data);
	}
	if (r->defect.len > 0)
		n += (size_t) snprintf(shown + n, sizeof(shown) - n, " !%.*s", (int) r->defect.len, r->defect.data);
	return shown;
}

/* A copy without a byte to spare, so that reading beyond it is noticed. */
static char *
exact(const char *text, size_t len)
{
	char	   *copy = malloc(len ? len : 1);

	memcpy(copy, text, len);
	return copy;
}

static ScanResult
both(const char *text, size_t len, const char *want)
{
	char	   *copy = exact(text, len);
	ScanResult	result;

	record_reset(&record);
	json_doc_decode(mapping, copy, len, &record);
	is_str(show(&record), want, "json-c");
	record_reset(&record);
	result = json_scan(mapping, copy, len, &record);
	if (result == SCAN_DONE)
		is_str(show(&record), want, "... and the scanner");
	json_decode(mapping, copy, len, &record);
	is_str(show(&record), want, "... and both together");
	ok(record.defect.len == 0 || (record.raw.data == copy && record.raw.len == len),
	   "... with the text when it is malformed");
	free(copy);
	return result;
}

/* A document that the scanner must be able to decide. */
static void
usual(const char *text, const char *want)
{
	ok(both(text, strlen(text), want) == SCAN_DONE, "... which is usual");
}

/* One that is for json-c. */
static void
unusual(const char *text, const char *want)
{
	ok(both(text, strlen(text), want) == SCAN_UNUSUAL, "... which is unusual");
}

static const char reference[] =
"{\"vehicle_id\":12345,\"timestamp\":\"2025-01-15T14:32:18.123Z\",\"location\":{\"lat\":50.1105,\"lon\":8.6821,"
"\"altitude\":112.5,\"accuracy\":5.2},\"battery\":{\"percent\":68,\"voltage\":48.2,\"current\":3.5,"
"\"temperature\":32.1,\"charging\":false},\"motion\":{\"speed_kmh\":18.5,\"heading\":245,"
"\"acceleration\":{\"x\":0.2,\"y\":-0.1,\"z\":9.8}},\"vehicle_status\":{\"locked\":false,\"in_use\":true,"
"\"trip_id\":\"a1b2c3d4-e5f6-7890-abcd-ef1234567890\"},\"diagnostics\":{\"odometer_km\":2458,"
"\"error_codes\":[],\"last_maintenance_km\":2100}}";

static const char reference_record[] =
"12345 @1736951538123000 lat=50.110500000000002 lon=8.6821000000000002 alt=112.5 acc=5.2000000000000002"
" speed=18.5 heading=245 battery_percent:68 battery_voltage_v:48.200000000000003 battery_current_a:3.5"
" battery_temp_c:32.100000000000001 charging:false acceleration_x_ms2:0.20000000000000001"
" acceleration_y_ms2:-0.10000000000000001 acceleration_z_ms2:9.8000000000000007 locked:false in_use:true"
" trip_id:'a1b2c3d4-e5f6-7890-abcd-ef1234567890' odometer_km:2458 error_codes:'' last_maintenance_km:2100";

static void
test_documents(void)
{
	/* 1. The reference document, flat names, everything else */
	usual(reference, reference_record);
	usual(" {\n\t\"device\" : \"bus 7\" ,\r\n \"event_time\":1736951538.25,\"latitude\":-0.5,\"longitude\":1e1,\"altitude_m\":-3,"
		  "\"accuracy_m\":0,\"speed_kmh\":12E-1,\"heading_deg\":359.99,\"schema_version\":2,\"received_at\":\"2025-01-15T14:32:20Z\"} \n",
		  "bus 7 @1736951538250000 received@1736951540000000 lat=-0.5 lon=10 alt=-3 acc=0 speed=1.2 heading=359.99000000000001 schema=2");
	usual("{\"device\":\"d\",\"event_time\":1736951538123,\"fuel_percent\":55,\"on\":true,\"driver\":\"J\303\266rg\",\"none\":null}",
		  "d @1736951538123000 fuel_percent:55 on:true driver:'J\303\266rg'");
	usual("{}", "");
	usual("{\"device\":null,\"event_time\":null,\"location\":null,\"battery\":{}}", "");

	/* 2. Names of what nobody knows */
	usual("{\"a\":{\"b\":{\"c-d\":1,\"\303\244\":2,\"9\":3}},\"9lives\":9,\"\":0,\"battery\":{\"cycles\":7}}",
		  " a_b_c_d:1 a_b__:2 a_b_9:3 _9lives:9 _:0 battery_cycles:7");
	usual("{\"location\":5,\"motion\":[1,2]}", " location:5 motion:'1,2'");
	usual("{\"n23456789012345678901234567890123456789012345678901234567890123\":1}",
		  " n23456789012345678901234567890123456789012345678901234567890123:1");
	usual("{\"n23456789012345678901234567890123456789012345678901234567890\":{\"abcd\":1},\"device\":\"d\"}", "d !malformed");

	/* 3. Arrays */
	usual("{\"diagnostics\":{\"error_codes\":[\"P0301\",7,1.50,true,null]}}", " error_codes:'P0301,7,1.50,true,null'");
	unusual("{\"a\":[1,{\"b\":2,\"c\":[3,4]},[5]]}", " a_0:1 a_1_b:2 a_1_c:'3,4' a_2:'5'");
	unusual("{\"diagnostics\":{\"error_codes\":[[1]]}}", " diagnostics_error_codes_0:'1'");
	unusual("{\"vehicle_status\":{\"trip_id\":{\"a\":1}}}", " vehicle_status_trip_id_a:1");

	/* 4. Devices */
	usual("{\"vehicle_id\":12345678901234567890}", "12345678901234567890");
	usual("{\"vehicle_id\":-0}", "0");
	usual("{\"vehicle_id\":1.50e3}", "1500");
	usual("{\"vehicle_id\":-12.50e-3}", "-0.01250");
	usual("{\"vehicle_id\":0.00e1}", "0.0");
	usual("{\"device\":\"\"}", "");
	usual("{\"vehicle_id\":true}", " !malformed:device");
	unusual("{\"vehicle_id\":[1]}", " !malformed:device");
	unusual("{\"vehicle_id\":{\"a\":1}}", " !malformed:device");
	usual("{\"vehicle_id\":1e2000}", " !malformed:device");

	/* 5. Wrong types: the first one is told, the rest is still read */
	usual("{\"device\":\"d\",\"location\":{\"lat\":\"50\",\"lon\":true},\"speed_kmh\":3}", "d speed=3 !malformed:latitude");
	usual("{\"timestamp\":\"yesterday\"}", " !malformed:event_time");
	usual("{\"timestamp\":true}", " !malformed:event_time");
	usual("{\"timestamp\":1e300}", " !malformed:event_time");
	usual("{\"timestamp\":-1.5}", " @-1500000");
	usual("{\"timestamp\":99999999999}", " @99999999999000000");
	usual("{\"timestamp\":100000000000}", " @100000000000000");
	usual("{\"schema_version\":1.5}", " !malformed:schema_version");
	usual("{\"schema_version\":0}", " !unknown_schema:schema_version");
	usual("{\"schema_version\":-3}", " schema=-3");
	usual("{\"latitude\":1e400}", " lat=inf");
	usual("{\"x\":1e400}", " !malformed:x");

	/* 6. What is unusual */
	unusual("{\"device\":\"a\\u00e9\\n\\ud83d\\ude00\"}", "a\303\251\n\360\237\230\200");
	unusual("{\"dev\\u0069ce\":\"a\"}", "a");
	unusual("{\"a\":1,\"a\":2}", " a:2");
	unusual("{\"device\":\"a\",\"x\":{\"y\":1},\"device\":\"b\",\"x\":{\"z\":2}}", "b x_z:2");
	usual("{\"x\":{\"y\":1},\"z\":{\"y\":1}}", " x_y:1 z_y:1");
}

static void
test_refused(void)
{
	static const char *const texts[] = {
		"", " ", "5", "\"a\"", "null", "[]", "[{}]", "{", "}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{,}", "{\"a\":1 \"b\":2}",
		"{\"a\":1}}", "{\"a\":1} x", "{} {}", "{a:1}", "{'a':1}", "{\"a\":'b'}", "{\"a\":01}", "{\"a\":-01}", "{\"a\":+1}", "{\"a\":.5}",
		"{\"a\":5.}", "{\"a\":1e}", "{\"a\":1e+}", "{\"a\":-}", "{\"a\":0x10}", "{\"a\":NaN}", "{\"a\":Infinity}", "{\"a\":-Infinity}",
		"{\"a\":True}", "{\"a\":nul}", "{\"a\":nullx}", "{\"a\":tru", "/**/{}", "{}//", "{\"a\":\"\t\"}", "{\"a\":\"\n\"}", "{\"a\":\"\\x\"}",
		"{\"a\":\"\\u12\"}", "{\"a\":\"\\u12g4\"}", "{\"a\":\"\\", "{\"a\":\"", "{\"a\":\"\\u0000\"}", "{\"\\u0000\":1}", "{\"a\":\"\\ud800\"}",
		"{\"a\":\"\\udc00\"}", "{\"a\":\"\\ud800\\u0041\"}", "{\"a\":\"\\ud800x\"}", "{\"a\":\"\200\"}", "{\"a\":\"\300\200\"}",
		"{\"a\":\"\355\240\200\"}", "{\"a\":\"\364\220\200\200\"}", "{\"a\":\"\370\210\200\200\200\"}", "{\"a\":\"\303\"}", "{\"\377\":1}",
		"\357\273\277{}", "{\"a\":[1,]}", "{\"a\":[,1]}", "{\"a\":[1 2]}", "{\"a\":[}", "{\"a\":[1}", "\v{}"
	};
	char		deep[200];
	char		bytes[] = "{\"a\":\"\0\"}";

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		unusual(texts[i], " !malformed");
	ok(both(bytes, sizeof(bytes) - 1, " !malformed") == SCAN_UNUSUAL, "a NUL");
	ok(both("{}\0", 3, " !malformed") == SCAN_UNUSUAL, "a NUL behind");

	/* 32 levels are allowed, 33 are not. */
	for (int levels = 32; levels <= 33; levels++)
	{
		size_t		n = 0;

		for (int i = 0; i < levels - 1; i++)
			n += (size_t) sprintf(deep + n, "{\"\":");
		n += (size_t) sprintf(deep + n, "[]");
		memset(deep + n, '}', (size_t) levels - 1);
		deep[n + (size_t) levels - 1] = '\0';
		json_decode(mapping, deep, strlen(deep), &record);
		if (levels == 32)
			ok(record.nsignals == 1 && record.defect.len == 0, "32 levels");
		else
			is_str(show(&record), " !malformed", "33 levels");
	}
}

/* Every number the scanner reads is the one the C library reads. */
static void
test_numbers(void)
{
	static const char *const odd[] = {
		"0", "-0", "0.0", "1", "9007199254740991", "9007199254740992", "9007199254740993", "0.1", "1e22", "1e23", "123456789012345678",
		"12345678901234567890", "1.7976931348623157e308", "2.2250738585072014e-308", "4.9e-324", "1e-400", "9007199254740993e-22",
		"179769313486231580793728971405301e276", "0.000000000000000000000000000000001", "100000000000000000000000", "0.30000000000000004",
		"5e-324", "8.5", "1.0000000000000002", "9223372036854775807", "9223372036854775808", "-9223372036854775809", "18446744073709551616"
	};
	char		number[64];
	char		text[128];
	bool		same = true;

	srand(11);
	for (int i = 0; i < 200000 && same; i++)
	{
		double		want;

		if (i < (int) (sizeof(odd) / sizeof(odd[0])))
			strcpy(number, odd[i]);
		else
			snprintf(number, sizeof(number), "%s%d%.*s%s", rand() % 2 ? "-" : "", rand() % 1000,
					 rand() % 12, ".12345678901", rand() % 4 ? "" : (const char *[])
			{"e5", "E-7", "e+19", "e-24"}[rand() % 4]);
		if (number[strlen(number) - 1] == '.')
			continue;
		want = strtod(number, NULL) + 0.0;
		snprintf(text, sizeof(text), "{\"a\":%s}", number);
		record_reset(&record);
		if (json_scan(mapping, text, strlen(text), &record) != SCAN_DONE || record.nsignals != 1 ||
			memcmp(&record.signals[0].number, &want, sizeof(want)) != 0)
		{
			same = strstr(number, ".e") != NULL || strstr(number, ".E") != NULL;
			if (!same)
				printf("# %s: %.17g, want %.17g\n", number, record.signals[0].number, want);
		}
	}
	ok(same, "numbers are exact");
}

static void
test_limits(void)
{
	static char text[400000];
	size_t		n;

	/* Signals: as many as the extension takes, and one more. */
	for (int count = RECORD_MAX_SIGNALS; count <= RECORD_MAX_SIGNALS + 1; count++)
	{
		n = (size_t) sprintf(text, "{");
		for (int i = 0; i < count; i++)
			n += (size_t) sprintf(text + n, "\"s%d\":%d,", i, i);
		n += (size_t) sprintf(text + n, "\"device\":\"d\"}");
		json_decode(mapping, text, n, &record);
		is_int(record.nsignals, RECORD_MAX_SIGNALS, "as many signals as fit");
		ok(record.device.len == 1, "... and the device");
		ok(record.defect.len == (count > RECORD_MAX_SIGNALS ? strlen("malformed") : 0), "... a defect when there are more");
	}

	/* Text: a byte too long. */
	for (int length = RECORD_TEXT_MAX; length <= RECORD_TEXT_MAX + 1; length++)
		for (int escaped = 0; escaped <= 1; escaped++)
		{
			n = (size_t) sprintf(text, "{\"x\":\"%s%0*d\"}", escaped ? "\\n" : "1", length - 1, 0);
			json_decode(mapping, text, n, &record);
			is_int(record.nsignals, length == RECORD_TEXT_MAX, "length of a text");
			is_int(record.defect.len, length == RECORD_TEXT_MAX ? 0 : strlen("malformed:x"), "... and its defect");
		}

	/* An array that gets too long, and one that is just as long as it may be. */
	for (int count = 1365; count <= 1366; count++)
	{
		n = (size_t) sprintf(text, "{\"x\":[");
		for (int i = 0; i < count; i++)
			n += (size_t) sprintf(text + n, "%s10", i ? "," : "");
		n += (size_t) sprintf(text + n, "]}");
		json_decode(mapping, text, n, &record);
		is_int(record.nsignals, count == 1365, "length of an array's text");
	}

	/* All signals together. */
	for (int escaped = 0; escaped <= 1; escaped++)
	{
		n = (size_t) sprintf(text, "{\"device\":\"d\"");
		for (int i = 0; i < 20; i++)
			n += (size_t) sprintf(text + n, ",\"t%d\":\"%s%0*d\"", i, escaped ? "\\n" : "1", 3999, 0);
		n += (size_t) sprintf(text + n, "}");
		json_decode(mapping, text, n, &record);
		is_int(record.nsignals, RECORD_SIGNALS_SIZE / 4007, "bytes of all signals");
		ok(record.defect.len == strlen("malformed:t14") && memcmp(record.defect.data, "malformed:t14", 13) == 0,
		   "... and the first that did not fit");
	}

	/* A device's identity. */
	for (int length = RECORD_DEVICE_MAX; length <= RECORD_DEVICE_MAX + 1; length++)
	{
		n = (size_t) sprintf(text, "{\"device\":\"%0*d\"}", length, 0);
		json_decode(mapping, text, n, &record);
		is_int(record.device.len, length == RECORD_DEVICE_MAX ? length : 0, "length of a device's identity");
		n = (size_t) sprintf(text, "{\"device\":1%0*d}", length - 1, 0);
		json_decode(mapping, text, n, &record);
		is_int(record.device.len, length == RECORD_DEVICE_MAX ? length : 0, "... as a number");
	}
}

/* Every beginning of the reference document, and every byte of it changed. */
static void
test_damage(void)
{
	size_t		len = sizeof(reference) - 1;
	char		copy[sizeof(reference)];
	bool		malformed = true;
	bool		same = true;
	static Record other;

	for (size_t n = 0; n < len; n++)
	{
		char	   *begin = exact(reference, n);

		json_decode(mapping, begin, n, &record);
		malformed &= record.defect.len == strlen("malformed") && record.raw.len == n;
		free(begin);
	}
	ok(malformed, "cut short anywhere, the reference document is malformed");

	for (size_t i = 0; i < len; i++)
		for (int c = 0; c < 256; c += i % 7 + 1)
		{
			char		was[sizeof(shown)];

			memcpy(copy, reference, len);
			copy[i] = (char) c;
			record_reset(&record);
			if (json_scan(mapping, copy, len, &record) != SCAN_DONE)
				continue;
			strcpy(was, show(&record));
			record_reset(&other);
			json_doc_decode(mapping, copy, len, &other);
			same &= strcmp(was, show(&other)) == 0;
		}
	ok(same, "with any byte changed, the scanner and json-c agree");
}

int
main(void)
{
	mapping = mapping_default();
	test_documents();
	test_refused();
	test_numbers();
	test_limits();
	test_damage();
	mapping_free(mapping);
	return tap_done();
}
