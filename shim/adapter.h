/*
 * adapter.h
 *	  What a protocol is: functions over memory, one row of adapters.c.
 *
 * The core owns sockets, timers, limits and logs.  For a connection it calls
 *
 *	frame()		on the bytes that came, until it needs more,
 *	decode()	on each frame: it emits records, or asks for authentication, or
 *				for an answer to be written at once,
 *	welcome()	when authentication has been decided,
 *	ack()		when the frames up to some number are durably decided,
 *	command()	when a device on it is sent a command.
 *
 * None of them sees a socket, so a test needs none, and a datagram is a frame
 * like others.
 */
#ifndef SHIM_ADAPTER_H
#define SHIM_ADAPTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "record.h"

#define DEVICE_MAX 128			/* bytes in a device's identity */
#define ADAPTER_TOKEN_MAX 256
#define ADAPTER_NAME_MAX 64

/* Decoded.reason with DECODE_BAD: a frame of another device than the connection's is counted. */
#define ADAPTER_OTHER_DEVICE "identity changed"

struct Mapping;

/* What an adapter knows of one connection, or of one datagram's sender. */
typedef struct Session
{
	const struct Mapping *mapping;	/* for documents; set by the core */
	char		device[DEVICE_MAX + 1]; /* identity that a login gave, or "" */
	bool		authenticated;	/* its source is known */
	bool		datagram;		/* data is a whole datagram: nothing will follow it */
	int64_t		now_us;			/* Unix epoch; when the bytes came */
	const char *topic;			/* the listener's pattern; see topic.h */
	bool		no_sack;		/* the listener's: gl200 answers heartbeats only */
	const char *command_topic;	/* likewise, for commands */
	size_t		frame_max;		/* limits.frame_bytes as the session began */
	char		certificate[DEVICE_MAX + 1];	/* device that the peer's certificate proves,
												 * or "": others' reports are refused */
	const void *listener;		/* tells listeners apart */
	bool		token_optional; /* that proof is enough, the listener has its source */

	/*
	 * For frame(): how much of an unfinished frame it has looked at in vain. It
	 * sets that with FRAME_MORE; with anything else the core makes it 0.
	 */
	size_t		searched;

	/* By the adapter, for the core. */
	bool		takes_commands; /* for device, or, without one, for those it reports for */
	int64_t		idle_us;		/* how long this peer may rest; 0: as configured */
	const char *ending;			/* static text: close it soon, for this reason */
	void	   *state;			/* session_size bytes, zeroed when it begins */
} Session;

/* frame() must set length for READY and SKIP, reason for BAD. */
typedef enum FrameStatus
{
	FRAME_MORE,					/* no whole frame yet */
	FRAME_READY,				/* the first length bytes are a frame */
	FRAME_SKIP,					/* the first length bytes are noise: drop them */
	FRAME_BAD					/* the stream cannot be followed: close */
} FrameStatus;

typedef struct Frame
{
	const char *data;			/* set by the core: begin of the frame */
	size_t		length;			/* bytes it takes, terminator included */
	const char *reason;			/* FRAME_BAD: static text for log and counter */
} Frame;

typedef enum DecodeStatus
{
	DECODE_OK,					/* counted; records, if any, were emitted */
	DECODE_IGNORED,				/* nothing in it: not counted, never acknowledged */
	DECODE_REPLY,				/* write reply now; not counted, no records */
	DECODE_HELLO,				/* authenticate with token and mapping */
	DECODE_END,					/* the peer said goodbye: as the end of its input */
	DECODE_BAD					/* write reply, if any, and close: reason */
} DecodeStatus;

/* What a device says to a command. */
typedef struct Answer
{
	Str			device;			/* len 0: that of the command_id, or of the session */
	int64_t		command_id;		/* 0: the protocol has no ids, it is the one in flight */
	bool		ok;				/* carried out */
	Str			text;			/* any bytes; len 0: none */
} Answer;

/*
 * A frame of which records were emitted is counted, and comes to ack(), with
 * every status: a bad one may go to quarantine before its connection closes.
 */

typedef struct Decoded
{
	/* To be called for each record; the record may be reused afterwards. */
	void		(*emit) (void *arg, const Record *record);
	void	   *emit_arg;
	Record	   *record;			/* for the adapter's use; of the core */

	/* To be called for an answer to a command, with emit_arg; NULL: nobody sends any. */
	void		(*answer) (void *arg, const Answer *answer);

	uint32_t	tag;			/* DECODE_OK: comes back in ack() */
	const char *reason;			/* DECODE_BAD: static text */
	Buf		   *reply;			/* DECODE_REPLY, DECODE_BAD: append to it */

	char		token[ADAPTER_TOKEN_MAX + 1];	/* DECODE_HELLO; "": its certificate shall do */
	char		mapping[ADAPTER_NAME_MAX + 1];	/* DECODE_HELLO; "": the listener's */
	bool		mapping_optional;	/* DECODE_HELLO: the listener's if there is no such one */
} Decoded;

/* A command to a device. */
typedef struct Command
{
	int64_t		id;				/* the same when it is sent again */
	Str			device;			/* its identity */
	Str			name;			/* printable, 1 to 255 characters */
	Str			arguments;		/* a JSON object's text */
	Str			expires;		/* 2025-01-15T14:32:18.123Z */
} Command;

