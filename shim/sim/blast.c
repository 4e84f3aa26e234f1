/*
 * blast.c
 *	  fleetsim blast: how much does the other side take?
 *
 * A cycle of reports is encoded once; each time around only the timestamps
 * are overwritten, and the bytes leave in large writes, so that the simulator
 * takes little of the processors it shares with what it measures.  Every
 * report has its own (vehicle, time): none is a repeat.
 */
#include "client_mqtt.h"
#include "commands.h"
#include "delivery.h"
#include "encode_json.h"
#include "vehicle.h"

#include <getopt.h>
#include <json-c/json.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define CYCLE_BYTES (8 * 1024 * 1024)	/* of one connection; small enough to stay cached */
#define WRITE_BYTES (128 * 1024)
#define REPORT_STEP_US (100 * US_PER_MS)	/* driven between two reports of a cycle */

typedef struct Stream
{
	Channel		channel;
	bool		mqtt;			/* else json */
	Buffer		cycle;			/* the documents, a newline after each, or PUBLISH packets */
	uint32_t   *begins;			/* of each document; one more for the end */
	uint32_t   *stamps;			/* offset of its timestamp */
	uint32_t   *ids;			/* mqtt: of its packet identifier */
	int			documents;
	int			vehicles;
	int			next;			/* document */
	int			ready;			/* documents up to here carry fresh timestamps */
	size_t		offset;			/* bytes of the cycle that are written */
	int64_t    *clocks;			/* last event time by vehicle slot, ms */
	uint64_t	sent;
	uint64_t	acked;
	uint64_t	rejected;
	Buffer		input;
} Stream;

typedef struct BlastOptions
{
	uint64_t	seed;
	int			vehicles;
	double		seconds;
	double		count;
	int			window;
} BlastOptions;

static const char blast_help[] =
	"Usage: fleetsim blast [OPTION]...\n\n"
	"Sends reference documents, json or mqtt, as fast as they are taken and\n"
	"prints how many were committed a second.\n\n"
	"  --vehicles N         vehicles (1000)\n"
	"  --seconds N          how long to send (10)\n"
	"  --count N            how many reports, instead\n"
	"  --window N           unacknowledged reports a connection may have (200000)\n"
	"  --seed N             same seed, same routes (1)\n"
	"  --to, --token, --token-file, --tls, --ca, --connections, --quiet as in run\n";

static void
encode_cycle(Stream *s, const BlastOptions *b, int number, int connections, int64_t start_us)
{
	Town		town = {50.1105, 8.6821};
	Vehicle    *fleet;
	Message		m;
	Buffer		document = {0};
	int			capacity;

	s->vehicles = (b->vehicles - number + connections - 1) / connections;
	if (s->vehicles < 1)
		die("--vehicles: at least one for each connection is needed");
	fleet = xcalloc(s->vehicles, sizeof(Vehicle));
	s->clocks = xmalloc(s->vehicles * sizeof(int64_t));
	for (int i = 0; i < s->vehicles; i++)
	{
		vehicle_init(&fleet[i], b->seed, 1 + number + i * connections, start_us);
		/* Electric ones send the reference document and nothing more. */
		fleet[i].electric = true;
		s->clocks[i] = start_us / US_PER_MS;
	}

	capacity = CYCLE_BYTES / 400;
	s->begins = xmalloc((capacity + 1) * sizeof(uint32_t));
	s->stamps = xmalloc(capacity * sizeof(uint32_t));
	s->ids = xmalloc(capacity * sizeof(uint32_t));
	/* Whole turns over the fleet, one at least, so that slot = document % vehicles. */
	while (s->documents == 0 || s->cycle.len < CYCLE_BYTES)
	{
		for (int i = 0; i < s->vehicles; i++)
		{
			size_t		begin = s->cycle.len;
			const char *stamp;

			if (s->documents == capacity)
			{
				capacity *= 2;
				s->begins = xrealloc(s->begins, (capacity + 1) * sizeof(uint32_t));
				s->stamps = xrealloc(s->stamps, capacity * sizeof(uint32_t));
				s->ids = xrealloc(s->ids, capacity * sizeof(uint32_t));
			}
			vehicle_advance(&fleet[i], fleet[i].time_us + REPORT_STEP_US);
			vehicle_report(&fleet[i], &town, &m);
			document.len = 0;
			encode_reference(&document, &m);
			if (s->mqtt)
				s->ids[s->documents] = mqtt_put_publish(&s->cycle, 0, document.data, document.len);
			else
			{
				buffer_add(&s->cycle, document.data, document.len);
				buffer_add_char(&s->cycle, '\n');
			}
			stamp = memmem(s->cycle.data + begin, s->cycle.len - begin, "\"timestamp\":\"", strlen("\"timestamp\":\""));
			s->begins[s->documents] = begin;
			s->stamps[s->documents++] = stamp + strlen("\"timestamp\":\"") - s->cycle.data;
		}
	}
	s->begins[s->documents] = s->cycle.len;
	buffer_free(&document);
	free(fleet);
}

