/*
 * osmand_stream.h
 *	  The osmand adapter over memory: requests cut and answered as the HTTP
 *	  connections of the daemon do it, so that it can be fed like others.
 */
#ifndef TEST_OSMAND_STREAM_H
#define TEST_OSMAND_STREAM_H

#include "adapter.h"
#include "http_head.h"
#include "osmand_decode.h"

static inline FrameStatus
osmand_stream_frame(Session *session, const char *data, size_t len, Frame *out)
{
	size_t		head_len = http_head_length(data, len);
	HttpHead	head;

	(void) session;
	if (head_len == 0)
		return FRAME_MORE;
	if (http_head_parse(data, head_len, &head, &out->reason) != 0)
		return FRAME_BAD;
	out->length = head_len + (head.has_body ? (size_t) head.length : 0);
	return out->length > len ? FRAME_MORE : FRAME_READY;
}

static inline DecodeStatus
osmand_stream_decode(Session *session, const Frame *frame, Decoded *out)
{
	OsmandSink	sink = {out->emit, out->emit_arg, out->record, session->now_us};
	size_t		head_len = http_head_length(frame->data, frame->length);
	Str			body = {frame->data + head_len, (uint32_t) (frame->length - head_len)};
	HttpHead	head;
	OsmandResult result;

	if (http_head_parse(frame->data, head_len, &head, &out->reason) != 0)
		return DECODE_BAD;
	if (body.len > 0 && body.data[0] == '{')
		result = osmand_json(body, &sink);
	else
		result = osmand_form((Str) {head.query, (uint32_t) head.query_len}, body, &sink);
	return result == OSMAND_OK ? DECODE_OK : DECODE_BAD;
}

static inline void
osmand_stream_ack(Session *session, const Ack *ack, Buf *out)
{
	size_t		rejected = 0;

	(void) session;
	for (uint64_t seq = ack->from; seq <= ack->upto; seq++)
	{
		bool		bad = rejected < ack->nrejected && ack->rejected[rejected].seq == seq;

		rejected += bad;
		(void) !buf_printf(out, "HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n", bad ? "400 Bad Request" : "200 OK");
	}
}

static const Adapter osmand_stream = {
	.name = "osmand",
	.claims = true,
	.frame = osmand_stream_frame,
	.decode = osmand_stream_decode,
	.ack = osmand_stream_ack
};

#endif							/* TEST_OSMAND_STREAM_H */
