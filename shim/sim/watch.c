/*
 * watch.c
 *	  fleetsim watch: live alerts as lines, and the state of the stream in one.
 *
 * It listens as any client would: fleet.listen() and NOTIFY.  Latency is the
 * time from an event's own timestamp to the arrival of the notification that
 * carries it; where that timestamp is not of now (replayed tracks), from the
 * moment at which the daemon received it.
 */
#include "commands.h"
#include "histogram.h"
#include "timeparse.h"

#include <getopt.h>
#include <json-c/json.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define TICK_MS 200
#define STATUS_US US_PER_S
#define LATENCY_PLAUSIBLE_US (60 * US_PER_S)

typedef struct Watch
{
	PGconn	   *conn;
	PGconn	   *figures;		/* for counting; the listening session stays idle */
	int			tenant;
	bool		quiet;			/* no lines for alerts and transitions */
	bool		on_terminal;
	bool		status_shown;	/* the cursor is at the end of the status line */

	uint64_t	raised;
	uint64_t	cleared;
	uint64_t	transitions;
	uint64_t	quarantined;
	uint64_t	notifications;
	Histogram	latency;		/* of the last status interval */
	Histogram	latency_all;

	int64_t		last_batch;		/* batches up to here are counted */
	uint64_t	events;
	uint64_t	events_rejected;
	uint64_t	events_shown;	/* at the last status */
	uint64_t	batches;
	int64_t		status_at_us;
	int64_t		started_us;
} Watch;

static const char watch_help[] =
	"Usage: fleetsim watch --database CONNINFO [OPTION]...\n\n"
	"Shows alerts and geofence transitions as they are announced, and the rate of\n"
	"events and their latency once a second.\n\n"
	"  --tenant N           whose (1)\n"
	"  --seconds N          how long (until stopped)\n"
	"  --quiet              status and summary only\n"
	"  --no-status          alerts and summary only\n"
	"  --ready-file FILE    created once it listens\n";

static void
clear_status(Watch *w)
{
	if (w->status_shown && w->on_terminal)
		fputs("\r\033[K", stdout);
	w->status_shown = false;
}

static const char *
text_of(struct json_object *object, const char *name)
{
	struct json_object *value;

	if (!json_object_object_get_ex(object, name, &value) || !value)
		return "";
	return json_object_get_string(value);
}

/* HH:MM:SS of an ISO timestamp. */
static const char *
time_of_day(const char *timestamp)
{
	static char text[9];
	const char *t = strpbrk(timestamp, "T ");

	snprintf(text, sizeof(text), "%s", t ? t + 1 : timestamp);
	return text;
}

static void
show_values(struct json_object *alert)
{
	struct json_object *values;

	if (!json_object_object_get_ex(alert, "values", &values) || !json_object_is_type(values, json_type_object))
		return;
	json_object_object_foreach(values, name, value)
		printf("  %s=%s", name, value ? json_object_get_string(value) : "null");
}

static void
take_alert(Watch *w, struct json_object *alert)
{
	struct json_object *value;
	bool		raised = !json_object_object_get_ex(alert, "raised", &value) || json_object_get_boolean(value);

	if (raised)
		w->raised++;
	else
		w->cleared++;
	if (w->quiet)
		return;
	clear_status(w);
	printf("%s  %-8s %-8s %-24s vehicle %s", time_of_day(text_of(alert, "event_time")),
		   raised ? "ALERT" : "cleared", text_of(alert, "severity"), text_of(alert, "name"), text_of(alert, "vehicle"));
	show_values(alert);
	if (*text_of(alert, "message"))
		printf("  %s", text_of(alert, "message"));
	putchar('\n');
}

static void
take_transition(Watch *w, struct json_object *transition)
{
	w->transitions++;
	if (w->quiet)
		return;
	clear_status(w);
	printf("%s  %-8s %-8s %-24s vehicle %s\n", time_of_day(text_of(transition, "event_time")), "fence",
		   text_of(transition, "kind"), text_of(transition, "name"), text_of(transition, "vehicle"));
}

