/*
 * trust.c
 *	  The tenants of this session, for policies and for functions.
 *
 * Policies ask once per statement (an init plan) and compare tenant_id with
 * the answer, so that security costs a comparison per row and indexes keep
 * their use.  The grants are read once per backend and kept until the table
 * changes, see registry.c for how a backend hears of that.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "compare.h"
#include "fleet.h"
#include "trust/identity.h"
#include "trust/trust.h"

#define FIRST_TENANT 1			/* of a fresh installation */

#define GRANT_REVOKED_AT 5		/* column of fleet.tenant_grant */

typedef struct Grant
{
	Oid			role;
	int32		tenant_id;
	bool		live;			/* not revoked */
} Grant;

static const char *const level_names[] = {
	[TRUST_INGEST] = "ingest",
	[TRUST_READER] = "reader",
	[TRUST_OPERATOR] = "operator",
	[TRUST_ADMIN] = "admin"
};

static Grant *grants = NULL;	/* by role, then tenant */
static int	ngrants = 0;
static bool grants_known = false;
static Oid	grants_relid = InvalidOid;

PG_FUNCTION_INFO_V1(allowed_tenants);
PG_FUNCTION_INFO_V1(allowed_rows);
PG_FUNCTION_INFO_V1(allowed_vehicles);
PG_FUNCTION_INFO_V1(logged_in);
PG_FUNCTION_INFO_V1(require);
PG_FUNCTION_INFO_V1(session_subject);
PG_FUNCTION_INFO_V1(acting_role);
PG_FUNCTION_INFO_V1(session_tenant);
PG_FUNCTION_INFO_V1(serves_tenant);

bool
trust_find_level(const char *name, TrustLevel *level)
{
	for (int i = 0; i < lengthof(level_names); i++)
		if (strcmp(name, level_names[i]) == 0)
		{
			*level = (TrustLevel) i;
			return true;
		}
	return false;
}

TrustLevel
trust_level(const char *name)
{
	TrustLevel	level = TRUST_INGEST;

	if (!trust_find_level(name, &level))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown role \"%s\"", name),
				 errhint("Roles are ingest, reader, operator and admin.")));
	return level;
}

/* --- grants --- */

static int
compare_grant(const void *a, const void *b)
{
	const Grant *x = a;
	const Grant *y = b;

	if (x->role != y->role)
		return x->role < y->role ? -1 : 1;
	return (x->tenant_id > y->tenant_id) - (x->tenant_id < y->tenant_id);
}

/* Reads fleet.tenant_grant (role, tenant_id, ..., revoked_at) below all rights. */
static void
grants_read(void)
{
	Relation	rel;
	TableScanDesc scan;
	TupleTableSlot *slot;
	Snapshot	snapshot;
	Grant	   *read = NULL;
	int			n = 0;
	int			room = 0;

	grants_relid = fleet_relation_oid("tenant_grant");
	rel = table_open(grants_relid, AccessShareLock);
	/* a new one, as for catalogs: this may be asked while a parallel plan runs, which allows no other */
	snapshot = RegisterSnapshot(GetCatalogSnapshot(grants_relid));
	slot = table_slot_create(rel, NULL);
	/* set first: an invalidation that comes while we read must not be missed */
	grants_known = true;
	scan = table_beginscan(rel, snapshot, 0, NULL);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		bool		isnull;

		if (n == room)
		{
			room = room ? room * 2 : 64;
			read = read ? repalloc_huge(read, room * sizeof(Grant))
				: MemoryContextAllocHuge(CacheMemoryContext, room * sizeof(Grant));
		}
		read[n].role = DatumGetObjectId(slot_getattr(slot, 1, &isnull));
		read[n].tenant_id = DatumGetInt32(slot_getattr(slot, 2, &isnull));
		(void) slot_getattr(slot, GRANT_REVOKED_AT, &isnull);
		read[n].live = isnull;
		n++;
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);

	if (n > 1)
		qsort(read, n, sizeof(Grant), compare_grant);
	if (grants != NULL)
		pfree(grants);
	grants = read;
	ngrants = n;
}

static void
grants_changed(Datum arg, Oid relid)
{
	if (relid == InvalidOid || relid == grants_relid)
		grants_known = false;
}

/* The tenants granted to user, ascending and distinct; *result is palloc'd. */
static int
granted(Oid user, int32 **result)
{
	int32	   *tenants;
	int			n = 0;
	int			distinct = 0;

	/* of a transaction whose locks are all taken, nobody else asks for news */
	AcceptInvalidationMessages();
	if (!grants_known)
		grants_read();
	tenants = palloc(Max(ngrants, 1) * sizeof(int32));
	for (int i = 0, last; i < ngrants; i = last)
	{
		bool		has = has_privs_of_role(user, grants[i].role);

		for (last = i; last < ngrants && grants[last].role == grants[i].role; last++)
			if (has && grants[last].live)
				tenants[n++] = grants[last].tenant_id;
	}
	if (n > 1)
		qsort(tenants, n, sizeof(int32), compare_int32);
	for (int i = 0; i < n; i++)
		if (i == 0 || tenants[i] != tenants[distinct - 1])
			tenants[distinct++] = tenants[i];
	*result = tenants;
	return distinct;
}

