/*
 * rule_compile.h
 *	  From the text of a condition to a checked expression over inputs.
 *
 * An input is one name a condition refers to.  In the expression it is a Var
 * of a virtual tuple: input number n (from 0) is attribute n + 1, so that all
 * rules of a tenant share one row of inputs, filled once per report.
 */
#ifndef FLEET_RULE_COMPILE_H
#define FLEET_RULE_COMPILE_H

#include "nodes/bitmapset.h"
#include "nodes/primnodes.h"
#include "types/signals.h"

#define RULE_CONDITION_MAX 4000 /* bytes of text */
#define RULE_NODES_MAX 500		/* nodes of the checked expression */
#define RULE_INPUTS_MAX 1000	/* names in the rules of one tenant */

/* Which moment or measure of a name is meant: the word before the dot. */
typedef enum RuleView
{
	RULE_NOW,					/* no prefix: the merged state */
	RULE_PREVIOUS,				/* the merged state before this report */
	RULE_RATE,					/* change per minute */
	RULE_MEAN,					/* exponentially weighted mean */
	RULE_ZSCORE,				/* distance from it in standard deviations */
	RULE_STANDING				/* value when the vehicle came to rest */
} RuleView;

typedef enum RuleColumn
{
	COLUMN_NONE = 0,			/* a signal */
	COLUMN_EVENT_TIME,
	COLUMN_RECEIVED_AT,
	COLUMN_LATITUDE,
	COLUMN_LONGITUDE,
	COLUMN_ALTITUDE_M,
	COLUMN_ACCURACY_M,
	COLUMN_SPEED_KMH,
	COLUMN_HEADING_DEG,
	COLUMN_LOCATION,
	COLUMN_LOCATION_TIME,
	COLUMN_VEHICLE,
	COLUMN_VEHICLE_TYPE
} RuleColumn;

typedef struct RuleInput
{
	char	   *label;			/* as written, e.g. rate.fuel_percent */
	char	   *name;			/* without prefixes */
	RuleView	view;
	RuleColumn	column;
	SignalKind	kind;			/* when a signal */
	SignalKey	key;			/* when a signal; points to name */
	Oid			type;			/* of the datum */
	int			slot;			/* private to rule_set.c */
} RuleInput;

typedef struct RuleInputs
{
	MemoryContext context;		/* of everything below */
	bool		notice_typos;	/* say so when a name looks misspelt */
	RuleInput  *items;
	int			count;
	int			capacity;
} RuleInputs;

extern void rule_inputs_init(RuleInputs *inputs, MemoryContext context);

/*
 * Checks and compiles one condition; `what` is "condition" or "clear_condition"
 * and goes into messages, as does the rule's name (may be NULL).  Names are
 * added to inputs unless already there; *used gets the numbers of those the
 * text refers to.  The result is ready for ExecInitExpr and lives in the
 * current context.  A mistake of the author is an ERROR that carries the
 * position within the text.
 */
extern Expr *rule_compile(const char *text, const char *what, const char *rule_name,
						  RuleInputs *inputs, Bitmapset **used);

#endif							/* FLEET_RULE_COMPILE_H */
