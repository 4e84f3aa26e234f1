/*
 * listen.h
 *	  Listening sockets: opened at the start, accepting when we can serve.
 */
#ifndef SHIM_LISTEN_H
#define SHIM_LISTEN_H

#include <stdbool.h>
#include <stddef.h>

struct event_base;

/*
 * Opens all sockets and starts services.  Stream adapters accept once the
 * database has been up for the first time.  False, with a log line, when an
 * address cannot be had.
 */
extern bool listen_start(struct event_base *base);

/* Accept nothing more, and let services end what they have begun. */
extern void listen_drain(void);

/* Ends connections of services whose certificate has been revoked since they came. */
extern void listen_end_revoked(void);

/* Requests and datagrams that are not answered. */
extern size_t listen_busy(void);
extern void listen_stop(void);

#endif							/* SHIM_LISTEN_H */
