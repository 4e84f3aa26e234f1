/*
 * mqtt.c
 *	  A server of MQTT 3.1.1 and 5 that vehicles publish to;
 *	  docs/protocols/mqtt.md has the protocol.
 *
 * PUBACK waits for the commit.  Nothing is ever delivered to a client but
 * commands to the vehicle that it subscribes as, and those are kept elsewhere: so
 * sessions and retained messages come to nothing, and a message that is sent
 * again on a new connection is recognised by what it says.
 */
#include <openssl/evp.h>
#include <string.h>
#include <sys/random.h>

#include "adapter.h"
#include "command_text.h"
#include "mqtt_packet.h"
#include "mqtt_report.h"
#include "topic.h"

#define KEY_SIZE 16				/* bytes of a client's identity */
#define BUCKETS 4096			/* of all clients; a power of two */
#define UNACKED_MAX 65535		/* PUBLISH packets with QoS 1, as MQTT has it */
#define TOPIC_KEPT 256			/* bytes of a topic for commands */
#define ANSWER "/answer"		/* behind it: where a vehicle answers */
#define AHEAD_MAX_US 60000000	/* of a vehicle's clock */
#define TAG_ID 0xFFFF
#define TAG_ANSWER 0x10000		/* QoS 1 */

typedef enum MqttPhase
{
	PHASE_NEW,					/* no CONNECT yet */
	PHASE_CHECKING,				/* its token is being checked */
	PHASE_OPEN,
	PHASE_ENDED					/* DISCONNECT came, or CONNACK refused */
} MqttPhase;

typedef struct MqttSession MqttSession;

struct MqttSession
{
	MqttPhase	phase;
	uint8_t		version;
	uint8_t		failure;		/* reason code of the fault that ends it; 0: none */
	bool		has_will;
	bool		reported;		/* that the will's vehicle is connected */
	bool		expiry_zero;	/* it asked for a session that lasts */
	bool		problem_info;
	uint16_t	unacked;
	uint32_t	max_packet;		/* that the client takes; 0: any */
	int64_t		opened_us;		/* when CONNECT came */
	int64_t		last_us;		/* time of the last report of the will's vehicle */
	char		vehicle[DEVICE_MAX + 1];	/* the will's; "": not known yet */
	char		assigned_id[24];

	/* Commands: while subscribed. */
	char		topic[TOPIC_KEPT + 1];	/* "": not subscribed */
	bool		bound;			/* the session's device is that of the topic */
	uint8_t		qos;
	uint16_t	last_id;		/* of a PUBLISH of ours */
	uint16_t	undelivered;	/* of them without PUBACK */
	uint16_t	receive_max;	/* how many of these the client takes */

	/* in the table of clients, when linked */
	bool		linked;
	unsigned char key[KEY_SIZE];
	MqttSession *next;
	Session    *session;
};

/* --- clients by identity: a new connection takes over from an older one --- */

static MqttSession *clients[BUCKETS];

static MqttSession **
client_find(const unsigned char *key)
{
	MqttSession **at = &clients[(key[0] << 8 | key[1]) & (BUCKETS - 1)];

	while (*at != NULL && memcmp((*at)->key, key, KEY_SIZE) != 0)
		at = &(*at)->next;
	return at;
}

static void
client_unlink(MqttSession *mqtt)
{
	MqttSession **at = client_find(mqtt->key);

	if (mqtt->linked && *at == mqtt)
	{
		*at = mqtt->next;
		mqtt->linked = false;
	}
}

static void
client_link(MqttSession *mqtt)
{
	MqttSession **at = client_find(mqtt->key);
	MqttSession *old = *at;

	if (old != NULL)
	{
		old->session->ending = "taken over by a newer connection";
		old->failure = MQTT_TAKEN_OVER;
		old->has_will = false;	/* the vehicle is here, not gone */
		client_unlink(old);
	}
	mqtt->linked = true;
	mqtt->next = *at;
	*at = mqtt;
}

/*
 * An identity is a name below a token, or below what a certificate proves to that
 * listener: no tenant can end another's connection.
 */
