/*
 * encode_teltonika.c
 *	  Messages as Teltonika trackers send them: devices of odd numbers in codec
 *	  8, the others in codec 8 extended.
 *
 * It shares nothing with the daemon's adapter, so that each proves the other.
 */
#include "dialect.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define IMEI_FIRST UINT64_C(860000000000000)
#define SATELLITES 9
#define MILLI_G 0.00980665		/* m/s2 */
#define HEADER 8				/* before the packet: zeros, length */

/* What an IO element can say of a signal. */
typedef struct Element
{
	const char *signal;
	uint16_t	id;
	uint8_t		width;
	double		step;			/* 0: a boolean */
	double		min;			/* in steps */
	double		max;
} Element;

static const Element elements[] = {
	{"ignition", 239, 1, 0, 0, 1},
	{"coolant_temp_c", 32, 1, 1, -128, 127},
	{"fuel_percent", 48, 1, 1, 0, 100},
	{"engine_rpm", 36, 2, 1, 0, 65535},
	{"acceleration_x_ms2", 17, 2, MILLI_G, -32768, 32767},
	{"acceleration_y_ms2", 18, 2, MILLI_G, -32768, 32767},
	{"acceleration_z_ms2", 19, 2, MILLI_G, -32768, 32767},
	{"odometer_km", 16, 4, 0.001, 0, 4294967295.0}
};

#define ELEMENTS (sizeof(elements) / sizeof(elements[0]))
#define ERROR_CODES 281

static bool
is_extended(const char *device)
{
	return strtoull(device, NULL, 10) % 2 == 0;
}

static const Element *
element_of(const MessageSignal *s)
{
	for (size_t i = 0; i < ELEMENTS; i++)
		if (strcmp(elements[i].signal, s->name) == 0)
			return &elements[i];
	return NULL;
}

static int64_t
steps_of(const Element *e, double value)
{
	if (e->step == 0)
		return value != 0;
	return llround(fmin(fmax(value / e->step, e->min), e->max));
}

static void
teltonika_reduce(Message *m)
{
	Message		full = *m;
	uint64_t	number = strtoull(m->device, NULL, 10);

	if (number < IMEI_FIRST)
		snprintf(m->device, sizeof(m->device), "%llu", (unsigned long long) (IMEI_FIRST + number));
	m->altitude_m = round(m->altitude_m);
	m->speed_kmh = round(m->speed_kmh);
	m->heading_deg = round(m->heading_deg);
	m->accuracy_m = NAN;
	m->signal_count = 0;
	message_add_number(m, "satellites", SATELLITES);
	message_add_number(m, "priority", 0);
	for (int i = 0; i < full.signal_count; i++)
	{
		const MessageSignal *s = &full.signals[i];
		const Element *e = element_of(s);

		if (e != NULL && s->kind == MESSAGE_BOOLEAN && e->step == 0)
			message_add_boolean(m, s->name, s->number != 0);
		else if (e != NULL && s->kind == MESSAGE_NUMBER && e->step != 0)
			message_add_number(m, s->name, (double) steps_of(e, s->number) * e->step);
		else if (strcmp(s->name, "error_codes") == 0 && is_extended(m->device))
			message_add_text(m, s->name, s->text);
	}
}

static void
add_be(Buffer *out, uint64_t value, int bytes)
{
	while (bytes-- > 0)
		buffer_add_char(out, (char) (value >> 8 * bytes));
}

static void
teltonika_record(Buffer *out, const Message *m)
{
	int			size = is_extended(m->device) ? 2 : 1;	/* of ids and counts */
	size_t		total_at;
	int			total = 0;

	add_be(out, (uint64_t) (m->time_us / US_PER_MS), 8);
	add_be(out, 0, 1);			/* priority */
	add_be(out, (uint64_t) llround(m->longitude * 1e7), 4);
	add_be(out, (uint64_t) llround(m->latitude * 1e7), 4);
	add_be(out, (uint64_t) (int64_t) m->altitude_m, 2);
	add_be(out, (uint64_t) m->heading_deg, 2);
	add_be(out, SATELLITES, 1);
	add_be(out, (uint64_t) m->speed_kmh, 2);
	add_be(out, 0, size);		/* no event */
	total_at = out->len;
	add_be(out, 0, size);
	for (int width = 1; width <= 8; width *= 2)
	{
		size_t		count_at = out->len;
		int			count = 0;

		add_be(out, 0, size);
		for (int i = 0; i < m->signal_count; i++)
		{
			const Element *e = element_of(&m->signals[i]);

			if (e == NULL || e->width != width)
				continue;
			add_be(out, e->id, size);
			add_be(out, (uint64_t) steps_of(e, m->signals[i].number), width);
			count++;
		}
		out->data[count_at + size - 1] = (char) count;
		total += count;
	}
	if (size == 2)
	{
		const char *codes = "";
		bool		has_codes = false;

		for (int i = 0; i < m->signal_count; i++)
			if (m->signals[i].kind == MESSAGE_TEXT)
			{
				codes = m->signals[i].text;
				has_codes = true;
			}
		add_be(out, has_codes, 2);
		if (has_codes)
		{
			add_be(out, ERROR_CODES, 2);
			add_be(out, strlen(codes), 2);
			buffer_add_string(out, codes);
		}
		total += has_codes;
	}
	out->data[total_at + size - 1] = (char) total;
}

static void
teltonika_login(Buffer *out, const char *device)
{
	add_be(out, strlen(device), 2);
	buffer_add_string(out, device);
}

/* CRC-16/ARC, a bit at a time. */
static uint16_t
sum_of(const char *data, size_t len)
{
	uint16_t	sum = 0;

	for (size_t i = 0; i < len; i++)
	{
		sum ^= (unsigned char) data[i];
		for (int bit = 0; bit < 8; bit++)
			sum = sum & 1 ? (sum >> 1) ^ 0xA001 : sum >> 1;
	}
	return sum;
}

static void
teltonika_packet(Buffer *out, const char *device, const DialectRecord *records, int count)
{
	size_t		len = 3;
	size_t		begin;

	for (int i = 0; i < count; i++)
		len += records[i].len;
	add_be(out, 0, 4);
	add_be(out, len, 4);
	begin = out->len;
	add_be(out, is_extended(device) ? 0x8E : 0x08, 1);
	add_be(out, (uint64_t) count, 1);
	for (int i = 0; i < count; i++)
		buffer_add(out, records[i].data, records[i].len);
	add_be(out, (uint64_t) count, 1);
	add_be(out, sum_of(out->data + begin, len), 4);
}

/* A bit of the first record falls over on the way. */
static bool
teltonika_spoil(Buffer *out, size_t offset)
{
	out->data[offset + HEADER + 9] ^= 4;
	return true;
}

static int
teltonika_answer(const char *in, size_t len, bool login, int *taken)
{
	if (login)
	{
		if (len < 1)
			return 0;
		*taken = in[0] == 1;
		return in[0] == 0 || in[0] == 1 ? 1 : -1;
	}
	if (len < 4)
		return 0;
	if (in[0] != 0 || in[1] != 0 || in[2] != 0)
		return -1;
	*taken = (unsigned char) in[3];
	return 4;
}

const Dialect dialect_teltonika = {
	.name = "teltonika",
	.records_max = 25,
	.reduce = teltonika_reduce,
	.record = teltonika_record,
	.login = teltonika_login,
	.packet = teltonika_packet,
	.spoil = teltonika_spoil,
	.answer = teltonika_answer
};
