/*
 * row_allowed.c
 *	  What policies ask of each row, and what the planner is to think of it.
 *
 * Conditions of a query that cannot leak may be evaluated before a policy's, in
 * the order of their cost.  EXPLAIN ANALYZE shows whether the policy's own turn
 * ever came, and so whether any row of any tenant met the conditions before it:
 * enough to read every value by halving intervals.  Therefore these functions
 * are declared to cost next to nothing: they come first.
 *
 * Nearly every session may see all vehicles of its tenants.  An operator over
 * an array of vehicles would make the planner expect a handful of rows and
 * choose plans for these; so these are functions of ours, which say how much
 * they let pass.
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "nodes/supportnodes.h"
#include "optimizer/optimizer.h"
#include "parser/parse_func.h"
#include "utils/array.h"
#include "utils/lsyscache.h"

#include "fleet.h"

PG_FUNCTION_INFO_V1(tenant_allowed);
PG_FUNCTION_INFO_V1(tenant_allowed_support);
PG_FUNCTION_INFO_V1(row_allowed);
PG_FUNCTION_INFO_V1(row_allowed_support);
PG_FUNCTION_INFO_V1(tenants_of);

/* tenant_allowed(tenant_id integer, allowed integer[]) returns boolean; allowed ascends */
Datum
tenant_allowed(PG_FUNCTION_ARGS)
{
	int32		tenant_id;
	ArrayType  *allowed;
	const int32 *tenants;
	int			low = 0;
	int			high;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_BOOL(false);
	tenant_id = PG_GETARG_INT32(0);
	allowed = PG_GETARG_ARRAYTYPE_P(1);
	if (ARR_NDIM(allowed) != 1 || ARR_HASNULL(allowed) || ARR_ELEMTYPE(allowed) != INT4OID)
		PG_RETURN_BOOL(false);
	/* by hand, as every row of a table pays for it */
	tenants = (const int32 *) ARR_DATA_PTR(allowed);
	high = ARR_DIMS(allowed)[0];
	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (tenants[middle] == tenant_id)
			PG_RETURN_BOOL(true);
		if (tenants[middle] < tenant_id)
			low = middle + 1;
		else
			high = middle;
	}
	PG_RETURN_BOOL(false);
}

/*
 * What fleet.allowed_rows answers: how many tenants, whether vehicles are
 * limited (1) or not (0), the tenants, and the vehicles, both ascending.
 */
#define ROWS_HEAD 2

typedef struct AllowedRows
{
	const char *words;			/* int64 each, not aligned */
	int64		ntenants;
	int64		nvehicles;		/* -1: all */
} AllowedRows;

/* Bytes of an array of one dimension without nulls, behind its length word. */
#define ARRAY_HEAD (ARR_OVERHEAD_NONULLS(1) - VARHDRSZ)

static int64
word_at(const char *words, int64 i)
{
	int64		word;

	memcpy(&word, words + i * sizeof(int64), sizeof(word));
	return word;
}

/*
 * Reads the array where it lies: an init plan's answer has a short length word,
 * and to copy it for every row would cost more than all the rest.
 */
static bool
rows_of(Datum datum, AllowedRows *rows)
{
	struct varlena *packed = PG_DETOAST_DATUM_PACKED(datum);
	const char *data = VARDATA_ANY(packed);
	Size		size = VARSIZE_ANY_EXHDR(packed);
	int32		head[4];		/* dimensions, offset of data (0: no nulls), type, length */
	int64		n;

	if (size < ARRAY_HEAD)
		return false;
	memcpy(head, data, sizeof(head));
	n = head[3];
	if (head[0] != 1 || head[1] != 0 || (Oid) head[2] != INT8OID ||
		n < ROWS_HEAD || n > (int64) ((size - ARRAY_HEAD) / sizeof(int64)))
		return false;
	rows->words = data + ARRAY_HEAD;
	rows->ntenants = word_at(rows->words, 0);
	if (rows->ntenants < 0 || rows->ntenants > n - ROWS_HEAD)
		return false;
	rows->nvehicles = word_at(rows->words, 1) == 0 ? -1 : n - ROWS_HEAD - rows->ntenants;
	rows->words += ROWS_HEAD * sizeof(int64);
	return true;
}

/* Is key one of the n ascending words? */
static bool
words_have(const char *words, int64 n, int64 key)
{
	int64		low = 0;
	int64		high = n;

	while (low < high)
	{
		int64		middle = low + (high - low) / 2;
		int64		word = word_at(words, middle);

		if (word == key)
			return true;
		if (word < key)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

/* row_allowed(tenant_id integer, vehicle_id bigint, allowed bigint[]) returns boolean */
Datum
row_allowed(PG_FUNCTION_ARGS)
{
	AllowedRows rows;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2) || !rows_of(PG_GETARG_DATUM(2), &rows))
		PG_RETURN_BOOL(false);
	PG_RETURN_BOOL(words_have(rows.words, rows.ntenants, PG_GETARG_INT32(0)) &&
				   (rows.nvehicles < 0 ||
					words_have(rows.words + rows.ntenants * sizeof(int64), rows.nvehicles, PG_GETARG_INT64(1))));
}

