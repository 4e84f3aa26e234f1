/*
 * mqtt_broker.c
 *	  A client of MQTT brokers; docs/protocols/mqtt-broker.md has the protocol.
 *
 * The broker keeps a message until its PUBACK, and PUBACK waits for the commit.
 * So nothing needs to be remembered over an end: the broker sends again what it
 * has no PUBACK for, here or to another daemon of the group, and the pipeline
 * knows repeats.
 */
#include "mqtt_broker.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adapters/mqtt_packet.h"
#include "adapters/mqtt_report.h"
#include "clock.h"
#include "config.h"
#include "db.h"
#include "gate.h"
#include "link.h"
#include "log.h"
#include "pseudonym.h"
#include "rate.h"
#include "sink.h"
#include "stats.h"

#define ANSWER_SECONDS 30		/* for CONNACK and SUBACK */
#define STEADY_SECONDS 30		/* after which a loss is the first one again */
#define LOOK_MS 500				/* between looks at keep-alive and rates */
#define SUBSCRIBE_ID 1

typedef enum BrokerState
{
	BROKER_WAITING,				/* for the database's first time */
	BROKER_AWAY,				/* waits before it tries again */
	BROKER_CONNECTING,
	BROKER_GREETING,			/* CONNECT was sent */
	BROKER_SUBSCRIBING,			/* CONNACK came, SUBSCRIBE was sent */
	BROKER_OPEN,
	BROKER_DRAINING,			/* reads no more, acknowledges what commits */
	BROKER_ENDED
} BrokerState;

typedef struct Waiting
{
	uint16_t	id;				/* packet identifier */
	bool		decided;
} Waiting;

typedef struct Broker
{
	const SourceConfig *config;
	char		client_id[128]; /* when the configuration has none */
	char	   *filter;
	BrokerState state;
	Link	   *link;
	struct event *timer;
	SinkOwner  *owner;			/* of this connection */
	Waiting    *window;			/* ring: seq modulo the window's size */
	uint64_t	first;			/* seq of the oldest without PUBACK */
	size_t		nwaiting;
	size_t		skip;			/* bytes of a message too long, to be swallowed */
	bool		paused;
	bool		over_quota;		/* why it ends */
	unsigned	failures;		/* in a row */
	int64_t		keep_alive_us;
	int64_t		since_us;		/* of this state */
	int64_t		heard_us;
	int64_t		pinged_us;		/* last PINGREQ, or when it was connected */
	bool		unanswered;		/* that PINGREQ */
} Broker;

static struct event_base *base;
static Broker *brokers;
static size_t nbrokers;
static Record record;

static void
set_timer(Broker *broker, int64_t ms)
{
	struct timeval tv = {ms / 1000, (ms % 1000) * 1000};

	evtimer_add(broker->timer, &tv);
}

static void
set_state(Broker *broker, BrokerState state)
{
	static const char *const names[] = {"waiting", "away", "connecting", "greeting", "subscribing", "open",
	"draining", "ended"};

	log_debug("broker_state", log_str("server", broker->config->server), log_str("from", names[broker->state]),
			  log_str("to", names[state]));
	if ((broker->state == BROKER_OPEN) != (state == BROKER_OPEN))
		stats_gauge_add(GAUGE_BROKERS_UP, state == BROKER_OPEN ? 1 : -1);
	broker->state = state;
	broker->since_us = clock_us();
}

/* Forgets the connection; what is in flight commits, and nobody is told. */
static void
forget(Broker *broker)
{
	if (broker->owner != NULL)
		sink_owner_free(broker->owner);
	broker->owner = NULL;
	stats_gauge_add(GAUGE_BROKER_UNACKED, -(double) broker->nwaiting);
	broker->nwaiting = 0;
	broker->skip = 0;
	broker->paused = false;
}

