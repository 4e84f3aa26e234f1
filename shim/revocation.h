/*
 * revocation.h
 *	  Who was let in by something that is not good any more is closed: a token, a
 *	  source, or a certificate that is on a list now, which is read again when its
 *	  file changes.
 */
#ifndef SHIM_REVOCATION_H
#define SHIM_REVOCATION_H

#include <stdbool.h>

struct event_base;

extern bool revocation_start(struct event_base *base);

/* Closes who is connected by a certificate, token or source that is not good any more. */
extern void revocation_close(void);

/* The listeners' lists are new: applies them to those who are connected. */
extern void revocation_apply(void);
extern void revocation_stop(void);

#endif							/* SHIM_REVOCATION_H */
