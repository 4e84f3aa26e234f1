/*
 * encode_h02.c
 *	  Messages as H02 trackers send them: devices of odd numbers as text, which
 *	  is answered, the others as binary frames, which are not.
 *
 * It shares nothing with the daemon's adapter, so that each proves the other.
 */
#include "dialect.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define NUMBER_FIRST UINT64_C(8600000000)
#define DEGREE 600000.0			/* steps in a degree */
#define KMH_PER_KNOT 1.852
#define US_PER_SECOND 1000000
#define NO_IGNITION 0x400		/* bit of the status that is missing then */
#define BATTERY 90

static bool
is_text(const char *device)
{
	return strtoull(device, NULL, 10) % 2 != 0;
}

static bool
is_answered(const DialectRecord *record)
{
	return record->data[0] == '*';
}

static bool
boolean_of(const Message *m, const char *name)
{
	for (int i = 0; i < m->signal_count; i++)
		if (strcmp(m->signals[i].name, name) == 0)
			return m->signals[i].number != 0;
	return false;
}

static void
h02_reduce(Message *m)
{
	bool		on = boolean_of(m, "in_use");
	uint64_t	number = strtoull(m->device, NULL, 10);
	double		knots = m->speed_kmh / KMH_PER_KNOT;

	if (number < NUMBER_FIRST)
		snprintf(m->device, sizeof(m->device), "%llu", (unsigned long long) (NUMBER_FIRST + number));
	m->time_us -= m->time_us % US_PER_SECOND;
	m->latitude = round(m->latitude * DEGREE) / DEGREE;
	m->longitude = round(m->longitude * DEGREE) / DEGREE;
	m->altitude_m = m->accuracy_m = NAN;
	m->speed_kmh = (is_text(m->device) ? round(knots * 100) / 100 : round(knots)) * KMH_PER_KNOT;
	m->heading_deg = fmod(round(m->heading_deg), 360);
	m->signal_count = 0;
	message_add_boolean(m, "gps_valid", true);
	message_add_boolean(m, "ignition", on);
	message_add_boolean(m, "external_power", true);
	message_add_text(m, "status_word", on ? "FFFFFFFF" : "FFFFFBFF");
	if (is_text(m->device))
		message_add_text(m, "event_type", "V1");
	else
	{
		message_add_number(m, "tracker_battery_percent", BATTERY);
		message_add_text(m, "extra", "000000");
	}
}

/* Digits, two a byte. */
static void
add_bcd(Buffer *out, const char *digits)
{
	for (size_t i = 0; digits[i]; i += 2)
		buffer_add_char(out, (char) ((digits[i] - '0') << 4 | (digits[i + 1] - '0')));
}

static void
h02_record(Buffer *out, const Message *m)
{
	/* Of a latitude there are two digits of degrees: what does not fit is written as zero. */
	bool		fits = fabs(m->latitude) <= 90;
	long		latitude = fits ? lround(fabs(m->latitude) * DEGREE) : 0;
	long		longitude = fits ? lround(fabs(m->longitude) * DEGREE) : 0;
	uint32_t	status = boolean_of(m, "ignition") ? UINT32_MAX : UINT32_MAX & ~NO_IGNITION;
	time_t		seconds = (time_t) (m->time_us / US_PER_SECOND);
	double		knots = m->speed_kmh / KMH_PER_KNOT;
	char		digits[64];
	struct tm	tm;
	char		clock[8];
	char		date[8];

	gmtime_r(&seconds, &tm);
	strftime(clock, sizeof(clock), "%H%M%S", &tm);
	strftime(date, sizeof(date), "%d%m%y", &tm);
	if (is_text(m->device))
	{
		buffer_printf(out, "*HQ,%s,V1,%s,A,%02ld%02ld.%04ld,%c,%03ld%02ld.%04ld,%c,%.2f,%03.0f,%s,%08X#",
					  m->device, clock, latitude / 600000, latitude % 600000 / 10000, latitude % 10000,
					  m->latitude < 0 ? 'S' : 'N', longitude / 600000, longitude % 600000 / 10000, longitude % 10000,
					  m->longitude < 0 ? 'W' : 'E', knots, m->heading_deg, date, status);
		return;
	}
	buffer_add_char(out, '$');
	snprintf(digits, sizeof(digits), "%.10s%s%s%02ld%06ld", m->device, clock, date, latitude / 600000, latitude % 600000);
	add_bcd(out, digits);
	buffer_add_char(out, BATTERY);
	/* The last digit makes room for the flags. */
	snprintf(digits, sizeof(digits), "%03ld%06ld0", longitude / 600000, longitude % 600000);
	add_bcd(out, digits);
	out->data[out->len - 1] |= (char) (2 | (m->latitude >= 0) << 2 | (m->longitude >= 0) << 3);
	snprintf(digits, sizeof(digits), "%03.0f%03.0f", knots, m->heading_deg);
	add_bcd(out, digits);
	for (int shift = 24; shift >= 0; shift -= 8)
		buffer_add_char(out, (char) (status >> shift));
	buffer_add(out, "\0\0", 3);
}

static void
h02_packet(Buffer *out, const char *device, const DialectRecord *records, int count)
{
	(void) device;
	for (int i = 0; i < count; i++)
		buffer_add(out, records[i].data, records[i].len);
}

static int
h02_answer(const char *in, size_t len, bool login, int *taken)
{
	const char *end = memchr(in, '#', len);
	char		number[16];
	char		time[16];
	int			used = 0;

	(void) login;
	if (end == NULL)
		return len < 64 ? 0 : -1;
	if (sscanf(in, "*HQ,%10[0-9],V4,V1,%14[0-9]#%n", number, time, &used) != 2 || in + used != end + 1 || strlen(time) != 14)
		return -1;
	*taken = DIALECT_ALL;
	return used;
}

/* A damaged frame has no answer here: nothing is spoiled. */
const Dialect dialect_h02 = {
	.name = "h02",
	.records_max = 5,
	.reduce = h02_reduce,
	.record = h02_record,
	.packet = h02_packet,
	.answered = is_answered,
	.answer = h02_answer
};
