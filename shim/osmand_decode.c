/*
 * osmand_decode.c
 *	  Queries, forms and documents of phones to records.
 */
#include "osmand_decode.h"

#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "json_value.h"
#include "plausible.h"
#include "time_parse.h"
#include "tracker_text.h"

#define KNOT_KMH 1.852
#define SECONDS_BELOW 1e11		/* a larger timestamp is in milliseconds */
#define RAW_MAX 65536
#define NUMBER_MAX 40			/* characters of one with an exponent */

/* --- values --- */

static void
malformed(Record *r, const char *field)
{
	record_set_defect(r, "malformed", (Str) {field, (uint32_t) strlen(field)});
}

static Str
copy(Record *r, Str text)
{
	char	   *to = record_scratch(r, text.len > 0 ? text.len : 1);

	if (to == NULL)
		return (Str) {NULL, 0};
	if (text.len > 0)
		memcpy(to, text.data, text.len);
	return (Str) {to, text.len};
}

/* A decimal number, with an exponent where a phone writes one ("-5.0E-4"). */
static bool
parse_number(Str text, double *value)
{
	char		copy[NUMBER_MAX + 1];
	char	   *end;
	double		number;

	if (tracker_number(text, value))
		return true;
	if (text.len == 0 || text.len > NUMBER_MAX)
		return false;
	memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	if (strspn(copy, "0123456789+-.eE") != text.len)
		return false;
	number = strtod(copy, &end);
	if (*end != '\0' || !isfinite(number))
		return false;
	*value = number;
	return true;
}

