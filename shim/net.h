/*
 * net.h
 *	  Addresses of peers.
 */
#ifndef SHIM_NET_H
#define SHIM_NET_H

#include <netinet/in.h>
#include <stddef.h>

struct sockaddr;

#define NET_PEER_MAX (INET6_ADDRSTRLEN + 8)

/* Its 16 bytes, IPv4 mapped into IPv6, and "host:port". */
extern void net_peer(const struct sockaddr *from, unsigned char *address, char *text, size_t size);

#endif							/* SHIM_NET_H */
