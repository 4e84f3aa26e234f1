/*
 * plan.h
 *	  SPI statements that are planned once per backend.
 *
 * Each caller keeps a static SPIPlanPtr, NULL at first.  Must be connected to
 * SPI and run inside owner_begin()/owner_end(), whose search_path the plan is
 * made under.
 */
#ifndef FLEET_PLAN_H
#define FLEET_PLAN_H

#include "executor/spi.h"

/* Rows of a query; an error if it is not one. */
extern SPITupleTable *plan_select(SPIPlanPtr *plan, const char *sql, int nargs,
								  const Oid *types, const Datum *args);
/* Number of rows of a statement without a result; nulls as in SPI_execute_plan or NULL. */
extern uint64 plan_execute(SPIPlanPtr *plan, const char *sql, int nargs,
						   const Oid *types, const Datum *args);
extern uint64 plan_execute_nulls(SPIPlanPtr *plan, const char *sql, int nargs,
								 const Oid *types, const Datum *args, const char *nulls);

/*
 * The pipeline writes tables that its callers may not: between the two calls
 * the owner of fleet.event acts, with a search_path that nobody else chose.
 * On an error the transaction's abort restores both.
 */
typedef struct OwnerGuard
{
	Oid			user;
	int			sec_context;
	int			guc_level;
} OwnerGuard;

extern void owner_begin(OwnerGuard *guard);
extern void owner_end(const OwnerGuard *guard);

#endif							/* FLEET_PLAN_H */
