/*
 * test_sim_route.c
 *	  The simulated fleet: the same seed drives the same way, and drives like
 *	  a vehicle.
 */
#include <math.h>
#include <stdlib.h>

#include "sim/dirt.h"
#include "sim/encode_json.h"
#include "sim/outbox.h"
#include "sim/vehicle.h"
#include "tap.h"

#define START_US (INT64_C(1736951538) * US_PER_S)

static const Town town = {50.1105, 8.6821};

/* Hash of everything that a vehicle reports in `seconds`, once a second. */
static uint64_t
drive(uint64_t seed, int number, int seconds)
{
	uint64_t	hash = HASH_START;
	Buffer		line = {0};
	Vehicle		v;
	Message		m;

	vehicle_init(&v, seed, number, START_US);
	for (int i = 1; i <= seconds; i++)
	{
		vehicle_advance(&v, START_US + i * US_PER_S);
		vehicle_report(&v, &town, &m);
		line.len = 0;
		encode_reference(&line, &m);
		hash = hash_bytes(hash, line.data, line.len);
	}
	buffer_free(&line);
	return hash;
}

static void
test_determinism(void)
{
	ok(drive(7, 1, 900) == drive(7, 1, 900), "the same seed and number drive the same way");
	ok(drive(7, 1, 900) != drive(8, 1, 900), "another seed drives another way");
	ok(drive(7, 1, 900) != drive(7, 2, 900), "another vehicle drives another way");
}

static void
test_plausible(void)
{
	double		farthest_jump_m = 0;
	double		largest_change_kmh = 0;
	double		moved_km = 0;
	double		fastest_kmh = 0;
	int			stood = 0;
	int			reports = 0;
	double		steepest_ms2 = 0;
	bool		energy_in_range = true;

	for (int number = 1; number <= 20; number++)
	{
		Vehicle		v;
		Message		before,
					m;
		double		odometer_m;

		/* Many reports a second are steps as small as that. */
		vehicle_init(&v, 3, number, START_US);
		for (int i = 1; i <= 60000; i++)
		{
			vehicle_advance(&v, START_US + i * 5 * US_PER_MS);
			steepest_ms2 = fmax(steepest_ms2, fabs(v.acceleration_ms2));
		}
		vehicle_init(&v, 3, number, START_US);
		odometer_m = v.odometer_m;
		vehicle_report(&v, &town, &before);
		for (int i = 1; i <= 1800; i++)
		{
			vehicle_advance(&v, START_US + i * US_PER_S);
			vehicle_report(&v, &town, &m);
			farthest_jump_m = fmax(farthest_jump_m,
								   hypot((m.latitude - before.latitude) * 111195,
										 (m.longitude - before.longitude) * 111195 * cos(m.latitude * M_PI / 180)));
			largest_change_kmh = fmax(largest_change_kmh, fabs(m.speed_kmh - before.speed_kmh));
			fastest_kmh = fmax(fastest_kmh, m.speed_kmh);
			stood += m.speed_kmh == 0;
			steepest_ms2 = fmax(steepest_ms2, fabs(v.acceleration_ms2));
			energy_in_range = energy_in_range && v.energy_percent >= 0 && v.energy_percent <= 100;
			reports++;
			before = m;
		}
		moved_km += (v.odometer_m - odometer_m) / 1000;
	}
	ok(farthest_jump_m < 45, "no vehicle jumps");
	ok(largest_change_kmh < 30, "no vehicle stops or starts at once");
	ok(fastest_kmh < 130, "none flies");
	ok(stood > reports / 20 && stood < reports / 2, "they stand at lights and park, but not for ever");
	ok(moved_km > 20 * 3 && moved_km < 20 * 25, "they get about");
	ok(steepest_ms2 < 12, "no accelerometer shows more than a vehicle can do");
	ok(energy_in_range, "charge and fuel stay between 0 and 100 %");
}

static void
test_encoding(void)
{
	Message		m;
	Buffer		b = {0};

	message_clear(&m);
	strcpy(m.device, "12345");
	m.time_us = START_US + 123000;
	m.latitude = 50.1105;
	m.longitude = -8.6821;
	m.altitude_m = 112.5;
	m.accuracy_m = 5.2;
	m.speed_kmh = 18.5;
	m.heading_deg = 245;
	message_add_number(&m, "battery_percent", 68);
	message_add_boolean(&m, "charging", false);
	message_add_number(&m, "acceleration_x_ms2", -0.1);
	message_add_text(&m, "error_codes", "P0420,P0171");
	message_add_number(&m, "fuel_percent", 63.5);
	encode_reference(&b, &m);
	buffer_add_char(&b, '\0');
	is_str(b.data,
		   "{\"vehicle_id\":12345,\"timestamp\":\"2025-01-15T14:32:18.123Z\","
		   "\"location\":{\"lat\":50.1105,\"lon\":-8.6821,\"altitude\":112.5,\"accuracy\":5.2},"
		   "\"battery\":{\"percent\":68,\"charging\":false},"
		   "\"motion\":{\"speed_kmh\":18.5,\"heading\":245,\"acceleration\":{\"x\":-0.1}},"
		   "\"diagnostics\":{\"error_codes\":[\"P0420\",\"P0171\"]},\"fuel_percent\":63.5}",
		   "the reference document");
	b.len = 0;
	strcpy(m.device, "bus \"7\"");
	m.signal_count = 0;
	encode_flat(&b, &m);
	buffer_add_char(&b, '\0');
	is_str(b.data,
		   "{\"device\":\"bus \\\"7\\\"\",\"event_time\":\"2025-01-15T14:32:18.123Z\","
		   "\"latitude\":50.1105,\"longitude\":-8.6821,\"altitude_m\":112.5,\"accuracy_m\":5.2,"
		   "\"speed_kmh\":18.5,\"heading_deg\":245}",
		   "the flat document");
	buffer_free(&b);
}

