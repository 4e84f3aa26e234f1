/*
 * gt06.c
 *	  GT06 and its many relatives, binary: frames, login, answers;
 *	  docs/protocols/gt06.md has the protocol, gt06_decode.c the reports.
 */
#include "gt06.h"

#include <stdio.h>
#include <string.h>

#include "command_text.h"
#include "crc.h"
#include "tracker_text.h"

#define LENGTH_MAX 16384		/* of a 7979 frame; who claims more is lost */
#define UNTERMINATED_MAX 1024	/* bytes to look for an end that the length missed */
#define COMMAND_MAX 240			/* bytes of a command's text: a short frame holds 250 of content */
#define MALFORMED_MAX 16			/* in a row, before the connection is given up */
#define LENGTH_MIN 5			/* type, serial, checksum */

/* Decoded.tag: serial << 8 | type, and: */
#define TAG_ACK (1u << 24)
#define TAG_EXTENDED (1u << 25)

/* The header's size, 0 when it is none; what the length field counts from. */
static size_t
header(const char *data)
{
	return data[0] == 0x78 && data[1] == 0x78 ? 3 : data[0] == 0x79 && data[1] == 0x79 ? 4 : 0;
}

static size_t
claimed_length(const char *data, size_t head)
{
	const unsigned char *p = (const unsigned char *) data;

	return head == 3 ? p[2] : gt06_u16(p + 2);
}

static bool
is_end(const char *p)
{
	return p[0] == '\r' && p[1] == '\n';
}

/* Bytes before what may be a header; all but the last when there is none. */
static size_t
noise(const char *data, size_t len)
{
	for (size_t i = 1; i + 1 < len; i++)
		if (header(data + i) > 0)
			return i;
	return len > 1 && data[len - 1] != 0x78 && data[len - 1] != 0x79 ? len : len - 1;
}

/*
 * The length field decides: "\r\n" may occur inside.  Only where it leads to
 * no end does the next "\r\n" end the frame; decode() refuses that one.
 */
static FrameStatus
gt06_frame(Session *session, const char *data, size_t len, Frame *out)
{
	size_t		head;
	size_t		total;

	if (len < 2)
		return FRAME_MORE;
	head = header(data);
	if (head == 0)
	{
		if (session->device[0] == '\0')
		{
			out->reason = "not gt06";
			return FRAME_BAD;
		}
		out->length = noise(data, len);
		return FRAME_READY;		/* for the quarantine */
	}
	if (len < head)
		return FRAME_MORE;
	total = claimed_length(data, head);
	if (total > LENGTH_MAX)
	{
		out->reason = "length";
		return FRAME_BAD;
	}
	total += head + 2;
	if (len < total)
		return FRAME_MORE;
	out->length = total;
	if (is_end(data + total - 2))
		return FRAME_READY;
	for (size_t i = head; i + 1 < len && i < UNTERMINATED_MAX; i++)
		if (is_end(data + i))
		{
			out->length = i + 2;
			return FRAME_READY;
		}
	if (len < UNTERMINATED_MAX)
		return FRAME_MORE;
	out->reason = "no end of frame";
	return FRAME_BAD;
}

/* False when length, end or checksum are wrong. */
static bool
parse(const Frame *frame, Gt06Message *m)
{
	const unsigned char *p = (const unsigned char *) frame->data;
	size_t		head = frame->length >= 4 ? header(frame->data) : 0;
	size_t		length;

	if (head == 0)
		return false;
	length = claimed_length(frame->data, head);
	if (length < LENGTH_MIN || frame->length != head + length + 2)
		return false;
	p += head;
	if (crc16_x25(frame->data + 2, head - 2 + length - 2) != gt06_u16(p + length - 2))
		return false;
	m->type = p[0];
	m->extended = head == 4;
	m->content = p + 1;
	m->length = length - LENGTH_MIN;
	m->serial = gt06_u16(p + length - 4);
	m->frame = frame;
	return true;
}

