/*
 * encode_gt06.c
 *	  Messages as GT06 trackers send them: a position a frame.
 *
 * It shares nothing with the daemon's adapter, so that each proves the other.
 */
#include "dialect.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define IMEI_FIRST UINT64_C(860000000000000)
#define SATELLITES 9
#define DEGREE 1800000.0		/* steps in a degree */
#define US_PER_SECOND 1000000
#define NORTH 0x0400
#define WEST 0x0800
#define VALID 0x1000
#define IGNITION_KNOWN 0x4000
#define IGNITION_ON 0x8000

static const MessageSignal *
ignition_of(const Message *m)
{
	for (int i = 0; i < m->signal_count; i++)
		if (m->signals[i].kind == MESSAGE_BOOLEAN && strcmp(m->signals[i].name, "ignition") == 0)
			return &m->signals[i];
	return NULL;
}

static void
gt06_reduce(Message *m)
{
	const MessageSignal *ignition = ignition_of(m);
	bool		known = ignition != NULL;
	bool		on = known && ignition->number != 0;
	uint64_t	number = strtoull(m->device, NULL, 10);

	if (number < IMEI_FIRST)
		snprintf(m->device, sizeof(m->device), "%llu", (unsigned long long) (IMEI_FIRST + number));
	m->time_us -= m->time_us % US_PER_SECOND;
	m->latitude = round(m->latitude * DEGREE) / DEGREE;
	m->longitude = round(m->longitude * DEGREE) / DEGREE;
	m->altitude_m = m->accuracy_m = NAN;
	m->speed_kmh = fmin(round(m->speed_kmh), 255);
	m->heading_deg = fmod(round(m->heading_deg), 360);
	m->signal_count = 0;
	message_add_number(m, "satellites", SATELLITES);
	message_add_boolean(m, "gps_valid", true);
	if (known)
		message_add_boolean(m, "ignition", on);
}

static void
add_be(Buffer *out, uint64_t value, int bytes)
{
	while (bytes-- > 0)
		buffer_add_char(out, (char) (value >> 8 * bytes));
}

/* The content of a frame of type 10. */
static void
gt06_record(Buffer *out, const Message *m)
{
	const MessageSignal *ignition = ignition_of(m);
	time_t		seconds = (time_t) (m->time_us / US_PER_SECOND);
	unsigned	course = (unsigned) m->heading_deg | VALID;
	struct tm	tm;

	gmtime_r(&seconds, &tm);
	add_be(out, (uint64_t) tm.tm_year % 100, 1);
	add_be(out, (uint64_t) tm.tm_mon + 1, 1);
	add_be(out, (uint64_t) tm.tm_mday, 1);
	add_be(out, (uint64_t) tm.tm_hour, 1);
	add_be(out, (uint64_t) tm.tm_min, 1);
	add_be(out, (uint64_t) tm.tm_sec, 1);
	add_be(out, 0xc0 | SATELLITES, 1);
	add_be(out, (uint64_t) llround(fabs(m->latitude) * DEGREE), 4);
	add_be(out, (uint64_t) llround(fabs(m->longitude) * DEGREE), 4);
	add_be(out, (uint64_t) m->speed_kmh, 1);
	if (m->latitude >= 0)
		course |= NORTH;
	if (m->longitude < 0)
		course |= WEST;
	if (ignition != NULL)
		course |= IGNITION_KNOWN | (ignition->number != 0 ? IGNITION_ON : 0);
	add_be(out, course, 2);
}

/* CRC-16/X.25, a bit at a time. */
static uint16_t
sum_of(const char *data, size_t len)
{
	uint16_t	sum = 0xffff;

	for (size_t i = 0; i < len; i++)
	{
		sum ^= (unsigned char) data[i];
		for (int bit = 0; bit < 8; bit++)
			sum = sum & 1 ? (sum >> 1) ^ 0x8408 : sum >> 1;
	}
	return sum ^ 0xffff;
}

static void
add_frame(Buffer *out, uint8_t type, const char *content, size_t len)
{
	static uint16_t serial;
	size_t		begin;

	add_be(out, 0x7878, 2);
	begin = out->len;
	add_be(out, len + 5, 1);
	add_be(out, type, 1);
	buffer_add(out, content, len);
	add_be(out, ++serial, 2);
	add_be(out, sum_of(out->data + begin, out->len - begin), 2);
	add_be(out, 0x0d0a, 2);
}

/* Sixteen digits, two a byte. */
static void
gt06_login(Buffer *out, const char *device)
{
	uint64_t	number = strtoull(device, NULL, 10);
	char		digits[8];

	for (int i = 7; i >= 0; i--, number /= 100)
		digits[i] = (char) (number / 10 % 10 << 4 | number % 10);
	add_frame(out, 0x01, digits, sizeof(digits));
}

static void
gt06_packet(Buffer *out, const char *device, const DialectRecord *records, int count)
{
	(void) device;
	for (int i = 0; i < count; i++)
		add_frame(out, 0x10, records[i].data, records[i].len);
}

static int
gt06_answer(const char *in, size_t len, bool login, int *taken)
{
	static const char begin[] = {0x78, 0x78, 5};

	if (len < 10)
		return 0;
	if (memcmp(in, begin, sizeof(begin)) != 0 || in[3] != (login ? 0x01 : 0x10) || in[8] != '\r' || in[9] != '\n')
		return -1;
	*taken = 1;
	return 10;
}

/* A damaged frame has no answer here: nothing is spoiled. */
const Dialect dialect_gt06 = {
	.name = "gt06",
	.records_max = 1,
	.reduce = gt06_reduce,
	.record = gt06_record,
	.login = gt06_login,
	.packet = gt06_packet,
	.answer = gt06_answer
};
