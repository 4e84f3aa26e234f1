/*
 * encode_tesla.c
 *	  Messages as cars send them: protobuf in a FlatBuffer in a WebSocket frame.
 *	  Cars of even numbers send typed values, the others text, as old firmware does.
 *
 * It shares nothing with the daemon's adapter, so that each proves the other.
 */
#include "encode_tesla.h"

#include <math.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "dialect.h"

#define KMH_PER_MPH 1.609344
#define MILE 1.609344
#define STEPS 1000.0			/* of all numbers */
#define US_PER_SECOND 1000000
#define KEY "ZmxlZXRzaW0ncyBhIGNhcg=="	/* of 16 bytes; it proves nothing, so one is enough */
#define MAGIC "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define TXID_MAX 64

/* Wire types, and members of a value. */
enum
{
	WIRE_VARINT = 0, WIRE_DOUBLE = 1, WIRE_BYTES = 2,
	VALUE_TEXT = 1, VALUE_DOUBLE = 5, VALUE_BOOLEAN = 6, VALUE_PLACE = 7, VALUE_CHARGE_STATE = 32
};

enum
{
	FIELD_SPEED = 4, FIELD_LOCATION = 21, FIELD_HEADING = 23, FIELD_CHARGE_STATE = 179
};

enum
{
	STATE_DISCONNECTED = 1, STATE_CHARGING = 4
};

static const struct
{
	const char *signal;
	int			field;
	double		unit;			/* of the wire, in the signal's; 0: a boolean */
}			fields[] = {
	{"battery_percent", 8, 1},
	{"battery_voltage_v", 6, 1},
	{"battery_current_a", 7, 1},
	{"odometer_km", 5, MILE},
	{"locked", 59, 0}
};

#define NFIELDS (sizeof(fields) / sizeof(fields[0]))

/* The number in "car-7", and in "7". */
static uint64_t
number_of(const char *device)
{
	return strtoull(device + strcspn(device, "0123456789"), NULL, 10);
}

static bool
is_typed(const char *device)
{
	return number_of(device) % 2 == 0;
}

static double
stepped(double value, double unit)
{
	return round(value / unit * STEPS) / STEPS;
}

static const MessageSignal *
signal_of(const Message *m, const char *name)
{
	for (int i = 0; i < m->signal_count; i++)
		if (strcmp(m->signals[i].name, name) == 0)
			return &m->signals[i];
	return NULL;
}

static void
tesla_reduce(Message *m)
{
	Message		full = *m;
	const MessageSignal *charging = signal_of(&full, "charging");

	if (m->device[0] != 'c')
		snprintf(m->device, sizeof(m->device), "car-%llu", (unsigned long long) number_of(full.device));
	m->altitude_m = m->accuracy_m = NAN;
	m->speed_kmh = stepped(m->speed_kmh, KMH_PER_MPH) * KMH_PER_MPH;
	m->heading_deg = fmod(stepped(m->heading_deg, 1), 360);
	m->signal_count = 0;
	for (size_t i = 0; i < NFIELDS; i++)
	{
		const MessageSignal *s = signal_of(&full, fields[i].signal);

		if (s != NULL && fields[i].unit == 0)
			message_add_boolean(m, s->name, s->number != 0);
		else if (s != NULL)
			message_add_number(m, s->name, stepped(s->number, fields[i].unit) * fields[i].unit);
	}
	if (charging == NULL)
		return;
	if (is_typed(m->device))
	{
		message_add_boolean(m, "charging", charging->number != 0);
		message_add_text(m, "charge_state", charging->number != 0 ? "Charging" : "Disconnected");
	}
	else
		message_add_text(m, "detailed_charge_state", charging->number != 0 ? "Charging" : "Disconnected");
}

/* --- protobuf --- */

static void
add_varint(Buffer *out, uint64_t value)
{
	while (value > 0x7F)
	{
		buffer_add_char(out, (char) (value | 0x80));
		value >>= 7;
	}
	buffer_add_char(out, (char) value);
}

static void
add_tag(Buffer *out, int number, int wire)
{
	add_varint(out, (uint64_t) (number << 3 | wire));
}

static void
add_bytes(Buffer *out, int number, const Buffer *bytes)
{
	add_tag(out, number, WIRE_BYTES);
	add_varint(out, bytes->len);
	buffer_add(out, bytes->data, bytes->len);
}

static void
add_double(Buffer *out, int number, double value)
{
	uint64_t	bits;

	add_tag(out, number, WIRE_DOUBLE);
	memcpy(&bits, &value, sizeof(bits));
	for (int i = 0; i < 8; i++)
		buffer_add_char(out, (char) (bits >> 8 * i));
}

static void
add_integer(Buffer *out, int number, uint64_t value)
{
	add_tag(out, number, WIRE_VARINT);
	add_varint(out, value);
}

/* A field with its value, which is emptied. */
static void
add_datum(Buffer *out, int field, Buffer *value)
{
	Buffer		datum = {0};

	add_integer(&datum, 1, (uint64_t) field);
	add_bytes(&datum, 2, value);
	add_bytes(out, 1, &datum);
	buffer_free(&datum);
	value->len = 0;
}

