/*
 * kafka.c
 *	  Consumers of Kafka; docs/protocols/kafka.md has what they promise.
 *
 * librdkafka has threads of its own, which speak to the brokers.  What they have
 * for us waits in a queue, and an eventfd tells that there is something; all
 * that is done here is done in the event loop, a turn at a time.
 *
 * A message is taken from the queue to the sink.  Each partition has its own
 * owner in the sink and its own Offsets: what is settled there is stored, and
 * librdkafka commits what is stored.  A partition that goes to another consumer
 * takes its owner along, so nothing can be stored for it afterwards; what was in
 * flight is then read once more, by somebody, and the pipeline knows repeats.
 */
#include "kafka.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"
#include "db.h"
#include "gate.h"
#include "kafka_int.h"
#include "log.h"
#include "stats.h"

#define LOOK_MS 500				/* between looks at rates, deadlines, the configuration */
#define TURN_EVENTS 500			/* of a consumer, before the others have their turn */
#define CLOSE_MS 10000			/* to leave the group in order */
#define STEADY_MS 30000			/* after which an end is the first one again */

static struct event_base *base;
static Consumer *consumers;
static size_t nconsumers;

/* --- small things --- */

static void
set_timer(Consumer *consumer, int64_t ms)
{
	struct timeval tv = {ms / 1000, (ms % 1000) * 1000};

	evtimer_add(consumer->timer, &tv);
}

void
kafka_wake(Consumer *consumer)
{
	event_active(consumer->fd_event, EV_TIMEOUT, 0);
}

static void
set_state(Consumer *consumer, ConsumerState state)
{
	static const char *const names[] = {"waiting", "away", "open", "draining", "closing", "leaving", "ended"};

	log_debug("kafka_state", log_str("brokers", consumer->config->brokers), log_str("from", names[consumer->state]),
			  log_str("to", names[state]));
	consumer->state = state;
	consumer->since_us = clock_us();
}

void
kafka_set_up(Consumer *consumer, bool up)
{
	if (consumer->up != up)
		stats_gauge_add(GAUGE_BROKERS_UP, up ? 1 : -1);
	consumer->up = up;
}

void
kafka_complain(const Consumer *consumer, rd_kafka_resp_err_t code, const char *message)
{
	stats_inc(STAT_KAFKA_ERRORS);
	log_warning("kafka_error", log_str("brokers", consumer->config->brokers), log_str("code", rd_kafka_err2name(code)),
				log_str("message", message));
}

static void
set_lag(Consumer *consumer, double lag)
{
	stats_gauge_add(GAUGE_KAFKA_LAG, lag - consumer->lag);
	consumer->lag = lag;
}

/* --- the end of a consumer --- */

static void
forget(Consumer *consumer)
{
	kafka_forget(consumer);
	consumer->flow = FLOW_RUNNING;
	set_lag(consumer, 0);
	kafka_set_up(consumer, false);
}

