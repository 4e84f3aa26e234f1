/*
 * vehicle.c
 *	  One simulated vehicle.
 *
 * It drives street by street: it speeds up to the limit, slows down for turns
 * and red lights, ends its trip after some kilometres, parks, charges when
 * that is due, and leaves again.  All randomness comes from its own generator,
 * so a vehicle does the same whatever the others do.
 */
#include "vehicle.h"

#include <math.h>
#include <stdio.h>

#define STEP_US (500 * US_PER_MS)	/* longest stretch computed at once */
#define EARTH_RADIUS_M 6371008.8
#define GRAVITY_MS2 9.81

#define SPEEDUP_MS2 1.6
#define BRAKE_MS2 1.8
#define FIRM_BRAKE_MS2 3.5
#define HARSH_BRAKE_MS2 5.5
#define TURN_SPEED_MS 4.5
#define CRAWL_MS 5.0			/* stops within one step */
#define KMH_PER_MS 3.6
#define STOP_GAP_M 1.5			/* how far before a red light it stands */

#define HARSH_BRAKE_CHANCE 0.004	/* per street */
#define SPEEDING_CHANCE 0.15		/* per street, of a speeder */
#define FAULT_CHANCE 0.03			/* per trip */
#define FUEL_THEFT_CHANCE 0.02		/* per stay */

#define ENERGY_PERCENT_PER_M 0.0005
#define CHARGE_PERCENT_PER_S 0.035
#define REFILL_PERCENT_PER_S 0.5
#define REFILL_BELOW_PERCENT 12.0
#define FULL_PERCENT 92.0

#define LOW_START_EVERY 10		/* every tenth vehicle starts nearly empty */

static double
rounded(double value, double steps)
{
	/* + 0.0 turns a negative zero into zero */
	return round(value * steps) / steps + 0.0;
}

static void
measure_street(Vehicle *v)
{
	Place		a = streets_place(v->from);
	Place		b = streets_place(v->to);

	v->length_m = hypot(b.east - a.east, b.north - a.north);
	v->heading_deg = fmod(atan2(b.east - a.east, b.north - a.north) * 180 / M_PI + 360, 360);
}

/* Straight on mostly; at the edge of the town whatever is left. */
static Direction
choose_turn(Vehicle *v)
{
	double		wish = rng_unit(&v->rng);
	int			turn = wish < 0.62 ? 0 : wish < 0.82 ? 1 : 3;
	Crossing	beyond;

	for (int i = 0; i < 4; i++)
	{
		static const int fallback[] = {0, 1, 3, 2};
		Direction	d = (v->direction + (i == 0 ? turn : fallback[i])) % 4;

		if (streets_next(v->to, d, &beyond))
			return d;
	}
	/* i = 0 may have hidden "straight on", which then is all that is left */
	return v->direction;
}

static void
enter_street(Vehicle *v, Direction d)
{
	v->direction = d;
	if (!streets_next(v->from, d, &v->to))
	{
		v->direction = (d + 2) % 4;
		streets_next(v->from, v->direction, &v->to);
	}
	measure_street(v);
	v->next_direction = choose_turn(v);
	v->target_factor = rng_between(&v->rng, 0.88, 1.02);
	if (v->speeder && rng_chance(&v->rng, SPEEDING_CHANCE))
		v->target_factor = rng_between(&v->rng, 1.25, 1.7);
	v->brake_ms2 = rng_chance(&v->rng, HARSH_BRAKE_CHANCE) ? HARSH_BRAKE_MS2 : BRAKE_MS2;
}

static void
start_trip(Vehicle *v)
{
	uint64_t	high = rng_next(&v->rng);
	uint64_t	low = rng_next(&v->rng);

	v->activity = VEHICLE_DRIVING;
	v->trip_left_m = rng_between(&v->rng, 1500, 9000);
	v->has_fault = rng_chance(&v->rng, FAULT_CHANCE);
	snprintf(v->trip_id, sizeof(v->trip_id), "%08x-%04x-4%03x-a%03x-%012llx",
			 (unsigned) (high >> 32), (unsigned) (high >> 16 & 0xffff), (unsigned) (high & 0xfff),
			 (unsigned) (low >> 52), (unsigned long long) (low & 0xffffffffffff));
}

static void
end_trip(Vehicle *v)
{
	bool		refill = v->energy_percent < REFILL_BELOW_PERCENT ||
		(v->energy_percent < 40 && rng_chance(&v->rng, 0.5));
	double		stay_s = rng_between(&v->rng, 40, 420);

	v->speed_ms = v->acceleration_ms2 = v->turn_ms2 = 0;
	v->activity = refill ? VEHICLE_CHARGING : VEHICLE_PARKED;
	if (refill)
		stay_s = (FULL_PERCENT - v->energy_percent) /
			(v->electric ? CHARGE_PERCENT_PER_S : REFILL_PERCENT_PER_S);
	else if (!v->electric && v->energy_percent > 40 && rng_chance(&v->rng, FUEL_THEFT_CHANCE))
		v->energy_percent -= 25;
	v->activity_ends_us = v->time_us + (int64_t) (stay_s * US_PER_S);
}

