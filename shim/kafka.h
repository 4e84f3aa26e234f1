/*
 * kafka.h
 *	  Kafka clusters that fleetd consumes from: an entry of "sources" each.
 *	  Without librdkafka kafka_absent.c takes the place of kafka.c.
 */
#ifndef SHIM_KAFKA_H
#define SHIM_KAFKA_H

#include <stdbool.h>
#include <stddef.h>

#include "config.h"

struct event_base;

/* Can fleetd consume as the entry says?  False with a message in err. */
extern bool kafka_check(const SourceConfig *config, char *err, size_t errlen);

/* Joins the groups once the database has been up for the first time. */
extern bool kafka_start(struct event_base *base);

/* Take no more, commit the offsets of what the database commits, leave the groups. */
extern void kafka_drain(void);

/* Consumers that are not yet done with that. */
extern size_t kafka_busy(void);
extern void kafka_stop(void);

#endif							/* SHIM_KAFKA_H */
