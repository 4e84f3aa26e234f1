/*
 * wialon.c
 *	  Wialon IPS 1.x and 2.x, text: lines, login, checksums, answers;
 *	  docs/protocols/wialon.md has the protocol, wialon_decode.c the reports.
 */
#include "wialon.h"

#include <stdio.h>
#include <string.h>

#include "crc.h"
#include "gzip.h"
#include "tracker_text.h"

#define CRC_DIGITS_MAX 6		/* 0x and four */
#define COUNT_MAX 0xffffu
#define PACKED 0xff				/* begins a compressed line: then its length and zlib's bytes */
#define PACKED_HEAD 3
#define UNPACKED_MAX 131072
#define FILE_MAX 1048576		/* bytes of a piece of a file */

typedef struct WialonSession
{
	bool		sums;			/* 2.x: each line has a checksum */
	uint32_t	skip;			/* bytes of a file that follow */
} WialonSession;

/* Decoded.tag: what the line was, and for a batch how many records << 8. */
typedef enum WialonAnswer
{
	ANSWER_NONE,
	ANSWER_SHORT,				/* SD */
	ANSWER_FULL,				/* D */
	ANSWER_BATCH,				/* B */
	ANSWER_MESSAGE,				/* M */
	ANSWER_SHORT_SUM,			/* the same with a wrong checksum */
	ANSWER_FULL_SUM,
	ANSWER_BATCH_SUM,
	ANSWER_MESSAGE_SUM
} WialonAnswer;

#define WRONG_SUM (ANSWER_SHORT_SUM - ANSWER_SHORT)

typedef struct WialonLine
{
	Str			raw;			/* as it came */
	Str			sender;			/* before the first '#'; datagrams have it */
	Str			type;
	Str			body;
} WialonLine;

static inline bool
is_packed(const char *data)
{
	return (unsigned char) data[0] == PACKED;
}

static FrameStatus
frame_packed(const Session *session, const char *data, size_t len, Frame *out)
{
	out->length = len;
	if (len >= PACKED_HEAD)
	{
		size_t		length = (unsigned char) data[1] | (size_t) (unsigned char) data[2] << 8;

		if (length <= len - PACKED_HEAD)
		{
			out->length = PACKED_HEAD + length;
			return FRAME_READY;
		}
	}
	return session->datagram ? FRAME_READY : FRAME_MORE;
}

/* Lines, or what is compressed of one; a datagram may end without one's end. */
static FrameStatus
wialon_frame(Session *session, const char *data, size_t len, Frame *out)
{
	WialonSession *state = session->state;
	size_t		from = session->searched <= len ? session->searched : 0;
	const char *end;

	if (state->skip > 0)
	{
		out->length = len < state->skip ? len : state->skip;
		state->skip -= (uint32_t) out->length;
		return FRAME_SKIP;
	}
	if (is_packed(data))
		return frame_packed(session, data, len, out);
	end = memchr(data + from, '\n', len - from);
	out->length = end != NULL ? (size_t) (end - data) + 1 : len;
	if (end == NULL && !session->datagram)
	{
		session->searched = len;
		return FRAME_MORE;
	}
	if (out->length == 1 ? data[0] == '\n' : out->length == 2 && memcmp(data, "\r\n", 2) == 0)
		return FRAME_SKIP;
	return FRAME_READY;
}

static bool
split(const Frame *frame, WialonLine *line)
{
	Str			rest = {frame->data, (uint32_t) frame->length};

	line->raw = rest;
	if (rest.len > 0 && rest.data[rest.len - 1] == '\n')
		rest.len--;
	if (rest.len > 0 && rest.data[rest.len - 1] == '\r')
		rest.len--;
	if (!tracker_field(&rest, '#', &line->sender) || !tracker_field(&rest, '#', &line->type) || rest.data == NULL)
		return false;
	line->body = rest;
	return true;
}

static DecodeStatus
refuse(Decoded *out, const char *reason)
{
	out->reason = reason;
	return DECODE_BAD;
}

static DecodeStatus
reply(Decoded *out, const char *text)
{
	if (!buf_printf(out->reply, "%s\r\n", text))
		return refuse(out, "out of memory");
	return DECODE_REPLY;
}

/* --- checksums --- */

static bool
read_sum(Str text, uint64_t *sum)
{
	if (text.len > CRC_DIGITS_MAX)
		return false;
	if (text.len > 2 && text.data[0] == '0' && (text.data[1] | 0x20) == 'x')
	{
		text.data += 2;
		text.len -= 2;
	}
	return text.len <= 4 && tracker_hex(text, sum);
}

