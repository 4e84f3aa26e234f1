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

/* The files that make a server. */
typedef struct TlsFiles
{
	const char *certificate;
	const char *key;
	const char *client_ca;		/* authorities of clients' certificates; NULL: none is asked for */
	const char *client_crl;		/* lists of revoked ones; NULL: none */
	bool		client_required;	/* who shows no certificate is turned away */
} TlsFiles;

/* NULL with a message in err when the files do not make a server. */
extern TlsContext *tls_context_new(const TlsFiles *files, char *err, size_t errlen);
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
 * Why the handshake failed, static text; NULL: the peer only went away.  code is
 * OpenSSL's, 0 when it is still in its queue.
 */
extern const char *tls_failure(struct ssl_st *ssl, unsigned long code);

/* --- tls_peer.c: what a client's certificate proves --- */

/* Has the peer shown a certificate, and was it verified? */
extern bool tls_peer_shown(struct ssl_st *ssl);

/*
 * The name that the peer's verified certificate proves: its common name, or its
 * alternative name of kind "dns" or "uri".  "" when there is no such certificate,
 * or not one name, printable and shorter than size.
 */
extern void tls_peer_name(struct ssl_st *ssl, const char *kind, char *name, size_t size);
extern bool tls_name_kind_valid(const char *kind);

/* --- lists of revoked certificates --- */

/* Has the file changed since it was read? */
extern bool tls_crl_changed(const TlsContext *context, const char *client_crl);

/* Reads authorities and lists again; false, and all stays, when that fails. */
extern bool tls_crl_read(TlsContext *context, const char *client_ca, const char *client_crl, char *err, size_t errlen);

/* Is the time of one of the lists over, so that handshakes fail? */
extern bool tls_crl_expired(const TlsContext *context);

/* Has the peer's certificate been revoked since it was shown? */
extern bool tls_peer_revoked(const TlsContext *context, struct ssl_st *ssl);

#endif							/* SHIM_TLS_H */