static void
test_fingerprint(void)
{
	Message		a,
				b;

	message_clear(&a);
	a.latitude = 50.1105;
	a.speed_kmh = 18.1;
	message_add_number(&a, "x", 1);
	message_add_text(&a, "y", "z");
	message_clear(&b);
	b.latitude = 50.1105;
	b.speed_kmh = (float) 18.1;
	message_add_text(&b, "y", "z");
	message_add_number(&b, "x", 1);
	ok(message_fingerprint(&a) == message_fingerprint(&b), "neither order nor float4 changes a fingerprint");
	b.signals[1].number = 1.5;
	ok(message_fingerprint(&a) != message_fingerprint(&b), "a value does");
	b.signals[1].number = 1;
	b.latitude += 1e-7;
	ok(message_fingerprint(&a) != message_fingerprint(&b), "the smallest step of a position does");
}

typedef struct Seen
{
	int			lines;
	int			clean;
	int64_t		last_us;
	int			backwards;
} Seen;

static void
see(void *context, const char *device, int64_t time_us, uint64_t content, const char *line, size_t len)
{
	Seen	   *s = context;

	(void) device;
	s->lines++;
	s->clean += content != 0 && len > 0 && line[len - 1] == '}';
	s->backwards += time_us != MESSAGE_NO_TIME && time_us < s->last_us;
	s->last_us = time_us;
}

static Seen
drive_in_dirt(double percent, unsigned kinds, const DirtCounts **counts, Dirt **dirt)
{
	Seen		seen = {0};
	Vehicle		v;
	Message		m;

	*dirt = dirt_create(5, percent, kinds, 1, NULL, see, &seen);
	vehicle_init(&v, 5, 1, START_US);
	for (int i = 1; i <= 2000; i++)
	{
		vehicle_advance(&v, START_US + i * US_PER_S);
		vehicle_report(&v, &town, &m);
		dirt_pass(*dirt, 0, &m);
	}
	dirt_finish(*dirt);
	*counts = dirt_counts(*dirt);
	return seen;
}

static void
test_dirt(void)
{
	const DirtCounts *counts;
	Dirt	   *dirt;
	Seen		seen = drive_in_dirt(0, ~0u, &counts, &dirt);

	is_int(seen.clean, 2000, "no dirt: every report goes out as it is");
	dirt_free(dirt);
	seen = drive_in_dirt(10, 1u << DIRT_REPEAT, &counts, &dirt);
	is_int(seen.lines, 2000 + counts->of[DIRT_REPEAT], "each repeat is one more line");
	dirt_free(dirt);
	seen = drive_in_dirt(10, 1u << DIRT_GAP, &counts, &dirt);
	ok(seen.lines < 2000 && counts->of[DIRT_GAP] == 2000u - seen.lines, "gaps swallow reports, and count them");
	dirt_free(dirt);
	seen = drive_in_dirt(10, 1u << DIRT_MALFORMED, &counts, &dirt);
	is_int(seen.lines - seen.clean, counts->of[DIRT_MALFORMED], "what is malformed can become no event");
	dirt_free(dirt);
	seen = drive_in_dirt(10, 1u << DIRT_ORDER, &counts, &dirt);
	ok(seen.backwards > 0 && seen.lines == 2000, "late reports come, and none is lost");
	dirt_free(dirt);
}

static void
test_outbox(void)
{
	Outbox		o = {0};
	char		line[16];
	uint64_t	next = 0;
	bool		in_order = true;

	for (int i = 0; i < 100000; i++)
	{
		snprintf(line, sizeof(line), "%09d", i);
		outbox_add(&o, (uint64_t) i, line, 9);
		o.sent_offset = o.bytes.len;
		if (i % 3 == 0)
			in_order = in_order && outbox_take(&o) == next++;
	}
	ok(in_order, "lines are acknowledged in the order they were sent");
	outbox_rewind(&o);
	is_int(outbox_unsent_bytes(&o), outbox_entries(&o) * 10, "a lost connection makes all of them unsent");
	snprintf(line, sizeof(line), "%09d", (int) next);
	ok(memcmp(o.bytes.data + o.sent_offset, line, 9) == 0, "beginning with the oldest");
	while (outbox_entries(&o) > 0)
		in_order = in_order && outbox_take(&o) == next++;
	ok(in_order && o.bytes.len == 0, "and ends empty");
	outbox_free(&o);
}

int
main(void)
{
	test_determinism();
	test_plausible();
	test_encoding();
	test_fingerprint();
	test_dirt();
	test_outbox();
	return tap_done();
}
