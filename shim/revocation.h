/*
 * revocation.h
 *	  Lists of revoked certificates: read again when their files change; who came
 *	  with a certificate that is on one now is closed.
 */
#ifndef SHIM_REVOCATION_H
#define SHIM_REVOCATION_H

#include <stdbool.h>

struct event_base;

extern bool revocation_start(struct event_base *base);

/* The listeners' lists are new: applies them to those who are connected. */
extern void revocation_apply(void);
extern void revocation_stop(void);

#endif							/* SHIM_REVOCATION_H */
