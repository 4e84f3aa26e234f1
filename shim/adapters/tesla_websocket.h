/*
 * tesla_websocket.h
 *	  The server's side of WebSocket (RFC 6455) over memory: the handshake and
 *	  the frames, without extensions.
 */
#ifndef ADAPTERS_TESLA_WEBSOCKET_H
#define ADAPTERS_TESLA_WEBSOCKET_H

#include "adapter.h"

enum
{
	WEBSOCKET_CONTINUATION = 0, WEBSOCKET_TEXT = 1, WEBSOCKET_BINARY = 2,
	WEBSOCKET_CLOSE = 8, WEBSOCKET_PING = 9, WEBSOCKET_PONG = 10
};

/* The end of a request's head within data: FRAME_MORE, FRAME_READY or FRAME_BAD. */
extern FrameStatus websocket_head(const char *data, size_t len, Frame *out) __attribute__((warn_unused_result));

/* The answer to it; false when it is no request for a WebSocket on path "/". */
extern bool websocket_accept(const char *head, size_t len, Buf *out) __attribute__((warn_unused_result));

/* A whole message, from its first frame to its last, or a control frame before one. */
extern FrameStatus websocket_frame(const char *data, size_t len, Frame *out) __attribute__((warn_unused_result));

/*
 * What a whole message carries, unmasked and in one piece, into out; its kind.
 * Control frames between its parts are for control().
 */
extern int	websocket_payload(const Frame *frame, Buf *out, void (*control) (void *arg, int kind, const char *data, size_t len),
							  void *arg) __attribute__((warn_unused_result));

/* A frame of the server's; false when out of memory. */
extern bool websocket_put(Buf *out, int kind, const void *data, size_t len) __attribute__((warn_unused_result));

#endif							/* ADAPTERS_TESLA_WEBSOCKET_H */