static bool
client_key(const Session *session, Str token, Str id, unsigned char *key)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned char length[4] = {token.len >> 24, token.len >> 16 & 0xFF, token.len >> 8 & 0xFF, token.len & 0xFF};
	uint32_t	proved = token.len == 0 ? (uint32_t) strlen(session->certificate) : 0;
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool		done = context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) &&
		EVP_DigestUpdate(context, length, sizeof(length)) &&
		(token.len == 0 || EVP_DigestUpdate(context, token.data, token.len)) &&
		(proved == 0 || (EVP_DigestUpdate(context, &session->listener, sizeof(session->listener)) &&
						 EVP_DigestUpdate(context, session->certificate, proved + 1))) &&
		EVP_DigestUpdate(context, id.data, id.len) &&
		EVP_DigestFinal_ex(context, digest, NULL);

	EVP_MD_CTX_free(context);
	if (done)
		memcpy(key, digest, KEY_SIZE);
	return done;
}

/* --- frames --- */

static FrameStatus
bad_frame(MqttSession *mqtt, Frame *out, uint8_t failure, const char *reason)
{
	mqtt->failure = failure;
	out->reason = reason;
	return FRAME_BAD;
}

static FrameStatus
mqtt_frame(Session *session, const char *data, size_t len, Frame *out)
{
	MqttSession *mqtt = session->state;
	uint8_t		type = (unsigned char) data[0] >> 4;
	size_t		header;
	size_t		rest;

	/* At once: a peer of another protocol might wait for ever. */
	if (mqtt->phase == PHASE_NEW && (unsigned char) data[0] != MQTT_CONNECT << 4)
		return bad_frame(mqtt, out, MQTT_PROTOCOL_ERROR, "the first packet is not CONNECT");
	if (mqtt->phase == PHASE_ENDED)
		return bad_frame(mqtt, out, MQTT_PROTOCOL_ERROR, "packet after DISCONNECT");
	if (type == 0 || type == MQTT_CONNACK || type == MQTT_SUBACK || type == MQTT_UNSUBACK || type == MQTT_PINGRESP)
		return bad_frame(mqtt, out, MQTT_PROTOCOL_ERROR, "packet that only servers send");
	switch (mqtt_header(data, len, &header, &rest))
	{
		case MQTT_HEADER_MORE:
			return FRAME_MORE;
		case MQTT_HEADER_BAD:
			return bad_frame(mqtt, out, MQTT_MALFORMED, "bad remaining length");
		case MQTT_HEADER_OK:
			break;
	}
	if (mqtt->version == 5 && header > 2 && data[header - 1] == 0)
		return bad_frame(mqtt, out, MQTT_MALFORMED, "bad remaining length");
	if (header > session->frame_max || rest > session->frame_max - header)
		return bad_frame(mqtt, out, MQTT_PACKET_TOO_LARGE, "packet too large");
	if (rest > len - header)
		return FRAME_MORE;
	out->length = header + rest;
	return FRAME_READY;
}

/* --- packets --- */

static DecodeStatus
bad_packet(MqttSession *mqtt, Decoded *out, uint8_t failure, const char *reason)
{
	mqtt->failure = failure;
	out->reason = reason;
	return DECODE_BAD;
}

static bool
add_connack(Session *session, uint8_t code, Buf *out)
{
	MqttSession *mqtt = session->state;
	MqttConnack connack = {.version = mqtt->version, .code = code};

	if (code == MQTT_OK)
	{
		connack.expiry_zero = mqtt->expiry_zero;
		connack.max_packet = (uint32_t) session->frame_max;
		connack.assigned_id = (Str) {mqtt->assigned_id, (uint32_t) strlen(mqtt->assigned_id)};
	}
	mqtt->phase = code == MQTT_OK ? PHASE_OPEN : PHASE_ENDED;
	return mqtt_add_connack(out, &connack);
}

static DecodeStatus
refuse(Session *session, Decoded *out, uint8_t code, const char *reason)
{
	if (!add_connack(session, code, out->reply))
		buf_release(out->reply);
	out->reason = reason;
	return DECODE_BAD;
}

static bool
assign_id(MqttSession *mqtt)
{
	static const char hex[] = "0123456789abcdef";
	unsigned char noise[8];
	char	   *at = mqtt->assigned_id;

	if (getrandom(noise, sizeof(noise), 0) != sizeof(noise))
		return false;
	memcpy(at, "fleetd", 6);
	at += 6;
	for (size_t i = 0; i < sizeof(noise); i++)
	{
		*at++ = hex[noise[i] >> 4];
		*at++ = hex[noise[i] & 15];
	}
	*at = '\0';
	return true;
}

