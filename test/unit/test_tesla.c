/*
 * test_tesla.c
 *	  The tesla adapter: handshake, frames, answers, and what breaks them.
 *	  test_tesla_decode.c has the messages.
 */
#include "adapters/tesla.h"
#include "feed.h"
#include "tap.h"
#include "tesla_message.h"

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="	/* of RFC 6455, with its answer */
#define REQUEST "GET / HTTP/1.1\r\nHost: fleet\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" \
	"Sec-WebSocket-Key: " KEY "\r\nSec-WebSocket-Version: 13\r\n\r\n"
#define SOC "0a06" "0808" "1202" "1037"

static Feed feed;

static void
again(const char *certificate)
{
	if (feed.adapter != NULL)
	{
		Decoded		decoded = {0};

		feed.adapter->over(&feed.session, "eof", &decoded);
		feed_end(&feed);
	}
	feed_begin(&feed, &adapter_tesla, "");
	strcpy(feed.session.certificate, certificate);
}

/* A frame as a client sends it. */
static size_t
frame(char *out, int first, const char *data, size_t len)
{
	static const char mask[4] = "\x12\x34\x56\x78";
	size_t		n = 0;

	out[n++] = (char) first;
	out[n++] = (char) (0x80 | (len < 126 ? len : 126));
	if (len >= 126)
	{
		out[n++] = (char) (len >> 8);
		out[n++] = (char) len;
	}
	memcpy(out + n, mask, 4);
	n += 4;
	for (size_t i = 0; i < len; i++)
		out[n++] = (char) (data[i] ^ mask[i % 4]);
	return n;
}

static size_t
car(char *out, const char *txid, const char *topic, const char *payload)
{
	char		message[4096];

	return frame(out, 0x82, message, tesla_message(message, txid, topic, TESLA_STREAM, 1700000000, payload));
}

static void
open_and_forget(const char *certificate)
{
	again(certificate);
	feed_bytes(&feed, REQUEST, sizeof(REQUEST) - 1, 0);
	buf_release(&feed.out);
}

/* Is the first answer in out of that type and for that id?  It is then taken away. */
static bool
answered(unsigned type, const char *txid)
{
	TeslaEnvelope envelope;
	const unsigned char *p = (const unsigned char *) buf_data(&feed.out);
	size_t		length;
	bool		right;

	if (buf_len(&feed.out) < 2 || p[0] != 0x82)
		return false;
	length = p[1] < 126 ? p[1] : (size_t) (p[2] << 8 | p[3]);
	right = tesla_envelope_read((const char *) p + (p[1] < 126 ? 2 : 4), length, &envelope) == NULL &&
		envelope.type == type && envelope.txid.len == strlen(txid) && memcmp(envelope.txid.data, txid, envelope.txid.len) == 0;
	buf_consume(&feed.out, length + (p[1] < 126 ? 2 : 4));
	return right;
}

static void
test_messages(void)
{
	char		bytes[8192];
	size_t		n;

	for (size_t step = 0; step < 2; step++)
	{
		again("car.1");
		n = sizeof(REQUEST) - 1;
		memcpy(bytes, REQUEST, n);
		n += car(bytes + n, "t-1", "V", SOC);
		feed_bytes(&feed, bytes, n, step);
		ok(strstr(feed_out_text(&feed), "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n") != NULL, "handshake");
		is_str(feed.session.device, "car-1", "the identity is the certificate's, with dashes for dots");
		is_int(feed.nrecords, 1, step ? "byte by byte" : "whole");
		is_str(feed.nrecords ? feed.records[0].device : "", "car-1", "a record of the certificate's car");
		buf_consume(&feed.out, (size_t) (strstr(feed_out_text(&feed), "\r\n\r\n") + 4 - feed_out_text(&feed)));
		ok(answered(TESLA_ACK, "t-1") && buf_len(&feed.out) == 0, "acknowledged");
	}

	open_and_forget("car-1");
	feed.late_acks = true;
	n = car(bytes, "t-1", "V", SOC);
	n += car(bytes + n, "t-2", "nonsense", SOC);
	n += car(bytes + n, "t-3", "V", "0a7f");
	n += car(bytes + n, "t-4", "alerts", "");
	feed_bytes(&feed, bytes, n, 0);
	is_int(feed.nrecords, 3, "four messages: one good, two bad, one empty");
	is_str(feed.nrecords == 3 ? feed.records[1].defect : "", "malformed:topic", "an unknown topic");
	is_str(feed.nrecords == 3 ? feed.records[2].defect : "", "malformed:payload", "a damaged payload");
	ok(answered(TESLA_ACK, "t-1") && answered(TESLA_STREAM, "t-2") && answered(TESLA_STREAM, "t-3") && answered(TESLA_ACK, "t-4"),
	   "each answered by its own, in order");

	/* A message in three frames, with a ping between them. */
	for (size_t step = 0; step < 2; step++)
	{
		char		message[1024];
		size_t		length = tesla_message(message, "t-5", "V", TESLA_STREAM, 1700000000, SOC);

		open_and_forget("car-1");
		n = frame(bytes, 0x02, message, 10);
		n += frame(bytes + n, 0x89, "hey", 3);
		n += frame(bytes + n, 0x00, message + 10, 1);
		n += frame(bytes + n, 0x80, message + 11, length - 11);
		feed_bytes(&feed, bytes, n, step);
		is_int(feed.nrecords, 1, "in pieces");
		ok(buf_len(&feed.out) > 5 && memcmp(buf_data(&feed.out), "\x8a\3hey", 5) == 0, "the ping is answered");
		buf_consume(&feed.out, 5);
		ok(answered(TESLA_ACK, "t-5"), "acknowledged");
	}
	feed_bytes(&feed, bytes, frame(bytes, 0x89, "", 0), 0);
	is_str(feed_out_hex(&feed), "8a00", "a ping alone");
	buf_release(&feed.out);
	feed_bytes(&feed, bytes, frame(bytes, 0x88, "\3\350", 2), 0);
	is_str(feed.refused, "", "goodbye");
	feed.adapter->farewell(&feed.session, "eof", &feed.out);
	is_str(feed_out_hex(&feed), "880203e8", "is answered with one");
}

