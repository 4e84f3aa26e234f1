/*
 * test_mqtt.c
 *	  The mqtt adapter over memory: packets whole, byte by byte, several at
 *	  once, and what nobody should send.
 */
#include "adapter.h"
#include "config.h"
#include "feed.h"
#include "tap.h"
#include "topic.h"

#define DOCUMENT "{\"vehicle_id\":\"v1\",\"timestamp\":\"2025-01-15T14:32:18Z\",\"location\":{\"lat\":1.5,\"lon\":2.5}}"
#define FRAME_LIMIT 4096

/* What a client sends: a literal with zero bytes, its length known. */
#define BYTES(literal) (literal), sizeof(literal) - 1

/* CONNECT, version 4: clean, user "u", password "T", client "c". */
#define CONNECT4 "\x10\x13\0\4MQTT\4\xC2\0\x3C\0\1c\0\1u\0\1T"
#define CONNECT5 "\x10\x14\0\4MQTT\5\xC2\0\x3C\0\0\1c\0\1u\0\1T"

static Feed	feed;

static void
begin(void)
{
	feed_begin(&feed, &adapter_mqtt, "");
	feed.session.authenticated = false;
	feed.session.topic = "telemetry/{vehicle}";
	feed.session.frame_max = FRAME_LIMIT;
}

static void
end(const char *reason)
{
	static Record record;
	Decoded		decoded = {.emit = feed_on_record, .emit_arg = &feed, .record = &record};

	feed.ackframes = feed_grow(feed.ackframes, feed.counted + 1, sizeof(AckFrame));
	feed.adapter->over(&feed.session, reason, &decoded);
	feed_end(&feed);
}

static void
send(const char *bytes, size_t len)
{
	feed_bytes(&feed, bytes, len, 0);
}

/* A PUBLISH; properties are those of MQTT 5, with their length, or empty. */
static size_t
publish(char *out, uint8_t flags, const char *topic, uint16_t id, const char *properties, size_t nproperties,
		const char *payload)
{
	size_t		rest = 2 + strlen(topic) + ((flags & 6) ? 2 : 0) + nproperties + strlen(payload);
	size_t		n = 0;

	out[n++] = (char) (0x30 | flags);
	out[n++] = (char) ((rest & 0x7F) | (rest > 127 ? 0x80 : 0));
	if (rest > 127)
		out[n++] = (char) (rest >> 7);
	out[n++] = (char) (strlen(topic) >> 8);
	out[n++] = (char) strlen(topic);
	memcpy(out + n, topic, strlen(topic));
	n += strlen(topic);
	if (flags & 6)
	{
		out[n++] = (char) (id >> 8);
		out[n++] = (char) id;
	}
	memcpy(out + n, properties, nproperties);
	n += nproperties;
	memcpy(out + n, payload, strlen(payload));
	return n + strlen(payload);
}

static const char *
answer(void)
{
	const char *hex = feed_out_hex(&feed);

	buf_release(&feed.out);
	return hex;
}

static void
test_topics(void)
{
	Str			vehicle;

	ok(topic_pattern_valid("telemetry/{vehicle}"), "a pattern");
	ok(topic_pattern_valid("{vehicle}"), "one level");
	ok(topic_pattern_valid("a/+/{vehicle}/#"), "with wildcards");
	ok(!topic_pattern_valid("telemetry"), "without a vehicle");
	ok(!topic_pattern_valid("{vehicle}/{vehicle}"), "with two");
	ok(!topic_pattern_valid("a{vehicle}"), "with part of a level");
	ok(!topic_pattern_valid("#/{vehicle}"), "# in the middle");
	ok(!topic_pattern_valid("a+/{vehicle}"), "+ in a level");
	ok(!topic_pattern_valid(""), "nothing");
	ok(topic_match("telemetry/{vehicle}", "telemetry/v1", 12, &vehicle) && vehicle.len == 2, "a topic");
	ok(!topic_match("telemetry/{vehicle}", "telemetry/v1/x", 14, &vehicle), "one level more");
	ok(!topic_match("telemetry/{vehicle}", "telemetry", 9, &vehicle), "one less");
	ok(!topic_match("telemetry/{vehicle}", "telemetry/", 10, &vehicle), "an empty vehicle");
	ok(!topic_match("telemetry/{vehicle}", "telemetrx/v1", 12, &vehicle), "another topic");
	ok(topic_match("a/+/{vehicle}/#", "a/b/v1", 6, &vehicle) && vehicle.len == 2, "# is nothing");
	ok(topic_match("a/+/{vehicle}/#", "a//v1/x/y", 9, &vehicle) && vehicle.len == 2, "# is levels, + an empty one");
}