/* The speed at which the end of the street must be reached. */
static double
speed_at_end(const Vehicle *v, double *stop_before_m)
{
	double		stopping_m = v->speed_ms * v->speed_ms / (2 * fmax(FIRM_BRAKE_MS2, v->brake_ms2));
	bool		can_stop = v->speed_ms < CRAWL_MS || stopping_m <= v->length_m - v->along_m;

	*stop_before_m = 0;
	if (v->trip_left_m <= 0 && can_stop)
		return 0;
	/* A light that turns red too late is passed, as everywhere. */
	if (streets_has_light(v->to) && can_stop && !streets_light_is_green(v->to, v->direction, v->time_us))
	{
		*stop_before_m = STOP_GAP_M;
		return 0;
	}
	return v->next_direction == v->direction ? INFINITY : TURN_SPEED_MS;
}

static void
drive(Vehicle *v, double dt)
{
	double		stop_before_m;
	double		end_speed = speed_at_end(v, &stop_before_m);
	double		left_m = fmax(v->length_m - v->along_m - stop_before_m, 0);
	double		target = streets_limit_kmh(v->from, v->direction) / KMH_PER_MS * v->target_factor;
	double		before = v->speed_ms;
	double		moved_m;

	/* v^2 = 2 a s gives the fastest speed from which it can still brake */
	if (isfinite(end_speed))
		target = fmin(target, sqrt(end_speed * end_speed + 2 * v->brake_ms2 * left_m));
	if (target > before)
		v->speed_ms = fmin(target, before + SPEEDUP_MS2 * dt);
	else
		v->speed_ms = fmax(target, before - HARSH_BRAKE_MS2 * 1.3 * dt);
	if (v->speed_ms < 0.3 && end_speed == 0)
		v->speed_ms = left_m > 0.5 ? 0.3 : 0;
	/* Coming to rest is a step of speed, which no accelerometer would show. */
	v->acceleration_ms2 = fmax(fmin((v->speed_ms - before) / dt, SPEEDUP_MS2), -HARSH_BRAKE_MS2 * 1.3);
	v->turn_ms2 = 0;

	moved_m = fmin((before + v->speed_ms) / 2 * dt, end_speed == 0 ? left_m : INFINITY);
	v->along_m += moved_m;
	v->trip_left_m -= moved_m;
	v->odometer_m += moved_m;
	v->energy_percent = fmax(v->energy_percent - moved_m * ENERGY_PERCENT_PER_M, 0);

	if (v->trip_left_m <= 0 && v->length_m - v->along_m < 1 && v->speed_ms < CRAWL_MS)
		end_trip(v);
	else if (v->along_m >= v->length_m)
	{
		Direction	d = v->next_direction;

		if (d != v->direction)
			v->turn_ms2 = d == (v->direction + 1) % 4 ? -1.9 : 1.9;
		v->along_m -= v->length_m;
		v->from = v->to;
		enter_street(v, d);
	}
}

static void
settle_temperatures(Vehicle *v, double dt)
{
	bool		driving = v->activity == VEHICLE_DRIVING;
	double		battery_goal = v->ambient_temp_c +
		(driving ? 12 : v->activity == VEHICLE_CHARGING ? 15 : 0);
	double		coolant_goal = driving ? 90 : v->ambient_temp_c;

	v->battery_temp_c += (battery_goal - v->battery_temp_c) * fmin(dt / 600, 1);
	v->coolant_temp_c += (coolant_goal - v->coolant_temp_c) * fmin(dt / (driving ? 120 : 1800), 1);
}

void
vehicle_init(Vehicle *v, uint64_t seed, int number, int64_t time_us)
{
	memset(v, 0, sizeof(*v));
	v->rng = rng_make(seed, (uint64_t) number + 1);
	snprintf(v->device, sizeof(v->device), "%d", number);
	v->time_us = time_us;
	v->electric = rng_chance(&v->rng, 0.7);
	v->speeder = rng_chance(&v->rng, 0.25);
	v->energy_percent = rng_between(&v->rng, 30, 95);
	if (number % LOW_START_EVERY == 3)
	{
		v->electric = true;
		v->energy_percent = rng_between(&v->rng, 15.01, 15.06);
	}
	v->ambient_temp_c = rng_between(&v->rng, 16, 22);
	v->battery_temp_c = v->ambient_temp_c + rng_between(&v->rng, 2, 12);
	v->coolant_temp_c = rng_between(&v->rng, 60, 90);
	v->odometer_m = rng_between(&v->rng, 1e6, 9e7);
	v->maintenance_km = floor(v->odometer_m / 1000 - rng_between(&v->rng, 50, 900));

	/* Most of a fleet is in the inner town. */
	v->from.column = STREETS_PER_AXIS / 4 + rng_below(&v->rng, STREETS_PER_AXIS / 2);
	v->from.row = STREETS_PER_AXIS / 4 + rng_below(&v->rng, STREETS_PER_AXIS / 2);
	enter_street(v, rng_below(&v->rng, 4));
	v->along_m = rng_between(&v->rng, 0, v->length_m * 0.8);
	v->speed_ms = 0.7 * streets_limit_kmh(v->from, v->direction) / KMH_PER_MS;
	start_trip(v);
	if (number % LOW_START_EVERY != 3 && rng_chance(&v->rng, 0.2))
		end_trip(v);
}

