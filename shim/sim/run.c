/*
 * run.c
 *	  fleetsim run: drive a simulated fleet and send its reports.
 *
 * Report n comes from vehicle n modulo V and is due at start + n / rate.
 */
#include "commands.h"
#include "delivery.h"
#include "dirt.h"
#include "timeparse.h"
#include "vehicle.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#define SERVE_EVERY 256			/* reports, when it cannot keep up with the clock */
#define PACE_TICK_US US_PER_MS	/* reports of so long a time leave together */
#define ALL_KINDS ((1u << DIRT_KINDS) - 1)

typedef struct RunOptions
{
	uint64_t	seed;
	int			vehicles;
	int			first_vehicle;
	double		rate;
	double		seconds;		/* 0: for ever */
	double		count;			/* 0: as seconds say */
	double		dirt_percent;
	unsigned	dirt_kinds;
	bool		as_fast_as_taken;
	int64_t		start_us;		/* MESSAGE_NO_TIME: now */
	Town		town;
} RunOptions;

static const char run_help[] =
	"Usage: fleetsim run [OPTION]...\n\n"
	"Drives a made-up fleet through a made-up town and sends the reference document.\n\n"
	"Fleet:\n"
	"  --seed N             same seed, same fleet (1)\n"
	"  --vehicles N         vehicles (20)\n"
	"  --first-vehicle N    identity of the first one (1)\n"
	"  --rate N             reports a second, of all together (20)\n"
	"  --seconds N          how long (until stopped)\n"
	"  --count N            how many reports, instead\n"
	"  --max                do not wait for the clock\n"
	"  --start TIME         event time of the first report (now); with it, no waiting\n"
	"  --center LAT,LON     where the town is (50.1105,8.6821)\n"
	"  --dirt PERCENT       share of reports that come to harm (0)\n"
	"  --dirt-kinds LIST    of repeats,order,gaps,malformed,clock,jitter (all)\n\n";

static void
parse_center(const char *text, Town *town)
{
	char		extra;

	if (sscanf(text, "%lf,%lf%c", &town->latitude, &town->longitude, &extra) != 2 ||
		town->latitude < -80 || town->latitude > 80 || town->longitude < -179 || town->longitude > 179)
		die("--center: \"%s\" is not LAT,LON between -80,-179 and 80,179", text);
}

static void
parse_options(int argc, char **argv, RunOptions *r, DeliveryOptions *o)
{
	static const struct option options[] = {
		{"seed", required_argument, NULL, 's'},
		{"vehicles", required_argument, NULL, 'v'},
		{"first-vehicle", required_argument, NULL, 'f'},
		{"rate", required_argument, NULL, 'r'},
		{"seconds", required_argument, NULL, 't'},
		{"count", required_argument, NULL, 'n'},
		{"max", no_argument, NULL, 'm'},
		{"start", required_argument, NULL, 'S'},
		{"center", required_argument, NULL, 'c'},
		{"dirt", required_argument, NULL, 'd'},
		{"dirt-kinds", required_argument, NULL, 'k'},
		{"help", no_argument, NULL, 'h'},
		DELIVERY_LONG_OPTIONS,
		{NULL}
	};
	int			option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
	{
		switch (option)
		{
			case 's':
				r->seed = (uint64_t) option_number("seed", optarg, 0, 1e15);
				break;
			case 'v':
				r->vehicles = (int) option_number("vehicles", optarg, 1, 1e6);
				break;
			case 'f':
				r->first_vehicle = (int) option_number("first-vehicle", optarg, 0, 2e9);
				break;
			case 'r':
				r->rate = option_number("rate", optarg, 0.001, 1e7);
				break;
			case 't':
				r->seconds = option_number("seconds", optarg, 0.001, 1e9);
				break;
			case 'n':
				r->count = option_number("count", optarg, 1, 1e12);
				break;
			case 'm':
				r->as_fast_as_taken = true;
				break;
			case 'S':
				if (!time_parse(optarg, NULL, &r->start_us))
					die("--start: \"%s\" is not a time such as 2025-01-15T14:32:18Z", optarg);
				r->as_fast_as_taken = true;
				break;
			case 'c':
				parse_center(optarg, &r->town);
				break;
			case 'd':
				r->dirt_percent = option_number("dirt", optarg, 0, 100);
				break;
			case 'k':
				r->dirt_kinds = dirt_parse_kinds(optarg);
				break;
			case 'h':
				fputs(run_help, stdout);
				fputs(delivery_help, stdout);
				exit(0);
			default:
				if (!delivery_option(o, option, optarg))
					exit(EXIT_USAGE);
		}
	}
	if (optind < argc)
		die("unexpected argument \"%s\"", argv[optind]);
}