/* Is the topic one of a vehicle that is not what the certificate proves? */
static bool
is_foreign(const Session *session, Str topic)
{
	const char *proved = session->certificate;
	Str			vehicle;

	return proved[0] != '\0' && topic_match(session->topic, topic.data, topic.len, &vehicle) &&
		(vehicle.len != strlen(proved) || memcmp(vehicle.data, proved, vehicle.len) != 0);
}

static DecodeStatus
mqtt_connect(Session *session, const char *body, size_t len, Decoded *out)
{
	MqttSession *mqtt = session->state;
	MqttConnect connect;
	const char *reason = NULL;
	Str			vehicle;
	int			code;

	if (mqtt->phase != PHASE_NEW)
		return bad_packet(mqtt, out, MQTT_PROTOCOL_ERROR, "second CONNECT");
	code = mqtt_parse_connect(body, len, &connect, &reason);
	/* A version that is not known is answered in the oldest form. */
	mqtt->version = connect.version == 5 ? 5 : 4;
	if (code != MQTT_OK)
	{
		/* 3.1.1 has no words for a CONNECT that cannot be read. */
		if (mqtt->version == 4 && code != MQTT_VERSION)
		{
			mqtt->phase = PHASE_ENDED;
			out->reason = reason;
			return DECODE_BAD;
		}
		return refuse(session, out, (uint8_t) code, reason);
	}
	if (connect.client_id.len == 0 && connect.version == 4 && !connect.clean)
		return refuse(session, out, MQTT_CLIENT_ID, "empty client identifier without clean session");
	if (connect.has_will && connect.will_qos == 2 && connect.version == 5)
		return refuse(session, out, MQTT_QOS, "QoS 2 is not supported");
	if ((connect.password.len == 0 && !session->token_optional) || connect.password.len > ADAPTER_TOKEN_MAX ||
		(connect.password.len > 0 && memchr(connect.password.data, '\0', connect.password.len) != NULL))
		return refuse(session, out, MQTT_CREDENTIALS, "no token in the password");
	if (connect.has_will && is_foreign(session, connect.will_topic))
		return refuse(session, out, MQTT_NOT_AUTHORIZED, "will of another vehicle");
	if (connect.client_id.len == 0 && !assign_id(mqtt))
		return refuse(session, out, MQTT_UNAVAILABLE, "no random numbers");
	if (!client_key(session, connect.password, connect.client_id.len > 0 ? connect.client_id :
					(Str) {mqtt->assigned_id, (uint32_t) strlen(mqtt->assigned_id)}, mqtt->key))
		return refuse(session, out, MQTT_UNAVAILABLE, "no digest");

	if (connect.password.len > 0)
		memcpy(out->token, connect.password.data, connect.password.len);
	out->token[connect.password.len] = '\0';
	if (connect.user.len <= ADAPTER_NAME_MAX)
	{
		if (connect.user.len > 0)
			memcpy(out->mapping, connect.user.data, connect.user.len);
		out->mapping[connect.user.len] = '\0';
		out->mapping_optional = true;
	}
	mqtt->has_will = connect.has_will;
	if (connect.has_will && topic_match(session->topic, connect.will_topic.data, connect.will_topic.len, &vehicle) &&
		vehicle.len <= DEVICE_MAX)
		memcpy(mqtt->vehicle, vehicle.data, vehicle.len);
	mqtt->expiry_zero = connect.properties.session_expiry != 0;
	mqtt->problem_info = connect.properties.problem_info;
	mqtt->max_packet = connect.properties.max_packet;
	mqtt->receive_max = connect.properties.receive_max;
	mqtt->session = session;
	mqtt->opened_us = session->now_us;
	mqtt->phase = PHASE_CHECKING;
	session->idle_us = (int64_t) connect.keep_alive * 1500000;
	return DECODE_HELLO;
}

/*
 * The vehicle of a will is there: as of its first report that was made since
 * it connected.  Older ones tell of a time when it may have been away.
 */
