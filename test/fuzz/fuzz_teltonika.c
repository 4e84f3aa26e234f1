/*
 * fuzz_teltonika.c
 *	  Arbitrary bytes to the teltonika adapter, and packets with a right sum,
 *	  which bytes at random never have.
 */
#include "adapters/teltonika.h"
#include "crc.h"

static void fuzz_packet(const char *data, size_t size);

#define FUZZ_ADAPTER adapter_teltonika
#define FUZZ_EXTRA fuzz_packet
#include "fuzz_adapter.h"

static void
fuzz_packet(const char *data, size_t size)
{
	size_t		whole = size + 12;
	char	   *frame = calloc(1, whole);
	uint16_t	sum = crc16_arc(data, size);

	frame[4] = (char) (size >> 24);
	frame[5] = (char) (size >> 16);
	frame[6] = (char) (size >> 8);
	frame[7] = (char) size;
	memcpy(frame + 8, data, size);
	frame[whole - 2] = (char) (sum >> 8);
	frame[whole - 1] = (char) sum;
	fuzz_run(frame, whole, whole, "123456789012345");
	free(frame);
}
