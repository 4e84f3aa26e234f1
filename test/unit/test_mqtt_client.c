/*
 * test_mqtt_client.c
 *	  The packets of a client of MQTT brokers, addresses of servers, and the
 *	  settings of sources.
 */
#include <stdlib.h>
#include <string.h>

#include "adapters/mqtt_packet.h"
#include "config.h"
#include "link.h"
#include "tap.h"

#define STR(literal) ((Str) {(literal), sizeof(literal) - 1})

/* As ok(), with a name that is made up. */
#define okf(condition, ...) \
	do { \
		char		name_[600]; \
		snprintf(name_, sizeof(name_), __VA_ARGS__); \
		ok((condition), name_); \
	} while (0)

/* What we write must be what our own server reads. */
static void
test_connect(uint8_t version)
{
	MqttConnect connect = {.version = version,.keep_alive = 30,.client_id = STR("fleetd-a-1"),
		.has_user = true,.user = STR("u"),.has_password = true,.password = STR("pw"),
		.properties = {.session_expiry = 0xFFFFFFFF,.receive_max = 1000}
	};
	MqttConnect got;
	Buf			out = {0};
	const char *reason = "";
	size_t		header;
	size_t		rest;

	okf(mqtt_add_connect(&out, &connect), "CONNECT of version %d is written", version);
	ok(mqtt_header(buf_data(&out), buf_len(&out), &header, &rest) == MQTT_HEADER_OK &&
	   header + rest == buf_len(&out) && buf_data(&out)[0] == 0x10, "... with its length");
	okf(mqtt_parse_connect(buf_data(&out) + header, rest, &got, &reason) == MQTT_OK, "... can be read %s", reason);
	ok(got.version == version && !got.clean && !got.has_will && got.keep_alive == 30, "... version, no clean start, keep-alive");
	ok(got.client_id.len == 10 && memcmp(got.client_id.data, "fleetd-a-1", 10) == 0 && got.user.len == 1 &&
	   got.password.len == 2 && memcmp(got.password.data, "pw", 2) == 0, "... identifier, user, password");
	ok(version == 4 || (got.properties.session_expiry == 0xFFFFFFFF && got.properties.receive_max == 1000),
	   "... session expiry, receive maximum");
	buf_release(&out);
}

static void
test_subscribe(uint8_t version)
{
	Buf			out = {0};
	const char *reason = "";
	size_t		header;
	size_t		rest;
	MqttFilters filters;
	uint16_t	id;

	okf(mqtt_add_subscribe(&out, version, 7, STR("$share/g/telemetry/+")), "SUBSCRIBE of version %d is written", version);
	ok(mqtt_header(buf_data(&out), buf_len(&out), &header, &rest) == MQTT_HEADER_OK &&
	   header + rest == buf_len(&out) && (unsigned char) buf_data(&out)[0] == 0x82, "... with its length and flags");
	okf(mqtt_parse_filters(version, true, buf_data(&out) + header, rest, &id, &filters, &reason) == MQTT_OK &&
	   id == 7 && filters.n == 1, "... can be read %s", reason);
	ok((buf_data(&out)[buf_len(&out) - 1] & 3) == 1, "... asks for QoS 1");
	buf_release(&out);
}

static int
connack(uint8_t version, const char *body, size_t len, uint8_t *code, bool *present, MqttProperties *p)
{
	const char *reason;
	/* Exactly so much memory, for the sanitizer. */
	char	   *copy = memcpy(malloc(len ? len : 1), body, len);
	int			result = mqtt_parse_connack(version, copy, len, code, present, p, &reason);

	free(copy);
	return result;
}

static void
test_connack(void)
{
	/* session present, keep-alive 60, receive maximum 20, no retain, alias maximum 10, identifier "x" */
	static const char full[] = "\x01\x00\x0F\x13\x00\x3C\x21\x00\x14\x25\x00\x22\x00\x0A\x12\x00\x01x";
	MqttProperties p;
	uint8_t		code;
	bool		present;
	size_t		good = 0;

	ok(connack(5, full, sizeof(full) - 1, &code, &present, &p) == MQTT_OK && code == 0 && present, "CONNACK of MQTT 5");
	ok(p.has_keep_alive && p.keep_alive == 60 && p.receive_max == 20, "... the server's keep-alive counts");
	for (size_t n = 0; n < sizeof(full) - 1; n++)
		good += connack(5, full, n, &code, &present, &p) == MQTT_OK;
	ok(good == 0, "... cut short anywhere it is malformed");
	ok(connack(4, "\x01\x00", 2, &code, &present, &p) == MQTT_OK && code == 0 && present && !p.has_keep_alive,
	   "CONNACK of 3.1.1");
	ok(connack(5, "\x00\x87\x00", 3, &code, &present, &p) == MQTT_OK && code == 0x87, "a refusal");
	ok(connack(5, "\x00\x01", 2, &code, &present, &p) == MQTT_OK && code == 1, "a refusal of a server that knows only 3.1.1");
	ok(connack(4, "\x00\x00\x00", 3, &code, &present, &p) != MQTT_OK, "bytes too many");
	ok(connack(4, "\x02\x00", 2, &code, &present, &p) != MQTT_OK, "flags that do not exist");
	ok(connack(5, "\x00\x00\x02\x01\x00", 5, &code, &present, &p) != MQTT_OK, "a property of PUBLISH");
	ok(connack(5, "\x00\x00\x05\x11\x00\x00\x00\x00\x00", 9, &code, &present, &p) != MQTT_OK, "a length that is wrong");
}