static bool
add_answer(Buf *out, uint8_t type, bool extended, const unsigned char *content, size_t n, uint16_t serial)
{
	unsigned char bytes[32 + COMMAND_MAX];
	size_t		at = 0;
	uint16_t	crc;

	bytes[at++] = extended ? 0x79 : 0x78;
	bytes[at++] = extended ? 0x79 : 0x78;
	if (extended)
		bytes[at++] = 0;
	bytes[at++] = (unsigned char) (LENGTH_MIN + n);
	bytes[at++] = type;
	if (n > 0)
		memcpy(bytes + at, content, n);
	at += n;
	bytes[at++] = (unsigned char) (serial >> 8);
	bytes[at++] = (unsigned char) serial;
	crc = crc16_x25(bytes + 2, at - 2);
	bytes[at++] = (unsigned char) (crc >> 8);
	bytes[at++] = (unsigned char) crc;
	bytes[at++] = '\r';
	bytes[at++] = '\n';
	return buf_add(out, bytes, at);
}

static DecodeStatus
refuse(Decoded *out, const char *reason)
{
	out->reason = reason;
	return DECODE_BAD;
}

static void
quarantine(Session *session, const Frame *frame, Decoded *out)
{
	gt06_begin(session, out);
	record_set_defect(out->record, "malformed", (Str) {NULL, 0});
	out->record->raw = (Str) {frame->data, (uint32_t) frame->length};
	out->emit(out->emit_arg, out->record);
}

/* The offset from UTC that a login may carry: hhmm in the upper 12 bits. */
static int32_t
zone_of(uint16_t word)
{
	int32_t		seconds = ((word >> 4) / 100 * 60 + (word >> 4) % 100) * 60;

	if (seconds > 14 * 3600)
		return 0;
	return word & 8 ? -seconds : seconds;
}

static DecodeStatus
login(Session *session, const Gt06Message *m, Decoded *out)
{
	Gt06Session *state = session->state;
	char		digits[17];
	const char *device = digits;

	if (m->length < 8 || !tracker_bcd(m->content, 8, digits))
	{
		quarantine(session, m->frame, out);
		return refuse(out, "login without identity");
	}
	if (device[0] == '0')
		device++;
	if (session->device[0] != '\0' && strcmp(session->device, device) != 0)
		return refuse(out, ADAPTER_OTHER_DEVICE);
	snprintf(session->device, sizeof(session->device), "%s", device);
	session->takes_commands = true;
	state->zone_seconds = m->length >= 12 ? zone_of(gt06_u16(m->content + 10)) : 0;
	if (!add_answer(out->reply, m->type, m->extended, NULL, 0, m->serial))
		return refuse(out, "out of memory");
	return DECODE_REPLY;
}

/* Six bytes, UTC. */
static DecodeStatus
tell_time(Session *session, const Gt06Message *m, Decoded *out)
{
	int64_t		seconds = session->now_us / 1000000;
	int64_t		days = seconds / 86400;
	int			second = (int) (seconds % 86400);
	int			year = 1970;
	int			month = 1;
	unsigned char content[6];
	int64_t		next;

	while (tracker_time(year + 1, 1, 1, 0, 0, 0, &next) && next / 1000000 / 86400 <= days)
		year++;
	while (month < 12 && tracker_time(year, month + 1, 1, 0, 0, 0, &next) && next / 1000000 / 86400 <= days)
		month++;
	if (!tracker_time(year, month, 1, 0, 0, 0, &next))
		return DECODE_IGNORED;
	content[0] = (unsigned char) (year % 100);
	content[1] = (unsigned char) month;
	content[2] = (unsigned char) (days - next / 1000000 / 86400 + 1);
	content[3] = (unsigned char) (second / 3600);
	content[4] = (unsigned char) (second / 60 % 60);
	content[5] = (unsigned char) (second % 60);
	if (!add_answer(out->reply, m->type, m->extended, content, sizeof(content), m->serial))
		return refuse(out, "out of memory");
	return DECODE_REPLY;
}

