/*
 * test_osmand.c
 *	  Reports of phones: queries, forms, documents, made by hand; and captured
 *	  requests from $FLEET_SHARED/frames or ../shared/frames when they are there.
 */
#include <json-c/json.h>
#include <math.h>
#include <stdlib.h>

#include "http_head.h"
#include "osmand_decode.h"
#include "tap.h"
#include "time_parse.h"

#define NOW_US INT64_C(1800000549000000)
#define TIME_US INT64_C(1700000000000000)

typedef struct Got
{
	int			n;
	char		device[64];
	char		defect[64];
	Record	   *record;			/* the last */
} Got;

static Record record;
static Got got;

static void
on_record(void *arg, const Record *r)
{
	(void) arg;
	got.n++;
	got.record = &record;
	snprintf(got.device, sizeof(got.device), "%.*s", (int) r->device.len, r->device.data);
	snprintf(got.defect, sizeof(got.defect), "%.*s", (int) r->defect.len, r->defect.len ? r->defect.data : "");
}

static const OsmandSink sink = {on_record, NULL, &record, NOW_US};

/* In a block of its own, so that ASan sees what looks beyond. */
static OsmandResult
take(const char *query, const char *form, bool json)
{
	size_t		nquery = strlen(query);
	size_t		nform = strlen(form);
	char	   *a = malloc(nquery + 1);
	char	   *b = malloc(nform + 1);
	OsmandResult result;

	if (a == NULL || b == NULL)
		abort();
	a = realloc(a, nquery ? nquery : 1);
	b = realloc(b, nform ? nform : 1);
	memcpy(a, query, nquery);
	memcpy(b, form, nform);
	memset(&got, 0, sizeof(got));
	result = json ? osmand_json((Str) {b, (uint32_t) nform}, &sink) :
		osmand_form((Str) {a, (uint32_t) nquery}, (Str) {b, (uint32_t) nform}, &sink);
	free(a);
	free(b);
	return result;
}

static const RecordSignal *
find(const char *name)
{
	for (uint32_t i = record.nsignals; got.n > 0 && i > 0; i--)
		if (record.signals[i - 1].name.len == strlen(name) &&
			memcmp(record.signals[i - 1].name.data, name, strlen(name)) == 0)
			return &record.signals[i - 1];
	return NULL;
}

static double
number(const char *name)
{
	const RecordSignal *signal = find(name);

	return signal != NULL && signal->kind == RECORD_NUMBER ? signal->number : NAN;
}

static const char *
text(const char *name)
{
	static char copy[256];
	const RecordSignal *signal = find(name);

	if (signal == NULL)
		return "";
	if (signal->kind != RECORD_TEXT)
		return signal->kind == RECORD_NUMBER ? "number" : signal->boolean ? "true" : "false";
	snprintf(copy, sizeof(copy), "%.*s", (int) signal->text.len, signal->text.data);
	return copy;
}

static bool
near(double a, double b)
{
	return fabs(a - b) < 1e-5;
}

