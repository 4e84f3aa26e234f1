/*
 * mqtt_packet.c
 *	  The packets of MQTT 3.1.1 and 5: bytes to structs and back.
 */
#include "mqtt_packet.h"

#include <string.h>

#define ID_MAX 0x2A				/* identifiers of properties */

/* Property identifiers that matter below. */
enum
{
	SUBSCRIPTION_ID = 0x0B,
	SESSION_EXPIRY = 0x11,
	ASSIGNED_CLIENT_ID = 0x12,
	SERVER_KEEP_ALIVE = 0x13,
	AUTH_METHOD = 0x15,
	AUTH_DATA = 0x16,
	PROBLEM_INFO = 0x17,
	REASON_STRING = 0x1F,
	RECEIVE_MAX = 0x21,
	TOPIC_ALIAS = 0x23,
	MAX_QOS = 0x24,
	USER_PROPERTY = 0x26,
	MAX_PACKET = 0x27
};

/* Where a property may stand. */
enum
{
	IN_CONNECT = 1,
	IN_WILL = 2,
	IN_PUBLISH = 4,
	IN_SUBSCRIBE = 8,
	IN_UNSUBSCRIBE = 16,
	IN_DISCONNECT = 32,
	IN_CONNACK = 64,
	IN_SUBACK = 128
};

typedef enum PropertyType
{
	PROPERTY_UNKNOWN,
	PROPERTY_FLAG,				/* a byte, 0 or 1 */
	PROPERTY_SHORT,
	PROPERTY_LONG,
	PROPERTY_VARIABLE,
	PROPERTY_TEXT,
	PROPERTY_BINARY,
	PROPERTY_PAIR
} PropertyType;

/* All but those of AUTH, and of the answers to what is published. */
static const struct
{
	uint8_t		type;
	uint8_t		places;
}			properties[ID_MAX + 1] = {
	[0x01] = {PROPERTY_FLAG, IN_WILL | IN_PUBLISH},
	[0x02] = {PROPERTY_LONG, IN_WILL | IN_PUBLISH},
	[0x03] = {PROPERTY_TEXT, IN_WILL | IN_PUBLISH},
	[0x08] = {PROPERTY_TEXT, IN_WILL | IN_PUBLISH},
	[0x09] = {PROPERTY_BINARY, IN_WILL | IN_PUBLISH},
	[SUBSCRIPTION_ID] = {PROPERTY_VARIABLE, IN_SUBSCRIBE},
	[SESSION_EXPIRY] = {PROPERTY_LONG, IN_CONNECT | IN_DISCONNECT | IN_CONNACK},
	[ASSIGNED_CLIENT_ID] = {PROPERTY_TEXT, IN_CONNACK},
	[SERVER_KEEP_ALIVE] = {PROPERTY_SHORT, IN_CONNACK},
	[AUTH_METHOD] = {PROPERTY_TEXT, IN_CONNECT | IN_CONNACK},
	[AUTH_DATA] = {PROPERTY_BINARY, IN_CONNECT | IN_CONNACK},
	[PROBLEM_INFO] = {PROPERTY_FLAG, IN_CONNECT},
	[0x18] = {PROPERTY_LONG, IN_WILL},
	[0x19] = {PROPERTY_FLAG, IN_CONNECT},
	[0x1A] = {PROPERTY_TEXT, IN_CONNACK},
	[0x1C] = {PROPERTY_TEXT, IN_CONNACK},
	[REASON_STRING] = {PROPERTY_TEXT, IN_DISCONNECT | IN_CONNACK | IN_SUBACK},
	[RECEIVE_MAX] = {PROPERTY_SHORT, IN_CONNECT | IN_CONNACK},
	[0x22] = {PROPERTY_SHORT, IN_CONNECT | IN_CONNACK},
	[TOPIC_ALIAS] = {PROPERTY_SHORT, IN_PUBLISH},
	[MAX_QOS] = {PROPERTY_FLAG, IN_CONNACK},
	[0x25] = {PROPERTY_FLAG, IN_CONNACK},
	[USER_PROPERTY] = {PROPERTY_PAIR, IN_CONNECT | IN_WILL | IN_PUBLISH | IN_SUBSCRIBE | IN_UNSUBSCRIBE |
	IN_DISCONNECT | IN_CONNACK | IN_SUBACK},
	[MAX_PACKET] = {PROPERTY_LONG, IN_CONNECT | IN_CONNACK},
	[0x28] = {PROPERTY_FLAG, IN_CONNACK},
	[0x29] = {PROPERTY_FLAG, IN_CONNACK},
	[0x2A] = {PROPERTY_FLAG, IN_CONNACK},
};

