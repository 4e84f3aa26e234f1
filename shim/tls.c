/*
 * tls.c
 *	  TLS contexts from certificate and key files, authorities of clients, and
 *	  lists of certificates that were revoked.
 */
#include "tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_MAX ((off_t) 64 << 20)	/* a list with some million certificates */

struct TlsContext
{
	SSL_CTX    *ctx;
	STACK_OF(X509_CRL) *crls;	/* NULL: none */
	struct stat crl_file;		/* as it was when it was read */
};

static void
say(const char *what, const char *path, char *err, size_t errlen)
{
	unsigned long code = ERR_get_error();
	const char *reason = code == 0 ? NULL : ERR_SYSTEM_ERROR(code) ?
		strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);

	snprintf(err, errlen, "%s \"%s\": %s", what, path, reason ? reason : "not usable");
	ERR_clear_error();
}

/*
 * Files are read while everything else waits: a pipe would be waited for without
 * end, and so might be what has no end itself.
 */
static bool
is_file(const char *what, const char *path, char *err, size_t errlen)
{
	struct stat st;

	/* One that is not there is reported by who opens it. */
	if (stat(path, &st) != 0)
		return true;
	if (!S_ISREG(st.st_mode))
		snprintf(err, errlen, "%s \"%s\": is no regular file", what, path);
	else if (st.st_size > FILE_MAX)
		snprintf(err, errlen, "%s \"%s\": is too long", what, path);
	else
		return true;
	return false;
}

static TlsContext *
fail(SSL_CTX *ctx, const char *what, const char *path, char *err, size_t errlen)
{
	say(what, path, err, errlen);
	SSL_CTX_free(ctx);
	return NULL;
}

/* --- clients' certificates --- */

static void
free_crls(STACK_OF(X509_CRL) *crls)
{
	sk_X509_CRL_pop_free(crls, X509_CRL_free);
}

/* All lists of a PEM file; NULL when there is none, or one is damaged. */
static STACK_OF(X509_CRL) *
read_crls(const char *path)
{
	STACK_OF(X509_CRL) *crls = sk_X509_CRL_new_null();
	BIO		   *file = BIO_new_file(path, "r");
	X509_CRL   *crl;
	bool		whole = false;

	if (file != NULL && crls != NULL)
	{
		while ((crl = PEM_read_bio_X509_CRL(file, NULL, NULL, NULL)) != NULL)
			if (sk_X509_CRL_push(crls, crl) == 0)
			{
				X509_CRL_free(crl);
				break;
			}
		whole = crl == NULL && sk_X509_CRL_num(crls) > 0 &&
			ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
	}
	BIO_free(file);
	if (whole)
	{
		ERR_clear_error();
		return crls;
	}
	free_crls(crls);
	return NULL;
}

bool
tls_crl_read(TlsContext *context, const char *client_ca, const char *client_crl, char *err, size_t errlen)
{
	X509_STORE *store;
	STACK_OF(X509_CRL) *crls = NULL;
	struct stat file = {0};
	bool		done;

	if (!is_file("client_ca", client_ca, err, errlen) ||
		(client_crl != NULL && !is_file("client_crl", client_crl, err, errlen)))
		return false;
	ERR_clear_error();
	store = X509_STORE_new();
	if (store == NULL || X509_STORE_load_file(store, client_ca) != 1)
	{
		say("client_ca", client_ca, err, errlen);
		X509_STORE_free(store);
		return false;
	}
	if (client_crl != NULL)
	{
		/* Before it is read: what is written meanwhile is a change. */
		(void) stat(client_crl, &file);
		crls = read_crls(client_crl);
		done = crls != NULL;
		for (int i = 0; done && i < sk_X509_CRL_num(crls); i++)
			done = X509_STORE_add_crl(store, sk_X509_CRL_value(crls, i)) == 1;
		if (!done)
		{
			say("client_crl", client_crl, err, errlen);
			free_crls(crls);
			X509_STORE_free(store);
			return false;
		}
		X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
	}
	SSL_CTX_set_cert_store(context->ctx, store);	/* which frees the one before */
	free_crls(context->crls);
	context->crls = crls;
	context->crl_file = file;
	return true;
}

bool
tls_crl_changed(const TlsContext *context, const char *client_crl)
{
	const struct stat *before = &context->crl_file;
	struct stat now;

	/* While it is being replaced it may not be there. */
	return stat(client_crl, &now) == 0 &&
		(now.st_mtim.tv_sec != before->st_mtim.tv_sec || now.st_mtim.tv_nsec != before->st_mtim.tv_nsec ||
		 now.st_ino != before->st_ino || now.st_size != before->st_size);
}

bool
tls_crl_expired(const TlsContext *context)
{
	for (int i = 0; i < sk_X509_CRL_num(context->crls); i++)
	{
		const ASN1_TIME *next = X509_CRL_get0_nextUpdate(sk_X509_CRL_value(context->crls, i));

		if (next != NULL && X509_cmp_current_time(next) < 0)
			return true;
	}
	return false;
}

