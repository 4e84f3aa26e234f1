/*
 * rule_set.h
 *	  The enabled rules of a tenant, compiled, in this backend's memory.
 */
#ifndef FLEET_RULE_SET_H
#define FLEET_RULE_SET_H

#include "datatype/timestamp.h"
#include "executor/tuptable.h"
#include "nodes/execnodes.h"
#include "watch/rule_compile.h"

/* A name of which rate, mean, zscore or standing is asked for. */
typedef struct RuleStat
{
	SignalKey	key;			/* of a column, too: id 0 and its name */
	RuleColumn	column;			/* or COLUMN_NONE */
	int			fetch;			/* when a signal: position in stat_keys */
	bool		rate;
	bool		mean;			/* for mean and zscore */
	bool		standing;
} RuleStat;

/* Many signals at once, as signals_fetch() takes and gives them. */
typedef struct RuleFetch
{
	int			count;
	SignalKey  *keys;
	SignalValue *values;
	bool	   *found;
} RuleFetch;

typedef struct Rule
{
	int32		rule_id;
	TimestampTz changed_at;		/* with rule_id: this version of the rule */
	char	   *name;
	char	   *severity;
	char	   *message;		/* or NULL */
	char	   *vehicle_type;	/* NULL: any */
	int64		hold;			/* microseconds, 0: none */
	int64		silence;		/* microseconds, 0: none */
	ExprState  *condition;		/* NULL: none, or did not compile */
	ExprState  *clear_condition;	/* NULL: condition is false */
	int		   *inputs;			/* numbers of the condition's inputs, ascending */
	int			ninputs;
	bool		warned;			/* a failing evaluation was reported */
} Rule;

typedef struct RuleSet
{
	int32		tenant_id;		/* hash key */
	MemoryContext context;		/* of everything below; NULL: not loaded */
	uint64		generation;		/* of the cache it was loaded from */

	Rule	   *rules;			/* by rule_id */
	int			nrules;
	RuleInputs	inputs;			/* slot: see fetch.. and stats below */
	RuleStat   *stats;			/* in canonical order of keys */
	int			nstats;
	RuleFetch	now;			/* inputs of RULE_NOW */
	RuleFetch	previous;		/* inputs of RULE_PREVIOUS */
	RuleFetch	report;			/* signals among stats */

	TupleTableSlot *slot;		/* row of inputs */
	ExprContext *econtext;		/* reset for every report */
	int			evaluating;		/* rule in progress, survives an error */
} RuleSet;

/*
 * The tenant's current rules.  A set that a change has made stale stays valid
 * until the end of the transaction, since vehicles of a batch may refer to it.
 */
extern RuleSet *rule_set(int32 tenant_id);

#endif							/* FLEET_RULE_SET_H */