/* UNSUPPORTED must set why, a static text for the command's row. */
typedef enum CommandStatus
{
	COMMAND_WRITTEN,
	COMMAND_NOT_NOW,			/* the peer is not ready: it is tried again */
	COMMAND_UNSUPPORTED			/* the protocol has no words for it */
} CommandStatus;

typedef enum Welcome
{
	WELCOME_OK,
	WELCOME_DENIED,				/* token not known */
	WELCOME_UNAVAILABLE,		/* nobody to ask */
	WELCOME_FORBIDDEN,			/* certificate and token are of two sources, or the
								 * certificate's source is not permitted */
	WELCOME_NO_MAPPING			/* no mapping of that name */
} Welcome;

/* One frame that is durably decided. */
typedef struct AckFrame
{
	uint32_t	tag;			/* from decode() */
	uint32_t	open;			/* the core's: records still undecided, 0 here */
	uint16_t	records;		/* emitted for it (saturated) */
} AckFrame;

typedef struct AckRejection
{
	uint64_t	seq;			/* frame */
	char		code[24];
	char		field[68];		/* "" when none */
} AckRejection;

/* Frames from..upto, all decided, nothing before them undecided. */
typedef struct Ack
{
	uint64_t	from;			/* frames are counted from 1 */
	uint64_t	upto;
	const AckFrame *frames;		/* upto - from + 1 of them */
	size_t		nrejected;
	const AckRejection *rejected;	/* ordered by seq */
} Ack;

struct Service;
struct ListenerConfig;
struct event_base;

typedef struct Adapter
{
	const char *name;
	const char *help;

	/* --- stream adapters --- */
	size_t		session_size;	/* bytes of Session.state */

	/*
	 * Peers prove nothing, they claim an identity: their source is the one that
	 * the listener names, and Session.authenticated is true from the start.
	 * Else the first frame must become DECODE_HELLO.
	 */
	bool		claims;
	bool		certificates;	/* peers are known by certificate: tls.client_ca is needed */
	bool		datagrams;		/* the protocol is spoken over UDP too */
	bool		tells_rejected; /* its answers do, so peers know what to send again */
	FrameStatus (*frame) (Session *session, const char *data, size_t len, Frame *out)
				__attribute__((warn_unused_result));
	DecodeStatus (*decode) (Session *session, const Frame *frame, Decoded *out)
				__attribute__((warn_unused_result));
	void		(*welcome) (Session *session, Welcome welcome, Buf *out);
	void		(*ack) (Session *session, const Ack *ack, Buf *out);
	/*
	 * Writes a command for the device, one at a time for each; NULL: the protocol
	 * has none.  Called only while takes_commands is set.
	 */
	CommandStatus (*command) (Session *session, const Command *command, const char **why, Buf *out);
	/* What to write before a close for that reason (static text); may be NULL. */
	void		(*farewell) (Session *session, const char *reason, Buf *out);

	/*
	 * The connection is over, for that reason: nothing can be written any
	 * more, but records of this very end may be emitted, which nobody
	 * acknowledges; without authentication emit is NULL.  May be NULL.
	 */
	void		(*over) (Session *session, const char *reason, Decoded *out);

	/* --- adapters that bring their own server (http): only this --- */
	const struct Service *service;
} Adapter;

/*
 * A service gets a bound, listening, non-blocking socket, which it owns from
 * then on, and does the rest itself with auth.h, sink.h, stats.h and config.h.
 */
typedef struct Service
{
	/* config stays valid, and its tls is replaced in place by a reload. */
	void	   *(*start) (struct event_base *base, int fd, const struct ListenerConfig *config);
	/* Drain: accept nothing more, answer what has begun. */
	void		(*drain) (void *service);
	/* Ends connections whose certificate, token or source is not good any more. */
	void		(*end_revoked) (void *service);
	/* Requests not yet answered. */
	size_t		(*busy) (void *service);
	void		(*stop) (void *service);
} Service;

/* NULL when there is none of that name. */
extern const Adapter *adapter_find(const char *name);
extern const Adapter *const adapters[];	/* NULL ends it */

extern const Adapter adapter_json;	/* adapters/json.c */
extern const Adapter adapter_http;	/* adapters/http.c */
extern const Adapter adapter_teltonika; /* adapters/teltonika.c */
extern const Adapter adapter_gt06;	/* adapters/gt06.c */
extern const Adapter adapter_ruptela;	/* adapters/ruptela.c */
extern const Adapter adapter_wialon;	/* adapters/wialon.c */
extern const Adapter adapter_gl200;	/* adapters/gl200.c */
extern const Adapter adapter_osmand;	/* adapters/osmand.c */
extern const Adapter adapter_mqtt;	/* adapters/mqtt.c */
extern const Adapter adapter_h02;	/* adapters/h02.c */
extern const Adapter adapter_gps103; /* adapters/gps103.c */
extern const Adapter adapter_tk103; /* adapters/tk103.c */
extern const Adapter adapter_tesla; /* adapters/tesla.c */
extern const Adapter adapter_galileosky;	/* adapters/galileosky.c */

#endif							/* SHIM_ADAPTER_H */