/* Give fresh timestamps to the documents of the next write. */
static void
stamp_documents(Stream *s, uint64_t limit)
{
	int64_t		now_ms = wall_us() / US_PER_MS;

	while (s->ready < s->documents && s->begins[s->ready] - s->offset < WRITE_BYTES && limit-- > 0)
	{
		int64_t    *clock = &s->clocks[s->ready % s->vehicles];

		/* The present if that is new for this vehicle, else one millisecond on. */
		*clock = *clock < now_ms ? now_ms : *clock + 1;
		encode_timestamp(s->cycle.data + s->stamps[s->ready], *clock * US_PER_MS);
		if (s->mqtt)
		{
			uint16_t	id = mqtt_packet_id(s->sent);

			s->cycle.data[s->ids[s->ready]] = (char) (id >> 8);
			s->cycle.data[s->ids[s->ready] + 1] = (char) id;
		}
		s->ready++;
		s->sent++;
	}
}

/* Returns false when the socket takes no more, or there is nothing to send. */
static bool
stream_write(Stream *s, uint64_t limit)
{
	const char *reason;
	size_t		put;

	if (s->offset == s->begins[s->ready])
	{
		if (s->ready == s->documents)
			s->ready = 0, s->offset = 0;
		stamp_documents(s, limit);
		if (s->offset == s->begins[s->ready])
			return false;
	}
	switch (channel_write(&s->channel, s->cycle.data + s->offset, s->begins[s->ready] - s->offset, &put, &reason))
	{
		case CHANNEL_CLOSED:
			die("connection lost: %s", reason);
		case CHANNEL_AGAIN:
			return false;
		case CHANNEL_OK:
			break;
	}
	s->offset += put;
	return true;
}

/* Next whole line of the input, parsed; NULL when there is none. */
static struct json_object *
next_answer(Stream *s)
{
	char	   *newline = memchr(s->input.data, '\n', s->input.len);
	struct json_object *answer;

	if (!newline)
		return NULL;
	*newline = '\0';
	answer = json_tokener_parse(s->input.data);
	if (!json_object_is_type(answer, json_type_object))
		die("the daemon answered what is no JSON object");
	s->input.len -= newline + 1 - s->input.data;
	memmove(s->input.data, newline + 1, s->input.len);
	return answer;
}

static bool
stream_read(Stream *s)
{
	const char *reason;
	size_t		got;

	buffer_reserve(&s->input, 65536);
	switch (channel_read(&s->channel, s->input.data + s->input.len, 65536, &got, &reason))
	{
		case CHANNEL_CLOSED:
			die("connection lost: %s", reason);
		case CHANNEL_AGAIN:
			return false;
		case CHANNEL_OK:
			break;
	}
	s->input.len += got;
	return true;
}

/* PUBACKs, which come in the order of their packets. */
static void
take_pubacks(Stream *s)
{
	size_t		done = 0;
	MqttAnswer	answer;
	int			len;

	while ((len = mqtt_take_answer(s->input.data + done, s->input.len - done, &answer)) != 0)
	{
		if (len < 0 || answer.type != 4 || answer.id != mqtt_packet_id(s->acked))
			die("the daemon answered what is not the next PUBACK");
		if (answer.code >= 0x80)
			s->rejected++;
		s->acked++;
		done += len;
	}
	s->input.len -= done;
	memmove(s->input.data, s->input.data + done, s->input.len);
}