bool
tls_peer_revoked(const TlsContext *context, struct ssl_st *ssl)
{
	X509	   *certificate = SSL_get0_peer_certificate(ssl);

	if (certificate == NULL)
		return false;
	for (int i = 0; i < sk_X509_CRL_num(context->crls); i++)
	{
		X509_CRL   *crl = sk_X509_CRL_value(context->crls, i);
		X509_REVOKED *entry;

		if (X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_issuer_name(certificate)) == 0 &&
			X509_CRL_get0_by_cert(crl, &entry, certificate) == 1)
			return true;
	}
	return false;
}

/* --- servers --- */

TlsContext *
tls_context_new(const TlsFiles *files, char *err, size_t errlen)
{
	SSL_CTX    *ctx;
	TlsContext *context;

	if (!is_file("certificate", files->certificate, err, errlen) || !is_file("key", files->key, err, errlen))
		return NULL;
	ctx = SSL_CTX_new(TLS_server_method());
	if (ctx == NULL)
		return fail(NULL, "certificate", files->certificate, err, errlen);
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	/* An idle connection keeps no 32 kB of buffers. */
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
					 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(ctx, files->certificate) != 1)
		return fail(ctx, "certificate", files->certificate, err, errlen);
	if (SSL_CTX_use_PrivateKey_file(ctx, files->key, SSL_FILETYPE_PEM) != 1 ||
		SSL_CTX_check_private_key(ctx) != 1)
		return fail(ctx, "key", files->key, err, errlen);

	context = calloc(1, sizeof(*context));
	if (context == NULL)
		return fail(ctx, "certificate", files->certificate, err, errlen);
	context->ctx = ctx;
	if (files->client_ca != NULL)
	{
		if (!tls_crl_read(context, files->client_ca, files->client_crl, err, errlen))
		{
			tls_context_free(context);
			return NULL;
		}
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | (files->client_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
		/* Each connection shows its certificate, which may have been revoked since. */
		SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
		SSL_CTX_set_num_tickets(ctx, 0);
	}
	return context;
}

void
tls_context_free(TlsContext *context)
{
	if (context == NULL)
		return;
	/* Sessions hold the SSL_CTX by reference. */
	SSL_CTX_free(context->ctx);
	free_crls(context->crls);
	free(context);
}

struct ssl_st *
tls_session(TlsContext *context)
{
	SSL		   *ssl = SSL_new(context->ctx);

	if (ssl != NULL)
		SSL_set_accept_state(ssl);
	return ssl;
}

TlsContext *
tls_client_context_new(const char *ca, const char *certificate, const char *key, char *err, size_t errlen)
{
	SSL_CTX    *ctx;
	TlsContext *context;

	if ((strcmp(ca, "system") != 0 && !is_file("ca", ca, err, errlen)) ||
		(certificate != NULL && !is_file("certificate", certificate, err, errlen)) ||
		(key != NULL && !is_file("key", key, err, errlen)))
		return NULL;
	ctx = SSL_CTX_new(TLS_client_method());
	if (ctx == NULL)
		return fail(NULL, "ca", ca, err, errlen);
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	ERR_clear_error();
	if ((strcmp(ca, "system") == 0 ? SSL_CTX_set_default_verify_paths(ctx) :
		 SSL_CTX_load_verify_locations(ctx, ca, NULL)) != 1)
		return fail(ctx, "ca", ca, err, errlen);
	if (certificate != NULL && SSL_CTX_use_certificate_chain_file(ctx, certificate) != 1)
		return fail(ctx, "certificate", certificate, err, errlen);
	if (key != NULL && (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1 ||
						SSL_CTX_check_private_key(ctx) != 1))
		return fail(ctx, "key", key, err, errlen);

	context = calloc(1, sizeof(*context));
	if (context == NULL)
		return fail(ctx, "ca", ca, err, errlen);
	context->ctx = ctx;
	return context;
}

struct ssl_st *
tls_client_session(TlsContext *context, const char *host)
{
	SSL		   *ssl = SSL_new(context->ctx);

	if (ssl == NULL)
		return NULL;
	/* A certificate names an address in another way than a host. */
	if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) != 1 &&
		(SSL_set1_host(ssl, host) != 1 || SSL_set_tlsext_host_name(ssl, host) != 1))
	{
		SSL_free(ssl);
		return NULL;
	}
	SSL_set_connect_state(ssl);
	return ssl;
}

const char *
tls_failure(struct ssl_st *ssl, unsigned long code)
{
	long		verified = SSL_get_verify_result(ssl);

	if (code == 0)
		code = ERR_peek_last_error();
	if (code == 0 || ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		return NULL;
	if (verified != X509_V_OK)
		return X509_verify_cert_error_string(verified);
	return ERR_reason_error_string(code);
}
