/*
 * test_mapping.c
 *	  Mappings of the configuration: what they give, what is refused and why.
 */
#include <json-c/json.h>
#include <math.h>
#include <stdlib.h>

#include "json_decode.h"
#include "json_doc.h"
#include "json_scan.h"
#include "mapping_tree.h"
#include "tap.h"

static Record record;
static Record other;
static char err[256];

static Mapping *
make(const char *definition)
{
	struct json_object *object = json_tokener_parse(definition);
	Mapping    *mapping;

	if (object == NULL)
		printf("# not JSON: %s\n", definition);
	err[0] = '\0';
	mapping = mapping_from_json("acme", object, err, sizeof(err));
	json_object_put(object);
	return mapping;
}

static void
refused(const char *definition, const char *want)
{
	Mapping    *mapping = make(definition);

	ok(mapping == NULL, definition);
	is_str(err, want, "... because");
	mapping_free(mapping);
}

/* Into record; and json-c must say the same. */
static void
decode(const Mapping *mapping, const char *text)
{
	bool		same;

	json_decode(mapping, text, strlen(text), &record);
	record_reset(&other);
	json_doc_decode(mapping, text, strlen(text), &other);
	same = record.nsignals == other.nsignals && record.device.len == other.device.len &&
		record.event_time_us == other.event_time_us && record.defect.len == other.defect.len;
	for (uint32_t i = 0; same && i < record.nsignals; i++)
		same = record.signals[i].kind == other.signals[i].kind &&
			record.signals[i].name.len == other.signals[i].name.len;
	ok(same, text);
}

static const char *
text_of(Str s)
{
	static char copies[4][256];
	static int	next;
	char	   *copy = copies[next++ % 4];

	snprintf(copy, sizeof(copies[0]), "%.*s", (int) s.len, s.data);
	return copy;
}

/* The last signal of that name. */
static const RecordSignal *
signal_of(const char *name)
{
	static const RecordSignal none;

	for (uint32_t i = record.nsignals; i > 0; i--)
	{
		const RecordSignal *s = &record.signals[i - 1];

		if (s->name.len == strlen(name) && memcmp(s->name.data, name, s->name.len) == 0)
			return s;
	}
	return &none;
}

static void
is_num(double got, double want, const char *name)
{
	if (!ok(fabs(got - want) < 1e-9, name))
		printf("# got %.17g, want %.17g\n", got, want);
}

/* The vendor of the documentation. */
static void
test_vendor(void)
{
	Mapping    *mapping = make("{ \"id\": \"unit\", \"event_time\": {\"path\": \"ts\", \"unit\": \"ms\"}, \"latitude\": \"pos.0\","
							   " \"longitude\": \"pos.1\", \"speed_kmh\": {\"path\": \"v_mph\", \"scale\": 1.609344}, \"battery_percent\": \"soc\" }");

	ok(mapping != NULL, "the vendor's mapping");
	decode(mapping, "{\"unit\":\"A-7\",\"ts\":1736951538123,\"pos\":[50.1105,8.6821,112],\"v_mph\":10,\"soc\":68,\"alarm\":{\"code\":3},\"altitude_m\":9}");
	is_str(text_of(record.device), "A-7", "device");
	is_int(record.event_time_us, INT64_C(1736951538123000), "event_time in ms");
	is_num(record.latitude, 50.1105, "latitude from an array");
	is_num(record.longitude, 8.6821, "longitude");
	is_num(record.speed_kmh, 16.09344, "speed, scaled");
	is_num(signal_of("battery_percent")->number, 68, "a signal");
	is_num(signal_of("pos_2")->number, 112, "the rest of the array is kept");
	is_num(signal_of("alarm_code")->number, 3, "other members are kept");
	is_num(record.altitude_m, 9, "a column that the mapping leaves out has its flat name");
	is_int(record.nsignals, 3, "nothing else");
	is_int(record.defect.len, 0, "no defect");

	/* The mapping takes these from elsewhere, so here they are members like any other. */
	decode(mapping, "{\"unit\":1,\"ts\":\"2025-01-15T14:32:18Z\",\"device\":\"model X\",\"latitude\":1,\"vehicle_id\":2}");
	is_str(text_of(record.device), "1", "the device is what the mapping says");
	ok(isnan(record.latitude), "so is the latitude");
	is_str(text_of(signal_of("device")->text), "model X", "the member is kept as a signal");
	is_int(record.event_time_us, INT64_C(1736951538000000), "a time as text is a time");

	decode(mapping, "{\"unit\":1,\"ts\":1,\"pos\":\"50,8\"}");
	is_str(text_of(signal_of("pos")->text), "50,8", "a scalar where an array was expected");
	decode(mapping, "{\"unit\":1,\"ts\":1,\"v_mph\":\"fast\"}");
	is_str(text_of(record.defect), "malformed:speed_kmh", "text cannot be scaled");
	decode(mapping, "{\"unit\":1,\"ts\":1,\"pos\":[[1],{\"a\":2}]}");
	is_str(text_of(record.defect), "malformed:latitude", "an array is no latitude");
	mapping_free(mapping);
}

