/*
 * access.h
 *	  Lists of addresses and of names: who may come.
 */
#ifndef SHIM_ACCESS_H
#define SHIM_ACCESS_H

#include <stdbool.h>
#include <stddef.h>

/* Addresses with the same first bits; IPv4 is mapped into IPv6. */
typedef struct Network
{
	unsigned char address[16];
	unsigned	bits;			/* of the 128 */
} Network;

/* "10.1.0.0/16", "2001:db8::/32", or one address; false when it is none of them. */
extern bool network_parse(const char *text, Network *network) __attribute__((warn_unused_result));

/* Is the address (IPv6, or IPv4 mapped into it) in one of them? */
extern bool networks_hold(const Network *networks, size_t n, const unsigned char *address);

/* names_hold wants them sorted. */
extern void names_sort(char **names, size_t n);
extern bool names_hold(char *const *names, size_t n, const char *text, size_t len);

#endif							/* SHIM_ACCESS_H */
