/*
 * topic.h
 *	  Patterns of MQTT topics that say where the vehicle stands in a topic.
 *
 * A pattern has levels between slashes: "{vehicle}", once, is what is looked
 * for; "+" is any level; "#", as the last one, whatever follows, also nothing;
 * every other level is itself.
 */
#ifndef SHIM_TOPIC_H
#define SHIM_TOPIC_H

#include <stdbool.h>
#include <stddef.h>

#include "record.h"

#define TOPIC_MAX 65535			/* bytes, as in MQTT */

extern bool topic_pattern_valid(const char *pattern);

/* The pattern must be valid.  False when the topic is another, or names no vehicle. */
extern bool topic_match(const char *pattern, const char *topic, size_t len, Str *vehicle);

#endif							/* SHIM_TOPIC_H */
