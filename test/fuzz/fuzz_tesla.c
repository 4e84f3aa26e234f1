/*
 * fuzz_tesla.c
 *	  The tesla adapter: as a stream, and each input as the message of a car that
 *	  has shown its certificate.
 */
#include <stddef.h>

static void fuzz_message(const char *data, size_t size);

#define FUZZ_ADAPTER adapter_tesla
#define FUZZ_EXTRA fuzz_message
#include "fuzz_adapter.h"

#include "adapters/tesla.h"

static void
fuzz_message(const char *data, size_t size)
{
	Session		session = {.device = "car-1", .now_us = INT64_C(1800000549000000)};
	Decoded		decoded = {.emit = fuzz_emit, .record = &fuzz_record};
	TeslaEnvelope envelope;
	TeslaEnvelope bare = {.type = TESLA_STREAM, .topic = RECORD_STR("V")};
	char	   *copy = malloc(size);
	const char *wrong;

	memcpy(copy, data, size);
	fuzz_counted = fuzz_acked = 0;
	fuzz_nrejections = 0;
	memset(&fuzz_frames[0], 0, sizeof(AckFrame));
	wrong = tesla_envelope_read(copy, size, &envelope);
	if (wrong == NULL && envelope.type == TESLA_STREAM)
		wrong = tesla_decode(&session, &envelope, (Str) {copy, (uint32_t) size}, &decoded);
	/* The payload alone. */
	bare.payload = (Str) {copy, (uint32_t) size};
	wrong = tesla_decode(&session, &bare, bare.payload, &decoded);
	bare.topic = RECORD_STR("metrics");
	wrong = tesla_decode(&session, &bare, bare.payload, &decoded);
	bare.topic = RECORD_STR("errors");
	wrong = tesla_decode(&session, &bare, bare.payload, &decoded);
	(void) wrong;
	free(copy);
}
