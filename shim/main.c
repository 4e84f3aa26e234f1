/*
 * main.c
 *	  fleetd: trackers' sockets in, COPY into the fleet pipeline out.
 */
#include <event2/event.h>
#include <getopt.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "adapter.h"
#include "auth.h"
#include "clock.h"
#include "command.h"
#include "config.h"
#include "conn.h"
#include "failures.h"
#include "gate.h"
#include "kafka.h"
#include "listen.h"
#include "log.h"
#include "mqtt_broker.h"
#include "pseudonym.h"
#include "rate.h"
#include "revocation.h"
#include "sink.h"
#include "stats.h"

#define DRAIN_LOOK_MS 20		/* between looks whether all is committed */

typedef enum Mode
{
	MODE_RUN,
	MODE_DRAIN,					/* commits what is in flight, then ends */
	MODE_STOP					/* ends now */
} Mode;

static struct event_base *base;
static const char *config_path;
static Mode mode = MODE_RUN;
static int64_t drain_until_us;
static struct event *drain_timer;
static int	exit_code = 0;

static void
usage(void)
{
	printf("fleetd takes telemetry from trackers' sockets and commits it through the fleet extension.\n\n"
		   "usage: fleetd -c FILE            run\n"
		   "       fleetd --check -c FILE    read the configuration and say what is wrong with it\n"
		   "       fleetd --pseudonyms -c FILE\n"
		   "                                 for each VIN on standard input, its pseudonyms under all keys\n"
		   "       fleetd --rekey-map -c FILE\n"
		   "                                 likewise, older pseudonym and current one: for fleet.rekey_devices()\n"
		   "       fleetd --settings         the names of all settings, their defaults\n"
		   "       fleetd --version\n"
		   "       fleetd --help\n\n"
		   "SIGTERM or SIGINT commits and acknowledges what is in flight, then ends; a second one ends\n"
		   "at once.  SIGHUP reads the configuration again.  The log goes to standard error.\n\n"
		   "Adapters:\n");
	for (size_t i = 0; adapters[i] != NULL; i++)
		printf("  %-32s %s\n", adapters[i]->name, adapters[i]->help);
	printf("\nSettings (JSON; a dot stands for an object in an object):\n");
	config_print_help();
}

/* --- the end --- */

static void
on_drain(evutil_socket_t fd, short what, void *arg)
{
	struct timeval tv = {0, DRAIN_LOOK_MS * 1000};

	(void) fd;
	(void) what;
	(void) arg;
	if (conn_count() == 0 && listen_busy() == 0 && broker_busy() == 0 && kafka_busy() == 0 && sink_pending() == 0 &&
		command_busy() == 0)
	{
		log_info("drained");
		event_base_loopbreak(base);
		return;
	}
	if (clock_us() > drain_until_us)
	{
		/* None of this was acknowledged, so its senders have it still. */
		log_error("drain_timeout", log_int("rows", (int64_t) sink_pending()),
				  log_int("connections", (int64_t) conn_count()));
		exit_code = sink_pending() > 0 ? 1 : 0;
		event_base_loopbreak(base);
		return;
	}
	event_add(drain_timer, &tv);
}

static void
on_terminate(evutil_socket_t number, short what, void *arg)
{
	(void) what;
	(void) arg;
	if (mode == MODE_RUN)
	{
		mode = MODE_DRAIN;
		log_info("draining", log_str("signal", strsignal((int) number)),
				 log_int("rows", (int64_t) sink_pending()),
				 log_int("connections", (int64_t) conn_count()));
		drain_until_us = clock_us() + cf->drain_seconds * 1000000;
		listen_drain();
		conn_drain();
		broker_drain();
		kafka_drain();
		sink_flush();
		on_drain(-1, 0, NULL);
		return;
	}
	mode = MODE_STOP;
	log_warning("stopping_at_once", log_int("rows", (int64_t) sink_pending()));
	exit_code = sink_pending() > 0 ? 1 : 0;
	event_base_loopbreak(base);
}

/* --- reload --- */

static void
apply_log_settings(void)
{
	log_configure((LogLevel) cf->log_level, (unsigned) cf->log_lines_per_second);
}

static void
on_reload(evutil_socket_t number, short what, void *arg)
{
	char		err[CONFIG_ERROR_MAX];
	Config	   *next;

	(void) number;
	(void) what;
	(void) arg;
	next = config_read(config_path, err, sizeof(err));
	if (next == NULL)
	{
		stats_inc(STAT_RELOADS_FAILED);
		log_error("reload_refused", log_str("file", config_path), log_str("message", err));
		return;
	}
	config_reload(next);
	apply_log_settings();
	gate_reset();
	revocation_apply();
	stats_inc(STAT_RELOADS);
	log_info("reloaded", log_str("file", config_path));
}