/* --- reading --- */

/* After a read that passes the end, bad is set and everything read is 0. */
typedef struct Reader
{
	const char *at;
	const char *end;
	bool		bad;
} Reader;

static const char *
take(Reader *r, size_t n)
{
	const char *piece = r->at;

	if (r->bad || n > (size_t) (r->end - r->at))
	{
		r->bad = true;
		return NULL;
	}
	r->at += n;
	return piece;
}

static uint32_t
take_number(Reader *r, size_t bytes)
{
	const unsigned char *piece = (const unsigned char *) take(r, bytes);
	uint32_t	value = 0;

	for (size_t i = 0; piece != NULL && i < bytes; i++)
		value = value << 8 | piece[i];
	return value;
}

static uint32_t
take_variable(Reader *r)
{
	uint32_t	value = 0;

	for (int shift = 0; shift < 28; shift += 7)
	{
		uint32_t	byte = take_number(r, 1);

		value |= (byte & 0x7F) << shift;
		if ((byte & 0x80) == 0)
		{
			/* The shortest form is the only one. */
			if (byte == 0 && shift > 0)
				r->bad = true;
			return value;
		}
	}
	r->bad = true;
	return 0;
}

static Str
take_binary(Reader *r)
{
	uint32_t	len = take_number(r, 2);
	const char *piece = take(r, len);

	return (Str) {piece, piece != NULL ? len : 0};
}

static Str
take_text(Reader *r)
{
	Str			text = take_binary(r);

	if (!r->bad && !buf_valid_utf8(text.data, text.len))
		r->bad = true;
	return text;
}

static bool
seen(const MqttProperties *p, unsigned id)
{
	return (p->seen >> id & 1) != 0;
}

static int
fail(const char **reason, int code, const char *text)
{
	*reason = text;
	return code;
}

static int
parse_properties(Reader *packet, unsigned place, MqttProperties *out, const char **reason)
{
	uint32_t	len = take_variable(packet);
	const char *begin = take(packet, len);
	Reader		r = {begin, begin, false};

	memset(out, 0, sizeof(*out));
	out->problem_info = true;
	out->receive_max = UINT16_MAX;
	if (begin == NULL)
		return fail(reason, MQTT_MALFORMED, "properties cut short");
	r.end = begin + len;
	while (r.at < r.end)
	{
		uint32_t	id = take_variable(&r);
		uint32_t	value = 0;

		if (r.bad || id > ID_MAX || properties[id].type == PROPERTY_UNKNOWN ||
			(properties[id].places & place) == 0)
			return fail(reason, MQTT_MALFORMED, "property not allowed here");
		if (seen(out, id) && id != USER_PROPERTY)
			return fail(reason, MQTT_PROTOCOL_ERROR, "property given twice");
		out->seen |= UINT64_C(1) << id;
		switch ((PropertyType) properties[id].type)
		{
			case PROPERTY_FLAG:
				value = take_number(&r, 1);
				if (value > 1)
					return fail(reason, MQTT_PROTOCOL_ERROR, "property out of range");
				break;
			case PROPERTY_SHORT:
				value = take_number(&r, 2);
				break;
			case PROPERTY_LONG:
				value = take_number(&r, 4);
				break;
			case PROPERTY_VARIABLE:
				value = take_variable(&r);
				break;
			case PROPERTY_TEXT:
				take_text(&r);
				break;
			case PROPERTY_BINARY:
				take_binary(&r);
				break;
			case PROPERTY_PAIR:
				take_text(&r);
				take_text(&r);
				break;
			case PROPERTY_UNKNOWN:
				break;
		}
		if (r.bad)
			return fail(reason, MQTT_MALFORMED, "bad property");
		if ((id == RECEIVE_MAX || id == MAX_PACKET || id == SUBSCRIPTION_ID) && value == 0)
			return fail(reason, MQTT_PROTOCOL_ERROR, "property out of range");
		if (id == SESSION_EXPIRY)
			out->session_expiry = value;
		else if (id == RECEIVE_MAX)
			out->receive_max = (uint16_t) value;
		else if (id == SERVER_KEEP_ALIVE)
		{
			out->has_keep_alive = true;
			out->keep_alive = (uint16_t) value;
		}
		else if (id == MAX_PACKET)
			out->max_packet = value;
		else if (id == PROBLEM_INFO)
			out->problem_info = value != 0;
	}
	return MQTT_OK;
}

