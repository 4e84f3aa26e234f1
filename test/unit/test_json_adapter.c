/*
 * test_json_adapter.c
 *	  The json adapter over memory: whole, byte by byte, two lines at once.
 */
#include "adapter.h"
#include "config.h"
#include "mapping.h"
#include "tap.h"

static Session session;
static Record record;
static Decoded decoded;
static Buf	reply;
static int	emitted;
static char device[64];
static char defect[64];

static void
emit(void *arg, const Record *r)
{
	(void) arg;
	emitted++;
	snprintf(device, sizeof(device), "%.*s", (int) r->device.len, r->device.len ? r->device.data : "");
	snprintf(defect, sizeof(defect), "%.*s", (int) r->defect.len, r->defect.len ? r->defect.data : "");
}

static DecodeStatus
decode(const char *line)
{
	Frame		frame = {0};

	emitted = 0;
	buf_release(&reply);
	decoded.emit = emit;
	decoded.record = &record;
	decoded.reply = &reply;
	decoded.reason = NULL;
	decoded.token[0] = decoded.mapping[0] = '\0';
	session.searched = 0;
	if (adapter_json.frame(&session, line, strlen(line), &frame) != FRAME_READY)
		return (DecodeStatus) -1;
	frame.data = line;
	return adapter_json.decode(&session, &frame, &decoded);
}

static void
test_frames(void)
{
	const char *two = "{\"a\":1}\n{\"b\":2}\n{\"c\"";
	Frame		frame = {0};
	bool		more = true;

	for (size_t n = 1; n < 8; n++)
		more = more && adapter_json.frame(&session, two, n, &frame) == FRAME_MORE;
	ok(more, "part of a line needs more, byte by byte");
	is_int(session.searched, 7, "and is not looked at again");
	is_int(adapter_json.frame(&session, two, 8, &frame), FRAME_READY, "its end makes it a frame");
	is_int(frame.length, 8, "with its newline");
	session.searched = 0;
	is_int(adapter_json.frame(&session, two, strlen(two), &frame), FRAME_READY, "so with two lines");
	is_int(frame.length, 8, "the first one");
	is_int(adapter_json.frame(&session, two + 8, strlen(two) - 8, &frame), FRAME_READY, "then");
	is_int(frame.length, 8, "the second one");
	is_int(adapter_json.frame(&session, two + 16, strlen(two) - 16, &frame), FRAME_MORE, "the third is open");
}

static void
test_hello(void)
{
	char		line[600];

	session.authenticated = false;
	is_int(decode("{\"auth\":\"T\"}\n"), DECODE_HELLO, "a token");
	is_str(decoded.token, "T", "is taken");
	is_str(decoded.mapping, "", "without a mapping");
	is_int(decode("{\"auth\":\"T\",\"mapping\":\"acme\"}\r\n"), DECODE_HELLO, "a token and a mapping");
	is_str(decoded.mapping, "acme", "are taken, \\r\\n ends a line too");
	is_int(decode("\n"), DECODE_IGNORED, "an empty line is nothing");
	is_int(decode("{}\n"), DECODE_BAD, "no token");
	ok(buf_len(&reply) > 0 && buf_data(&reply)[buf_len(&reply) - 1] == '\n', "is answered with a line");
	is_int(decode("{\"auth\":\"\"}\n"), DECODE_BAD, "an empty token");
	is_int(decode("{\"auth\":7}\n"), DECODE_BAD, "a number");
	is_int(decode("{\"auth\":\"a\\u0000b\"}\n"), DECODE_BAD, "a zero byte");
	is_int(decode("{\"auth\":\"T\",\"mapping\":1}\n"), DECODE_BAD, "a mapping that is no name");
	is_int(decode("GET / HTTP/1.1\r\n"), DECODE_BAD, "another protocol");
	is_int(decode("[[[[[[[[[[[[[[[[\n"), DECODE_BAD, "depth");
	snprintf(line, sizeof(line), "{\"auth\":\"%0500d\"}\n", 0);
	is_int(decode(line), DECODE_BAD, "a token that is too long");
	buf_release(&reply);
}

static void
test_documents(void)
{
	session.authenticated = true;
	session.mapping = mapping_default();
	is_int(decode("{\"vehicle_id\":7,\"timestamp\":\"2025-01-15T14:32:18Z\",\"location\":{\"lat\":1,\"lon\":2}}\n"),
		   DECODE_OK, "a document");
	is_int(emitted, 1, "is a record");
	is_str(device, "7", "of its device");
	is_str(defect, "", "without defect");
	is_int(decode("{\"auth\":\"T\"}\n"), DECODE_OK, "after the first line, auth is a name like others");
	is_int(decode("no json\n"), DECODE_OK, "what is no document");
	is_int(emitted, 1, "is a record as well");
	is_str(defect, "malformed", "malformed");
	is_int(decode(" \n"), DECODE_OK, "a blank is no document");
	is_str(defect, "malformed", "malformed as well");
	is_int(decode("\n"), DECODE_IGNORED, "an empty line is nothing");
	is_int(decode("\r\n"), DECODE_IGNORED, "with \\r\\n as well");
	is_int(emitted, 0, "no record");
}