/* --- the beginning --- */

static void
raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	if (limit.rlim_cur < limit.rlim_max)
	{
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	if (limit.rlim_cur < (rlim_t) cf->limit_connections + 64)
		log_warning("few_descriptors", log_int("descriptors", (int64_t) limit.rlim_cur),
					log_int("connections", cf->limit_connections));
}

static struct event *
on_signal(int number, event_callback_fn callback)
{
	struct event *event = evsignal_new(base, number, callback, NULL);

	if (event == NULL || event_add(event, NULL) != 0)
	{
		log_fatal("cannot_catch_signals");
		exit(1);
	}
	return event;
}

static void
libevent_log(int severity, const char *message)
{
	if (severity >= EVENT_LOG_WARN)
		log_warning("libevent", log_str("message", message));
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"check", no_argument, NULL, 'C'},
		{"pseudonyms", no_argument, NULL, 'P'},
		{"rekey-map", no_argument, NULL, 'R'},
		{"settings", no_argument, NULL, 'S'},
		{"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0}
	};
	char		err[CONFIG_ERROR_MAX];
	Config	   *config;
	bool		check_only = false;
	int			tool = 0;		/* P or R: write pseudonyms and end */
	struct event *signals[3];
	int			option;

	while ((option = getopt_long(argc, argv, "c:Vh", options, NULL)) != -1)
		switch (option)
		{
			case 'c':
				config_path = optarg;
				break;
			case 'C':
				check_only = true;
				break;
			case 'P':
			case 'R':
				tool = option;
				break;
			case 'S':
				config_print_names();
				return 0;
			case 'V':
				printf("fleetd %s\n", VERSION);
				return 0;
			case 'h':
				usage();
				return 0;
			default:
				fprintf(stderr, "Try \"fleetd --help\".\n");
				return 2;
		}
	if (config_path == NULL || optind < argc)
	{
		fprintf(stderr, "fleetd: %s\nTry \"fleetd --help\".\n",
				config_path == NULL ? "no configuration: -c FILE is missing" : "too many arguments");
		return 2;
	}

	config = config_read(config_path, err, sizeof(err));
	if (config == NULL)
	{
		fprintf(stderr, "fleetd: %s: %s\n", config_path, err);
		return 2;
	}
	if (check_only)
	{
		printf("%s: ok\n", config_path);
		config_free(config);
		return 0;
	}

	if (tool != 0)
	{
		bool		ok = config->pseudonym_keys != NULL;

		if (!ok)
			fprintf(stderr, "fleetd: %s: \"pseudonym.key_file\" is missing\n", config_path);
		ok = ok && pseudonym_print(config->pseudonym_keys, tool == 'R', stdin, stdout, stderr);
		config_free(config);
		return ok ? 0 : 1;
	}

	config_set(config);
	apply_log_settings();
	raise_descriptor_limit();
	signal(SIGPIPE, SIG_IGN);
	srandom((unsigned) clock_us() ^ (unsigned) getpid());
	stats_gauge_set(GAUGE_START_TIME, (double) clock_unix_us() / 1e6);
	event_set_log_callback(libevent_log);
	base = event_base_new();
	if (base == NULL)
	{
		log_fatal("no_event_loop");
		return 1;
	}
	drain_timer = evtimer_new(base, on_drain, NULL);
	log_info("starting", log_str("version", VERSION), log_int("pid", getpid()));

	if (!sink_start(base) || !auth_start(base) || !clock_start(base) || !conn_start(base) ||
		!command_start(base))
	{
		log_fatal("out_of_memory");
		return 1;
	}
	if (!listen_start(base) || !broker_start(base) || !kafka_start(base) || !revocation_start(base))
		return 1;
	signals[0] = on_signal(SIGTERM, on_terminate);
	signals[1] = on_signal(SIGINT, on_terminate);
	signals[2] = on_signal(SIGHUP, on_reload);
	log_info("started");

	event_base_dispatch(base);

	kafka_stop();
	broker_stop();
	revocation_stop();
	conn_stop();
	listen_stop();
	command_stop();
	clock_stop();
	auth_stop();
	sink_stop();
	rate_reset();
	failures_reset();
	pseudonym_forget();
	for (int i = 0; i < 3; i++)
		event_free(signals[i]);
	event_free(drain_timer);
	event_base_free(base);
	log_info("stopped", log_int("code", exit_code));
	config_free(config);
	return exit_code;
}
