/*
 * mqtt_report.c
 *	  A PUBLISH to a record: the topic says of which vehicle, the payload what.
 */
#include "mqtt_report.h"

#include <string.h>

#include "json_decode.h"
#include "topic.h"

Str
mqtt_report(const char *pattern, const Mapping *mapping, const MqttPublish *publish,
			Str packet, int64_t now_us, Record *record)
{
	Str			vehicle;

	if (!topic_match(pattern, publish->topic.data, publish->topic.len, &vehicle))
	{
		record_reset(record);
		record_set_defect(record, "not_permitted", RECORD_STR("topic"));
	}
	else
	{
		json_decode(mapping, publish->payload.data, publish->payload.len, record);
		/* A vehicle speaks for itself, whatever its documents say. */
		if (record->device.len > 0 && (record->device.len != vehicle.len ||
									   memcmp(record->device.data, vehicle.data, vehicle.len) != 0))
			record_set_defect(record, "not_permitted", RECORD_STR("device"));
		record->device = vehicle;
	}
	/* An empty payload says nothing; then the whole packet may. */
	if (record->defect.len > 0 || !record->has_event_time)
		record->raw = publish->payload.len > 0 ? publish->payload : packet;
	else
		record->raw = (Str) {NULL, 0};
	if (record->received_at_us == 0 || record->received_at_us > now_us)
		record->received_at_us = now_us;
	return vehicle;
}
