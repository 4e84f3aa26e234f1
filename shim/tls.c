/*
 * tls.c
 *	  TLS contexts from certificate and key files.
 */
#include "tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct TlsContext
{
	SSL_CTX    *ctx;
};

static TlsContext *
fail(SSL_CTX *ctx, const char *what, const char *path, char *err, size_t errlen)
{
	unsigned long code = ERR_get_error();
	const char *reason = code == 0 ? NULL : ERR_SYSTEM_ERROR(code) ?
		strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);

	snprintf(err, errlen, "%s \"%s\": %s", what, path, reason ? reason : "not usable");
	ERR_clear_error();
	SSL_CTX_free(ctx);
	return NULL;
}

TlsContext *
tls_context_new(const char *certificate, const char *key, const char *client_ca, char *err, size_t errlen)
{
	SSL_CTX    *ctx = SSL_CTX_new(TLS_server_method());
	TlsContext *context;

	if (ctx == NULL)
		return fail(NULL, "certificate", certificate, err, errlen);
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	/* An idle connection keeps no 32 kB of buffers. */
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
					 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(ctx, certificate) != 1)
		return fail(ctx, "certificate", certificate, err, errlen);
	if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1 ||
		SSL_CTX_check_private_key(ctx) != 1)
		return fail(ctx, "key", key, err, errlen);
	if (client_ca != NULL)
	{
		if (SSL_CTX_load_verify_locations(ctx, client_ca, NULL) != 1)
			return fail(ctx, "client_ca", client_ca, err, errlen);
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
		/* Each connection shows its certificate, which may have been withdrawn since. */
		SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
		SSL_CTX_set_num_tickets(ctx, 0);
	}

	context = malloc(sizeof(*context));
	if (context == NULL)
		return fail(ctx, "certificate", certificate, err, errlen);
	context->ctx = ctx;
	return context;
}

void
tls_context_free(TlsContext *context)
{
	if (context == NULL)
		return;
	/* Sessions hold the SSL_CTX by reference. */
	SSL_CTX_free(context->ctx);
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
	SSL_CTX    *ctx = SSL_CTX_new(TLS_client_method());
	TlsContext *context;

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

	context = malloc(sizeof(*context));
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

void
tls_peer_name(struct ssl_st *ssl, char *name, size_t size)
{
	X509	   *certificate = SSL_get_verify_result(ssl) == X509_V_OK ? SSL_get1_peer_certificate(ssl) : NULL;
	X509_NAME  *subject = certificate != NULL ? X509_get_subject_name(certificate) : NULL;
	int			at = subject != NULL ? X509_NAME_get_index_by_NID(subject, NID_commonName, -1) : -1;
	unsigned char *text = NULL;
	int			len = -1;

	name[0] = '\0';
	/* With two names it would be a question of taste which one is proved. */
	if (at >= 0 && X509_NAME_get_index_by_NID(subject, NID_commonName, at) < 0)
		len = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
	if (len > 0 && (size_t) len < size)
	{
		int			i = 0;

		while (i < len && text[i] > ' ' && text[i] <= '~')
			i++;
		if (i == len)
		{
			memcpy(name, text, (size_t) len);
			name[len] = '\0';
		}
	}
	OPENSSL_free(text);
	X509_free(certificate);
	ERR_clear_error();
}
