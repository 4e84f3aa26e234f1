/*
 * contract.h
 *	  Stage 2: what a report must satisfy to become an event.
 */
#ifndef FLEET_CONTRACT_H
#define FLEET_CONTRACT_H

#include "nodes/pg_list.h"
#include "pipeline/report.h"
#include "utils/jsonb.h"

/* Columns with a plausible range of their own. */
typedef enum ReportColumn
{
	COLUMN_ALTITUDE, COLUMN_ACCURACY, COLUMN_SPEED, COLUMN_HEADING
} ReportColumn;

#define REPORT_COLUMNS (COLUMN_HEADING + 1)

typedef struct Range
{
	double		min;			/* inclusive, may be infinite */
	double		max;
} Range;

/* A contract ready for checking; lives in the registry's cache. */
typedef struct Contract
{
	int64		horizon_us;		/* older than this is refused */
	int64		max_ahead_us;	/* further in the future than this is refused */
	bool		allow_null_island;
	int			nschema_versions;
	int32	   *schema_versions;
	bool		location_required;
	bool		column_required[REPORT_COLUMNS];
	int			nrequired;		/* signals */
	SignalKey  *required;
	Range		column_range[REPORT_COLUMNS];
	Range	   *signal_range;	/* by dictionary number */
	int			nextra_ranges;	/* of names that are not well known */
	SignalKey  *extra_key;
	Range	   *extra_range;
} Contract;

/* Defaults as in the table's column defaults; allocates in CurrentMemoryContext. */
extern void contract_default(Contract *contract);
/* Overrides from the columns of fleet.contract; strings are copied. */
extern void contract_set_required(Contract *contract, ArrayType *names);
extern void contract_set_ranges(Contract *contract, Jsonb *ranges);
extern void contract_set_schema_versions(Contract *contract, ArrayType *versions);

/*
 * Checks one report against the contract at time `now`.  Sets location and
 * has_location, or the verdict with code, field and value.
 */
extern void contract_check(const Contract *contract, Report *report, TimestampTz now);

/*
 * Of a report that was rejected for whatever reason: nothing of it is kept when
 * there is a VIN in it, and that is then what is wrong with it.
 */
extern void contract_withhold(Report *report);

/* Marks a report as rejected; strings are kept, not copied. */
extern void report_reject(Report *report, DefectCode code, const char *field, const char *value);
/* DEFECT_MALFORMED for a name that is not in the list. */
extern DefectCode defect_code_by_name(const char *name, int len);

#endif							/* FLEET_CONTRACT_H */
