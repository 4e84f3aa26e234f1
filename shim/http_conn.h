/*
 * http_conn.h
 *	  A connection of the HTTP service, as its files share it: adapters/http.c
 *	  listens, http_conn.c has the connection's life, http_telemetry.c the
 *	  request that brings documents, http_osmand.c that of a phone,
 *	  http_answer.c the answers.
 */
#ifndef SHIM_HTTP_CONN_H
#define SHIM_HTTP_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "adapter.h"
#include "auth.h"
#include "buf.h"
#include "config.h"
#include "http_body.h"
#include "http_head.h"
#include "peer.h"
#include "record.h"
#include "sink.h"

struct bufferevent;
struct evbuffer;
struct event;
struct event_base;

typedef enum HttpState
{
	HTTP_IDLE,					/* no byte of a request yet */
	HTTP_READ_HEAD,
	HTTP_WAIT_AUTH,				/* the database is asked about the token */
	HTTP_READ_BODY,
	HTTP_WAIT_COMMIT,			/* documents are with the sink */
	HTTP_WRITE,					/* the answer leaves */
	HTTP_LINGER					/* answered early: the rest is swallowed, then close */
} HttpState;

typedef struct HttpError
{
	uint64_t	index;			/* of the document, from 0 */
	char		code[24];
	char		field[RECORD_NAME_MAX + 1];
} HttpError;

typedef struct HttpService HttpService;

typedef struct HttpConn
{
	struct HttpConn *next;
	struct HttpConn *prev;
	HttpService *service;
	HttpState	state;
	struct bufferevent *bev;
	struct event *timer;
	struct sockaddr_storage peer;
	socklen_t	peer_len;
	unsigned char address[16];	/* IPv6, or IPv4 mapped into it */
	char		device[DEVICE_MAX + 1]; /* that its certificate proves, or "" */
	PeerProof	proof;
	bool		eof;			/* the peer sends no more */

	/* the request */
	HttpHead	head;
	size_t		searched;		/* bytes of input without the head's end */
	bool		serving;		/* counted as a request being served */
	bool		keep_alive;		/* after the answer */
	bool		body_unread;	/* some of it has not been taken from the input */
	AuthRequest *auth;
	int32_t		source_id;
	Credential *credential;		/* held, of this request; NULL: not known yet */
	bool		unasked;		/* it is the listener's, no token says it */
	Buf			body;
	Chunks		chunks;
	Buf			query;			/* of the target, where the service reads it */
	bool		json;			/* osmand: the JSON form */
	uint64_t	body_left;
	size_t		body_seen;		/* bytes when the timer last looked */
	size_t		swallowed;

	/* its documents */
	SinkOwner  *owner;
	int64_t		received_us;
	uint64_t	submitted;
	uint64_t	counts[3];		/* by SinkVerdict */
	bool		over_quota;		/* some were not stored */
	HttpError  *errors;
	size_t		nerrors;
	size_t		errors_size;
} HttpConn;

/* What differs between services that speak HTTP. */
typedef struct HttpKind
{
	const char *name;
	/* A head was read, whatever its path; NULL: as http_conn.c routes paths. */
	void		(*begin) (HttpConn *conn);
	/* All of the body is there, unpacked. */
	void		(*take) (HttpConn *conn, const char *text, size_t len);
	/* All documents are decided: answers. */
	void		(*outcome) (HttpConn *conn);
	int			busy_status;	/* too much, too fast: come back later */
} HttpKind;

struct HttpService
{
	const HttpKind *kind;
	struct event_base *base;
	const ListenerConfig *config;
	int			fd;				/* -1: draining */
	struct event *accept_event;
	struct event *resume_timer;
	bool		draining;
	HttpConn   *conns;
	size_t		nconns;
};

/* --- http_conn.c --- */

/* Takes over an accepted, non-blocking socket; closes it when memory is out. */
extern void http_conn_new(HttpService *service, int fd, const struct sockaddr *peer, socklen_t peer_len,
						  const unsigned char *address);
extern void http_conn_free(HttpConn *conn);
extern void http_conn_set_state(HttpConn *conn, HttpState state);
/* Goes on with the input as far as the state lets it; may free the connection. */
extern void http_conn_process(HttpConn *conn);
/*
 * There is no memory for an answer: ends it in the next turn of the loop, since
 * the callers still use it.
 */
extern void http_conn_abandon(HttpConn *conn);

/* --- http_telemetry.c: POST /v1/telemetry --- */

/* The head was read.  Answers, or waits for the token's check or the body. */
extern void http_telemetry_begin(HttpConn *conn);
/* HTTP_READ_BODY: moves what has come from the input to the body. */
extern void http_telemetry_read(HttpConn *conn);
/* Reads the body, for HttpKind.take(). */
extern void http_body_begin(HttpConn *conn);
/* Of the documents of a connection: counts them, ends in HttpKind.outcome(). */
extern const SinkOwnerOps http_owner_ops;
/* What the request came with is not good any more: answers, unless its documents are with the sink. */
extern void http_telemetry_revoke(HttpConn *conn);
extern void http_telemetry_take(HttpConn *conn, const char *text, size_t len);
extern void http_telemetry_outcome(HttpConn *conn);
/* The request is over, whatever came of it. */
extern void http_telemetry_end(HttpConn *conn);

/* --- http_osmand.c: reports of phones --- */
extern void http_osmand_begin(HttpConn *conn);
extern void http_osmand_take(HttpConn *conn, const char *text, size_t len);
extern void http_osmand_outcome(HttpConn *conn);

/* --- adapters/http.c, for adapters that speak it too --- */
extern void *http_service_start(struct event_base *base, int fd, const ListenerConfig *config,
								const HttpKind *kind);
extern void http_service_drain(void *service);
extern void http_service_end_revoked(void *service);
extern size_t http_service_busy(void *service);
extern void http_service_stop(void *service);

/* --- http_answer.c --- */

/*
 * Writes the answer, ends the request; headers are whole lines, content is
 * freed.  The connection goes on only when all of the request has been read and
 * both sides want it.
 */
extern void http_answer(HttpConn *conn, int status, const char *headers, const char *type,
						struct evbuffer *content);
extern void http_answer_text(HttpConn *conn, int status, const char *headers, const char *text, size_t len);
/* {"error":"..."}; the text is ours, and holds nothing to be escaped. */
extern void http_answer_error(HttpConn *conn, int status, const char *headers, const char *error);
extern void http_answer_denied(HttpConn *conn, const char *error);
/* Not for who asks: see the connection's proof. */
extern void http_answer_forbidden(HttpConn *conn, const char *error);
/* Its address has failed too often, and may come back after so many seconds. */
extern void http_answer_blocked(HttpConn *conn, int seconds);
/* To be sent again later: the database is away, the sink is full, no commit in time. */
extern void http_answer_away(HttpConn *conn);
extern void http_answer_full(HttpConn *conn);
/* It is above its rate, and may come back after so many microseconds. */
extern void http_answer_slow(HttpConn *conn, int64_t wait_us);
extern void http_answer_late(HttpConn *conn);
/* Some of it is not stored: all of it is to be sent again. */
extern void http_answer_over_quota(HttpConn *conn);

#endif							/* SHIM_HTTP_CONN_H */
