/*
 * conn_int.h
 *	  What the files of connections share: conn.c has their lives and limits,
 *	  conn_in.c bytes to frames to records, conn_out.c outcomes to answers,
 *	  conn_command.c commands to their devices.
 *
 * Frames are counted from 1.  Those from acked + 1 to counted stand in an array,
 *
 *		frames          frames+frames_start                     frames+frames_size
 *		 | acknowledged  | acked + 1 ... counted | room          |
 *
 * each with the number of its records that are still undecided; as those in
 * front become decided, they are acknowledged.
 */
#ifndef SHIM_CONN_INT_H
#define SHIM_CONN_INT_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <netinet/in.h>
#include <openssl/ssl.h>

#include "adapter.h"
#include "auth.h"
#include "command.h"
#include "config.h"
#include "conn.h"
#include "sink.h"

/* Frames without records that may wait for an earlier one's commit. */
#define CONN_EMPTY_MAX 4096

typedef struct Conn Conn;

struct Conn
{
	ConnState	state;
	Conn	   *prev;			/* in the list of the state */
	Conn	   *next;
	const ListenerConfig *listener;
	const Adapter *adapter;
	int			fd;
	SSL		   *ssl;			/* NULL: no TLS */
	struct event readable;
	struct event writable;
	unsigned char address[16];	/* IPv6, or IPv4 mapped into it */
	char		peer[INET6_ADDRSTRLEN + 8];
	Buf			in;				/* an unfinished frame */
	Buf			out;			/* answers not yet written */
	size_t		in_counted;		/* bytes of both that the gauges know of */
	size_t		out_counted;

	Session		session;
	char		mapping_name[ADAPTER_NAME_MAX + 1]; /* "": the default */
	unsigned	mapping_generation;
	int32_t		source_id;
	Credential *credential;		/* held, from CONN_OPEN on */
	AuthRequest *auth;			/* CONN_CHECKING */
	SinkOwner  *owner;			/* from CONN_OPEN on */

	uint64_t	counted;		/* frames read */
	uint64_t	acked;			/* of them durably decided, and answered */
	AckFrame   *frames;
	size_t		frames_start;
	size_t		frames_size;
	size_t		empty;			/* of them without records, so nothing else counts them */
	AckRejection *rejections;	/* of frames above acked, by seq */
	size_t		nrejections;
	size_t		rejections_size;
	bool		rejections_unsorted;	/* database connections decide in any order */

	CommandOwner commands;
	int64_t		command_until_us;	/* out has a command's bytes, which must not leave later */
	int64_t		user_timeout_us;	/* the socket gives up what is unacknowledged then */

	StatCounter reason;			/* of the end, from CONN_DRAINING on */
	const char *detail;			/* static text or NULL */
	bool		overloaded;		/* the sink refused a record of this frame */
	bool		stranger;		/* it is of a device that the listener does not allow */
	bool		unasked;		/* its source is the listener's, no token says it */
	bool		not_permitted;	/* the database says so of the source */
	bool		over_quota;		/* a frame was not stored and gets no answer */
	int64_t		slow_until_us;	/* CONN_SLOWED: when it may go on */
	int64_t		opened_us;
	int64_t		active_us;		/* when the last byte came */
	int64_t		progress_us;	/* when output last moved, or began to wait */
	int64_t		ended_us;		/* when CONN_LINGERING began */
	uint64_t	bytes_in;
};

/* --- conn.c --- */
extern void conn_set_state(Conn *conn, ConnState state);

/* The gauges follow what the buffers hold. */
extern void conn_account(Conn *conn);
extern size_t conn_input_bytes(void);

/* At once; the struct stays readable until the loop has turned. */
extern void conn_close(Conn *conn, StatCounter reason, const char *detail);

/* Reads no more; what is in flight is still acknowledged, then it closes. */
extern void conn_finish(Conn *conn, StatCounter reason, const char *detail);
extern void conn_end_if_done(Conn *conn);

/* --- conn_in.c --- */
extern bool conn_in_start(void);
extern void conn_in_stop(void);
extern void conn_on_readable(evutil_socket_t fd, short what, void *arg);
extern void conn_on_writable(evutil_socket_t fd, short what, void *arg);

/* The last word is the adapter's: records of the connection's end. */
extern void conn_over(Conn *conn, const char *reason);

/* The peer ended, or rests, in the middle of a frame. */
extern void conn_cut(Conn *conn);

/* The token has been checked; credential is set with AUTH_OK. */
extern void conn_welcome(Conn *conn, AuthStatus status, Credential *credential);

/* --- conn_out.c --- */
extern const SinkOwnerOps conn_owner_ops;

/* Writes what can be written; may close the connection. */
extern void conn_flush(Conn *conn);

/* Goes on reading if nothing is against it. */
extern void conn_resume(Conn *conn);

/* Room for the entry of frame counted + 1. */
extern bool conn_frames_reserve(Conn *conn);

/* Answers the frames in front that are decided. */
extern void conn_ack(Conn *conn);

/* --- conn_command.c --- */
extern void conn_commands_begin(Conn *conn);

/* After a frame: its devices are those that the adapter now says. */
extern void conn_commands_look(Conn *conn);
extern void conn_on_answer(void *arg, const Answer *answer);

/* Has a command been in out for too long?  Then the connection is closed. */
extern bool conn_command_overdue(Conn *conn);

static inline AckFrame *
conn_frame(Conn *conn, uint64_t seq)
{
	return &conn->frames[conn->frames_start + (size_t) (seq - conn->acked - 1)];
}

#endif							/* SHIM_CONN_INT_H */