static void
test_suback(void)
{
	static const char good[] = "\x00\x07\x00\x01";
	const char *reason;
	uint16_t	id;
	uint8_t		code;
	size_t		taken = 0;

	ok(mqtt_parse_suback(5, good, 4, &id, &code, &reason) == MQTT_OK && id == 7 && code == 1, "SUBACK of MQTT 5");
	for (size_t n = 0; n < 4; n++)
	{
		char	   *copy = memcpy(malloc(n ? n : 1), good, n);

		taken += mqtt_parse_suback(5, copy, n, &id, &code, &reason) == MQTT_OK;
		free(copy);
	}
	ok(taken == 0, "... cut short anywhere it is malformed");
	ok(mqtt_parse_suback(4, "\x00\x07\x80", 3, &id, &code, &reason) == MQTT_OK && code == 0x80, "a refusal in 3.1.1");
	ok(mqtt_parse_suback(4, "\x00\x07\x01\x01", 4, &id, &code, &reason) != MQTT_OK, "more codes than filters");
}

static void
test_addresses(void)
{
	static const char *const good[] = {"h:1", "localhost:1883", "10.0.0.1:65535", "[::1]:8883"};
	static const char *const bad[] = {"", "h", ":1883", "h:", "h:0", "h:65536", "h:1x", "::1:1883", "[::1]", "[]:1", "h:-1", "h: 1"};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		okf(link_address_valid(good[i]), "\"%s\" is an address", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		okf(!link_address_valid(bad[i]), "\"%s\" is none", bad[i]);
}

static void
test_config(const char *members, const char *expected)
{
	char		text[512];
	char		err[CONFIG_ERROR_MAX] = "";
	Config	   *config;

	snprintf(text, sizeof(text), "{\"sources\":[{%s}]}", members);
	config = config_parse(text, strlen(text), err, sizeof(err));
	if (expected == NULL)
		okf(config != NULL && config->nsources == 1 && config->sources[0].window == 1000, "settings: %s %s", members, err);
	else
		okf(config == NULL && strstr(err, expected) != NULL, "settings: %s", err);
	config_free(config);
}

int
main(void)
{
	test_connect(5);
	test_connect(4);
	test_subscribe(5);
	test_subscribe(4);
	test_connack();
	test_suback();
	test_addresses();
#define BASE "\"adapter\":\"mqtt-broker\",\"server\":\"h:1883\",\"source\":1"
	test_config(BASE, NULL);
	test_config(BASE ",\"group\":\"\",\"version\":4,\"user\":\"u\",\"password\":\"p\",\"topic\":\"a/{vehicle}/#\"", NULL);
	test_config("\"server\":\"h:1883\",\"source\":1", "\"adapter\" is missing");
	test_config("\"adapter\":\"json\",\"server\":\"h:1883\",\"source\":1", "must be mqtt-broker");
	test_config("\"adapter\":\"mqtt-broker\",\"source\":1", "\"server\" is missing");
	test_config("\"adapter\":\"mqtt-broker\",\"server\":\"h\",\"source\":1", "host:port");
	test_config("\"adapter\":\"mqtt-broker\",\"server\":\"h:1\"", "\"source\" is missing");
	test_config(BASE ",\"topic\":\"a/+\"", "{vehicle}");
	test_config(BASE ",\"group\":\"a/b\"", "\"group\"");
	test_config(BASE ",\"password\":\"p\"", "needs \"user\"");
	test_config(BASE ",\"version\":3", "from 4 to 5");
	test_config(BASE ",\"mapping\":\"none\"", "no mapping");
	test_config(BASE ",\"tls\":{\"certificate\":\"a\",\"key\":\"b\"}", "needs \"ca\"");
	test_config(BASE ",\"tls\":{\"ca\":\"/nowhere\"}", "ca \"/nowhere\"");
	return tap_done();
}