static void
test_form(void)
{
	is_int(take("id=7&timestamp=1700000000&lat=50.1105&lon=-8.6821&speed=10&bearing=245&altitude=112.5&hdop=0.9&accuracy=4&batt=87&charge=true", "", false),
		   OSMAND_OK, "query: taken");
	is_str(got.device, "7", "query: device");
	ok(record.has_event_time && record.event_time_us == TIME_US, "query: seconds");
	ok(near(record.latitude, 50.1105) && near(record.longitude, -8.6821), "query: place");
	ok(near(record.speed_kmh, 18.52) && record.heading_deg == 245 && record.altitude_m == 112.5 && record.accuracy_m == 4,
	   "query: motion, knots are km/h");
	ok(near(number("hdop"), 0.9) && number("tracker_battery_percent") == 87, "query: numbers");
	is_str(text("tracker_charging"), "true", "query: a boolean");

	is_int(take("", "deviceid=a%20b&timestamp=1700000000500&location=50.5,8.5&heading=-1&note=x+y%2Bz&1w=5&cell=1,2&cell=3,4", false), OSMAND_OK, "form: taken");
	is_str(got.device, "a b", "form: escapes");
	ok(record.event_time_us == TIME_US + 500000, "form: milliseconds");
	ok(near(record.latitude, 50.5) && isnan(record.heading_deg), "form: location; a heading below 0 is none");
	is_str(text("note"), "x y+z", "form: other keys are signals");
	ok(number("io_1w") == 5, "form: a key that begins with a digit");
	is_str(text("cell"), "1,2;3,4", "form: a repeated key");

	is_int(take("id=7", "timestamp=2023-11-14T22:13:20Z&lat=1&lon=2", false), OSMAND_OK, "query and form are read as one");
	ok(record.event_time_us == TIME_US && record.longitude == 2, "query and form: ISO time");
	(void) !take("id=7&lat=1&lon=2", "", false);
	ok(record.event_time_us == NOW_US, "no timestamp: that of receipt");
	(void) !take("id=7&lat=1&lon=2&valid=0&timestamp=1700000000", "", false);
	ok(isnan(record.latitude), "not valid: no place");

	is_int(take("timestamp=1&lat=1&lon=2", "", false), OSMAND_NO_DEVICE, "no id");
	is_int(take("", "", false), OSMAND_NO_DEVICE, "nothing");
	is_int(take("id=&lat=1", "", false), OSMAND_NO_DEVICE, "an empty id");
	is_int(take("id=%ff%fe&lat=1", "", false), OSMAND_NO_DEVICE, "an id that is no UTF-8");
	is_int(take("id=%00", "", false), OSMAND_NO_DEVICE, "an id of a zero byte");
	(void) !take("id=7&lat=north&lon=2", "", false);
	is_str(got.defect, "malformed:latitude", "a latitude that is no number");
	ok(record.raw.len > 0 && isnan(record.longitude), "... is kept as it came");
	(void) !take("id=7&lat=1", "", false);
	is_str(got.defect, "malformed:longitude", "half a place");
	(void) !take("id=7&timestamp=yesterday", "", false);
	is_str(got.defect, "malformed:event_time", "no time");
	(void) !take("id=7&timestamp=2023-11-15T00:13:20+02:00&lat=5.0E-4&lon=-1.25e1&speed=1.0E1&location=", "", false);
	ok(record.event_time_us == TIME_US, "a zone whose plus was not escaped");
	ok(near(record.latitude, 0.0005) && near(record.longitude, -12.5) && near(record.speed_kmh, 18.52), "numbers with exponents");
	(void) !take("id=7&location=1.5,2.5,30", "", false);
	ok(near(record.latitude, 1.5) && near(record.longitude, 2.5) && got.defect[0] == '\0', "more than two coordinates");
	(void) !take("id=7&lat=1&lon=2&speed=NaN&bearing=null&altitude=high&accuracy=-&ignition=1&sos=2&batt=87%25&fuel_percent=300&hdop=500", "", false);
	ok(near(record.latitude, 1) && got.defect[0] == '\0', "values that are none do not cost the place");
	ok(isnan(record.speed_kmh) && find("speed_raw") == NULL && isnan(record.heading_deg), "no value is none");
	is_str(text("altitude_raw"), "high", "what is no number is kept");
	is_str(text("ignition"), "true", "1 for a boolean");
	ok(number("sos_raw") == 2 && number("fuel_percent_raw") == 300 && number("hdop_raw") == 500, "what cannot be is kept under another name");
	is_str(text("tracker_battery_percent_raw"), "87%", "... as is a text for a number");
	(void) !take("id=7&lat=1&lon=2&speed=900&altitude=30000&note=1M8GDM9AXKP042788", "", false);
	ok(near(record.latitude, 1) && isnan(record.speed_kmh) && number("altitude_m_raw") == 30000 && find("note") == NULL,
	   "too fast, too high; no VIN");
	{
		char		many[5000] = "id=7&lat=1&lon=2";

		for (size_t n = strlen(many); n < sizeof(many) - 12; n += 12)
			memcpy(many + n, "&wifi=a-b-cd", 13);
		is_int(take(many, "", false), OSMAND_OK, "more access points than there is room for");
		ok(near(record.latitude, 1), "do not cost the place");
	}
	(void) !take("id=7&lat=null&lon=null&batt=5", "", false);
	ok(isnan(record.latitude) && got.defect[0] == '\0', "no place");
	is_int(take("id=7&&=&%&%4&a=%zz&lat", "", false), OSMAND_OK, "broken pairs are left out");
	is_str(got.defect, "", "broken pairs do no harm");
}

