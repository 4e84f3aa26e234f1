/*
 * peer.h
 *	  Which device a peer has proved to be by its certificate.
 */
#ifndef SHIM_PEER_H
#define SHIM_PEER_H

#include <stdbool.h>
#include <stddef.h>

#include "config.h"

struct ssl_st;

typedef enum PeerProof
{
	PEER_UNASKED,				/* the listener asks for no certificate, or for no name in it */
	PEER_NONE,					/* it has shown none, and need not */
	PEER_MISSING,				/* likewise, but had to */
	PEER_NAMELESS,				/* its certificate names no device */
	PEER_REVOKED,				/* it was revoked during the handshake */
	PEER_PROVED					/* device is set */
} PeerProof;

/* After the handshake; ssl is NULL without TLS.  device is "" unless PEER_PROVED. */
extern PeerProof peer_prove(const ListenerConfig *listener, struct ssl_st *ssl, char *device, size_t size);

/* The part of name that stands for % in pattern, NULL for all; false when it does not fit. */
extern bool peer_strip(const char *pattern, const char *name, char *device, size_t size);

#endif							/* SHIM_PEER_H */
