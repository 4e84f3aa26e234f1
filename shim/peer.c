/*
 * peer.c
 *	  Which device a peer has proved to be by its certificate.
 */
#include "peer.h"

#include <string.h>

#include "tls.h"

#define NAME_MAX_BYTES 512		/* of a certificate's name, before what surrounds the device is cut */

bool
peer_strip(const char *pattern, const char *name, char *device, size_t size)
{
	size_t		len = strlen(name);
	const char *hole = pattern != NULL ? strchr(pattern, '%') : NULL;
	size_t		before = hole != NULL ? (size_t) (hole - pattern) : 0;
	size_t		after = hole != NULL ? strlen(hole + 1) : 0;

	device[0] = '\0';
	if (before >= len || after >= len - before || len - before - after >= size ||
		(before > 0 && memcmp(name, pattern, before) != 0) ||
		(after > 0 && memcmp(name + len - after, hole + 1, after) != 0))
		return false;
	memcpy(device, name + before, len - before - after);
	device[len - before - after] = '\0';
	return true;
}

PeerProof
peer_prove(const ListenerConfig *listener, struct ssl_st *ssl, char *device, size_t size)
{
	char		name[NAME_MAX_BYTES + 1];

	device[0] = '\0';
	if (ssl == NULL || listener->tls_client_ca == NULL)
		return PEER_UNASKED;
	/* A reload may have asked for one, or revoked it, after this handshake had begun. */
	if (!tls_peer_shown(ssl))
		return listener->tls_client_required ? PEER_MISSING : PEER_NONE;
	if (listener->tls != NULL && tls_peer_revoked(listener->tls, ssl))
		return PEER_REVOKED;
	if (strcmp(listener->tls_client_name, "none") == 0)
		return PEER_UNASKED;
	tls_peer_name(ssl, listener->tls_client_name, name, sizeof(name));
	return peer_strip(listener->tls_client_pattern, name, device, size) ? PEER_PROVED : PEER_NAMELESS;
}