/* What a device waits for, or takes without harm. */
static uint32_t
answer_flags(const Gt06Message *m)
{
	if (m->extended)
	{
		return m->type == 0x23 || m->type == 0x32 || m->type == 0x33 ? TAG_ACK | TAG_EXTENDED : 0;
	}
	switch (m->type)
	{
		case 0x10:
		case 0x11:
		case 0x12:
		case 0x13:
		case 0x16:
		case 0x17:
		case 0x18:
		case 0x19:
		case 0x1a:
		case 0x1e:
		case 0x22:
		case 0x23:
		case 0x24:
		case 0x26:
		case 0x27:
		case 0x28:
		case 0x2c:
		case 0x2d:
		case 0x2e:
		case 0x31:
		case 0x32:
		case 0x33:
		case 0x36:
		case 0x37:
		case 0x38:
		case 0x40:
		case 0x61:
		case 0x95:
		case 0xa0:
		case 0xa1:
		case 0xa2:
		case 0xa3:
		case 0xa4:
		case 0xa5:
		case 0xa7:
			return TAG_ACK;
		case 0x2a:
			return 0;
	}
	/* Types that nobody has told us of are answered as positions when they are some. */
	return gt06_looks_placed(m->content, m->length) ? TAG_ACK : 0;
}

static DecodeStatus
gt06_decode(Session *session, const Frame *frame, Decoded *out)
{
	Gt06Session *state = session->state;
	Gt06Message m;
	char		digits[17];

	out->tag = 0;
	if (!parse(frame, &m))
	{
		quarantine(session, frame, out);
		if (session->device[0] == '\0')
			return refuse(out, "malformed before login");
		return ++state->malformed < MALFORMED_MAX ? DECODE_OK : refuse(out, "malformed frames");
	}
	state->malformed = 0;
	if (m.type == 0x01)
		return login(session, &m, out);
	if (m.type == 0x8a)
		return tell_time(session, &m, out);
	/* The one report that names its device. */
	if (m.type == 0x61 && m.length >= 8 && tracker_bcd(m.content, 8, digits))
	{
		const char *device = digits[0] == '0' ? digits + 1 : digits;

		if (session->device[0] != '\0' && strcmp(session->device, device) != 0)
			return refuse(out, ADAPTER_OTHER_DEVICE);
		snprintf(session->device, sizeof(session->device), "%s", device);
	}
	session->takes_commands = session->device[0] != '\0';
	if (!session->takes_commands)
	{
		gt06_begin(session, out);
		out->record->raw = (Str) {frame->data, (uint32_t) frame->length};
		out->emit(out->emit_arg, out->record);
		return refuse(out, "no login");
	}
	if (gt06_report(session, &m, out) == GT06_MALFORMED)
		quarantine(session, frame, out);
	else
		out->tag = answer_flags(&m) | (uint32_t) m.serial << 8 | m.type;
	return DECODE_OK;
}

/*
 * Frames in quarantine for what they say are answered too: sending them again
 * would not mend them.  Malformed ones have no tag.
 */
static void
gt06_ack(Session *session, const Ack *ack, Buf *out)
{
	(void) session;
	for (uint64_t seq = ack->from; seq <= ack->upto; seq++)
	{
		uint32_t	tag = ack->frames[seq - ack->from].tag;

		if ((tag & TAG_ACK) != 0 &&
			!add_answer(out, (uint8_t) tag, (tag & TAG_EXTENDED) != 0, NULL, 0, (uint16_t) (tag >> 8)))
			return;
	}
}

/* 80: size, the server's mark, which comes back with the answer, text. */
static CommandStatus
gt06_command(Session *session, const Command *command, const char **why, Buf *out)
{
	Gt06Session *state = session->state;
	unsigned char content[5 + COMMAND_MAX + 1];
	size_t		n;

	if (!command_plain(command, (char *) content + 5, COMMAND_MAX + 1, why))
		return COMMAND_UNSUPPORTED;
	n = strlen((char *) content + 5);
	content[0] = (unsigned char) (4 + n);
	for (int i = 0; i < 4; i++)
		content[1 + i] = (unsigned char) ((uint64_t) command->id >> (24 - 8 * i));
	if (!add_answer(out, 0x80, false, content, 5 + n, ++state->serial))
		return COMMAND_NOT_NOW;
	state->unanswered |= state->command_id != 0;
	state->command_id = command->id;
	return COMMAND_WRITTEN;
}

const Adapter adapter_gt06 = {
	.name = "gt06",
	.help = "GT06, Concox and relatives, binary",
	.claims = true,
	.session_size = sizeof(Gt06Session),
	.frame = gt06_frame,
	.decode = gt06_decode,
	.ack = gt06_ack,
	.command = gt06_command
};
