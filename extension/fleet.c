/*
 * fleet.c
 *	  Module load: a list of calls, and the names that everybody needs.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "fmgr.h"
#include "utils/lsyscache.h"

#include "fleet.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

void
_PG_init(void)
{
}

Oid
fleet_schema_oid(void)
{
	return get_namespace_oid(FLEET_SCHEMA, false);
}

Oid
fleet_relation_oid(const char *name)
{
	Oid			relid = get_relname_relid(name, fleet_schema_oid());

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table \"%s.%s\" does not exist", FLEET_SCHEMA, name),
				 errhint("Run CREATE EXTENSION fleet in this database.")));
	return relid;
}
