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

/* NULL with a message in err when the files do not make a server. */
extern TlsContext *tls_context_new(const char *certificate, const char *key,
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

#endif							/* SHIM_TLS_H */
