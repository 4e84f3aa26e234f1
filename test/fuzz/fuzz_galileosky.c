/*
 * fuzz_galileosky.c
 *	  Arbitrary bytes to the galileosky adapter, and as the tags of a packet with
 *	  a right sum, which bytes at random never have.
 */
#include "crc.h"

#include <stddef.h>

static void fuzz_tags(const char *data, size_t size);

#define FUZZ_ADAPTER adapter_galileosky
#define FUZZ_EXTRA fuzz_tags
#include "fuzz_adapter.h"

#define TAGS_MAX 0x7fff

static void
fuzz_tags(const char *data, size_t size)
{
	static char packet[3 + TAGS_MAX + 2];
	size_t		n = size < TAGS_MAX ? size : TAGS_MAX;
	uint16_t	sum;

	packet[0] = 1;
	packet[1] = (char) n;
	packet[2] = (char) (n >> 8);
	memcpy(packet + 3, data, n);
	sum = crc16_modbus(packet, 3 + n);
	packet[3 + n] = (char) sum;
	packet[4 + n] = (char) (sum >> 8);
	fuzz_run(packet, n + 5, n + 5, "123456789012345");
	fuzz_run(packet, n + 5, n / 2, "");
}
