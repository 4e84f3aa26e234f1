/*
 * json_decode.c
 *	  One JSON document to a record: the scanner when it can, else json-c.
 */
#include "json_decode.h"

#include "json_doc.h"
#include "json_scan.h"

void
json_decode(const Mapping *mapping, const char *text, size_t len, Record *out)
{
	record_reset(out);
	if (json_scan(mapping, text, len, out) != SCAN_DONE)
	{
		record_reset(out);
		json_doc_decode(mapping, text, len, out);
	}
	/* Without device or time it can only go to quarantine, best as it came. */
	if (out->defect.len > 0 || out->device.len == 0 || !out->has_event_time)
		out->raw = (Str) {text, (uint32_t) len};
}
