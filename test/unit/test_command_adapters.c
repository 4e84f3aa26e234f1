/*
 * test_command_adapters.c
 *	  Commands as adapters write them, and answers as they read them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/teltonika.h"
#include "command_text.h"
#include "crc.h"
#include "feed.h"
#include "tap.h"

#define LITERAL(text) (text), sizeof(text) - 1

static Feed feed;

static Command
command(int64_t id, const char *name, const char *arguments)
{
	return (Command) {
		.id = id,.device = RECORD_STR("car \"7\""),.name = {name, (uint32_t) strlen(name)},
		.arguments = {arguments, (uint32_t) strlen(arguments)},.expires = RECORD_STR("2025-01-15T14:37:18.000Z")
	};
}

static CommandStatus
give(int64_t id, const char *name, const char *arguments, const char **why)
{
	Command		c = command(id, name, arguments);

	*why = "";
	buf_release(&feed.out);
	return feed.adapter->command(&feed.session, &c, why, &feed.out);
}

static void
finish(void)
{
	static Record record;
	Decoded		decoded = {.record = &record};

	if (feed.adapter != NULL && feed.adapter->over != NULL)
		feed.adapter->over(&feed.session, "eof", &decoded);
	if (feed.adapter != NULL)
		feed_end(&feed);
}

static void
fresh(const Adapter *adapter, const char *device)
{
	finish();
	feed_begin(&feed, adapter, device);
}

static void
hex(const char *digits)
{
	static char bytes[1024];

	feed_bytes(&feed, bytes, feed_from_hex(digits, bytes, sizeof(bytes)), 0);
}

/* --- texts --- */

static const char *
plain(const char *name, const char *arguments)
{
	static char text[64];
	const char *why = "";
	Command		c = command(1, name, arguments);

	return command_plain(&c, text, 16, &why) ? text : why;
}

static void
test_text(void)
{
	Buf			out = {0};
	Command		c = command(7, "lock \"x\"", "{\"pin\": 1}");

	ok(command_document(&c, &out) && buf_add(&out, "", 1), "a document");
	is_str(buf_data(&out), "{\"id\":7,\"device\":\"car \\\"7\\\"\",\"name\":\"lock \\\"x\\\"\",\"arguments\":{\"pin\": 1},"
		   "\"expires\":\"2025-01-15T14:37:18.000Z\"}", "... has everything");
	buf_release(&out);
	is_str(plain("getinfo", "{}"), "getinfo", "text is the name");
	is_str(plain("out", "{\"text\": \"setdigout 1\"}"), "setdigout 1", "... or the argument text");
	is_str(plain("out", "{\"text\": \"\"}"), "no argument text", "... not an empty one");
	is_str(plain("out", "{\"text\": 5}"), "no argument text", "... nor a number");
	is_str(plain("out", "{\"level\": 5}"), "no argument text", "... nor any other");
	is_str(plain("out", "{\"text\": \"0123456789abcde\"}"), "0123456789abcde", "as long as there is room");
	is_str(plain("out", "{\"text\": \"0123456789abcdef\"}"), "text too long", "... not longer");
	is_str(plain("out", "{\"text\": \"a\\u0000b\"}"), "zero byte in text", "... and without zero bytes");
}

/* --- json --- */

static void
line(const char *text)
{
	fresh(&adapter_json, "");
	feed.session.takes_commands = true;
	feed_bytes(&feed, text, strlen(text), 0);
}

