/*
 * authority.h
 *	  Certificates for a fleet of cars, signed as they are needed.
 */
#ifndef SIM_AUTHORITY_H
#define SIM_AUTHORITY_H

typedef struct ssl_st SSL;
typedef struct Authority Authority;

/* path: PEM, with the authority's certificate and its key; dies when it cannot be used. */
extern Authority *authority_open(const char *path);
/* Gives a connection that begins a certificate of that name. */
extern void authority_equip(const Authority *a, SSL *ssl, const char *name);
extern void authority_close(Authority *a);

#endif							/* SIM_AUTHORITY_H */
