/*
 * fleet.c
 *	  Module load: a list of calls, and the names that everybody needs.
 */
#include "postgres.h"

#include <limits.h>

#include "catalog/namespace.h"
#include "fmgr.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "fleet.h"
#include "pipeline/batch.h"
#include "pipeline/quota.h"
#include "pipeline/registry.h"
#include "trust/login.h"
#include "trust/trust.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

int			fleet_batch_memory = 256 * 1024;

static void
settings_init(void)
{
	DefineCustomIntVariable("fleet.batch_memory",
							"Memory for the reports of one statement before they are stored in pieces.",
							"A statement that is stored in pieces keeps other ingest statements waiting until it commits.",
							&fleet_batch_memory, 256 * 1024, 64, MAX_KILOBYTES,
							PGC_SUSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("fleet.ingest_sessions",
							"Sessions that share the quotas of events per second with this one.",
							"Each of them gives a tenant its part of what fleet.quota allows.",
							&fleet_ingest_sessions, 1, 1, 10000,
							PGC_USERSET, 0, NULL, NULL, NULL);
	MarkGUCPrefixReserved("fleet");
}

void
_PG_init(void)
{
	login_init();
	settings_init();
	batch_init();
	registry_init();
	trust_init();
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