static void
test_json(void)
{
	static const char *const bad[] = {
		"{\"confirm\":{}}\n", "{\"confirm\":{\"id\":\"7\"}}\n", "{\"confirm\":{\"id\":0}}\n", "{\"confirm\":{\"id\":-1}}\n",
		"{\"confirm\":{\"id\":7.5}}\n", "{\"confirm\":{\"id\":7,\"ok\":\"yes\"}}\n", "{\"confirm\":7}\n", "{\"confirm\":{\"id\":7}\n",
		"{\"confirm\":{\"id\":7}} x\n", "{\"confirm\"\n"
	};
	const char *why;

	line("{\"confirm\":{\"id\":7,\"ok\":true,\"answer\":\"done\"}}\n");
	ok(feed.nanswers == 1 && feed.answer.command_id == 7 && feed.answer.ok, "json: a confirmation");
	is_str(feed.answer.text, "done", "... with its answer");
	is_int(feed.nrecords + buf_len(&feed.out), 0, "... is neither counted nor acknowledged");
	line(" { \"confirm\" : {\"id\":9007199254740993,\"ok\":false,\"answer\":{\"a\":[1]}}}\r\n");
	ok(feed.nanswers == 1 && feed.answer.command_id == INT64_C(9007199254740993) && !feed.answer.ok, "... with blanks, a no");
	is_str(feed.answer.text, "{\"a\":[1]}", "... and an answer that is no text");
	line("{\"confirm\":{\"id\":7,\"answer\":null}}\n");
	ok(feed.nanswers == 1 && feed.answer.ok && feed.answer.text[0] == '\0', "... without words");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		line(bad[i]);
		ok(feed.nanswers == 0 && feed.nrecords == 1 && strcmp(feed.records[0].defect, "malformed:confirm") == 0, "one that is none");
	}
	line("{\"device\":\"a\",\"event_time\":1,\"confirm\":{\"id\":7}}\n");
	is_int(feed.nanswers, 0, "a document that has such a member is a document");
	fresh(&adapter_json, "");
	feed_bytes(&feed, LITERAL("{\"confirm\":{\"id\":7}}\n"), 0);
	is_int(feed.nanswers, 0, "who takes no commands confirms none");
	feed.session.takes_commands = true;
	feed_bytes(&feed, LITERAL("{\"confirm\":{\"id\":7}}\n"), 0);
	is_str(feed.answer.device, "", "a gateway confirms for any device behind it");
	snprintf(feed.session.certificate, sizeof(feed.session.certificate), "car");
	feed_bytes(&feed, LITERAL("{\"confirm\":{\"id\":8}}\n"), 0);
	ok(feed.nanswers == 2 && strcmp(feed.answer.device, "car") == 0, "... a certificate for its own only");
	feed.session.certificate[0] = '\0';
	is_int(give(7, "lock", "{}", &why), COMMAND_WRITTEN, "a command");
	is_str(feed_out_text(&feed), "{\"command\":{\"id\":7,\"device\":\"car \\\"7\\\"\",\"name\":\"lock\",\"arguments\":{},"
		   "\"expires\":\"2025-01-15T14:37:18.000Z\"}}\n", "... is a line");
}

/* --- teltonika --- */

static void
test_teltonika(void)
{
	const char *why;
	static char large[TELTONIKA_COMMAND_MAX + 2];

	fresh(&adapter_teltonika, "");
	ok(!feed.session.takes_commands, "teltonika: nobody is there before the login");
	hex("000f333532303933303831343532323531");
	ok(feed.session.takes_commands, "... then it takes commands");
	hex("00000000000000130c01060000000b494e493a323031392f372f010000c2a7");
	is_int(feed.nanswers, 0, "a message that answers nothing is no answer");
	is_int(give(1, "getinfo", "{}", &why), COMMAND_WRITTEN, "a command");
	is_str(feed_out_hex(&feed), "000000000000000f0c010500000007676574696e666f0100004312", "... as the maker's page has it");
	is_int(give(2, "getver", "{}", &why), COMMAND_NOT_NOW, "another one before the answer");
	ok(feed.session.ending != NULL, "... has to wait for another connection");
	fresh(&adapter_teltonika, "");
	hex("000f333532303933303831343532323531");
	(void) give(1, "getinfo", "{}", &why);
	buf_release(&feed.out);
	hex("00000000000000370c01060000002f4449313a31204449323a30204449333a302041494e313a302041494e323a313639323420444f313a3020444f323a3101000066e3");
	ok(feed.nanswers == 1 && feed.answer.ok && feed.answer.command_id == 0, "an answer in codec 12, which has no id");
	is_str(feed.answer.text, "DI1:1 DI2:0 DI3:0 AIN1:0 AIN2:16924 DO1:0 DO2:1", "... with its text");
	is_int(feed.nrecords, 1, "... and it is a report, too");
	is_int(give(2, "getver", "{}", &why), COMMAND_WRITTEN, "then the next one may go");
	is_int(give(2, "x", "{\"n\": 1}", &why), COMMAND_UNSUPPORTED, "arguments without text");
	is_str(why, "no argument text", "... are not supported");
	memset(large, 'x', sizeof(large) - 1);
	fresh(&adapter_teltonika, "1");
	is_int(give(2, large, "{}", &why), COMMAND_UNSUPPORTED, "nor is a text of more than 1024 bytes");
	large[TELTONIKA_COMMAND_MAX] = '\0';
	is_int(give(2, large, "{}", &why), COMMAND_WRITTEN, "... one of 1024 is");
	fresh(&adapter_teltonika, "");
	feed.session.datagram = true;
	ok(!feed.session.takes_commands, "datagrams take none");
}

/* --- gt06 --- */

static void
gt06_frame(unsigned char type, const char *content, size_t n)
{
	unsigned char bytes[300] = {0x78, 0x78, (unsigned char) (5 + n), type};
	uint16_t	crc;

	memcpy(bytes + 4, content, n);
	bytes[4 + n] = 0;
	bytes[5 + n] = 1;
	crc = crc16_x25(bytes + 2, 4 + n);
	bytes[6 + n] = (unsigned char) (crc >> 8);
	bytes[7 + n] = (unsigned char) crc;
	memcpy(bytes + 8 + n, "\r\n", 2);
	feed_bytes(&feed, (char *) bytes, 10 + n, 0);
}