static void
test_conversions(void)
{
	Mapping    *mapping = make("{\"device\": {\"path\": \"d\", \"enumeration\": {\"1\": \"one\", \"2\": 2.50, \"*\": \"many\"}},"
							   " \"event_time\": [{\"path\": \"local\", \"time_zone\": \"+02:00\"}, {\"path\": \"s\", \"unit\": \"s\"}, {\"path\": \"us\", \"unit\": \"us\"}],"
							   " \"charging\": {\"path\": \"st\", \"enumeration\": {\"on\": true, \"off\": false, \"true\": true, \"7\": null}},"
							   " \"speed_kmh\": {\"path\": \"kn\", \"unit\": \"kn\"}, \"battery_temp_c\": {\"path\": \"f\", \"unit\": \"degF\"},"
							   " \"latitude\": {\"path\": \"lat\", \"number_in_text\": true}, \"fuel_percent\": {\"path\": \"fuel\", \"scale\": 0.5, \"offset\": -1},"
							   " \"gear\": {\"path\": [\"a.b\", \"\", \"c\"]}, \"codes\": [\"codes\", \"err.codes\"], \"others\": \"drop\"}");

	printf("# %s\n", err);
	ok(mapping != NULL, "a mapping with everything");
	decode(mapping, "{\"d\":1,\"local\":\"2025-01-15 16:32:18\",\"st\":\"on\",\"kn\":10,\"f\":212,\"lat\":\"-50.5e0\",\"fuel\":50,\"a.b\":{\"\":{\"c\":4}},\"codes\":[1,2],\"x\":1,\"y\":{\"z\":[1]}}");
	is_str(text_of(record.device), "one", "an enumeration for the device");
	is_int(record.event_time_us, INT64_C(1736951538000000), "a local time");
	ok(signal_of("charging")->kind == RECORD_BOOLEAN && signal_of("charging")->boolean, "text to boolean");
	is_num(record.speed_kmh, 18.52, "knots");
	is_num(signal_of("battery_temp_c")->number, 100, "Fahrenheit");
	is_num(record.latitude, -50.5, "a number in text");
	is_num(signal_of("fuel_percent")->number, 24, "scale and offset");
	is_num(signal_of("gear")->number, 4, "members with points in their names, and without a name");
	is_str(text_of(signal_of("codes")->text), "1,2", "an array");
	is_int(record.nsignals, 5, "the others are dropped");

	decode(mapping, "{\"d\":2,\"s\":1736951538.5,\"st\":true,\"err\":{\"codes\":\"E\"},\"lat\":\"north\"}");
	is_str(text_of(record.device), "2.50", "a number of an enumeration");
	is_int(record.event_time_us, INT64_C(1736951538500000), "seconds");
	ok(signal_of("charging")->boolean, "boolean by its name");
	is_str(text_of(signal_of("codes")->text), "E", "another place");
	is_str(text_of(record.defect), "malformed:latitude", "text that holds no number");

	decode(mapping, "{\"d\":3,\"us\":1736951538123456,\"st\":7,\"lat\":\"0x10\"}");
	is_str(text_of(record.device), "many", "any other value");
	is_int(record.event_time_us, INT64_C(1736951538123456), "microseconds");
	is_int(signal_of("charging")->kind, 0, "a value that means nothing");
	is_str(text_of(record.defect), "malformed:latitude", "hexadecimal is no JSON number");
	decode(mapping, "{\"d\":3,\"st\":8}");
	is_str(text_of(record.defect), "malformed:charging", "a value that the enumeration has not");
	decode(mapping, "{\"d\":[1],\"st\":{\"a\":1}}");
	is_str(text_of(record.defect), "malformed:device", "an array for an enumeration");
	mapping_free(mapping);
}