void
vehicle_advance(Vehicle *v, int64_t time_us)
{
	while (v->time_us < time_us)
	{
		int64_t		step_us = time_us - v->time_us < STEP_US ? time_us - v->time_us : STEP_US;
		double		dt = step_us / (double) US_PER_S;

		v->time_us += step_us;
		switch (v->activity)
		{
			case VEHICLE_DRIVING:
				drive(v, dt);
				break;
			case VEHICLE_CHARGING:
				v->energy_percent = fmin(v->energy_percent + dt *
										 (v->electric ? CHARGE_PERCENT_PER_S : REFILL_PERCENT_PER_S), 100);
				/* FALLTHROUGH */
			case VEHICLE_PARKED:
				if (v->time_us >= v->activity_ends_us)
					start_trip(v);
				break;
		}
		settle_temperatures(v, dt);
	}
}

static void
report_position(Vehicle *v, const Town *town, Message *m)
{
	Place		a = streets_place(v->from);
	Place		b = streets_place(v->to);
	double		part = v->length_m > 0 ? v->along_m / v->length_m : 0;
	double		noise_m = v->activity == VEHICLE_DRIVING ? 1.5 : 0.6;
	double		metres_per_degree = EARTH_RADIUS_M * M_PI / 180;
	double		east,
				north;

	if (v->activity != VEHICLE_DRIVING && v->jitter_m > 0)
		noise_m = v->jitter_m;
	east = a.east + (b.east - a.east) * part + rng_between(&v->rng, -noise_m, noise_m);
	north = a.north + (b.north - a.north) * part + rng_between(&v->rng, -noise_m, noise_m);

	m->latitude = rounded(town->latitude + north / metres_per_degree, 1e7);
	m->longitude = rounded(town->longitude +
						   east / (metres_per_degree * cos(town->latitude * M_PI / 180)), 1e7);
	m->altitude_m = rounded(112 + 9 * sin(east / 900) + 7 * cos(north / 700), 10);
	m->accuracy_m = rounded(fmax(noise_m * 1.6, rng_between(&v->rng, 2.5, 6.5)), 10);
	m->heading_deg = fmod(rounded(v->heading_deg, 1), 360);
	m->speed_kmh = rounded(v->speed_ms * KMH_PER_MS, 10);
}

void
vehicle_report(Vehicle *v, const Town *town, Message *m)
{
	bool		driving = v->activity == VEHICLE_DRIVING;
	bool		charging = v->electric && v->activity == VEHICLE_CHARGING;

	message_clear(m);
	strcpy(m->device, v->device);
	m->time_us = v->time_us - v->time_us % US_PER_MS;
	report_position(v, town, m);

	if (v->electric)
	{
		double		current = charging ? -38 : driving ? 3.5 + 9 * fmax(v->acceleration_ms2, -0.5) : 0.4;

		message_add_number(m, "battery_percent", rounded(v->energy_percent, 100));
		message_add_number(m, "battery_voltage_v", rounded(44 + v->energy_percent * 0.085 - current * 0.02, 10));
		message_add_number(m, "battery_current_a", rounded(current, 10));
		message_add_number(m, "battery_temp_c", rounded(v->battery_temp_c, 10));
		message_add_boolean(m, "charging", charging);
	}
	message_add_number(m, "acceleration_x_ms2", rounded(v->acceleration_ms2 + rng_between(&v->rng, -0.15, 0.15), 10));
	message_add_number(m, "acceleration_y_ms2", rounded(v->turn_ms2 + rng_between(&v->rng, -0.15, 0.15), 10));
	message_add_number(m, "acceleration_z_ms2", rounded(GRAVITY_MS2 + rng_between(&v->rng, -0.1, 0.1), 10));
	message_add_boolean(m, "locked", !driving);
	message_add_boolean(m, "in_use", driving);
	message_add_text(m, "trip_id", v->trip_id);
	message_add_number(m, "odometer_km", rounded(v->odometer_m / 1000, 10));
	message_add_text(m, "error_codes", v->has_fault ? (v->electric ? "P0A80" : "P0420,P0171") : "");
	message_add_number(m, "last_maintenance_km", v->maintenance_km);
	if (!v->electric)
	{
		message_add_boolean(m, "ignition", driving);
		message_add_number(m, "engine_rpm", driving ? rounded(800 + 55 * v->speed_ms + 400 * fmax(v->acceleration_ms2, 0), 1) : 0);
		message_add_number(m, "fuel_percent", rounded(v->energy_percent, 10));
		message_add_number(m, "coolant_temp_c", rounded(v->coolant_temp_c, 10));
	}
}