static void
test_connect(void)
{
	begin();
	send(BYTES(CONNECT4));
	is_int(feed.frames[0].status, DECODE_HELLO, "CONNECT of 3.1.1 asks about the token");
	is_str(answer(), "20020000", "CONNACK");
	is_int(feed.session.idle_us, 90000000, "keep-alive of 60 is 90 seconds");
	send(BYTES("\xC0\0"));
	is_str(answer(), "d000", "PINGREQ is answered");
	end("eof");

	begin();
	send(BYTES(CONNECT5));
	is_str(answer(), "200a0000072401" "2700001000", "CONNACK of 5: maximum QoS, maximum packet size");
	end("eof");

	begin();
	/* session expiry 60, receive maximum 10, maximum packet 100, no problem information, a user property */
	send(BYTES("\x10\x2A\0\4MQTT\5\xC2\0\x3C\x17\x11\0\0\0\x3C\x21\0\x0A\x27\0\0\0\x64\x17\0\x26\0\1k\0\2vv\0\0\0\1u\0\1T"));
	ok(strncmp(feed_out_hex(&feed), "2028000025" "2401" "1100000000" "2700001000" "120016", 40) == 0,
	   "properties: no session is kept, an identifier is assigned");
	end("eof");

	begin();
	feed.welcome = WELCOME_DENIED;
	send(BYTES(CONNECT4));
	is_str(answer(), "20020004", "a token that is not known, 3.1.1");
	end("denied");
	begin();
	feed.welcome = WELCOME_DENIED;
	send(BYTES(CONNECT5));
	is_str(answer(), "2003008600", "the same, 5");
	end("denied");
	begin();
	feed.welcome = WELCOME_UNAVAILABLE;
	send(BYTES(CONNECT4));
	is_str(answer(), "20020003", "nobody to ask");
	end("unavailable");
}

static void
refused(const char *bytes, size_t len, const char *reason, const char *reply, const char *name)
{
	begin();
	send(bytes, len);
	is_str(feed.refused, reason, name);
	is_str(answer(), reply, "... and its answer");
	end("protocol");
}

