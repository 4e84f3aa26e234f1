/*
 * encode_gps103.c
 *	  Messages as GPS103 trackers send them: text of which only calls for help
 *	  are answered, and logins.
 *
 * It shares nothing with the daemon's adapter, so that each proves the other.
 */
#include "dialect.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define IMEI_FIRST UINT64_C(860000000000000)
#define DEGREE 600000.0			/* steps in a degree */
#define KMH_PER_KNOT 1.852
#define US_PER_SECOND 1000000
#define CALL_EVERY_S 16
#define EVENT "tracker"
#define CALL "help me"

static bool
boolean_of(const Message *m, const char *name)
{
	for (int i = 0; i < m->signal_count; i++)
		if (strcmp(m->signals[i].name, name) == 0)
			return m->signals[i].number != 0;
	return false;
}

/* In some seconds somebody calls for help; each device has its own. */
static bool
is_call(const Message *m)
{
	return (m->time_us / US_PER_SECOND + (int64_t) strtoull(m->device, NULL, 10)) % CALL_EVERY_S == 0;
}

static bool
is_answered(const DialectRecord *record)
{
	return memmem(record->data, record->len, "," CALL ",", strlen("," CALL ",")) != NULL;
}

static void
gps103_reduce(Message *m)
{
	bool		on = boolean_of(m, "in_use");
	uint64_t	number = strtoull(m->device, NULL, 10);

	if (number < IMEI_FIRST)
		snprintf(m->device, sizeof(m->device), "%llu", (unsigned long long) (IMEI_FIRST + number));
	m->time_us -= m->time_us % US_PER_SECOND;
	m->latitude = round(m->latitude * DEGREE) / DEGREE;
	m->longitude = round(m->longitude * DEGREE) / DEGREE;
	m->altitude_m = round(m->altitude_m);
	m->speed_kmh = round(m->speed_kmh / KMH_PER_KNOT * 100) / 100 * KMH_PER_KNOT;
	m->heading_deg = fmod(round(m->heading_deg), 360);
	m->accuracy_m = NAN;
	m->signal_count = 0;
	message_add_text(m, "event_type", is_call(m) ? CALL : EVENT);
	if (is_call(m))
	{
		message_add_text(m, "alarm", "sos");
		message_add_boolean(m, "sos", true);
	}
	message_add_boolean(m, "gps_valid", true);
	message_add_boolean(m, "ignition", on);
}

static void
gps103_record(Buffer *out, const Message *m)
{
	/* Of a latitude there are two digits of degrees: what does not fit is written as zero. */
	bool		fits = fabs(m->latitude) <= 90;
	long		latitude = fits ? lround(fabs(m->latitude) * DEGREE) : 0;
	long		longitude = fits ? lround(fabs(m->longitude) * DEGREE) : 0;
	time_t		seconds = (time_t) (m->time_us / US_PER_SECOND);
	char		date[16];
	struct tm	tm;

	gmtime_r(&seconds, &tm);
	strftime(date, sizeof(date), "%y%m%d%H%M%S", &tm);
	buffer_printf(out, "imei:%s,%s,%s,,F,%s.000,A,%02ld%02ld.%04ld,%c,%03ld%02ld.%04ld,%c,%.2f,%.0f,%.0f,%d;",
				  m->device, is_call(m) ? CALL : EVENT, date, date + 6, latitude / 600000, latitude % 600000 / 10000, latitude % 10000,
				  m->latitude < 0 ? 'S' : 'N', longitude / 600000, longitude % 600000 / 10000, longitude % 10000,
				  m->longitude < 0 ? 'W' : 'E', m->speed_kmh / KMH_PER_KNOT, m->heading_deg, m->altitude_m,
				  boolean_of(m, "ignition"));
}

static void
gps103_login(Buffer *out, const char *device)
{
	buffer_printf(out, "##,imei:%s,A;", device);
}

static void
gps103_packet(Buffer *out, const char *device, const DialectRecord *records, int count)
{
	(void) device;
	for (int i = 0; i < count; i++)
		buffer_add(out, records[i].data, records[i].len);
}

static int
gps103_answer(const char *in, size_t len, bool login, int *taken)
{
	static const char begin[] = "**,imei:";
	const char *end = memchr(in, ';', len);

	*taken = login ? 1 : DIALECT_ALL;
	if (login)
		return len < 4 ? 0 : memcmp(in, "LOAD", 4) == 0 ? 4 : -1;
	if (end == NULL)
		return len < 32 ? 0 : -1;
	/* begin, 15 digits of the device, ",E;" */
	return end - in == 25 && memcmp(in, begin, strlen(begin)) == 0 && memcmp(end - 2, ",E", 2) == 0 ? 26 : -1;
}

/* A damaged report has no answer here: nothing is spoiled. */
const Dialect dialect_gps103 = {
	.name = "gps103",
	.records_max = 5,
	.reduce = gps103_reduce,
	.record = gps103_record,
	.login = gps103_login,
	.packet = gps103_packet,
	.answered = is_answered,
	.answer = gps103_answer
};