/* It is lost, or could not be had; tries again later, unless this is the end. */
static void
on_down(void *arg, const char *reason)
{
	Broker	   *broker = arg;
	unsigned	ms;

	if (broker->state == BROKER_OPEN && clock_us() - broker->since_us > (int64_t) STEADY_SECONDS * 1000000)
		broker->failures = 0;
	forget(broker);
	stats_inc(STAT_BROKER_FAILURES);
	evtimer_del(broker->timer);
	if (broker->state == BROKER_DRAINING)
	{
		set_state(broker, BROKER_ENDED);
		return;
	}
	if (broker->over_quota)
		ms = SINK_QUOTA_SECONDS * 1000;
	else
		ms = gate_is_open((int32_t) broker->config->source) ? db_backoff_ms(broker->failures++) : GATE_LOOK_MS;
	broker->over_quota = false;
	log_warning(broker->state >= BROKER_OPEN ? "broker_lost" : "broker_not_reached",
				log_str("server", broker->config->server), log_str("reason", reason), log_int("retry_ms", ms));
	set_state(broker, BROKER_AWAY);
	set_timer(broker, ms);
}

static void
lose(Broker *broker, const char *reason)
{
	link_close(broker->link);
	on_down(broker, reason);
}

/* The normal end: the session stays, and its messages with it. */
static void
say_goodbye(Broker *broker)
{
	Buf		   *out = link_out(broker->link);

	/* No will, so that the short form says all in both versions. */
	if (buf_add(out, "\xE0\x00", 2))
		link_flush(broker->link);
	if (broker->state != BROKER_DRAINING)
		return;
	link_close(broker->link);
	forget(broker);
	evtimer_del(broker->timer);
	log_info("broker_left", log_str("server", broker->config->server));
	set_state(broker, BROKER_ENDED);
}

/* --- back-pressure --- */

static bool
may_take(const Broker *broker, size_t len)
{
	return !sink_full() && sink_room() >= SINK_NEED(len) &&
		broker->nwaiting < (size_t) broker->config->window &&
		rate_wait_source((int32_t) broker->config->source) == 0;
}

static void
pause_reading(Broker *broker)
{
	stats_inc(rate_wait_source((int32_t) broker->config->source) > 0 ? STAT_PAUSES_RATE : STAT_PAUSES_SINK);
	broker->paused = true;
	link_pause(broker->link);
}

static void
resume(Broker *broker)
{
	if (!broker->paused || broker->state == BROKER_DRAINING || !may_take(broker, 0))
		return;
	broker->paused = false;
	broker->heard_us = clock_us();
	link_resume(broker->link);
}

/* --- outcomes --- */

static void
on_decided(void *arg, const SinkOutcome *outcome)
{
	Broker	   *broker = arg;

	if (gate_is_refusal(outcome))
	{
		/* Unacknowledged: the broker has it still when the source is put right. */
		gate_shut((int32_t) broker->config->source);
		lose(broker, "source not permitted");
		return;
	}
	/* The same; what else is in flight commits, and is a repeat when it comes again. */
	if (sink_over_quota(outcome) && outcome->seq > 0)
	{
		rate_hold_source((int32_t) broker->config->source);
		broker->over_quota = true;
		lose(broker, "over quota");
		return;
	}
	if (outcome->seq > 0)
		broker->window[outcome->seq % (uint64_t) broker->config->window].decided = true;
}

/* PUBACKs go in the order of their messages. */
static void
on_settled(void *arg)
{
	Broker	   *broker = arg;
	Buf		   *out = link_out(broker->link);
	size_t		acked = 0;

	while (acked < broker->nwaiting)
	{
		Waiting    *waiting = &broker->window[broker->first % (uint64_t) broker->config->window];

		if (!waiting->decided)
			break;
		if (!mqtt_add_puback(out, (uint8_t) broker->config->version, waiting->id, MQTT_OK, (Str) {0}))
		{
			lose(broker, "out of memory");
			return;
		}
		broker->first++;
		broker->nwaiting--;
		stats_inc(STAT_ACKS);
		stats_gauge_add(GAUGE_BROKER_UNACKED, -1);
	}
	link_flush(broker->link);
	if (broker->state == BROKER_DRAINING && broker->nwaiting == 0)
		say_goodbye(broker);
	else if (broker->owner != NULL)
		resume(broker);
}

static const SinkOwnerOps owner_ops = {.decided = on_decided,.settled = on_settled};

/* --- packets; each false when the connection was ended --- */

static bool
ended(Broker *broker, const char *reason)
{
	lose(broker, reason);
	return false;
}

