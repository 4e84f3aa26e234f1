/*
 * encode_wialon.c
 *	  Messages as Wialon IPS lines: devices of odd numbers speak version 1, the
 *	  others version 2, with checksums.
 *
 * It shares nothing with the daemon's adapter, so that each proves the other.
 */
#include "dialect.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define NUMBER_FIRST UINT64_C(860000000000000)
#define SATELLITES 9
#define US_PER_SECOND 1000000
#define WRONG_FORM (-1)

static bool
has_sums(const char *device)
{
	return strtoull(device, NULL, 10) % 2 == 0;
}

/* A text parameter has no way to write what separates parameters. */
static bool
is_written(const MessageSignal *s)
{
	return s->kind == MESSAGE_NUMBER ||
		(s->kind == MESSAGE_TEXT && s->text[0] && s->text[strcspn(s->text, ",;|#\r\n")] == '\0');
}

static void
wialon_reduce(Message *m)
{
	Message		full = *m;
	uint64_t	number = strtoull(m->device, NULL, 10);
	int			ignition = -1;

	if (number < NUMBER_FIRST)
		snprintf(m->device, sizeof(m->device), "%llu", (unsigned long long) (NUMBER_FIRST + number));
	m->time_us -= m->time_us % US_PER_SECOND;
	m->altitude_m = round(m->altitude_m);
	m->speed_kmh = round(m->speed_kmh);
	m->heading_deg = fmod(round(m->heading_deg), 360);
	m->accuracy_m = NAN;
	m->signal_count = 0;
	message_add_number(m, "satellites", SATELLITES);
	message_add_number(m, "hdop", 0.9);
	for (int i = 0; i < full.signal_count; i++)
	{
		const MessageSignal *s = &full.signals[i];

		if (s->kind == MESSAGE_BOOLEAN && strcmp(s->name, "ignition") == 0)
			ignition = s->number != 0;
		else if (is_written(s) && s->kind == MESSAGE_NUMBER)
			message_add_number(m, s->name, s->number);
		else if (is_written(s))
			message_add_text(m, s->name, s->text);
	}
	/* The first input is wired to the ignition, where there is one. */
	if (ignition >= 0)
	{
		message_add_number(m, "inputs", ignition);
		message_add_boolean(m, "digital_input_1", ignition);
		message_add_boolean(m, "digital_input_2", false);
		message_add_boolean(m, "digital_input_3", false);
		message_add_boolean(m, "digital_input_4", false);
	}
}

static const MessageSignal *
signal_of(const Message *m, const char *name)
{
	for (int i = 0; i < m->signal_count; i++)
		if (strcmp(m->signals[i].name, name) == 0)
			return &m->signals[i];
	return NULL;
}

/* ddmm.mmmmmm: finer than what is stored. */
static void
add_angle(Buffer *out, double degrees, int width, const char *sides)
{
	long long	steps = llround(fabs(degrees) * 6e7);

	buffer_printf(out, "%0*lld%02lld.%06lld;%c;", width, steps / 60000000, steps % 60000000 / 1000000, steps % 1000000,
				  sides[degrees < 0]);
}

static void
wialon_record(Buffer *out, const Message *m)
{
	const MessageSignal *inputs = signal_of(m, "inputs");
	time_t		seconds = (time_t) (m->time_us / US_PER_SECOND);
	bool		first = true;
	struct tm	tm;

	gmtime_r(&seconds, &tm);
	buffer_printf(out, "%02d%02d%02d;%02d%02d%02d;", tm.tm_mday, tm.tm_mon + 1, tm.tm_year % 100, tm.tm_hour, tm.tm_min, tm.tm_sec);
	add_angle(out, m->latitude, 2, "NS");
	add_angle(out, m->longitude, 3, "EW");
	buffer_printf(out, "%.0f;%.0f;%.0f;%d;0.9;", m->speed_kmh, m->heading_deg, m->altitude_m, SATELLITES);
	if (inputs)
		buffer_printf(out, "%.0f;NA;NA;NA;", inputs->number);
	else
		buffer_add_string(out, "NA;NA;NA;NA;");
	for (int i = 0; i < m->signal_count; i++)
	{
		const MessageSignal *s = &m->signals[i];

		if (s->kind == MESSAGE_BOOLEAN || s == inputs || strcmp(s->name, "satellites") == 0 || strcmp(s->name, "hdop") == 0)
			continue;
		if (!first)
			buffer_add_char(out, ',');
		first = false;
		if (s->kind == MESSAGE_TEXT)
			buffer_printf(out, "%s:3:%s", s->name, s->text);
		else
			buffer_printf(out, "%s:2:%.6f", s->name, s->number);
	}
	if (first)
		buffer_add_string(out, "NA");
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
end_line(Buffer *out, size_t body, bool sums, char separator)
{
	if (sums)
	{
		buffer_add_char(out, separator);
		buffer_printf(out, "%04X", sum_of(out->data + body, out->len - body));
	}
	buffer_add_string(out, "\r\n");
}

static void
wialon_login(Buffer *out, const char *device)
{
	size_t		body;

	buffer_add_string(out, "#L#");
	body = out->len;
	buffer_printf(out, has_sums(device) ? "2.0;%s;NA" : "%s;NA", device);
	end_line(out, body, has_sums(device), ';');
}

/* A single report has a line of its own, more are a batch. */
static void
wialon_packet(Buffer *out, const char *device, const DialectRecord *records, int count)
{
	size_t		body;

	buffer_add_string(out, count == 1 ? "#D#" : "#B#");
	body = out->len;
	for (int i = 0; i < count; i++)
	{
		if (i > 0)
			buffer_add_char(out, '|');
		buffer_add(out, records[i].data, records[i].len);
	}
	end_line(out, body, has_sums(device), count == 1 ? ';' : '|');
}

/* A bit of the first date falls over on the way; without a checksum nobody could tell. */
static bool
wialon_spoil(Buffer *out, size_t offset)
{
	size_t		sum = out->len - 7;

	if ((out->data[sum] != ';' && out->data[sum] != '|') || strcspn(out->data + sum + 1, ":;,|\r") != 4)
		return false;
	out->data[offset + 3] ^= 4;
	return true;
}

static int
wialon_answer(const char *in, size_t len, bool login, int *taken)
{
	const char *end = memchr(in, '\n', len);
	char		kind;
	int			code;

	if (end == NULL)
		return 0;
	len = (size_t) (end - in) + 1;
	if (login)
	{
		*taken = len == 7 && memcmp(in, "#AL#1", 5) == 0;
		return len >= 7 && memcmp(in, "#AL#", 4) == 0 ? (int) len : -1;
	}
	if (sscanf(in, "#A%c#%d\r\n", &kind, &code) != 2)
	{
		*taken = 0;
		return len == 6 && memcmp(in, "#AB#\r\n", 6) == 0 ? (int) len : -1;
	}
	if (kind == 'B')
		*taken = code;
	else if (kind == 'D')
		/* 0 and 10 to 15: it is in quarantine for what it says. */
		*taken = code != WRONG_FORM && code != 16;
	else
		return -1;
	return (int) len;
}

const Dialect dialect_wialon = {
	.name = "wialon",
	.records_max = 25,
	.reduce = wialon_reduce,
	.record = wialon_record,
	.login = wialon_login,
	.packet = wialon_packet,
	.spoil = wialon_spoil,
	.answer = wialon_answer
};
