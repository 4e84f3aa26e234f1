/*
 * rule_compile.c
 *	  Parses and checks the condition of a rule with PostgreSQL's own parser.
 *
 * The result is evaluated within the ingest pipeline, which runs with the
 * rights of the extension's owner, while its author may be anybody who can
 * write a rule.  So nothing that is not plain computation passes: the parsed
 * tree is walked and every node, type and function must be on a list of what
 * is allowed, names are resolved with a pinned search_path, and nothing is
 * executed (not even for constant folding) before that walk.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_language.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_node.h"
#include "parser/parse_type.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "fleet.h"
#include "types/dictionary.h"
#include "watch/rule_compile.h"

/* A misspelt name is at most so many edits away from the one that was meant. */
#define TYPO_DISTANCE_MAX 2

typedef struct RuleColumnDef
{
	const char *name;
	RuleColumn	column;
	Oid			type;			/* InvalidOid: fleet.geopoint */
	bool		previous;		/* differs from report to report */
} RuleColumnDef;

static const RuleColumnDef rule_columns[] = {
	{"event_time", COLUMN_EVENT_TIME, TIMESTAMPTZOID, true},
	{"received_at", COLUMN_RECEIVED_AT, TIMESTAMPTZOID, true},
	{"latitude", COLUMN_LATITUDE, FLOAT8OID, true},
	{"longitude", COLUMN_LONGITUDE, FLOAT8OID, true},
	{"altitude_m", COLUMN_ALTITUDE_M, FLOAT8OID, true},
	{"accuracy_m", COLUMN_ACCURACY_M, FLOAT8OID, true},
	{"speed_kmh", COLUMN_SPEED_KMH, FLOAT8OID, true},
	{"heading_deg", COLUMN_HEADING_DEG, FLOAT8OID, true},
	{"location", COLUMN_LOCATION, InvalidOid, true},
	{"location_time", COLUMN_LOCATION_TIME, TIMESTAMPTZOID, true},
	{"vehicle", COLUMN_VEHICLE, TEXTOID, false},
	{"vehicle_type", COLUMN_VEHICLE_TYPE, TEXTOID, false},
};

static const struct
{
	const char *name;
	RuleView	view;
}			rule_views[] = {
	{"previous", RULE_PREVIOUS},
	{"rate", RULE_RATE},
	{"mean", RULE_MEAN},
	{"zscore", RULE_ZSCORE},
	{"standing", RULE_STANDING},
};

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

/* What the hook for names needs, as p_ref_hook_state. */
typedef struct CompileState
{
	RuleInputs *inputs;
	Bitmapset  *used;
	ParseState *pstate;
	Oid			fleet_schema;
	Oid			extension;		/* what belongs to it may be used */
	int			nodes;
} CompileState;

void
rule_inputs_init(RuleInputs *inputs, MemoryContext context)
{
	memset(inputs, 0, sizeof(*inputs));
	inputs->context = context;
}

/* --- names --- */

static int
input_add(RuleInputs *inputs, const char *label, const char *name, RuleView view,
		  RuleColumn column, SignalKind kind, Oid type)
{
	MemoryContext old;
	RuleInput  *input;

	for (int i = 0; i < inputs->count; i++)
	{
		if (strcmp(inputs->items[i].label, label) == 0)
			return i;
	}

	if (inputs->count >= RULE_INPUTS_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many names in rules"),
				 errdetail("The rules of a tenant may refer to at most %d different names.",
						   RULE_INPUTS_MAX)));

	old = MemoryContextSwitchTo(inputs->context);
	if (inputs->count == inputs->capacity)
	{
		inputs->capacity = inputs->capacity ? 2 * inputs->capacity : 8;
		if (inputs->items)
			inputs->items = repalloc(inputs->items, inputs->capacity * sizeof(RuleInput));
		else
			inputs->items = palloc(inputs->capacity * sizeof(RuleInput));
	}
	input = &inputs->items[inputs->count];
	memset(input, 0, sizeof(*input));
	input->label = pstrdup(label);
	input->name = pstrdup(name);
	input->view = view;
	input->column = column;
	input->kind = kind;
	input->key = signal_key(input->name, strlen(input->name));
	input->type = type;
	MemoryContextSwitchTo(old);
	return inputs->count++;
}