/* In order it is closed before; else the group has to notice. */
static void
destroy(Consumer *consumer, bool in_order)
{
	forget(consumer);
	if (consumer->rk == NULL)
		return;
	if (consumer->closing != NULL)
	{
		rd_kafka_queue_io_event_enable(consumer->closing, -1, NULL, 0);
		rd_kafka_queue_destroy(consumer->closing);
	}
	rd_kafka_queue_io_event_enable(consumer->queue, -1, NULL, 0);
	rd_kafka_queue_destroy(consumer->queue);
	rd_kafka_destroy_flags(consumer->rk, in_order ? 0 : RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	consumer->closing = NULL;
	consumer->queue = NULL;
	consumer->rk = NULL;
}

static void
closed(Consumer *consumer, bool in_order)
{
	unsigned	ms;

	destroy(consumer, in_order);
	evtimer_del(consumer->timer);
	if (!in_order)
		log_warning("kafka_not_left", log_str("brokers", consumer->config->brokers));
	if (consumer->state == CONSUMER_LEAVING)
	{
		log_info("kafka_left", log_str("brokers", consumer->config->brokers), log_str("group", consumer->config->group));
		set_state(consumer, CONSUMER_ENDED);
		return;
	}
	ms = gate_is_open((int32_t) consumer->config->source) ? db_backoff_ms(consumer->failures++) : GATE_LOOK_MS;
	set_state(consumer, CONSUMER_AWAY);
	set_timer(consumer, ms);
}

/* Leaves the group; what was stored is committed. */
static void
begin_close(Consumer *consumer, ConsumerState state)
{
	static const uint64_t one = 1;
	rd_kafka_error_t *error;

	if (consumer->state == CONSUMER_OPEN && clock_us() - consumer->since_us > (int64_t) STEADY_MS * 1000)
		consumer->failures = 0;
	kafka_give_back(consumer, true);
	forget(consumer);
	set_state(consumer, state);
	set_timer(consumer, LOOK_MS);
	/* It would be forwarded to itself, were it the queue that we have. */
	consumer->closing = rd_kafka_queue_new(consumer->rk);
	rd_kafka_queue_io_event_enable(consumer->closing, consumer->fd, &one, sizeof(one));
	error = rd_kafka_consumer_close_queue(consumer->rk, consumer->closing);
	if (error != NULL)
	{
		/* Not here, where somebody may still hold a message of it. */
		kafka_complain(consumer, rd_kafka_error_code(error), rd_kafka_error_string(error));
		rd_kafka_error_destroy(error);
		consumer->since_us -= (int64_t) CLOSE_MS * 1000;
	}
	kafka_wake(consumer);
}

void
kafka_lose(Consumer *consumer, const char *reason)
{
	stats_inc(STAT_BROKER_FAILURES);
	log_warning("kafka_lost", log_str("brokers", consumer->config->brokers), log_str("reason", reason));
	begin_close(consumer, consumer->state == CONSUMER_DRAINING ? CONSUMER_LEAVING : CONSUMER_CLOSING);
}

/* --- turns --- */

static void
serve(Consumer *consumer)
{
	for (int i = 0; consumer->rk != NULL; i++)
	{
		rd_kafka_event_t *event;

		kafka_give_back(consumer, false);
		if (consumer->state == CONSUMER_DRAINING && consumer->nwaiting == 0)
			begin_close(consumer, CONSUMER_LEAVING);
		if (!kafka_check_flow(consumer))
			return;
		if (i == TURN_EVENTS)
		{
			stats_inc(STAT_BUDGET_ENDED);
			kafka_wake(consumer);
			return;
		}
		event = rd_kafka_queue_poll(consumer->closing ? consumer->closing : consumer->queue, 0);
		if (event == NULL)
		{
			if (consumer->closing != NULL && rd_kafka_consumer_closed(consumer->rk))
				closed(consumer, true);
			return;
		}
		kafka_take(consumer, event);
		rd_kafka_event_destroy(event);
	}
}

static void
on_fd(evutil_socket_t fd, short what, void *arg)
{
	uint64_t	count;

	if (what & EV_READ)
		(void) !read(fd, &count, sizeof(count));
	serve(arg);
}

/* --- time --- */

/* Messages in the brokers that are not settled here, by what fetches told. */
static void
measure_lag(Consumer *consumer)
{
	double		lag = 0;

	for (size_t i = 0; i < consumer->npartitions; i++)
	{
		const Partition *partition = consumer->partitions[i];
		int64_t		position = offsets_position(&partition->offsets);
		int64_t		low;
		int64_t		high;

		if (position >= 0 &&
			rd_kafka_get_watermark_offsets(consumer->rk, partition->topic, partition->id, &low, &high) ==
			RD_KAFKA_RESP_ERR_NO_ERROR && high > position)
			lag += (double) (high - position);
	}
	set_lag(consumer, lag);
}

/* The configuration was read anew. */
static void
take_over(Consumer *consumer)
{
	const SourceConfig *config = consumer->config;

	consumer->generation = config_generation();
	if (consumer->identity != kafka_conf_identity(config))
	{
		log_info("kafka_comes_back", log_str("brokers", config->brokers));
		begin_close(consumer, CONSUMER_CLOSING);
	}
	else if (config->user != NULL)
	{
		rd_kafka_error_t *error = rd_kafka_sasl_set_credentials(consumer->rk, config->user,
																config->password ? config->password : "");

		if (error != NULL)
			rd_kafka_error_destroy(error);
	}
}

static void
open_consumer(Consumer *consumer)
{
	static const uint64_t one = 1;
	char		err[CONFIG_ERROR_MAX];
	rd_kafka_conf_t *conf = kafka_conf_new(consumer->config, err, sizeof(err));
	rd_kafka_topic_partition_list_t *topics = kafka_conf_topics(consumer->config);
	rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;

	if (conf != NULL && topics != NULL)
		consumer->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, err, sizeof(err));
	if (consumer->rk != NULL)
	{
		rd_kafka_poll_set_consumer(consumer->rk);
		rd_kafka_set_log_queue(consumer->rk, NULL);
		consumer->queue = rd_kafka_queue_get_consumer(consumer->rk);
		rd_kafka_queue_io_event_enable(consumer->queue, consumer->fd, &one, sizeof(one));
		code = rd_kafka_subscribe(consumer->rk, topics);
	}
	else if (conf != NULL)
		rd_kafka_conf_destroy(conf);
	if (topics != NULL)
		rd_kafka_topic_partition_list_destroy(topics);
	if (consumer->rk == NULL || code != RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		stats_inc(STAT_BROKER_FAILURES);
		log_error("kafka_not_begun", log_str("brokers", consumer->config->brokers),
				  log_str("message", consumer->rk ? rd_kafka_err2str(code) : err));
		destroy(consumer, false);
		set_timer(consumer, db_backoff_ms(consumer->failures++));
		return;
	}
	consumer->generation = config_generation();
	consumer->identity = kafka_conf_identity(consumer->config);
	set_state(consumer, CONSUMER_OPEN);
	set_timer(consumer, LOOK_MS);
	kafka_wake(consumer);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	Consumer   *consumer = arg;

	(void) fd;
	(void) what;
	switch (consumer->state)
	{
		case CONSUMER_AWAY:
			if (gate_is_open((int32_t) consumer->config->source))
				open_consumer(consumer);
			else
				set_timer(consumer, GATE_LOOK_MS);
			return;
		case CONSUMER_OPEN:
			if (!gate_is_open((int32_t) consumer->config->source))
			{
				kafka_lose(consumer, "source not permitted");
				break;
			}
			if (consumer->generation != config_generation())
				take_over(consumer);
			kafka_put_on(consumer);
			measure_lag(consumer);
			break;
		case CONSUMER_CLOSING:
		case CONSUMER_LEAVING:
			if (clock_us() - consumer->since_us > (int64_t) CLOSE_MS * 1000)
			{
				closed(consumer, false);
				return;
			}
			break;
		case CONSUMER_DRAINING:
			break;
		case CONSUMER_WAITING:
		case CONSUMER_ENDED:
			return;
	}
	set_timer(consumer, LOOK_MS);
	serve(consumer);
}

