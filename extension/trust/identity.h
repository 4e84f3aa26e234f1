/*
 * identity.h
 *	  Who this session has proved to be, by a token.
 */
#ifndef FLEET_IDENTITY_H
#define FLEET_IDENTITY_H

#include "datatype/timestamp.h"

/* Levels of a token's role; each holds those before it. */
typedef enum TrustLevel
{
	TRUST_INGEST,				/* reports in, nothing out */
	TRUST_READER,
	TRUST_OPERATOR,
	TRUST_ADMIN
} TrustLevel;

/* By name; an error (22023) when there is none of it. */
extern TrustLevel trust_level(const char *name);
extern bool trust_find_level(const char *name, TrustLevel *level);

/* What a token proves.  Everything lives in the context of whoever made it. */
typedef struct TrustIdentity
{
	int32		tenant_id;
	TrustLevel	level;
	const char *subject;		/* sub, or NULL */
	TimestampTz expires;		/* exp; from then on the identity is nobody's */
	int			nscopes;		/* -1: the token has no scope claim */
	const char **scopes;		/* areas */
	int			nvehicles;		/* -1: the token has no vehicles claim */
	const int64 *vehicles;		/* ascending */
} TrustIdentity;

/*
 * Takes a copy of identity as who this session is, until it ends or, if local,
 * until the transaction does.  A (sub)transaction that is rolled back takes
 * back what it has set.  NULL: nobody.
 */
extern void trust_set_identity(const TrustIdentity *identity, bool local);
/*
 * Who the session has proved to be, or NULL.  An identity whose time has
 * passed is still one: it allows nothing, rather than what the role may do.
 */
extern const TrustIdentity *trust_identity(void);

/* The session's identity is gone at once, whatever the transaction comes to. */
extern void trust_forget_session(void);

extern void identity_init(void);

#endif							/* FLEET_IDENTITY_H */