static bool
take_publish(Broker *broker, uint8_t flags, const char *body, size_t len, bool whole)
{
	const SourceConfig *config = broker->config;
	const Mapping *mapping = config_mapping(config->mapping_name);
	MqttPublish publish;
	const char *reason;
	uint64_t	seq = 0;

	if (mqtt_parse_publish((uint8_t) config->version, flags, body, len, &publish, &reason) != MQTT_OK)
		return ended(broker, reason);
	if (mapping == NULL)
		return ended(broker, "no such mapping");
	mqtt_report(config->topic, mapping, &publish, (Str) {body, (uint32_t) len}, clock_unix_us(), &record);
	if (!whole)
	{
		Str			device = record.device;

		record_reset(&record);
		record.device = device;
		record.received_at_us = clock_unix_us();
		record_set_defect(&record, "malformed", RECORD_STR("too_long"));
		record.raw = publish.payload;
	}
	if (publish.qos > 0)
		seq = broker->first + broker->nwaiting;
	if (sink_submit(broker->owner, seq, (int32_t) config->source, &record) != SINK_OK)
		return ended(broker, "overload");
	if (publish.qos > 0)
	{
		broker->window[seq % (uint64_t) config->window] = (Waiting) {publish.id, false};
		broker->nwaiting++;
		stats_gauge_add(GAUGE_BROKER_UNACKED, 1);
	}
	stats_inc(STAT_FRAMES);
	stats_inc(STAT_BROKER_MESSAGES);
	(void) rate_charge((int32_t) config->source, pseudonym_device((int32_t) config->source, record.device));
	return true;
}

static bool
take_connack(Broker *broker, const char *body, size_t len)
{
	const SourceConfig *config = broker->config;
	MqttProperties properties;
	const char *reason;
	uint8_t		code;
	bool		present;

	if (broker->state != BROKER_GREETING)
		return ended(broker, "second CONNACK");
	if (mqtt_parse_connack((uint8_t) config->version, body, len, &code, &present, &properties, &reason) != MQTT_OK)
		return ended(broker, reason);
	if (code != MQTT_OK)
	{
		log_error("broker_refuses", log_str("server", config->server), log_int("code", code));
		return ended(broker, "CONNECT refused");
	}
	if (properties.has_keep_alive)
		broker->keep_alive_us = (int64_t) properties.keep_alive * 1000000;
	if (!mqtt_add_subscribe(link_out(broker->link), (uint8_t) config->version, SUBSCRIBE_ID,
							(Str) {broker->filter, (uint32_t) strlen(broker->filter)}))
		return ended(broker, "out of memory");
	log_debug("broker_greets", log_str("server", config->server), log_int("session_present", present));
	set_state(broker, BROKER_SUBSCRIBING);
	link_flush(broker->link);
	return broker->state == BROKER_SUBSCRIBING;
}

static bool
take_suback(Broker *broker, const char *body, size_t len)
{
	const char *reason;
	uint16_t	id;
	uint8_t		code;

	if (broker->state != BROKER_SUBSCRIBING)
		return ended(broker, "SUBACK that was not asked for");
	if (mqtt_parse_suback((uint8_t) broker->config->version, body, len, &id, &code, &reason) != MQTT_OK)
		return ended(broker, reason);
	/* QoS 0 would lose what cannot be delivered at once. */
	if (code != 1)
	{
		log_error("broker_refuses", log_str("server", broker->config->server), log_str("filter", broker->filter),
				  log_int("code", code));
		return ended(broker, "SUBSCRIBE refused");
	}
	stats_inc(STAT_BROKER_CONNECTS);
	log_info("broker_connected", log_str("server", broker->config->server), log_str("filter", broker->filter));
	set_state(broker, BROKER_OPEN);
	return true;
}

static bool
take_packet(Broker *broker, uint8_t head, const char *body, size_t len)
{
	char		reason[48];

	if (broker->state == BROKER_GREETING && head >> 4 != MQTT_CONNACK)
		return ended(broker, "the first packet is not CONNACK");
	switch (head >> 4)
	{
		case MQTT_CONNACK:
			return take_connack(broker, body, len);
		case MQTT_SUBACK:
			return take_suback(broker, body, len);
		case MQTT_PINGRESP:
			broker->unanswered = false;
			return true;
		case MQTT_DISCONNECT:
			snprintf(reason, sizeof(reason), "DISCONNECT with reason code %u", len > 0 ? (unsigned char) body[0] : 0);
			return ended(broker, reason);
		default:
			return ended(broker, "unexpected packet");
	}
}

