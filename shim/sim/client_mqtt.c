/*
 * client_mqtt.c
 *	  MQTT 5, QoS 1: each document is a PUBLISH to telemetry/VEHICLE and waits
 *	  for its PUBACK; the daemon answers in order.
 */
#include "client_mqtt.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CONTROL_BYTES (256 * 1024)	/* packets are made while fewer wait to be written */

static void
put_short(Buffer *out, size_t value)
{
	buffer_add_char(out, (char) (value >> 8));
	buffer_add_char(out, (char) value);
}

static void
put_text(Buffer *out, const char *text, size_t len)
{
	put_short(out, len);
	buffer_add(out, text, len);
}

static void
put_header(Buffer *out, int first, size_t rest)
{
	buffer_add_char(out, (char) first);
	do
	{
		buffer_add_char(out, (char) ((rest & 0x7F) | (rest > 0x7F ? 0x80 : 0)));
		rest >>= 7;
	} while (rest > 0);
}

void
mqtt_put_connect(Buffer *out, const ClientOptions *o, int number)
{
	const char *user = o->mapping ? o->mapping : "default";
	char		client[64];
	int			n = snprintf(client, sizeof(client), "fleetsim-%d-%d", (int) getpid(), number);

	put_header(out, 0x10, 11 + 2 + n + 2 + strlen(user) + 2 + strlen(o->token));
	put_text(out, "MQTT", 4);
	buffer_add(out, "\5\xC2\0\0\0", 5);	/* version, flags, no keep-alive, no properties */
	put_text(out, client, n);
	put_text(out, user, strlen(user));
	put_text(out, o->token, strlen(o->token));
}

/* What follows "name": without quotes; what is broken has none. */
static bool
find_member(const char *document, size_t len, const char *name, const char **value, size_t *value_len)
{
	const char *at = memmem(document, len, name, strlen(name));
	const char *end = document + len;
	const char *stop;

	if (!at)
		return false;
	at += strlen(name);
	if (at < end && *at == '"')
		at++;
	stop = at;
	while (stop < end && !strchr("\",}/+#", *stop) && (unsigned char) *stop > ' ')
		stop++;
	*value = at;
	*value_len = stop - at;
	return stop > at && stop - at < 128;
}

size_t
mqtt_put_publish(Buffer *out, uint16_t id, const char *document, size_t len)
{
	static const char prefix[] = "telemetry/";
	const char *vehicle;
	size_t		vehicle_len;
	size_t		at;

	if (!find_member(document, len, "\"vehicle_id\":", &vehicle, &vehicle_len) &&
		!find_member(document, len, "\"device\":", &vehicle, &vehicle_len))
	{
		vehicle = "unknown";
		vehicle_len = strlen(vehicle);
	}
	put_header(out, 0x32, 2 + sizeof(prefix) - 1 + vehicle_len + 2 + 1 + len);
	put_short(out, sizeof(prefix) - 1 + vehicle_len);
	buffer_add_string(out, prefix);
	buffer_add(out, vehicle, vehicle_len);
	at = out->len;
	put_short(out, id);
	buffer_add_char(out, 0);	/* no properties */
	buffer_add(out, document, len);
	return at;
}

int
mqtt_take_answer(const char *data, size_t len, MqttAnswer *out)
{
	const unsigned char *p = (const unsigned char *) data;
	size_t		rest = 0;
	size_t		header = 1;

	for (int shift = 0;; shift += 7)
	{
		if (shift > 21)
			return -1;
		if (header >= len)
			return 0;
		rest |= (size_t) (p[header] & 0x7F) << shift;
		if ((p[header++] & 0x80) == 0)
			break;
	}
	if (rest > len - header)
		return 0;
	*out = (MqttAnswer) {.type = p[0] >> 4};
	p += header;
	switch (out->type)
	{
		case 2:
			if (rest < 2)
				return -1;
			out->code = p[1];
			break;
		case 4:
			if (rest < 2)
				return -1;
			out->id = (uint16_t) (p[0] << 8 | p[1]);
			out->code = rest > 2 ? p[2] : 0;
			/* Properties: length, reason string, its length. */
			if (rest > 7 && p[3] < 0x80 && p[4] == 0x1F && (size_t) (p[5] << 8 | p[6]) <= rest - 7)
			{
				out->text = (const char *) p + 7;
				out->text_len = p[5] << 8 | p[6];
			}
			break;
		case 14:
			out->code = rest > 0 ? p[0] : 0;
			break;
		default:
			return -1;
	}
	return (int) (header + rest);
}

static void
mqtt_opened(Lane *lane)
{
	mqtt_put_connect(&lane->control, &lane->client->options, lane->number);
	lane_set_state(lane, LANE_GREETING);
}

static void
mqtt_produce(Lane *lane)
{
	Outbox	   *o = &lane->outbox;

	while (lane->in_request < outbox_entries(o) && lane->in_request < MQTT_IN_FLIGHT_MAX &&
		   lane->control.len - lane->control_offset < CONTROL_BYTES)
	{
		const OutboxEntry *entry = &o->entries[o->head + lane->in_request];

		/* Without the newline. */
		mqtt_put_publish(&lane->control, mqtt_packet_id(lane->decided + lane->in_request),
						 o->bytes.data + o->sent_offset, entry->len - 1);
		o->sent_offset += entry->len;
		lane->in_request++;
	}
}

static bool
take_puback(Lane *lane, const MqttAnswer *answer, const char **reason)
{
	const ClientEvents *events = &lane->client->events;
	uint64_t	id;
	char		text[128];
	char	   *colon;

	if (lane->in_request == 0 || answer->id != mqtt_packet_id(lane->decided))
	{
		*reason = "it acknowledged out of order";
		return false;
	}
	id = outbox_take(&lane->outbox);
	lane->in_request--;
	lane->decided++;
	if (answer->code < 0x80)
	{
		events->acked(events->context, id);
		return true;
	}
	snprintf(text, sizeof(text), "%.*s", answer->text ? (int) answer->text_len : 7, answer->text ? answer->text : "unnamed");
	colon = strchr(text, ':');
	if (colon)
		*colon = '\0';
	events->rejected(events->context, id, text, colon ? colon + 1 : NULL);
	return true;
}

static bool
take_packet(Lane *lane, const MqttAnswer *answer, const char **reason)
{
	if (answer->type == 14)
	{
		*reason = "the daemon disconnected";
		return false;
	}
	if (lane->state != LANE_GREETING)
		return answer->type == 4 && take_puback(lane, answer, reason);
	if (answer->type == 2 && answer->code == 0)
	{
		lane_set_state(lane, LANE_READY);
		return true;
	}
	/* Wrong credentials stay wrong; a missing database comes back. */
	if (answer->type == 2 && answer->code != 0x88)
		die("the daemon refused the connection: reason code 0x%02x", answer->code);
	*reason = "the daemon is not ready";
	return false;
}

static bool
mqtt_receive(Lane *lane, const char **reason)
{
	size_t		done = 0;
	bool		ok = true;

	*reason = "an answer that is not understood";
	while (ok)
	{
		MqttAnswer	answer;
		int			len = mqtt_take_answer(lane->input.data + done, lane->input.len - done, &answer);

		if (len == 0)
			break;
		ok = len > 0 && take_packet(lane, &answer, reason);
		if (ok)
			done += len;
	}
	memmove(lane->input.data, lane->input.data + done, lane->input.len - done);
	lane->input.len -= done;
	return ok;
}

const Protocol protocol_mqtt = {
	.name = "mqtt",
	.streams = false,
	.opened = mqtt_opened,
	.produce = mqtt_produce,
	.receive = mqtt_receive
};