/* Cuts what follows the last separator; false when there is none, or no sum. */
static bool
cut_sum(Str *body, char separator, bool *good)
{
	const char *last = body->len > 0 ? memrchr(body->data, separator, body->len) : NULL;
	uint32_t	covered;
	uint64_t	sum;

	if (last == NULL)
		return false;
	covered = (uint32_t) (last - body->data) + 1;
	if (!read_sum((Str) {last + 1, body->len - covered}, &sum))
		return false;
	*good = sum == crc16_arc(body->data, covered);
	body->len = covered - 1;
	return true;
}

static int
count(Str text, char separator)
{
	int			n = 1;

	for (uint32_t i = 0; i < text.len; i++)
		n += text.data[i] == separator;
	return n;
}

/*
 * Takes the checksum off a body of that many fields.  Version 2 must have one;
 * without a version the number of fields tells.  False when it is wrong.
 */
static bool
check_sum(Session *session, Str *body, int fields)
{
	const WialonSession *state = session->state;
	bool		good;

	if (!state->sums && count(*body, ';') != fields + 1)
		return true;
	return cut_sum(body, ';', &good) ? good : !state->sums;
}

/* --- identity --- */

/* "1.1", "2.0": digits and a point. */
static bool
is_version(Str text, bool *sums)
{
	double		number;

	if (text.len < 3 || memchr(text.data, '.', text.len) == NULL || !tracker_number(text, &number))
		return false;
	*sums = number >= 2;
	return true;
}

static bool
is_identity(Str id)
{
	if (id.len == 0 || id.len > DEVICE_MAX || tracker_equals(id, "NA") || !buf_valid_utf8(id.data, id.len))
		return false;
	for (uint32_t i = 0; i < id.len; i++)
		if ((unsigned char) id.data[i] <= ' ' || id.data[i] == 0x7f)
			return false;
	return true;
}

static bool
is_other(const Session *session, Str id)
{
	return session->device[0] != '\0' && !tracker_equals(id, session->device);
}

static void
identify(Session *session, Str id)
{
	memcpy(session->device, id.data, id.len);
	session->device[id.len] = '\0';
}

/* "id;password", or "2.0;id;password;sum". */
static DecodeStatus
login(Session *session, const WialonLine *line, Decoded *out)
{
	WialonSession *state = session->state;
	Str			rest = line->body;
	Str			id;
	bool		sums = false;
	bool		good;

	(void) !tracker_field(&rest, ';', &id);
	if (rest.data != NULL && is_version(id, &sums))
	{
		if (sums)
		{
			Str			summed = line->body;

			if (!cut_sum(&summed, ';', &good) || !good)
			{
				wialon_quarantine(session, line->raw, "checksum", out);
				(void) !reply(out, "#AL#10");
				return refuse(out, "checksum of the login");
			}
		}
		(void) !tracker_field(&rest, ';', &id);
	}
	if (!is_identity(id))
	{
		wialon_quarantine(session, line->raw, "", out);
		(void) !reply(out, "#AL#0");
		return refuse(out, "login without identity");
	}
	if (is_other(session, id))
	{
		(void) !reply(out, "#AL#0");
		return refuse(out, ADAPTER_OTHER_DEVICE);
	}
	identify(session, id);
	state->sums = sums;
	return reply(out, "#AL#1");
}

/* What a datagram says before its line: "id", or "2.0;id". */
static bool
take_sender(Session *session, const WialonLine *line, Decoded *out)
{
	WialonSession *state = session->state;
	Str			rest = line->sender;
	Str			id;
	bool		sums = false;

	(void) !tracker_field(&rest, ';', &id);
	if (rest.data != NULL && is_version(id, &sums))
		(void) !tracker_field(&rest, ';', &id);
	if (rest.data != NULL || !is_identity(id))
	{
		wialon_quarantine(session, line->raw, "", out);
		out->reason = "malformed identity";
		return false;
	}
	if (is_other(session, id))
	{
		out->reason = ADAPTER_OTHER_DEVICE;
		return false;
	}
	identify(session, id);
	state->sums = sums;
	return true;
}

/* --- reports --- */

static DecodeStatus
single(Session *session, const WialonLine *line, int fields, WialonAnswer answer, Decoded *out)
{
	Str			body = line->body;

	out->tag = answer;
	if (check_sum(session, &body, fields))
		(void) !wialon_report(session, body, fields, line->raw, out);
	else
	{
		wialon_quarantine(session, line->raw, "checksum", out);
		out->tag += WRONG_SUM;
	}
	return DECODE_OK;
}

