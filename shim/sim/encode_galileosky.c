/*
 * encode_galileosky.c
 *	  Packets as Galileosky terminals send them: those of odd numbers say in each
 *	  record what they are, the others in the head packet only.
 *
 * It shares nothing with the daemon's adapter, so that each proves the other.
 */
#include "dialect.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define IMEI_FIRST UINT64_C(860000000000000)
#define HARDWARE 17
#define FIRMWARE 34
#define TERMINAL 50
#define SATELLITES 9
#define HDOP 9					/* tenths */
#define MOVES 0x0001			/* bits of the status */
#define ENGINE 0x0200
#define ARCHIVE_WAITS 0x8000	/* of the length */
#define HEAD 3					/* before the first tag */

static bool
tells_always(const char *device)
{
	return strtoull(device, NULL, 10) % 2 != 0;
}

static const MessageSignal *
signal_of(const Message *m, const char *name)
{
	for (int i = 0; i < m->signal_count; i++)
		if (strcmp(m->signals[i].name, name) == 0 && m->signals[i].kind != MESSAGE_TEXT)
			return &m->signals[i];
	return NULL;
}

static long
steps_of(double value, double step, double offset, double max)
{
	return lround(fmin(fmax((value + offset) / step, 0), max));
}

/* Fuel, temperature and speed are one tag: all or none. */
static void
reduce_engine(Message *m, const Message *full)
{
	const MessageSignal *fuel = signal_of(full, "fuel_percent");
	const MessageSignal *coolant = signal_of(full, "coolant_temp_c");
	const MessageSignal *rpm = signal_of(full, "engine_rpm");

	if (fuel == NULL || coolant == NULL || rpm == NULL)
		return;
	message_add_number(m, "fuel_percent", (double) steps_of(fuel->number, 0.4, 0, 250) * 0.4);
	message_add_number(m, "coolant_temp_c", (double) steps_of(coolant->number, 1, 40, 250) - 40);
	message_add_number(m, "engine_rpm", (double) steps_of(rpm->number, 0.125, 0, 64255) * 0.125);
}

static void
galileosky_reduce(Message *m)
{
	Message		full = *m;
	uint64_t	number = strtoull(m->device, NULL, 10);
	const MessageSignal *ignition = signal_of(&full, "ignition");
	const MessageSignal *odometer = signal_of(&full, "odometer_km");

	if (number < IMEI_FIRST)
		snprintf(m->device, sizeof(m->device), "%llu", (unsigned long long) (IMEI_FIRST + number));
	m->time_us -= m->time_us % US_PER_S;
	m->latitude = round(m->latitude * 1e6) / 1e6;
	m->longitude = round(m->longitude * 1e6) / 1e6;
	m->altitude_m = round(m->altitude_m);
	m->speed_kmh = round(m->speed_kmh * 10) / 10;
	m->heading_deg = fmod(round(m->heading_deg * 10), 3600) / 10;
	m->accuracy_m = NAN;
	m->signal_count = 0;
	/* The number of the record in the archive; here it tells those of one second apart. */
	message_add_number(m, "sequence", (double) (full.time_us % US_PER_S / US_PER_MS));
	message_add_number(m, "satellites", SATELLITES);
	message_add_boolean(m, "gps_valid", true);
	message_add_number(m, "hdop", HDOP / 10.0);
	if (tells_always(m->device))
	{
		message_add_number(m, "hardware", HARDWARE);
		message_add_text(m, "firmware", "34");
		message_add_number(m, "terminal_id", TERMINAL);
	}
	if (ignition != NULL)
	{
		bool		moves = m->speed_kmh > 0;
		bool		on = ignition->number != 0;

		message_add_number(m, "device_status", (moves ? MOVES : 0) | (on ? ENGINE : 0));
		message_add_boolean(m, "movement", moves);
		message_add_boolean(m, "ignition", on);
	}
	reduce_engine(m, &full);
	if (odometer != NULL)
		message_add_number(m, "odometer_km", (double) steps_of(odometer->number, 0.001, 0, 4294967295.0) / 1000);
}

static void
add_le(Buffer *out, uint64_t value, int bytes)
{
	for (; bytes > 0; bytes--, value >>= 8)
		buffer_add_char(out, (char) value);
}

static void
add_tag(Buffer *out, uint8_t tag, uint64_t value, int bytes)
{
	add_le(out, tag, 1);
	add_le(out, value, bytes);
}