static void
test_refused_connects(void)
{
	refused(BYTES("GET / HTTP/1.1\r\n"), "the first packet is not CONNECT", "", "another protocol");
	refused(BYTES("\x16\3\1"), "the first packet is not CONNECT", "", "TLS");
	refused(BYTES("\x11\x12"), "the first packet is not CONNECT", "", "CONNECT with flags");
	refused(BYTES("\x30\3\0\1a"), "the first packet is not CONNECT", "", "PUBLISH first");
	refused(BYTES("\x10\xFF\xFF\xFF\xFF\x01"), "bad remaining length", "", "a length of five bytes");
	refused(BYTES("\x10\xFF\xFF\x7F"), "packet too large", "", "a length beyond the limit");
	refused(BYTES("\x10\0"), "not MQTT", "20020001", "nothing in it");
	refused(BYTES("\x10\x14\0\6MQIsdp\3\2\0\x3C\0\6abcdef"), "version of MQTT not supported", "20020001", "3.1");
	refused(BYTES("\x10\x0D\0\4MQTT\6\2\0\x3C\0\1c"), "version of MQTT not supported", "20020001", "version 6");
	refused(BYTES("\x10\x13\0\4MQTT\4\xC3\0\x3C\0\1c\0\1u\0\1T"), "bad CONNECT", "", "the reserved flag");
	refused(BYTES("\x10\x10\0\4MQTT\4\x42\0\x3C\0\1c\0\1T"), "password without user name", "", "a password alone");
	refused(BYTES("\x10\x0D\0\4MQTT\4\2\0\x3C\0\1c"), "no token in the password", "20020004", "no password");
	refused(BYTES("\x10\x13\0\4MQTT\4\xC2\0\x3C\0\1c\0\1u\0\1\0"), "no token in the password", "20020004", "a zero byte in it");
	refused(BYTES("\x10\x12\0\4MQTT\4\xC0\0\x3C\0\0\0\1u\0\1T"),
			"empty client identifier without clean session", "20020002", "no identifier");
	refused(BYTES("\x10\x13\0\4MQTT\4\xC2\0\x3C\0\1\xFF\0\1u\0\1T"), "bad CONNECT", "", "an identifier that is no UTF-8");
	refused(BYTES("\x10\x13\0\4MQTT\4\xC2\0\x3C\0\1c\0\1u\0\2T"), "bad CONNECT", "", "a password cut short");
	refused(BYTES("\x10\x14\0\4MQTT\4\xC2\0\x3C\0\1c\0\1u\0\1TX"), "bad CONNECT", "", "a byte behind it");
	refused(BYTES("\x10\x13\0\4MQTT\4\xCA\0\x3C\0\1c\0\1u\0\1T"), "flags of a will without a will", "", "QoS of no will");
	refused(BYTES("\x10\x18\0\4MQTT\4\xDE\0\x3C\0\1c\0\1w\0\0\0\1u\0\1T"), "QoS 3", "", "a will of QoS 3");
	refused(BYTES("\x10\x17\0\4MQTT\5\xC2\0\x3C\3\x21\0\0\0\1c\0\1u\0\1T"), "property out of range", "2003008200", "receive maximum 0");
	refused(BYTES("\x10\x19\0\4MQTT\5\xC2\0\x3C\5\x17\1\x17\1\x17\0\1c\0\1u\0\1T"), "property given twice", "2003008200", "a property twice");
	refused(BYTES("\x10\x16\0\4MQTT\5\xC2\0\x3C\2\x24\1\0\1c\0\1u\0\1T"), "property not allowed here", "2003008100", "a property of servers");
	refused(BYTES("\x10\x18\0\4MQTT\5\xC2\0\x3C\4\x15\0\1a\0\1c\0\1u\0\1T"),
			"extended authentication is not supported", "2003008c00", "an authentication method");
	refused(BYTES("\x10\x14\0\4MQTT\5\xC2\0\x3C\x7F\0\1c\0\1u\0\1T"), "properties cut short", "2003008100", "properties beyond the end");
	refused(BYTES("\x10\x1A\0\4MQTT\5\xD6\0\x3C\0\0\1c\0\0\1w\0\0\0\1u\0\1T"), "QoS 2 is not supported", "2003009b00", "a will of QoS 2");
}