static bool
is_signal_name(const char *name)
{
	if (!((*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') || *name == '_'))
		return false;
	return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == strlen(name)
		&& strlen(name) <= SIGNAL_NAME_MAX;
}

/*
 * A name that is not well known is a signal of the user's own, so it cannot be
 * an error; but a rule that never fires because of a slip of the pen is worth
 * a word when the name is all but one we know.
 */
static void
notice_typo(const char *name)
{
	const char *best = NULL;
	int			best_distance = TYPO_DISTANCE_MAX + 1;
	int			len = strlen(name);

	if (len < 5)
		return;
	for (int i = 0; i < lengthof(rule_columns) + dictionary_size(); i++)
	{
		const char *known = i < lengthof(rule_columns) ? rule_columns[i].name :
			dictionary_by_id(i - lengthof(rule_columns) + 1)->name;
		int			distance;

		if (abs((int) strlen(known) - len) > TYPO_DISTANCE_MAX)
			continue;
		distance = varstr_levenshtein_less_equal(name, len, known, strlen(known),
												 1, 1, 1, best_distance - 1, true);
		if (distance < best_distance)
		{
			best = known;
			best_distance = distance;
		}
	}
	if (best)
		ereport(NOTICE,
				(errmsg("\"%s\" is not a well-known name and is taken for a number of your own", name),
				 errhint("Perhaps you meant \"%s\".", best)));
}

/* The name after all prefixes; type InvalidOid in the table means geopoint. */
static int
input_resolve(CompileState *cs, const char *label, RuleView view, const char *kind_name,
			  const char *name, int location)
{
	const WellKnownSignal *known;
	SignalKind	kind = SIGNAL_NUMBER;
	RuleColumn	column = COLUMN_NONE;
	Oid			type = InvalidOid;
	bool		numeric_view = view != RULE_NOW && view != RULE_PREVIOUS;

	if (kind_name == NULL)
	{
		for (int i = 0; i < lengthof(rule_columns); i++)
		{
			const RuleColumnDef *def = &rule_columns[i];

			if (strcmp(def->name, name) != 0)
				continue;
			column = def->column;
			type = def->type;
			if (!OidIsValid(type))
				type = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
									   CStringGetDatum("geopoint"),
									   ObjectIdGetDatum(cs->fleet_schema));
			if (view == RULE_PREVIOUS && !def->previous)
				ereport(ERROR,
						(errcode(ERRCODE_UNDEFINED_COLUMN),
						 errmsg("there is no previous \"%s\"", name),
						 errhint("It belongs to the vehicle, not to a report."),
						 parser_errposition(cs->pstate, location)));
			break;
		}
	}

	if (column == COLUMN_NONE)
	{
		if (!is_signal_name(name))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("\"%s\" cannot be the name of a signal", name),
					 errdetail("Names of signals consist of letters, digits and underscores, at most %d.",
							   SIGNAL_NAME_MAX),
					 parser_errposition(cs->pstate, location)));
		known = dictionary_by_name(name, strlen(name));
		if (known)
			kind = known->kind;
		if (kind_name)
		{
			SignalKind	wanted = strcmp(kind_name, "text") == 0 ? SIGNAL_TEXT : SIGNAL_BOOLEAN;

			if (known && kind != wanted)
				ereport(ERROR,
						(errcode(ERRCODE_DATATYPE_MISMATCH),
						 errmsg("signal \"%s\" is not a %s", name, kind_name),
						 errhint("Well-known signals need no prefix for their kind."),
						 parser_errposition(cs->pstate, location)));
			kind = wanted;
		}
		else if (known == NULL && cs->inputs->notice_typos)
			notice_typo(name);
		type = kind == SIGNAL_BOOLEAN ? BOOLOID : kind == SIGNAL_TEXT ? TEXTOID : FLOAT8OID;
	}

	if (numeric_view && type != FLOAT8OID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("\"%s\" is not a number", name),
				 errhint("The prefixes rate, mean, zscore and standing apply to numbers."),
				 parser_errposition(cs->pstate, location)));

	return input_add(cs->inputs, label, name, view, column, kind, type);
}