/* One packet of data; 0 when it is not whole, or not to be taken now. */
static size_t
take_one(Broker *broker, const char *data, size_t len)
{
	size_t		limit = (size_t) cf->limit_frame_bytes;
	size_t		header;
	size_t		rest;
	size_t		body;

	switch (mqtt_header(data, len, &header, &rest))
	{
		case MQTT_HEADER_MORE:
			return 0;
		case MQTT_HEADER_BAD:
			lose(broker, "bad remaining length");
			return 0;
		case MQTT_HEADER_OK:
			break;
	}
	body = rest < limit ? rest : limit;
	if (body > len - header)
		return 0;
	if ((unsigned char) data[0] >> 4 != MQTT_PUBLISH)
	{
		if (rest > limit)
		{
			lose(broker, "packet too large");
			return 0;
		}
		return take_packet(broker, (uint8_t) data[0], data + header, rest) ? header + rest : 0;
	}
	if (broker->state != BROKER_SUBSCRIBING && broker->state != BROKER_OPEN)
	{
		lose(broker, "the first packet is not CONNACK");
		return 0;
	}
	if (!may_take(broker, body))
	{
		pause_reading(broker);
		return 0;
	}
	if (!take_publish(broker, data[0] & 15, data + header, body, body == rest))
		return 0;
	broker->skip = rest - body;
	return header + body;
}

static size_t
on_input(void *arg, const char *data, size_t len)
{
	Broker	   *broker = arg;
	size_t		at = 0;

	broker->heard_us = clock_us();
	while (at < len)
	{
		size_t		n = broker->skip;

		if (n > len - at)
			n = len - at;
		if (n > 0)
			broker->skip -= n;
		else
			n = take_one(broker, data + at, len - at);
		if (n == 0)
			break;
		at += n;
	}
	return at;
}

static void
on_up(void *arg)
{
	Broker	   *broker = arg;
	const SourceConfig *config = broker->config;
	const char *id = config->client_id[0] ? config->client_id : broker->client_id;
	MqttConnect connect = {.version = (uint8_t) config->version};

	connect.keep_alive = (uint16_t) config->keep_alive_seconds;
	connect.client_id = (Str) {id, (uint32_t) strlen(id)};
	connect.has_user = config->user != NULL;
	connect.has_password = config->password != NULL;
	if (connect.has_user)
		connect.user = (Str) {config->user, (uint32_t) strlen(config->user)};
	if (connect.has_password)
		connect.password = (Str) {config->password, (uint32_t) strlen(config->password)};
	connect.properties.session_expiry = (uint32_t) config->session_seconds;
	connect.properties.receive_max = (uint16_t) config->window;

	broker->owner = sink_owner_new(&owner_ops, broker);
	broker->keep_alive_us = config->keep_alive_seconds * 1000000;
	broker->heard_us = broker->pinged_us = clock_us();
	broker->unanswered = false;
	if (broker->owner == NULL || !mqtt_add_connect(link_out(broker->link), &connect))
	{
		lose(broker, "out of memory");
		return;
	}
	set_state(broker, BROKER_GREETING);
	set_timer(broker, LOOK_MS);
	link_flush(broker->link);
}

static const LinkOps link_ops = {.up = on_up,.input = on_input,.down = on_down};

/* --- time --- */

/* PINGREQ at half of the keep-alive; whatever comes is an answer. */
static void
look(Broker *broker)
{
	int64_t		now = clock_us();

	if (!gate_is_open((int32_t) broker->config->source))
	{
		lose(broker, "source not permitted");
		return;
	}
	if ((broker->state == BROKER_GREETING || broker->state == BROKER_SUBSCRIBING) && !broker->paused &&
		now - broker->since_us > (int64_t) ANSWER_SECONDS * 1000000)
	{
		lose(broker, "no answer in time");
		return;
	}
	/* While nothing is read, nothing can be heard. */
	if (broker->keep_alive_us > 0 && !broker->paused && broker->unanswered &&
		now - broker->heard_us > broker->keep_alive_us)
	{
		lose(broker, "no answer to PINGREQ");
		return;
	}
	if (broker->state == BROKER_OPEN && broker->keep_alive_us > 0 &&
		now - broker->pinged_us > broker->keep_alive_us / 2 - LOOK_MS * 1000)
	{
		broker->unanswered = true;
		broker->pinged_us = now;
		if (!buf_add(link_out(broker->link), "\xC0\x00", 2))
		{
			lose(broker, "out of memory");
			return;
		}
		link_flush(broker->link);
		if (broker->state != BROKER_OPEN)
			return;
	}
	set_timer(broker, LOOK_MS);
	resume(broker);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	Broker	   *broker = arg;

	(void) fd;
	(void) what;
	switch (broker->state)
	{
		case BROKER_AWAY:
			if (!gate_is_open((int32_t) broker->config->source))
			{
				set_timer(broker, GATE_LOOK_MS);
				break;
			}
			set_state(broker, BROKER_CONNECTING);
			link_open(broker->link, broker->config->tls);
			break;
		case BROKER_GREETING:
		case BROKER_SUBSCRIBING:
		case BROKER_OPEN:
			look(broker);
			break;
		default:
			break;
	}
}