/* record|record, and in version 2 |sum. */
static DecodeStatus
batch(Session *session, const WialonLine *line, Decoded *out)
{
	const WialonSession *state = session->state;
	Str			body = line->body;
	Str			piece;
	uint32_t	taken = 0;
	bool		good = true;

	if ((!cut_sum(&body, '|', &good) && state->sums) || !good)
	{
		wialon_quarantine(session, line->raw, "checksum", out);
		out->tag = ANSWER_BATCH_SUM;
		return DECODE_OK;
	}
	while (tracker_field(&body, '|', &piece))
	{
		int			fields = count(piece, ';') <= WIALON_SHORT_FIELDS ? WIALON_SHORT_FIELDS : WIALON_FULL_FIELDS;

		if (piece.len > 0 && wialon_report(session, piece, fields, piece, out) && taken < COUNT_MAX)
			taken++;
	}
	out->tag = ANSWER_BATCH | taken << 8;
	return DECODE_OK;
}

/* What the driver wrote; its time is that of its receipt. */
static DecodeStatus
message(Session *session, const WialonLine *line, Decoded *out)
{
	const WialonSession *state = session->state;
	Record	   *r = out->record;
	Str			text = line->body;
	bool		good = false;

	out->tag = ANSWER_MESSAGE;
	if (state->sums && (!cut_sum(&text, ';', &good) || !good))
	{
		wialon_quarantine(session, line->raw, "checksum", out);
		out->tag = ANSWER_MESSAGE_SUM;
		return DECODE_OK;
	}
	wialon_begin(session, out);
	r->has_event_time = true;
	r->event_time_us = session->now_us;
	if (!buf_valid_utf8(text.data, text.len) || !record_add_text(r, RECORD_STR("driver_message"), text))
	{
		record_set_defect(r, "malformed", RECORD_STR("driver_message"));
		r->raw = line->raw;
	}
	out->emit(out->emit_arg, r);
	return DECODE_OK;
}

/*
 * A picture (I) or a tachograph's file (T) in pieces, each with its bytes behind
 * the line; IT says what will come.  Nobody here asks for files: each piece is
 * told not to be taken, and what follows is passed over.
 */
static DecodeStatus
file(Session *session, const WialonLine *line, Decoded *out)
{
	WialonSession *state = session->state;
	bool		picture = tracker_equals(line->type, "I");
	Str			rest = line->body;
	Str			piece;
	Str			index;
	int			size;

	if (tracker_equals(line->type, "IT"))
		return reply(out, "#AIT#0");
	/* size;number;... or, of a tachograph, code;size;number;... */
	if (!picture)
		(void) !tracker_field(&rest, ';', &piece);
	if (!tracker_field(&rest, ';', &piece) || !tracker_field(&rest, ';', &index) ||
		piece.len == 0 || !tracker_digits(piece.data, piece.len, &size) || size > FILE_MAX ||
		index.len == 0 || index.len > 9 || !tracker_digits(index.data, index.len, &(int) {0}))
	{
		wialon_quarantine(session, line->raw, "file", out);
		return refuse(out, "malformed file");
	}
	state->skip = (uint32_t) size;
	if (!buf_printf(out->reply, "#A%s#%.*s;0\r\n", picture ? "I" : "T", (int) index.len, index.data))
		return refuse(out, "out of memory");
	return DECODE_REPLY;
}

/* Of this protocol's later versions, perhaps: capital letters and few. */
static bool
is_type(Str type)
{
	for (uint32_t i = 0; i < type.len; i++)
		if (type.data[i] < 'A' || type.data[i] > 'Z')
			return false;
	return type.len > 0 && type.len <= 4;
}

static DecodeStatus
decode_line(Session *session, const Frame *frame, Decoded *out)
{
	WialonLine	line;

	if (!split(frame, &line))
	{
		wialon_quarantine(session, line.raw, "", out);
		return session->device[0] != '\0' ? DECODE_OK : refuse(out, "not wialon");
	}
	if (line.sender.len > 0 && !take_sender(session, &line, out))
		return DECODE_BAD;
	if (tracker_equals(line.type, "L"))
		return login(session, &line, out);
	if (tracker_equals(line.type, "P"))
		return reply(out, "#AP#");
	if (session->device[0] == '\0')
	{
		wialon_begin(session, out);
		out->record->raw = line.raw;
		out->emit(out->emit_arg, out->record);
		return refuse(out, "no login");
	}
	if (tracker_equals(line.type, "SD"))
		return single(session, &line, WIALON_SHORT_FIELDS, ANSWER_SHORT, out);
	if (tracker_equals(line.type, "D"))
		return single(session, &line, WIALON_FULL_FIELDS, ANSWER_FULL, out);
	if (tracker_equals(line.type, "B"))
		return batch(session, &line, out);
	if (tracker_equals(line.type, "M"))
		return message(session, &line, out);
	if (tracker_equals(line.type, "I") || tracker_equals(line.type, "T") || tracker_equals(line.type, "IT"))
		return file(session, &line, out);
	if (is_type(line.type))
		return DECODE_IGNORED;
	wialon_quarantine(session, line.raw, "type", out);
	return DECODE_OK;
}

