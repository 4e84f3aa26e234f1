/*
 * client_mqtt.h
 *	  Packets of MQTT 5 as a vehicle writes and reads them.
 */
#ifndef SIM_CLIENT_MQTT_H
#define SIM_CLIENT_MQTT_H

#include "client.h"

#define MQTT_IN_FLIGHT_MAX 60000	/* fewer than there are packet identifiers */

extern void mqtt_put_connect(Buffer *out, const ClientOptions *o, int number);

/*
 * A PUBLISH of QoS 1 to telemetry/VEHICLE, where the document tells the
 * vehicle; returns where in out the packet identifier stands.
 */
extern size_t mqtt_put_publish(Buffer *out, uint16_t id, const char *document, size_t len);

/* The identifier of the n-th message of a connection, counted from 0. */
static inline uint16_t
mqtt_packet_id(uint64_t n)
{
	return (uint16_t) (1 + n % 65535);
}

typedef struct MqttAnswer
{
	int			type;			/* 2 CONNACK, 4 PUBACK, ... */
	uint16_t	id;				/* PUBACK */
	int			code;			/* reason; 0: success */
	const char *text;			/* reason string, not ended by NUL; NULL: none */
	size_t		text_len;
} MqttAnswer;

/* 0: more is needed, -1: not understood, else the length of the packet. */
extern int	mqtt_take_answer(const char *data, size_t len, MqttAnswer *out);

#endif							/* SIM_CLIENT_MQTT_H */