static void
take_live(Watch *w, struct json_object *vehicle, int64_t arrived_us)
{
	int64_t		from_us;
	int64_t		latency_us;

	if (!time_parse(text_of(vehicle, "event_time"), "iso", &from_us))
		return;
	latency_us = arrived_us - from_us;
	if (latency_us < -LATENCY_PLAUSIBLE_US || latency_us > LATENCY_PLAUSIBLE_US)
	{
		if (!time_parse(text_of(vehicle, "received_at"), "iso", &from_us))
			return;
		latency_us = arrived_us - from_us;
	}
	/* Timestamps are cut to milliseconds and a clock may tick between. */
	histogram_add(&w->latency, latency_us > 0 ? latency_us : 0);
	histogram_add(&w->latency_all, latency_us > 0 ? latency_us : 0);
}

static struct json_object *
list_of(struct json_object *payload, const char *name)
{
	struct json_object *list;

	if (json_object_object_get_ex(payload, name, &list) && json_object_is_type(list, json_type_array))
		return list;
	return NULL;
}

static void
take_notification(Watch *w, const char *text, int64_t arrived_us)
{
	struct json_object *payload = json_tokener_parse(text);
	struct json_object *list;

	w->notifications++;
	if ((list = list_of(payload, "alerts")))
		for (size_t i = 0; i < json_object_array_length(list); i++)
			take_alert(w, json_object_array_get_idx(list, i));
	if ((list = list_of(payload, "transitions")))
		for (size_t i = 0; i < json_object_array_length(list); i++)
			take_transition(w, json_object_array_get_idx(list, i));
	if ((list = list_of(payload, "vehicles")))
		for (size_t i = 0; i < json_object_array_length(list); i++)
			take_live(w, json_object_array_get_idx(list, i), arrived_us);
	json_object_put(payload);
}

static PGconn *
connect_database(const char *conninfo)
{
	PGconn	   *conn = PQconnectdb(conninfo);

	if (PQstatus(conn) != CONNECTION_OK)
		die("cannot connect: %s", PQerrorMessage(conn));
	return conn;
}

static void
start_listening(Watch *w)
{
	static const char *const topics[] = {"alert", "geofence", "live"};

	for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++)
	{
		char		sql[128];
		PGresult   *r;

		snprintf(sql, sizeof(sql), "SELECT fleet.listen('%s', %d)", topics[i], w->tenant);
		r = PQexec(w->conn, sql);
		if (PQresultStatus(r) != PGRES_TUPLES_OK)
			die("cannot listen: %s", PQerrorMessage(w->conn));
		PQclear(r);
	}
}

/* Batches since the last look; all of them when `first`. */
static void
count_batches(Watch *w, bool first)
{
	char		sql[256];
	PGresult   *r;

	snprintf(sql, sizeof(sql),
			 "SELECT count(*), coalesce(sum(accepted), 0), coalesce(sum(rejected), 0), coalesce(max(batch_id), %lld)"
			 " FROM fleet.batch WHERE batch_id > %lld", (long long) w->last_batch, (long long) w->last_batch);
	r = PQexec(w->figures, sql);
	if (PQresultStatus(r) == PGRES_TUPLES_OK)
	{
		if (!first)
		{
			w->batches += strtoull(PQgetvalue(r, 0, 0), NULL, 10);
			w->events += strtoull(PQgetvalue(r, 0, 1), NULL, 10);
			w->events_rejected += strtoull(PQgetvalue(r, 0, 2), NULL, 10);
		}
		w->last_batch = strtoll(PQgetvalue(r, 0, 3), NULL, 10);
	}
	PQclear(r);
}

static void
show_status(Watch *w, int64_t now_us)
{
	double		seconds = (double) (now_us - w->status_at_us) / US_PER_S;
	char		clock[9];
	char		line[256];
	struct winsize window;
	time_t		t = time(NULL);
	PGresult   *r;

	count_batches(w, false);
	r = PQexec(w->figures, "SELECT count(*) FROM fleet.vehicle_state WHERE event_time IS NOT NULL");
	strftime(clock, sizeof(clock), "%H:%M:%S", localtime(&t));
	clear_status(w);
	snprintf(line, sizeof(line),
			 "%s  %.0f events/s  %s vehicles  %llu alerts (%llu cleared)  latency p50 %.0f p99 %.0f ms  %llu events  %llu rejected",
		   clock, (double) (w->events - w->events_shown) / seconds,
		   PQresultStatus(r) == PGRES_TUPLES_OK ? PQgetvalue(r, 0, 0) : "?",
		   (unsigned long long) w->raised, (unsigned long long) w->cleared,
		   (double) histogram_percentile(&w->latency, 50) / US_PER_MS,
		   (double) histogram_percentile(&w->latency, 99) / US_PER_MS,
		   (unsigned long long) w->events, (unsigned long long) w->events_rejected);
	PQclear(r);
	/* A line that wraps could not be overwritten. */
	if (w->on_terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 1 && window.ws_col <= sizeof(line))
		line[window.ws_col - 1] = '\0';
	fputs(line, stdout);
	if (!w->on_terminal)
		putchar('\n');
	fflush(stdout);
	w->status_shown = true;
	w->events_shown = w->events;
	w->status_at_us = now_us;
	histogram_clear(&w->latency);
}

