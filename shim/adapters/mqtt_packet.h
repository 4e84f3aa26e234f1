/*
 * mqtt_packet.h
 *	  The packets of MQTT 3.1.1 and 5: bytes to structs and back.
 *
 * Parsers return 0, or a reason code of MQTT 5 that says what is wrong, with
 * a static text in *reason.  Slices point into the packet.
 */
#ifndef SHIM_MQTT_PACKET_H
#define SHIM_MQTT_PACKET_H

#include "buf.h"
#include "record.h"

typedef enum MqttType
{
	MQTT_CONNECT = 1,
	MQTT_CONNACK,
	MQTT_PUBLISH,
	MQTT_PUBACK,
	MQTT_PUBREC,
	MQTT_PUBREL,
	MQTT_PUBCOMP,
	MQTT_SUBSCRIBE,
	MQTT_SUBACK,
	MQTT_UNSUBSCRIBE,
	MQTT_UNSUBACK,
	MQTT_PINGREQ,
	MQTT_PINGRESP,
	MQTT_DISCONNECT,
	MQTT_AUTH
} MqttType;

/* Reason codes of MQTT 5. */
enum
{
	MQTT_OK = 0x00,
	MQTT_NO_SUBSCRIPTION = 0x11,
	MQTT_UNSPECIFIED = 0x80,
	MQTT_MALFORMED = 0x81,
	MQTT_PROTOCOL_ERROR = 0x82,
	MQTT_IMPLEMENTATION = 0x83,
	MQTT_VERSION = 0x84,
	MQTT_CLIENT_ID = 0x85,
	MQTT_CREDENTIALS = 0x86,
	MQTT_NOT_AUTHORIZED = 0x87,
	MQTT_UNAVAILABLE = 0x88,
	MQTT_BUSY = 0x89,
	MQTT_SHUTTING_DOWN = 0x8B,
	MQTT_AUTH_METHOD = 0x8C,
	MQTT_KEEP_ALIVE = 0x8D,
	MQTT_TAKEN_OVER = 0x8E,
	MQTT_TOPIC_NAME = 0x90,
	MQTT_RECEIVE_MAXIMUM = 0x93,
	MQTT_TOPIC_ALIAS = 0x94,
	MQTT_PACKET_TOO_LARGE = 0x95,
	MQTT_QUOTA = 0x97,
	MQTT_PAYLOAD = 0x99,
	MQTT_QOS = 0x9B
};

/* What the properties of a packet say, as far as it matters here. */
typedef struct MqttProperties
{
	uint64_t	seen;			/* bit per identifier */
	uint32_t	session_expiry;
	uint32_t	max_packet;
	uint16_t	receive_max;
	bool		problem_info;
	bool		has_keep_alive;	/* the server's, below, holds */
	uint16_t	keep_alive;
} MqttProperties;

typedef struct MqttConnect
{
	uint8_t		version;		/* 4 is 3.1.1, 5 is 5 */
	bool		clean;
	bool		has_user;
	bool		has_password;
	bool		has_will;
	uint8_t		will_qos;
	uint16_t	keep_alive;		/* seconds; 0: none */
	Str			client_id;
	Str			will_topic;
	Str			user;
	Str			password;
	MqttProperties properties;
} MqttConnect;

typedef struct MqttPublish
{
	uint8_t		qos;
	uint16_t	id;				/* 0 for QoS 0 */
	Str			topic;
	Str			payload;
} MqttPublish;

/* Of a SUBSCRIBE or UNSUBSCRIBE. */
typedef struct MqttFilters
{
	size_t		n;
	const char *at;				/* for mqtt_next_filter */
	const char *end;
} MqttFilters;

typedef enum MqttHeader
{
	MQTT_HEADER_OK,
	MQTT_HEADER_MORE,			/* cut short */
	MQTT_HEADER_BAD				/* a length of more than four bytes */
} MqttHeader;

/* Length of the fixed header, and of what follows it. */
extern MqttHeader mqtt_header(const char *data, size_t len, size_t *header, size_t *rest);

/* Each takes a packet's body, that is what follows the fixed header. */
extern int	mqtt_parse_connect(const char *body, size_t len, MqttConnect *out, const char **reason);
extern int	mqtt_parse_publish(uint8_t version, uint8_t flags, const char *body, size_t len,
							   MqttPublish *out, const char **reason);
extern int	mqtt_parse_filters(uint8_t version, bool subscribe, const char *body, size_t len,
							   uint16_t *id, MqttFilters *filters, const char **reason);

/* False when there is no more; qos is 0 for UNSUBSCRIBE. */
extern bool mqtt_next_filter(MqttFilters *filters, bool subscribe, Str *filter, uint8_t *qos);
extern int	mqtt_parse_disconnect(uint8_t version, const char *body, size_t len, uint8_t *code,
								  MqttProperties *properties, const char **reason);

typedef struct MqttConnack
{
	uint8_t		version;
	uint8_t		code;			/* of MQTT 5; written in the version's own */
	bool		expiry_zero;	/* the session that was asked for is not kept */
	uint32_t	max_packet;		/* of ours; 0: say nothing */
	Str			assigned_id;	/* len 0: none */
} MqttConnack;

extern bool mqtt_add_connack(Buf *out, const MqttConnack *connack) __attribute__((warn_unused_result));

/* text may be empty; it goes along in MQTT 5 when code is no success. */
extern bool mqtt_add_puback(Buf *out, uint8_t version, uint16_t id, uint8_t code, Str text)
			__attribute__((warn_unused_result));

/*
 * SUBACK or UNSUBACK that says no to each filter.  *codes are the answers, to be
 * changed before anything else is added; NULL: the packet has none.
 */
extern bool mqtt_add_suback(Buf *out, uint8_t version, bool subscribe, uint16_t id, size_t filters,
							unsigned char **codes) __attribute__((warn_unused_result));

/* With an id, in QoS 1; 0: in QoS 0. */
extern bool mqtt_add_publish(Buf *out, uint8_t version, uint16_t id, Str topic, Str payload)
			__attribute__((warn_unused_result));
extern int	mqtt_parse_puback(uint8_t version, const char *body, size_t len, uint16_t *id, const char **reason);
extern bool mqtt_add_disconnect(Buf *out, uint8_t code) __attribute__((warn_unused_result));

/* --- of a client: what a broker sends, and what it is sent --- */

/* *present: it had a session for this client. */
extern int	mqtt_parse_connack(uint8_t version, const char *body, size_t len, uint8_t *code, bool *present,
							   MqttProperties *properties, const char **reason);
/* Of one filter. */
extern int	mqtt_parse_suback(uint8_t version, const char *body, size_t len, uint16_t *id, uint8_t *code,
							  const char **reason);

/* Without a will; in MQTT 5 with session_expiry and receive_max. */
extern bool mqtt_add_connect(Buf *out, const MqttConnect *connect) __attribute__((warn_unused_result));
/* For one filter, with QoS 1. */
extern bool mqtt_add_subscribe(Buf *out, uint8_t version, uint16_t id, Str filter)
			__attribute__((warn_unused_result));

#endif							/* SHIM_MQTT_PACKET_H */
