/*
 * kafka_take.c
 *	  What librdkafka's queue holds: messages, errors, logs; and whether there is
 *	  room for it.
 */
#include "kafka_int.h"

#include <string.h>

#include "clock.h"
#include "log.h"
#include "pseudonym.h"
#include "rate.h"
#include "stats.h"

#define HALT_MS 1000			/* without room before fetching stops */

static Record record;

/* --- messages --- */

static Str
name_beside(const Consumer *consumer, const rd_kafka_message_t *message)
{
	rd_kafka_headers_t *headers;
	const void *value;
	size_t		size;

	if (consumer->device_from == KAFKA_DEVICE_KEY && message->key_len <= UINT32_MAX)
		return (Str) {message->key, (uint32_t) message->key_len};
	if (consumer->device_from == KAFKA_DEVICE_HEADER &&
		rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR &&
		rd_kafka_header_get_last(headers, consumer->header, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR &&
		size <= UINT32_MAX)
		return (Str) {value, (uint32_t) size};
	return (Str) {NULL, 0};
}

static void
take_message(Consumer *consumer, const rd_kafka_message_t *message)
{
	const SourceConfig *config = consumer->config;
	const Mapping *mapping = config_mapping(config->mapping_name);
	Partition  *partition = kafka_partition(consumer, rd_kafka_topic_name(message->rkt), message->partition);
	uint64_t	seq;

	/* Of a partition that goes, or that is gone: somebody else will read it. */
	if (partition == NULL || partition->leaves || consumer->state != CONSUMER_OPEN)
		return;
	/* Fetched ahead: it comes again. */
	if (partition->put_off_us != 0)
		return;
	if (mapping == NULL)
	{
		kafka_lose(consumer, "no such mapping");
		return;
	}
	if (!offsets_take(&partition->offsets, message->offset, &seq))
	{
		kafka_lose(consumer, "out of memory");
		return;
	}
	kafka_count_waiting(consumer, 1);
	if (message->payload == NULL)
	{
		/* A tombstone says that a key is no more, which telemetry never is. */
		stats_inc(STAT_KAFKA_TOMBSTONES);
		offsets_decide(&partition->offsets, seq);
		kafka_settle(partition);
		return;
	}
	kafka_report(mapping, consumer->device_from, name_beside(consumer, message), message->payload, message->len,
				 (size_t) cf->limit_frame_bytes, clock_unix_us(), &record);
	if (sink_submit(partition->owner, seq, (int32_t) config->source, &record) != SINK_OK)
	{
		/* Its offset is not stored, so the consumer that comes back has it again. */
		kafka_lose(consumer, "overload");
		return;
	}
	stats_inc(STAT_FRAMES);
	stats_inc(STAT_BROKER_MESSAGES);
	(void) rate_charge((int32_t) config->source, pseudonym_device((int32_t) config->source, record.device));
}

/* --- other events --- */

static void
on_error(Consumer *consumer, rd_kafka_resp_err_t code, const char *message)
{
	if (code == RD_KAFKA_RESP_ERR__FATAL)
	{
		char		fatal[256] = "";

		rd_kafka_fatal_error(consumer->rk, fatal, sizeof(fatal));
		log_error("kafka_fatal", log_str("brokers", consumer->config->brokers), log_str("message", fatal));
		if (consumer->state == CONSUMER_OPEN || consumer->state == CONSUMER_DRAINING)
			kafka_lose(consumer, "fatal error");
		return;
	}
	if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
		kafka_set_up(consumer, false);
	kafka_complain(consumer, code, message);
}

static void
on_offsets_committed(Consumer *consumer, rd_kafka_event_t *event)
{
	rd_kafka_resp_err_t code = rd_kafka_event_error(event);

	if (code == RD_KAFKA_RESP_ERR__NO_OFFSET)
		return;
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		stats_inc(STAT_KAFKA_COMMITS);
		return;
	}
	/* Stored still: it goes with the next one, or the messages are read again. */
	stats_inc(STAT_KAFKA_COMMITS_FAILED);
	log_warning("kafka_commit_failed", log_str("brokers", consumer->config->brokers),
				log_str("message", rd_kafka_err2str(code)));
}

