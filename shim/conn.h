/*
 * conn.h
 *	  Connections of stream adapters.
 */
#ifndef SHIM_CONN_H
#define SHIM_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "stats.h"

struct event_base;
struct ListenerConfig;

/* Each has a list; conn_set_state alone moves a connection between them. */
typedef enum ConnState
{
	CONN_FREE,					/* for the next peer */
	CONN_JUSTFREE,				/* closed, hidden until the loop has turned */
	CONN_TLS,					/* handshake */
	CONN_HELLO,					/* its first frame has not come */
	CONN_CHECKING,				/* the database is asked about its token */
	CONN_OPEN,					/* being read */
	CONN_WAITING,				/* not read: the sink is full */
	CONN_STUFFED,				/* not read: the peer does not read its answers */
	CONN_SLOWED,				/* not read: it sends more than its rate allows */
	CONN_DRAINING,				/* reads no more, waits for what is in flight */
	CONN_CLOSING,				/* last answers are being written */
	CONN_LINGERING,				/* we ended; input is swallowed so that they arrive */
	CONN_STATES
} ConnState;

extern bool conn_start(struct event_base *base);

/*
 * Takes over an accepted, non-blocking socket.  A connection beyond a limit is
 * told so and closed.
 */
extern void conn_accept(int fd, const struct sockaddr *address, socklen_t len,
						const struct ListenerConfig *listener);

/*
 * Seconds for which an address (IPv6, or IPv4 mapped into it) has to wait, since
 * its peers failed too often to prove who they are; 0: none, or one of them is
 * here, or was not long ago, that did prove it, for many share an address.
 */
extern int	conn_address_wait(const unsigned char *bytes);

/* Ends those whose certificate, token or source is not good any more. */
extern void conn_end_revoked(void);

/* Ends all: reads no more, acknowledges what commits, closes. */
extern void conn_drain(void);
extern size_t conn_count(void);
extern void conn_stop(void);

#endif							/* SHIM_CONN_H */
