/*
 * kafka_group.c
 *	  The partitions that the group gives and takes, and the offsets of each.
 */
#include "kafka_int.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "gate.h"
#include "log.h"
#include "rate.h"
#include "stats.h"

#define LEAVE_MS 3000			/* for what is in flight of partitions that are revoked */

void
kafka_count_waiting(Consumer *consumer, int64_t n)
{
	consumer->nwaiting += (size_t) n;
	stats_gauge_add(GAUGE_BROKER_UNACKED, (double) n);
}

/* --- partitions --- */

/* Where it is, or would be. */
static size_t
place_of(const Consumer *consumer, const char *topic, int32_t id)
{
	size_t		low = 0;
	size_t		high = consumer->npartitions;

	while (low < high)
	{
		size_t		middle = (low + high) / 2;
		const Partition *partition = consumer->partitions[middle];
		int			order = strcmp(partition->topic, topic);

		if (order < 0 || (order == 0 && partition->id < id))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool
is_partition(const Partition *partition, const char *topic, int32_t id)
{
	return partition->id == id && strcmp(partition->topic, topic) == 0;
}

Partition *
kafka_partition(Consumer *consumer, const char *topic, int32_t id)
{
	size_t		at;

	if (consumer->recent != NULL && is_partition(consumer->recent, topic, id))
		return consumer->recent;
	at = place_of(consumer, topic, id);
	if (at == consumer->npartitions || !is_partition(consumer->partitions[at], topic, id))
		return NULL;
	consumer->recent = consumer->partitions[at];
	return consumer->recent;
}

/* What is in flight commits, and nobody is told. */
static void
drop_partition(Consumer *consumer, Partition *partition)
{
	size_t		at = place_of(consumer, partition->topic, partition->id);

	memmove(&consumer->partitions[at], &consumer->partitions[at + 1],
			(consumer->npartitions - at - 1) * sizeof(*consumer->partitions));
	consumer->npartitions--;
	consumer->recent = NULL;
	stats_gauge_add(GAUGE_KAFKA_PARTITIONS, -1);
	stats_add(STAT_KAFKA_DROPPED, partition->offsets.nwaiting);
	kafka_count_waiting(consumer, -(int64_t) partition->offsets.nwaiting);
	if (partition->owner != NULL)
		sink_owner_free(partition->owner);
	offsets_release(&partition->offsets);
	free(partition->topic);
	free(partition);
}

static void on_decided(void *arg, const SinkOutcome *outcome);
static void on_settled(void *arg);
static const SinkOwnerOps owner_ops = {.decided = on_decided,.settled = on_settled};

static bool
add_partition(Consumer *consumer, const char *topic, int32_t id)
{
	Partition  *partition = kafka_partition(consumer, topic, id);
	Partition **partitions;
	size_t		at;

	if (partition != NULL)
		drop_partition(consumer, partition);
	partitions = realloc(consumer->partitions, (consumer->npartitions + 1) * sizeof(*partitions));
	if (partitions == NULL)
		return false;
	consumer->partitions = partitions;
	partition = calloc(1, sizeof(*partition));
	if (partition == NULL)
		return false;
	partition->consumer = consumer;
	partition->id = id;
	partition->topic = strdup(topic);
	partition->owner = sink_owner_new(&owner_ops, partition);
	offsets_init(&partition->offsets);
	if (partition->topic == NULL || partition->owner == NULL)
	{
		if (partition->owner != NULL)
			sink_owner_free(partition->owner);
		free(partition->topic);
		free(partition);
		return false;
	}
	at = place_of(consumer, topic, id);
	memmove(&partitions[at + 1], &partitions[at], (consumer->npartitions - at) * sizeof(*partitions));
	partitions[at] = partition;
	consumer->npartitions++;
	stats_gauge_add(GAUGE_KAFKA_PARTITIONS, 1);
	return true;
}

void
kafka_set_paused(Consumer *consumer, bool paused)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int) consumer->npartitions);

	for (size_t i = 0; i < consumer->npartitions; i++)
		if (!consumer->partitions[i]->leaves && (paused || consumer->partitions[i]->put_off_us == 0))
			rd_kafka_topic_partition_list_add(list, consumer->partitions[i]->topic, consumer->partitions[i]->id);
	if (paused)
		rd_kafka_pause_partitions(consumer->rk, list);
	else
		rd_kafka_resume_partitions(consumer->rk, list);
	rd_kafka_topic_partition_list_destroy(list);
}

/* --- outcomes --- */

