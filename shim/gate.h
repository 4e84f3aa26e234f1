/*
 * gate.h
 *	  Sources that listeners name in the configuration, and that the database
 *	  does not permit: unknown there, or revoked.
 *
 * Peers of such a source prove nothing, so nobody asks about a token.  The
 * source itself is asked about and watched (credential.h), if fleetd has the
 * right to.  Besides, what the pipeline says of their reports tells it: while it
 * says not_permitted, the source's peers are turned away, unacknowledged, and
 * keep their reports.  After GATE_SECONDS they may try again.
 */
#ifndef SHIM_GATE_H
#define SHIM_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "sink.h"

#define GATE_SECONDS 10
#define GATE_LOOK_MS 1000		/* between looks of who waits for it to open */

/* Is that outcome a no to the source, not to the report? */
extern bool gate_is_refusal(const SinkOutcome *outcome);

/* The database said no to it; logs that, once for a while. */
extern void gate_shut(int32_t source_id);

/* May its peers come in? */
extern bool gate_is_open(int32_t source_id);

/* Forgets all: what was changed may be right now. */
extern void gate_reset(void);

#endif							/* SHIM_GATE_H */