/* Is or was user bound to a tenant? */
static bool
ever_bound(Oid user)
{
	if (!grants_known)
		grants_read();
	for (int i = 0; i < ngrants; i++)
		if ((i == 0 || grants[i].role != grants[i - 1].role) && has_privs_of_role(user, grants[i].role))
			return true;
	return false;
}

/* --- questions --- */

static bool
identity_allows(const TrustIdentity *who, const char *area, TrustLevel level)
{
	if (who->level < level || GetCurrentTimestamp() >= who->expires)
		return false;
	if (who->nscopes < 0)
		return true;
	for (int i = 0; i < who->nscopes; i++)
		if (strcmp(who->scopes[i], area) == 0)
			return true;
	return false;
}

/*
 * In a function that works with more rights it is the caller who is asked,
 * which is taken to be the session's role.  Where PostgreSQL evaluates what
 * somebody has attached to a table of his (an index's expression while a
 * superuser analyzes it) the two differ, and nobody's rights will do.
 */
static Oid
asking_user(void)
{
	if (!InLocalUserIdChange())
		return GetUserId();
	return InSecurityRestrictedOperation() ? InvalidOid : GetOuterUserId();
}

static bool
has_role(Oid user, const char *name)
{
	Oid			role = get_role_oid(name, true);

	return OidIsValid(role) && has_privs_of_role(user, role);
}

static bool
is_owner(Oid user)
{
	return superuser_arg(user) || has_role(user, "fleet_owner");
}

bool
trust_allows(int32 tenant_id, const char *area, TrustLevel level)
{
	const TrustIdentity *who = trust_identity();
	Oid			user = asking_user();
	int32	   *tenants;
	int			n;

	if (superuser_arg(user))
		return true;
	if (who != NULL)
		return who->tenant_id == tenant_id && identity_allows(who, area, level);
	if (is_owner(user))
		return true;
	n = granted(user, &tenants);
	return bsearch(&tenant_id, tenants, n, sizeof(int32), compare_int32) != NULL;
}

bool
trust_allows_vehicle(int64 vehicle_id)
{
	const TrustIdentity *who = trust_identity();

	if (trust_allows_all_vehicles())
		return true;
	return who->nvehicles > 0 &&
		bsearch(&vehicle_id, who->vehicles, who->nvehicles, sizeof(int64), compare_int64) != NULL;
}

bool
trust_allows_all_vehicles(void)
{
	const TrustIdentity *who = trust_identity();

	return who == NULL || who->nvehicles < 0 || superuser_arg(asking_user());
}

void
trust_require(int32 tenant_id, const char *area, TrustLevel level)
{
	if (!trust_allows(tenant_id, area, level))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for tenant %d", tenant_id),
				 errhint("fleet.grant_tenant() binds a role to a tenant, fleet.login() a session.")));
}

/*
 * A daemon's role, which was never bound to a tenant and cannot read.  A
 * binding that is taken away must not widen what a role may do, nor SET ROLE
 * to a group what a member may; and a pool that reads must say whom it acts for.
 */
static bool
only_sends(Oid user)
{
	Oid			session = GetSessionUserId();

	return !ever_bound(user) && !has_role(user, "fleet_reader") &&
		(superuser_arg(session) || (!ever_bound(session) && !has_role(session, "fleet_reader")));
}

bool
trust_allows_ingest(Oid user, int32 tenant_id)
{
	const TrustIdentity *who = trust_identity();
	int32	   *tenants;
	int			n;

	if (superuser_arg(user))
		return true;
	if (who != NULL)
		return who->tenant_id == tenant_id && who->nvehicles < 0 &&
			identity_allows(who, "ingest", TRUST_INGEST);
	if (is_owner(user))
		return true;
	n = granted(user, &tenants);
	if (n == 0)
		return has_role(user, "fleet_daemon") || only_sends(user);
	return bsearch(&tenant_id, tenants, n, sizeof(int32), compare_int32) != NULL;
}

/* --- SQL --- */

