/*
 * replay.c
 *	  fleetsim replay: send recorded tracks.
 *
 * Whatever the file holds is sent: a row with a bad field goes out as a
 * document with that field as it is, a row that is none as the bytes it is,
 * so that quarantine shows them.
 */
#include "commands.h"
#include "delivery.h"
#include "encode_json.h"
#include "timeparse.h"
#include "tracks.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#define SERVE_EVERY 256

typedef struct ReplayOptions
{
	double		speed;			/* 0: as fast as taken */
	bool		shift_to_now;
	bool		sort;
	double		limit;			/* rows, 0: all */
	bool		quiet;
} ReplayOptions;

static const char replay_help[] =
	"Usage: fleetsim replay FILE [OPTION]...\n\n"
	"Sends the rows of a CSV (with a header line) or NDJSON file, gzip or not.  Columns\n"
	"are guessed from their names; what was guessed is printed.\n\n"
	"Columns:\n"
	"  --vehicle-column C, --time-column C (or DATE+TIME), --latitude-column C,\n"
	"  --longitude-column C, --altitude-column C, --accuracy-column C, --speed-column C,\n"
	"  --heading-column C   which columns hold what\n"
	"  --vehicle NAME       of all rows, when no column tells\n"
	"  --column C=FIELD[*N] a signal under another name, its numbers times N\n"
	"  --text C             keep numbers of a column as text\n"
	"  --skip C             leave a column out\n"
	"  --null C=VALUE       in that column VALUE stands for missing\n"
	"  --speed-unit U       kmh, mph, ms or knots (kmh, or what the name says)\n"
	"  --time-format F      iso, s, ms, us or a pattern such as '%m/%d/%Y %H:%M:%S' (guessed)\n"
	"  --time-zone Z        of times without an offset: Europe/Berlin, +01:00 (UTC)\n"
	"Pace:\n"
	"  --speed 1x|60x|max   against the recorded clock (max)\n"
	"  --shift now|keep     move all times so that the last is now, or keep them (keep)\n"
	"  --sort               in the order of time, across vehicles\n"
	"  --limit N            first N rows only\n\n";

static void
set_role(Columns *c, const char *name, ColumnRole role)
{
	Column	   *column = columns_get(c, name);

	column->role = role;
	column->told = true;
}

static void
set_time_column(Columns *c, const char *value)
{
	char	   *name = xstrdup(value);
	char	   *plus = strchr(name, '+');

	if (plus)
	{
		*plus = '\0';
		set_role(c, name, COLUMN_DATE);
		set_role(c, plus + 1, COLUMN_TIME);
	}
	else
		set_role(c, name, COLUMN_TIME);
	free(name);
}

/* Cuts "COLUMN=VALUE" and returns VALUE. */
static char *
split_assignment(const char *option, char *text)
{
	char	   *equals = strchr(text, '=');

	if (!equals || equals == text)
		die("--%s: \"%s\" is not COLUMN=VALUE", option, text);
	*equals = '\0';
	return equals + 1;
}

static void
set_field(Columns *c, char *text)
{
	char	   *field = split_assignment("column", text);
	Column	   *column = columns_get(c, text);
	char	   *star = strchr(field, '*');

	if (star)
	{
		*star = '\0';
		column->scale = option_number("column", star + 1, -1e12, 1e12);
	}
	column->field = xstrdup(field);
	column->told = true;
}

static double
speed_unit(const char *name)
{
	static const struct
	{
		const char *name;
		double		kmh;
	}			units[] = {{"kmh", 1}, {"mph", 1.609344}, {"ms", 3.6}, {"knots", 1.852}};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(name, units[i].name) == 0)
			return units[i].kmh;
	die("--speed-unit: \"%s\" is none of kmh, mph, ms, knots", name);
}

static double
parse_pace(const char *text)
{
	char	   *number = xstrdup(text);
	size_t		len = strlen(number);
	double		pace;

	if (strcmp(text, "max") == 0)
		return 0;
	if (len > 1 && number[len - 1] == 'x')
		number[len - 1] = '\0';
	pace = option_number("speed", number, 0.001, 1e6);
	free(number);
	return pace;
}

