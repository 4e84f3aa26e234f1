/*
 * jwt.h
 *	  JSON Web Tokens in compact form (RFC 7519, 7515): parse, verify.
 */
#ifndef FLEET_JWT_H
#define FLEET_JWT_H

#include "utils/jsonb.h"

#define JWT_MAX_LENGTH 16384	/* characters of a token */
#define JWT_MIN_SECRET 32		/* bytes of a key of HS256 (RFC 7518, 3.2) */
#define JWT_MIN_RSA_BITS 2048	/* of a key of RS256 (RFC 7518, 3.3) */

typedef struct Jwt
{
	char	   *algorithm;		/* what the header claims; to be held against the key's list */
	char	   *key_id;			/* or NULL */
	Jsonb	   *claims;			/* an object; not to be believed before jwt_verify() */
	const char *signed_part;	/* header.payload as sent */
	size_t		signed_length;
	unsigned char *signature;
	int			signature_length;
} Jwt;

/* In the current context; NULL and *why (static) when it is no token. */
extern Jwt *jwt_parse(const char *token, size_t length, const char **why);
/* Was it signed with this key?  algorithm is one that the key is for, never what the token says. */
extern bool jwt_verify(const Jwt *jwt, const char *algorithm, const unsigned char *key, size_t key_length);
/* Can the key serve the algorithm?  NULL, or why not (static). */
extern const char *jwt_check_key(const char *algorithm, const unsigned char *key, size_t key_length);

/* A member of an object: its text, or NULL when it is missing or no string. */
extern char *jwt_string(Jsonb *object, const char *name);
/* A member as number: false when missing; *valid tells whether it is one. */
extern bool jwt_number(Jsonb *object, const char *name, double *value, bool *valid);

#endif							/* FLEET_JWT_H */