/* ParseState.p_pre_columnref_hook: a name becomes a Var of the row of inputs. */
static Node *
resolve_name(ParseState *pstate, ColumnRef *cref)
{
	CompileState *cs = pstate->p_ref_hook_state;
	const char *parts[3];
	int			nparts = list_length(cref->fields);
	int			next = 0;
	RuleView	view = RULE_NOW;
	const char *kind_name = NULL;
	StringInfoData label;
	ListCell   *lc;
	int			attno;
	RuleInput  *input;
	Var		   *var;

	if (nparts > lengthof(parts))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("improper name in a condition: %s", NameListToString(cref->fields)),
				 parser_errposition(pstate, cref->location)));
	initStringInfo(&label);
	foreach(lc, cref->fields)
	{
		Node	   *field = lfirst(lc);

		if (!IsA(field, String))
			ereport(ERROR,
					(errcode(ERRCODE_SYNTAX_ERROR),
					 errmsg("\"*\" is not allowed in a condition"),
					 parser_errposition(pstate, cref->location)));
		if (next > 0)
			appendStringInfoChar(&label, '.');
		appendStringInfoString(&label, strVal(field));
		parts[next++] = strVal(field);
	}

	next = 0;
	if (nparts > 1)
	{
		for (int i = 0; i < lengthof(rule_views); i++)
		{
			if (strcmp(parts[0], rule_views[i].name) == 0)
			{
				view = rule_views[i].view;
				next = 1;
			}
		}
		if (next < nparts - 1 &&
			(strcmp(parts[next], "text") == 0 || strcmp(parts[next], "boolean") == 0))
			kind_name = parts[next++];
	}
	if (next != nparts - 1)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("\"%s\" is not a prefix of names", parts[next]),
				 errhint("Prefixes are previous, rate, mean, zscore and standing, and for the kind of a signal text and boolean."),
				 parser_errposition(pstate, cref->location)));

	attno = input_resolve(cs, label.data, view, kind_name, parts[next], cref->location) + 1;
	input = &cs->inputs->items[attno - 1];
	cs->used = bms_add_member(cs->used, attno - 1);
	var = makeNode(Var);
	var->varno = 1;
	var->varattno = attno;
	var->vartype = input->type;
	var->vartypmod = -1;
	var->varcollid = get_typcollation(input->type);
	var->location = cref->location;
	return (Node *) var;
}

/* --- types --- */

static bool
type_allowed(CompileState *cs, Oid type)
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
		return type_allowed(cs, element);

	/*
	 * The extension's own base types.  The schema alone does not tell: PostGIS
	 * is there, too, when CASCADE installed it.
	 */
	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	if (!HeapTupleIsValid(tuple))
		return false;
	allowed = ((Form_pg_type) GETSTRUCT(tuple))->typnamespace == cs->fleet_schema &&
		((Form_pg_type) GETSTRUCT(tuple))->typtype == TYPTYPE_BASE;
	ReleaseSysCache(tuple);
	return allowed && getExtensionOfObject(TypeRelationId, type) == cs->extension;
}

static void
refuse_type(CompileState *cs, Oid type, int location)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("type %s is not allowed in a condition", format_type_be(type)),
			 parser_errposition(cs->pstate, location)));
}

/* --- what is refused before analysis --- */

static void
check_schema(CompileState *cs, List *name, const char *what, int location)
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
			 parser_errposition(cs->pstate, location)));
}

/*
 * Before analysis, since analysing a sub-query opens its tables, and resolving
 * a type may run the input function of a stranger's type.
 */