static void
test_publish(void)
{
	char		packets[2048];
	size_t		n;

	for (size_t step = 0; step <= 1; step++)
	{
		begin();
		memcpy(packets, CONNECT4, sizeof(CONNECT4) - 1);
		n = sizeof(CONNECT4) - 1;
		n += publish(packets + n, 2, "telemetry/v1", 0x1234, "", 0, DOCUMENT);
		n += publish(packets + n, 0, "telemetry/v1", 0, "", 0, DOCUMENT);
		n += publish(packets + n, 10, "telemetry/v1", 0x1235, "", 0,
					 "{\"timestamp\":\"2025-01-15T14:32:19Z\",\"location\":{\"lat\":1.5,\"lon\":2.5}}");
		n += publish(packets + n, 2, "telemetry/v2", 7, "", 0, DOCUMENT);
		n += publish(packets + n, 2, "telemetry/v2", 8, "", 0, "");
		n += publish(packets + n, 2, "other/v2", 9, "", 0, DOCUMENT);
		memcpy(packets + n, "\xE0\0", 2);
		n += 2;
		feed.late_acks = true;
		feed_bytes(&feed, packets, n, step);
		is_str(answer(), "20020000" "40021234" "40021235" "40020007" "40020008" "40020009",
			   step ? "byte by byte" : "CONNACK, then a PUBACK for each QoS 1, in order");
		is_int(feed.nrecords, 6, "all are records");
		is_str(feed.records[0].device, "v1", "of the topic's vehicle");
		ok(feed.records[0].latitude == 1.5 && feed.records[0].defect[0] == '\0' && feed.records[0].raw_len == 0, "read");
		is_str(feed.records[2].device, "v1", "also without a device in the document");
		ok(feed.records[2].defect[0] == '\0' && feed.records[2].raw_len == 0, "which is no defect");
		is_str(feed.records[3].defect, "not_permitted:device", "a document of another vehicle is refused");
		is_int(feed.records[3].raw_len, strlen(DOCUMENT), "with its bytes");
		is_str(feed.records[4].defect, "malformed", "an empty payload");
		ok(feed.records[4].raw_len > 0, "has bytes too");
		is_str(feed.records[5].defect, "not_permitted:topic", "a topic of no pattern");
		is_int(feed.frames[feed.nframes - 1].status, DECODE_END, "DISCONNECT ends");
		is_str(feed.refused, "DISCONNECT", "by its name");
		end("eof");
	}

	begin();
	send(BYTES(CONNECT5));
	answer();
	n = publish(packets, 2, "telemetry/v1", 1, BYTES("\x0B\1\1\x02\0\0\0\1\x03\0\1j"), DOCUMENT);
	n += publish(packets + n, 2, "telemetry/v1", 2, BYTES("\0"), "nothing");
	n += publish(packets + n, 2, "telemetry/v2", 3, BYTES("\0"), DOCUMENT);
	n += publish(packets + n, 2, "t", 4, BYTES("\0"), DOCUMENT);
	n += publish(packets + n, 2, "telemetry/v1", 5, BYTES("\0"), "{}");
	send(packets, n);
	is_str(answer(), "40020001"
		   "40100002990c1f00096d616c666f726d6564"
		   "401b000387171f00146e6f745f7065726d69747465643a646576696365"
		   "401a000490161f00136e6f745f7065726d69747465643a746f706963"
		   "401f0005831b1f00186d697373696e675f6669656c643a6576656e745f74696d65",
		   "MQTT 5 tells why, with code and text");
	end("eof");
}

/* After CONNECT: what ends the connection, with which reason code in MQTT 5. */
static void
ends(const char *bytes, size_t len, const char *reason, int code, const char *name)
{
	char		want[16];

	begin();
	send(BYTES(CONNECT5));
	answer();
	send(bytes, len);
	is_str(feed.refused, reason, name);
	if ((bytes[0] & 0xF0) == 0x30 && code != 0x95)
		ok(feed.nrecords == 1 && strcmp(feed.records[0].defect, "malformed") == 0 && feed.records[0].raw_len == len - 2,
		   "... is in quarantine with its bytes");
	feed.adapter->farewell(&feed.session, "protocol", &feed.out);
	snprintf(want, sizeof(want), "e001%02x", code);
	is_str(answer(), want, "... with its reason code");
	end("protocol");
}