static void
take_acks(Stream *s)
{
	struct json_object *answer;

	if (s->mqtt)
	{
		take_pubacks(s);
		return;
	}
	while (s->input.len > 0 && (answer = next_answer(s)))
	{
		struct json_object *value;

		if (json_object_object_get_ex(answer, "error", &value))
			die("the daemon reported: %s", json_object_get_string(value));
		if (json_object_object_get_ex(answer, "rejected", &value))
			s->rejected += json_object_array_length(value);
		if (json_object_object_get_ex(answer, "ack", &value))
			s->acked = (uint64_t) json_object_get_int64(value);
		json_object_put(answer);
	}
}

static void
wait_for(Channel *c, short events)
{
	struct pollfd p = {.fd = c->fd, .events = events};

	if (poll(&p, 1, 10000) == 0)
		die("the daemon does not answer");
}

/* The answer to the credentials; false when it has not come. */
static bool
take_welcome(Stream *s)
{
	if (s->mqtt)
	{
		MqttAnswer	answer;
		int			len = mqtt_take_answer(s->input.data, s->input.len, &answer);

		if (len == 0)
			return false;
		if (len < 0 || answer.type != 2 || answer.code != 0)
			die("the daemon refused the connection");
		s->input.len -= len;
		memmove(s->input.data, s->input.data + len, s->input.len);
	}
	else
	{
		struct json_object *answer = next_answer(s);

		if (!answer)
			return false;
		if (!json_object_object_get_ex(answer, "auth", NULL))
			die("the daemon refused the connection: %s", json_object_to_json_string(answer));
		json_object_put(answer);
	}
	return true;
}

static void
stream_open(Stream *s, const ClientOptions *o, SSL_CTX *tls, int number)
{
	char	   *host;
	char	   *port;
	const char *reason;
	ChannelResult result;
	Buffer		hello = {0};
	size_t		put;

	channel_parse_address(o->address, &host, &port);
	result = channel_connect(&s->channel, host, port, tls, &reason);
	if (result == CHANNEL_AGAIN)
		wait_for(&s->channel, POLLOUT);
	while (result == CHANNEL_AGAIN &&
		   (result = channel_finish_connect(&s->channel, &reason)) == CHANNEL_AGAIN)
		wait_for(&s->channel, s->channel.tls_wants_write ? POLLOUT : POLLIN);
	if (result == CHANNEL_CLOSED)
		die("cannot connect to %s: %s", o->address, reason);
	if (s->mqtt)
		mqtt_put_connect(&hello, o, number);
	else
	{
		buffer_add_char(&hello, '{');
		encode_text_member(&hello, false, "auth", o->token);
		buffer_add_string(&hello, "}\n");
	}
	if (channel_write(&s->channel, hello.data, hello.len, &put, &reason) != CHANNEL_OK || put != hello.len)
		die("cannot send credentials to %s", o->address);
	while (s->input.len == 0 || !take_welcome(s))
		if (!stream_read(s))
			wait_for(&s->channel, POLLIN);
	buffer_free(&hello);
	free(host);
	free(port);
}

static double
cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static uint64_t
total(const Stream *streams, int count, size_t member)
{
	uint64_t	sum = 0;

	for (int i = 0; i < count; i++)
		sum += *(const uint64_t *) ((const char *) &streams[i] + member);
	return sum;
}

static void
blast(Stream *streams, int connections, const BlastOptions *b)
{
	struct pollfd *polls = xcalloc(connections, sizeof(*polls));
	int64_t		end_us = monotonic_us() + (int64_t) (b->seconds * US_PER_S);
	uint64_t	share = b->count > 0 ? (uint64_t) b->count / connections : UINT64_MAX;
	int64_t		quiet_since_us = monotonic_us();

	for (;;)
	{
		bool		sending = !stop_requested && (b->count > 0 || monotonic_us() < end_us);
		bool		outstanding = false;

		for (int i = 0; i < connections; i++)
		{
			Stream	   *s = &streams[i];
			uint64_t	room = s->acked + b->window > s->sent ? s->acked + b->window - s->sent : 0;
			bool		more;

			if (!sending)
				room = 0;
			else if (room > share - s->sent)
				room = share - s->sent;
			/* A document that has begun to leave must be finished in any case. */
			more = room > 0 || s->offset < s->begins[s->ready];
			if (more && stream_write(s, room) && room == 0)
				more = s->offset < s->begins[s->ready];
			outstanding = outstanding || s->acked < s->sent || room > 0;
			polls[i] = (struct pollfd) {.fd = s->channel.fd, .events = POLLIN | (more ? POLLOUT : 0)};
		}
		if (!outstanding)
			break;
		if (poll(polls, connections, 1000) > 0)
			for (int i = 0; i < connections; i++)
				if (polls[i].revents & (POLLIN | POLLHUP | POLLERR))
				{
					while (stream_read(&streams[i]))
						;
					take_acks(&streams[i]);
					quiet_since_us = monotonic_us();
				}
		if (monotonic_us() - quiet_since_us > 60 * US_PER_S)
			die("no acknowledgement for a minute");
	}
	free(polls);
}