static void
report_connected(Session *session, Str vehicle, Decoded *out)
{
	MqttSession *mqtt = session->state;
	int64_t		event_time_us = out->record->event_time_us;

	if (mqtt->vehicle[0] == '\0' && vehicle.len <= DEVICE_MAX)
		memcpy(mqtt->vehicle, vehicle.data, vehicle.len);
	if (strlen(mqtt->vehicle) != vehicle.len || memcmp(mqtt->vehicle, vehicle.data, vehicle.len) != 0)
		return;
	/* A clock that goes wrong for once must not date the end. */
	if (event_time_us > mqtt->last_us && event_time_us < session->now_us + AHEAD_MAX_US)
		mqtt->last_us = event_time_us;
	if (mqtt->reported || event_time_us < mqtt->opened_us)
		return;
	record_reset(out->record);
	out->record->device = vehicle;
	out->record->has_event_time = true;
	out->record->event_time_us = event_time_us;
	out->record->received_at_us = session->now_us;
	mqtt->reported = record_add_boolean(out->record, RECORD_STR("connected"), true);
	out->emit(out->emit_arg, out->record);
}

/* Is that vehicle the one that the connection is known to be, if it is? */
static bool
is_own(const Session *session, Str vehicle)
{
	const char *known = session->certificate[0] != '\0' ? session->certificate : session->device;

	return vehicle.len <= DEVICE_MAX &&
		(known[0] == '\0' || (strlen(known) == vehicle.len && memcmp(known, vehicle.data, vehicle.len) == 0));
}

/* A topic of a connection has one vehicle, and a connection has one topic. */
static bool
subscribe_commands(Session *session, Str filter, uint8_t qos)
{
	MqttSession *mqtt = session->state;
	Str			vehicle;

	if (session->command_topic == NULL || filter.len > TOPIC_KEPT || memchr(filter.data, '+', filter.len) != NULL ||
		memchr(filter.data, '#', filter.len) != NULL || memchr(filter.data, '\0', filter.len) != NULL ||
		!topic_match(session->command_topic, filter.data, filter.len, &vehicle) || !is_own(session, vehicle))
		return false;
	if (session->device[0] == '\0')
	{
		memcpy(session->device, vehicle.data, vehicle.len);
		session->device[vehicle.len] = '\0';
		mqtt->bound = true;
	}
	memcpy(mqtt->topic, filter.data, filter.len);
	mqtt->topic[filter.len] = '\0';
	mqtt->qos = qos;
	session->takes_commands = true;
	return true;
}

static bool
unsubscribe_commands(Session *session, Str filter)
{
	MqttSession *mqtt = session->state;

	if (filter.len == 0 || strlen(mqtt->topic) != filter.len || memcmp(mqtt->topic, filter.data, filter.len) != 0)
		return false;
	mqtt->topic[0] = '\0';
	session->takes_commands = false;
	if (mqtt->bound)
		session->device[0] = '\0';
	mqtt->bound = false;
	return true;
}

static DecodeStatus
mqtt_filters(Session *session, bool subscribe, const char *body, size_t len, Decoded *out)
{
	MqttSession *mqtt = session->state;
	MqttFilters filters;
	Str			filter;
	unsigned char *codes;
	uint16_t	id;
	uint8_t		qos;
	const char *reason;
	int			code = mqtt_parse_filters(mqtt->version, subscribe, body, len, &id, &filters, &reason);

	if (code != MQTT_OK)
		return bad_packet(mqtt, out, (uint8_t) code, reason);
	if (!mqtt_add_suback(out->reply, mqtt->version, subscribe, id, filters.n, &codes))
		return bad_packet(mqtt, out, MQTT_UNSPECIFIED, "out of memory");
	for (size_t i = 0; mqtt_next_filter(&filters, subscribe, &filter, &qos); i++)
	{
		uint8_t		granted = qos > 0 ? 1 : 0;

		if (subscribe ? subscribe_commands(session, filter, granted) : unsubscribe_commands(session, filter))
			if (codes != NULL)
				codes[i] = granted;
	}
	return DECODE_REPLY;
}

/* To what was published on "command/{vehicle}/answer"; it need not be the connection that subscribed. */
static bool
is_answer(const Session *session, Str topic, Str *vehicle)
{
	size_t		tail = sizeof(ANSWER) - 1;

	return session->command_topic != NULL && topic.len > tail &&
		memcmp(topic.data + topic.len - tail, ANSWER, tail) == 0 &&
		topic_match(session->command_topic, topic.data, topic.len - tail, vehicle) && is_own(session, *vehicle);
}

