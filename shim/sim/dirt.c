/*
 * dirt.c
 *	  What real fleets do to their data.
 */
#include "dirt.h"
#include "encode_json.h"

#include <math.h>
#include <stdlib.h>

#define GAP_REPORTS_MAX 8		/* reports that one gap swallows */
#define HOLD_REPORTS_MAX 3		/* by how many reports a late one is late */
#define CLOCK_AHEAD_US (90 * 86400 * US_PER_S)
#define CLOCK_EPOCH_US (946684800 * US_PER_S)	/* 2000-01-01: a receiver without a fix */

const char *const dirt_names[DIRT_KINDS] = {
	"repeats", "order", "gaps", "malformed", "clock", "jitter"
};

/* What is going on with one vehicle. */
typedef struct Trouble
{
	int			gap_left;
	int			hold_left;		/* reports to pass before the held one goes out */
	Buffer		held;			/* the line; empty: none */
	int64_t		held_time_us;
	uint64_t	held_content;
	char		device[MESSAGE_DEVICE_SIZE];
} Trouble;

struct Dirt
{
	Rng			rng;
	double		chance;
	DirtKind	kinds[DIRT_KINDS];
	int			kind_count;
	bool		jitters;
	int			vehicles;
	Trouble    *troubles;
	const Dialect *dialect;
	DirtEmit	emit;
	void	   *context;
	Buffer		line;
	DirtCounts	counts;
};

unsigned
dirt_parse_kinds(const char *text)
{
	unsigned	kinds = 0;

	while (*text)
	{
		size_t		len = strcspn(text, ",");
		int			kind = 0;

		while (kind < DIRT_KINDS && (strlen(dirt_names[kind]) != len || strncmp(text, dirt_names[kind], len) != 0))
			kind++;
		if (kind == DIRT_KINDS)
			die("--dirt-kinds: \"%.*s\" is none of repeats, order, gaps, malformed, clock, jitter", (int) len, text);
		kinds |= 1u << kind;
		text += len + (text[len] == ',');
	}
	return kinds;
}

Dirt *
dirt_create(uint64_t seed, double percent, unsigned kinds, int vehicles,
			const Dialect *dialect, DirtEmit emit, void *context)
{
	Dirt	   *d = xcalloc(1, sizeof(*d));

	d->rng = rng_make(seed, UINT64_C(0xd1127));
	d->chance = percent / 100;
	for (int kind = 0; kind < DIRT_JITTER; kind++)
		if (kinds & 1u << kind)
			d->kinds[d->kind_count++] = kind;
	d->jitters = percent > 0 && kinds & 1u << DIRT_JITTER;
	d->vehicles = vehicles;
	d->troubles = xcalloc(vehicles, sizeof(Trouble));
	d->dialect = dialect;
	d->emit = emit;
	d->context = context;
	return d;
}

double
dirt_jitter_m(Dirt *d)
{
	if (!d->jitters || !rng_chance(&d->rng, d->chance))
		return 0;
	d->counts.of[DIRT_JITTER]++;
	return rng_between(&d->rng, 10, 60);
}

/* Of a message that the dialect has reduced. */
static void
encode(const Dirt *d, Buffer *out, const Message *m)
{
	if (d->dialect)
		d->dialect->record(out, m);
	else
		encode_reference(out, m);
}

