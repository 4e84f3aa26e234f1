/*
 * tesla.c
 *	  Cars that stream over a WebSocket with a certificate of their own;
 *	  docs/protocols/tesla.md has the protocol.
 *
 * Who sends is what the certificate says and nothing else: the identities in
 * envelopes and payloads are not read.
 */
#include "tesla.h"

#include <string.h>

#include "tesla_websocket.h"
#include "tracker_report.h"

#define TXID_MAX 128
#define TOPIC_MAX 32
#define UNANSWERED_MAX ((size_t) 1 << 20)	/* bytes of names of messages in flight */
#define REFUSAL "incorrect message format"

typedef struct TeslaSession
{
	bool		open;			/* the handshake is done */
	bool		closed;			/* the car has said goodbye */
	bool		text;			/* it sent what is not binary */
	Buf			unanswered;		/* per message in flight: two lengths, id, topic */
} TeslaSession;

static FrameStatus
tesla_frame(Session *session, const char *data, size_t len, Frame *out)
{
	const TeslaSession *s = session->state;

	return s->open ? websocket_frame(data, len, out) : websocket_head(data, len, out);
}

static DecodeStatus
refuse(Decoded *out, const char *reason)
{
	out->reason = reason;
	return DECODE_BAD;
}

/* The certificate's name is the identity: what a dot separates, a dash does. */
static DecodeStatus
begin(Session *session, TeslaSession *s, const Frame *frame, Decoded *out)
{
	if (session->certificate[0] == '\0')
		return refuse(out, "no certificate with a name");
	if (!websocket_accept(frame->data, frame->length, out->reply))
	{
		(void) !buf_printf(out->reply, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
		return refuse(out, "no websocket handshake");
	}
	memcpy(session->device, session->certificate, sizeof(session->device));
	for (char *p = session->device; *p != '\0'; p++)
		if (*p == '.')
			*p = '-';
	s->open = true;
	return DECODE_REPLY;
}

typedef struct Control
{
	TeslaSession *session;
	Buf		   *reply;
} Control;

static void
on_control(void *arg, int kind, const char *data, size_t len)
{
	Control    *control = arg;

	if (kind == WEBSOCKET_PING)
		(void) !websocket_put(control->reply, WEBSOCKET_PONG, data, len);
	else if (kind == WEBSOCKET_CLOSE)
		control->session->closed = true;
}

/* Its names, for the answer once it is stored. */
static bool
remember(TeslaSession *s, const TeslaEnvelope *envelope)
{
	unsigned char lengths[2] = {(unsigned char) envelope->txid.len, (unsigned char) envelope->topic.len};

	return buf_len(&s->unanswered) < UNANSWERED_MAX &&
		buf_add(&s->unanswered, lengths, 2) &&
		(lengths[0] == 0 || buf_add(&s->unanswered, envelope->txid.data, lengths[0])) &&
		(lengths[1] == 0 || buf_add(&s->unanswered, envelope->topic.data, lengths[1]));
}

static DecodeStatus
message(Session *session, TeslaSession *s, const Frame *frame, Str bytes, Decoded *out)
{
	/* Of an empty message the quarantine gets its frame: there is nothing else. */
	Frame		whole = bytes.len > 0 ? (Frame) {bytes.data, bytes.len, NULL} : *frame;
	TeslaEnvelope envelope;
	const char *wrong = tesla_envelope_read(bytes.data, bytes.len, &envelope);

	if (wrong == NULL && envelope.type == TESLA_ACK)
		return DECODE_IGNORED;
	if (envelope.txid.len > TXID_MAX)
	{
		wrong = "txid";
		envelope.txid.len = 0;
	}
	if (envelope.topic.len > TOPIC_MAX)
	{
		wrong = wrong != NULL ? wrong : "topic";
		envelope.topic.len = 0;
	}
	if (wrong == NULL && envelope.type != TESLA_STREAM)
		wrong = "message_type";
	if (!remember(s, &envelope))
		return refuse(out, "too many messages without an answer");
	if (wrong == NULL)
		wrong = tesla_decode(session, &envelope, bytes, out);
	if (wrong != NULL)
		tracker_refuse(session, &whole, wrong, out);
	return DECODE_OK;
}

static DecodeStatus
tesla_decode_frame(Session *session, const Frame *frame, Decoded *out)
{
	TeslaSession *s = session->state;
	Control		control = {s, out->reply};
	Buf			bytes = {0};
	DecodeStatus status;
	int			kind;

	if (!s->open)
		return begin(session, s, frame, out);
	kind = websocket_payload(frame, &bytes, on_control, &control);
	if (s->closed)
		status = DECODE_END;
	else if (kind == WEBSOCKET_BINARY)
		status = message(session, s, frame, (Str) {buf_len(&bytes) > 0 ? buf_data(&bytes) : "", (uint32_t) buf_len(&bytes)}, out);
	else if (kind == WEBSOCKET_TEXT)
	{
		s->text = true;
		status = refuse(out, "text message");
	}
	else
		status = DECODE_REPLY;	/* a ping, answered, or a pong */
	buf_release(&bytes);
	return status;
}

static void
tesla_ack(Session *session, const Ack *ack, Buf *out)
{
	TeslaSession *s = session->state;
	size_t		rejected = 0;

	for (uint64_t seq = ack->from; seq <= ack->upto; seq++)
	{
		const unsigned char *lengths = (const unsigned char *) buf_data(&s->unanswered);
		Str			txid = {(const char *) lengths + 2, lengths[0]};
		Str			topic = {txid.data + txid.len, lengths[1]};
		bool		bad = false;
		Buf			answer = {0};

		for (; rejected < ack->nrejected && ack->rejected[rejected].seq <= seq; rejected++)
			bad = true;
		/* Without an id there is nothing to answer to. */
		if (txid.len > 0 && tesla_envelope_answer(&answer, txid, topic, bad ? REFUSAL : NULL))
			(void) !websocket_put(out, WEBSOCKET_BINARY, buf_data(&answer), buf_len(&answer));
		buf_release(&answer);
		buf_consume(&s->unanswered, 2 + (size_t) txid.len + topic.len);
	}
}

static void
tesla_farewell(Session *session, const char *reason, Buf *out)
{
	const TeslaSession *s = session->state;
	unsigned	code = strcmp(reason, "shutdown") == 0 ? 1001 : s == NULL || s->closed ? 1000 : s->text ? 1003 : 1002;
	unsigned char bytes[2] = {(unsigned char) (code >> 8), (unsigned char) code};

	if (s == NULL || !s->open)
		return;
	/* The listener does not know this car: the core took our yes back. */
	if (strcmp(reason, "device_not_allowed") == 0)
		(void) !buf_printf(out, "HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
	else
		(void) !websocket_put(out, WEBSOCKET_CLOSE, bytes, 2);
}

static void
tesla_over(Session *session, const char *reason, Decoded *out)
{
	TeslaSession *s = session->state;

	(void) reason;
	(void) out;
	buf_release(&s->unanswered);
}

const Adapter adapter_tesla = {
	.name = "tesla",
	.help = "Tesla Fleet Telemetry: WebSocket, certificates of cars",
	.session_size = sizeof(TeslaSession),
	.claims = true,
	.certificates = true,
	.frame = tesla_frame,
	.decode = tesla_decode_frame,
	.ack = tesla_ack,
	.farewell = tesla_farewell,
	.over = tesla_over
};
