/*
 * net.h
 *	  Addresses of peers.
 */
#ifndef SHIM_NET_H
#define SHIM_NET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

struct sockaddr;

#define NET_PEER_MAX (INET6_ADDRSTRLEN + 8)

/* Its 16 bytes, IPv4 mapped into IPv6, and "host:port". */
extern void net_peer(const struct sockaddr *from, unsigned char *address, char *text, size_t size);

/*
 * May a peer's socket have this number?  The last ones are left to the database,
 * files and listeners.
 */
extern bool net_descriptor_is_spare(int fd);

#endif							/* SHIM_NET_H */
