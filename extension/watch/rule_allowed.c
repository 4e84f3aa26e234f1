/*
 * rule_allowed.c
 *	  What the condition of a rule may consist of.
 *
 * The parsed tree is walked before its analysis and after it, and every node,
 * type and function must be on a list of what is known to be harmless.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/dependency.h"
#include "catalog/pg_language.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "catalog/namespace.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_type.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

#include "fleet.h"
#include "watch/rule_allowed.h"
#include "watch/rule_compile.h"

/*
 * Functions of pg_catalog that may be called by name.  A list of what is
 * forbidden would never be complete: repeat('x', 1000000000) is immutable,
 * too.
 */
static const char *const rule_functions[] = {
	"abs", "acos", "acosd", "age", "array_length", "array_position", "asin", "asind",
	"atan", "atan2", "atan2d", "atand", "btrim", "cardinality", "cbrt", "ceil",
	"ceiling", "char_length", "character_length", "cos", "cosd", "date_bin",
	"date_part", "date_trunc", "degrees", "div", "ends_with", "exp", "extract",
	"floor", "isfinite", "justify_days", "justify_hours", "justify_interval",
	"left", "length", "ln", "log", "log10", "lower", "ltrim", "mod",
	"octet_length", "overlaps", "pi", "position", "pow", "power", "radians",
	"replace", "reverse", "right", "round", "rtrim", "sign", "sin", "sind",
	"split_part", "sqrt", "starts_with", "string_to_array", "strpos", "substr",
	"substring", "tan", "tand", "timezone", "to_timestamp", "translate",
	"trunc", "upper", "width_bucket",
};

/* --- types --- */

static bool
type_allowed(RuleGate *gate, Oid type)
{
	Oid			element;
	HeapTuple	tuple;
	bool		allowed;

	switch (type)
	{
		case BOOLOID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case FLOAT4OID:
		case FLOAT8OID:
		case NUMERICOID:
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case DATEOID:
		case TIMEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case INTERVALOID:
			return true;
		default:
			break;
	}
	element = get_element_type(type);
	if (OidIsValid(element))
		return type_allowed(gate, element);

	/*
	 * The extension's own base types.  The schema alone does not tell: PostGIS
	 * is there, too, when CASCADE installed it.
	 */
	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	if (!HeapTupleIsValid(tuple))
		return false;
	allowed = ((Form_pg_type) GETSTRUCT(tuple))->typnamespace == gate->fleet_schema &&
		((Form_pg_type) GETSTRUCT(tuple))->typtype == TYPTYPE_BASE;
	ReleaseSysCache(tuple);
	return allowed && getExtensionOfObject(TypeRelationId, type) == gate->extension;
}

static void
refuse_type(RuleGate *gate, Oid type, int location)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("type %s is not allowed in a condition", format_type_be(type)),
			 parser_errposition(gate->pstate, location)));
}

/* --- what is refused before analysis --- */

static void
check_schema(RuleGate *gate, List *name, const char *what, int location)
{
	const char *schema;

	if (list_length(name) < 2)
		return;					/* the pinned search_path decides */
	schema = strVal(linitial(name));
	if (list_length(name) == 2 &&
		(strcmp(schema, "pg_catalog") == 0 || strcmp(schema, FLEET_SCHEMA) == 0))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s %s is not allowed in a condition", what, NameListToString(name)),
			 errhint("Conditions may use what is in the schemas pg_catalog and fleet."),
			 parser_errposition(gate->pstate, location)));
}

/*
 * Before analysis, since analysing a sub-query opens its tables, and resolving
 * a type may run the input function of a stranger's type.
 */
bool
rule_check_raw(Node *node, RuleGate *gate)
{
	Oid			type;

	if (node == NULL)
		return false;

	switch (nodeTag(node))
	{
		case T_SubLink:
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("sub-queries are not allowed in a condition"),
					 parser_errposition(gate->pstate, ((SubLink *) node)->location)));
			break;
		case T_ParamRef:
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_PARAMETER),
					 errmsg("parameters are not allowed in a condition"),
					 parser_errposition(gate->pstate, ((ParamRef *) node)->location)));
			break;
		case T_FuncCall:
			check_schema(gate, ((FuncCall *) node)->funcname, "function",
						 ((FuncCall *) node)->location);
			break;
		case T_A_Expr:
			check_schema(gate, ((A_Expr *) node)->name, "operator",
						 ((A_Expr *) node)->location);
			break;
		case T_TypeName:
			if (((TypeName *) node)->pct_type || ((TypeName *) node)->setof)
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("type is not allowed in a condition"),
						 parser_errposition(gate->pstate, ((TypeName *) node)->location)));
			check_schema(gate, ((TypeName *) node)->names, "type",
						 ((TypeName *) node)->location);
			type = LookupTypeNameOid(gate->pstate, (TypeName *) node, true);
			if (OidIsValid(type) && !type_allowed(gate, type))
				refuse_type(gate, type, ((TypeName *) node)->location);
			break;
		default:
			break;
	}
	return raw_expression_tree_walker(node, rule_check_raw, gate);
}