static void
emit(void *context, const char *device, int64_t time_us, uint64_t content, const char *line, size_t len)
{
	static const char *last_device = "";
	static unsigned lane_key;

	/* A line that hides its device follows the one before: the generator's order. */
	if (device)
	{
		last_device = device;
		lane_key = (unsigned) strtoul(last_device + strcspn(last_device, "0123456789"), NULL, 10);
	}
	delivery_send(context, lane_key, device, time_us, content, line, len);
}

static void
drive_fleet(const RunOptions *r, Delivery *delivery, Dirt *dirt)
{
	int64_t		start_us = r->start_us == MESSAGE_NO_TIME ? wall_us() : r->start_us;
	int64_t		clock_start_us = monotonic_us();
	uint64_t	count = r->count > 0 ? (uint64_t) r->count :
		r->seconds > 0 ? (uint64_t) (r->seconds * r->rate) : UINT64_MAX;
	Vehicle    *fleet = xcalloc(r->vehicles, sizeof(Vehicle));
	double		step_us = US_PER_S / r->rate;
	Message		m;

	for (int i = 0; i < r->vehicles; i++)
		vehicle_init(&fleet[i], r->seed, r->first_vehicle + i, start_us);

	for (uint64_t n = 0; n < count && !stop_requested; n++)
	{
		int64_t		due_us = (int64_t) (n * step_us);
		int			number = (int) (n % r->vehicles);
		Vehicle    *v = &fleet[number];

		if (!r->as_fast_as_taken && due_us > monotonic_us() - clock_start_us)
		{
			delivery_serve_until(delivery, clock_start_us + due_us);
			/* Waking for each report costs more than the report. */
			if (step_us < PACE_TICK_US)
				delivery_serve_until(delivery, clock_start_us + due_us + PACE_TICK_US);
		}
		else if (n % SERVE_EVERY == 0)
			delivery_serve_until(delivery, 0);
		v->jitter_m = dirt_jitter_m(dirt);
		vehicle_advance(v, start_us + due_us);
		vehicle_report(v, &r->town, &m);
		dirt_pass(dirt, number, &m);
	}
	dirt_finish(dirt);
	free(fleet);
}

int
command_run(int argc, char **argv)
{
	DeliveryOptions o = DELIVERY_DEFAULTS;
	RunOptions	r = {
		.seed = 1, .vehicles = 20, .first_vehicle = 1, .rate = 20,
		.start_us = MESSAGE_NO_TIME, .dirt_kinds = ALL_KINDS, .town = {50.1105, 8.6821}
	};
	Delivery   *delivery;
	Dirt	   *dirt;
	const Dialect *dialect;

	parse_options(argc, argv, &r, &o);
	dialect = dialect_find(o.client.protocol);
	if (dialect)
	{
		o.client.connections = r.vehicles;
		if (r.dirt_kinds & 1u << DIRT_MALFORMED)
			o.client.spoil_percent = r.dirt_percent;
	}
	delivery = delivery_open(&o);
	dirt = dirt_create(r.seed, r.dirt_percent, r.dirt_kinds, r.vehicles, dialect, emit, delivery);
	drive_fleet(&r, delivery, dirt);
	if (!o.quiet && r.dirt_percent > 0)
	{
		printf("dirt:");
		for (int i = 0; i < DIRT_KINDS; i++)
			printf(" %s=%llu", dirt_names[i], (unsigned long long) dirt_counts(dirt)->of[i]);
		putchar('\n');
	}
	dirt_free(dirt);
	return delivery_close(delivery);
}