static void
refused(const char *bytes, size_t n, const char *reason, const char *name)
{
	open_and_forget("car-1");
	feed_bytes(&feed, bytes, n, 0);
	is_str(feed.refused, reason, name);
}

static void
test_hostile(void)
{
	char		bytes[8192];
	size_t		n;

	again("");
	feed_bytes(&feed, REQUEST, sizeof(REQUEST) - 1, 0);
	is_str(feed.refused, "no certificate with a name", "without a certificate");
	again("car-1");
	feed_bytes(&feed, "GET /status HTTP/1.1\r\n\r\n", 24, 0);
	is_str(feed.refused, "no websocket handshake", "another request");
	ok(strncmp(feed_out_text(&feed), "HTTP/1.1 400 ", 13) == 0, "is told so");
	again("car-1");
	feed_bytes(&feed, "POST / HTTP/1.1\r\n", 17, 0);
	is_str(feed.refused, "no request", "another method");
	again("car-1");
	memset(bytes, 'x', sizeof(bytes));
	memcpy(bytes, "GET ", 4);
	feed_bytes(&feed, bytes, sizeof(bytes), 0);
	is_str(feed.refused, "request too long", "a request without end");

	refused("\x82\x01x", 3, "websocket frame without mask", "without mask");
	refused("\xc2\x80\0\0\0\0", 6, "websocket extension", "reserved bits");
	refused("\x83\x80\0\0\0\0", 6, "websocket opcode", "an opcode that does not exist");
	refused("\x80\x80\0\0\0\0", 6, "websocket continuation", "the middle of nothing");
	refused("\x09\x80\0\0\0\0", 6, "websocket control frame", "half a ping");
	refused("\x82\xff\377\377\377\377\377\377\377\377\0\0\0\0", 14, "websocket length", "a length beyond all");
	refused("\x82\xfe\0\1\0\0\0\0x", 9, "websocket length", "a length in too many bytes");
	n = frame(bytes, 0x02, "a", 1);
	n += frame(bytes + n, 0x82, "b", 1);
	refused(bytes, n, "websocket continuation", "a message within a message");
	n = frame(bytes, 0x02, "a", 1);
	for (int i = 0; i < 64; i++)
		n += frame(bytes + n, 0x00, "a", 1);
	refused(bytes, n, "websocket message in too many frames", "many frames");
	refused(bytes, frame(bytes, 0x81, "{}", 2), "text message", "text");
	feed.adapter->farewell(&feed.session, "protocol", &feed.out);
	is_str(feed_out_hex(&feed), "880203eb", "is told so");

	open_and_forget("car-1");
	feed_bytes(&feed, bytes, frame(bytes, 0x82, "what?", 5), 0);
	is_str(feed.nrecords ? feed.records[0].defect : "", "malformed:envelope", "no envelope: quarantine");
	is_int(buf_len(&feed.out), 0, "no id, no answer");
	feed_bytes(&feed, bytes, frame(bytes, 0x82, "", 0), 0);
	is_int(feed.nrecords, 2, "nothing at all");
	ok(feed.nrecords == 2 && feed.records[1].raw_len == 6, "the quarantine gets its frame");
	feed_bytes(&feed, bytes, car(bytes, "t-9", "V", SOC), 0);
	ok(answered(TESLA_ACK, "t-9"), "the connection goes on");
	n = car(bytes, "t-9", "V", SOC);
	for (size_t i = 1; i < n; i++)
	{
		feed_bytes(&feed, bytes, i, 0);
		if (feed.unfinished != i)
			break;
		if (i == n - 1)
			ok(feed.refused == NULL, "every beginning needs more");
	}
}

int
main(void)
{
	test_messages();
	test_hostile();
	again("");
	feed_end(&feed);
	buf_trim();
	return tap_done();
}