/* The sink has room again, or the database is up for the first time. */
static void
on_ready(void *arg)
{
	(void) arg;
	for (size_t i = 0; i < nbrokers; i++)
		if (brokers[i].state == BROKER_WAITING && sink_was_up())
		{
			set_state(&brokers[i], BROKER_AWAY);
			set_timer(&brokers[i], 0);
		}
		else
			resume(&brokers[i]);
}

/* --- the beginning and the end --- */

/* The pattern's filter: "a/{vehicle}/#" of group g is "$share/g/a/+/#". */
static char *
make_filter(const SourceConfig *config)
{
	const char *vehicle = strstr(config->topic, "{vehicle}");
	bool		shared = config->group[0] != '\0';
	char	   *filter = NULL;

	if (asprintf(&filter, "%s%s%s%.*s+%s", shared ? "$share/" : "", config->group, shared ? "/" : "",
				 (int) (vehicle - config->topic), config->topic, vehicle + strlen("{vehicle}")) < 0)
		return NULL;
	return filter;
}

static bool
broker_begin(Broker *broker, const SourceConfig *config)
{
	char		host[64] = "";

	broker->config = config;
	broker->first = 1;
	broker->filter = make_filter(config);
	broker->window = calloc((size_t) config->window, sizeof(Waiting));
	broker->timer = evtimer_new(base, on_timer, broker);
	broker->link = link_new(base, config->server, &link_ops, broker);
	(void) gethostname(host, sizeof(host) - 1);
	snprintf(broker->client_id, sizeof(broker->client_id), "fleetd-%s-%lld", host, (long long) config->source);
	return broker->filter != NULL && broker->window != NULL && broker->timer != NULL && broker->link != NULL;
}

bool
broker_start(struct event_base *event_base)
{
	base = event_base;
	if (cf->nsources == 0)
		return true;
	brokers = calloc(cf->nsources, sizeof(*brokers));
	if (brokers == NULL)
	{
		log_fatal("out_of_memory");
		return false;
	}
	for (size_t i = 0; i < cf->nsources; i++)
		if (cf->sources[i].kind == SOURCE_MQTT_BROKER && !broker_begin(&brokers[nbrokers++], &cf->sources[i]))
		{
			log_fatal("out_of_memory");
			return false;
		}
	stats_gauge_add(GAUGE_BROKERS, (double) nbrokers);
	sink_on_ready(on_ready, NULL);
	on_ready(NULL);
	return true;
}

void
broker_drain(void)
{
	for (size_t i = 0; i < nbrokers; i++)
	{
		Broker	   *broker = &brokers[i];

		if (broker->state != BROKER_OPEN && broker->state != BROKER_SUBSCRIBING)
		{
			link_close(broker->link);
			forget(broker);
			evtimer_del(broker->timer);
			set_state(broker, BROKER_ENDED);
			continue;
		}
		link_pause(broker->link);
		set_state(broker, BROKER_DRAINING);
		if (broker->nwaiting == 0)
			say_goodbye(broker);
	}
}

size_t
broker_busy(void)
{
	size_t		busy = 0;

	for (size_t i = 0; i < nbrokers; i++)
		if (brokers[i].state == BROKER_DRAINING)
			busy++;
	return busy;
}

void
broker_stop(void)
{
	for (size_t i = 0; i < nbrokers; i++)
	{
		forget(&brokers[i]);
		link_free(brokers[i].link);
		event_free(brokers[i].timer);
		free(brokers[i].window);
		free(brokers[i].filter);
	}
	free(brokers);
	brokers = NULL;
	nbrokers = 0;
}
