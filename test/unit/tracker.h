/*
 * tracker.h
 *	  An adapter for tests of the core.
 */
#ifndef TEST_TRACKER_H
#define TEST_TRACKER_H

#include "adapter.h"

/*
 * A tracker's protocol: "L" and a digit is a login, answered at once; "H" a
 * heartbeat, too; "R" a report, "D" two of them in a frame, "?" noise, "!" the end,
 * "O" of another device.
 */
static const char *names_device = "";	/* the device of its records */

static FrameStatus
tracker_frame(Session *session, const char *data, size_t len, Frame *out)
{
	if (!session->authenticated)
		return FRAME_BAD;
	out->length = data[0] == 'L' ? 2 : 1;
	out->reason = "not ours";
	return data[0] == '!' ? FRAME_BAD : data[0] == '?' ? FRAME_SKIP :
		len < out->length ? FRAME_MORE : FRAME_READY;
}

static DecodeStatus
tracker_decode(Session *session, const Frame *frame, Decoded *out)
{
	record_reset(out->record);
	out->record->device = (Str) {names_device, (uint32_t) strlen(names_device)};
	switch (frame->data[0])
	{
		case 'L':
			session->device[0] = frame->data[1];
			return buf_add(out->reply, "+", 1) ? DECODE_REPLY : DECODE_BAD;
		case 'H':
			return buf_add(out->reply, "h", 1) ? DECODE_REPLY : DECODE_BAD;
		case 'D':
			out->emit(out->emit_arg, out->record);
			/* FALLTHROUGH */
		case 'R':
			out->emit(out->emit_arg, out->record);
			/* FALLTHROUGH */
		case 'E':
			out->tag = (uint32_t) frame->data[0];
			return DECODE_OK;
	}
	out->reason = frame->data[0] == 'O' ? ADAPTER_OTHER_DEVICE : "unknown";
	return DECODE_BAD;
}

static void
tracker_ack(Session *session, const Ack *ack, Buf *out)
{
	for (uint64_t seq = ack->from; seq <= ack->upto; seq++)
		if (!buf_printf(out, "%s%c%d", session->device, (char) ack->frames[seq - ack->from].tag,
						ack->frames[seq - ack->from].records))
			return;
}

static const Adapter tracker = {
	.name = "tracker",.claims = true,.datagrams = true,.frame = tracker_frame,
	.decode = tracker_decode,.ack = tracker_ack
};

#endif							/* TEST_TRACKER_H */