static void
add_terminal(Buffer *out, const char *device)
{
	add_tag(out, 0x01, HARDWARE, 1);
	add_tag(out, 0x02, FIRMWARE, 1);
	add_le(out, 0x03, 1);
	buffer_add_string(out, device);
	add_tag(out, 0x04, TERMINAL, 2);
}

static void
galileosky_record(Buffer *out, const Message *m)
{
	const MessageSignal *status = signal_of(m, "device_status");
	const MessageSignal *fuel = signal_of(m, "fuel_percent");
	const MessageSignal *odometer = signal_of(m, "odometer_km");

	if (tells_always(m->device))
		add_terminal(out, m->device);
	add_tag(out, 0x10, (uint64_t) signal_of(m, "sequence")->number, 2);
	add_tag(out, 0x20, (uint64_t) (m->time_us / US_PER_S), 4);
	add_tag(out, 0x30, SATELLITES, 1);
	add_le(out, (uint64_t) llround(m->latitude * 1e6), 4);
	add_le(out, (uint64_t) llround(m->longitude * 1e6), 4);
	add_tag(out, 0x33, (uint64_t) llround(m->speed_kmh * 10), 2);
	add_le(out, (uint64_t) llround(m->heading_deg * 10), 2);
	add_tag(out, 0x34, (uint64_t) llround(m->altitude_m), 2);
	add_tag(out, 0x35, HDOP, 1);
	if (status != NULL)
		add_tag(out, 0x40, (uint64_t) status->number, 2);
	if (fuel != NULL)
	{
		add_tag(out, 0xc1, (uint64_t) steps_of(fuel->number, 0.4, 0, 250), 1);
		add_le(out, (uint64_t) steps_of(signal_of(m, "coolant_temp_c")->number, 1, 40, 250), 1);
		add_le(out, (uint64_t) steps_of(signal_of(m, "engine_rpm")->number, 0.125, 0, 64255), 2);
	}
	if (odometer != NULL)
		add_tag(out, 0xd4, (uint64_t) steps_of(odometer->number, 0.001, 0, 4294967295.0), 4);
}

/* CRC-16/MODBUS, a bit at a time. */
static uint16_t
sum_of(const char *data, size_t len)
{
	uint16_t	sum = 0xffff;

	for (size_t i = 0; i < len; i++)
	{
		sum ^= (unsigned char) data[i];
		for (int bit = 0; bit < 8; bit++)
			sum = sum & 1 ? (sum >> 1) ^ 0xA001 : sum >> 1;
	}
	return sum;
}

/* The tags between begin and the end become a packet: its length, its sum. */
static void
end_packet(Buffer *out, size_t begin, bool waits)
{
	size_t		len = out->len - begin - HEAD;

	out->data[begin + 1] = (char) len;
	out->data[begin + 2] = (char) ((len | (waits ? ARCHIVE_WAITS : 0)) >> 8);
	add_le(out, sum_of(out->data + begin, out->len - begin), 2);
}

static void
galileosky_login(Buffer *out, const char *device)
{
	size_t		begin = out->len;

	add_tag(out, 0x01, 0, 2);
	add_terminal(out, device);
	end_packet(out, begin, false);
}

static void
galileosky_packet(Buffer *out, const char *device, const DialectRecord *records, int count)
{
	size_t		begin = out->len;

	(void) device;
	add_tag(out, 0x01, 0, 2);
	for (int i = 0; i < count; i++)
		buffer_add(out, records[i].data, records[i].len);
	end_packet(out, begin, count > 1);
}

/* A bit of the first record falls over on the way. */
static bool
galileosky_spoil(Buffer *out, size_t offset)
{
	out->data[offset + HEAD + 12] ^= 4;
	return true;
}

static int
galileosky_answer(const char *in, size_t len, bool login, int *taken)
{
	if (len < 3)
		return 0;
	*taken = login ? 1 : DIALECT_ALL;
	return in[0] == 0x02 ? 3 : -1;
}

/* Both end with the packet's sum. */
static uint32_t
galileosky_mark(const char *data, size_t len)
{
	return len < 3 ? 0 : (uint32_t) (unsigned char) data[len - 1] << 8 | (unsigned char) data[len - 2];
}

/* A packet that was damaged has no answer: the daemon closes the connection. */
const Dialect dialect_galileosky = {
	.name = "galileosky",
	.records_max = 15,
	.reduce = galileosky_reduce,
	.record = galileosky_record,
	.login = galileosky_login,
	.packet = galileosky_packet,
	.spoil = galileosky_spoil,
	.answer = galileosky_answer,
	.mark = galileosky_mark
};