MqttHeader
mqtt_header(const char *data, size_t len, size_t *header, size_t *rest)
{
	size_t		value = 0;

	for (size_t i = 1; i <= 4; i++)
	{
		unsigned char byte;

		if (i >= len)
			return MQTT_HEADER_MORE;
		byte = (unsigned char) data[i];
		value |= (size_t) (byte & 0x7F) << 7 * (i - 1);
		if ((byte & 0x80) == 0)
		{
			*header = i + 1;
			*rest = value;
			return MQTT_HEADER_OK;
		}
	}
	return MQTT_HEADER_BAD;
}

static int
parse_will(Reader *r, uint8_t flags, MqttConnect *out, const char **reason)
{
	MqttProperties ignored;
	int			code;

	out->will_qos = flags >> 3 & 3;
	if (!out->has_will)
		return (flags & 0x38) == 0 ? MQTT_OK : fail(reason, MQTT_MALFORMED, "flags of a will without a will");
	if (out->will_qos == 3)
		return fail(reason, MQTT_MALFORMED, "QoS 3");
	if (out->version == 5 && (code = parse_properties(r, IN_WILL, &ignored, reason)) != MQTT_OK)
		return code;
	out->will_topic = take_text(r);
	take_binary(r);
	if (r->bad || out->will_topic.len == 0 || memchr(out->will_topic.data, '+', out->will_topic.len) ||
		memchr(out->will_topic.data, '#', out->will_topic.len))
		return fail(reason, MQTT_MALFORMED, "bad will");
	return MQTT_OK;
}

int
mqtt_parse_connect(const char *body, size_t len, MqttConnect *out, const char **reason)
{
	Reader		r = {body, body + len, false};
	Str			name = take_text(&r);
	uint8_t		flags;
	int			code;

	memset(out, 0, sizeof(*out));
	out->properties.problem_info = true;
	out->version = (uint8_t) take_number(&r, 1);
	if (r.bad || (!(name.len == 4 && memcmp(name.data, "MQTT", 4) == 0) &&
				  !(name.len == 6 && memcmp(name.data, "MQIsdp", 6) == 0)))
		return fail(reason, MQTT_VERSION, "not MQTT");
	if (name.len != 4 || (out->version != 4 && out->version != 5))
		return fail(reason, MQTT_VERSION, "version of MQTT not supported");
	flags = (uint8_t) take_number(&r, 1);
	out->keep_alive = (uint16_t) take_number(&r, 2);
	if (r.bad || (flags & 1) != 0)
		return fail(reason, MQTT_MALFORMED, "bad CONNECT");
	out->clean = (flags & 2) != 0;
	out->has_will = (flags & 4) != 0;
	out->has_password = (flags & 0x40) != 0;
	out->has_user = (flags & 0x80) != 0;
	if (out->version == 4 && out->has_password && !out->has_user)
		return fail(reason, MQTT_MALFORMED, "password without user name");
	if (out->version == 5)
	{
		code = parse_properties(&r, IN_CONNECT, &out->properties, reason);
		if (code != MQTT_OK)
			return code;
		if (seen(&out->properties, AUTH_DATA) && !seen(&out->properties, AUTH_METHOD))
			return fail(reason, MQTT_PROTOCOL_ERROR, "authentication data without method");
		if (seen(&out->properties, AUTH_METHOD))
			return fail(reason, MQTT_AUTH_METHOD, "extended authentication is not supported");
	}
	out->client_id = take_text(&r);
	code = parse_will(&r, flags, out, reason);
	if (code != MQTT_OK)
		return code;
	if (out->has_user)
		out->user = take_text(&r);
	if (out->has_password)
		out->password = take_binary(&r);
	if (r.bad || r.at != r.end)
		return fail(reason, MQTT_MALFORMED, "bad CONNECT");
	return MQTT_OK;
}

