/*
 * rule_cost.c
 *	  What would let a condition take long, and so keep the reports of others
 *	  waiting that are in the same batch.
 *
 * Nothing bounds the time of an evaluation, so the parts are bounded that could
 * grow without end: regular expressions, numerics of thousands of digits, texts
 * that grow when something in them is replaced.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "regex/regex.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"

#include "watch/rule_allowed.h"

/* bytes of a pattern, times the highest count of each {} in it */
#define PATTERN_SIZE_MAX 1000
/* of the digits of a numeric constant, with those that only place the point */
#define NUMERIC_TEXT_MAX 50
/* multiplications and divisions of numerics, each of which may double the digits */
#define NUMERIC_PRODUCTS_MAX 10

static void
refuse(RuleGate *gate, Node *node, const char *what, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_STATEMENT_TOO_COMPLEX),
			 errmsg("%s could take too long in a condition", what),
			 errhint("%s", hint),
			 parser_errposition(gate->pstate, exprLocation(node))));
}

static char *
constant_text(Node *node)
{
	Const	   *constant = (Const *) node;

	if (!IsA(node, Const) || constant->constisnull ||
		(constant->consttype != TEXTOID && constant->consttype != UNKNOWNOID))
		return NULL;
	return constant->consttype == TEXTOID
		? text_to_cstring(DatumGetTextPP(constant->constvalue))
		: pstrdup(DatumGetCString(constant->constvalue));
}

/* A count in braces makes as many copies of what stands before it. */
static bool
pattern_is_small(const char *pattern)
{
	double		size = strlen(pattern);

	for (const char *p = strchr(pattern, '{'); p != NULL; p = strchr(p + 1, '{'))
	{
		int			low = 1,
					high = 1;

		if (sscanf(p, "{%5d,%5d", &low, &high) >= 1)
			size *= Max(Max(low, high), 1);
	}
	return size <= PATTERN_SIZE_MAX;
}

static void
check_pattern(RuleGate *gate, Node *node, List *args, bool any_case)
{
	char	   *pattern = list_length(args) == 2 ? constant_text(lsecond(args)) : NULL;
	regex_t    *compiled;

	if (pattern == NULL)
		refuse(gate, node, "a pattern that is not a constant", "Write the pattern as a literal.");
	if (!pattern_is_small(pattern))
		refuse(gate, node, "this pattern", "Make it shorter, or its counts in braces smaller.");
	compiled = RE_compile_and_cache(cstring_to_text(pattern), REG_ADVANCED | (any_case ? REG_ICASE : 0),
									DEFAULT_COLLATION_OID);
	if (compiled->re_info & REG_UBACKREF)
		refuse(gate, node, "a pattern with back references", "Compare parts that split_part() or substring() gives.");
}

/* Replaces by nothing longer than what it replaces. */
static void
check_replace(RuleGate *gate, Node *node, List *args)
{
	char	   *from = list_length(args) == 3 ? constant_text(lsecond(args)) : NULL;
	char	   *to = list_length(args) == 3 ? constant_text(lthird(args)) : NULL;

	if (from == NULL || to == NULL || strlen(to) > Max(strlen(from), 1))
		refuse(gate, node, "a text that grows", "Replace a literal by one that is not longer.");
}

static void
check_function_cost(RuleGate *gate, Node *node, Oid function, List *args)
{
	switch (function)
	{
		case F_TEXTREGEXEQ:
		case F_TEXTREGEXNE:
		case F_BPCHARREGEXEQ:
		case F_BPCHARREGEXNE:
		case F_NAMEREGEXEQ:
		case F_NAMEREGEXNE:
		case F_SUBSTRING_TEXT_TEXT:
			check_pattern(gate, node, args, false);
			break;
		case F_TEXTICREGEXEQ:
		case F_TEXTICREGEXNE:
		case F_BPCHARICREGEXEQ:
		case F_BPCHARICREGEXNE:
		case F_NAMEICREGEXEQ:
		case F_NAMEICREGEXNE:
			check_pattern(gate, node, args, true);
			break;
		case F_REPLACE:
			check_replace(gate, node, args);
			break;
		case F_NUMERIC_EXP:
		case F_EXP_NUMERIC:
		case F_NUMERIC_LN:
		case F_LN_NUMERIC:
		case F_NUMERIC_LOG:
		case F_LOG_NUMERIC:
		case F_LOG_NUMERIC_NUMERIC:
		case F_LOG10_NUMERIC:
		case F_NUMERIC_SQRT:
		case F_SQRT_NUMERIC:
			refuse(gate, node, "this function of a numeric", "Cast its argument to double precision.");
			break;
		case F_NUMERIC_MUL:
		case F_NUMERIC_DIV:
		case F_NUMERIC_DIV_TRUNC:
		case F_DIV:
		case F_NUMERIC_MOD:
		case F_MOD_NUMERIC_NUMERIC:
			if (++gate->numeric_products > NUMERIC_PRODUCTS_MAX)
				refuse(gate, node, "so many products of numerics", "Cast to double precision.");
			break;
		default:
			break;
	}
}

void
rule_check_cost(Node *node, RuleGate *gate)
{
	switch (nodeTag(node))
	{
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
			set_opfuncid((OpExpr *) node);
			check_function_cost(gate, node, ((OpExpr *) node)->opfuncid, ((OpExpr *) node)->args);
			break;
		case T_ScalarArrayOpExpr:
			set_sa_opfuncid((ScalarArrayOpExpr *) node);
			/* what looks at a pattern is not content with an array of them */
			check_function_cost(gate, node, ((ScalarArrayOpExpr *) node)->opfuncid, ((ScalarArrayOpExpr *) node)->args);
			break;
		case T_FuncExpr:
			check_function_cost(gate, node, ((FuncExpr *) node)->funcid, ((FuncExpr *) node)->args);
			break;
		case T_CoerceViaIO:
			if (((CoerceViaIO *) node)->resulttype == NUMERICOID)
				refuse(gate, node, "a text of many digits", "Cast it to double precision.");
			break;
		case T_Const:
			if (((Const *) node)->consttype == NUMERICOID && !((Const *) node)->constisnull &&
				strlen(DatumGetCString(DirectFunctionCall1(numeric_out, ((Const *) node)->constvalue))) > NUMERIC_TEXT_MAX)
				refuse(gate, node, "a number of so many digits", "Cast it to double precision.");
			break;
		default:
			break;
	}
}