static void
test_json(void)
{
	is_int(take("", "{\"device_id\":7,\"location\":{\"timestamp\":\"2023-11-14T22:13:20.5Z\",\"coords\":{\"latitude\":50.5,\"longitude\":8.5,"
				"\"speed\":10,\"heading\":-1,\"accuracy\":4,\"speed_accuracy\":0.5},\"battery\":{\"level\":0.5,\"is_charging\":true},"
				"\"is_moving\":true,\"odometer\":1500,\"event\":\"motionchange\",\"activity\":{\"type\":\"still\"},\"extras\":{\"a b\":1,\"c\":null,\"d\":\"e\"}}}", true),
		   OSMAND_OK, "document: taken");
	is_str(got.device, "7", "document: a number for a device");
	ok(record.event_time_us == TIME_US + 500000, "document: time");
	ok(near(record.latitude, 50.5) && near(record.speed_kmh, 36) && isnan(record.heading_deg), "document: place and motion");
	ok(number("tracker_battery_percent") == 50 && number("odometer_km") == 1.5, "document: level and odometer");
	is_str(text("movement"), "true", "document: moves");
	is_str(text("event_type"), "motionchange", "document: event");
	ok(number("a_b") == 1 && near(number("speed_accuracy"), 0.5), "document: extras and other coordinates");
	is_str(text("d"), "e", "document: text");
	(void) !take("", "{\"device_id\":\"x\",\"location\":[{\"timestamp\":1700000000,\"coords\":{}},{\"timestamp\":1700000000000}]}", true);
	is_int(got.n, 2, "document: an array of locations");
	ok(record.event_time_us == TIME_US, "document: numbers for times");
	(void) !take("", "{\"device_id\":\"x\",\"location\":{\"coords\":{\"latitude\":\"1.5\",\"longitude\":2.5,\"speed\":200},"
				 "\"geofence\":{\"identifier\":\"home\",\"action\":\"ENTER\",\"more\":{}},\"odometer\":9e12}}", true);
	ok(near(record.latitude, 1.5) && isnan(record.speed_kmh) && number("speed_kmh_raw") == 720 && number("odometer_km_raw") == 9e9,
	   "document: values that cannot be");
	is_str(text("geofence_action"), "ENTER", "document: an object inside");
	(void) !take("", "{\"device_id\":\"x\",\"location\":{\"alarm\":\"sos\",\"extras\":{\"alarm\":\"mine\",\"event_type\":\"mine\"},\"event\":\"motionchange\"}}", true);
	ok(strcmp(text("alarm"), "sos") == 0 && strcmp(text("event_type"), "motionchange") == 0, "document: extras do not outdo it");
	is_int(take("", "{\"location\":{}}", true), OSMAND_NO_DEVICE, "document: no device");
	is_int(take("", "{\"device_id\":{}}", true), OSMAND_NO_DEVICE, "document: an object for a device");
	is_int(take("", "{\"device_id\":", true), OSMAND_MALFORMED, "document: cut short");
	is_int(take("", "[]", true), OSMAND_MALFORMED, "document: an array");
	(void) !take("", "{\"device_id\":\"x\",\"location\":1}", true);
	is_str(got.defect, "malformed:location", "document: a location that is none");
}