int
command_blast(int argc, char **argv)
{
	static const struct option options[] = {
		{"seed", required_argument, NULL, 's'},
		{"vehicles", required_argument, NULL, 'v'},
		{"seconds", required_argument, NULL, 't'},
		{"count", required_argument, NULL, 'n'},
		{"window", required_argument, NULL, 'w'},
		{"help", no_argument, NULL, 'h'},
		DELIVERY_LONG_OPTIONS,
		{NULL}
	};
	DeliveryOptions o = DELIVERY_DEFAULTS;
	BlastOptions b = {.seed = 1, .vehicles = 1000, .seconds = 10, .window = 200000};
	Stream	   *streams;
	SSL_CTX    *tls;
	bool		mqtt;
	int			connections;
	int			option;
	int64_t		begin_us;
	double		seconds,
				cpu;
	uint64_t	acked;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
	{
		switch (option)
		{
			case 's':
				b.seed = (uint64_t) option_number("seed", optarg, 0, 1e15);
				break;
			case 'v':
				b.vehicles = (int) option_number("vehicles", optarg, 1, 1e5);
				break;
			case 't':
				b.seconds = option_number("seconds", optarg, 0.1, 1e6);
				break;
			case 'n':
				b.count = option_number("count", optarg, 1, 1e12);
				break;
			case 'w':
				b.window = (int) option_number("window", optarg, 1, 1e9);
				break;
			case 'h':
				fputs(blast_help, stdout);
				return 0;
			default:
				if (!delivery_option(&o, option, optarg))
					return EXIT_USAGE;
		}
	}
	if (optind < argc)
		die("unexpected argument \"%s\"", argv[optind]);
	mqtt = strcmp(o.client.protocol, "mqtt") == 0;
	if (o.ledger || (!mqtt && strcmp(o.client.protocol, "json") != 0))
		die("blast keeps no ledger and speaks json and mqtt only; fleetsim run --max does more");
	if (mqtt && b.window > MQTT_IN_FLIGHT_MAX)
		b.window = MQTT_IN_FLIGHT_MAX;
	if (!o.client.token && !(o.client.token = getenv("FLEETSIM_TOKEN")))
		die("a token is needed: --token, --token-file or the variable FLEETSIM_TOKEN");

	connections = o.client.connections;
	streams = xcalloc(connections, sizeof(Stream));
	tls = o.client.tls ? channel_tls(o.client.ca) : NULL;
	for (int i = 0; i < connections; i++)
	{
		streams[i].mqtt = mqtt;
		encode_cycle(&streams[i], &b, i, connections, wall_us());
		stream_open(&streams[i], &o.client, tls, i);
	}
	catch_stop_signals();

	begin_us = monotonic_us();
	cpu = cpu_seconds();
	blast(streams, connections, &b);
	seconds = (double) (monotonic_us() - begin_us) / US_PER_S;
	cpu = cpu_seconds() - cpu;
	acked = total(streams, connections, offsetof(Stream, acked));
	printf("sent=%llu acked=%llu rejected=%llu seconds=%.2f rate=%.0f bytes_each=%.0f simulator_cpu_percent=%.0f\n",
		   (unsigned long long) total(streams, connections, offsetof(Stream, sent)),
		   (unsigned long long) (acked - total(streams, connections, offsetof(Stream, rejected))),
		   (unsigned long long) total(streams, connections, offsetof(Stream, rejected)),
		   seconds, acked / seconds, (double) streams[0].cycle.len / streams[0].documents, 100 * cpu / seconds);
	return 0;
}
