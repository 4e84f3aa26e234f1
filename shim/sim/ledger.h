/*
 * ledger.h
 *	  The lists of what was sent and what was acknowledged: a text file that is
 *	  only ever appended to, so that several runs can share one.
 *
 *	  fleetsim-ledger 1 RUN-TIME			a run begins, its ids count from 0
 *	  S ID DEVICE TIME-US CONTENT LINE		sent; "-" where the line has no device or time,
 *											CONTENT and LINE are hashes in hex
 *	  A ID									acknowledged: stored or known already
 *	  R ID CODE FIELD						acknowledged: rejected; "-" for no field
 */
#ifndef SIM_LEDGER_H
#define SIM_LEDGER_H

#include "message.h"

typedef struct Ledger Ledger;

/* path NULL: a ledger that only counts. */
extern Ledger *ledger_open(const char *path);
/*
 * Returns the id of the line.  device NULL and MESSAGE_NO_TIME say that the
 * line has none, content 0 that it cannot become an event.
 */
extern uint64_t ledger_sent(Ledger *l, const char *device, int64_t time_us, uint64_t content,
							const char *line, size_t len);
extern void ledger_acked(Ledger *l, uint64_t id);
/* Acknowledged, stored or in quarantine; counts as acked. */
extern void ledger_taken(Ledger *l, uint64_t id);
extern void ledger_rejected(Ledger *l, uint64_t id, const char *code, const char *field);
extern void ledger_flush(Ledger *l);
extern void ledger_close(Ledger *l);

typedef struct LedgerCounts
{
	uint64_t	sent;
	uint64_t	acked;			/* rejected ones not included */
	uint64_t	rejected;
} LedgerCounts;

extern LedgerCounts ledger_counts(const Ledger *l);

#endif							/* SIM_LEDGER_H */
