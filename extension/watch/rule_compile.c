/*
 * rule_compile.c
 *	  Parses the condition of a rule with PostgreSQL's own parser.
 *
 * The result is evaluated within the ingest pipeline, which runs with the
 * rights of the extension's owner, while its author may be anybody who can
 * write a rule.  So nothing that is not plain computation passes
 * (rule_allowed.c), names are resolved with a pinned search_path, and nothing
 * is executed (not even for constant folding) before it has passed.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_node.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "fleet.h"
#include "types/dictionary.h"
#include "watch/rule_allowed.h"
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

/* What the hook for names needs, as p_ref_hook_state. */
typedef struct CompileState
{
	RuleInputs *inputs;
	Bitmapset  *used;
	RuleGate	gate;
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
									   ObjectIdGetDatum(cs->gate.fleet_schema));
			if (view == RULE_PREVIOUS && !def->previous)
				ereport(ERROR,
						(errcode(ERRCODE_UNDEFINED_COLUMN),
						 errmsg("there is no previous \"%s\"", name),
						 errhint("It belongs to the vehicle, not to a report."),
						 parser_errposition(cs->gate.pstate, location)));
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
					 parser_errposition(cs->gate.pstate, location)));
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
						 parser_errposition(cs->gate.pstate, location)));
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
				 parser_errposition(cs->gate.pstate, location)));

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
				 parser_errposition(cs->gate.pstate, ((ResTarget *) lsecond(stmt->targetList))->location)));
	target = linitial(stmt->targetList);
	if (target->name)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("syntax error at or near \"%s\"", target->name),
				 parser_errposition(cs->gate.pstate, label_location(cs->gate.pstate->p_sourcetext, target->name))));
	return target->val;
}

static Expr *
compile(const char *text, CompileState *cs)
{
	ParseState *pstate = cs->gate.pstate;
	Node	   *expr;

	if (strlen(text) > RULE_CONDITION_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("condition is too long"),
				 errdetail("It has %d bytes, at most %d are allowed.",
						   (int) strlen(text), RULE_CONDITION_MAX)));

	expr = bare_expression(cs, raw_parser(text, RAW_PARSE_PLPGSQL_EXPR));
	rule_check_raw(expr, &cs->gate);
	expr = transformExpr(pstate, expr, EXPR_KIND_OTHER);
	expr = coerce_to_boolean(pstate, expr, "a condition");
	assign_expr_collations(pstate, expr);
	rule_check_analysed(expr, &cs->gate);
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
	cs.gate.fleet_schema = fleet_schema_oid();
	cs.gate.extension = get_extension_oid(FLEET_SCHEMA, false);
	cs.gate.pstate = make_parsestate(NULL);
	cs.gate.pstate->p_sourcetext = text;
	cs.gate.pstate->p_pre_columnref_hook = resolve_name;
	cs.gate.pstate->p_ref_hook_state = &cs;

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
	free_parsestate(cs.gate.pstate);
	*used = cs.used;
	return result;
}
