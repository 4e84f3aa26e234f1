/*
 * fuzz_json.c
 *	  Differential fuzzing: whatever the scanner decides must be what json-c's
 *	  tree gives, under the default mapping and under one that uses every
 *	  feature; and whatever comes out must be fit for the extension.
 */
#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_decode.h"
#include "json_doc.h"
#include "json_scan.h"
#include "time_parse.h"

static const char vendor[] =
"{\"id\": [\"unit\", {\"path\": \"u\", \"enumeration\": {\"1\": \"one\", \"*\": \"many\", \"true\": null}}],"
" \"event_time\": [{\"path\": \"ts\", \"unit\": \"ms\"}, {\"path\": \"at\", \"time_zone\": \"+02:00\"}],"
" \"latitude\": \"pos.0\", \"longitude\": \"pos.1\","
" \"speed_kmh\": {\"path\": \"v\", \"scale\": 1.609344, \"number_in_text\": true},"
" \"schema_version\": {\"path\": [\"a.b\", \"c\"], \"number_in_text\": true},"
" \"charging\": {\"path\": \"st\", \"enumeration\": {\"on\": true, \"off\": false, \"0\": 7, \"x\": null}},"
" \"battery_percent\": {\"path\": \"soc\", \"unit\": \"fraction\"},"
" \"error_codes\": \"e.list\", \"others\": \"%s\"}";

static Mapping *mappings[3];
static Record scanned;
static Record parsed;

static Mapping *
vendor_mapping(const char *others)
{
	char		text[sizeof(vendor) + 16];
	char		err[256];
	struct json_object *object;
	Mapping    *mapping;

	snprintf(text, sizeof(text), vendor, others);
	object = json_tokener_parse(text);
	mapping = mapping_from_json("vendor", object, err, sizeof(err));
	json_object_put(object);
	if (mapping == NULL)
	{
		fprintf(stderr, "%s\n", err);
		abort();
	}
	return mapping;
}

static void
fail(const char *what)
{
	fprintf(stderr, "mismatch: %s\n", what);
	abort();
}

static void
same_text(Str a, Str b, const char *what)
{
	if (a.len != b.len || (a.len > 0 && memcmp(a.data, b.data, a.len) != 0))
	{
		fprintf(stderr, "\"%.*s\" against \"%.*s\"\n", (int) a.len, a.data, (int) b.len, b.data);
		fail(what);
	}
}

static void
same_number(double a, double b, const char *what)
{
	/* bit by bit, but for NaN */
	if (isnan(a) && isnan(b))
		return;
	if (memcmp(&a, &b, sizeof(a)) != 0)
	{
		fprintf(stderr, "%.17g against %.17g\n", a, b);
		fail(what);
	}
}

static void
same(const Record *a, const Record *b)
{
	same_text(a->defect, b->defect, "defect");
	same_text(a->device, b->device, "device");
	if (a->received_at_us != b->received_at_us || a->has_event_time != b->has_event_time || a->event_time_us != b->event_time_us)
		fail("event_time");
	same_number(a->latitude, b->latitude, "latitude");
	same_number(a->longitude, b->longitude, "longitude");
	same_number(a->altitude_m, b->altitude_m, "altitude_m");
	same_number(a->accuracy_m, b->accuracy_m, "accuracy_m");
	same_number(a->speed_kmh, b->speed_kmh, "speed_kmh");
	same_number(a->heading_deg, b->heading_deg, "heading_deg");
	if (a->schema_version != b->schema_version)
		fail("schema_version");
	if (a->nsignals != b->nsignals)
		fail("number of signals");
	for (uint32_t i = 0; i < a->nsignals; i++)
	{
		const RecordSignal *x = &a->signals[i];
		const RecordSignal *y = &b->signals[i];

		same_text(x->name, y->name, "a signal's name");
		if (x->kind != y->kind)
			fail("a signal's kind");
		if (x->kind == RECORD_BOOLEAN && x->boolean != y->boolean)
			fail("a boolean");
		if (x->kind == RECORD_NUMBER)
			same_number(x->number, y->number, "a number");
		if (x->kind == RECORD_TEXT)
			same_text(x->text, y->text, "a text");
	}
}

/* What the extension would refuse must not get that far. */
static void
fit(const Record *r)
{
	if (r->device.len > RECORD_DEVICE_MAX || r->nsignals > RECORD_MAX_SIGNALS)
		fail("limits");
	if (!json_utf8_valid(r->device.data, r->device.len) ||
		!json_utf8_valid(r->defect.data, r->defect.len))
		fail("UTF-8");
	if (r->has_event_time && (r->event_time_us < TIME_MIN_US || r->event_time_us >= TIME_END_US))
		fail("range of event_time");
	for (uint32_t i = 0; i < r->nsignals; i++)
	{
		const RecordSignal *s = &r->signals[i];

		if (s->name.len == 0 || s->name.len > RECORD_NAME_MAX || (unsigned char) (*s->name.data - '0') <= 9)
			fail("length of a name");
		for (uint32_t k = 0; k < s->name.len; k++)
			if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_",
					   s->name.data[k]) == NULL || s->name.data[k] == '\0')
				fail("letters of a name");
		if (s->kind == RECORD_NUMBER && !isfinite(s->number))
			fail("a number that is not finite");
		if (s->kind == RECORD_TEXT && (s->text.len > RECORD_TEXT_MAX ||
									   !json_utf8_valid(s->text.data, s->text.len) ||
									   (s->text.len > 0 &&
										memchr(s->text.data, '\0', s->text.len) != NULL)))
			fail("a text");
	}
}

int			LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int
LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	const char *text = (const char *) data;
	int64_t		us;

	if (mappings[0] == NULL)
	{
		mappings[0] = mapping_default();
		mappings[1] = vendor_mapping("keep");
		mappings[2] = vendor_mapping("drop");
	}
	for (int i = 0; i < 3; i++)
	{
		record_reset(&parsed);
		json_doc_decode(mappings[i], text, size, &parsed);
		fit(&parsed);
		record_reset(&scanned);
		if (json_scan(mappings[i], text, size, &scanned) == SCAN_DONE)
			same(&scanned, &parsed);
	}
	(void) !time_parse(text, size, 0, &us);
	return 0;
}
