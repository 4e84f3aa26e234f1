/*
 * jwt.c
 *	  JSON Web Tokens in compact form: parse, verify.
 *
 * header.payload.signature, each base64url without padding (RFC 7515).  The
 * cryptography is OpenSSL's.  A token says which algorithm it was signed with;
 * that is only ever compared with what the key is for, so a public key can
 * never be taken for a shared secret.
 */
#include "postgres.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>

#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "trust/jwt.h"

#define ES256_HALF 32			/* bytes of r and of s */

/* --- base64url (RFC 4648, 5), strict: no padding, no line breaks, no stray bits --- */

static int
sextet(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '-')
		return 62;
	return c == '_' ? 63 : -1;
}

/* The decoded bytes with a NUL behind them, or NULL. */
static unsigned char *
base64url_decode(const char *text, size_t length, int *result_length)
{
	unsigned char *result;
	uint32		bits = 0;
	int			nbits = 0;
	int			n = 0;

	if (length % 4 == 1)
		return NULL;
	result = palloc(length / 4 * 3 + 4);
	for (size_t i = 0; i < length; i++)
	{
		int			value = sextet(text[i]);

		if (value < 0)
			return NULL;
		bits = bits << 6 | (uint32) value;
		nbits += 6;
		if (nbits >= 8)
		{
			nbits -= 8;
			result[n++] = (unsigned char) (bits >> nbits);
			bits &= (1u << nbits) - 1;
		}
	}
	if (bits != 0)
		return NULL;
	result[n] = '\0';
	*result_length = n;
	return result;
}

/* --- JSON --- */

/* NULL when it is no JSON object. */
static Jsonb *
parse_object(const unsigned char *text, int length)
{
	MemoryContext context = CurrentMemoryContext;
	Jsonb	   *volatile object = NULL;

	if (strlen((const char *) text) != length)
		return NULL;
	/* the caller raises an error of its own, so the transaction ends anyway */
	PG_TRY();
	{
		char	   *json = pg_any_to_server((const char *) text, length, PG_UTF8);

		object = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(json)));
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		if (geterrcode() == ERRCODE_QUERY_CANCELED)
			PG_RE_THROW();
		FlushErrorState();
		object = NULL;
	}
	PG_END_TRY();
	return object != NULL && JB_ROOT_IS_OBJECT(object) ? object : NULL;
}

static JsonbValue *
member(Jsonb *object, const char *name)
{
	return getKeyJsonValueFromContainer(&object->root, name, strlen(name), NULL);
}

char *
jwt_string(Jsonb *object, const char *name)
{
	JsonbValue *v = member(object, name);

	if (v == NULL || v->type != jbvString)
		return NULL;
	return pnstrdup(v->val.string.val, v->val.string.len);
}

bool
jwt_number(Jsonb *object, const char *name, double *value, bool *valid)
{
	JsonbValue *v = member(object, name);

	*valid = false;
	if (v == NULL)
		return false;
	if (v->type == jbvNumeric)
	{
		*value = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
													NumericGetDatum(v->val.numeric)));
		*valid = true;
	}
	return true;
}

/* --- a token --- */

Jwt *
jwt_parse(const char *token, size_t length, const char **why)
{
	const char *first = memchr(token, '.', length);
	const char *second = first ? memchr(first + 1, '.', length - (first + 1 - token)) : NULL;
	const char *end = token + length;
	Jwt		   *jwt = palloc0(sizeof(Jwt));
	unsigned char *part;
	Jsonb	   *header;
	int			n;

	if (length > JWT_MAX_LENGTH)
	{
		*why = "It is too long.";
		return NULL;
	}
	*why = "It is not a JSON Web Token in compact form.";
	if (second == NULL || memchr(second + 1, '.', end - (second + 1)) != NULL)
		return NULL;

	part = base64url_decode(token, first - token, &n);
	header = part ? parse_object(part, n) : NULL;
	if (header == NULL)
		return NULL;
	jwt->algorithm = jwt_string(header, "alg");
	jwt->key_id = jwt_string(header, "kid");
	if (jwt->algorithm == NULL || (jwt->key_id == NULL && member(header, "kid") != NULL))
		return NULL;
	if (member(header, "crit") != NULL)
	{
		*why = "It has critical header parameters, of which none is known.";
		return NULL;
	}

	part = base64url_decode(first + 1, second - (first + 1), &n);
	jwt->claims = part ? parse_object(part, n) : NULL;
	if (jwt->claims == NULL)
		return NULL;
	jwt->signed_part = token;
	jwt->signed_length = second - token;
	jwt->signature = base64url_decode(second + 1, end - (second + 1), &jwt->signature_length);
	return jwt->signature ? jwt : NULL;
}

/* --- keys and signatures --- */

static EVP_PKEY *
public_key(const unsigned char *key, size_t length)
{
	BIO		   *bio = BIO_new_mem_buf(key, length);
	EVP_PKEY   *pkey = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;

	BIO_free(bio);
	ERR_clear_error();
	return pkey;
}

