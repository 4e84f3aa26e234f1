/*
 * kafka_report.c
 *	  A Kafka message to a record.
 */
#include "kafka_report.h"

#include <string.h>

#include "json_decode.h"
#include "json_value.h"

bool
kafka_device_parse(const char *text, KafkaDevice *from, const char **header)
{
	static const char word[] = "header ";

	*header = NULL;
	if (strcmp(text, "document") == 0)
		*from = KAFKA_DEVICE_DOCUMENT;
	else if (strcmp(text, "key") == 0)
		*from = KAFKA_DEVICE_KEY;
	else if (strncmp(text, word, sizeof(word) - 1) == 0 && text[sizeof(word) - 1] != '\0')
	{
		*from = KAFKA_DEVICE_HEADER;
		*header = text + sizeof(word) - 1;
	}
	else
		return false;
	return true;
}

/* Keys may be anything, a number of a registry's schema for one. */
static bool
is_name(Str name)
{
	return name.len <= RECORD_DEVICE_MAX && memchr(name.data, '\0', name.len) == NULL &&
		json_utf8_valid(name.data, name.len);
}

/* The name beside the document counts, whatever the document says. */
static void
use_name(Str name, Record *record)
{
	Str			said = record->device;

	record->device = (Str) {NULL, 0};
	if (name.data == NULL || name.len == 0)
		record_set_defect(record, "missing_field", RECORD_STR("device"));
	else if (!is_name(name))
		record_set_defect(record, "malformed", RECORD_STR("device"));
	else
	{
		record->device = name;
		if (said.len > 0 && (said.len != name.len || memcmp(said.data, name.data, name.len) != 0))
			record_set_defect(record, "not_permitted", RECORD_STR("device"));
	}
}

void
kafka_report(const Mapping *mapping, KafkaDevice from, Str name, const char *value, size_t len,
			 size_t limit, int64_t now_us, Record *record)
{
	if (len > limit)
	{
		record_reset(record);
		record_set_defect(record, "malformed", RECORD_STR("too_long"));
		len = limit;
	}
	else
		json_decode(mapping, value, len, record);
	if (from != KAFKA_DEVICE_DOCUMENT)
		use_name(name, record);
	if (record->defect.len > 0 || record->device.len == 0 || !record->has_event_time)
		record->raw = (Str) {value, (uint32_t) len};
	else
		record->raw = (Str) {NULL, 0};
	if (record->received_at_us == 0 || record->received_at_us > now_us)
		record->received_at_us = now_us;
}