static void
test_gt06(void)
{
	const char *why;
	static char large[242];

	fresh(&adapter_gt06, "");
	gt06_frame(0x01, LITERAL("\x01\x23\x45\x67\x89\x01\x23\x45"));
	ok(feed.session.takes_commands, "gt06: it takes commands after the login");
	is_int(give(INT64_C(0x1234567890), "DYD#", "{}", &why), COMMAND_WRITTEN, "a command");
	ok(strncmp(feed_out_hex(&feed), "78780e80083456789044594423", 26) == 0, "... with the lower half of its id as the mark");
	gt06_frame(0x15, LITERAL("\x08\x34\x56\x78\x91" "OLD!" "\0\2"));
	is_int(feed.nanswers, 0, "an answer with another mark is another's");
	gt06_frame(0x15, LITERAL("\x08\x34\x56\x78\x90" "DYD=" "\0\2"));
	ok(feed.nanswers == 1 && feed.answer.command_id == INT64_C(0x1234567890) && feed.answer.ok, "its own is known by it");
	is_str(feed.answer.text, "DYD=", "... with its text");
	gt06_frame(0x15, LITERAL("\x08\x34\x56\x78\x90" "DYD=" "\0\2"));
	is_int(feed.nanswers, 1, "... once");
	(void) give(2, "A", "{}", &why);
	gt06_frame(0x21, LITERAL("\0\0\0\0" "\1" "yes"));
	is_int(feed.nanswers, 2, "a mark of 0 is of the one that waits");
	(void) give(3, "A", "{}", &why);
	(void) give(4, "B", "{}", &why);
	gt06_frame(0x21, LITERAL("\0\0\0\0" "\1" "yes"));
	is_int(feed.nanswers, 2, "... unless one before it was not answered");
	gt06_frame(0x21, LITERAL("\0\0\0\4" "\2" "\0o\0k"));
	ok(feed.nanswers == 3 && feed.answer.command_id == 4, "the right mark is always right");
	is_str(feed.answer.text, "ok", "... in UTF-16, too");
	memset(large, 'x', sizeof(large) - 1);
	is_int(give(5, large, "{}", &why), COMMAND_UNSUPPORTED, "a text of more than 240 bytes");
	is_str(why, "text too long", "... has no room");
	large[240] = '\0';
	is_int(give(5, large, "{}", &why), COMMAND_WRITTEN, "... one of 240 has");
	is_int((unsigned char) buf_data(&feed.out)[2], 250, "... with its length");
	is_int(buf_len(&feed.out), 255, "... and an end");
}

/* --- mqtt --- */

static void
mqtt_begin(int version)
{
	static const char connect5[] = "\x10\x17\0\4MQTT\5\xC2\0\x3c\0\0\1a\0\1u\0\4good";
	static const char connect4[] = "\x10\x16\0\4MQTT\4\xC2\0\x3c\0\1a\0\1u\0\4good";

	fresh(&adapter_mqtt, "");
	feed.session.authenticated = false;
	feed.session.topic = "telemetry/{vehicle}";
	feed.session.command_topic = "command/{vehicle}";
	feed.session.frame_max = 65536;
	if (version == 5)
		feed_bytes(&feed, connect5, sizeof(connect5) - 1, 0);
	else
		feed_bytes(&feed, connect4, sizeof(connect4) - 1, 0);
	buf_release(&feed.out);
}

/* Does what was written have that first byte, its length, and go on like this? */
static bool
wrote(unsigned char type, const char *rest, size_t n)
{
	const char *at = buf_data(&feed.out);

	return buf_len(&feed.out) > n + 2 && (unsigned char) at[0] == type && (size_t) (unsigned char) at[1] == buf_len(&feed.out) - 2 &&
		memcmp(at + 2, rest, n) == 0;
}

/* In 3.1.1; SUBACK's code, UNSUBSCRIBE for qos < 0. */
static int
subscribe(const char *filter, int qos)
{
	char		bytes[300];
	size_t		n = strlen(filter);
	size_t		len = 4 + n + (qos >= 0);

	bytes[0] = (char) (qos >= 0 ? 0x82 : 0xA2);
	bytes[1] = (char) len;
	memcpy(bytes + 2, "\0\1\0", 3);
	bytes[5] = (char) n;
	memcpy(bytes + 6, filter, n);
	bytes[6 + n] = (char) qos;
	buf_release(&feed.out);
	feed_bytes(&feed, bytes, 2 + len, 0);
	return buf_len(&feed.out) == 5 ? (unsigned char) buf_data(&feed.out)[4] : -1;
}