/* What programs write that have no value. */
static bool
is_nothing(Str text)
{
	static const char *const words[] = {"NaN", "nan", "null", "undefined", "Infinity", "-Infinity"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (tracker_equals(text, words[i]))
			return true;
	return text.len == 0;
}

/* A name as a signal can have it. */
static Str
name_of(Record *r, Str name)
{
	char	   *to = record_scratch(r, RECORD_NAME_MAX);
	size_t		n = 0;

	if (to == NULL || name.len == 0)
		return (Str) {NULL, 0};
	if (name.data[0] >= '0' && name.data[0] <= '9')
	{
		memcpy(to, "io_", 3);
		n = 3;
	}
	for (uint32_t i = 0; i < name.len && n < RECORD_NAME_MAX; i++)
	{
		char		c = name.data[i];

		to[n++] = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ? c : '_';
	}
	record_scratch_trim(r, to, n);
	return (Str) {to, (uint32_t) n};
}

/* A signal beyond the limits of a record is not there; nothing else depends on it. */
static void
put_text(Record *r, Str name, Str text)
{
	Str			kept = {NULL, 0};

	if (text.len > 0 && name.len > 0 && buf_valid_utf8(text.data, text.len))
		kept = copy(r, text);
	if (kept.data != NULL)
		(void) !record_add_text(r, name, kept);
}

static void
put_number(Record *r, Str name, double value)
{
	if (name.len > 0)
		(void) !record_add_number(r, name, value);
}

static void
put_boolean(Record *r, Str name, bool value)
{
	if (name.len > 0)
		(void) !record_add_boolean(r, name, value);
}

static void
put_value(Record *r, Str name, Str text)
{
	double		number;

	if (parse_number(text, &number))
		put_number(r, name, number);
	else if (tracker_equals(text, "true") || tracker_equals(text, "false"))
		put_boolean(r, name, text.len == 4);
	else
		put_text(r, name, text);
}

static void
put_timestamp(Record *r, Str text)
{
	double		number;

	if (tracker_number(text, &number))
	{
		double		us = number < SECONDS_BELOW ? number * 1e6 : number * 1e3;

		r->has_event_time = number > 0 && us < (double) TIME_END_US;
		if (r->has_event_time)
			r->event_time_us = (int64_t) llround(us);
	}
	else
	{
		/* A "+" before the zone that was not escaped has become a space. */
		char	   *to = record_scratch(r, text.len);
		char	   *space;

		if (to != NULL && memchr(text.data, 'T', text.len) != NULL)
		{
			memcpy(to, text.data, text.len);
			space = memchr(to, ' ', text.len);
			if (space != NULL)
				*space = '+';
			text.data = to;
		}
		r->has_event_time = time_parse(text.data, text.len, 0, &r->event_time_us) &&
			r->event_time_us >= TIME_MIN_US && r->event_time_us < TIME_END_US;
	}
	if (!r->has_event_time)
		malformed(r, "event_time");
}

/* Without it there is no place. */
static void
read_angle(Record *r, Str text, const char *field, double *value)
{
	if (!parse_number(text, value) && !is_nothing(text))
		malformed(r, field);
}

/* What is no number is kept as it came: the place does not depend on it. */
static void
read_number(Record *r, Str text, const char *raw, double *value)
{
	if (!parse_number(text, value) && !is_nothing(text))
		put_text(r, (Str) {raw, (uint32_t) strlen(raw)}, text);
}

static void
begin(const OsmandSink *sink, Str device)
{
	Record	   *r = sink->record;

	record_reset(r);
	r->received_at_us = sink->now_us;
	r->device = copy(r, device);
	/* Unless it tells one: the protocol leaves it to the receiver then. */
	r->has_event_time = true;
	r->event_time_us = sink->now_us;
}

static void
finish(const OsmandSink *sink, Str raw)
{
	Record	   *r = sink->record;

	if (isnan(r->latitude) != isnan(r->longitude))
		malformed(r, isnan(r->latitude) ? "latitude" : "longitude");
	plausible(r);
	if (r->defect.len > 0)
	{
		r->latitude = r->longitude = NAN;
		if (raw.len > RAW_MAX)
			raw.len = RAW_MAX;
		r->raw = raw;
	}
	sink->emit(sink->arg, r);
}

static bool
is_device(Str id)
{
	return id.len > 0 && id.len <= 128 && buf_valid_utf8(id.data, id.len);
}

/* --- queries and forms --- */

static int
nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Into the record's scratch; false when there is no room, or an escape is none. */
static bool
unescape(Record *r, Str *text)
{
	char	   *to = record_scratch(r, text->len > 0 ? text->len : 1);
	size_t		n = 0;

	if (to == NULL)
		return false;
	for (uint32_t i = 0; i < text->len; i++)
	{
		char		c = text->data[i];

		if (c == '+')
			c = ' ';
		else if (c == '%')
		{
			if (text->len - i < 3 || nibble(text->data[i + 1]) < 0 || nibble(text->data[i + 2]) < 0)
				return false;
			c = (char) (nibble(text->data[i + 1]) * 16 + nibble(text->data[i + 2]));
			i += 2;
		}
		to[n++] = c;
	}
	record_scratch_trim(r, to, n);
	*text = (Str) {to, (uint32_t) n};
	return true;
}

static bool
next_pair(Record *r, Str *rest, Str *name, Str *value, bool *good)
{
	Str			pair;

	if (!tracker_field(rest, '&', &pair))
		return false;
	(void) !tracker_field(&pair, '=', name);
	*value = pair.data != NULL ? pair : (Str) {"", 0};
	*good = name->len > 0 && unescape(r, name) && unescape(r, value);
	return true;
}

/* "60.0,30.0", and perhaps more */
static void
put_location(Record *r, Str text)
{
	Str			latitude;
	Str			longitude = {"", 0};

	(void) !tracker_field(&text, ',', &latitude);
	(void) !tracker_field(&text, ',', &longitude);
	read_angle(r, latitude, "latitude", &r->latitude);
	read_angle(r, longitude, "longitude", &r->longitude);
}

/* Repeated keys: all of them, between semicolons. */
static void
put_joined(Record *r, Str name, Str value)
{
	for (uint32_t i = r->nsignals; i > 0; i--)
	{
		Str			before = r->signals[i - 1].text;
		char	   *to;

		if (r->signals[i - 1].kind != RECORD_TEXT || r->signals[i - 1].name.len != name.len ||
			memcmp(r->signals[i - 1].name.data, name.data, name.len) != 0)
			continue;
		to = record_scratch(r, before.len + value.len + 1u);
		if (to == NULL)
			return;
		memcpy(to, before.data, before.len);
		to[before.len] = ';';
		memcpy(to + before.len + 1, value.data, value.len);
		put_text(r, name, (Str) {to, before.len + value.len + 1});
		return;
	}
	put_text(r, name, value);
}

static void
put_pair(Record *r, Str name, Str value, bool *valid)
{
	double		number = NAN;

	if (value.len == 0 || tracker_equals(name, "id") || tracker_equals(name, "deviceid"))
		return;
	if (tracker_equals(name, "timestamp"))
		put_timestamp(r, value);
	else if (tracker_equals(name, "lat"))
		read_angle(r, value, "latitude", &r->latitude);
	else if (tracker_equals(name, "lon"))
		read_angle(r, value, "longitude", &r->longitude);
	else if (tracker_equals(name, "location"))
		put_location(r, value);
	else if (tracker_equals(name, "valid"))
		*valid = tracker_equals(value, "1") || (value.len == 4 && strncasecmp(value.data, "true", 4) == 0);
	else if (tracker_equals(name, "speed"))
	{
		read_number(r, value, "speed_raw", &number);
		if (number >= 0)
			r->speed_kmh = number * KNOT_KMH;
	}
	else if (tracker_equals(name, "bearing") || tracker_equals(name, "heading"))
	{
		read_number(r, value, "heading_raw", &number);
		if (number >= 0)
			r->heading_deg = number;
	}
	else if (tracker_equals(name, "altitude"))
		read_number(r, value, "altitude_raw", &r->altitude_m);
	else if (tracker_equals(name, "accuracy"))
		read_number(r, value, "accuracy_raw", &r->accuracy_m);
	else if (tracker_equals(name, "batt"))
		put_value(r, RECORD_STR("tracker_battery_percent"), value);
	else if (tracker_equals(name, "charge"))
		put_value(r, RECORD_STR("tracker_charging"), value);
	else if (tracker_equals(name, "driverUniqueId"))
		put_text(r, RECORD_STR("driver_id"), value);
	else if (tracker_equals(name, "alarm"))
		put_text(r, RECORD_STR("alarm"), value);
	else if (tracker_equals(name, "cell"))
		put_joined(r, RECORD_STR("cell"), value);
	else if (tracker_equals(name, "wifi"))
		put_joined(r, RECORD_STR("wifi"), value);
	else
		put_value(r, name_of(r, name), value);
}

/* The first id there is. */
static bool
find_device(Record *r, const Str *texts, Str *device)
{
	*device = (Str) {NULL, 0};
	record_reset(r);
	for (int i = 0; i < 2; i++)
	{
		Str			rest = texts[i];
		Str			name;
		Str			value;
		bool		good;

		while (device->len == 0 && rest.len > 0 && next_pair(r, &rest, &name, &value, &good))
			if (good && (tracker_equals(name, "id") || tracker_equals(name, "deviceid")))
				*device = value;
	}
	return is_device(*device);
}

OsmandResult
osmand_form(Str query, Str form, const OsmandSink *sink)
{
	Record	   *r = sink->record;
	Str			texts[2] = {query, form};
	Str			device;
	char		id[128];
	bool		valid = true;

	if (!find_device(r, texts, &device))
		return OSMAND_NO_DEVICE;
	memcpy(id, device.data, device.len);
	begin(sink, (Str) {id, device.len});
	for (int i = 0; i < 2; i++)
	{
		Str			rest = texts[i];
		Str			name;
		Str			value;
		bool		good;

		while (rest.len > 0 && next_pair(r, &rest, &name, &value, &good))
			if (good)
				put_pair(r, name, value, &valid);
	}
	if (!valid)
		r->latitude = r->longitude = NAN;
	finish(sink, form.len > 0 ? form : query);
	return OSMAND_OK;
}

/* --- documents --- */

static struct json_object *
member(struct json_object *object, const char *name)
{
	struct json_object *value;

	return json_object_is_type(object, json_type_object) &&
		json_object_object_get_ex(object, name, &value) ? value : NULL;
}

static Str
text_of(struct json_object *value)
{
	if (!json_object_is_type(value, json_type_string))
		return (Str) {"", 0};
	return (Str) {json_object_get_string(value), (uint32_t) json_object_get_string_len(value)};
}

static bool
number_of(struct json_object *value, double *number)
{
	if (!json_object_is_type(value, json_type_int) && !json_object_is_type(value, json_type_double))
		return false;
	*number = json_object_get_double(value);
	return isfinite(*number);
}

/* Also a text that is one. */
static bool
coordinate_of(struct json_object *value, double *number)
{
	return number_of(value, number) || parse_number(text_of(value), number);
}

/* A scalar, or those of an object, under both names. */
static void
put_scalar(Record *r, const char *prefix, const char *key, struct json_object *value)
{
	char		full[2 * RECORD_NAME_MAX];
	Str			name;
	double		number;

	if (prefix == NULL && json_object_is_type(value, json_type_object))
	{
		json_object_object_foreach(value, inner, inside)
			put_scalar(r, key, inner, inside);
		return;
	}
	snprintf(full, sizeof(full), "%s%s%s", prefix != NULL ? prefix : "", prefix != NULL ? "_" : "", key);
	name = name_of(r, (Str) {full, (uint32_t) strlen(full)});
	if (json_object_is_type(value, json_type_boolean))
		put_boolean(r, name, json_object_get_boolean(value));
	else if (number_of(value, &number))
		put_number(r, name, number);
	else
		put_text(r, name, text_of(value));
}

static bool
is_among(const char *key, const char *const *names)
{
	for (; *names != NULL; names++)
		if (strcmp(key, *names) == 0)
			return true;
	return false;
}

static void
put_coordinates(Record *r, struct json_object *coords)
{
	static const char *const known[] = {
		"latitude", "longitude", "accuracy", "speed", "heading", "altitude", NULL
	};
	double		number;

	if (coords == NULL)
		return;
	if (coordinate_of(member(coords, "latitude"), &number))
		r->latitude = number;
	if (coordinate_of(member(coords, "longitude"), &number))
		r->longitude = number;
	if (coordinate_of(member(coords, "accuracy"), &number) && number >= 0)
		r->accuracy_m = number;
	if (coordinate_of(member(coords, "speed"), &number) && number >= 0)
		r->speed_kmh = number * 3.6;
	if (coordinate_of(member(coords, "heading"), &number) && number >= 0)
		r->heading_deg = number;
	if (coordinate_of(member(coords, "altitude"), &number))
		r->altitude_m = number;
	if (json_object_is_type(coords, json_type_object))
	{
		json_object_object_foreach(coords, key, value)
			if (!is_among(key, known))
				put_scalar(r, NULL, key, value);
	}
}

static void
put_place(Record *r, struct json_object *location)
{
	static const char *const known[] = {
		"timestamp", "coords", "battery", "is_moving", "odometer", "event", "activity", "extras", "uuid", "_", NULL
	};
	struct json_object *stamp = member(location, "timestamp");
	struct json_object *battery = member(location, "battery");
	struct json_object *extras = member(location, "extras");
	double		number;

	if (number_of(stamp, &number))
	{
		Str			text = {json_object_get_string(stamp), 0};

		text.len = (uint32_t) strlen(text.data);
		put_timestamp(r, text);
	}
	else if (stamp != NULL)
		put_timestamp(r, text_of(stamp));
	put_coordinates(r, member(location, "coords"));
	if (number_of(member(battery, "level"), &number) && number >= 0 && number <= 1)
		put_number(r, RECORD_STR("tracker_battery_percent"), number * 100);
	if (json_object_is_type(member(battery, "is_charging"), json_type_boolean))
		put_boolean(r, RECORD_STR("tracker_charging"), json_object_get_boolean(member(battery, "is_charging")));
	if (json_object_is_type(member(location, "is_moving"), json_type_boolean))
		put_boolean(r, RECORD_STR("movement"), json_object_get_boolean(member(location, "is_moving")));
	if (number_of(member(location, "odometer"), &number) && number >= 0)
		put_number(r, RECORD_STR("odometer_km"), number / 1000);
	/* First: what the app says itself counts more than what its user added. */
	if (json_object_is_type(extras, json_type_object))
	{
		json_object_object_foreach(extras, extra, what)
			put_scalar(r, NULL, extra, what);
	}
	put_text(r, RECORD_STR("event_type"), text_of(member(location, "event")));
	put_text(r, RECORD_STR("activity"), text_of(member(member(location, "activity"), "type")));
	json_object_object_foreach(location, key, value)
		if (!is_among(key, known))
			put_scalar(r, NULL, key, value);
}

static OsmandResult
put_document(struct json_object *document, Str raw, const OsmandSink *sink)
{
	struct json_object *device = member(document, "device_id");
	struct json_object *location = member(document, "location");
	Str			id = text_of(device);
	bool		several = json_object_is_type(location, json_type_array);
	size_t		n = several ? json_object_array_length(location) : 1;

	if (json_object_is_type(device, json_type_int))
	{
		id.data = json_object_get_string(device);
		id.len = (uint32_t) strlen(id.data);
	}
	if (!is_device(id))
		return OSMAND_NO_DEVICE;
	for (size_t i = 0; i < n; i++)
	{
		struct json_object *one = several ? json_object_array_get_idx(location, i) : location;

		begin(sink, id);
		if (json_object_is_type(one, json_type_object))
			put_place(sink->record, one);
		else
			malformed(sink->record, "location");
		finish(sink, raw);
	}
	return OSMAND_OK;
}

OsmandResult
osmand_json(Str text, const OsmandSink *sink)
{
	size_t		long_integers;
	struct json_tokener *tokener;
	struct json_object *document;
	OsmandResult result;

	if (!json_check(text.data, text.len, &long_integers) || text.len > INT32_MAX)
		return OSMAND_MALFORMED;
	tokener = json_tokener_new_ex(64);
	if (tokener == NULL)
		return OSMAND_MALFORMED;
	document = json_tokener_parse_ex(tokener, text.data, (int) text.len);
	json_tokener_free(tokener);
	result = json_object_is_type(document, json_type_object) ? put_document(document, text, sink) : OSMAND_MALFORMED;
	json_object_put(document);
	return result;
}