static const char *
parse_options(int argc, char **argv, ReplayOptions *r, DeliveryOptions *o, Columns *c)
{
	static const struct option options[] = {
		{"vehicle-column", required_argument, NULL, 'v'},
		{"time-column", required_argument, NULL, 't'},
		{"latitude-column", required_argument, NULL, 'a'},
		{"longitude-column", required_argument, NULL, 'o'},
		{"altitude-column", required_argument, NULL, 'e'},
		{"accuracy-column", required_argument, NULL, 'y'},
		{"speed-column", required_argument, NULL, 'p'},
		{"heading-column", required_argument, NULL, 'g'},
		{"vehicle", required_argument, NULL, 'V'},
		{"column", required_argument, NULL, 'c'},
		{"text", required_argument, NULL, 'T'},
		{"skip", required_argument, NULL, 'k'},
		{"null", required_argument, NULL, 'n'},
		{"speed-unit", required_argument, NULL, 'u'},
		{"time-format", required_argument, NULL, 'f'},
		{"time-zone", required_argument, NULL, 'z'},
		{"speed", required_argument, NULL, 's'},
		{"shift", required_argument, NULL, 'S'},
		{"sort", no_argument, NULL, 'O'},
		{"limit", required_argument, NULL, 'l'},
		{"help", no_argument, NULL, 'h'},
		DELIVERY_LONG_OPTIONS,
		{NULL}
	};
	static const char role_options[] = "vaoeypg";
	static const ColumnRole roles[] = {
		COLUMN_VEHICLE, COLUMN_LATITUDE, COLUMN_LONGITUDE, COLUMN_ALTITUDE, COLUMN_ACCURACY, COLUMN_SPEED, COLUMN_HEADING
	};
	int			option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
	{
		const char *role = option < 128 ? strchr(role_options, option) : NULL;
		Column	   *column;

		if (role)
		{
			set_role(c, optarg, roles[role - role_options]);
			continue;
		}
		switch (option)
		{
			case 't':
				set_time_column(c, optarg);
				break;
			case 'V':
				c->vehicle = optarg;
				break;
			case 'c':
				set_field(c, optarg);
				break;
			case 'T':
				columns_get(c, optarg)->as_text = true;
				break;
			case 'k':
				set_role(c, optarg, COLUMN_SKIPPED);
				break;
			case 'n':
				{
					const char *value = split_assignment("null", optarg);

					column = columns_get(c, optarg);
					column->null_value = value;
				}
				break;
			case 'u':
				c->speed_scale = speed_unit(optarg);
				break;
			case 'f':
				c->time_format = optarg;
				break;
			case 'z':
				time_set_zone(optarg);
				break;
			case 's':
				r->speed = parse_pace(optarg);
				break;
			case 'S':
				if (strcmp(optarg, "now") != 0 && strcmp(optarg, "keep") != 0)
					die("--shift: \"%s\" is neither now nor keep", optarg);
				r->shift_to_now = strcmp(optarg, "now") == 0;
				break;
			case 'O':
				r->sort = true;
				break;
			case 'l':
				r->limit = option_number("limit", optarg, 1, 1e12);
				break;
			case 'h':
				fputs(replay_help, stdout);
				fputs(delivery_help, stdout);
				exit(0);
			default:
				if (!delivery_option(o, option, optarg))
					exit(EXIT_USAGE);
		}
	}
	r->quiet = o->quiet;
	if (optind + 1 != argc)
		die("one file is needed; fleetsim replay --help tells more");
	return argv[optind];
}

/* Line breaks inside a row would make two documents of it. */
static void
add_row_bytes(Buffer *out, const char *data, size_t len)
{
	buffer_add(out, data, len);
	for (char *p = out->data; p < out->data + out->len; p++)
		if (*p == '\n' || *p == '\r')
			*p = ' ';
}

/* So that the last row is of now, when the replay reaches it. */
static int64_t
shift_us(const Tracks *t, const ReplayOptions *r)
{
	int64_t		first = INT64_MAX;
	int64_t		last = INT64_MIN;

	if (!r->shift_to_now)
		return 0;
	for (size_t i = 0; i < t->count; i++)
		if (t->rows[i].time_us != MESSAGE_NO_TIME)
		{
			first = t->rows[i].time_us < first ? t->rows[i].time_us : first;
			last = t->rows[i].time_us > last ? t->rows[i].time_us : last;
		}
	if (first > last)
		return 0;
	return wall_us() - last + (r->speed > 0 ? (int64_t) ((double) (last - first) / r->speed) : 0);
}

static void
send_rows(Tracks *t, const ReplayOptions *r, Delivery *delivery)
{
	int64_t		offset_us = shift_us(t, r);
	int64_t		clock_start_us = monotonic_us();
	int64_t		first_us = INT64_MIN;
	uint64_t	bad = 0;
	uint64_t	unreadable = 0;
	size_t		sent = 0;
	Buffer		line = {0};
	Message		m;

	for (; sent < t->count && !stop_requested; sent++)
	{
		const TrackRow *row = &t->rows[sent];
		TrackResult result;
		uint64_t	content = 0;

		if (r->limit > 0 && sent >= r->limit)
			break;
		if (first_us == INT64_MIN)
			first_us = row->order_us;
		if (r->speed > 0 && row->order_us != INT64_MIN && first_us != INT64_MIN)
		{
			int64_t		due_us = clock_start_us + (int64_t) ((double) (row->order_us - first_us) / r->speed);

			if (due_us > monotonic_us())
				delivery_serve_until(delivery, due_us);
		}
		if (sent % SERVE_EVERY == 0)
			delivery_serve_until(delivery, 0);

		line.len = 0;
		result = tracks_message(t, row, &m);
		if (result == TRACK_UNREADABLE)
		{
			message_clear(&m);
			add_row_bytes(&line, t->text.data + row->begin, row->len);
		}
		else
		{
			if (m.time_us != MESSAGE_NO_TIME)
				m.time_us = (m.time_us + offset_us) / US_PER_MS * US_PER_MS;
			if (result == TRACK_GOOD)
				content = message_fingerprint(&m);
			encode_flat(&line, &m);
		}
		if (!delivery_send(delivery, (unsigned) hash_bytes(HASH_START, m.device, strlen(m.device)),
						   m.device, m.time_us, content, line.data, line.len))
			break;
		unreadable += result == TRACK_UNREADABLE;
		bad += result == TRACK_BAD_FIELD;
	}
	buffer_free(&line);
	if (!r->quiet)
		printf("rows=%zu bad_fields=%llu unreadable=%llu\n", sent, (unsigned long long) bad, (unsigned long long) unreadable);
}

int
command_replay(int argc, char **argv)
{
	DeliveryOptions o = DELIVERY_DEFAULTS;
	ReplayOptions r = {0};
	Tracks	   *t = xcalloc(1, sizeof(*t));
	Delivery   *delivery;
	const char *path;

	columns_init(&t->columns);
	path = parse_options(argc, argv, &r, &o, &t->columns);
	tracks_load(t, path);
	if (!r.quiet)
		columns_print(&t->columns);
	if (r.sort)
		tracks_sort(t);
	if (dialect_find(o.client.protocol))
		die("--protocol: recorded tracks go as documents, json or http");
	delivery = delivery_open(&o);
	send_rows(t, &r, delivery);
	return delivery_close(delivery);
}
