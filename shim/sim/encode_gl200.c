/*
 * encode_gl200.c
 *	  Messages as Queclink trackers send them: a fixed report each, of the short
 *	  list of portable trackers.
 *
 * It shares nothing with the daemon's adapter, so that each proves the other.
 */
#include "dialect.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define IMEI_FIRST UINT64_C(860000000000000)
#define DEGREE 1e6				/* steps in a degree */
#define US_PER_SECOND 1000000
#define HEAD "0,10,1"
#define REST "00,,,,,88,"
#define STATUS_ON "210000"
#define STATUS_OFF "110000"

static bool
boolean_of(const Message *m, const char *name)
{
	for (int i = 0; i < m->signal_count; i++)
		if (strcmp(m->signals[i].name, name) == 0)
			return m->signals[i].number != 0;
	return false;
}

static unsigned
sequence_of(const Message *m)
{
	return (unsigned) (m->time_us / US_PER_SECOND) & 0xffff;
}

static void
gl200_reduce(Message *m)
{
	bool		on = boolean_of(m, "in_use");
	uint64_t	number = strtoull(m->device, NULL, 10);
	time_t		seconds;
	struct tm	tm;

	if (number < IMEI_FIRST)
		snprintf(m->device, sizeof(m->device), "%llu", (unsigned long long) (IMEI_FIRST + number));
	m->time_us -= m->time_us % US_PER_SECOND;
	m->latitude = round(m->latitude * DEGREE) / DEGREE;
	m->longitude = round(m->longitude * DEGREE) / DEGREE;
	m->altitude_m = round(m->altitude_m * 10) / 10;
	m->speed_kmh = round(m->speed_kmh * 10) / 10;
	m->heading_deg = fmod(round(m->heading_deg), 360);
	m->accuracy_m = NAN;
	seconds = (time_t) (m->time_us / US_PER_SECOND);
	gmtime_r(&seconds, &tm);
	strftime(m->made, sizeof(m->made), "%Y%m%d%H%M%S", &tm);
	m->signal_count = 0;
	message_add_text(m, "event_type", "FRI");
	message_add_text(m, "protocol_version", "060228");
	message_add_text(m, "device_name", "van");
	message_add_boolean(m, "gps_valid", true);
	message_add_number(m, "hdop", 1);
	message_add_text(m, "gsm_operator", "26202");
	message_add_number(m, "cell_lac", 0x1a2b);
	message_add_number(m, "cell_id", 0xabcd);
	message_add_text(m, "gl200_head", HEAD);
	message_add_text(m, "gl200_rest", on ? REST STATUS_ON : REST STATUS_OFF);
	message_add_number(m, "tracker_battery_percent", 88);
	message_add_boolean(m, "ignition", on);
	message_add_boolean(m, "movement", false);
	message_add_boolean(m, "digital_input_1", false);
	message_add_boolean(m, "digital_input_2", false);
	message_add_boolean(m, "digital_input_3", false);
	message_add_boolean(m, "digital_input_4", false);
	message_add_boolean(m, "digital_output_1", false);
	message_add_boolean(m, "digital_output_2", false);
	message_add_text(m, "send_time", m->made);
	message_add_number(m, "sequence", sequence_of(m));
}

static void
gl200_record(Buffer *out, const Message *m)
{
	time_t		seconds = (time_t) (m->time_us / US_PER_SECOND);
	char		clock[16];
	struct tm	tm;

	gmtime_r(&seconds, &tm);
	strftime(clock, sizeof(clock), "%Y%m%d%H%M%S", &tm);
	buffer_printf(out, "+RESP:GTFRI,060228,%s,van," HEAD ",1,%.1f,%.0f,%.1f,%.6f,%.6f,%s,0262,0002,1A2B,00ABCD," REST "%s,%s,%04X$",
				  m->device, m->speed_kmh, m->heading_deg, m->altitude_m, m->longitude, m->latitude, clock,
				  boolean_of(m, "ignition") ? STATUS_ON : STATUS_OFF, clock, sequence_of(m));
}

static void
gl200_packet(Buffer *out, const char *device, const DialectRecord *records, int count)
{
	(void) device;
	for (int i = 0; i < count; i++)
		buffer_add(out, records[i].data, records[i].len);
}

static int
gl200_answer(const char *in, size_t len, bool login, int *taken)
{
	static const char begin[] = "+SACK:";

	(void) login;
	if (len < 11)
		return 0;
	if (memcmp(in, begin, strlen(begin)) != 0 || in[10] != '$')
		return -1;
	*taken = 1;
	return 11;
}

/* A damaged message has no answer here: nothing is spoiled. */
const Dialect dialect_gl200 = {
	.name = "gl200",
	.records_max = 1,
	.reduce = gl200_reduce,
	.record = gl200_record,
	.packet = gl200_packet,
	.answer = gl200_answer
};
