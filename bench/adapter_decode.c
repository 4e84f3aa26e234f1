/*
 * adapter_decode.c
 *	  What one message costs an adapter: frame(), decode() and ack(), without
 *	  sockets and without the database.  A protocol is a row of messages[].
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "adapter.h"
#include "mapping.h"

#define ROUNDS 5
#define MESSAGES 100000

static const char mqtt_login[] = "\x10\x14\0\4MQTT\5\xC2\0\x3C\0\0\1c\0\1u\0\1T";
static const char mqtt_message[] =
	"\x32\xF5\3\0\x0Ftelemetry/12345\0\1\0"
	"{\"vehicle_id\":12345,\"timestamp\":\"2025-01-15T14:32:18.123Z\",\"location\":{\"lat\":50.1105,\"lon\":8.6821,"
	"\"altitude\":112.5,\"accuracy\":5.2},\"battery\":{\"percent\":68,\"voltage\":48.2,\"current\":3.5,\"temperature\":32.1,"
	"\"charging\":false},\"motion\":{\"speed_kmh\":18.5,\"heading\":245,\"acceleration\":{\"x\":0.2,\"y\":-0.1,\"z\":9.8}},"
	"\"vehicle_status\":{\"locked\":false,\"in_use\":true,\"trip_id\":\"a1b2c3d4-e5f6-7890-abcd-ef1234567890\"},"
	"\"diagnostics\":{\"odometer_km\":2458,\"error_codes\":[],\"last_maintenance_km\":2100}}";

static const struct
{
	const Adapter *adapter;
	const char *login;			/* becomes DECODE_HELLO; NULL: none */
	size_t		login_len;
	const char *message;
	size_t		message_len;
}			messages[] = {
	{&adapter_mqtt, mqtt_login, sizeof(mqtt_login) - 1, mqtt_message, sizeof(mqtt_message) - 1},
};

static Record record;
static Buf	out;
static size_t records;

static void
on_record(void *arg, const Record *r)
{
	(void) arg;
	if (r->defect.len > 0)
	{
		fprintf(stderr, "%.*s\n", (int) r->defect.len, r->defect.data);
		exit(1);
	}
	records++;
}

static uint32_t
take(const Adapter *adapter, Session *session, const char *data, size_t len, DecodeStatus expected)
{
	Decoded		decoded;
	Frame		frame = {data, 0, NULL};

	decoded.emit = on_record;
	decoded.record = &record;
	decoded.reply = &out;
	decoded.tag = 0;
	if (adapter->frame(session, data, len, &frame) != FRAME_READY || frame.length != len ||
		adapter->decode(session, &frame, &decoded) != expected)
	{
		fprintf(stderr, "%s does not take its message\n", adapter->name);
		exit(1);
	}
	return decoded.tag;
}

int
main(void)
{
	Mapping    *mapping = mapping_default();

	for (size_t m = 0; m < sizeof(messages) / sizeof(messages[0]); m++)
	{
		const Adapter *adapter = messages[m].adapter;
		Session		session = {.mapping = mapping, .now_us = INT64_C(1800000549000000),
			.topic = "telemetry/{vehicle}", .frame_max = 65536};
		double		best = 0;

		session.state = calloc(1, adapter->session_size + 1);
		if (messages[m].login != NULL)
		{
			take(adapter, &session, messages[m].login, messages[m].login_len, DECODE_HELLO);
			adapter->welcome(&session, WELCOME_OK, &out);
		}
		session.authenticated = true;
		for (int round = 0; round < ROUNDS; round++)
		{
			struct timespec begin;
			struct timespec end;
			double		each;

			records = 0;
			clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
			for (uint64_t i = 1; i <= MESSAGES; i++)
			{
				AckFrame	frame = {.tag = take(adapter, &session, messages[m].message, messages[m].message_len, DECODE_OK)};
				Ack			ack = {i, i, &frame, 0, NULL};

				adapter->ack(&session, &ack, &out);
				buf_release(&out);
			}
			clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
			each = ((end.tv_sec - begin.tv_sec) * 1e9 + (end.tv_nsec - begin.tv_nsec)) / MESSAGES;
			if (best == 0 || each < best)
				best = each;
		}
		printf("adapter=%s ns=%.0f bytes=%zu records=%zu\n", adapter->name, best, messages[m].message_len, records / MESSAGES);
		if (adapter->over != NULL)
		{
			Decoded		decoded = {.record = &record};

			adapter->over(&session, "eof", &decoded);
		}
		free(session.state);
	}
	mapping_free(mapping);
	buf_trim();
	return 0;
}