static void
add_text_value(Buffer *value, const char *text)
{
	Buffer		bytes = {0};

	buffer_add_string(&bytes, text);
	add_bytes(value, VALUE_TEXT, &bytes);
	buffer_free(&bytes);
}

static void
add_number(Buffer *out, int field, bool typed, double number)
{
	Buffer		value = {0};
	char		text[32];

	snprintf(text, sizeof(text), "%.3f", number);
	if (typed)
		add_double(&value, VALUE_DOUBLE, number);
	else
		add_text_value(&value, text);
	add_datum(out, field, &value);
	buffer_free(&value);
}

static void
add_place(Buffer *out, bool typed, double latitude, double longitude)
{
	Buffer		value = {0};
	Buffer		place = {0};
	char		text[64];

	snprintf(text, sizeof(text), "(%.7f %c, %.7f %c)", fabs(latitude), latitude < 0 ? 'S' : 'N',
			 fabs(longitude), longitude < 0 ? 'W' : 'E');
	add_double(&place, 1, latitude);
	add_double(&place, 2, longitude);
	if (typed)
		add_bytes(&value, VALUE_PLACE, &place);
	else
		add_text_value(&value, text);
	add_datum(out, FIELD_LOCATION, &value);
	buffer_free(&place);
	buffer_free(&value);
}

static void
tesla_record(Buffer *out, const Message *m)
{
	bool		typed = is_typed(m->device);
	const MessageSignal *state = signal_of(m, typed ? "charge_state" : "detailed_charge_state");
	Buffer		value = {0};

	add_place(out, typed, m->latitude, m->longitude);
	add_number(out, FIELD_SPEED, typed, stepped(m->speed_kmh, KMH_PER_MPH));
	add_number(out, FIELD_HEADING, typed, m->heading_deg);
	for (size_t i = 0; i < NFIELDS; i++)
	{
		const MessageSignal *s = signal_of(m, fields[i].signal);

		if (s == NULL)
			continue;
		if (fields[i].unit != 0)
			add_number(out, fields[i].field, typed, stepped(s->number, fields[i].unit));
		else
		{
			if (typed)
				add_integer(&value, VALUE_BOOLEAN, s->number != 0);
			else
				add_text_value(&value, s->number != 0 ? "true" : "false");
			add_datum(out, fields[i].field, &value);
		}
	}
	if (state != NULL)
	{
		if (typed)
			add_integer(&value, VALUE_CHARGE_STATE, strcmp(state->text, "Charging") == 0 ? STATE_CHARGING : STATE_DISCONNECTED);
		else
			add_text_value(&value, state->text);
		add_datum(out, FIELD_CHARGE_STATE, &value);
	}
	add_integer(&value, 1, (uint64_t) (m->time_us / US_PER_SECOND));
	add_integer(&value, 2, (uint64_t) (m->time_us % US_PER_SECOND * 1000));
	add_bytes(out, 2, &value);
	buffer_free(&value);
}

/* --- the FlatBuffer --- */

static void
put_le(char *at, uint64_t value, int bytes)
{
	for (int i = 0; i < bytes; i++)
		at[i] = (char) (value >> 8 * i);
}

static uint32_t
get_le(const unsigned char *at, int bytes)
{
	uint32_t	value = 0;

	for (int i = bytes; i > 0; i--)
		value = value << 8 | at[i - 1];
	return value;
}

/* A vector at the end, and at `field` the way to it. */
static void
add_vector(Buffer *out, size_t begin, size_t field, const char *data, size_t len)
{
	char		length[4];

	buffer_add(out, "\0\0\0", -(out->len - begin) & 3);
	put_le(out->data + begin + field, out->len - begin - field, 4);
	put_le(length, len, 4);
	buffer_add(out, length, 4);
	buffer_add(out, data, len);
}

/* 0 root, 4 vtables of envelope and message, 28 envelope, 48 message, 60 vectors */
static void
add_envelope(Buffer *out, const char *txid, const char *payload, size_t len)
{
	static const char tables[28] = {28, 0, 0, 0,
		12, 0, 20, 0, 4, 0, 8, 0, 16, 0, 12, 0,	/* id, topic, type, message */
	10, 0, 12, 0, 0, 0, 0, 0, 8, 0, 0, 0};	/* payload */
	size_t		begin = out->len;
	char		fixed[60] = {0};

	memcpy(fixed, tables, sizeof(tables));
	put_le(fixed + 28, 28 - 4, 4);
	put_le(fixed + 40, 48 - 40, 4);
	fixed[44] = 4;				/* a message */
	put_le(fixed + 48, 48 - 16, 4);
	buffer_add(out, fixed, sizeof(fixed));
	add_vector(out, begin, 32, txid, strlen(txid));
	add_vector(out, begin, 36, "V", 1);
	add_vector(out, begin, 56, payload, len);
}

/* --- the WebSocket --- */

