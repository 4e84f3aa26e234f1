/*
 * authority.c
 *	  Certificates for a fleet of cars.
 *
 * All share one key, made for the run: a simulator has nothing to hide, and it
 * keeps thousands of cars cheap.
 */
#include "authority.h"

#include <errno.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

#include "util.h"

#define DAY_S 86400

struct Authority
{
	X509	   *certificate;
	EVP_PKEY   *key;			/* signs */
	EVP_PKEY   *cars_key;
};

Authority *
authority_open(const char *path)
{
	Authority  *a = xcalloc(1, sizeof(*a));
	FILE	   *f = fopen(path, "r");

	if (!f)
		die("cannot open \"%s\": %s", path, strerror(errno));
	a->certificate = PEM_read_X509(f, NULL, NULL, NULL);
	rewind(f);
	a->key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
	fclose(f);
	if (!a->certificate || !a->key || X509_check_private_key(a->certificate, a->key) != 1)
		die("\"%s\" has no certificate with its key", path);
	a->cars_key = EVP_EC_gen("P-256");
	if (!a->cars_key)
		die("a key cannot be made");
	return a;
}

void
authority_equip(const Authority *a, SSL *ssl, const char *name)
{
	X509	   *x = X509_new();
	X509_NAME  *subject = x ? X509_get_subject_name(x) : NULL;

	if (!subject ||
		X509_set_version(x, 2) != 1 ||	/* 3 */
		ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), hash_bytes(HASH_START, name, strlen(name)) >> 1) != 1 ||
		!X509_gmtime_adj(X509_getm_notBefore(x), -DAY_S) || !X509_gmtime_adj(X509_getm_notAfter(x), 30 * DAY_S) ||
		X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *) name, -1, -1, 0) != 1 ||
		X509_set_issuer_name(x, X509_get_subject_name(a->certificate)) != 1 ||
		X509_set_pubkey(x, a->cars_key) != 1 || X509_sign(x, a->key, EVP_sha256()) == 0 ||
		SSL_use_certificate(ssl, x) != 1 || SSL_use_PrivateKey(ssl, a->cars_key) != 1)
		die("a certificate for \"%s\" cannot be made: %s", name, ERR_reason_error_string(ERR_get_error()));
	X509_free(x);
}

void
authority_close(Authority *a)
{
	X509_free(a->certificate);
	EVP_PKEY_free(a->key);
	EVP_PKEY_free(a->cars_key);
	free(a);
}