static void
take_notifications(Watch *w)
{
	PGnotify   *n;
	int64_t		arrived_us = wall_us();

	if (!PQconsumeInput(w->conn))
		die("connection lost: %s", PQerrorMessage(w->conn));
	while ((n = PQnotifies(w->conn)))
	{
		take_notification(w, n->extra, arrived_us);
		PQfreemem(n);
	}
	fflush(stdout);
}

static void
show_summary(Watch *w)
{
	clear_status(w);
	count_batches(w, false);
	printf("summary: seconds=%.1f events=%llu rejected=%llu commits=%llu alerts=%llu cleared=%llu transitions=%llu"
		   " notifications=%llu latency_samples=%llu latency_p50_ms=%.1f latency_p99_ms=%.1f latency_max_ms=%.1f\n",
		   (double) (monotonic_us() - w->started_us) / US_PER_S,
		   (unsigned long long) w->events, (unsigned long long) w->events_rejected,
		   (unsigned long long) w->batches, (unsigned long long) w->raised, (unsigned long long) w->cleared,
		   (unsigned long long) w->transitions, (unsigned long long) w->notifications,
		   (unsigned long long) w->latency_all.count,
		   (double) histogram_percentile(&w->latency_all, 50) / US_PER_MS,
		   (double) histogram_percentile(&w->latency_all, 99) / US_PER_MS,
		   (double) w->latency_all.largest_us / US_PER_MS);
}

int
command_watch(int argc, char **argv)
{
	static const struct option options[] = {
		{"database", required_argument, NULL, 'd'},
		{"tenant", required_argument, NULL, 't'},
		{"seconds", required_argument, NULL, 's'},
		{"quiet", no_argument, NULL, 'q'},
		{"no-status", no_argument, NULL, 'n'},
		{"ready-file", required_argument, NULL, 'r'},
		{"help", no_argument, NULL, 'h'},
		{NULL}
	};
	Watch		w = {.tenant = 1};
	const char *database = NULL;
	const char *ready_file = NULL;
	double		seconds = 0;
	bool		with_status = true;
	int			option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
	{
		switch (option)
		{
			case 'd':
				database = optarg;
				break;
			case 't':
				w.tenant = (int) option_number("tenant", optarg, 1, 2e9);
				break;
			case 's':
				seconds = option_number("seconds", optarg, 0.1, 1e9);
				break;
			case 'q':
				w.quiet = true;
				break;
			case 'n':
				with_status = false;
				break;
			case 'r':
				ready_file = optarg;
				break;
			case 'h':
				fputs(watch_help, stdout);
				return 0;
			default:
				return EXIT_USAGE;
		}
	}
	if (!database)
		die("--database is needed");

	w.on_terminal = isatty(STDOUT_FILENO);
	w.conn = connect_database(database);
	w.figures = connect_database(database);
	start_listening(&w);
	count_batches(&w, true);
	w.started_us = w.status_at_us = monotonic_us();
	catch_stop_signals();
	if (ready_file)
	{
		FILE	   *f = fopen(ready_file, "w");

		if (!f)
			die("cannot create \"%s\"", ready_file);
		fclose(f);
	}

	while (!stop_requested && (seconds == 0 || monotonic_us() - w.started_us < seconds * US_PER_S))
	{
		struct pollfd p = {.fd = PQsocket(w.conn), .events = POLLIN};

		if (poll(&p, 1, TICK_MS) > 0)
			take_notifications(&w);
		if (with_status && monotonic_us() - w.status_at_us >= STATUS_US)
			show_status(&w, monotonic_us());
	}
	show_summary(&w);
	PQfinish(w.conn);
	PQfinish(w.figures);
	return 0;
}
