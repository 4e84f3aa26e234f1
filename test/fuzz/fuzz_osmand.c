/*
 * fuzz_osmand.c
 *	  Reports of phones.  The first byte says whether the rest is a form or a
 *	  document.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "buf.h"
#include "osmand_decode.h"

static Record record;

static void
fail(const char *what)
{
	fprintf(stderr, "failed: %s\n", what);
	abort();
}

static void
on_record(void *arg, const Record *r)
{
	(void) arg;
	if (r->device.len == 0 || !buf_valid_utf8(r->device.data, r->device.len))
		fail("device");
	if (isnan(r->latitude) != isnan(r->longitude))
		fail("half a location");
	if ((r->defect.len > 0 || !r->has_event_time) && r->raw.len == 0)
		fail("nothing to quarantine");
	for (uint32_t i = 0; i < r->nsignals; i++)
	{
		const RecordSignal *s = &r->signals[i];

		if (s->name.len == 0 || s->name.len > RECORD_NAME_MAX)
			fail("a name");
		if (s->kind == RECORD_NUMBER && !isfinite(s->number))
			fail("a number");
		if (s->kind == RECORD_TEXT && !buf_valid_utf8(s->text.data, s->text.len))
			fail("a text");
	}
}

int			LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int
LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	const OsmandSink sink = {on_record, NULL, &record, INT64_C(1800000549000000)};
	Str			text = {(const char *) data + 1, (uint32_t) size - 1};

	if (size == 0)
		return 0;
	if (*data == 'j')
		(void) !osmand_json(text, &sink);
	else
		(void) !osmand_form(text, (Str) {"", 0}, &sink);
	return 0;
}