static DecodeStatus
mqtt_answer(Session *session, const MqttPublish *publish, Str vehicle, Decoded *out)
{
	Record	   *record = out->record;

	if (command_read_answer(publish->payload.data, publish->payload.len, NULL, vehicle, out))
		return publish->qos > 0 ? DECODE_OK : DECODE_IGNORED;
	record_reset(record);
	record->device = vehicle;
	record->received_at_us = session->now_us;
	record_set_defect(record, "malformed", RECORD_STR("answer"));
	record->raw = publish->payload;
	out->emit(out->emit_arg, record);
	return DECODE_OK;
}

static DecodeStatus
mqtt_puback(MqttSession *mqtt, const char *body, size_t len, Decoded *out)
{
	const char *reason;
	uint16_t	id;
	int			code = mqtt_parse_puback(mqtt->version, body, len, &id, &reason);

	if (code != MQTT_OK)
		return bad_packet(mqtt, out, (uint8_t) code, reason);
	if (mqtt->undelivered == 0)
		return bad_packet(mqtt, out, MQTT_PROTOCOL_ERROR, "answer to what was never sent");
	mqtt->undelivered--;
	return DECODE_IGNORED;
}

static DecodeStatus
mqtt_publish(Session *session, uint8_t flags, const char *body, size_t len, Decoded *out)
{
	MqttSession *mqtt = session->state;
	Record	   *record = out->record;
	MqttPublish publish;
	const char *reason;
	Str			vehicle;
	int			code = mqtt_parse_publish(mqtt->version, flags, body, len, &publish, &reason);

	if (code != MQTT_OK)
	{
		record_reset(record);
		record->device = (Str) {session->certificate, (uint32_t) strlen(session->certificate)};
		record->received_at_us = session->now_us;
		record_set_defect(record, "malformed", (Str) {0});
		record->raw = (Str) {body, (uint32_t) len};
		if (len > 0)
			out->emit(out->emit_arg, record);
		return bad_packet(mqtt, out, (uint8_t) code, reason);
	}
	if (publish.qos > 0)
	{
		if (mqtt->unacked == UNACKED_MAX)
			return bad_packet(mqtt, out, MQTT_RECEIVE_MAXIMUM, "more than 65535 unacknowledged packets");
		mqtt->unacked++;
		out->tag = TAG_ANSWER | publish.id;
	}
	if (is_answer(session, publish.topic, &vehicle))
		return mqtt_answer(session, &publish, vehicle, out);
	vehicle = mqtt_report(session->topic, session->mapping, &publish, (Str) {body, (uint32_t) len},
						  session->now_us, record);
	if (is_foreign(session, publish.topic))
	{
		(void) record_bind(record, (Str) {session->certificate, (uint32_t) strlen(session->certificate)}, record->raw.len > 0 ?
						   record->raw : publish.payload.len > 0 ? publish.payload : (Str) {body, (uint32_t) len});
		out->emit(out->emit_arg, record);
		if (mqtt->version == 5)
			return DECODE_OK;
		/* 3.1.1 has no answer that says no. */
		if (publish.qos > 0)
			mqtt->unacked--;
		out->tag = 0;
		return bad_packet(mqtt, out, MQTT_NOT_AUTHORIZED, "topic of another vehicle");
	}
	out->emit(out->emit_arg, record);
	if (mqtt->has_will && record->defect.len == 0 && record->has_event_time)
		report_connected(session, vehicle, out);
	return DECODE_OK;
}

static DecodeStatus
mqtt_disconnect(MqttSession *mqtt, const char *body, size_t len, Decoded *out)
{
	MqttProperties properties;
	const char *reason;
	uint8_t		said;
	int			code = mqtt_parse_disconnect(mqtt->version, body, len, &said, &properties, &reason);

	if (code != MQTT_OK)
		return bad_packet(mqtt, out, (uint8_t) code, reason);
	if (properties.session_expiry != 0 && !mqtt->expiry_zero)
		return bad_packet(mqtt, out, MQTT_PROTOCOL_ERROR, "session expiry begun by DISCONNECT");
	mqtt->phase = PHASE_ENDED;
	/* Only a normal end takes the will back. */
	if (said == MQTT_OK)
		mqtt->has_will = false;
	out->reason = "DISCONNECT";
	return DECODE_END;
}