/* The tenants that a policy lets pass, ascending; *tenants is palloc'd. */
static int
tenants_for_policy(FunctionCallInfo fcinfo, int32 **tenants)
{
	char	   *area = text_to_cstring(PG_GETARG_TEXT_PP(0));
	TrustLevel	level = trust_level(text_to_cstring(PG_GETARG_TEXT_PP(1)));
	const TrustIdentity *who = trust_identity();

	if (who == NULL)
		return granted(GetUserId(), tenants);
	*tenants = palloc(sizeof(int32));
	(*tenants)[0] = who->tenant_id;
	return identity_allows(who, area, level) ? 1 : 0;
}

/* allowed_tenants(area text, level text) returns integer[]: for policies; not the superuser's way */
Datum
allowed_tenants(PG_FUNCTION_ARGS)
{
	int32	   *tenants;
	int			n = tenants_for_policy(fcinfo, &tenants);
	Datum	   *elements = palloc(Max(n, 1) * sizeof(Datum));

	for (int i = 0; i < n; i++)
		elements[i] = Int32GetDatum(tenants[i]);
	PG_RETURN_ARRAYTYPE_P(construct_array(elements, n, INT4OID, sizeof(int32), true, TYPALIGN_INT));
}

/* allowed_rows(area text, level text) returns bigint[]: tenants and vehicles at once, see row_allowed.c */
Datum
allowed_rows(PG_FUNCTION_ARGS)
{
	int32	   *tenants;
	int			n = tenants_for_policy(fcinfo, &tenants);
	const TrustIdentity *who = trust_identity();
	int			nvehicles = who != NULL ? Max(who->nvehicles, 0) : 0;
	Datum	   *elements = palloc((n + nvehicles + 2) * sizeof(Datum));
	int			k = 0;

	elements[k++] = Int64GetDatum(n);
	elements[k++] = Int64GetDatum(who != NULL && who->nvehicles >= 0);
	for (int i = 0; i < n; i++)
		elements[k++] = Int64GetDatum(tenants[i]);
	for (int i = 0; i < nvehicles; i++)
		elements[k++] = Int64GetDatum(who->vehicles[i]);
	PG_RETURN_ARRAYTYPE_P(construct_array(elements, k, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* allowed_vehicles() returns bigint[]: null for all of the tenant's */
Datum
allowed_vehicles(PG_FUNCTION_ARGS)
{
	const TrustIdentity *who = trust_identity();
	Datum	   *elements;

	if (who == NULL || who->nvehicles < 0)
		PG_RETURN_NULL();
	elements = palloc(Max(who->nvehicles, 1) * sizeof(Datum));
	for (int i = 0; i < who->nvehicles; i++)
		elements[i] = Int64GetDatum(who->vehicles[i]);
	PG_RETURN_ARRAYTYPE_P(construct_array(elements, who->nvehicles, INT8OID, sizeof(int64),
										  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* logged_in() returns boolean: has this session proved itself with a token? */
Datum
logged_in(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(trust_identity() != NULL);
}

/* require(tenant_id integer, area text, level text, vehicle_id bigint): an error, or nothing */
Datum
require(PG_FUNCTION_ARGS)
{
	TrustLevel	level;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("tenant, area and role must not be null")));
	level = trust_level(text_to_cstring(PG_GETARG_TEXT_PP(2)));
	trust_require(PG_GETARG_INT32(0), text_to_cstring(PG_GETARG_TEXT_PP(1)), level);
	if (!PG_ARGISNULL(3) && !trust_allows_vehicle(PG_GETARG_INT64(3)))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for vehicle " INT64_FORMAT, PG_GETARG_INT64(3))));
	PG_RETURN_VOID();
}

/* session_subject() returns text: sub of the token, or null */
Datum
session_subject(PG_FUNCTION_ARGS)
{
	const TrustIdentity *who = trust_identity();

	if (who == NULL || who->subject == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(who->subject));
}

/* session_tenant() returns integer: the one that is meant when none is named */
Datum
session_tenant(PG_FUNCTION_ARGS)
{
	const TrustIdentity *who = trust_identity();
	int32	   *tenants;

	if (who != NULL)
		PG_RETURN_INT32(who->tenant_id);
	/* a superuser has the privileges of every role, and so every grant */
	if (!superuser_arg(GetUserId()) && granted(GetUserId(), &tenants) == 1)
		PG_RETURN_INT32(tenants[0]);
	PG_RETURN_INT32(FIRST_TENANT);
}

/* serves_tenant(tenant_id integer) returns boolean: as a sender of reports, and so as a daemon, does this session act for it? */
Datum
serves_tenant(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(trust_allows_ingest(asking_user(), PG_GETARG_INT32(0)));
}

/* acting_role() returns text: the caller's, in a function with its owner's rights too */
Datum
acting_role(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(GetUserNameFromId(InLocalUserIdChange() ? GetOuterUserId() : GetUserId(), false)));
}

void
trust_init(void)
{
	identity_init();
	CacheRegisterRelcacheCallback(grants_changed, (Datum) 0);
}