static void
publish(const char *topic, const char *payload, int qos)
{
	char		bytes[300];
	size_t		n = strlen(topic);
	size_t		len = 2 + n + (qos ? 2 : 0) + strlen(payload);

	bytes[0] = (char) (0x30 | qos << 1);
	bytes[1] = (char) len;
	bytes[2] = 0;
	bytes[3] = (char) n;
	memcpy(bytes + 4, topic, n);
	memcpy(bytes + 4 + n, "\0\5", 2);
	memcpy(bytes + 4 + n + (qos ? 2 : 0), payload, strlen(payload));
	buf_release(&feed.out);
	feed_bytes(&feed, bytes, 2 + len, 0);
}

static void
test_mqtt(void)
{
	static const char *const denied[] = {
		"command/+", "command/#", "#", "+/car", "command", "command/", "command/car/answer", "telemetry/car", "$share/g/command/car"
	};
	const char *why;

	mqtt_begin(4);
	for (size_t i = 0; i < sizeof(denied) / sizeof(denied[0]); i++)
		is_int(subscribe(denied[i], 1), 0x80, denied[i]);
	ok(!feed.session.takes_commands, "nobody subscribes to what is not his");
	is_int(subscribe("command/car", 0), 0, "a vehicle subscribes to its commands");
	ok(feed.session.takes_commands && strcmp(feed.session.device, "car") == 0, "... and is known by that");
	is_int(subscribe("command/bus", 0), 0x80, "... to those of one vehicle only");
	is_int(give(7, "lock", "{}", &why), COMMAND_WRITTEN, "a command in QoS 0");
	ok(wrote(0x30, LITERAL("\0\x0b" "command/car{\"id\":7,")), "... is a PUBLISH to its topic");
	is_int(subscribe("command/car", 2), 1, "QoS 2 becomes 1");
	is_int(give(8, "lock", "{}", &why), COMMAND_WRITTEN, "a command in QoS 1");
	ok(wrote(0x32, LITERAL("\0\x0b" "command/car" "\0\1" "{\"id\":8,")), "... has a packet identifier");
	feed_bytes(&feed, LITERAL("\x40\x02\0\1"), 0);
	ok(feed.refused == NULL, "its PUBACK");
	publish("command/car/answer", "{\"id\":8,\"answer\":\"done\"}", 1);
	ok(feed.nanswers == 1 && feed.answer.command_id == 8 && feed.answer.ok, "an answer");
	is_str(feed.answer.device, "car", "... of the topic's vehicle");
	is_str(feed_out_hex(&feed), "40020005", "... is acknowledged");
	is_int(feed.nrecords, 0, "... and no report");
	publish("command/bus/answer", "{\"id\":8}", 0);
	is_int(feed.nanswers, 1, "one of another vehicle is none");
	is_str(feed.records[0].defect, "not_permitted:topic", "... but a report to no topic");
	publish("command/car/answer", "done", 1);
	is_str(feed.records[1].defect, "malformed:answer", "one that is no document goes to quarantine");
	is_int(subscribe("command/car", -1), -1, "UNSUBACK has no codes");
	ok(!feed.session.takes_commands && feed.session.device[0] == '\0', "then it takes none");
	is_int(subscribe("command/bus", 0), 0, "... and may be another vehicle");
	feed_bytes(&feed, LITERAL("\x40\x02\0\1"), 0);
	ok(feed.refused != NULL, "a PUBACK to nothing ends the connection");

	mqtt_begin(4);
	snprintf(feed.session.certificate, sizeof(feed.session.certificate), "car");
	is_int(subscribe("command/bus", 0), 0x80, "a certificate allows its own vehicle");
	is_int(subscribe("command/car", 0), 0, "... only");
	publish("command/bus/answer", "{\"id\":8}", 0);
	is_int(feed.nanswers, 0, "... to answer, too");

	mqtt_begin(5);
	feed_bytes(&feed, LITERAL("\x82\x1b\0\1\0\0\x0b" "command/car\1\0\7" "command\1"), 0);
	is_str(feed_out_hex(&feed), "9005000100" "0187", "MQTT 5: each filter has its answer");
	is_int(give(7, "lock", "{}", &why), COMMAND_WRITTEN, "a command");
	ok(wrote(0x32, LITERAL("\0\x0b" "command/car" "\0\1\0" "{\"id\":7,")), "... has properties, none");
	feed_bytes(&feed, LITERAL("\x40\x04\0\1\x10\0"), 0);
	ok(feed.refused == NULL, "PUBACK with a reason");
	feed_bytes(&feed, LITERAL("\xA2\x10\0\1\0\0\x0b" "command/car"), 0);
	ok(!feed.session.takes_commands, "UNSUBSCRIBE");
}

int
main(void)
{
	test_text();
	test_json();
	test_teltonika();
	test_gt06();
	test_mqtt();
	finish();
	return tap_done();
}