/* --- what is refused after analysis --- */

typedef struct FunctionCheck
{
	RuleGate *gate;
	bool		by_name;		/* the author wrote it as a call */
	int			location;
} FunctionCheck;

static int
volatile_hint(Form_pg_proc proc)
{
	if (proc->prorettype == TIMESTAMPTZOID && proc->pronargs == 0)
		return errhint("The time of the report is event_time.");
	for (int i = 0; i < proc->pronargs; i++)
	{
		if (proc->proargtypes.values[i] == TIMESTAMPTZOID)
			return errhint("Name the time zone: event_time AT TIME ZONE 'UTC'.");
	}
	return 0;
}

/* check_functions_in_node's callback: raises rather than returns. */
static bool
check_function(Oid funcid, void *context)
{
	FunctionCheck *check = context;
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(funcid));
	Form_pg_proc proc;
	bool		listed = false;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", funcid);
	proc = (Form_pg_proc) GETSTRUCT(tuple);

	if (proc->provolatile != PROVOLATILE_IMMUTABLE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("function %s is not allowed in a condition", NameStr(proc->proname)),
				 errdetail("Its result does not depend on its arguments alone."),
				 volatile_hint(proc),
				 parser_errposition(check->gate->pstate, check->location)));

	if (proc->pronamespace == PG_CATALOG_NAMESPACE)
	{
		if (!check->by_name)
			listed = proc->prolang == INTERNALlanguageId;
		else
		{
			for (int i = 0; i < lengthof(rule_functions) && !listed; i++)
				listed = strcmp(rule_functions[i], NameStr(proc->proname)) == 0;
			listed = listed && proc->prolang == INTERNALlanguageId;
		}
	}
	else
		listed = proc->prolang == ClanguageId &&
			getExtensionOfObject(ProcedureRelationId, funcid) == check->gate->extension;

	/* the exact power of two numerics takes as long as its author likes */
	if (funcid == F_NUMERIC_POWER || funcid == F_POWER_NUMERIC_NUMERIC || funcid == F_POW_NUMERIC_NUMERIC)
		listed = false;

	if (!listed || proc->proretset || proc->prokind != PROKIND_FUNCTION)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("function %s is not allowed in a condition",
						format_procedure(funcid)),
				 errhint("See docs/rules.md for the functions that conditions may call."),
				 parser_errposition(check->gate->pstate, check->location)));
	ReleaseSysCache(tuple);
	return false;
}

/* Every node, its type and its functions must be known to be harmless. */
bool
rule_check_analysed(Node *node, RuleGate *gate)
{
	FunctionCheck check;
	const char *refused = NULL;

	if (node == NULL)
		return false;
	if (IsA(node, List))
		return expression_tree_walker(node, rule_check_analysed, gate);

	check.gate = gate;
	check.by_name = false;
	check.location = exprLocation(node);

	if (++gate->nodes > RULE_NODES_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_STATEMENT_TOO_COMPLEX),
				 errmsg("condition is too complex"),
				 errdetail("It may have at most %d operators, functions, names and constants.",
						   RULE_NODES_MAX)));

	switch (nodeTag(node))
	{
		case T_Var:
		case T_Const:
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
		case T_ScalarArrayOpExpr:
		case T_BoolExpr:
		case T_NullTest:
		case T_BooleanTest:
		case T_CaseExpr:
		case T_CaseTestExpr:
		case T_CoalesceExpr:
		case T_MinMaxExpr:
		case T_ArrayExpr:
		case T_RelabelType:
		case T_CoerceViaIO:
			break;
		case T_CaseWhen:
			return expression_tree_walker(node, rule_check_analysed, gate);
		case T_FuncExpr:
			check.by_name = ((FuncExpr *) node)->funcformat == COERCE_EXPLICIT_CALL ||
				((FuncExpr *) node)->funcformat == COERCE_SQL_SYNTAX;
			break;
		case T_Aggref:
		case T_GroupingFunc:
			refused = "aggregate functions";
			break;
		case T_WindowFunc:
			refused = "window functions";
			break;
		case T_SQLValueFunction:
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("the current time or user is not allowed in a condition"),
					 errhint("The time of the report is event_time."),
					 parser_errposition(gate->pstate, check.location)));
			break;
		default:
			refused = "expressions of this kind";
			break;
	}
	if (refused)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s are not allowed in a condition", refused),
				 parser_errposition(gate->pstate, check.location)));

	check_functions_in_node(node, check_function, &check);
	if (!type_allowed(gate, exprType(node)))
		refuse_type(gate, exprType(node), check.location);
	rule_check_cost(node, gate);
	return expression_tree_walker(node, rule_check_analysed, gate);
}