static void
test_refused(void)
{
	char		text[40000];
	size_t		n;

	refused("[]", "mapping \"acme\": must be an object");
	refused("{\"latitude\": 5}", "mapping \"acme\", \"latitude\": must be a path or an object with \"path\"");
	refused("{\"latitude\": \"\"}", "mapping \"acme\", \"latitude\": a path is text such as \"a.b.0\", up to 32 segments, none empty");
	refused("{\"latitude\": \"a..b\"}", "mapping \"acme\", \"latitude\": a path is text such as \"a.b.0\", up to 32 segments, none empty");
	refused("{\"latitude\": {\"path\": []}}", "mapping \"acme\", \"latitude\": a path is text such as \"a.b.0\", up to 32 segments, none empty");
	refused("{\"latitude\": []}", "mapping \"acme\", \"latitude\": has no path");
	refused("{\"latitude\": {}}", "mapping \"acme\", \"latitude\": \"path\" is missing");
	refused("{\"latitude\": {\"path\": \"a\", \"scael\": 1}}", "mapping \"acme\", \"latitude\": unknown member \"scael\"");
	refused("{\"latitude\": {\"path\": \"a\", \"scale\": \"1\"}}", "mapping \"acme\", \"latitude\": \"scale\" must be a number");
	refused("{\"latitude\": {\"path\": \"a\", \"unit\": \"parsec\"}}", "mapping \"acme\", \"latitude\": unit \"parsec\" is not known; give \"scale\" and \"offset\"");
	refused("{\"event_time\": {\"path\": \"a\", \"unit\": \"km\"}}", "mapping \"acme\", \"event_time\": unit \"km\" is not one of s, ms, us");
	refused("{\"event_time\": {\"path\": \"a\", \"scale\": 2}}", "mapping \"acme\", \"event_time\": cannot be scaled");
	refused("{\"event_time\": {\"path\": \"a\", \"time_zone\": \"Europe/Berlin\"}}", "mapping \"acme\", \"event_time\": \"time_zone\" must be \"UTC\" or an offset such as \"+02:00\"");
	refused("{\"speed_kmh\": {\"path\": \"a\", \"time_zone\": \"UTC\"}}", "mapping \"acme\", \"speed_kmh\": \"time_zone\" belongs to a time");
	refused("{\"speed_kmh\": {\"path\": \"a\", \"unit\": \"mph\", \"offset\": 1}}", "mapping \"acme\", \"speed_kmh\": \"unit\" cannot be combined with \"scale\" and \"offset\"");
	refused("{\"x\": {\"path\": \"a\", \"enumeration\": {}}}", "mapping \"acme\", \"x\": \"enumeration\" must be an object that is not empty");
	refused("{\"x\": {\"path\": \"a\", \"enumeration\": {\"a\": []}}}", "mapping \"acme\", \"x\": an enumeration's values are text, numbers, booleans or null");
	refused("{\"x\": \"a\", \"y\": \"a\"}", "mapping \"acme\", \"y\": another target has the same path");
	refused("{\"9x\": \"a\"}", "mapping \"acme\", \"9x\": not a name: letters, digits and _, no digit first, up to 63");
	refused("{\"a-b\": \"a\"}", "mapping \"acme\", \"a-b\": not a name: letters, digits and _, no digit first, up to 63");
	refused("{\"others\": \"ignore\"}", "mapping \"acme\", \"others\": must be \"keep\" or \"drop\"");
	refused("{\"others\": \"drop\", \"device\": \"d\"}", "mapping \"acme\": \"others\" is \"drop\", so device and event_time need a path");

	/* More places than there may be. */
	n = (size_t) sprintf(text, "{");
	for (int i = 0; i < MAPPING_NODES_MAX; i++)
		n += (size_t) sprintf(text + n, "%s\"s%d\": \"p%d\"", i ? "," : "", i, i);
	sprintf(text + n, "}");
	ok(make(text) == NULL, "too many places");
	is_str(err, "mapping \"acme\", \"s1023\": the mapping has more than 1023 places", "... because");
}

/* A mapping of many members finds each of them. */
static void
test_many(void)
{
	char		text[40000];
	size_t		n = (size_t) sprintf(text, "{");
	Mapping    *mapping;
	bool		all = true;

	for (int i = 0; i < 500; i++)
		n += (size_t) sprintf(text + n, "%s\"t%d\": \"m%d.a_rather_long_name_of_a_member_%d\"", i ? "," : "", i, i % 25, i);
	sprintf(text + n, "}");
	mapping = make(text);
	ok(mapping != NULL, "a mapping with 500 targets");
	for (int i = 0; i < 500; i++)
	{
		char		name[16];
		size_t		len = (size_t) sprintf(text, "{\"m%d\":{\"a_rather_long_name_of_a_member_%d\":%d,\"a_rather_long_name_of_a_memBer_%d\":1}}", i % 25, i, i, i);

		sprintf(name, "t%d", i);
		json_decode(mapping, text, len, &record);
		all &= record.nsignals == 2 && signal_of(name)->number == i;
	}
	ok(all, "each is found");
	mapping_free(mapping);
}

int
main(void)
{
	Mapping    *empty = make("{}");

	test_vendor();
	test_conversions();
	test_refused();
	test_many();

	ok(empty != NULL, "an empty mapping is the flat form");
	decode(empty, "{\"device\":\"d\",\"event_time\":1,\"vehicle_id\":2}");
	is_num(signal_of("vehicle_id")->number, 2, "... without the reference document's names");
	mapping_free(empty);
	return tap_done();
}
