/*
 * vehicle.h
 *	  One simulated vehicle: where it is, how it drives, what its sensors say.
 */
#ifndef SIM_VEHICLE_H
#define SIM_VEHICLE_H

#include "message.h"
#include "rng.h"
#include "streets.h"

typedef enum VehicleActivity
{
	VEHICLE_DRIVING,
	VEHICLE_PARKED,
	VEHICLE_CHARGING			/* or at a filling station */
} VehicleActivity;

typedef struct Vehicle
{
	Rng			rng;
	char		device[24];
	bool		electric;
	bool		speeder;		/* drives above the limit now and then */
	VehicleActivity activity;
	int64_t		time_us;		/* the moment that all below describes */
	int64_t		activity_ends_us;	/* parked or charging: until then */

	Crossing	from;
	Crossing	to;
	Direction	direction;
	Direction	next_direction; /* taken at `to` */
	double		length_m;		/* of the street from -> to */
	double		along_m;		/* driven of it */
	double		trip_left_m;
	double		target_factor;	/* of the speed limit on this street */
	double		brake_ms2;		/* how hard it brakes on this street */

	double		speed_ms;
	double		acceleration_ms2;
	double		heading_deg;
	double		turn_ms2;		/* sideways acceleration */
	double		jitter_m;		/* how far a parked fix wanders; 0: normal noise */

	double		energy_percent; /* charge or fuel */
	double		battery_temp_c;
	double		coolant_temp_c;
	double		ambient_temp_c;
	double		odometer_m;
	double		maintenance_km;
	bool		has_fault;
	char		trip_id[37];
} Vehicle;

/* A town's place on earth. */
typedef struct Town
{
	double		latitude;
	double		longitude;
} Town;

extern void vehicle_init(Vehicle *v, uint64_t seed, int number, int64_t time_us);
extern void vehicle_advance(Vehicle *v, int64_t time_us);
/* What it reports now; texts point into v. */
extern void vehicle_report(Vehicle *v, const Town *town, Message *m);

#endif							/* SIM_VEHICLE_H */
