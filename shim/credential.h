/*
 * credential.h
 *	  What somebody was let in by, while it is good: a token, or the source that
 *	  a listener names.
 *
 * Connections hold theirs.  Whatever ends one, they all hear of it by one call
 * of the hook, and look whether theirs is still good.
 */
#ifndef SHIM_CREDENTIAL_H
#define SHIM_CREDENTIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;

#define CREDENTIAL_PREFIX_MAX 32
#define CREDENTIAL_NO_END INT64_MAX

typedef enum CredentialState
{
	CREDENTIAL_LIVE,
	CREDENTIAL_REVOKED,			/* or removed; a source may become good again */
	CREDENTIAL_EXPIRED
} CredentialState;

typedef struct Credential
{
	struct Credential *next;	/* all there are */
	struct Credential *prev;
	struct Credential *next_in_bucket;	/* tokens that are good, by prefix; sources */
	int32_t		source_id;
	char		prefix[CREDENTIAL_PREFIX_MAX + 1];	/* of the token; "": the source as such */
	CredentialState state;
	int64_t		ends_us;		/* clock_us; CREDENTIAL_NO_END: never */
	int64_t		confirmed_us;	/* when the database was last asked and said yes; 0: not yet */
	bool		check;			/* ask it again */
	bool		asked;			/* in the query that runs */
	bool		seen;			/* in its result */
	size_t		holders;
} Credential;

/*
 * The database says that it is good until then, asked at that time.  Held for
 * the caller; NULL: out of memory.
 */
extern Credential *credential_token(int32_t source_id, const char *prefix, int64_t ends_us, int64_t asked_us);

/* That source as such; taken for good until the database says otherwise.  Not held: it stays. */
extern Credential *credential_source(int32_t source_id);

extern Credential *credential_hold(Credential *credential);
extern void credential_drop(Credential *credential);	/* NULL: nothing */

extern bool credential_is_live(const Credential *credential);

/* ended() is called from the loop after some have come to their end. */
extern void credential_on_end(void (*ended) (void));

/* --- for auth.c, which asks the database --- */

/* Something in it may have changed. */
extern void credential_check_source(int32_t source_id);
extern void credential_check_all(void);

/* As the one before, and sources are taken for good again until it is answered. */
extern void credential_trust_sources(void);

/* Wakes auth.c: there is something to be checked. */
extern void credential_on_check(void (*wake) (void));

/* Those to be checked, at most max; until credential_answered they are in question. */
extern size_t credential_ask(Credential **list, size_t max);

/* The database knows it; prefix NULL: the source as such. */
extern void credential_seen(const char *prefix, int32_t source_id, int64_t ends_us);

/* The query, sent at that time, has ended; those not seen have ended too, unless it failed. */
extern void credential_answered(Credential **list, size_t n, bool ok, int64_t asked_us);

extern bool credential_start(struct event_base *base);
extern void credential_stop(void);

#endif							/* SHIM_CREDENTIAL_H */