static void
store_offset(Partition *partition)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_resp_err_t code;

	rd_kafka_topic_partition_list_add(list, partition->topic, partition->id)->offset = partition->offsets.settled;
	code = rd_kafka_offsets_store(partition->consumer->rk, list);
	/* The group may have taken it away already, and not told us yet. */
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
		log_debug("kafka_offset_not_stored", log_str("topic", partition->topic), log_int("partition", partition->id),
				  log_str("message", rd_kafka_err2str(code)));
	rd_kafka_topic_partition_list_destroy(list);
}

static bool
waits_for_revoked(const Consumer *consumer)
{
	for (size_t i = 0; i < consumer->npartitions; i++)
		if (consumer->partitions[i]->leaves && consumer->partitions[i]->offsets.nwaiting > 0)
			return true;
	return false;
}

void
kafka_settle(Partition *partition)
{
	size_t		n = offsets_settle(&partition->offsets);

	if (n == 0)
		return;
	stats_add(STAT_ACKS, n);
	kafka_count_waiting(partition->consumer, -(int64_t) n);
	store_offset(partition);
}

static void
on_decided(void *arg, const SinkOutcome *outcome)
{
	Partition  *partition = arg;
	Consumer   *consumer = partition->consumer;

	if (gate_is_refusal(outcome))
	{
		/* Nothing is stored: the messages are still there when the source is put right. */
		gate_shut((int32_t) consumer->config->source);
		kafka_lose(consumer, "source not permitted");
		return;
	}
	/* Undecided, so its offset is not stored, nor any after it. */
	if (sink_over_quota(outcome))
	{
		rate_hold_source((int32_t) consumer->config->source);
		partition->over_quota = true;
	}
	else
		offsets_decide(&partition->offsets, outcome->seq);
}

/*
 * Its tenant may send no more for now: the partition rests, and then begins again
 * with the first message that is not settled.  What had been taken beyond that
 * commits, and is a repeat when it comes again.
 */
static void
put_off(Partition *partition)
{
	Consumer   *consumer = partition->consumer;
	int64_t		offset = offsets_position(&partition->offsets);
	SinkOwner  *owner = sink_owner_new(&owner_ops, partition);
	rd_kafka_topic_partition_list_t *list;
	rd_kafka_error_t *error;

	partition->over_quota = false;
	if (owner == NULL)
	{
		kafka_lose(consumer, "out of memory");
		return;
	}
	sink_owner_free(partition->owner);
	partition->owner = owner;
	stats_add(STAT_KAFKA_DROPPED, partition->offsets.nwaiting);
	kafka_count_waiting(consumer, -(int64_t) partition->offsets.nwaiting);
	offsets_release(&partition->offsets);
	offsets_init(&partition->offsets);
	/* Of one that leaves the next owner reads on; a drain has read enough. */
	if (partition->leaves || consumer->state != CONSUMER_OPEN)
		return;

	partition->put_off_us = clock_us() + (int64_t) SINK_QUOTA_SECONDS * 1000000;
	list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(list, partition->topic, partition->id)->offset = offset;
	rd_kafka_pause_partitions(consumer->rk, list);
	error = rd_kafka_seek_partitions(consumer->rk, list, 0);
	rd_kafka_topic_partition_list_destroy(list);
	log_info("kafka_over_quota", log_str("topic", partition->topic), log_int("partition", partition->id),
			 log_int("offset", offset), log_int("again_in_seconds", SINK_QUOTA_SECONDS));
	if (error != NULL)
	{
		kafka_complain(consumer, rd_kafka_error_code(error), rd_kafka_error_string(error));
		rd_kafka_error_destroy(error);
		kafka_lose(consumer, "over quota");
	}
}

void
kafka_put_on(Consumer *consumer)
{
	int64_t		now = clock_us();

	for (size_t i = 0; i < consumer->npartitions; i++)
	{
		Partition  *partition = consumer->partitions[i];
		rd_kafka_topic_partition_list_t *list;

		if (partition->put_off_us == 0 || partition->put_off_us > now)
			continue;
		partition->put_off_us = 0;
		/* Or with the others, when there is room again. */
		if (partition->leaves || consumer->flow == FLOW_PAUSED)
			continue;
		list = rd_kafka_topic_partition_list_new(1);
		rd_kafka_topic_partition_list_add(list, partition->topic, partition->id);
		rd_kafka_resume_partitions(consumer->rk, list);
		rd_kafka_topic_partition_list_destroy(list);
	}
}

static void
on_settled(void *arg)
{
	Partition  *partition = arg;
	Consumer   *consumer = partition->consumer;

	kafka_settle(partition);
	if (partition->over_quota)
		put_off(partition);
	kafka_wake(consumer);
}

/* --- rebalance --- */

/* Takes the outcome of an assignment; error is freed. */
static void
check_assign(Consumer *consumer, rd_kafka_error_t *error)
{
	if (error == NULL)
		return;
	kafka_complain(consumer, rd_kafka_error_code(error), rd_kafka_error_string(error));
	rd_kafka_error_destroy(error);
}

