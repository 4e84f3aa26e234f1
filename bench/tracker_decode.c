/*
 * tracker_decode.c
 *	  What a packet of a tracker costs the daemon's adapter: frame(), decode()
 *	  and ack(), per record; several rounds, the best of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "adapter.h"
#include "crc.h"

#define ROUNDS 5
#define PACKETS 20000
#define RECORDS 10

/* Codec 8: place and motion, 3 elements of a byte, 4 of two, one of four. */
static const unsigned char one[] = {
	0x00, 0x00, 0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x00, 0x00, 0x05, 0x2c, 0xc8, 0x88, 0x1d, 0xde, 0x41, 0x68, 0x00, 0x70,
	0x00, 0xf5, 0x09, 0x00, 0x12, 0x00, 0x08, 0x03, 0xef, 0x01, 0x20, 0x5a, 0x30, 0x40, 0x04, 0x24, 0x08, 0x00, 0x11,
	0x00, 0x10, 0x12, 0xff, 0xf0, 0x13, 0x03, 0xe8, 0x01, 0x10, 0x00, 0x00, 0x30, 0x39, 0x00
};

static Record record;
static size_t emitted;

static void
emit(void *arg, const Record *r)
{
	(void) arg;
	emitted += r->defect.len == 0;
}

static double
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double) t.tv_sec * 1e9 + (double) t.tv_nsec;
}

int
main(void)
{
	static char packet[8 + 2 + RECORDS * sizeof(one) + 1 + 4];
	Session		session = {.authenticated = true, .device = "860000000000001"};
	Buf			out = {0};
	Decoded		decoded = {.emit = emit, .record = &record, .reply = &out};
	size_t		len = sizeof(packet) - 12;
	char	   *p = packet + 8;
	uint16_t	sum;
	double		best = 0;

	packet[6] = (char) (len >> 8);
	packet[7] = (char) len;
	*p++ = 8;
	*p++ = RECORDS;
	for (int i = 0; i < RECORDS; i++)
	{
		memcpy(p, one, sizeof(one));
		p += sizeof(one);
	}
	*p = RECORDS;
	sum = crc16_arc(packet + 8, len);
	packet[8 + len + 2] = (char) (sum >> 8);
	packet[8 + len + 3] = (char) sum;

	for (int round = 0; round < ROUNDS; round++)
	{
		double		begin = now_ns();
		double		took;

		for (int i = 0; i < PACKETS; i++)
		{
			Frame		frame = {packet, 0, NULL};
			AckFrame	ackframe = {0};
			Ack			ack = {1, 1, &ackframe, 0, NULL};

			if (adapter_teltonika.frame(&session, packet, sizeof(packet), &frame) != FRAME_READY ||
				adapter_teltonika.decode(&session, &frame, &decoded) != DECODE_OK)
			{
				fputs("the adapter does not take the packet\n", stderr);
				return 1;
			}
			ackframe.tag = decoded.tag;
			adapter_teltonika.ack(&session, &ack, &out);
			buf_release(&out);
		}
		took = (now_ns() - begin) / PACKETS / RECORDS;
		if (best == 0 || took < best)
			best = took;
	}
	if (emitted != (size_t) ROUNDS * PACKETS * RECORDS)
	{
		fputs("records are missing\n", stderr);
		return 1;
	}
	printf("teltonika_ns=%.1f\n", best);
	return 0;
}
