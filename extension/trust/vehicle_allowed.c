/*
 * vehicle_allowed.c
 *	  What policies ask of each row, and what the planner is to think of it.
 *
 * Conditions of a query that cannot leak may be evaluated before a policy's, in
 * the order of their cost.  EXPLAIN ANALYZE shows whether the policy's own turn
 * ever came, and so whether any row of any tenant met the conditions before it:
 * enough to read every value by halving intervals.  Therefore these functions
 * are declared to cost next to nothing: they come first.
 *
 * Nearly every session may see all vehicles of its tenants.  An operator over
 * the array would make the planner expect a handful of rows and choose plans
 * for these; so it is a function of ours, which says that it refuses nothing.
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
#include "utils/array.h"
#include "utils/lsyscache.h"

#include "compare.h"
#include "fleet.h"

PG_FUNCTION_INFO_V1(tenant_allowed);
PG_FUNCTION_INFO_V1(tenant_allowed_support);
PG_FUNCTION_INFO_V1(vehicle_allowed);
PG_FUNCTION_INFO_V1(vehicle_allowed_support);

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

/* vehicle_allowed(vehicle_id bigint, allowed bigint[]) returns boolean; allowed ascends, null stands for all */
Datum
vehicle_allowed(PG_FUNCTION_ARGS)
{
	int64		vehicle_id;
	ArrayType  *allowed;

	if (PG_ARGISNULL(1))
		PG_RETURN_BOOL(true);
	if (PG_ARGISNULL(0))
		PG_RETURN_BOOL(false);
	vehicle_id = PG_GETARG_INT64(0);
	allowed = PG_GETARG_ARRAYTYPE_P(1);
	if (ARR_NDIM(allowed) != 1 || ARR_HASNULL(allowed) || ARR_ELEMTYPE(allowed) != INT8OID)
		PG_RETURN_BOOL(false);
	PG_RETURN_BOOL(bsearch(&vehicle_id, ARR_DATA_PTR(allowed), ARR_DIMS(allowed)[0],
						   sizeof(int64), compare_int64) != NULL);
}

/* vehicle_allowed_support(internal) returns internal: selectivity 1 */
Datum
vehicle_allowed_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);

	if (IsA(request, SupportRequestSelectivity))
	{
		((SupportRequestSelectivity *) request)->selectivity = 1.0;
		PG_RETURN_POINTER(request);
	}
	PG_RETURN_POINTER(NULL);
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
