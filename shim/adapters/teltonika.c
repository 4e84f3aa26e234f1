/*
 * teltonika.c
 *	  Teltonika trackers over TCP and UDP; docs/protocols/teltonika.md has the
 *	  protocol.
 */
#include "teltonika.h"

#include <string.h>

#include "command_text.h"
#include "crc.h"

#define LOGIN_MAX 32			/* digits of an identity; an IMEI has 15 */
#define HEADER 8				/* four zeros, length */
#define TRAILER 4				/* sum */
#define DATA_MIN 3				/* codec and both counts */
#define DATA_MAX 65524			/* with header and trailer 64 KiB */
#define GARBAGE_MAX 1024		/* bytes kept of what cannot be followed */
#define DATAGRAM_HEADER 8		/* length, packet, 01, AVL packet, length of the IMEI */

typedef enum Kind
{
	KIND_MORE,
	KIND_KEEPALIVE,
	KIND_LOGIN,
	KIND_DATA,
	KIND_DATAGRAM,
	KIND_BAD
} Kind;

static inline const unsigned char *
bytes(const char *data)
{
	return (const unsigned char *) data;
}

static bool
all_digits(const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (data[i] < '0' || data[i] > '9')
			return false;
	return true;
}

static Kind
bad(size_t len, const char *why, size_t *length, const char **reason)
{
	*length = len < GARBAGE_MAX ? len : GARBAGE_MAX;
	*reason = why;
	return KIND_BAD;
}

/* A whole datagram, or nothing. */
static Kind
classify_datagram(const char *data, size_t len, size_t *length, const char **reason)
{
	size_t		digits;

	*length = len;
	*reason = NULL;
	if (len == 1 && bytes(data)[0] == 0xFF)
		return KIND_KEEPALIVE;
	if (len < DATAGRAM_HEADER || teltonika_be(bytes(data), 2) != len - 2)
		*reason = "impossible length";
	else if (data[4] != 1)
		*reason = "not a data packet";
	else
	{
		digits = (size_t) teltonika_be(bytes(data) + 6, 2);
		if (digits < 1 || digits > LOGIN_MAX || digits > len - DATAGRAM_HEADER ||
			!all_digits(data + DATAGRAM_HEADER, digits))
			*reason = "no identity";
		else if (len - DATAGRAM_HEADER - digits < DATA_MIN)
			*reason = "impossible length";
	}
	return *reason == NULL ? KIND_DATAGRAM : KIND_BAD;
}

/*
 * What the bytes begin with, and how many of them are it.  Nonsense is known
 * by its first bytes, before its length is believed.
 */
static Kind
classify(const Session *session, const char *data, size_t len, size_t *length, const char **reason)
{
	size_t		n;

	if (session->datagram)
		return classify_datagram(data, len, length, reason);
	if (bytes(data)[0] == 0xFF)
	{
		*length = 1;
		return KIND_KEEPALIVE;
	}
	if (len < 2)
		return KIND_MORE;
	n = (size_t) teltonika_be(bytes(data), 2);
	if (n > 0)
	{
		if (n > LOGIN_MAX || !all_digits(data + 2, len - 2 < n ? len - 2 : n))
			return bad(len, "neither login nor data", length, reason);
		*length = 2 + n;
		return len < *length ? KIND_MORE : KIND_LOGIN;
	}
	if (teltonika_be(bytes(data), len < 4 ? len : 4) != 0)
		return bad(len, "no zeros before data", length, reason);
	if (len < HEADER)
		return KIND_MORE;
	n = (size_t) teltonika_be(bytes(data) + 4, 4);
	if (n < DATA_MIN || n > DATA_MAX)
		return bad(len, "impossible length", length, reason);
	*length = HEADER + n + TRAILER;
	return len < *length ? KIND_MORE : KIND_DATA;
}

static FrameStatus
teltonika_frame(Session *session, const char *data, size_t len, Frame *out)
{
	const char *reason;

	/* What is bad is a frame too: decode() puts it into quarantine and closes. */
	return classify(session, data, len, &out->length, &reason) == KIND_MORE ? FRAME_MORE : FRAME_READY;
}

/*
 * Tags.  TCP: one more than the number to confirm, 0 when nothing is due.  UDP:
 * packet (16 bits), AVL packet (8), number to confirm (8).
 */
static uint32_t
tag(const Session *session, const Frame *frame, int count)
{
	if (count < 0)
		return 0;
	if (!session->datagram)
		return (uint32_t) count + 1;
	return (uint32_t) teltonika_be(bytes(frame->data) + 2, 2) << 16 |
		(uint32_t) bytes(frame->data)[5] << 8 | (uint32_t) count;
}

/* To quarantine with its bytes. */
static void
refuse(const Session *session, const Frame *frame, Str device, const char *field, Decoded *out)
{
	Record	   *record = out->record;

	record_reset(record);
	record->device = device;
	record->received_at_us = session->now_us;
	record_set_defect(record, "malformed", (Str) {field, (uint32_t) strlen(field)});
	record->raw = (Str) {frame->data, (uint32_t) frame->length};
	out->emit(out->emit_arg, record);
}

static Str
logged_in(const Session *session)
{
	return (Str) {session->device, (uint32_t) strlen(session->device)};
}

static DecodeStatus
decode_login(Session *session, const Frame *frame, Decoded *out)
{
	size_t		n = frame->length - 2;
	Str			known = logged_in(session);

	if (known.len > 0 && (known.len != n || memcmp(known.data, frame->data + 2, n) != 0))
	{
		out->reason = ADAPTER_OTHER_DEVICE;
		(void) !buf_add(out->reply, "\0", 1);
		return DECODE_BAD;
	}
	memcpy(session->device, frame->data + 2, n);
	session->device[n] = '\0';
	session->takes_commands = true;
	(void) !buf_add(out->reply, "\1", 1);
	return DECODE_REPLY;
}

