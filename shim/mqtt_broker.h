/*
 * mqtt_broker.h
 *	  Brokers that fleetd fetches from: an entry of "sources" each.
 */
#ifndef SHIM_MQTT_BROKER_H
#define SHIM_MQTT_BROKER_H

#include <stdbool.h>
#include <stddef.h>

struct event_base;

/* Connects once the database has been up for the first time. */
extern bool broker_start(struct event_base *base);

/* Take no more, acknowledge what commits, disconnect. */
extern void broker_drain(void);

/* Brokers that are not yet done with that. */
extern size_t broker_busy(void);
extern void broker_stop(void);

#endif							/* SHIM_MQTT_BROKER_H */
