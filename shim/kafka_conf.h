/*
 * kafka_conf.h
 *	  An entry of "sources" to what librdkafka wants to be told.
 */
#ifndef SHIM_KAFKA_CONF_H
#define SHIM_KAFKA_CONF_H

#include <librdkafka/rdkafka.h>
#include <stddef.h>

#include "config.h"

/* NULL with a message in err. */
extern rd_kafka_conf_t *kafka_conf_new(const SourceConfig *config, char *err, size_t errlen);

/* What to subscribe to; NULL when out of memory. */
extern rd_kafka_topic_partition_list_t *kafka_conf_topics(const SourceConfig *config);

/*
 * Changes with what only a new consumer takes over: the names of the TLS files
 * and what they hold, and whether there is a user.
 */
extern uint64_t kafka_conf_identity(const SourceConfig *config);

#endif							/* SHIM_KAFKA_CONF_H */