/* tenants_of(allowed bigint[]) returns integer[]: for the index that row_allowed finds */
Datum
tenants_of(PG_FUNCTION_ARGS)
{
	AllowedRows rows;
	Datum	   *elements;

	if (!rows_of(PG_GETARG_DATUM(0), &rows))
		PG_RETURN_ARRAYTYPE_P(construct_empty_array(INT4OID));
	elements = palloc(Max(rows.ntenants, 1) * sizeof(Datum));
	for (int64 i = 0; i < rows.ntenants; i++)
		elements[i] = Int32GetDatum((int32) word_at(rows.words, i));
	PG_RETURN_ARRAYTYPE_P(construct_array(elements, rows.ntenants, INT4OID, sizeof(int32), true, TYPALIGN_INT));
}

/* tenant_id = ANY (allowed), which means the same and is known to the planner */
static Expr *
any_of(Oid operator, List *args)
{
	ScalarArrayOpExpr *any = makeNode(ScalarArrayOpExpr);

	any->opno = operator;
	any->opfuncid = get_opcode(operator);
	any->useOr = true;
	any->args = args;
	any->location = -1;
	return (Expr *) any;
}

/* tenant_allowed_support(internal) returns internal: selectivity, and what to look for in an index */
Datum
tenant_allowed_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);

	if (IsA(request, SupportRequestSelectivity))
	{
		SupportRequestSelectivity *wanted = (SupportRequestSelectivity *) request;

		wanted->selectivity = clause_selectivity(wanted->root, (Node *) any_of(Int4EqualOperator, wanted->args),
												 wanted->varRelid, wanted->jointype, wanted->sjinfo);
		PG_RETURN_POINTER(request);
	}
	if (IsA(request, SupportRequestIndexCondition))
	{
		SupportRequestIndexCondition *wanted = (SupportRequestIndexCondition *) request;
		Oid			operator = get_opfamily_member(wanted->opfamily, INT4OID, INT4OID, BTEqualStrategyNumber);

		if (wanted->indexarg != 0 || !is_funcclause(wanted->node) || !wanted->index->amsearcharray ||
			operator != Int4EqualOperator ||
			!is_pseudo_constant_for_index(wanted->root, lsecond(((FuncExpr *) wanted->node)->args), wanted->index))
			PG_RETURN_POINTER(NULL);
		wanted->lossy = false;
		PG_RETURN_POINTER(list_make1(any_of(operator, ((FuncExpr *) wanted->node)->args)));
	}
	PG_RETURN_POINTER(NULL);
}

/* The arguments of tenant_id = ANY (tenants_of(allowed)), which row_allowed holds to. */
static List *
tenant_args(List *args)
{
	Oid			types[1] = {INT8ARRAYOID};
	Oid			tenants = LookupFuncName(list_make2(makeString(FLEET_SCHEMA), makeString("tenants_of")), 1, types, false);

	return list_make2(linitial(args),
					  makeFuncExpr(tenants, INT4ARRAYOID, list_make1(lthird(args)), InvalidOid, InvalidOid,
								   COERCE_EXPLICIT_CALL));
}

/* Does the query itself name the tenant?  Then the policy's word changes nothing for the planner. */
static bool
names_tenant(RelOptInfo *rel, Node *tenant)
{
	ListCell   *lc;

	foreach(lc, rel->baserestrictinfo)
	{
		Node	   *clause = (Node *) ((RestrictInfo *) lfirst(lc))->clause;

		if (is_opclause(clause) && ((OpExpr *) clause)->opno == Int4EqualOperator &&
			(equal(get_leftop(clause), tenant) || equal(get_rightop(clause), tenant)))
			return true;
	}
	return false;
}

/*
 * row_allowed_support(internal) returns internal
 *	  The tenant tells how many rows there will be, and may be looked for in an
 *	  index; that vehicles are limited is rare, and the row itself says.
 */
Datum
row_allowed_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);

	if (IsA(request, SupportRequestSelectivity))
	{
		SupportRequestSelectivity *wanted = (SupportRequestSelectivity *) request;
		Node	   *tenant = linitial(wanted->args);
		RelOptInfo *rel = IsA(tenant, Var) && ((Var *) tenant)->varlevelsup == 0 &&
			((Var *) tenant)->varno < wanted->root->simple_rel_array_size
			? wanted->root->simple_rel_array[((Var *) tenant)->varno] : NULL;

		wanted->selectivity = rel != NULL && names_tenant(rel, tenant) ? 1.0
			: clause_selectivity(wanted->root, (Node *) any_of(Int4EqualOperator, tenant_args(wanted->args)),
								 wanted->varRelid, wanted->jointype, wanted->sjinfo);
		PG_RETURN_POINTER(request);
	}
	if (IsA(request, SupportRequestIndexCondition))
	{
		SupportRequestIndexCondition *wanted = (SupportRequestIndexCondition *) request;
		Oid			operator = get_opfamily_member(wanted->opfamily, INT4OID, INT4OID, BTEqualStrategyNumber);

		if (wanted->indexarg != 0 || !is_funcclause(wanted->node) || !wanted->index->amsearcharray ||
			operator != Int4EqualOperator ||
			!is_pseudo_constant_for_index(wanted->root, lthird(((FuncExpr *) wanted->node)->args), wanted->index) ||
			names_tenant(wanted->index->rel, linitial(((FuncExpr *) wanted->node)->args)))
			PG_RETURN_POINTER(NULL);
		wanted->lossy = true;
		PG_RETURN_POINTER(list_make1(any_of(operator, tenant_args(((FuncExpr *) wanted->node)->args))));
	}
	PG_RETURN_POINTER(NULL);
}