int
mqtt_parse_publish(uint8_t version, uint8_t flags, const char *body, size_t len,
				   MqttPublish *out, const char **reason)
{
	Reader		r = {body, body + len, false};
	MqttProperties p = {0};
	int			code;

	memset(out, 0, sizeof(*out));
	out->qos = flags >> 1 & 3;
	if (out->qos == 3)
		return fail(reason, MQTT_MALFORMED, "QoS 3");
	if (out->qos == 2)
		return fail(reason, MQTT_QOS, "QoS 2 is not supported");
	if (out->qos == 0 && (flags & 8) != 0)
		return fail(reason, MQTT_MALFORMED, "DUP with QoS 0");
	out->topic = take_text(&r);
	if (out->qos > 0)
	{
		out->id = (uint16_t) take_number(&r, 2);
		if (!r.bad && out->id == 0)
			return fail(reason, MQTT_PROTOCOL_ERROR, "packet identifier 0");
	}
	if (r.bad)
		return fail(reason, MQTT_MALFORMED, "bad PUBLISH");
	if (version == 5)
	{
		code = parse_properties(&r, IN_PUBLISH, &p, reason);
		if (code != MQTT_OK)
			return code;
		if (seen(&p, TOPIC_ALIAS))
			return fail(reason, MQTT_TOPIC_ALIAS, "topic alias, of which none is allowed");
	}
	if (out->topic.len == 0)
		return fail(reason, MQTT_PROTOCOL_ERROR, "empty topic");
	if (memchr(out->topic.data, '+', out->topic.len) || memchr(out->topic.data, '#', out->topic.len))
		return fail(reason, MQTT_MALFORMED, "wildcard in the topic of PUBLISH");
	out->payload = (Str) {r.at, (uint32_t) (r.end - r.at)};
	return MQTT_OK;
}

static bool
filter_valid(Str filter)
{
	for (uint32_t i = 0; i < filter.len; i++)
	{
		char		c = filter.data[i];

		if (c != '+' && c != '#')
			continue;
		if ((i > 0 && filter.data[i - 1] != '/') ||
			(c == '#' && i + 1 < filter.len) ||
			(c == '+' && i + 1 < filter.len && filter.data[i + 1] != '/'))
			return false;
	}
	return filter.len > 0;
}

