/*
 * json_decode.c
 *	  What one reference document costs the daemon's decoders.
 *
 * json-c alone, json-c's tree walked under the mapping (the decoder of
 * record), and the scanner that the daemon tries first; alternately, several
 * rounds, the best of each: noise only ever adds.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "json_decode.h"
#include "json_doc.h"
#include "json_scan.h"

#define ROUNDS 5
#define DOCUMENTS 100000

static const char document[] =
	"{\"vehicle_id\":12345,\"timestamp\":\"2025-01-15T14:32:18.123Z\",\"location\":{\"lat\":50.1105,\"lon\":8.6821,"
	"\"altitude\":112.5,\"accuracy\":5.2},\"battery\":{\"percent\":68,\"voltage\":48.2,\"current\":3.5,\"temperature\":32.1,"
	"\"charging\":false},\"motion\":{\"speed_kmh\":18.5,\"heading\":245,\"acceleration\":{\"x\":0.2,\"y\":-0.1,\"z\":9.8}},"
	"\"vehicle_status\":{\"locked\":false,\"in_use\":true,\"trip_id\":\"a1b2c3d4-e5f6-7890-abcd-ef1234567890\"},"
	"\"diagnostics\":{\"odometer_km\":2458,\"error_codes\":[],\"last_maintenance_km\":2100}}";

static const size_t document_len = sizeof(document) - 1;
static Record record;

static void
parse_only(const Mapping *mapping)
{
	struct json_object *object;

	(void) mapping;
	object = json_tokener_parse(document);
	json_object_put(object);
}

static void
decode_of_record(const Mapping *mapping)
{
	record_reset(&record);
	json_doc_decode(mapping, document, document_len, &record);
}

static void
scan(const Mapping *mapping)
{
	record_reset(&record);
	if (json_scan(mapping, document, document_len, &record) != SCAN_DONE)
	{
		fputs("the scanner does not take the reference document\n", stderr);
		exit(1);
	}
}

static double
nanoseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

int
main(void)
{
	static void (*const decoders[]) (const Mapping *) = {parse_only, decode_of_record, scan};
	static const char *const names[] = {"json_c_parse_ns", "json_c_decode_ns", "scanner_ns"};
	double		best[3] = {0};
	Mapping    *mapping = mapping_default();

	for (int round = 0; round < ROUNDS; round++)
		for (int d = 0; d < 3; d++)
		{
			double		begin = nanoseconds();
			double		each;

			for (int i = 0; i < DOCUMENTS; i++)
				decoders[d] (mapping);
			each = (nanoseconds() - begin) / DOCUMENTS;
			if (best[d] == 0 || each < best[d])
				best[d] = each;
		}
	for (int d = 0; d < 3; d++)
		printf("%s=%.0f ", names[d], best[d]);
	printf("bytes=%zu\n", document_len);
	mapping_free(mapping);
	return 0;
}