/*
 * Nothing else tells that a broker is back, when there is nothing to fetch.  Of
 * the text, which is long, only that is asked: "state":"UP" of any broker.
 */
static void
on_statistics(Consumer *consumer, const char *text)
{
	static const char state[] = "\"state\":";
	bool		up = false;

	while (!up && (text = strstr(text, state)) != NULL)
	{
		text += sizeof(state) - 1;
		text += strspn(text, " ");
		up = strncmp(text, "\"UP\"", 4) == 0;
	}
	if (consumer->state == CONSUMER_OPEN)
		kafka_set_up(consumer, up);
}

static void
on_log(const Consumer *consumer, rd_kafka_event_t *event)
{
	const char *facility;
	const char *text;
	int			level;

	if (rd_kafka_event_log(event, &facility, &text, &level) != 0)
		return;
	/* Levels are syslog's: 4 is a warning. */
	if (level <= 4)
		log_warning("kafka_log", log_str("brokers", consumer->config->brokers), log_str("facility", facility),
					log_str("message", text));
	else
		log_debug("kafka_log", log_str("brokers", consumer->config->brokers), log_str("facility", facility),
				  log_str("message", text));
}

void
kafka_take(Consumer *consumer, rd_kafka_event_t *event)
{
	const rd_kafka_message_t *message;

	switch (rd_kafka_event_type(event))
	{
		case RD_KAFKA_EVENT_FETCH:
			while ((message = rd_kafka_event_message_next(event)) != NULL)
				if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
					take_message(consumer, message);
				else
					on_error(consumer, message->err, rd_kafka_message_errstr(message));
			break;
		case RD_KAFKA_EVENT_REBALANCE:
			kafka_rebalance(consumer, event);
			break;
		case RD_KAFKA_EVENT_OFFSET_COMMIT:
			on_offsets_committed(consumer, event);
			break;
		case RD_KAFKA_EVENT_ERROR:
			on_error(consumer, rd_kafka_event_error(event), rd_kafka_event_error_string(event));
			break;
		case RD_KAFKA_EVENT_STATS:
			on_statistics(consumer, rd_kafka_event_stats(event));
			break;
		case RD_KAFKA_EVENT_LOG:
			on_log(consumer, event);
			break;
		default:
			break;
	}
}

/* --- back-pressure --- */

/* The longest message, since its length is known only when it is taken. */
static bool
has_room(const Consumer *consumer)
{
	if (consumer->nwaiting >= (size_t) consumer->config->in_flight ||
		rate_wait_source((int32_t) consumer->config->source) > 0)
		return false;
	return sink_pending() == 0 ||
		(!sink_full() && sink_room() >= SINK_NEED(cf->limit_frame_bytes));
}

/*
 * Messages fetched ahead are thrown away by a pause
 * and fetched again, so it is for stops that last.  But not to serve the queue for long
 * would let rebalances wait, and in the end cost the membership.
 */
bool
kafka_check_flow(Consumer *consumer)
{
	if (consumer->state != CONSUMER_OPEN)
		return true;
	if (has_room(consumer))
	{
		if (consumer->flow == FLOW_PAUSED)
			kafka_set_paused(consumer, false);
		consumer->flow = FLOW_RUNNING;
		return true;
	}
	if (consumer->flow == FLOW_RUNNING)
	{
		stats_inc(rate_wait_source((int32_t) consumer->config->source) > 0 ? STAT_PAUSES_RATE : STAT_PAUSES_SINK);
		consumer->flow = FLOW_HALTED;
		consumer->halted_us = clock_us();
	}
	if (consumer->flow == FLOW_HALTED && clock_us() - consumer->halted_us >= (int64_t) HALT_MS * 1000)
	{
		kafka_set_paused(consumer, true);
		consumer->flow = FLOW_PAUSED;
		log_debug("kafka_paused", log_str("brokers", consumer->config->brokers));
	}
	return consumer->flow == FLOW_PAUSED;
}
