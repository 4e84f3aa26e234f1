/*
 * mqtt_report.h
 *	  A PUBLISH to a record: the topic says of which vehicle, the payload what.
 */
#ifndef SHIM_MQTT_REPORT_H
#define SHIM_MQTT_REPORT_H

#include "mapping.h"
#include "mqtt_packet.h"

/*
 * Never fails: what is no good is a record with a defect.  packet is what raw
 * holds when the payload is empty.  Returns the vehicle, empty when the topic
 * is not of the pattern.
 */
extern Str	mqtt_report(const char *pattern, const Mapping *mapping, const MqttPublish *publish,
						Str packet, int64_t now_us, Record *record);

#endif							/* SHIM_MQTT_REPORT_H */