static void
test_faults(void)
{
	ends(BYTES(CONNECT5), "second CONNECT", 0x82, "CONNECT again");
	ends(BYTES("\x00\0"), "packet that only servers send", 0x82, "type 0");
	ends(BYTES("\x20\2\0\0"), "packet that only servers send", 0x82, "CONNACK");
	ends(BYTES("\x40\2\0\1"), "answer to what was never sent", 0x82, "PUBACK");
	ends(BYTES("\x62\2\0\1"), "answer to what was never sent", 0x82, "PUBREL");
	ends(BYTES("\x60\2\0\1"), "bad flags", 0x81, "PUBREL with the wrong flags");
	ends(BYTES("\xF0\0"), "AUTH without a method", 0x82, "AUTH");
	ends(BYTES("\xC1\0"), "bad flags", 0x81, "PINGREQ with flags");
	ends(BYTES("\xC0\1x"), "bad PINGREQ", 0x81, "PINGREQ with a body");
	ends(BYTES("\xC0\x80\0"), "bad remaining length", 0x81, "a length that is not the shortest");
	ends(BYTES("\xC0\xFF\xFF\xFF\xFF"), "bad remaining length", 0x81, "a length without end");
	ends(BYTES("\x30\xFF\x7F"), "packet too large", 0x95, "a packet beyond the limit, at once");
	ends(BYTES("\x34\6\0\1a\0\1\0"), "QoS 2 is not supported", 0x9B, "QoS 2");
	ends(BYTES("\x36\6\0\1a\0\1\0"), "QoS 3", 0x81, "QoS 3");
	ends(BYTES("\x38\4\0\1a\0"), "DUP with QoS 0", 0x81, "DUP with QoS 0");
	ends(BYTES("\x32\6\0\1a\0\0\0"), "packet identifier 0", 0x82, "packet identifier 0");
	ends(BYTES("\x32\3\0\1a"), "bad PUBLISH", 0x81, "no packet identifier");
	ends(BYTES("\x30\4\0\5a\0"), "bad PUBLISH", 0x81, "a topic beyond the end");
	ends(BYTES("\x30\4\0\1\xC0\0"), "bad PUBLISH", 0x81, "a topic that is no UTF-8");
	ends(BYTES("\x30\4\0\1\0\0"), "bad PUBLISH", 0x81, "a topic with a zero byte");
	ends(BYTES("\x30\4\0\1#\0"), "wildcard in the topic of PUBLISH", 0x81, "a wildcard");
	ends(BYTES("\x30\3\0\0\0"), "empty topic", 0x82, "an empty topic");
	ends(BYTES("\x30\6\0\0\3\x23\0\1"), "topic alias, of which none is allowed", 0x94, "a topic alias");
	ends(BYTES("\x30\6\0\1a\2\x0B\1"), "property not allowed here", 0x81, "a subscription identifier in PUBLISH");
	ends(BYTES("\x30\6\0\1a\2\x01\2"), "property out of range", 0x82, "a flag of 2");
	ends(BYTES("\x82\3\0\1\0"), "no topic filter", 0x82, "SUBSCRIBE to nothing");
	ends(BYTES("\x82\7\0\1\0\0\1a\3"), "bad topic filter", 0x81, "SUBSCRIBE with QoS 3");
	ends(BYTES("\x82\x08\0\1\0\0\2a#\0"), "bad topic filter", 0x81, "a wildcard in a level");
	ends(BYTES("\x82\6\0\1\0\0\1a"), "bad topic filter", 0x81, "no options");
	ends(BYTES("\x82\x09\0\1\2\x0B\0\0\1a\0"), "property out of range", 0x82, "a subscription identifier of 0");
	ends(BYTES("\x80\7\0\1\0\0\1a\0"), "bad flags", 0x81, "SUBSCRIBE with the wrong flags");
	ends(BYTES("\xE0\7\0\5\x11\0\0\0\1"), "session expiry begun by DISCONNECT", 0x82, "DISCONNECT that begins a session");
}

static void
test_subscribe(void)
{
	begin();
	send(BYTES(CONNECT4));
	answer();
	send(BYTES("\x82\x0A\0\1\0\1a\1\0\1#\0" "\xA2\5\0\2\0\1a"));
	is_str(answer(), "900400018080" "b0020002", "3.1.1: SUBACK with failures, UNSUBACK");
	end("eof");
	begin();
	send(BYTES(CONNECT5));
	answer();
	send(BYTES("\x82\x0B\0\1\0\0\1a\1\0\1#\0" "\xA2\6\0\2\0\0\1a"));
	is_str(answer(), "90050001008787" "b00400020011", "5: not authorized, no subscription existed");
	end("eof");
}

