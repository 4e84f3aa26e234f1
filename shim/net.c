/*
 * net.c
 *	  Addresses of peers.
 */
#include "net.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define DESCRIPTORS_RESERVED 24 /* for the database, files, other listeners */

void
net_peer(const struct sockaddr *from, unsigned char *address, char *text, size_t size)
{
	char		host[INET6_ADDRSTRLEN] = "?";
	unsigned	port = 0;

	memset(address, 0, 16);
	if (from->sa_family == AF_INET)
	{
		const struct sockaddr_in *in = (const struct sockaddr_in *) from;

		address[10] = address[11] = 0xFF;
		memcpy(address + 12, &in->sin_addr, 4);
		inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		port = ntohs(in->sin_port);
	}
	else if (from->sa_family == AF_INET6)
	{
		const struct sockaddr_in6 *in = (const struct sockaddr_in6 *) from;

		memcpy(address, &in->sin6_addr, 16);
		inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof(host));
		port = ntohs(in->sin6_port);
	}
	snprintf(text, size, "%s:%u", host, port);
}

/* The lowest free number is always taken, so the number tells how many there are. */
bool
net_descriptor_is_spare(int fd)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
		(rlim_t) fd + DESCRIPTORS_RESERVED < limit.rlim_cur;
}
