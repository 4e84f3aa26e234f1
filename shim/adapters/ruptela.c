/*
 * ruptela.c
 *	  Trackers of Ruptela, binary; docs/protocols/ruptela.md has the protocol.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "crc.h"
#include "ruptela.h"
#include "tracker_text.h"

#define HEAD 10					/* length and identity */
#define LENGTH_MIN 9			/* identity and command */
#define LENGTH_MAX 16384
#define GARBAGE_MAX 1024		/* kept of what is no frame; also the longest text */
#define IDENTITY_END UINT64_C(1000000000000000) /* fifteen digits */
#define NO_FIX UINT32_C(0x80000000)
#define KEPT_MAX 2000			/* bytes of payload that are kept as they are */
#define TROUBLE_SIZE 19

/* Decoded.tag: the answer's command, and whether it says "stored". */
#define TAG_STORED 0x100u

enum
{
	COMMAND_RECORDS = 1, COMMAND_CONFIGURATION = 2, COMMAND_VERSION = 3, COMMAND_FIRMWARE = 4, COMMAND_ANSWER = 7,
	COMMAND_TROUBLE = 9, COMMAND_IDENTIFICATION = 15, COMMAND_HEARTBEAT = 16, COMMAND_FILE = 37, COMMAND_EXTENDED = 68
};

typedef struct RuptelaSession
{
	uint8_t		answer;			/* command of the answer to the last frame; 0: none */
} RuptelaSession;

/* Payload yet to be read. */
typedef struct Cursor
{
	const unsigned char *p;
	size_t		left;
} Cursor;

static inline uint16_t
u16(const unsigned char *p)
{
	return (uint16_t) (p[0] << 8 | p[1]);
}

static inline uint32_t
u32(const unsigned char *p)
{
	return (uint32_t) u16(p) << 16 | u16(p + 2);
}

static inline uint64_t
u64(const unsigned char *p)
{
	return (uint64_t) u32(p) << 32 | u32(p + 4);
}

/* The sum covers what lies between length and sum. */
static bool
sum_is_right(const unsigned char *p, size_t length)
{
	return crc16_kermit(p + 2, length - 4) == u16(p + length - 2);
}

/*
 * Some firmware understates the length of a text that answers a command: it
 * goes on as long as there is text, to where the sum is right.  0: more bytes
 * are needed.
 */
static size_t
text_end(const unsigned char *p, size_t claimed, size_t len)
{
	uint16_t	sum;

	if (claimed >= GARBAGE_MAX || sum_is_right(p, claimed))
		return claimed;
	/* One step of the sum a byte: this runs again with each piece that comes. */
	sum = crc16_kermit(p + 2, claimed - 4);
	for (size_t end = claimed + 1; end < GARBAGE_MAX; end++)
	{
		unsigned char byte = p[end - 3];

		if (byte < ' ' && byte != '\r' && byte != '\n')
			break;
		if (end > len)
			return 0;
		sum ^= byte;
		for (int bit = 0; bit < 8; bit++)
			sum = sum & 1 ? sum >> 1 ^ 0x8408 : sum >> 1;
		if (sum == u16(p + end - 2))
			return end;
	}
	return claimed;
}

static FrameStatus
ruptela_frame(Session *session, const char *data, size_t len, Frame *out)
{
	const unsigned char *p = (const unsigned char *) data;
	size_t		length;

	(void) session;
	if (len < 2)
		return FRAME_MORE;
	length = u16(p);
	if (length < LENGTH_MIN || length > LENGTH_MAX || (len >= HEAD && u64(p + 2) >= IDENTITY_END))
	{
		out->length = len < GARBAGE_MAX ? len : GARBAGE_MAX;
		return FRAME_READY;		/* decode() has it quarantined, and closes */
	}
	out->length = length + 4;
	if (len < out->length)
		return FRAME_MORE;
	if (p[HEAD] == COMMAND_ANSWER)
		out->length = text_end(p, out->length, len);
	return out->length > 0 ? FRAME_READY : FRAME_MORE;
}

