/*
 * rule_allowed.h
 *	  The gate that the condition of a rule has to pass.
 */
#ifndef FLEET_RULE_ALLOWED_H
#define FLEET_RULE_ALLOWED_H

#include "parser/parse_node.h"

typedef struct RuleGate
{
	ParseState *pstate;			/* for the positions of errors */
	Oid			fleet_schema;
	Oid			extension;		/* what belongs to it may be used */
	int			nodes;			/* seen so far, at most RULE_NODES_MAX */
	int			numeric_products;	/* seen so far by rule_cost.c */
} RuleGate;

/* An error, with its position, unless everything in the raw tree may be analysed. */
extern bool rule_check_raw(Node *node, RuleGate *gate);
/* The same for the analysed tree, which may then be planned and executed. */
extern bool rule_check_analysed(Node *node, RuleGate *gate);

/* rule_cost.c: an error when the node, which is allowed, could take long. */
extern void rule_check_cost(Node *node, RuleGate *gate);

#endif							/* FLEET_RULE_ALLOWED_H */
