/*
 * encode_tk103.c
 *	  Messages as TK103 trackers send them: devices of odd numbers in the old
 *	  form without separators, of which logins are answered, the others in the
 *	  new form with commas, which is not.
 *
 * It shares nothing with the daemon's adapter, so that each proves the other.
 */
#include "dialect.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define NUMBER_FIRST UINT64_C(860000000000)	/* 12 digits */
#define DEGREE 600000.0			/* steps in a degree */
#define US_PER_SECOND 1000000
#define LOGIN_EVERY_S 16
#define SATELLITES 9
#define STATUS_ON "01000000"
#define STATUS_OFF "00000000"
#define NEW_TYPE "DW3B"

static bool
is_old(const char *device)
{
	return strtoull(device, NULL, 10) % 2 != 0;
}

/* Now and then a position comes with a login; each device has its own seconds. */
static bool
is_login(const Message *m)
{
	return (m->time_us / US_PER_SECOND + (int64_t) strtoull(m->device, NULL, 10)) % LOGIN_EVERY_S == 0;
}

static bool
is_answered(const DialectRecord *record)
{
	return memmem(record->data, record->len, "BP05", 4) != NULL;
}

static const MessageSignal *
signal_of(const Message *m, const char *name)
{
	for (int i = 0; i < m->signal_count; i++)
		if (strcmp(m->signals[i].name, name) == 0)
			return &m->signals[i];
	return NULL;
}

static bool
boolean_of(const Message *m, const char *name)
{
	const MessageSignal *s = signal_of(m, name);

	return s != NULL && s->number != 0;
}

static void
tk103_reduce(Message *m)
{
	bool		on = boolean_of(m, "in_use");
	const MessageSignal *odometer = signal_of(m, "odometer_km");
	long		metres = odometer != NULL ? lround(odometer->number * 1000) : 0;
	uint64_t	number = strtoull(m->device, NULL, 10);

	if (number < NUMBER_FIRST)
		snprintf(m->device, sizeof(m->device), "%llu", (unsigned long long) (NUMBER_FIRST + number));
	m->time_us -= m->time_us % US_PER_SECOND;
	m->latitude = round(m->latitude * DEGREE) / DEGREE;
	m->longitude = round(m->longitude * DEGREE) / DEGREE;
	m->speed_kmh = round(m->speed_kmh * 10) / 10;
	m->heading_deg = fmod(round(m->heading_deg * 100), 36000) / 100;
	m->accuracy_m = NAN;
	m->signal_count = 0;
	message_add_boolean(m, "gps_valid", true);
	if (is_old(m->device))
	{
		m->altitude_m = NAN;
		message_add_text(m, "event_type", is_login(m) ? "BP05" : "BR00");
		message_add_boolean(m, "external_power", true);
		message_add_boolean(m, "ignition", on);
		message_add_number(m, "fuel_raw", 0);
		message_add_text(m, "status_word", on ? STATUS_ON : STATUS_OFF);
		message_add_number(m, "odometer_km", (double) (metres & 0x7FFFFFFF) / 1000);
	}
	else
	{
		m->altitude_m = round(m->altitude_m * 10) / 10;
		message_add_text(m, "event_type", NEW_TYPE);
		message_add_number(m, "satellites", SATELLITES);
	}
}

/* Of a latitude there are two digits of degrees: what does not fit is written as zero. */
static void
add_angles(Buffer *out, const Message *m, const char *separator)
{
	bool		fits = fabs(m->latitude) <= 90;
	long		latitude = fits ? lround(fabs(m->latitude) * DEGREE) : 0;
	long		longitude = fits ? lround(fabs(m->longitude) * DEGREE) : 0;

	buffer_printf(out, "%02ld%02ld.%04ld%c%s%03ld%02ld.%04ld%c%s",
				  latitude / 600000, latitude % 600000 / 10000, latitude % 10000, m->latitude < 0 ? 'S' : 'N', separator,
				  longitude / 600000, longitude % 600000 / 10000, longitude % 10000, m->longitude < 0 ? 'W' : 'E', separator);
}

static void
tk103_record(Buffer *out, const Message *m)
{
	time_t		seconds = (time_t) (m->time_us / US_PER_SECOND);
	const MessageSignal *odometer = signal_of(m, "odometer_km");
	char		clock[8];
	char		date[8];
	struct tm	tm;

	gmtime_r(&seconds, &tm);
	strftime(clock, sizeof(clock), "%H%M%S", &tm);
	if (is_old(m->device))
	{
		strftime(date, sizeof(date), "%y%m%d", &tm);
		/* A login has 15 characters of its own before the place. */
		buffer_printf(out, "(%s%s", m->device, is_login(m) ? "BP05000" : "BR00");
		buffer_printf(out, "%s%sA", is_login(m) ? m->device : "", date);
		add_angles(out, m, "");
		buffer_printf(out, "%05.1f%s%06.2f%sL%08lX)", m->speed_kmh, clock, m->heading_deg,
					  boolean_of(m, "ignition") ? STATUS_ON : STATUS_OFF,
					  odometer != NULL ? (unsigned long) lround(odometer->number * 1000) : 0);
		return;
	}
	strftime(date, sizeof(date), "%d%m%y", &tm);
	buffer_printf(out, "(%s," NEW_TYPE ",%s,A,", m->device, date);
	add_angles(out, m, ",");
	buffer_printf(out, "%.1f,%s,%.2f,%.1f,%d)", m->speed_kmh, clock, m->heading_deg, m->altitude_m, SATELLITES);
}

/* The handshake of the old form; the new one has none. */
static void
tk103_login(Buffer *out, const char *device)
{
	if (is_old(device))
		buffer_printf(out, "(%sBP00HSO)", device);
}

static void
tk103_packet(Buffer *out, const char *device, const DialectRecord *records, int count)
{
	(void) device;
	for (int i = 0; i < count; i++)
		buffer_add(out, records[i].data, records[i].len);
}

static int
tk103_answer(const char *in, size_t len, bool login, int *taken)
{
	const char *end = memchr(in, ')', len);
	char		number[16];
	int			used = 0;

	if (end == NULL)
		return len < 32 ? 0 : -1;
	(void) !sscanf(in, login ? "(%12[0-9]AP01HSO)%n" : "(%12[0-9]AP05)%n", number, &used);
	*taken = login ? 1 : DIALECT_ALL;
	return used > 0 && in + used == end + 1 && strlen(number) == 12 ? used : -1;
}

/* A damaged frame has no answer here: nothing is spoiled. */
const Dialect dialect_tk103 = {
	.name = "tk103",
	.records_max = 5,
	.reduce = tk103_reduce,
	.record = tk103_record,
	.login = tk103_login,
	.packet = tk103_packet,
	.answered = is_answered,
	.answer = tk103_answer
};
