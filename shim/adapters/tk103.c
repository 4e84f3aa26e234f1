/*
 * tk103.c
 *	  TK103 trackers: text in parentheses over TCP and UDP, in an old form
 *	  without separators and a new one with commas; docs/protocols/tk103.md has
 *	  the protocol, tk103_decode.c the reports.
 */
#include "tk103.h"

#include <string.h>

#include "tracker_report.h"
#include "tracker_text.h"

#define FRAME_MAX 4096			/* bytes of a frame */
#define OLD_ID 12				/* characters of an identity in the old form */
#define LONG_ID 15				/* of few models, which send a whole IMEI */
#define COMMAND 4				/* and of a command */
#define ID_DIGITS_MIN 10		/* that make "(" the begin of a frame within another */

typedef struct Tk103Session
{
	uint32_t	noise;
} Tk103Session;

static inline bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool
is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

/* --- cutting --- */

/* Up to the ")" that stands outside of $...$. */
static FrameStatus
frame_text(const Session *session, const char *data, size_t len, Frame *out)
{
	size_t		limit = len < FRAME_MAX ? len : FRAME_MAX;
	bool		quoted = false;
	size_t		digits = 0;
	size_t		inner = 0;		/* "(" that may begin a frame */

	for (size_t i = 1; i < limit; i++)
	{
		if (data[i] == '$')
			quoted = !quoted;
		if (quoted)
			inner = 0;
		else if (data[i] == ')')
		{
			out->length = i + 1;
			return FRAME_READY;
		}
		else if (data[i] == '(')
		{
			inner = i;
			digits = 0;
		}
		else if (inner > 0 && is_digit(data[i]) && ++digits == ID_DIGITS_MIN)
		{
			/* A frame that broke off must not take the next one along. */
			out->length = inner;
			return FRAME_READY;
		}
		else if (inner > 0 && !is_digit(data[i]))
			inner = 0;
	}
	out->length = limit;
	return session->datagram || len >= FRAME_MAX ? FRAME_READY : FRAME_MORE;
}

static FrameStatus
tk103_frame(Session *session, const char *data, size_t len, Frame *out)
{
	size_t		n = 0;

	while (n < len && (data[n] == '\r' || data[n] == '\n' || data[n] == '\0'))
		n++;
	if (n > 0)
	{
		out->length = n;
		return FRAME_SKIP;
	}
	if (data[0] == '(')
		return frame_text(session, data, len, out);
	while (n < len && data[n] != '(')
		n++;
	return tracker_noise(session, n, len, out);
}

static bool
is_command(const char *text, size_t len)
{
	return len >= COMMAND && is_upper(text[0]) && is_upper(text[1]) &&
		(is_upper(text[2]) || is_digit(text[2])) && (is_upper(text[3]) || is_digit(text[3]));
}

static bool
is_number(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!is_digit(text[i]))
			return false;
	return true;
}

static DecodeStatus
tk103_decode(Session *session, const Frame *frame, Decoded *out)
{
	Tk103Session *state = session->state;
	Str			body = {frame->data, (uint32_t) frame->length};
	Str			id;
	Str			command = {NULL, 0};
	uint32_t	id_len = 0;		/* in the old form */
	bool		ended = body.data[body.len - 1] == ')';
	DecodeStatus status;

	if (body.data[0] != '(')
		return tracker_refuse_noise(session, &state->noise, frame, "not tk103", out);
	state->noise = 0;
	if (!ended && !session->datagram)
	{
		tracker_refuse(session, frame, "frame", out);
		return DECODE_OK;
	}
	body.len -= ended;

	/* An identity of 11 characters takes the parenthesis as its twelfth. */
	if (body.len > 1 + OLD_ID && is_command(body.data + 1 + OLD_ID, body.len - 1 - OLD_ID))
		body = (Str) {body.data + 1, body.len - 1};
	if (body.len > OLD_ID && is_command(body.data + OLD_ID, body.len - OLD_ID) &&
		memchr(body.data, ',', OLD_ID) == NULL)
		id_len = OLD_ID;
	else if (body.len > 1 + LONG_ID && is_number(body.data + 1, LONG_ID) &&
			 is_command(body.data + 1 + LONG_ID, body.len - 1 - LONG_ID))
	{
		body = (Str) {body.data + 1, body.len - 1};
		id_len = LONG_ID;
	}
	if (id_len > 0)
	{
		id = (Str) {body.data, id_len};
		command = (Str) {body.data + id_len, COMMAND};
		body = (Str) {command.data + COMMAND, body.len - id_len - COMMAND};
	}
	else
	{
		Str			rest = {frame->data + 1, (uint32_t) frame->length - 1 - ended};

		body = rest;
		if (rest.len == 0 || !tracker_field(&rest, ',', &id) || rest.data == NULL)
		{
			tracker_refuse(session, frame, "frame", out);
			return DECODE_OK;
		}
	}
	switch (tracker_claim(session, id))
	{
		case TRACKER_CLAIM_OK:
			break;
		case TRACKER_CLAIM_NONE:
			tracker_refuse(session, frame, "device", out);
			return DECODE_OK;
		case TRACKER_CLAIM_OTHER:
			out->reason = ADAPTER_OTHER_DEVICE;
			return DECODE_BAD;
	}
	if (command.data != NULL)
	{
		status = tk103_old(session, frame, command, body, out);
		/* The end of a datagram may end a frame, but not in the middle. */
		if (!ended && out->record->defect.len > 0)
			out->tag = 0;
		return status;
	}
	return tk103_new(session, frame, body, out);
}

static void
tk103_ack(Session *session, const Ack *ack, Buf *out)
{
	for (uint64_t seq = ack->from; seq <= ack->upto; seq++)
		if (ack->frames[seq - ack->from].tag == TK103_TAG_LOGIN)
			(void) !buf_printf(out, "(%sAP05)", session->device);
}

const Adapter adapter_tk103 = {
	.name = "tk103",
	.help = "TK103 trackers, text in parentheses",
	.session_size = sizeof(Tk103Session),
	.claims = true,
	.datagrams = true,
	.frame = tk103_frame,
	.decode = tk103_decode,
	.ack = tk103_ack
};