/* The sink has room again, or the database is up for the first time. */
static void
on_ready(void *arg)
{
	(void) arg;
	for (size_t i = 0; i < nconsumers; i++)
		if (consumers[i].state == CONSUMER_WAITING && sink_was_up())
		{
			set_state(&consumers[i], CONSUMER_AWAY);
			set_timer(&consumers[i], 0);
		}
		else if (consumers[i].rk != NULL)
			kafka_wake(&consumers[i]);
}

/* --- the beginning and the end --- */

static bool
consumer_begin(Consumer *consumer, const SourceConfig *config)
{
	consumer->config = config;
	/* The configuration was checked. */
	(void) !kafka_device_parse(config->device_from, &consumer->device_from, &consumer->header);
	consumer->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	consumer->timer = evtimer_new(base, on_timer, consumer);
	if (consumer->fd >= 0)
		consumer->fd_event = event_new(base, consumer->fd, EV_READ | EV_PERSIST, on_fd, consumer);
	return consumer->timer != NULL && consumer->fd_event != NULL && event_add(consumer->fd_event, NULL) == 0;
}

bool
kafka_start(struct event_base *event_base)
{
	base = event_base;
	consumers = calloc(cf->nsources ? cf->nsources : 1, sizeof(*consumers));
	if (consumers == NULL)
	{
		log_fatal("out_of_memory");
		return false;
	}
	for (size_t i = 0; i < cf->nsources; i++)
		if (cf->sources[i].kind == SOURCE_KAFKA && !consumer_begin(&consumers[nconsumers++], &cf->sources[i]))
		{
			log_fatal("out_of_memory");
			return false;
		}
	if (nconsumers == 0)
		return true;
	stats_gauge_add(GAUGE_BROKERS, (double) nconsumers);
	sink_on_ready(on_ready, NULL);
	on_ready(NULL);
	return true;
}

void
kafka_drain(void)
{
	for (size_t i = 0; i < nconsumers; i++)
	{
		Consumer   *consumer = &consumers[i];

		switch (consumer->state)
		{
			case CONSUMER_OPEN:
				kafka_set_paused(consumer, true);
				set_state(consumer, CONSUMER_DRAINING);
				kafka_wake(consumer);
				break;
			case CONSUMER_CLOSING:
				set_state(consumer, CONSUMER_LEAVING);
				break;
			case CONSUMER_WAITING:
			case CONSUMER_AWAY:
				evtimer_del(consumer->timer);
				set_state(consumer, CONSUMER_ENDED);
				break;
			case CONSUMER_DRAINING:
			case CONSUMER_LEAVING:
			case CONSUMER_ENDED:
				break;
		}
	}
}

size_t
kafka_busy(void)
{
	size_t		busy = 0;

	for (size_t i = 0; i < nconsumers; i++)
		if (consumers[i].state == CONSUMER_DRAINING || consumers[i].state == CONSUMER_LEAVING)
			busy++;
	return busy;
}

void
kafka_stop(void)
{
	for (size_t i = 0; i < nconsumers; i++)
	{
		destroy(&consumers[i], false);
		event_free(consumers[i].fd_event);
		event_free(consumers[i].timer);
		close(consumers[i].fd);
		free(consumers[i].partitions);
	}
	free(consumers);
	consumers = NULL;
	nconsumers = 0;
}
