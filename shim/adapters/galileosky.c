/*
 * galileosky.c
 *	  Terminals of Galileosky, binary: packets and their confirmation;
 *	  docs/protocols/galileosky.md has the protocol.
 */
#include "adapters/galileosky.h"

#include "crc.h"
#include "tracker_report.h"

#define SUM 2
#define LENGTH_MASK 0x7fff		/* above: records wait in the terminal's archive */
#define GARBAGE_MAX 1024		/* kept of what is no packet */

/* Decoded.tag: the sum that the confirmation repeats. */
#define TAG_CONFIRM 0x10000u

enum
{
	HEADER_TAGS = 0x01, HEADER_CONFIRM = 0x02, HEADER_GARMIN = 0x06, HEADER_PHOTO = 0x07, HEADER_COMPRESSED = 0x08
};

static bool
is_header(unsigned char byte)
{
	return byte == HEADER_TAGS || byte == HEADER_GARMIN || byte == HEADER_PHOTO || byte == HEADER_COMPRESSED;
}

/* The length may be any: what it claims is bounded by its fifteen bits. */
static FrameStatus
galileosky_frame(Session *session, const char *data, size_t len, Frame *out)
{
	const unsigned char *p = (const unsigned char *) data;

	(void) session;
	if (!is_header(p[0]))
	{
		out->length = len < GARBAGE_MAX ? len : GARBAGE_MAX;
		return FRAME_READY;		/* decode() has it quarantined, and closes */
	}
	if (len < GALILEOSKY_HEAD)
		return FRAME_MORE;
	out->length = GALILEOSKY_HEAD + (size_t) (galileosky_u16(p + 1) & LENGTH_MASK) + SUM;
	return len < out->length ? FRAME_MORE : FRAME_READY;
}

static DecodeStatus
refuse(const Session *session, const Frame *frame, const char *field, const char *reason, Decoded *out)
{
	tracker_refuse(session, frame, field, out);
	out->reason = reason;
	return DECODE_BAD;
}

/*
 * There is no answer that says no.  What is not confirmed comes again, on the
 * next connection too, so what was damaged on the way ends this one: after it
 * nobody knows where the next packet begins.
 */
static DecodeStatus
galileosky_decode(Session *session, const Frame *frame, Decoded *out)
{
	const unsigned char *p = (const unsigned char *) frame->data;
	size_t		payload = frame->length - SUM;
	DecodeStatus status;

	out->tag = 0;
	if (frame->length < GALILEOSKY_HEAD + SUM || !is_header(p[0]))
		return refuse(session, frame, "frame", "frame", out);
	if (crc16_modbus(p, payload) != galileosky_u16(p + payload))
		return refuse(session, frame, "checksum", "checksum", out);
	switch (p[0])
	{
		case HEADER_TAGS:
			status = galileosky_records(session, frame, out);
			if (status == DECODE_OK)
				out->tag = TAG_CONFIRM | galileosky_u16(p + payload);
			return status;
		case HEADER_COMPRESSED:
			return refuse(session, frame, "compressed", "compressed packets", out);
	}
	return DECODE_IGNORED;		/* pictures, messages of a navigator: not taken */
}

/* "Received": in the database, or in quarantine for what it says. */
static void
galileosky_ack(Session *session, const Ack *ack, Buf *out)
{
	(void) session;
	for (uint64_t seq = ack->from; seq <= ack->upto; seq++)
	{
		uint32_t	tag = ack->frames[seq - ack->from].tag;
		unsigned char bytes[3] = {HEADER_CONFIRM, (unsigned char) tag, (unsigned char) (tag >> 8)};

		if (tag != 0 && !buf_add(out, bytes, sizeof(bytes)))
			return;
	}
}

const Adapter adapter_galileosky = {
	.name = "galileosky",
	.help = "Galileosky, binary",
	.claims = true,
	.frame = galileosky_frame,
	.decode = galileosky_decode,
	.ack = galileosky_ack
};