static bool
add_answer(Buf *out, uint8_t command, bool stored)
{
	unsigned char bytes[6] = {0, 2, command, stored};
	uint16_t	sum = crc16_kermit(bytes + 2, 2);

	bytes[4] = (unsigned char) (sum >> 8);
	bytes[5] = (unsigned char) sum;
	return buf_add(out, bytes, sizeof(bytes));
}

static DecodeStatus
refuse(Decoded *out, const char *reason)
{
	out->reason = reason;
	return DECODE_BAD;
}

static Record *
begin(Session *session, Decoded *out)
{
	record_reset(out->record);
	out->record->device = (Str) {session->device, (uint32_t) strlen(session->device)};
	out->record->received_at_us = session->now_us;
	return out->record;
}

/* For messages that have no time their receipt is it. */
static Record *
begin_now(Session *session, Decoded *out)
{
	Record	   *r = begin(session, out);

	r->has_event_time = true;
	r->event_time_us = session->now_us;
	return r;
}

static void
quarantine(Session *session, const Frame *frame, Str what, Decoded *out)
{
	Record	   *r = begin(session, out);

	record_set_defect(r, "malformed", what);
	r->raw = (Str) {frame->data, (uint32_t) frame->length};
	out->emit(out->emit_arg, r);
}

/* --- records --- */

static bool
put_number(Record *r, Str name, double value)
{
	return record_add_number(r, name, value);
}

#define NUMBER(name, value) put_number(r, RECORD_STR(name), (value))

static void
put_place(Record *r, const unsigned char *p)
{
	if (u32(p) == NO_FIX || u32(p + 4) == NO_FIX)
		return;
	r->longitude = (int32_t) u32(p) / 1e7;
	r->latitude = (int32_t) u32(p + 4) / 1e7;
}

/* The part of a record before its elements. */
static size_t
fixed_size(bool extended)
{
	return extended ? 25 : 23;
}

static void
put_fixed(Record *r, const unsigned char *p, bool extended)
{
	bool		full;

	r->has_event_time = true;
	r->event_time_us = (int64_t) u32(p) * 1000000;
	full = p[4] != 0 && !NUMBER("time_extension", p[4]);
	p += 5;
	if (extended)
		p++;					/* which part of how many: all have time and place */
	full = !NUMBER("priority", p[0]) || full;
	p++;
	if (p[12] > 0)
		put_place(r, p);
	if (r->latitude == r->latitude)
	{
		r->altitude_m = u16(p + 8) / 10.0;
		if (u16(p + 10) <= 36000)
			r->heading_deg = u16(p + 10) % 36000 / 100.0;
		/* What no vehicle drives would take the whole report to quarantine. */
		if (u16(p + 13) <= 350)
			r->speed_kmh = u16(p + 13);
		else
			full = !NUMBER("speed_raw", u16(p + 13)) || full;
	}
	full = !NUMBER("satellites", p[12]) || full;
	full = !NUMBER("hdop", p[15] / 10.0) || full;
	full = !NUMBER("event_id", extended ? u16(p + 16) : p[16]) || full;
	if (full)
		record_set_defect(r, "malformed", RECORD_STR("elements"));
}

/* Reads one record, into r unless that is NULL; false when the payload ends first. */
static bool
read_record(Cursor *c, bool extended, Record *r)
{
	size_t		id_size = extended ? 2 : 1;
	size_t		fixed = fixed_size(extended);

	if (c->left < fixed)
		return false;
	if (r != NULL)
		put_fixed(r, c->p, extended);
	c->p += fixed;
	c->left -= fixed;
	for (size_t size = 1; size <= 8; size *= 2)
	{
		size_t		count;

		if (c->left < 1)
			return false;
		count = c->p[0];
		c->p++;
		c->left--;
		if (count > c->left / (id_size + size))
			return false;
		for (size_t i = 0; i < count; i++)
		{
			if (r != NULL && !ruptela_io(r, extended ? u16(c->p) : c->p[0], c->p + id_size, size))
				record_set_defect(r, "malformed", RECORD_STR("elements"));
			c->p += id_size + size;
			c->left -= id_size + size;
		}
	}
	return true;
}

