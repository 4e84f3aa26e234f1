/*
 * fuzz_mqtt_client.c
 *	  Packets that a broker sends: the first byte has the version, the rest is
 *	  a packet.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "adapters/mqtt_packet.h"
#include "adapters/mqtt_report.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
publish(uint8_t version, uint8_t flags, const char *body, size_t len)
{
	static const Mapping *mapping = NULL;
	static Record record;
	MqttPublish got;
	const char *reason;
	Str			vehicle;

	if (mapping == NULL)
		mapping = mapping_default();
	if (mqtt_parse_publish(version, flags, body, len, &got, &reason) != MQTT_OK)
		return;
	vehicle = mqtt_report("t/{vehicle}/#", mapping, &got, (Str) {body, (uint32_t) len}, 1000000, &record);
	if (vehicle.len == 0 && record.defect.len == 0)
		abort();
	if (record.received_at_us > 1000000)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t		version;
	const char *packet = (const char *) data + 1;
	MqttProperties properties;
	const char *reason;
	size_t		header;
	size_t		rest;
	uint16_t	id;
	uint8_t		code;
	bool		present;

	if (size < 2)
		return 0;
	version = data[0] & 1 ? 5 : 4;
	if (mqtt_header(packet, size - 1, &header, &rest) != MQTT_HEADER_OK || rest > size - 1 - header)
		return 0;
	switch ((uint8_t) packet[0] >> 4)
	{
		case MQTT_CONNACK:
			(void) mqtt_parse_connack(version, packet + header, rest, &code, &present, &properties, &reason);
			break;
		case MQTT_SUBACK:
			(void) mqtt_parse_suback(version, packet + header, rest, &id, &code, &reason);
			break;
		case MQTT_PUBLISH:
			publish(version, packet[0] & 15, packet + header, rest);
			break;
		default:
			break;
	}
	return 0;
}