static bool
check_raw(Node *node, CompileState *cs)
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
					 parser_errposition(cs->pstate, ((SubLink *) node)->location)));
			break;
		case T_ParamRef:
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_PARAMETER),
					 errmsg("parameters are not allowed in a condition"),
					 parser_errposition(cs->pstate, ((ParamRef *) node)->location)));
			break;
		case T_FuncCall:
			check_schema(cs, ((FuncCall *) node)->funcname, "function",
						 ((FuncCall *) node)->location);
			break;
		case T_A_Expr:
			check_schema(cs, ((A_Expr *) node)->name, "operator",
						 ((A_Expr *) node)->location);
			break;
		case T_TypeName:
			if (((TypeName *) node)->pct_type || ((TypeName *) node)->setof)
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("type is not allowed in a condition"),
						 parser_errposition(cs->pstate, ((TypeName *) node)->location)));
			check_schema(cs, ((TypeName *) node)->names, "type",
						 ((TypeName *) node)->location);
			type = LookupTypeNameOid(cs->pstate, (TypeName *) node, true);
			if (OidIsValid(type) && !type_allowed(cs, type))
				refuse_type(cs, type, ((TypeName *) node)->location);
			break;
		default:
			break;
	}
	return raw_expression_tree_walker(node, check_raw, cs);
}

/* --- what is refused after analysis --- */

typedef struct FunctionCheck
{
	CompileState *cs;
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
				 parser_errposition(check->cs->pstate, check->location)));

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
			getExtensionOfObject(ProcedureRelationId, funcid) == check->cs->extension;

	/* the exact power of two numerics takes as long as its author likes */
	if (funcid == F_NUMERIC_POWER || funcid == F_POWER_NUMERIC_NUMERIC || funcid == F_POW_NUMERIC_NUMERIC)
		listed = false;

	if (!listed || proc->proretset || proc->prokind != PROKIND_FUNCTION)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("function %s is not allowed in a condition",
						format_procedure(funcid)),
				 errhint("See docs/rules.md for the functions that conditions may call."),
				 parser_errposition(check->cs->pstate, check->location)));
	ReleaseSysCache(tuple);
	return false;
}

/* Every node, its type and its functions must be known to be harmless. */
static bool
check_node(Node *node, CompileState *cs)
{
	FunctionCheck check;
	const char *refused = NULL;

	if (node == NULL)
		return false;
	if (IsA(node, List))
		return expression_tree_walker(node, check_node, cs);

	check.cs = cs;
	check.by_name = false;
	check.location = exprLocation(node);

	if (++cs->nodes > RULE_NODES_MAX)
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
			return expression_tree_walker(node, check_node, cs);
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
					 parser_errposition(cs->pstate, check.location)));
			break;
		default:
			refused = "expressions of this kind";
			break;
	}
	if (refused)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s are not allowed in a condition", refused),
				 parser_errposition(cs->pstate, check.location)));

	check_functions_in_node(node, check_function, &check);
	if (!type_allowed(cs, exprType(node)))
		refuse_type(cs, exprType(node), check.location);
	return expression_tree_walker(node, check_node, cs);
}

/* --- compiling --- */

/*
 * Where the label of "expression label" stands, for which the parser keeps no
 * location: it is the last word; -1 when spelt so that it is not found.
 */
static int
label_location(const char *text, const char *label)
{
	int			len = strlen(label);

	for (int at = (int) strlen(text) - len; at >= 0; at--)
	{
		if (pg_strncasecmp(text + at, label, len) == 0)
			return at;
	}
	return -1;
}

/*
 * The one expression of what the parser made of the text.  The grammar used is
 * PL/pgSQL's, which takes a bare expression, so positions are those of the
 * author's text and there is no wrapper to break out of; it also takes the
 * clauses of a SELECT, which are refused here.
 */
static Node *
bare_expression(CompileState *cs, List *parsed)
{
	SelectStmt *stmt = (SelectStmt *) ((RawStmt *) linitial(parsed))->stmt;
	ResTarget  *target;

	if (!IsA(stmt, SelectStmt) || stmt->distinctClause || stmt->fromClause ||
		stmt->whereClause || stmt->groupClause || stmt->havingClause ||
		stmt->windowClause || stmt->sortClause || stmt->limitOffset ||
		stmt->limitCount || stmt->lockingClause)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("a condition is one boolean expression, not a query")));
	if (stmt->targetList == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("condition is empty")));
	if (list_length(stmt->targetList) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("a condition is one boolean expression, not several"),
				 parser_errposition(cs->pstate, ((ResTarget *) lsecond(stmt->targetList))->location)));
	target = linitial(stmt->targetList);
	if (target->name)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("syntax error at or near \"%s\"", target->name),
				 parser_errposition(cs->pstate, label_location(cs->pstate->p_sourcetext, target->name))));
	return target->val;
}