static DecodeStatus
decode_packet(Session *session, const Frame *frame, Str device, const char *packet, size_t len,
			  Decoded *out)
{
	int			count = 0;
	const char *field;

	if (!teltonika_packet(session, device, packet, len, out, &count, &field))
	{
		count = 0;
		refuse(session, frame, device, field, out);
	}
	out->tag = tag(session, frame, count);
	return DECODE_OK;
}

static DecodeStatus
decode_data(Session *session, const Frame *frame, Decoded *out)
{
	const char *packet = frame->data + HEADER;
	size_t		len = frame->length - HEADER - TRAILER;
	Str			device = logged_in(session);

	if (device.len == 0)
	{
		refuse(session, frame, device, "login", out);
		out->reason = "data before login";
		return DECODE_BAD;
	}
	if (teltonika_be(bytes(packet) + len, TRAILER) != crc16_arc(packet, len))
	{
		refuse(session, frame, device, "checksum", out);
		out->tag = tag(session, frame, 0);
		return DECODE_OK;
	}
	return decode_packet(session, frame, device, packet, len, out);
}

/* It carries its identity; its sum is UDP's own. */
static DecodeStatus
decode_datagram(Session *session, const Frame *frame, Decoded *out)
{
	size_t		n = (size_t) teltonika_be(bytes(frame->data) + 6, 2);
	const char *packet = frame->data + DATAGRAM_HEADER + n;

	return decode_packet(session, frame, (Str) {frame->data + DATAGRAM_HEADER, (uint32_t) n}, packet,
						 frame->length - DATAGRAM_HEADER - n, out);
}

static DecodeStatus
teltonika_decode(Session *session, const Frame *frame, Decoded *out)
{
	size_t		length;

	switch (classify(session, frame->data, frame->length, &length, &out->reason))
	{
		case KIND_LOGIN:
			return decode_login(session, frame, out);
		case KIND_DATA:
			return decode_data(session, frame, out);
		case KIND_DATAGRAM:
			return decode_datagram(session, frame, out);
		case KIND_BAD:
			refuse(session, frame, logged_in(session), "frame", out);
			out->tag = session->datagram || session->device[0] == '\0' ? 0 : tag(session, frame, 0);
			return DECODE_BAD;
		case KIND_KEEPALIVE:
		case KIND_MORE:
			break;
	}
	return DECODE_IGNORED;
}

/* A device forgets its records when the number is that of the packet. */
static void
teltonika_ack(Session *session, const Ack *ack, Buf *out)
{
	for (size_t i = 0; i < ack->upto - ack->from + 1; i++)
	{
		uint32_t	value = ack->frames[i].tag;
		unsigned char answer[7] = {0};

		if (value == 0)
			continue;
		if (session->datagram)
		{
			answer[1] = 5;
			answer[2] = (unsigned char) (value >> 24);
			answer[3] = (unsigned char) (value >> 16);
			answer[4] = 1;
			answer[5] = (unsigned char) (value >> 8);
			answer[6] = (unsigned char) value;
			(void) !buf_add(out, answer, 7);
		}
		else
		{
			answer[3] = (unsigned char) (value - 1);
			(void) !buf_add(out, answer, 4);
		}
	}
}

/* 00 is the protocol's no to a login. */
static void
teltonika_farewell(Session *session, const char *reason, Buf *out)
{
	if (!session->datagram && strcmp(reason, "device_not_allowed") == 0)
		(void) !buf_add(out, "\0", 1);
}

bool
teltonika_command(const char *text, size_t len, Buf *out)
{
	size_t		data_len = len + 8;
	size_t		size = HEADER + data_len + TRAILER;
	unsigned char *p;
	uint16_t	sum;

	if (len == 0 || len > TELTONIKA_COMMAND_MAX)
		return false;
	p = (unsigned char *) buf_reserve(out, size);
	if (p == NULL)
		return false;
	memset(p, 0, size);
	p[6] = (unsigned char) (data_len >> 8);
	p[7] = (unsigned char) data_len;
	p[8] = 0x0C;
	p[9] = 1;
	p[10] = 5;					/* a command */
	p[13] = (unsigned char) (len >> 8);
	p[14] = (unsigned char) len;
	memcpy(p + 15, text, len);
	p[15 + len] = 1;
	sum = crc16_arc(p + HEADER, data_len);
	p[size - 2] = (unsigned char) (sum >> 8);
	p[size - 1] = (unsigned char) sum;
	buf_commit(out, size);
	return true;
}

/*
 * Codec 12 has no ids: what a device says next is its answer.  So after one that
 * it never answered, only a new connection tells whose answer comes.
 */
static CommandStatus
write_command(Session *session, const Command *command, const char **why, Buf *out)
{
	TeltonikaSession *state = session->state;
	char		text[TELTONIKA_COMMAND_MAX + 1];

	if (!command_plain(command, text, sizeof(text), why))
		return COMMAND_UNSUPPORTED;
	if (state->owes)
	{
		session->ending = "an earlier command was not answered";
		return COMMAND_NOT_NOW;
	}
	if (!teltonika_command(text, strlen(text), out))
		return COMMAND_NOT_NOW;
	state->owes = true;
	return COMMAND_WRITTEN;
}

const Adapter adapter_teltonika = {
	.name = "teltonika",
	.help = "Teltonika trackers: codecs 7, 8, 8 extended, 16; commands in codec 12",
	.claims = true,
	.datagrams = true,
	.session_size = sizeof(TeltonikaSession),
	.frame = teltonika_frame,
	.decode = teltonika_decode,
	.ack = teltonika_ack,
	.command = write_command,
	.farewell = teltonika_farewell
};
