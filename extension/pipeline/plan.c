/*
 * plan.c
 *	  SPI statements planned once, and the rights under which they run.
 */
#include "postgres.h"

#include "access/table.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/rel.h"

#include "fleet.h"
#include "pipeline/plan.h"

static int
run(SPIPlanPtr *plan, const char *sql, int nargs, const Oid *types,
	const Datum *args, const char *nulls)
{
	int			rc;

	if (*plan == NULL)
	{
		SPIPlanPtr	p = SPI_prepare(sql, nargs, unconstify(Oid *, types));

		if (p == NULL)
			elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
		SPI_keepplan(p);
		*plan = p;
	}
	rc = SPI_execute_plan(*plan, unconstify(Datum *, args), nulls, false, 0);
	if (rc < 0)
		elog(ERROR, "SPI_execute_plan failed: %s", SPI_result_code_string(rc));
	return rc;
}

SPITupleTable *
plan_select(SPIPlanPtr *plan, const char *sql, int nargs, const Oid *types, const Datum *args)
{
	run(plan, sql, nargs, types, args, NULL);
	if (SPI_tuptable == NULL)
		elog(ERROR, "statement returned no rows");
	return SPI_tuptable;
}

uint64
plan_execute_nulls(SPIPlanPtr *plan, const char *sql, int nargs, const Oid *types,
				   const Datum *args, const char *nulls)
{
	run(plan, sql, nargs, types, args, nulls);
	return SPI_processed;
}

uint64
plan_execute(SPIPlanPtr *plan, const char *sql, int nargs, const Oid *types, const Datum *args)
{
	return plan_execute_nulls(plan, sql, nargs, types, args, NULL);
}

void
owner_begin(OwnerGuard *guard)
{
	Relation	event = table_open(fleet_relation_oid("event"), AccessShareLock);
	Oid			owner = event->rd_rel->relowner;

	table_close(event, NoLock);
	GetUserIdAndSecContext(&guard->user, &guard->sec_context);
	SetUserIdAndSecContext(owner, guard->sec_context | SECURITY_LOCAL_USERID_CHANGE);
	guard->guc_level = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, fleet, pg_temp",
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

void
owner_end(const OwnerGuard *guard)
{
	AtEOXact_GUC(false, guard->guc_level);
	SetUserIdAndSecContext(guard->user, guard->sec_context);
}
