/*
 * policy_restore.c
 *	  Lets a dump be restored although it repeats the extension's policies.
 *
 * pg_dump writes the policies of an extension's tables since it cannot tell
 * which of them CREATE EXTENSION makes again, and the restore would fail on
 * the first one.  A restore runs with row_security off, as no ordinary session
 * that is subject to policies can; then the policy of that name gives way.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_policy.h"
#include "commands/event_trigger.h"
#include "commands/extension.h"
#include "commands/policy.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/rls.h"

#include "fleet.h"

PG_FUNCTION_INFO_V1(policy_restore);

/* policy_restore() returns event_trigger: ddl_command_start of CREATE POLICY */
Datum
policy_restore(PG_FUNCTION_ARGS)
{
	EventTriggerData *trigdata;
	CreatePolicyStmt *stmt;
	Oid			relid;
	Oid			policy;
	ObjectAddress address;

	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by event trigger manager", "policy_restore")));
	trigdata = (EventTriggerData *) fcinfo->context;
	if (row_security || creating_extension || !IsA(trigdata->parsetree, CreatePolicyStmt))
		PG_RETURN_VOID();
	stmt = (CreatePolicyStmt *) trigdata->parsetree;
	/* no lock before the right to it is known: it would stop everybody */
	relid = RangeVarGetRelid(stmt->table, NoLock, true);
	if (!OidIsValid(relid) || !fleet_owns_table(relid, GetUserId()) ||
		getExtensionOfObject(RelationRelationId, relid) != get_extension_oid(FLEET_SCHEMA, true))
		PG_RETURN_VOID();
	LockRelationOid(relid, AccessExclusiveLock);
	policy = get_relation_policy_oid(relid, stmt->policy_name, true);
	if (!OidIsValid(policy))
		PG_RETURN_VOID();
	ObjectAddressSet(address, PolicyRelationId, policy);
	performDeletion(&address, DROP_RESTRICT, 0);
	CommandCounterIncrement();
	PG_RETURN_VOID();
}
