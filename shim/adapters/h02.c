/*
 * h02.c
 *	  H02 trackers over TCP and UDP: text and binary frames, in any order;
 *	  docs/protocols/h02.md has the protocol.
 */
#include "h02.h"

#include <string.h>
#include <time.h>

#define TEXT_MAX 4096			/* bytes of a text frame */
#define SHORT_FRAME 32			/* binary, by model */
#define LONG_FRAME 45
#define WIDE_FRAME 42			/* with an identity of 8 bytes */
#define TAIL (LONG_FRAME - SHORT_FRAME)
#define BEHIND 3				/* bytes that some send behind it */

typedef struct H02Session
{
	uint32_t	noise;			/* bytes refused since the last frame */
	uint8_t		tail;			/* bytes that may belong to the binary frame before */
	bool		long_frames;	/* this peer's binary frames have 45 bytes */
} H02Session;

typedef enum Guess
{
	GUESS_NO,
	GUESS_MORE,					/* too few bytes to tell */
	GUESS_YES
} Guess;

static inline bool
is_letter(char c)
{
	return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static inline bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Two digits in a byte, up to a limit. */
static inline bool
bcd_upto(unsigned char c, int limit)
{
	return c >> 4 <= 9 && (c & 15) <= 9 && (c >> 4) * 10 + (c & 15) <= limit;
}

/* Time and date at p look like that. */
static bool
is_time(const unsigned char *p, size_t have)
{
	static const uint8_t limits[] = {23, 59, 59, 31, 12, 99};

	for (size_t i = 0; i < 6 && i < have; i++)
		if (!bcd_upto(p[i], limits[i]))
			return false;
	return true;
}

bool
h02_is_wide(const char *data, size_t len)
{
	const unsigned char *p = (const unsigned char *) data;

	return len >= WIDE_FRAME && !is_time(p + 6, 6) && is_time(p + 9, 6);
}

/* Do the bytes begin with a frame? */
static Guess
begins(const char *data, size_t len)
{
	if (len == 0)
		return GUESS_MORE;
	if (data[0] == '*')
	{
		for (size_t i = 1; i < 4; i++)
			if (i >= len)
				return GUESS_MORE;
			else if (i < 3 ? !is_letter(data[i]) : data[i] != ',')
				return GUESS_NO;
		return GUESS_YES;
	}
	if (data[0] == '$')
	{
		if (!is_time((const unsigned char *) data + 6, len > 6 ? len - 6 : 0))
			return GUESS_NO;
		return len < 12 ? GUESS_MORE : GUESS_YES;
	}
	return GUESS_NO;
}

/*
 * The binary frame has no length: 32 bytes, when another frame follows them or
 * nothing does; else 45.
 */
static FrameStatus
frame_binary(const Session *session, H02Session *state, const char *data, size_t len, Frame *out)
{
	const unsigned char *p = (const unsigned char *) data;

	state->tail = 0;
	if (session->datagram && len < SHORT_FRAME)
	{
		out->length = len;
		return FRAME_READY;
	}
	if (len < SHORT_FRAME)
		return FRAME_MORE;
	out->length = SHORT_FRAME;
	if (!is_time(p + 6, 6))
	{
		if (!is_time(p + 9, 6))
			return FRAME_READY;
		if (len < WIDE_FRAME && !session->datagram)
			return FRAME_MORE;
		out->length = len < WIDE_FRAME ? len : WIDE_FRAME;
		return FRAME_READY;
	}
	if (len == SHORT_FRAME)
	{
		if (state->long_frames && !session->datagram)
			return FRAME_MORE;
		state->tail = TAIL + BEHIND;
		return FRAME_READY;
	}
	switch (begins(data + SHORT_FRAME, len - SHORT_FRAME))
	{
		case GUESS_YES:
			return FRAME_READY;
		case GUESS_MORE:
			if (!session->datagram && len < LONG_FRAME)
				return FRAME_MORE;
			break;
		case GUESS_NO:
			break;
	}
	if (len < LONG_FRAME)
	{
		out->length = len;
		return session->datagram ? FRAME_READY : FRAME_MORE;
	}
	state->long_frames = true;
	state->tail = BEHIND;
	out->length = LONG_FRAME;
	return FRAME_READY;
}

/* Up to its "#", or to where a new one begins in the middle. */
static FrameStatus
frame_text(const Session *session, const char *data, size_t len, Frame *out)
{
	size_t		limit = len < TEXT_MAX ? len : TEXT_MAX;

	for (size_t i = 1; i < limit; i++)
	{
		out->length = i + 1;
		if (data[i] == '#')
			return FRAME_READY;
		out->length = i;
		if (data[i] == '*' && limit - i > 4 && begins(data + i, 4) == GUESS_YES && is_digit(data[i + 4]))
			return FRAME_READY;
	}
	out->length = limit;
	return session->datagram || len >= TEXT_MAX ? FRAME_READY : FRAME_MORE;
}

static FrameStatus
h02_frame(Session *session, const char *data, size_t len, Frame *out)
{
	H02Session *state = session->state;
	size_t		n = 0;

	/* What stands between frames, the rest of a long binary one among it. */
	while (n < len && (data[n] == '\r' || data[n] == '\n' || data[n] == '\0' || data[n] == ' '))
		n++;
	if (n == 0 && state->tail > 0)
	{
		Guess		guess = begins(data, len);

		while (n < len && n < state->tail && begins(data + n, len - n) == GUESS_NO)
			n++;
		if (n == 0 && guess == GUESS_MORE)
			return FRAME_MORE;
		state->long_frames = state->long_frames || n > 0;
	}
	if (n > 0)
	{
		out->length = n;
		state->tail -= n < state->tail ? (uint8_t) n : state->tail;
		return FRAME_SKIP;
	}
	if (data[0] == '*')
		return frame_text(session, data, len, out);
	if (data[0] == '$')
		return frame_binary(session, state, data, len, out);
	if (data[0] == 'X')
	{
		/* As long as a short one, of unknown meaning. */
		out->length = len < SHORT_FRAME ? len : SHORT_FRAME;
		return len < SHORT_FRAME && !session->datagram ? FRAME_MORE : FRAME_READY;
	}
	while (n < len && data[n] != '*' && data[n] != '$')
		n++;
	return tracker_noise(session, n, len, out);
}

static DecodeStatus
h02_decode(Session *session, const Frame *frame, Decoded *out)
{
	H02Session *state = session->state;

	switch (frame->data[0])
	{
		case '*':
			state->noise = 0;
			return h02_text(session, frame, out);
		case '$':
			state->noise = 0;
			return h02_binary(session, frame, out);
		case 'X':
			tracker_refuse(session, frame, "type", out);
			return DECODE_OK;
	}
	return tracker_refuse_noise(session, &state->noise, frame, "neither text nor binary", out);
}

void
h02_answer(const Session *session, uint32_t tag, Buf *out)
{
	switch (tag & 0xFF)
	{
		case H02_POSITION:
		case H02_CELLS:
			{
				time_t		seconds = (time_t) (session->now_us / 1000000);
				struct tm	tm;

				if (gmtime_r(&seconds, &tm) == NULL)
					return;
				(void) !buf_printf(out, "*HQ,%s,V4,%s,%04d%02d%02d%02d%02d%02d#", session->device,
								   (tag & 0xFF) == H02_POSITION ? "V1" : "NBR", tm.tm_year + 1900,
								   tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
				break;
			}
		case H02_HEARTBEAT:
		case H02_HELLO:
			(void) !buf_printf(out, "*%c%c,%s,%s#", (char) (tag >> 8), (char) (tag >> 16), session->device,
							   (tag & 0xFF) == H02_HEARTBEAT ? "HTBT" : "V0");
			break;
	}
}

static void
h02_ack(Session *session, const Ack *ack, Buf *out)
{
	for (uint64_t seq = ack->from; seq <= ack->upto; seq++)
		h02_answer(session, ack->frames[seq - ack->from].tag, out);
}

const Adapter adapter_h02 = {
	.name = "h02",
	.help = "H02 trackers, text and binary",
	.session_size = sizeof(H02Session),
	.claims = true,
	.datagrams = true,
	.frame = h02_frame,
	.decode = h02_decode,
	.ack = h02_ack
};
