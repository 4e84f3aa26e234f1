/*
 * auth.h
 *	  Who may send: token -> source, asked of the database, cached; and whether
 *	  what was good still is.
 */
#ifndef SHIM_AUTH_H
#define SHIM_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "credential.h"

struct event_base;

#define AUTH_TOKEN_MAX 256		/* bytes */

typedef enum AuthStatus
{
	AUTH_OK,
	AUTH_DENIED,				/* the database does not know the token */
	AUTH_UNAVAILABLE,			/* the database is away, or too many are waiting */
	AUTH_PENDING				/* done() will be called */
} AuthStatus;

typedef struct AuthRequest AuthRequest;
typedef void (*AuthDone) (void *arg, AuthStatus status, Credential *credential);

/*
 * Answers at once from the cache (credential set when AUTH_OK), or AUTH_PENDING
 * with *request set; then done() is called later, never from within this call,
 * unless auth_cancel comes first.  Who goes on using the credential holds it.
 */
extern AuthStatus auth_check(const char *token, size_t len, Credential **credential,
							 AuthDone done, void *arg, AuthRequest **request)
			__attribute__((warn_unused_result));
extern void auth_cancel(AuthRequest *request);

/*
 * Has the database ever been there to ask?  ready() is called when it comes up
 * for the first time.
 */
extern bool auth_was_up(void);
extern void auth_on_ready(void (*ready) (void *arg), void *arg);

/* --- for main.c --- */
extern bool auth_start(struct event_base *base);
extern void auth_stop(void);

#endif							/* SHIM_AUTH_H */
