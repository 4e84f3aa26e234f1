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

typedef struct OsmandStream
{
	HttpHead	head;			/* of the frame at hand */
	size_t		head_len;
} OsmandStream;

static inline FrameStatus
osmand_stream_frame(Session *session, const char *data, size_t len, Frame *out)
{
	OsmandStream *s = session->state;

	s->head_len = http_head_length(data, len);
	if (s->head_len == 0)
		return FRAME_MORE;
	if (http_head_parse(data, s->head_len, &s->head, &out->reason) != 0)
		return FRAME_BAD;
	out->length = s->head_len + (s->head.has_body ? (size_t) s->head.length : 0);
	return out->length > len ? FRAME_MORE : FRAME_READY;
}

static inline DecodeStatus
osmand_stream_decode(Session *session, const Frame *frame, Decoded *out)
{
	const OsmandStream *s = session->state;
	OsmandSink	sink = {out->emit, out->emit_arg, out->record, session->now_us};
	Str			body = {frame->data + s->head_len, (uint32_t) (frame->length - s->head_len)};
	OsmandResult result;

	if (body.len > 0 && body.data[0] == '{')
		result = osmand_json(body, &sink);
	else
		result = osmand_form((Str) {s->head.query, (uint32_t) s->head.query_len}, body, &sink);
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
	.session_size = sizeof(OsmandStream),
	.claims = true,
	.frame = osmand_stream_frame,
	.decode = osmand_stream_decode,
	.ack = osmand_stream_ack
};

#endif							/* TEST_OSMAND_STREAM_H */