/* Records left in the device, their number here, records.  All or none. */
static bool
records(Session *session, const Frame *frame, Cursor c, bool extended, Decoded *out)
{
	Cursor		look;
	unsigned	count;

	if (c.left < 2)
		return false;
	count = c.p[1];
	c.p += 2;
	c.left -= 2;
	look = c;
	for (unsigned i = 0; i < count; i++)
		if (!read_record(&look, extended, NULL))
			return false;
	if (look.left > 0)
		return false;
	for (unsigned i = 0; i < count; i++)
	{
		Record	   *r = begin(session, out);

		if (!read_record(&c, extended, r))
			return false;
		if (r->defect.len > 0)
			r->raw = (Str) {frame->data, (uint32_t) frame->length};
		out->emit(out->emit_arg, r);
	}
	return true;
}

/* --- other messages --- */

static size_t
printable(const unsigned char *p, size_t n)
{
	size_t		i = 0;

	while (i < n && p[i] >= ' ' && p[i] < 0x7f)
		i++;
	return i;
}

/* Number of codes; each: reserved, time, place, origin, five letters. */
static bool
trouble(Session *session, Cursor c, Decoded *out)
{
	unsigned	count;

	if (c.left < 1)
		return false;
	count = c.p[0];
	c.p++;
	c.left--;
	if (c.left != count * TROUBLE_SIZE)
		return false;
	for (unsigned i = 0; i < count; i++)
		if (printable(c.p + i * TROUBLE_SIZE + 14, 5) != 5)
			return false;
	for (; count > 0; count--, c.p += TROUBLE_SIZE)
	{
		Record	   *r = begin(session, out);

		r->has_event_time = true;
		r->event_time_us = (int64_t) u32(c.p + 1) * 1000000;
		put_place(r, c.p + 5);
		(void) !record_add_text(r, RECORD_STR("error_codes"), (Str) {(const char *) c.p + 14, 5});
		out->emit(out->emit_arg, r);
	}
	return true;
}

static void
put_hex(Record *r, Str name, Cursor c)
{
	char	   *hex = c.left <= KEPT_MAX ? record_scratch(r, 2 * c.left) : NULL;

	if (hex == NULL)
		return;
	tracker_to_hex(c.p, c.left, hex);
	(void) !record_add_text(r, name, (Str) {hex, (uint32_t) (2 * c.left)});
}

static void
command_answer(Session *session, Cursor c, Decoded *out)
{
	Record	   *r = begin_now(session, out);

	while (c.left > 0 && (c.p[c.left - 1] == '\r' || c.p[c.left - 1] == '\n' || c.p[c.left - 1] == 0))
		c.left--;
	if (c.left > RECORD_TEXT_MAX || !buf_valid_utf8((const char *) c.p, c.left))
		put_hex(r, RECORD_STR("command_result"), c);
	else
		(void) !record_add_text(r, RECORD_STR("command_result"), (Str) {(const char *) c.p, (uint32_t) c.left});
	out->emit(out->emit_arg, r);
}

static void
identification(Session *session, Cursor c, Decoded *out)
{
	Record	   *r = begin_now(session, out);
	size_t		n = printable(c.p, c.left);

	if (n > 0)
		(void) !record_add_text(r, RECORD_STR("firmware"), (Str) {(const char *) c.p, (uint32_t) n});
	c.p += n;
	c.left -= n;
	if (c.left > 0)
		put_hex(r, RECORD_STR("identification"), c);
	out->emit(out->emit_arg, r);
}

static void
other(Session *session, uint8_t command, Cursor c, Decoded *out)
{
	Record	   *r = begin_now(session, out);
	char	   *name = record_scratch(r, 16);

	if (name == NULL)
		return;
	put_hex(r, (Str) {name, (uint32_t) snprintf(name, 16, "ruptela_%u", command)}, c);
	out->emit(out->emit_arg, r);
}

