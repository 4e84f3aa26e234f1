/*
 * fuzz_kafka.c
 *	  Messages of a topic: the first byte says where the device stands, the second
 *	  how long its name is, which follows; the rest is the value.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "kafka_report.h"

#define LIMIT 4096				/* bytes of a value */

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const Mapping *mapping = NULL;
	static Record record;
	KafkaDevice from;
	Str			name = {NULL, 0};
	const char *value;
	size_t		len;

	if (mapping == NULL)
		mapping = mapping_default();
	if (size < 2 || data[1] > size - 2)
		return 0;
	from = data[0] & 1 ? KAFKA_DEVICE_KEY : data[0] & 2 ? KAFKA_DEVICE_HEADER : KAFKA_DEVICE_DOCUMENT;
	/* A message without one. */
	if ((data[0] & 4) == 0)
		name = (Str) {(const char *) data + 2, data[1]};
	value = (const char *) data + 2 + data[1];
	len = size - 2 - data[1];
	kafka_report(mapping, from, name, value, len, LIMIT, 1000000, &record);
	if (record.received_at_us > 1000000 || record.device.len > RECORD_DEVICE_MAX || record.raw.len > LIMIT)
		abort();
	if ((record.defect.len > 0 || record.device.len == 0) && (record.raw.data != value || (record.raw.len == 0 && len > 0)))
		abort();
	if (from != KAFKA_DEVICE_DOCUMENT && record.device.len > 0 && record.device.data != name.data)
		abort();
	return 0;
}