static DecodeStatus
mqtt_decode(Session *session, const Frame *frame, Decoded *out)
{
	MqttSession *mqtt = session->state;
	uint8_t		type = (unsigned char) frame->data[0] >> 4;
	uint8_t		flags = frame->data[0] & 15;
	const char *body;
	size_t		len;
	size_t		header;

	if (mqtt_header(frame->data, frame->length, &header, &len) != MQTT_HEADER_OK)
		return bad_packet(mqtt, out, MQTT_MALFORMED, "bad remaining length");
	body = frame->data + header;
	if (type == MQTT_CONNECT)
		return mqtt_connect(session, body, len, out);
	if (mqtt->phase != PHASE_OPEN)
		return bad_packet(mqtt, out, MQTT_PROTOCOL_ERROR, "not authenticated");
	if (type == MQTT_PUBLISH)
		return mqtt_publish(session, flags, body, len, out);
	if (flags != (type == MQTT_SUBSCRIBE || type == MQTT_UNSUBSCRIBE || type == MQTT_PUBREL ? 2 : 0))
		return bad_packet(mqtt, out, MQTT_MALFORMED, "bad flags");
	switch (type)
	{
		case MQTT_SUBSCRIBE:
		case MQTT_UNSUBSCRIBE:
			return mqtt_filters(session, type == MQTT_SUBSCRIBE, body, len, out);
		case MQTT_PUBACK:
			return mqtt_puback(mqtt, body, len, out);
		case MQTT_PINGREQ:
			if (len != 0)
				return bad_packet(mqtt, out, MQTT_MALFORMED, "bad PINGREQ");
			if (!buf_add(out->reply, "\xD0\x00", 2))
				return bad_packet(mqtt, out, MQTT_UNSPECIFIED, "out of memory");
			return DECODE_REPLY;
		case MQTT_DISCONNECT:
			return mqtt_disconnect(mqtt, body, len, out);
		case MQTT_AUTH:
			return bad_packet(mqtt, out, mqtt->version == 5 ? MQTT_PROTOCOL_ERROR : MQTT_MALFORMED, "AUTH without a method");
		default:
			return bad_packet(mqtt, out, MQTT_PROTOCOL_ERROR, "answer to what was never sent");
	}
}

/* --- answers --- */

static void
mqtt_welcome(Session *session, Welcome welcome, Buf *out)
{
	static const uint8_t codes[] = {
		[WELCOME_OK] = MQTT_OK,
		[WELCOME_DENIED] = MQTT_CREDENTIALS,
		[WELCOME_FORBIDDEN] = MQTT_NOT_AUTHORIZED,
		[WELCOME_UNAVAILABLE] = MQTT_UNAVAILABLE,
		[WELCOME_NO_MAPPING] = MQTT_IMPLEMENTATION
	};

	if (!add_connack(session, codes[welcome], out))
		buf_release(out);
	if (welcome == WELCOME_OK)
		client_link(session->state);
}

static CommandStatus
mqtt_command(Session *session, const Command *command, const char **why, Buf *out)
{
	MqttSession *mqtt = session->state;
	Str			topic = {mqtt->topic, (uint32_t) strlen(mqtt->topic)};
	Buf			document = {0};
	uint16_t	id = 0;
	CommandStatus status = COMMAND_NOT_NOW;

	if (mqtt->qos > 0)
	{
		if (mqtt->receive_max > 0 && mqtt->undelivered >= mqtt->receive_max)
			return COMMAND_NOT_NOW;
		id = mqtt->last_id == UINT16_MAX ? 1 : mqtt->last_id + 1;
	}
	if (command_document(command, &document))
	{
		if (mqtt->max_packet > 0 && buf_len(&document) + topic.len + 10 > mqtt->max_packet)
		{
			*why = "packet too large for the client";
			status = COMMAND_UNSUPPORTED;
		}
		else if (mqtt_add_publish(out, mqtt->version, id, topic, (Str) {buf_data(&document), (uint32_t) buf_len(&document)}))
		{
			status = COMMAND_WRITTEN;
			if (id != 0)
			{
				mqtt->last_id = id;
				mqtt->undelivered++;
			}
		}
	}
	buf_release(&document);
	return status;
}

