/*
 * fuzz_galileosky.c
 *	  The galileosky adapter.  Its packets end with a sum that a fuzzer does not
 *	  find: each input goes through once more as the tags of a packet with the right one.
 */
#define FUZZ_ADAPTER adapter_galileosky
#define FUZZ_EXTRA fuzz_tags
static void fuzz_tags(const char *data, unsigned long size);
#include "fuzz_adapter.h"

#include "crc.h"

static void
fuzz_tags(const char *data, size_t size)
{
	static char packet[3 + 0x7fff + 2];
	size_t		n = size < 0x7fff ? size : 0x7fff;
	uint16_t	sum;

	packet[0] = 1;
	packet[1] = (char) n;
	packet[2] = (char) (n >> 8);
	memcpy(packet + 3, data, n);
	sum = crc16_modbus(packet, 3 + n);
	packet[3 + n] = (char) sum;
	packet[4 + n] = (char) (sum >> 8);
	fuzz_run(packet, n + 5, n / 2, "123456789012345");
	fuzz_run(packet, n + 5, n + 5, "");
}
