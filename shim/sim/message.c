/*
 * message.c
 *	  One report of a vehicle before it is encoded, and its fingerprint.
 */
#include "message.h"

#include <math.h>

#define DEGREE_STEPS 1e7		/* geopoint's resolution */
#define NUMBER_STEPS 1e6		/* well below what any signal tells */
#define NUMBER_LARGEST_STEPPED 1e12

void
message_clear(Message *m)
{
	m->device[0] = '\0';
	m->time_us = MESSAGE_NO_TIME;
	m->latitude = m->longitude = NAN;
	m->altitude_m = m->accuracy_m = m->speed_kmh = m->heading_deg = NAN;
	m->signal_count = 0;
}

static void
add_signal(Message *m, MessageSignal s)
{
	if (m->signal_count < MESSAGE_MAX_SIGNALS)
		m->signals[m->signal_count++] = s;
}

void
message_add_number(Message *m, const char *name, double value)
{
	add_signal(m, (MessageSignal) {name, MESSAGE_NUMBER, value, NULL});
}

void
message_add_boolean(Message *m, const char *name, bool value)
{
	add_signal(m, (MessageSignal) {name, MESSAGE_BOOLEAN, value, NULL});
}

void
message_add_text(Message *m, const char *name, const char *text)
{
	add_signal(m, (MessageSignal) {name, MESSAGE_TEXT, 0, text});
}

static uint64_t
hash_steps(uint64_t hash, double value, double steps)
{
	int64_t		n;

	if (isnan(value))
		n = INT64_MIN;
	else if (fabs(value) < NUMBER_LARGEST_STEPPED)
		n = llround(value * steps);
	else
		memcpy(&n, &value, sizeof(n));
	return hash_mix(hash ^ (uint64_t) n) + 1;
}

/* The column is a float4, which the value must have gone through on both sides. */
static uint64_t
hash_column(uint64_t hash, double value)
{
	return hash_steps(hash, (double) (float) value, NUMBER_STEPS);
}

uint64_t
message_fingerprint(const Message *m)
{
	uint64_t	hash = HASH_START;
	uint64_t	signals = 0;

	hash = hash_steps(hash, m->latitude, DEGREE_STEPS);
	hash = hash_steps(hash, m->longitude, DEGREE_STEPS);
	hash = hash_column(hash, m->altitude_m);
	hash = hash_column(hash, m->accuracy_m);
	hash = hash_column(hash, m->speed_kmh);
	/* 360 and 0 are one direction */
	hash = hash_column(hash, m->heading_deg == 360 ? 0 : m->heading_deg);

	for (int i = 0; i < m->signal_count; i++)
	{
		const MessageSignal *s = &m->signals[i];
		uint64_t	one = hash_bytes(HASH_START, s->name, strlen(s->name)) + s->kind;

		if (s->kind == MESSAGE_TEXT)
			one = hash_bytes(one, s->text, strlen(s->text));
		else
			one = hash_steps(one, s->number, NUMBER_STEPS);
		signals += hash_mix(one);
	}
	return hash_mix(hash + signals);
}