/* A certificate says which device it is. */
static void
test_certificate(void)
{
	session.authenticated = false;
	strcpy(session.certificate, "car-1");
	is_int(decode("{\"auth\":null}\n"), DECODE_BAD, "a certificate, and a listener without a source: a token is needed");
	session.token_optional = true;
	is_int(decode("{\"auth\":null}\n"), DECODE_HELLO, "with a source none is");
	is_str(decoded.token, "", "so there is none");
	is_int(decode("{\"auth\":null,\"mapping\":\"acme\"}\n"), DECODE_HELLO, "a mapping may be named");
	is_str(decoded.mapping, "acme", "and is taken");
	is_int(decode("{\"auth\":\"T\"}\n"), DECODE_HELLO, "a token may be given");
	is_str(decoded.token, "T", "and is taken, too");
	is_int(decode("{\"vehicle_id\":7}\n"), DECODE_BAD, "a document is no first line");

	session.authenticated = true;
	is_int(decode("{\"vehicle_id\":\"car-1\",\"timestamp\":\"2025-01-15T14:32:18Z\"}\n"), DECODE_OK, "a document of that device");
	is_str(defect, "", "is fine");
	is_int(decode("{\"timestamp\":\"2025-01-15T14:32:18Z\"}\n"), DECODE_OK, "one without a device");
	is_str(defect, "", "is fine as well");
	is_str(device, "car-1", "and of that device");
	is_int(decode("{\"vehicle_id\":\"car-2\",\"timestamp\":\"2025-01-15T14:32:18Z\"}\n"), DECODE_OK, "one of another device");
	is_str(defect, "not_permitted:device", "is refused");
	is_str(device, "car-1", "and not under the other's name");
	is_int(decode("{\"vehicle_id\":\"car-10\"}\n"), DECODE_OK, "a name that only begins alike");
	is_str(defect, "not_permitted:device", "is another");
	session.certificate[0] = '\0';
	session.token_optional = false;
}

static const char *
text_of(Buf *b)
{
	static char text[512];

	snprintf(text, sizeof(text), "%.*s", (int) buf_len(b), buf_len(b) ? buf_data(b) : "");
	buf_release(b);
	return text;
}

static void
test_answers(void)
{
	Buf			out = {0};
	AckRejection rejected[] = {{3, "out_of_range", "latitude"}, {7, "malformed", ""}};
	Ack			ack = {1, 9, NULL, 0, NULL};

	adapter_json.ack(&session, &ack, &out);
	is_str(text_of(&out), "{\"ack\":9}\n", "an acknowledgement");
	ack.nrejected = 2;
	ack.rejected = rejected;
	adapter_json.ack(&session, &ack, &out);
	is_str(text_of(&out), "{\"ack\":9,\"rejected\":[{\"line\":3,\"code\":\"out_of_range\",\"field\":\"latitude\"},"
		   "{\"line\":7,\"code\":\"malformed\"}]}\n", "one with rejections");
	adapter_json.welcome(&session, WELCOME_OK, &out);
	is_str(text_of(&out), "{\"auth\":\"ok\"}\n", "welcome");
	adapter_json.welcome(&session, WELCOME_DENIED, &out);
	is_str(text_of(&out), "{\"error\":\"token unknown\"}\n", "denied");
	adapter_json.welcome(&session, WELCOME_FORBIDDEN, &out);
	is_str(text_of(&out), "{\"error\":\"not permitted\"}\n", "token and certificate do not fit");
	adapter_json.welcome(&session, WELCOME_UNAVAILABLE, &out);
	is_str(text_of(&out), "{\"error\":\"database unavailable\"}\n", "nobody to ask");
	adapter_json.farewell(&session, "frame_too_long", &out);
	is_str(text_of(&out), "{\"error\":\"line too long\"}\n", "a line that is too long");
	adapter_json.farewell(&session, "mapping", &out);
	is_str(text_of(&out), "{\"error\":\"mapping removed\"}\n", "a mapping that a reload took away");
	session.authenticated = false;
	adapter_json.farewell(&session, "mapping", &out);
	is_str(text_of(&out), "", "not after the words about one that never was");
	adapter_json.farewell(&session, "shutdown", &out);
	is_str(text_of(&out), "{\"error\":\"shutting down, come back later\"}\n", "a shutdown");
	adapter_json.farewell(&session, "eof", &out);
	is_str(text_of(&out), "", "no words at a normal end");
}

int
main(void)
{
	test_frames();
	test_hello();
	test_documents();
	test_certificate();
	test_answers();
	buf_trim();
	return tap_done();
}
