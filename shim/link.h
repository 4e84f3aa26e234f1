/*
 * link.h
 *	  A connection that fleetd makes: name, address, TLS, bytes in and out.
 *
 * It knows no protocol, and does not come back by itself: whoever owns it is
 * told of the end, and opens it again when it likes.
 */
#ifndef SHIM_LINK_H
#define SHIM_LINK_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"
#include "tls.h"

struct event_base;
typedef struct Link Link;

typedef struct LinkOps
{
	/* Connected, with TLS if asked for. */
	void		(*up) (void *arg);
	/* Bytes came; returns how many are done with.  May call all below but link_free. */
	size_t		(*input) (void *arg, const char *data, size_t len);
	/* It could not be made, or was lost; not called for link_close. */
	void		(*down) (void *arg, const char *reason);
} LinkOps;

/* Is it host:port or [address]:port, with a port? */
extern bool link_address_valid(const char *address);

/* Address must be valid; NULL when out of memory. */
extern Link *link_new(struct event_base *base, const char *address, const LinkOps *ops, void *arg);
extern void link_free(Link *link);

/*
 * Begins; up or down follows, perhaps before it returns.  tls may be NULL, and
 * is not needed after the call to up.  The name is looked up without blocking, in the
 * hosts file and by the name servers of resolv.conf.
 */
extern void link_open(Link *link, TlsContext *tls);
extern void link_close(Link *link);

/* What is put here is sent by link_flush, which may call down. */
extern Buf *link_out(Link *link);
extern void link_flush(Link *link);

/* Stop and go on calling input; the latter from the event loop. */
extern void link_pause(Link *link);
extern void link_resume(Link *link);

#endif							/* SHIM_LINK_H */