int
mqtt_parse_filters(uint8_t version, bool subscribe, const char *body, size_t len,
				   uint16_t *id, MqttFilters *filters, const char **reason)
{
	Reader		r = {body, body + len, false};
	MqttProperties p;
	int			code;

	memset(filters, 0, sizeof(*filters));
	*id = (uint16_t) take_number(&r, 2);
	if (!r.bad && *id == 0)
		return fail(reason, MQTT_PROTOCOL_ERROR, "packet identifier 0");
	if (!r.bad && version == 5)
	{
		code = parse_properties(&r, subscribe ? IN_SUBSCRIBE : IN_UNSUBSCRIBE, &p, reason);
		if (code != MQTT_OK)
			return code;
	}
	filters->at = r.at;
	filters->end = r.end;
	while (!r.bad && r.at < r.end)
	{
		Str			filter = take_text(&r);
		uint32_t	options = subscribe ? take_number(&r, 1) : 0;

		if (r.bad || !filter_valid(filter) || (options & 3) == 3 || (options & 0xC0) != 0 ||
			(version == 4 && options > 2) || (options & 0x30) == 0x30)
			return fail(reason, MQTT_MALFORMED, "bad topic filter");
		filters->n++;
	}
	if (r.bad)
		return fail(reason, MQTT_MALFORMED, "bad subscription");
	if (filters->n == 0)
		return fail(reason, MQTT_PROTOCOL_ERROR, "no topic filter");
	return MQTT_OK;
}

bool
mqtt_next_filter(MqttFilters *filters, bool subscribe, Str *filter, uint8_t *qos)
{
	Reader		r = {filters->at, filters->end, false};

	if (r.at == r.end)
		return false;
	*filter = take_text(&r);
	*qos = subscribe ? (uint8_t) take_number(&r, 1) & 3 : 0;
	filters->at = r.at;
	return !r.bad;
}

int
mqtt_parse_puback(uint8_t version, const char *body, size_t len, uint16_t *id, const char **reason)
{
	Reader		r = {body, body + len, false};

	/* A reason and properties may follow in MQTT 5; neither matters. */
	*id = (uint16_t) take_number(&r, 2);
	if (r.bad || *id == 0 || (version == 4 && r.at != r.end))
		return fail(reason, MQTT_MALFORMED, "bad PUBACK");
	return MQTT_OK;
}

int
mqtt_parse_disconnect(uint8_t version, const char *body, size_t len, uint8_t *code,
					  MqttProperties *p, const char **reason)
{
	Reader		r = {body, body + len, false};

	*code = MQTT_OK;
	memset(p, 0, sizeof(*p));
	if (version == 5 && len > 0)
		*code = (uint8_t) take_number(&r, 1);
	if (version == 5 && len > 1)
	{
		int			bad = parse_properties(&r, IN_DISCONNECT, p, reason);

		if (bad != MQTT_OK)
			return bad;
	}
	if (r.at != r.end)
		return fail(reason, MQTT_MALFORMED, "bad DISCONNECT");
	return MQTT_OK;
}

int
mqtt_parse_connack(uint8_t version, const char *body, size_t len, uint8_t *code, bool *present,
				   MqttProperties *p, const char **reason)
{
	Reader		r = {body, body + len, false};
	uint32_t	flags = take_number(&r, 1);

	memset(p, 0, sizeof(*p));
	*code = (uint8_t) take_number(&r, 1);
	*present = (flags & 1) != 0;
	if (r.bad || (flags & 0xFE) != 0)
		return fail(reason, MQTT_MALFORMED, "bad CONNACK");
	/* A server that knows no MQTT 5 refuses in the form of before. */
	if (version == 5 && !(*code != MQTT_OK && r.at == r.end))
	{
		int			bad = parse_properties(&r, IN_CONNACK, p, reason);

		if (bad != MQTT_OK)
			return bad;
	}
	if (r.at != r.end)
		return fail(reason, MQTT_MALFORMED, "bad CONNACK");
	return MQTT_OK;
}

int
mqtt_parse_suback(uint8_t version, const char *body, size_t len, uint16_t *id, uint8_t *code,
				  const char **reason)
{
	Reader		r = {body, body + len, false};

	*id = (uint16_t) take_number(&r, 2);
	if (version == 5 && !r.bad)
	{
		MqttProperties p;
		int			bad = parse_properties(&r, IN_SUBACK, &p, reason);

		if (bad != MQTT_OK)
			return bad;
	}
	*code = (uint8_t) take_number(&r, 1);
	if (r.bad || r.at != r.end)
		return fail(reason, MQTT_MALFORMED, "bad SUBACK");
	return MQTT_OK;
}