/* What is compressed is one line. */
static DecodeStatus
unpack(Session *session, const Frame *frame, Decoded *out)
{
	Buf			text = {0};
	Frame		line = {NULL, 0, NULL};
	GzipResult	result = GZIP_CORRUPT;
	const char *end = NULL;
	DecodeStatus status;

	if (frame->length > PACKED_HEAD)
		result = gzip_inflate_zlib(frame->data + PACKED_HEAD, frame->length - PACKED_HEAD, UNPACKED_MAX, &text);
	if (result == GZIP_OK && buf_len(&text) > 0)
	{
		line.data = buf_data(&text);
		line.length = buf_len(&text);
		end = memchr(line.data, '\n', line.length);
	}
	if (line.data != NULL && (end == NULL || end == line.data + line.length - 1))
		status = decode_line(session, &line, out);
	else
	{
		wialon_quarantine(session, (Str) {frame->data, (uint32_t) frame->length}, "compressed", out);
		status = session->device[0] != '\0' ? DECODE_OK : refuse(out, "not wialon");
	}
	buf_release(&text);
	return status;
}

static DecodeStatus
wialon_decode(Session *session, const Frame *frame, Decoded *out)
{
	out->tag = ANSWER_NONE;
	return is_packed(frame->data) ? unpack(session, frame, out) : decode_line(session, frame, out);
}

/* --- answers --- */

/* The protocol's number for what is wrong with a report; -1 for its form. */
static int
code_of(const AckRejection *rejection, bool full)
{
	static const struct
	{
		const char *field;
		int			code;
	}			codes[] = {
		{"event_time", 0}, {"latitude", 10}, {"longitude", 10}, {"location", 10}, {"speed_kmh", 11},
		{"heading_deg", 11}, {"altitude_m", 11}, {"satellites", 12}, {"hdop", 12}, {"inputs", 13},
		{"outputs", 13}, {"adc", 14}, {"parameters", 15}
	};

	if (strncmp(rejection->code, "time_", 5) == 0)
		return 0;
	if (strcmp(rejection->code, "null_island") == 0)
		return 10;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (strcmp(codes[i].field, rejection->field) == 0)
			return full || codes[i].code <= 12 ? codes[i].code : -1;
	return -1;
}

static bool
answer(uint32_t tag, const AckRejection *rejection, Buf *out)
{
	switch ((WialonAnswer) (tag & 0xff))
	{
		case ANSWER_NONE:
			return true;
		case ANSWER_SHORT:
			return buf_printf(out, "#ASD#%d\r\n", rejection ? code_of(rejection, false) : 1);
		case ANSWER_FULL:
			return buf_printf(out, "#AD#%d\r\n", rejection ? code_of(rejection, true) : 1);
		case ANSWER_BATCH:
			return buf_printf(out, "#AB#%u\r\n", (unsigned) (tag >> 8));
		case ANSWER_MESSAGE:
			return buf_printf(out, "#AM#%d\r\n", rejection ? 0 : 1);
		case ANSWER_SHORT_SUM:
			return buf_printf(out, "#ASD#13\r\n");
		case ANSWER_FULL_SUM:
			return buf_printf(out, "#AD#16\r\n");
		case ANSWER_BATCH_SUM:
			return buf_printf(out, "#AB#\r\n");
		case ANSWER_MESSAGE_SUM:
			return buf_printf(out, "#AM#01\r\n");
	}
	return true;
}

/*
 * A batch counts what was read of it: a record in quarantine for what it says
 * would be there again if the device sent it again.
 */
static void
wialon_ack(Session *session, const Ack *ack, Buf *out)
{
	size_t		at = 0;

	(void) session;
	for (uint64_t seq = ack->from; seq <= ack->upto; seq++)
	{
		while (at < ack->nrejected && ack->rejected[at].seq < seq)
			at++;
		if (!answer(ack->frames[seq - ack->from].tag,
					at < ack->nrejected && ack->rejected[at].seq == seq ? &ack->rejected[at] : NULL, out))
			return;
	}
}

/* The protocol's no to a login. */
static void
wialon_farewell(Session *session, const char *reason, Buf *out)
{
	if (!session->datagram && strcmp(reason, "device_not_allowed") == 0)
		(void) !buf_printf(out, "#AL#0\r\n");
}

const Adapter adapter_wialon = {
	.name = "wialon",
	.help = "Wialon IPS 1.x and 2.x, text",
	.session_size = sizeof(WialonSession),
	.claims = true,
	.datagrams = true,
	.frame = wialon_frame,
	.decode = wialon_decode,
	.ack = wialon_ack,
	.farewell = wialon_farewell
};