/* CONNECT with will topic w, payload "x"; then a report of v1 made later. */
static void
willing(const char *topic, const char *time)
{
	char		packet[512];
	char		document[256];
	size_t		n = strlen(topic);
	size_t		len = 0;

	begin();
	len = (size_t) snprintf(packet, sizeof(packet), "%c%c%c%cMQTT%c%c%c%c%c%cc%c%c", 0x10, (int) (19 + 5 + n), 0, 4, 4, 0xC6, 0, 60, 0, 1, 0, (int) n);
	memcpy(packet + len, topic, n);
	len += n;
	memcpy(packet + len, "\0\1x\0\1u\0\1T", 9);
	send(packet, len + 9);
	is_str(answer(), "20020000", "a will");
	snprintf(document, sizeof(document), "{\"vehicle_id\":\"v1\",\"timestamp\":\"%s\",\"location\":{\"lat\":1,\"lon\":2}}", time);
	send(packet, publish(packet, 2, "telemetry/v1", 1, "", 0, document));
	is_str(answer(), "40020001", "... and a report");
}

static void
test_will(void)
{
	const FedSignal *signal;

	willing("telemetry/v1", "2027-01-15T08:09:10Z");
	is_int(feed.nrecords, 2, "a new report of a will's vehicle is followed by another");
	signal = feed_signal(&feed.records[1], "connected");
	ok(signal != NULL && signal->kind == RECORD_BOOLEAN && signal->boolean, "that says it is connected");
	is_int(feed.records[1].event_time_us, feed.records[0].event_time_us, "at the same time");
	feed.adapter->farewell(&feed.session, "idle", &feed.out);
	is_str(answer(), "", "3.1.1 is closed without a word");
	{
		static Record record;
		Decoded		decoded = {.emit = feed_on_record, .emit_arg = &feed, .record = &record};

		feed.ackframes = feed_grow(feed.ackframes, feed.counted + 1, sizeof(AckFrame));
		feed.adapter->over(&feed.session, "eof", &decoded);
	}
	is_int(feed.nrecords, 3, "the end of the connection is a record");
	signal = feed_signal(&feed.records[2], "connected");
	ok(signal != NULL && signal->kind == RECORD_BOOLEAN && !signal->boolean, "that says it is not connected");
	is_str(feed.records[2].device, "v1", "of the will's vehicle");
	is_int(feed.records[2].event_time_us, feed.records[0].event_time_us + 1, "right after its last report");
	feed_end(&feed);

	willing("status/v1", "2026-01-15T08:09:10Z");
	is_int(feed.nrecords, 1, "an old report does not say that it is connected now");
	send(BYTES("\xE0\0"));
	{
		static Record record;
		Decoded		decoded = {.emit = feed_on_record, .emit_arg = &feed, .record = &record};

		feed.ackframes = feed_grow(feed.ackframes, feed.counted + 1, sizeof(AckFrame));
		feed.adapter->over(&feed.session, "eof", &decoded);
	}
	is_int(feed.nrecords, 1, "DISCONNECT takes the will back");
	feed_end(&feed);
}

static void
test_takeover(void)
{
	begin();
	send(BYTES(CONNECT5));
	answer();
	{
		static Session other;
		static Record record;
		static Buf	reply;
		Decoded		decoded = {.record = &record, .reply = &reply};
		Frame		frame = {CONNECT5, sizeof(CONNECT5) - 1, NULL};

		other.topic = feed.session.topic;
		other.frame_max = FRAME_LIMIT;
		other.state = calloc(1, adapter_mqtt.session_size);
		is_int(adapter_mqtt.decode(&other, &frame, &decoded), DECODE_HELLO, "the same client comes again");
		ok(feed.session.ending == NULL, "nothing happens before its token is known");
		adapter_mqtt.welcome(&other, WELCOME_OK, &reply);
		is_str(feed.session.ending, "taken over by a newer connection", "then it takes over");
		adapter_mqtt.farewell(&feed.session, "protocol", &feed.out);
		is_str(answer(), "e0018e", "... which the first is told");
		adapter_mqtt.over(&other, "eof", &decoded);
		buf_release(&reply);
		free(other.state);
	}
	end("protocol");
}