/* --- writing --- */

static bool
add_variable(Buf *out, size_t value)
{
	unsigned char bytes[4];
	size_t		n = 0;

	do
	{
		bytes[n] = value & 0x7F;
		value >>= 7;
		if (value > 0)
			bytes[n] |= 0x80;
		n++;
	} while (value > 0 && n < sizeof(bytes));
	return buf_add(out, bytes, n);
}

/* What CONNACK says in 3.1.1. */
static unsigned char
return_code(uint8_t code)
{
	switch (code)
	{
		case MQTT_OK:
			return 0;
		case MQTT_VERSION:
			return 1;
		case MQTT_CLIENT_ID:
			return 2;
		case MQTT_UNAVAILABLE:
		case MQTT_BUSY:
			return 3;
		case MQTT_CREDENTIALS:
			return 4;
		default:
			return 5;
	}
}

bool
mqtt_add_connack(Buf *out, const MqttConnack *connack)
{
	unsigned char body[64];
	size_t		n = 0;
	unsigned char begin[3];

	if (connack->version != 5)
	{
		unsigned char packet[4] = {MQTT_CONNACK << 4, 2, 0, return_code(connack->code)};

		return buf_add(out, packet, sizeof(packet));
	}
	if (connack->code == MQTT_OK)
	{
		body[n++] = MAX_QOS;
		body[n++] = 1;
	}
	if (connack->expiry_zero)
	{
		body[n++] = SESSION_EXPIRY;
		memset(body + n, 0, 4);
		n += 4;
	}
	if (connack->max_packet > 0)
	{
		body[n++] = MAX_PACKET;
		for (int shift = 24; shift >= 0; shift -= 8)
			body[n++] = (unsigned char) (connack->max_packet >> shift);
	}
	if (connack->assigned_id.len > 0 && connack->assigned_id.len <= sizeof(body) - n - 3)
	{
		body[n++] = ASSIGNED_CLIENT_ID;
		body[n++] = 0;
		body[n++] = (unsigned char) connack->assigned_id.len;
		memcpy(body + n, connack->assigned_id.data, connack->assigned_id.len);
		n += connack->assigned_id.len;
	}
	begin[0] = 0;				/* no session was present */
	begin[1] = connack->code;
	begin[2] = (unsigned char) n;
	return buf_add(out, "\x20", 1) && add_variable(out, n + sizeof(begin)) &&
		buf_add(out, begin, sizeof(begin)) && buf_add(out, body, n);
}

bool
mqtt_add_puback(Buf *out, uint8_t version, uint16_t id, uint8_t code, Str text)
{
	unsigned char begin[2] = {(unsigned char) (id >> 8), (unsigned char) id};

	if (version != 5 || code == MQTT_OK)
		return buf_add(out, "\x40\x02", 2) && buf_add(out, begin, 2);
	if (text.len == 0 || text.len > 100)
		return buf_add(out, "\x40\x03", 2) && buf_add(out, begin, 2) && buf_add(out, &code, 1);
	else
	{
		unsigned char middle[5] = {code, (unsigned char) (text.len + 3), REASON_STRING, 0, (unsigned char) text.len};

		return buf_add(out, "\x40", 1) && add_variable(out, 2 + sizeof(middle) + text.len) &&
			buf_add(out, begin, 2) && buf_add(out, middle, sizeof(middle)) &&
			buf_add(out, text.data, text.len);
	}
}

