/*
 * failures.h
 *	  Addresses whose peers fail to prove who they are: unknown tokens, failed
 *	  TLS handshakes.
 *
 * After auth.failures of them within auth.failure_seconds the address, of IPv6
 * its /64, has to wait for as long.  Not so when one of its peers has proved who
 * it is in the last FAILURES_PROVED_SECONDS: many share an address, none of them
 * shall be able to shut out the others, and tokens cannot be guessed.
 *
 * Memory is fixed: of more addresses than the tables hold, those whose last
 * failure, or success, is oldest are forgotten.
 */
#ifndef SHIM_FAILURES_H
#define SHIM_FAILURES_H

#include <stdbool.h>

#define FAILURES_ENTRIES 4096	/* addresses that failed, and as many that did not */
#define FAILURES_PROVED_SECONDS 3600

typedef enum FailureKind
{
	FAILURE_TOKEN,
	FAILURE_HANDSHAKE,
	FAILURE_KINDS
} FailureKind;

/* Addresses are IPv6, or IPv4 mapped into it. */
extern void failures_add(const unsigned char *address, FailureKind kind);
extern void failures_success(const unsigned char *address);

/* Seconds for which it still has to wait; 0: none. */
extern int	failures_wait(const unsigned char *address);

/* The same when it failed that often in handshakes alone. */
extern int	failures_wait_handshake(const unsigned char *address);

/* Do they count as one? */
extern bool failures_same(const unsigned char *a, const unsigned char *b);

/* All are forgotten, and the memory is freed. */
extern void failures_reset(void);

#endif							/* SHIM_FAILURES_H */