/* Records wait for an answer each, so a refusal comes in its turn, from ack(). */
static uint32_t
answer_tag(uint8_t command)
{
	switch (command)
	{
		case COMMAND_RECORDS:
		case COMMAND_EXTENDED:
			return 100;
		case COMMAND_TROUBLE:
		case COMMAND_IDENTIFICATION:
			return command + 100u;
	}
	return 0;
}

static DecodeStatus
ruptela_decode(Session *session, const Frame *frame, Decoded *out)
{
	const unsigned char *p = (const unsigned char *) frame->data;
	RuptelaSession *state = session->state;
	uint8_t		command;
	char		device[24];
	Cursor		c;
	bool		good = true;

	out->tag = 0;
	if (frame->length < HEAD + 3 || u16(p) < LENGTH_MIN || u16(p) > LENGTH_MAX || u64(p + 2) >= IDENTITY_END)
	{
		quarantine(session, frame, RECORD_STR("frame"), out);
		return refuse(out, "frame");
	}
	command = p[HEAD];
	state->answer = command == COMMAND_HEARTBEAT ? COMMAND_HEARTBEAT + 100 : (uint8_t) answer_tag(command);
	if (!sum_is_right(p, frame->length))
	{
		quarantine(session, frame, RECORD_STR("checksum"), out);
		out->tag = answer_tag(command);
		return DECODE_OK;
	}
	snprintf(device, sizeof(device), "%015" PRIu64, u64(p + 2));
	if (session->device[0] == '\0')
		snprintf(session->device, sizeof(session->device), "%s", device);
	else if (strcmp(session->device, device) != 0)
	{
		if (answer_tag(command) != 0)
			(void) !add_answer(out->reply, (uint8_t) answer_tag(command), false);
		return refuse(out, ADAPTER_OTHER_DEVICE);
	}
	c.p = p + HEAD + 1;
	c.left = frame->length - HEAD - 3;
	switch (command)
	{
		case COMMAND_RECORDS:
		case COMMAND_EXTENDED:
			good = records(session, frame, c, command == COMMAND_EXTENDED, out);
			break;
		case COMMAND_TROUBLE:
			good = trouble(session, c, out);
			break;
		case COMMAND_HEARTBEAT:
			/* Promises nothing but that somebody is here. */
			if (!add_answer(out->reply, COMMAND_HEARTBEAT + 100, true))
				return refuse(out, "out of memory");
			return DECODE_REPLY;
		case COMMAND_IDENTIFICATION:
			identification(session, c, out);
			break;
		case COMMAND_CONFIGURATION:
		case COMMAND_VERSION:
		case COMMAND_FIRMWARE:
		case COMMAND_ANSWER:
			command_answer(session, c, out);
			break;
		case COMMAND_FILE:
			return DECODE_IGNORED;
		default:
			other(session, command, c, out);
			break;
	}
	out->tag = answer_tag(command);
	if (good)
		out->tag |= out->tag != 0 ? TAG_STORED : 0;
	else
		quarantine(session, frame, RECORD_STR("records"), out);
	return DECODE_OK;
}

/*
 * "Stored" also for what is in quarantine for what it says: sending it again
 * would not mend it.
 */
static void
ruptela_ack(Session *session, const Ack *ack, Buf *out)
{
	(void) session;
	for (uint64_t seq = ack->from; seq <= ack->upto; seq++)
	{
		uint32_t	tag = ack->frames[seq - ack->from].tag;

		if (tag != 0 && !add_answer(out, (uint8_t) tag, (tag & TAG_STORED) != 0))
			return;
	}
}

/* Not stored: the protocol's no to whatever the device began with. */
static void
ruptela_farewell(Session *session, const char *reason, Buf *out)
{
	const RuptelaSession *state = session->state;

	if (!session->datagram && strcmp(reason, "device_not_allowed") == 0 && state->answer != 0)
		(void) !add_answer(out, state->answer, false);
}

const Adapter adapter_ruptela = {
	.name = "ruptela",
	.help = "Ruptela, binary",
	.claims = true,
	.datagrams = true,
	.session_size = sizeof(RuptelaSession),
	.frame = ruptela_frame,
	.decode = ruptela_decode,
	.ack = ruptela_ack,
	.farewell = ruptela_farewell
};
