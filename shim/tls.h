/*
 * tls.h
 *	  TLS contexts of listeners: loaded from files, replaced by a reload.
 */
#ifndef SHIM_TLS_H
#define SHIM_TLS_H

#include <stdbool.h>
#include <stddef.h>

struct ssl_st;
typedef struct TlsContext TlsContext;

/*
 * NULL with a message in err when the files do not make a server.  With a file
 * of authorities, which may be NULL, clients must have a certificate of one.
 */
extern TlsContext *tls_context_new(const char *certificate, const char *key, const char *client_ca,
								   char *err, size_t errlen);
extern void tls_context_free(TlsContext *context);

/*
 * For connections that we make: ca is a PEM file, or "system"; certificate and
 * key, of ours, may be NULL.
 */
extern TlsContext *tls_client_context_new(const char *ca, const char *certificate, const char *key,
										  char *err, size_t errlen);

/* A session with a server that must prove to be host; NULL when out of memory. */
extern struct ssl_st *tls_client_session(TlsContext *context, const char *host);

/* One server-side session without a socket yet; NULL when out of memory. */
extern struct ssl_st *tls_session(TlsContext *context);

/*
 * The common name that the peer's verified certificate proves; "" when there is
 * no such certificate, or not one name, printable and shorter than size.
 */
extern void tls_peer_name(struct ssl_st *ssl, char *name, size_t size);

#endif							/* SHIM_TLS_H */