bool
mqtt_add_suback(Buf *out, uint8_t version, bool subscribe, uint16_t id, size_t filters,
				unsigned char **codes)
{
	unsigned char type = (unsigned char) ((subscribe ? MQTT_SUBACK : MQTT_UNSUBACK) << 4);
	unsigned char begin[3] = {(unsigned char) (id >> 8), (unsigned char) id, 0};
	size_t		nbegin = version == 5 ? 3 : 2;
	unsigned char code = !subscribe ? MQTT_NO_SUBSCRIPTION :
		version == 5 ? MQTT_NOT_AUTHORIZED : MQTT_UNSPECIFIED;
	char	   *written;

	*codes = NULL;
	if (!subscribe && version != 5)
		filters = 0;			/* its UNSUBACK has no codes */
	if (!buf_add(out, &type, 1) || !add_variable(out, nbegin + filters) || !buf_add(out, begin, nbegin))
		return false;
	if (filters == 0)
		return true;
	written = buf_reserve(out, filters);
	if (written == NULL)
		return false;
	memset(written, code, filters);
	*codes = (unsigned char *) written;
	buf_commit(out, filters);
	return true;
}

bool
mqtt_add_disconnect(Buf *out, uint8_t code)
{
	unsigned char packet[3] = {MQTT_DISCONNECT << 4, 1, code};

	return buf_add(out, packet, sizeof(packet));
}

static size_t
put_number(unsigned char *at, size_t bytes, uint32_t value)
{
	for (size_t i = 0; i < bytes; i++)
		at[i] = (unsigned char) (value >> 8 * (bytes - 1 - i));
	return bytes;
}

static bool
add_text(Buf *out, Str text)
{
	unsigned char length[2];

	put_number(length, 2, text.len);
	return text.len <= UINT16_MAX && buf_add(out, length, 2) && (text.len == 0 || buf_add(out, text.data, text.len));
}

bool
mqtt_add_connect(Buf *out, const MqttConnect *connect)
{
	unsigned char begin[24];
	size_t		n = 0;

	n += put_number(begin, 2, 4);
	memcpy(begin + n, "MQTT", 4);
	n += 4;
	begin[n++] = connect->version;
	begin[n++] = (unsigned char) ((connect->clean ? 2 : 0) | (connect->has_password ? 0x40 : 0) |
								  (connect->has_user ? 0x80 : 0));
	n += put_number(begin + n, 2, connect->keep_alive);
	if (connect->version == 5)
	{
		begin[n++] = 8;			/* bytes of properties */
		begin[n++] = SESSION_EXPIRY;
		n += put_number(begin + n, 4, connect->properties.session_expiry);
		begin[n++] = RECEIVE_MAX;
		n += put_number(begin + n, 2, connect->properties.receive_max);
	}
	return buf_add(out, "\x10", 1) &&
		add_variable(out, n + 2 + connect->client_id.len +
					 (connect->has_user ? 2 + connect->user.len : 0) +
					 (connect->has_password ? 2 + connect->password.len : 0)) &&
		buf_add(out, begin, n) && add_text(out, connect->client_id) &&
		(!connect->has_user || add_text(out, connect->user)) &&
		(!connect->has_password || add_text(out, connect->password));
}

bool
mqtt_add_publish(Buf *out, uint8_t version, uint16_t id, Str topic, Str payload)
{
	unsigned char begin[2] = {(unsigned char) (id >> 8), (unsigned char) id};
	size_t		nid = id != 0 ? 2 : 0;
	size_t		nproperties = version == 5 ? 1 : 0;

	return buf_add(out, id != 0 ? "\x32" : "\x30", 1) &&
		add_variable(out, 2 + topic.len + nid + nproperties + payload.len) &&
		add_text(out, topic) && buf_add(out, begin, nid) && buf_add(out, "\0", nproperties) &&
		buf_add(out, payload.data, payload.len);
}

bool
mqtt_add_subscribe(Buf *out, uint8_t version, uint16_t id, Str filter)
{
	unsigned char begin[3] = {(unsigned char) (id >> 8), (unsigned char) id, 0};
	size_t		nbegin = version == 5 ? 3 : 2;
	/* QoS 1; in MQTT 5 without what is retained, which was sent before */
	unsigned char options = version == 5 ? 0x21 : 1;

	return buf_add(out, "\x82", 1) && add_variable(out, nbegin + 2 + filter.len + 1) &&
		buf_add(out, begin, nbegin) && add_text(out, filter) && buf_add(out, &options, 1);
}