/* A certificate says which vehicle it is. */
static void
test_certificate(void)
{
	char		packets[1024];
	size_t		n;

	begin();
	strcpy(feed.session.certificate, "v1");
	send(BYTES("\x10\x0D\0\4MQTT\4\2\0\x3C\0\1c"));
	is_str(answer(), "20020004", "a certificate, and a listener without a source: a token is needed");
	end("protocol");

	begin();
	strcpy(feed.session.certificate, "v1");
	feed.session.token_optional = true;
	send(BYTES("\x10\x0D\0\4MQTT\4\2\0\x3C\0\1c"));
	is_str(answer(), "20020000", "with a source none is");
	n = publish(packets, 2, "telemetry/v1", 1, "", 0, DOCUMENT);
	n += publish(packets + n, 2, "telemetry/v2", 2, "", 0, DOCUMENT);
	n += publish(packets + n, 2, "telemetry/v1", 3, "", 0, DOCUMENT);
	feed.late_acks = true;
	feed_bytes(&feed, packets, n, 1);
	is_str(feed.refused, "topic of another vehicle", "3.1.1: another vehicle's topic ends the connection");
	is_str(answer(), "40020001", "what was before is acknowledged, that is not");
	is_int(feed.nrecords, 2, "both are records");
	is_str(feed.records[1].defect, "not_permitted:device", "the second one for the quarantine");
	is_str(feed.records[1].device, "v1", "and not under the other's name");
	is_int(feed.records[1].raw_len, strlen(DOCUMENT), "with what was sent");
	end("protocol");

	begin();
	strcpy(feed.session.certificate, "v1");
	send(BYTES(CONNECT5));
	answer();
	n = publish(packets, 2, "telemetry/v2", 2, BYTES("\0"), "{\"timestamp\":\"2025-01-15T14:32:18Z\"}");
	n += publish(packets + n, 2, "telemetry/v1", 3, BYTES("\0"), DOCUMENT);
	send(packets, n);
	is_str(answer(), "401b000287171f00146e6f745f7065726d69747465643a646576696365" "40020003", "5: not authorized, and it goes on");
	end("eof");

	begin();
	strcpy(feed.session.certificate, "v1");
	/* a will of telemetry/v2 */
	send(BYTES("\x10\x24\0\4MQTT\4\xC6\0\x3C\0\1c\0\x0Ctelemetry/v2\0\1x\0\1u\0\1T"));
	is_str(feed.refused, "will of another vehicle", "nor can the will be another's");
	is_str(answer(), "20020005", "which is not authorized");
	end("protocol");
}

static void
test_farewell(void)
{
	Session		none = {0};

	begin();
	send(BYTES(CONNECT5));
	answer();
	feed.adapter->farewell(&feed.session, "idle", &feed.out);
	is_str(answer(), "e0018d", "keep-alive timeout");
	feed.adapter->farewell(&feed.session, "shutdown", &feed.out);
	is_str(answer(), "e0018b", "shutting down");
	feed.adapter->farewell(&feed.session, "eof", &feed.out);
	is_str(answer(), "", "nothing at a normal end");
	adapter_mqtt.farewell(&none, "connections", &feed.out);
	is_str(answer(), "", "nor to whom is turned away");
	end("eof");
}

int
main(void)
{
	test_topics();
	test_connect();
	test_refused_connects();
	test_publish();
	test_faults();
	test_subscribe();
	test_will();
	test_takeover();
	test_certificate();
	test_farewell();
	buf_trim();
	return tap_done();
}