static bool
is_p256(EVP_PKEY *pkey)
{
	char		group[64];
	size_t		n;

	return EVP_PKEY_base_id(pkey) == EVP_PKEY_EC &&
		EVP_PKEY_get_group_name(pkey, group, sizeof(group), &n) == 1 &&
		(strcmp(group, "prime256v1") == 0 || strcmp(group, "P-256") == 0);
}

/* NULL, or why the public key is not one for the algorithm. */
static const char *
check_public_key(const char *algorithm, EVP_PKEY *pkey)
{
	if (strcmp(algorithm, "RS256") != 0 && strcmp(algorithm, "ES256") != 0 && strcmp(algorithm, "EdDSA") != 0)
		return "Algorithms are HS256, RS256, ES256 and EdDSA.";
	if (pkey == NULL)
		return "The key is not a public key in PEM form.";
	if (strcmp(algorithm, "RS256") == 0)
	{
		if (EVP_PKEY_base_id(pkey) != EVP_PKEY_RSA)
			return "RS256 needs an RSA key.";
		return EVP_PKEY_bits(pkey) < JWT_MIN_RSA_BITS ? "An RSA key must have 2048 bits at least." : NULL;
	}
	if (strcmp(algorithm, "ES256") == 0)
		return is_p256(pkey) ? NULL : "ES256 needs a key of curve P-256.";
	return EVP_PKEY_base_id(pkey) == EVP_PKEY_ED25519 ? NULL : "EdDSA needs an Ed25519 key.";
}

const char *
jwt_check_key(const char *algorithm, const unsigned char *key, size_t key_length)
{
	EVP_PKEY   *pkey = public_key(key, key_length);
	const char *why;

	if (strcmp(algorithm, "HS256") == 0)
		why = pkey != NULL ? "A public key is no secret."
			: key_length < JWT_MIN_SECRET ? "A secret must have 32 bytes at least." : NULL;
	else
		why = check_public_key(algorithm, pkey);
	EVP_PKEY_free(pkey);
	return why;
}

/* r and s as JOSE has them -> DER as OpenSSL wants them; NULL when out of memory. */
static unsigned char *
es256_to_der(const unsigned char *signature, int *der_length)
{
	ECDSA_SIG  *sig = ECDSA_SIG_new();
	BIGNUM	   *r = BN_bin2bn(signature, ES256_HALF, NULL);
	BIGNUM	   *s = BN_bin2bn(signature + ES256_HALF, ES256_HALF, NULL);
	unsigned char *der = NULL;

	if (sig != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(sig, r, s) == 1)
		*der_length = i2d_ECDSA_SIG(sig, &der);
	else
	{
		BN_free(r);
		BN_free(s);
	}
	ECDSA_SIG_free(sig);
	return der;
}

static bool
verify_public(const Jwt *jwt, const char *algorithm, EVP_PKEY *pkey)
{
	bool		ed = strcmp(algorithm, "EdDSA") == 0;
	bool		ec = strcmp(algorithm, "ES256") == 0;
	unsigned char *der = NULL;
	const unsigned char *signature = jwt->signature;
	int			length = jwt->signature_length;
	EVP_MD_CTX *ctx;
	bool		good;

	if (ec)
	{
		if (length != 2 * ES256_HALF || (der = es256_to_der(signature, &length)) == NULL)
			return false;
		signature = der;
	}
	ctx = EVP_MD_CTX_new();
	good = ctx != NULL && length > 0 &&
		EVP_DigestVerifyInit(ctx, NULL, ed ? NULL : EVP_sha256(), NULL, pkey) == 1 &&
		EVP_DigestVerify(ctx, signature, length,
						 (const unsigned char *) jwt->signed_part, jwt->signed_length) == 1;
	EVP_MD_CTX_free(ctx);
	OPENSSL_free(der);
	ERR_clear_error();
	return good;
}

bool
jwt_verify(const Jwt *jwt, const char *algorithm, const unsigned char *key, size_t key_length)
{
	EVP_PKEY   *pkey;
	bool		good;

	if (strcmp(jwt->algorithm, algorithm) != 0 || jwt_check_key(algorithm, key, key_length) != NULL)
		return false;
	if (strcmp(algorithm, "HS256") == 0)
	{
		unsigned char mac[EVP_MAX_MD_SIZE];
		unsigned int n = 0;

		return HMAC(EVP_sha256(), key, key_length, (const unsigned char *) jwt->signed_part,
					jwt->signed_length, mac, &n) != NULL &&
			(int) n == jwt->signature_length && CRYPTO_memcmp(mac, jwt->signature, n) == 0;
	}
	pkey = public_key(key, key_length);
	good = verify_public(jwt, algorithm, pkey);
	EVP_PKEY_free(pkey);
	return good;
}
