/*
 * rule_private.h
 *	  What rule.c, rule_memory.c and rule_fill.c share: the memory of a vehicle
 *	  and its rules.
 */
#ifndef FLEET_RULE_PRIVATE_H
#define FLEET_RULE_PRIVATE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "watch/rule_set.h"
#include "watch/watch.h"

typedef struct RuleEntry
{
	bool		open;			/* an alert of kind rule is open */
	bool		silent;			/* one of kind silence is open */
	TimestampTz pending_since;	/* condition true since, alert on hold; 0: no */
} RuleEntry;

typedef struct RuleStatEntry
{
	TimestampTz last_time;		/* of last; 0: none */
	double		last;
	int32		count;			/* samples in mean, up to MEAN_SAMPLES */
	double		mean;
	double		variance;
	bool		has_standing;
	double		standing;
} RuleStatEntry;

/*
 * VehicleState.rule_memory.  Keeps what it needs of the set it was unpacked
 * for, which may be replaced while the batch is under way.
 */
typedef struct RuleMemory
{
	MemoryContext set_context;	/* tells one set from another */
	const Rule *rules;
	int			nrules;
	const RuleStat *stats;
	int			nstats;
	bool		changed;
	TimestampTz standing_since; /* 0: moving or not known */
	RuleEntry  *entries;		/* one per rule */
	RuleStatEntry *stat_entries;	/* one per stat */
} RuleMemory;

/* --- rule.c --- */

/* rule: NULL when only its id is left.  values: in out's context, or NULL. */
extern void rule_append_change(VehicleState *vs, WatchResult *out, AlertKind kind, bool raised,
							   int32 rule_id, const Rule *rule, char *values);

/* --- rule_memory.c --- */

/*
 * The vehicle's memory, unpacked for this set; lives in the context that the
 * pipeline gives each vehicle of a batch.
 */
extern RuleMemory *rule_memory_for(VehicleState *vs, const RuleSet *set, WatchResult *out);

/* --- rule_fill.c --- */

/*
 * Fills the row of inputs and brings the stats up to date.  Texts live in the
 * per-tuple context, until the next report.  report is NULL for the clock.
 */
extern void rule_fill_inputs(RuleSet *set, RuleMemory *memory, const VehicleState *vs, const Report *report);

#endif							/* FLEET_RULE_PRIVATE_H */