/* --- captured requests --- */

static size_t
unescape(const char *from, char *out)
{
	size_t		n = 0;

	for (; *from != '\0'; from++)
	{
		if (from[0] == '\\' && from[1] != '\0')
		{
			from++;
			out[n++] = *from == 'r' ? '\r' : *from == 'n' ? '\n' : *from == 't' ? '\t' : *from;
		}
		else
			out[n++] = *from;
	}
	return n;
}

static const char *
check(char **column, const HttpHead *head, const char *body, size_t len)
{
	struct json_object *other = json_tokener_parse(column[9]);
	struct json_object *id = NULL;
	bool		placed = column[6][0] != '\0';
	OsmandResult result;
	int64_t		us;
	const char *wrong = NULL;

	memset(&got, 0, sizeof(got));
	if (len > 0 && body[0] == '{')
		result = osmand_json((Str) {body, (uint32_t) len}, &sink);
	else
		result = osmand_form((Str) {head->query, (uint32_t) head->query_len}, (Str) {body, (uint32_t) len}, &sink);
	if (result != OSMAND_OK || got.n != 1 || got.defect[0] != '\0')
		wrong = "not taken";
	else if (json_object_object_get_ex(other, "id", &id) && strcmp(json_object_get_string(id), got.device) != 0)
		wrong = "device";
	else if (column[5][0] != '\0' && (!time_parse(column[5], strlen(column[5]), 0, &us) || us != record.event_time_us))
		wrong = "time";
	else if (placed ? !near(record.latitude, atof(column[6])) || !near(record.longitude, atof(column[7])) : !isnan(record.latitude))
		wrong = "place";
	else if (json_object_object_get_ex(other, "battery_level", &id) && !near(number("tracker_battery_percent"), json_object_get_double(id)))
		wrong = "battery";
	else if (json_object_object_get_ex(other, "speed_mps", &id) && !near(record.speed_kmh, 3.6 * json_object_get_double(id)))
		wrong = "speed";
	json_object_put(other);
	return wrong;
}

static void
test_captured(void)
{
	const char *shared = getenv("FLEET_SHARED");
	char		path[4096];
	char	   *line = NULL;
	size_t		size = 0;
	int			vectors = 0;
	int			passed = 0;
	FILE	   *file;

	snprintf(path, sizeof(path), "%s/frames/osmand.tsv", shared ? shared : "../shared");
	file = fopen(path, "r");
	if (file == NULL)
	{
		tap_tests++;
		printf("ok %d - captured requests # SKIP no captured frames here\n", tap_tests);
		return;
	}
	(void) !getline(&line, &size, file);
	while (getline(&line, &size, file) > 0)
	{
		char	   *column[11] = {0};
		char	   *at = line;
		char		frame[16384];
		size_t		len;
		size_t		n;
		HttpHead	head;
		const char *why = "cannot be read";

		line[strcspn(line, "\n")] = '\0';
		for (int i = 0; i < 11 && at != NULL; i++)
			column[i] = strsep(&at, "\t");
		if (column[9] == NULL || strlen(column[4]) >= sizeof(frame))
			continue;
		len = unescape(column[4], frame);
		n = http_head_length(frame, len);
		vectors++;
		if (n > 0 && http_head_parse(frame, n, &head, &why) == 0)
			why = check(column, &head, frame + n, len - n);
		passed += why == NULL;
		ok(why == NULL, column[0]);
		if (why != NULL)
			printf("#| %s: %s\n", column[0], why);
	}
	printf("#| osmand %d vectors, %d passed\n", vectors, passed);
	free(line);
	fclose(file);
}

int
main(void)
{
	test_form();
	test_json();
	test_captured();
	return tap_done();
}