static uint8_t
rejection_code(const AckRejection *rejection)
{
	if (strcmp(rejection->code, "not_permitted") == 0)
		return strcmp(rejection->field, "topic") == 0 ? MQTT_TOPIC_NAME : MQTT_NOT_AUTHORIZED;
	if (strcmp(rejection->code, "unknown_device") == 0)
		return MQTT_NOT_AUTHORIZED;
	if (strcmp(rejection->code, "malformed") == 0)
		return MQTT_PAYLOAD;
	return MQTT_IMPLEMENTATION;
}

static void
mqtt_ack(Session *session, const Ack *ack, Buf *out)
{
	MqttSession *mqtt = session->state;
	size_t		at = 0;

	for (uint64_t seq = ack->from; seq <= ack->upto; seq++)
	{
		uint32_t	tag = ack->frames[seq - ack->from].tag;
		uint8_t		code = MQTT_OK;
		char		text[96] = "";

		while (at < ack->nrejected && ack->rejected[at].seq <= seq)
		{
			const AckRejection *rejection = &ack->rejected[at++];

			if (rejection->seq != seq || code != MQTT_OK)
				continue;
			code = rejection_code(rejection);
			if (mqtt->problem_info)
				snprintf(text, sizeof(text), "%s%s%s", rejection->code,
						 rejection->field[0] ? ":" : "", rejection->field);
		}
		if ((tag & TAG_ANSWER) == 0)
			continue;
		mqtt->unacked--;
		if (mqtt->max_packet > 0 && strlen(text) + 10 > mqtt->max_packet)
			text[0] = '\0';
		if (!mqtt_add_puback(out, mqtt->version, tag & TAG_ID, code, (Str) {text, (uint32_t) strlen(text)}))
			buf_release(out);
	}
}

static void
mqtt_farewell(Session *session, const char *reason, Buf *out)
{
	static const struct
	{
		const char *reason;
		uint8_t		code;
	}			codes[] = {
		{"idle", MQTT_KEEP_ALIVE},
		{"frame_too_long", MQTT_PACKET_TOO_LARGE},
		{"input_memory", MQTT_QUOTA},
		{"overload", MQTT_QUOTA},
		{"mapping", MQTT_IMPLEMENTATION},
		{"shutdown", MQTT_SHUTTING_DOWN},
		{"certificate_revoked", MQTT_NOT_AUTHORIZED},
		{"token_revoked", MQTT_NOT_AUTHORIZED},
		{"token_expired", MQTT_NOT_AUTHORIZED},
		{"source_not_permitted", MQTT_NOT_AUTHORIZED}
	};
	MqttSession *mqtt = session->state;
	uint8_t		code;

	/* 3.1.1 has no DISCONNECT from the server. */
	if (mqtt == NULL || mqtt->phase != PHASE_OPEN || mqtt->version != 5)
		return;
	code = mqtt->failure;
	for (size_t i = 0; code == 0 && i < sizeof(codes) / sizeof(codes[0]); i++)
		if (strcmp(codes[i].reason, reason) == 0)
			code = codes[i].code;
	if (code != 0 && !mqtt_add_disconnect(out, code))
		buf_release(out);
}

/*
 * The will: its vehicle is not connected any more, since right after its last
 * report.  The present would make late what it has still to send of the time
 * before.
 */
static void
mqtt_over(Session *session, const char *reason, Decoded *out)
{
	MqttSession *mqtt = session->state;
	Record	   *record = out->record;

	client_unlink(mqtt);
	/* When the daemon ends, no vehicle is gone. */
	if (!mqtt->has_will || mqtt->vehicle[0] == '\0' || out->emit == NULL || strcmp(reason, "shutdown") == 0)
		return;
	record_reset(record);
	record->device = (Str) {mqtt->vehicle, (uint32_t) strlen(mqtt->vehicle)};
	record->has_event_time = true;
	record->event_time_us = mqtt->last_us > 0 ? mqtt->last_us + 1 : session->now_us;
	record->received_at_us = session->now_us;
	if (record_add_boolean(record, RECORD_STR("connected"), false))
		out->emit(out->emit_arg, record);
}

const Adapter adapter_mqtt = {
	.name = "mqtt",
	.help = "MQTT 3.1.1 and 5: fleetd as the server that vehicles publish to",
	.session_size = sizeof(MqttSession),
	.frame = mqtt_frame,
	.decode = mqtt_decode,
	.welcome = mqtt_welcome,
	.ack = mqtt_ack,
	.command = mqtt_command,
	.farewell = mqtt_farewell,
	.over = mqtt_over
};
