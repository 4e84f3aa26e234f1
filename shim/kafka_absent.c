/*
 * kafka_absent.c
 *	  In place of kafka.c where there is no librdkafka: the configuration may
 *	  name no Kafka.
 */
#include "kafka.h"

#include <stdio.h>

bool
kafka_check(const SourceConfig *config, char *err, size_t errlen)
{
	(void) config;
	snprintf(err, errlen, "this fleetd was built without kafka (librdkafka)");
	return false;
}

bool
kafka_start(struct event_base *base)
{
	(void) base;
	return true;
}

void
kafka_drain(void)
{
}

size_t
kafka_busy(void)
{
	return 0;
}

void
kafka_stop(void)
{
}
