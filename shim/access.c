/*
 * access.c
 *	  Lists of addresses and of names.
 */
#include "access.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "adapter.h"

bool
network_parse(const char *text, Network *network)
{
	char		address[64];
	const char *slash = strchr(text, '/');
	size_t		n = slash ? (size_t) (slash - text) : strlen(text);
	unsigned	most = 128;
	unsigned long bits;
	char	   *end;

	if (n >= sizeof(address))
		return false;
	memcpy(address, text, n);
	address[n] = '\0';
	memset(network->address, 0, sizeof(network->address));
	if (inet_pton(AF_INET, address, network->address + 12) == 1)
	{
		network->address[10] = network->address[11] = 0xFF;
		most = 32;
	}
	else if (inet_pton(AF_INET6, address, network->address) != 1)
		return false;
	network->bits = 128;
	if (slash == NULL)
		return true;
	if (slash[1] < '0' || slash[1] > '9')
		return false;
	bits = strtoul(slash + 1, &end, 10);
	if (*end != '\0' || bits > most)
		return false;
	network->bits = (unsigned) bits + 128 - most;
	return true;
}

bool
networks_hold(const Network *networks, size_t n, const unsigned char *address)
{
	for (size_t i = 0; i < n; i++)
	{
		const Network *network = &networks[i];
		unsigned	bytes = network->bits / 8;
		unsigned	rest = network->bits % 8;

		if (memcmp(network->address, address, bytes) == 0 &&
			(rest == 0 || ((network->address[bytes] ^ address[bytes]) >> (8 - rest)) == 0))
			return true;
	}
	return false;
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

void
names_sort(char **names, size_t n)
{
	qsort(names, n, sizeof(*names), compare_names);
}

bool
names_hold(char *const *names, size_t n, const char *text, size_t len)
{
	char		name[DEVICE_MAX + 1];
	const char *key = name;

	if (len == 0 || len > DEVICE_MAX || memchr(text, '\0', len) != NULL)
		return false;
	memcpy(name, text, len);
	name[len] = '\0';
	return bsearch(&key, names, n, sizeof(*names), compare_names) != NULL;
}
