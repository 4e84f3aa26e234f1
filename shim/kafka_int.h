/*
 * kafka_int.h
 *	  What the files of the Kafka consumer share: kafka.c has its life,
 *	  kafka_group.c the partitions that the group gives and takes, kafka_take.c
 *	  what the queue holds.
 */
#ifndef SHIM_KAFKA_INT_H
#define SHIM_KAFKA_INT_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kafka_conf.h"
#include "kafka_offsets.h"
#include "kafka_report.h"
#include "sink.h"

struct event;

typedef enum ConsumerState
{
	CONSUMER_WAITING,			/* for the database's first time */
	CONSUMER_AWAY,				/* waits before it tries again */
	CONSUMER_OPEN,				/* in the group, or on the way into it */
	CONSUMER_DRAINING,			/* takes no more, waits for commits */
	CONSUMER_CLOSING,			/* leaves the group, to come back */
	CONSUMER_LEAVING,			/* leaves the group, for good */
	CONSUMER_ENDED
} ConsumerState;

typedef enum Flow
{
	FLOW_RUNNING,
	FLOW_HALTED,				/* no room: the queue is left alone, for a moment */
	FLOW_PAUSED					/* no room for long: partitions are paused, the queue
								 * is served for the group's sake */
} Flow;

typedef struct Partition
{
	struct Consumer *consumer;
	char	   *topic;
	int32_t		id;
	bool		leaves;			/* is being revoked */
	bool		over_quota;		/* a message of it was not stored */
	int64_t		put_off_us;		/* for that reason, until then; 0: it is not */
	SinkOwner  *owner;
	Offsets		offsets;
} Partition;

typedef struct Consumer
{
	const SourceConfig *config;
	KafkaDevice device_from;
	const char *header;
	ConsumerState state;
	Flow		flow;
	rd_kafka_t *rk;				/* NULL when there is none */
	rd_kafka_queue_t *queue;	/* all that it has for us */
	rd_kafka_queue_t *closing;	/* in place of queue while it leaves */
	int			fd;				/* written when the queue is not empty any more */
	struct event *fd_event;
	struct event *timer;
	Partition **partitions;		/* by topic and id */
	size_t		npartitions;
	Partition  *recent;			/* messages come in runs of a partition */
	rd_kafka_topic_partition_list_t *revoked;	/* waits to be given back */
	size_t		nwaiting;		/* messages without commit, of all partitions */
	bool		up;				/* as far as known, brokers answer */
	unsigned	failures;		/* in a row */
	int64_t		since_us;		/* of this state */
	int64_t		halted_us;
	int64_t		leave_us;		/* when what is revoked is given back anyway */
	double		lag;
	unsigned	generation;		/* of the configuration */
	uint64_t	identity;		/* see kafka_conf_identity */
} Consumer;

/* --- kafka.c --- */

/* Its turn, from the event loop. */
extern void kafka_wake(Consumer *consumer);

/* Ends it for that reason; it comes back, unless this is the end of all. */
extern void kafka_lose(Consumer *consumer, const char *reason);
extern void kafka_set_up(Consumer *consumer, bool up);

/* Logs what librdkafka says, and counts it. */
extern void kafka_complain(const Consumer *consumer, rd_kafka_resp_err_t code, const char *message);

/* --- kafka_group.c --- */

/* NULL when it is not ours. */
extern Partition *kafka_partition(Consumer *consumer, const char *topic, int32_t id);

/* No partition is ours any more; what is in flight commits, and nobody is told. */
extern void kafka_forget(Consumer *consumer);

/* Stops or goes on fetching; partitions that leave are not touched. */
extern void kafka_set_paused(Consumer *consumer, bool paused);
extern void kafka_count_waiting(Consumer *consumer, int64_t n);

/* Partitions that were put off go on when it is time. */
extern void kafka_put_on(Consumer *consumer);

/* Stores the offset of what is settled. */
extern void kafka_settle(Partition *partition);
extern void kafka_rebalance(Consumer *consumer, rd_kafka_event_t *event);

/* Gives back what was revoked, once nothing of it is in flight; at once with force. */
extern void kafka_give_back(Consumer *consumer, bool force);

/* --- kafka_take.c --- */
extern void kafka_take(Consumer *consumer, rd_kafka_event_t *event);

/* May the queue be served?  Pauses and resumes as there is room in the sink. */
extern bool kafka_check_flow(Consumer *consumer);

#endif							/* SHIM_KAFKA_INT_H */
