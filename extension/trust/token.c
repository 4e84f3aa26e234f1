/*
 * token.c
 *	  Tokens of sources: made, taken apart, compared.
 *
 * flt_PREFIX_SECRET, of digits and letters: no shell, URL or header has to
 * escape it, and a double click takes it whole.  The secret has 190 bits.
 */
#include "postgres.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "compat.h"
#include "fmgr.h"
#include "utils/builtins.h"

#define LEAD "flt_"
#define LEAD_LENGTH 4
#define PREFIX_LENGTH 10
#define SECRET_LENGTH 32
#define SECRET_AT (LEAD_LENGTH + PREFIX_LENGTH + 1)
#define TOKEN_LENGTH (SECRET_AT + SECRET_LENGTH)

PG_FUNCTION_INFO_V1(token_new);
PG_FUNCTION_INFO_V1(token_prefix);
PG_FUNCTION_INFO_V1(token_matches);

static void
random_characters(char *to, int n)
{
	static const char characters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	uint8		bytes[64];
	int			left = 0;

	while (n > 0)
	{
		uint8		value;

		if (left == 0)
		{
			if (!pg_strong_random(bytes, sizeof(bytes)))
				ereport(ERROR,
						(errcode(ERRCODE_INTERNAL_ERROR),
						 errmsg("could not generate random bytes")));
			left = sizeof(bytes);
		}
		/* the two of 64 for which there is no character are thrown away */
		value = bytes[--left] & 63;
		if (value < lengthof(characters) - 1)
		{
			*to++ = characters[value];
			n--;
		}
	}
	OPENSSL_cleanse(bytes, sizeof(bytes));
}

/* token_new() returns text */
Datum
token_new(PG_FUNCTION_ARGS)
{
	char		token[TOKEN_LENGTH];

	memcpy(token, LEAD, LEAD_LENGTH);
	random_characters(token + LEAD_LENGTH, PREFIX_LENGTH);
	token[SECRET_AT - 1] = '_';
	random_characters(token + SECRET_AT, SECRET_LENGTH);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(token, TOKEN_LENGTH));
}

/* token_prefix(token text) returns text: empty when it has not a token's form */
Datum
token_prefix(PG_FUNCTION_ARGS)
{
	text	   *token = PG_GETARG_TEXT_PP(0);
	const char *data = VARDATA_ANY(token);
	bool		good = VARSIZE_ANY_EXHDR(token) == TOKEN_LENGTH &&
	memcmp(data, LEAD, LEAD_LENGTH) == 0 && data[SECRET_AT - 1] == '_';

	/* it becomes a key of a look-up, and must be valid in the server's encoding */
	for (int i = LEAD_LENGTH; good && i < SECRET_AT - 1; i++)
		good = !IS_HIGHBIT_SET(data[i]);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(data + (good ? LEAD_LENGTH : 0), good ? PREFIX_LENGTH : 0));
}

/* token_matches(token text, token_sha256 bytea) returns boolean */
Datum
token_matches(PG_FUNCTION_ARGS)
{
	static const unsigned char none[SHA256_DIGEST_LENGTH];
	const unsigned char *stored = none;
	bool		comparable = false;
	unsigned char digest[SHA256_DIGEST_LENGTH];
	text	   *token;
	bool		equal;

	if (PG_ARGISNULL(0))
		PG_RETURN_BOOL(false);
	token = PG_GETARG_TEXT_PP(0);
	if (!PG_ARGISNULL(1))
	{
		bytea	   *given = PG_GETARG_BYTEA_PP(1);

		if (VARSIZE_ANY_EXHDR(given) == SHA256_DIGEST_LENGTH)
		{
			stored = (unsigned char *) VARDATA_ANY(given);
			comparable = true;
		}
	}
	SHA256((unsigned char *) VARDATA_ANY(token), VARSIZE_ANY_EXHDR(token), digest);
	equal = CRYPTO_memcmp(digest, stored, SHA256_DIGEST_LENGTH) == 0;
	PG_RETURN_BOOL(comparable && equal);
}
