/*
 * tls_peer.c
 *	  The name that a client's certificate proves.
 */
#include "tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>

bool
tls_peer_shown(struct ssl_st *ssl)
{
	return SSL_get0_peer_certificate(ssl) != NULL && SSL_get_verify_result(ssl) == X509_V_OK;
}

bool
tls_name_kind_valid(const char *kind)
{
	return strcmp(kind, "common_name") == 0 || strcmp(kind, "dns") == 0 || strcmp(kind, "uri") == 0 ||
		strcmp(kind, "none") == 0;
}

/* The text, when all of it is printable and it fits; else nothing. */
static void
take_name(const unsigned char *text, int len, char *name, size_t size)
{
	int			i = 0;

	if (len <= 0 || (size_t) len >= size)
		return;
	while (i < len && text[i] > ' ' && text[i] <= '~')
		i++;
	if (i < len)
		return;
	memcpy(name, text, (size_t) len);
	name[len] = '\0';
}

/* With two names it would be a question of taste which one is proved. */
static void
common_name(X509 *certificate, char *name, size_t size)
{
	X509_NAME  *subject = X509_get_subject_name(certificate);
	int			at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	unsigned char *text = NULL;
	int			len;

	if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
		return;
	len = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
	take_name(text, len, name, size);
	OPENSSL_free(text);
}

static void
alternative_name(X509 *certificate, int type, char *name, size_t size)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	const ASN1_IA5STRING *found = NULL;
	int			n = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
	{
		const GENERAL_NAME *one = sk_GENERAL_NAME_value(names, i);

		if (one->type != type)
			continue;
		found = one->d.ia5;
		n++;
	}
	/* A wildcard names many. */
	if (n == 1 && (type != GEN_DNS || memchr(ASN1_STRING_get0_data(found), '*', (size_t) ASN1_STRING_length(found)) == NULL))
		take_name(ASN1_STRING_get0_data(found), ASN1_STRING_length(found), name, size);
	GENERAL_NAMES_free(names);
}

void
tls_peer_name(struct ssl_st *ssl, const char *kind, char *name, size_t size)
{
	X509	   *certificate = SSL_get0_peer_certificate(ssl);

	name[0] = '\0';
	if (certificate == NULL || SSL_get_verify_result(ssl) != X509_V_OK)
		return;
	if (strcmp(kind, "common_name") == 0)
		common_name(certificate, name, size);
	else if (strcmp(kind, "dns") == 0)
		alternative_name(certificate, GEN_DNS, name, size);
	else if (strcmp(kind, "uri") == 0)
		alternative_name(certificate, GEN_URI, name, size);
	ERR_clear_error();
}
