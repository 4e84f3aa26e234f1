/*
 * clock.h
 *	  The time, and the database's clock: fleet.tick() once a second.
 */
#ifndef SHIM_CLOCK_H
#define SHIM_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct event_base;

extern int64_t clock_unix_us(void);	/* Unix epoch; may jump */
extern int64_t clock_us(void);	/* monotonic */

extern bool clock_start(struct event_base *base);
extern void clock_stop(void);

#endif							/* SHIM_CLOCK_H */