void
tesla_put_message(Buffer *out, const char *txid, const char *payload, size_t len)
{
	/* It guards proxies against pages of browsers, not this; so it may be known. */
	static const char mask[4] = {0x5a, 0x3c, 0x0f, 0x71};
	Buffer		message = {0};

	add_envelope(&message, txid, payload, len);
	if (message.len > UINT16_MAX)
		die("a car's message is too long");
	buffer_add_char(out, (char) 0x82);
	buffer_add_char(out, (char) (0x80 | (message.len < 126 ? message.len : 126)));
	if (message.len >= 126)
	{
		buffer_add_char(out, (char) (message.len >> 8));
		buffer_add_char(out, (char) message.len);
	}
	buffer_add(out, mask, sizeof(mask));
	for (size_t i = 0; i < message.len; i++)
		message.data[i] ^= mask[i % 4];
	buffer_add(out, message.data, message.len);
	buffer_free(&message);
}

/* Type and id of an answer; false when it is none.  Its first table has them. */
static bool
read_answer(const unsigned char *p, size_t len, TeslaAnswer *out)
{
	uint32_t	table = len < 8 ? UINT32_MAX : get_le(p, 4);
	int64_t		vtable;
	uint32_t	type_at;
	uint32_t	txid_at;
	uint32_t	vector;

	if (table > len - 4)
		return false;
	vtable = (int64_t) table - (int32_t) get_le(p + table, 4);
	if (vtable < 0 || (size_t) vtable > len - 4 || get_le(p + vtable, 2) < 10 || get_le(p + vtable, 2) > len - (size_t) vtable)
		return false;
	txid_at = table + get_le(p + vtable + 4, 2);
	type_at = table + get_le(p + vtable + 8, 2);
	if (txid_at == table || type_at == table || txid_at > len - 4 || type_at >= len)
		return false;
	vector = get_le(p + txid_at, 4);
	if (vector > len - 4 - txid_at)
		return false;
	vector += txid_at;
	out->txid_len = get_le(p + vector, 4);
	if (out->txid_len > len - 4 - vector)
		return false;
	out->txid = (const char *) p + vector + 4;
	out->kind = p[type_at] == 5 ? TESLA_ANSWER_STORED : TESLA_ANSWER_REFUSED;
	return p[type_at] == 5 || p[type_at] == 4;
}

int
tesla_take_answer(const char *data, size_t len, TeslaAnswer *out)
{
	const unsigned char *p = (const unsigned char *) data;
	size_t		head = 2;
	size_t		length;

	if (len < 4)
		return 0;
	length = p[1];
	if (length == 126)
	{
		length = (size_t) p[2] << 8 | p[3];
		head = 4;
	}
	else if (length > 126)
		return -1;
	if (length > len - head)
		return 0;
	out->kind = TESLA_ANSWER_CLOSED;
	if (p[0] != 0x88 && (p[0] != 0x82 || !read_answer(p + head, length, out)))
		return -1;
	return (int) (head + length);
}

/* --- the dialect --- */

static void
tesla_login(Buffer *out, const char *device)
{
	(void) device;
	buffer_add_string(out, "GET / HTTP/1.1\r\nHost: fleet\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
					  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " KEY "\r\n\r\n");
}

/* Is that the answer to our key? */
static bool
is_welcome(const char *head, size_t len)
{
	static const char text[] = KEY MAGIC;
	unsigned char digest[EVP_MAX_MD_SIZE];
	char		expected[64] = "\r\nSec-WebSocket-Accept: ";
	size_t		n = strlen(expected);

	if (len < 12 || memcmp(head, "HTTP/1.1 101", 12) != 0 ||
		EVP_Digest(text, sizeof(text) - 1, digest, NULL, EVP_sha1(), NULL) != 1)
		return false;
	n += (size_t) EVP_EncodeBlock((unsigned char *) expected + n, digest, 20);
	memcpy(expected + n, "\r\n", 2);
	return memmem(head, len, expected, n + 2) != NULL;
}

/* Each record is a message of its own; their ids count from 0. */
static void
tesla_packet(Buffer *out, const char *device, const DialectRecord *records, int count)
{
	char		txid[TXID_MAX];

	(void) device;
	for (int i = 0; i < count; i++)
	{
		snprintf(txid, sizeof(txid), "%d", i);
		tesla_put_message(out, txid, records[i].data, records[i].len);
	}
}

static int
tesla_answer(const char *in, size_t len, bool login, int *taken)
{
	TeslaAnswer answer = {0};
	const char *end;
	int			used;

	if (login)
	{
		end = memmem(in, len, "\r\n\r\n", 4);
		if (end == NULL)
			return 0;
		*taken = is_welcome(in, (size_t) (end + 4 - in));
		return (int) (end + 4 - in);
	}
	used = tesla_take_answer(in, len, &answer);
	*taken = used > 0 && answer.kind == TESLA_ANSWER_STORED;
	return used > 0 && answer.kind == TESLA_ANSWER_CLOSED ? -1 : used;
}

const Dialect dialect_tesla = {
	.name = "tesla",
	.records_max = 100,
	.reduce = tesla_reduce,
	.record = tesla_record,
	.login = tesla_login,
	.packet = tesla_packet,
	.answer = tesla_answer
};
