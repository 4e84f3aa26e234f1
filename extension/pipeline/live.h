/*
 * live.h
 *	  LISTEN channels: one per tenant and topic, with a name that cannot be guessed.
 */
#ifndef FLEET_LIVE_H
#define FLEET_LIVE_H

#include "postgres.h"

typedef enum Topic
{
	TOPIC_LIVE, TOPIC_ALERT, TOPIC_GEOFENCE, TOPIC_QUARANTINE,
	TOPIC_COMMAND				/* sent by fleet.command_announce() */
} Topic;

extern const char *topic_name(Topic topic);
/* The channel of a topic, into a buffer of NAMEDATALEN bytes. */
extern void channel_name(bytea *channel_key, Topic topic, char *result);

#endif							/* FLEET_LIVE_H */
