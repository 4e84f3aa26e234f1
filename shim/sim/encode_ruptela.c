/*
 * encode_ruptela.c
 *	  Messages as Ruptela trackers send them: devices of odd numbers as records,
 *	  the others as extended records.
 *
 * It shares nothing with the daemon's adapter, so that each proves the other.
 */
#include "dialect.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define IMEI_FIRST UINT64_C(860000000000000)
#define SATELLITES 9
#define HDOP 9					/* tenths */
#define EVENT 7
#define HEADER 13				/* before the first record */
#define TICK_US 4000			/* of the time extension: 250 in a second */
#define US_PER_SECOND 1000000

typedef struct Element
{
	const char *signal;
	uint8_t		id;
	uint8_t		width;
	double		step;			/* 0: a boolean */
	double		offset;
	double		max;			/* in steps; none is below 0 */
} Element;

static const Element elements[] = {
	{"ignition", 5, 1, 0, 0, 1},
	{"coolant_temp_c", 96, 1, 1, 40, 255},
	{"fuel_percent", 207, 1, 0.4, 0, 250},
	{"engine_rpm", 197, 2, 0.125, 0, 64255},
	{"odometer_km", 65, 4, 0.001, 0, 4294967295.0}
};

static bool
is_extended(const char *device)
{
	return strtoull(device, NULL, 10) % 2 == 0;
}

static const Element *
element_of(const MessageSignal *s)
{
	for (size_t i = 0; i < sizeof(elements) / sizeof(elements[0]); i++)
		if (strcmp(elements[i].signal, s->name) == 0 &&
			(s->kind == MESSAGE_BOOLEAN) == (elements[i].step == 0) && s->kind != MESSAGE_TEXT)
			return &elements[i];
	return NULL;
}

static uint64_t
steps_of(const Element *e, double value)
{
	if (e->step == 0)
		return value != 0;
	return (uint64_t) llround(fmin(fmax((value + e->offset) / e->step, 0), e->max));
}

static double
number_of(const Message *m, const char *name)
{
	for (int i = 0; i < m->signal_count; i++)
		if (strcmp(m->signals[i].name, name) == 0)
			return m->signals[i].number;
	return 0;
}

static void
ruptela_reduce(Message *m)
{
	Message		full = *m;
	uint64_t	number = strtoull(m->device, NULL, 10);
	int			ticks = (int) (m->time_us % US_PER_SECOND / TICK_US);

	if (number < IMEI_FIRST)
		snprintf(m->device, sizeof(m->device), "%llu", (unsigned long long) (IMEI_FIRST + number));
	m->time_us -= m->time_us % US_PER_SECOND;
	m->altitude_m = round(fmax(m->altitude_m, 0) * 10) / 10;
	m->speed_kmh = round(m->speed_kmh);
	m->heading_deg = fmod(round(m->heading_deg * 100), 36000) / 100;
	m->accuracy_m = NAN;
	m->signal_count = 0;
	message_add_number(m, "satellites", SATELLITES);
	message_add_number(m, "hdop", HDOP / 10.0);
	message_add_number(m, "priority", 0);
	message_add_number(m, "event_id", EVENT);
	if (ticks > 0)
		message_add_number(m, "time_extension", ticks);
	for (int i = 0; i < full.signal_count; i++)
	{
		const MessageSignal *s = &full.signals[i];
		const Element *e = element_of(s);

		if (e != NULL && e->step == 0)
			message_add_boolean(m, s->name, s->number != 0);
		else if (e != NULL)
			message_add_number(m, s->name, (double) steps_of(e, s->number) * e->step - e->offset);
	}
}

static void
add_be(Buffer *out, uint64_t value, int bytes)
{
	while (bytes-- > 0)
		buffer_add_char(out, (char) (value >> 8 * bytes));
}

static void
ruptela_record(Buffer *out, const Message *m)
{
	bool		extended = is_extended(m->device);

	add_be(out, (uint64_t) (m->time_us / US_PER_SECOND), 4);
	add_be(out, (uint64_t) number_of(m, "time_extension"), 1);
	if (extended)
		add_be(out, 0, 1);		/* one part, the first */
	add_be(out, 0, 1);			/* priority */
	add_be(out, (uint64_t) llround(m->longitude * 1e7), 4);
	add_be(out, (uint64_t) llround(m->latitude * 1e7), 4);
	add_be(out, (uint64_t) llround(m->altitude_m * 10), 2);
	add_be(out, (uint64_t) llround(m->heading_deg * 100), 2);
	add_be(out, SATELLITES, 1);
	add_be(out, (uint64_t) m->speed_kmh, 2);
	add_be(out, HDOP, 1);
	add_be(out, EVENT, extended ? 2 : 1);
	for (int width = 1; width <= 8; width *= 2)
	{
		size_t		count_at = out->len;
		int			count = 0;

		add_be(out, 0, 1);
		for (int i = 0; i < m->signal_count; i++)
		{
			const Element *e = element_of(&m->signals[i]);

			if (e == NULL || e->width != width)
				continue;
			add_be(out, e->id, extended ? 2 : 1);
			add_be(out, steps_of(e, m->signals[i].number), width);
			count++;
		}
		out->data[count_at] = (char) count;
	}
}

/* CRC-16/KERMIT, a bit at a time. */
static uint16_t
sum_of(const char *data, size_t len)
{
	uint16_t	sum = 0;

	for (size_t i = 0; i < len; i++)
	{
		sum ^= (unsigned char) data[i];
		for (int bit = 0; bit < 8; bit++)
			sum = sum & 1 ? (sum >> 1) ^ 0x8408 : sum >> 1;
	}
	return sum;
}

static void
ruptela_packet(Buffer *out, const char *device, const DialectRecord *records, int count)
{
	size_t		len = HEADER - 2;
	size_t		begin;

	for (int i = 0; i < count; i++)
		len += records[i].len;
	add_be(out, len, 2);
	begin = out->len;
	add_be(out, strtoull(device, NULL, 10), 8);
	add_be(out, is_extended(device) ? 68 : 1, 1);
	add_be(out, 0, 1);			/* none left behind */
	add_be(out, (uint64_t) count, 1);
	for (int i = 0; i < count; i++)
		buffer_add(out, records[i].data, records[i].len);
	add_be(out, sum_of(out->data + begin, len), 2);
}

/* A bit of the first record falls over on the way. */
static bool
ruptela_spoil(Buffer *out, size_t offset)
{
	out->data[offset + HEADER + 9] ^= 4;
	return true;
}

static int
ruptela_answer(const char *in, size_t len, bool login, int *taken)
{
	static const char stored[] = {0, 2, 0x64, 1, 0x13, (char) 0xbc};
	static const char refused[] = {0, 2, 0x64, 0, 0x02, 0x35};

	(void) login;
	if (len < sizeof(stored))
		return 0;
	*taken = memcmp(in, stored, sizeof(stored)) == 0 ? DIALECT_ALL : 0;
	return *taken == DIALECT_ALL || memcmp(in, refused, sizeof(refused)) == 0 ? (int) sizeof(stored) : -1;
}

const Dialect dialect_ruptela = {
	.name = "ruptela",
	.records_max = 25,
	.reduce = ruptela_reduce,
	.record = ruptela_record,
	.packet = ruptela_packet,
	.spoil = ruptela_spoil,
	.answer = ruptela_answer
};
