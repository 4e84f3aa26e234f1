/*
 * rate.h
 *	  How many reports a second a device, and a source, may send:
 *	  limits.device_per_second, limits.source_per_second.
 *
 * A sender may be RATE_BURST_SECONDS ahead of its rate, so that a device which
 * was out of reach can empty its buffer.  Reports are charged when they are
 * taken, even beyond that; the sender then has to wait until its debt is paid.
 * A stream is not read meanwhile, a datagram dropped, a request answered with 429.
 *
 * A source whose tenant has used up its quota in the database waits as well, for
 * RATE_HOLD_SECONDS: what it sends would be refused, and meanwhile be in the way
 * of others.
 *
 * Memory is fixed: of more senders in debt than the table holds, those with the
 * least debt are forgotten.
 */
#ifndef SHIM_RATE_H
#define SHIM_RATE_H

#include <stdbool.h>
#include <stdint.h>

#include "record.h"

#define RATE_BURST_SECONDS 10
#define RATE_HOLD_SECONDS 1
#define RATE_ENTRIES 65536		/* senders in debt */

/* Microseconds for which the device, or its source, still has to wait; 0: none. */
extern int64_t rate_wait_device(int32_t source_id, Str device);
extern int64_t rate_wait_source(int32_t source_id);

/* One report of it was taken; returns for how long it now has to wait. */
extern int64_t rate_charge(int32_t source_id, Str device);

/* The database refused a report of it for its tenant's quota. */
extern void rate_hold_source(int32_t source_id);

/* All debts are forgotten, and the memory is freed. */
extern void rate_reset(void);

#endif							/* SHIM_RATE_H */