static void
emit_malformed(Dirt *d, Message *m)
{
	Buffer	   *b = &d->line;
	const char *device = m->device;
	int64_t		time_us = m->time_us;

	b->len = 0;
	/* Trackers write what they measured, if nonsense; their frames are spoiled on the way. */
	switch (d->dialect ? 3 + rng_below(&d->rng, 2) : rng_below(&d->rng, 7))
	{
		case 0:					/* cut off in the middle */
			encode_reference(b, m);
			b->len = 1 + rng_below(&d->rng, b->len - 2);
			device = NULL;
			time_us = MESSAGE_NO_TIME;
			break;
		case 1:					/* no JSON at all */
			buffer_printf(b, "$GPRMC,%s,V,,,,,,,,,,N*53", m->device);
			device = NULL;
			time_us = MESSAGE_NO_TIME;
			break;
		case 2:
			m->time_us = time_us = MESSAGE_NO_TIME;
			encode_reference(b, m);
			break;
		case 3:
			m->latitude = 100 + fabs(m->latitude);
			encode(d, b, m);
			break;
		case 4:
			m->latitude = m->longitude = 0;
			encode(d, b, m);
			break;
		case 5:
			m->speed_kmh = -1 - m->speed_kmh;
			encode_reference(b, m);
			break;
		case 6:					/* a timestamp that is none */
			buffer_printf(b, "{\"vehicle_id\":%s,\"timestamp\":\"29/00/2003 11:13:45\",\"location\":{\"lat\":%.7f,\"lon\":%.7f}}",
						  m->device, m->latitude, m->longitude);
			time_us = MESSAGE_NO_TIME;
			break;
	}
	d->emit(d->context, device, time_us, 0, b->data, b->len);
}

static void
emit_clean(Dirt *d, const Message *m)
{
	d->line.len = 0;
	encode(d, &d->line, m);
	d->emit(d->context, m->device, m->time_us, message_fingerprint(m), d->line.data, d->line.len);
}

static void
hold_back(Dirt *d, Trouble *t, const Message *m)
{
	t->held.len = 0;
	encode(d, &t->held, m);
	t->held_time_us = m->time_us;
	t->held_content = message_fingerprint(m);
	t->hold_left = 1 + rng_below(&d->rng, HOLD_REPORTS_MAX);
	strcpy(t->device, m->device);
}

static void
release(Dirt *d, Trouble *t)
{
	d->emit(d->context, t->device, t->held_time_us, t->held_content, t->held.data, t->held.len);
	t->held.len = 0;
}

void
dirt_pass(Dirt *d, int number, Message *m)
{
	Trouble    *t = &d->troubles[number];

	if (d->dialect)
		d->dialect->reduce(m);
	if (t->gap_left > 0)
	{
		t->gap_left--;
		d->counts.of[DIRT_GAP]++;
		return;
	}
	if (d->kind_count > 0 && rng_chance(&d->rng, d->chance))
	{
		DirtKind	kind = d->kinds[rng_below(&d->rng, d->kind_count)];

		/* One report of a vehicle is held back at a time. */
		if (kind == DIRT_ORDER && t->held.len > 0)
		{
			emit_clean(d, m);
			return;
		}
		d->counts.of[kind]++;
		switch (kind)
		{
			case DIRT_REPEAT:
				emit_clean(d, m);
				emit_clean(d, m);
				break;
			case DIRT_ORDER:
				hold_back(d, t, m);
				return;
			case DIRT_GAP:
				t->gap_left = rng_below(&d->rng, GAP_REPORTS_MAX);
				return;
			case DIRT_MALFORMED:
				emit_malformed(d, m);
				break;
			case DIRT_CLOCK:
				m->time_us = rng_chance(&d->rng, 0.5) ? m->time_us + CLOCK_AHEAD_US :
					CLOCK_EPOCH_US + m->time_us % (86400 * US_PER_S);
				emit_clean(d, m);
				break;
			case DIRT_JITTER:
				break;
		}
	}
	else
		emit_clean(d, m);

	if (t->held.len > 0 && t->hold_left-- == 0)
		release(d, t);
}

void
dirt_finish(Dirt *d)
{
	for (int i = 0; i < d->vehicles; i++)
		if (d->troubles[i].held.len > 0)
			release(d, &d->troubles[i]);
}

const DirtCounts *
dirt_counts(const Dirt *d)
{
	return &d->counts;
}

void
dirt_free(Dirt *d)
{
	for (int i = 0; i < d->vehicles; i++)
		buffer_free(&d->troubles[i].held);
	free(d->troubles);
	buffer_free(&d->line);
	free(d);
}
