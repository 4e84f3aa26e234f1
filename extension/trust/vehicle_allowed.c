/*
 * vehicle_allowed.c
 *	  The part of a policy that concerns vehicles, and what the planner is to
 *	  think of it.
 *
 * Nearly every session may see all vehicles of its tenants.  An operator over
 * the array would make the planner expect a handful of rows and choose plans
 * for these; so it is a function of ours, which says that it refuses nothing.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "nodes/supportnodes.h"
#include "utils/array.h"

#include "compare.h"
#include "fleet.h"

PG_FUNCTION_INFO_V1(vehicle_allowed);
PG_FUNCTION_INFO_V1(vehicle_allowed_support);

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