static Expr *
compile(const char *text, CompileState *cs)
{
	ParseState *pstate = cs->pstate;
	Node	   *expr;

	if (strlen(text) > RULE_CONDITION_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("condition is too long"),
				 errdetail("It has %d bytes, at most %d are allowed.",
						   (int) strlen(text), RULE_CONDITION_MAX)));

	expr = bare_expression(cs, raw_parser(text, RAW_PARSE_PLPGSQL_EXPR));
	check_raw(expr, cs);
	expr = transformExpr(pstate, expr, EXPR_KIND_OTHER);
	expr = coerce_to_boolean(pstate, expr, "a condition");
	assign_expr_collations(pstate, expr);
	check_node(expr, cs);
	if (bms_is_empty(cs->used))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("condition does not depend on any report"),
				 errhint("Refer to a column or signal of the report, such as speed_kmh.")));
	return expression_planner((Expr *) expr);
}

/*
 * Says the error again in terms of the author's text.  The position the parser
 * gave would be taken for one in the statement that writes the rule.
 */
static void
rethrow(ErrorData *edata, const char *text, const char *what, const char *rule_name)
{
	StringInfoData where;
	int			position = edata->cursorpos > 0 ? edata->cursorpos : edata->internalpos;

	initStringInfo(&where);
	if (position > 0)
		appendStringInfo(&where, "At character %d of the %s", position, what);
	else
		appendStringInfo(&where, "In the %s", what);
	if (rule_name)
		appendStringInfo(&where, " of rule \"%s\"", rule_name);
	appendStringInfoChar(&where, '.');
	if (edata->detail)
		appendStringInfo(&where, " %s", edata->detail);

	ereport(ERROR,
			(errcode(edata->sqlerrcode),
			 errmsg_internal("%s", edata->message),
			 errdetail_internal("%s", where.data),
			 edata->hint ? errhint("%s", edata->hint) : 0,
			 internalerrposition(position),
			 internalerrquery(position > 0 ? text : NULL)));
}

Expr *
rule_compile(const char *text, const char *what, const char *rule_name,
			 RuleInputs *inputs, Bitmapset **used)
{
	MemoryContext context = CurrentMemoryContext;
	CompileState cs;
	int			guc_nest;
	Expr	   *result = NULL;

	memset(&cs, 0, sizeof(cs));
	cs.inputs = inputs;
	cs.fleet_schema = fleet_schema_oid();
	cs.extension = get_extension_oid(FLEET_SCHEMA, false);
	cs.pstate = make_parsestate(NULL);
	cs.pstate->p_sourcetext = text;
	cs.pstate->p_pre_columnref_hook = resolve_name;
	cs.pstate->p_ref_hook_state = &cs;

	/*
	 * The same text must mean the same in every session.  An error resets
	 * these with the (sub)transaction.
	 */
	guc_nest = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, " FLEET_SCHEMA ", pg_temp",
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("TimeZone", "UTC",
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("DateStyle", "ISO, YMD",
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("IntervalStyle", "postgres",
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("standard_conforming_strings", "on",
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("transform_null_equals", "off",
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);

	PG_TRY();
	{
		result = compile(text, &cs);
	}
	PG_CATCH();
	{
		ErrorData  *edata;

		MemoryContextSwitchTo(context);
		edata = CopyErrorData();
		/* what is nobody's mistake in the condition passes as it is */
		if (ERRCODE_TO_CATEGORY(edata->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION ||
			edata->sqlerrcode == ERRCODE_OUT_OF_MEMORY)
			PG_RE_THROW();
		FlushErrorState();
		rethrow(edata, text, what, rule_name);
	}
	PG_END_TRY();

	AtEOXact_GUC(true, guc_nest);
	free_parsestate(cs.pstate);
	*used = cs.used;
	return result;
}
