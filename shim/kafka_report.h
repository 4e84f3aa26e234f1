/*
 * kafka_report.h
 *	  A Kafka message to a record: the value is a document, and the device may
 *	  stand beside it.
 */
#ifndef SHIM_KAFKA_REPORT_H
#define SHIM_KAFKA_REPORT_H

#include <stdbool.h>

#include "mapping.h"
#include "record.h"

/* sources[].device_from */
typedef enum KafkaDevice
{
	KAFKA_DEVICE_DOCUMENT,
	KAFKA_DEVICE_KEY,
	KAFKA_DEVICE_HEADER
} KafkaDevice;

/* "document", "key" or "header NAME", whose name is then a part of the text. */
extern bool kafka_device_parse(const char *text, KafkaDevice *from, const char **header);

/*
 * Never fails: what is no good is a record with a defect.  Unless the document
 * names the device, name is what key or header hold, data NULL when there is none.
 * Of a value longer than limit only that much is kept, as malformed.
 */
extern void kafka_report(const Mapping *mapping, KafkaDevice from, Str name, const char *value, size_t len,
						 size_t limit, int64_t now_us, Record *record);

#endif							/* SHIM_KAFKA_REPORT_H */