static void
assign_all(Consumer *consumer, const rd_kafka_topic_partition_list_t *list)
{
	rd_kafka_resp_err_t code = rd_kafka_assign(consumer->rk, list);

	if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
		kafka_complain(consumer, code, rd_kafka_err2str(code));
}

static bool
is_cooperative(const Consumer *consumer)
{
	const char *protocol = rd_kafka_rebalance_protocol(consumer->rk);

	return protocol != NULL && strcmp(protocol, "COOPERATIVE") == 0;
}

void
kafka_give_back(Consumer *consumer, bool force)
{
	rd_kafka_topic_partition_list_t *revoked = consumer->revoked;
	size_t		dropped = consumer->nwaiting;

	if (revoked == NULL || (!force && clock_us() < consumer->leave_us && waits_for_revoked(consumer)))
		return;
	consumer->revoked = NULL;
	for (size_t i = consumer->npartitions; i-- > 0;)
		if (consumer->partitions[i]->leaves)
			drop_partition(consumer, consumer->partitions[i]);
	dropped -= consumer->nwaiting;
	log_info("kafka_revoked", log_str("brokers", consumer->config->brokers), log_int("revoked", revoked->cnt),
			 log_int("partitions", (int64_t) consumer->npartitions), log_int("dropped", (int64_t) dropped));

	/* A pause would outlast the assignment, and meet the partition when it comes back. */
	rd_kafka_resume_partitions(consumer->rk, revoked);
	/* What is stored of it is committed by this. */
	if (is_cooperative(consumer))
		check_assign(consumer, rd_kafka_incremental_unassign(consumer->rk, revoked));
	else
		assign_all(consumer, NULL);
	rd_kafka_topic_partition_list_destroy(revoked);
}

static void
on_revoked(Consumer *consumer, const rd_kafka_topic_partition_list_t *list)
{
	stats_inc(STAT_KAFKA_REBALANCES);
	consumer->revoked = rd_kafka_topic_partition_list_copy(list);
	for (int i = 0; i < list->cnt; i++)
	{
		Partition  *partition = kafka_partition(consumer, list->elems[i].topic, list->elems[i].partition);

		if (partition != NULL)
			partition->leaves = true;
	}
	rd_kafka_pause_partitions(consumer->rk, consumer->revoked);
	consumer->leave_us = clock_us() + (int64_t) LEAVE_MS * 1000;
	/* Somebody else may have what is lost: the sooner it is dropped, the better. */
	kafka_give_back(consumer, rd_kafka_assignment_lost(consumer->rk));
}

static void
on_assigned(Consumer *consumer, const rd_kafka_topic_partition_list_t *list)
{
	stats_inc(STAT_KAFKA_REBALANCES);
	if (consumer->closing != NULL)
	{
		assign_all(consumer, NULL);
		return;
	}
	for (int i = 0; i < list->cnt; i++)
		if (!add_partition(consumer, list->elems[i].topic, list->elems[i].partition))
		{
			kafka_lose(consumer, "out of memory");
			return;
		}
	if (is_cooperative(consumer))
		check_assign(consumer, rd_kafka_incremental_assign(consumer->rk, list));
	else
		assign_all(consumer, list);
	if (consumer->flow == FLOW_PAUSED || consumer->state == CONSUMER_DRAINING)
		kafka_set_paused(consumer, true);
	stats_inc(STAT_BROKER_CONNECTS);
	log_info("kafka_assigned", log_str("brokers", consumer->config->brokers), log_str("group", consumer->config->group),
			 log_int("assigned", list->cnt), log_int("partitions", (int64_t) consumer->npartitions));
}

void
kafka_rebalance(Consumer *consumer, rd_kafka_event_t *event)
{
	const rd_kafka_topic_partition_list_t *list = rd_kafka_event_topic_partition_list(event);

	/* One that comes before the last one is over has the last word. */
	kafka_give_back(consumer, true);
	switch (rd_kafka_event_error(event))
	{
		case RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS:
			on_assigned(consumer, list);
			break;
		case RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS:
			on_revoked(consumer, list);
			break;
		default:
			kafka_complain(consumer, rd_kafka_event_error(event), rd_kafka_event_error_string(event));
			assign_all(consumer, NULL);
			break;
	}
}

void
kafka_forget(Consumer *consumer)
{
	while (consumer->npartitions > 0)
		drop_partition(consumer, consumer->partitions[consumer->npartitions - 1]);
	if (consumer->revoked != NULL)
		rd_kafka_topic_partition_list_destroy(consumer->revoked);
	consumer->revoked = NULL;
}
