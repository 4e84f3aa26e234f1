/*
 * registry.c
 *	  Stage 1: source and device -> tenant and vehicle, cached in the backend.
 *
 * Tables that rarely change (tenant, source, contract) and identities (vehicle,
 * device) are read once and kept until another session changes them: statement
 * triggers on those tables call fleet.invalidate_cache(), which sends a
 * relcache invalidation of the table; the callback here only marks the cache
 * stale, and the next batch starts with an empty one.  A new device or vehicle
 * makes nothing stale, since absence is never cached.
 *
 * What this transaction itself registered may be rolled back, so an abort
 * after a registration empties the cache too.
 */
#include "postgres.h"

#include "access/hash.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "fleet.h"
#include "pipeline/live.h"
#include "pipeline/plan.h"
#include "pipeline/registry.h"

/* Beyond this many devices the cache is emptied; some 200 bytes each. */
#define REGISTRY_MAX_DEVICES 500000

typedef struct DeviceKey
{
	int32		tenant_id;
	int32		len;
	const char *identity;
} DeviceKey;

typedef struct DeviceEntry
{
	DeviceKey	key;
	RegistryVehicle vehicle;
} DeviceEntry;

typedef struct TenantEntry
{
	int32		tenant_id;
	bool		exists;
	RegistryTenant tenant;
} TenantEntry;

static MemoryContext registry_context = NULL;	/* child of CacheMemoryContext */
static HTAB *devices;
static HTAB *tenants;
static HTAB *sources;
static bool registry_stale = false;
static bool registered_here = false;	/* in the current transaction */

/* A change of one of these, seen as a relcache invalidation, empties the cache. */
static const char *const watched_tables[] = {"tenant", "contract", "source", "vehicle", "device", "quota"};
static Oid	watched_relid[lengthof(watched_tables)];

PG_FUNCTION_INFO_V1(invalidate_cache);

/* --- the cache --- */

static uint32
device_hash(const void *key, Size keysize)
{
	const DeviceKey *k = key;

	return DatumGetUInt32(hash_any((const unsigned char *) k->identity, k->len)) ^
		(uint32) k->tenant_id * 0x9E3779B1;
}

static int
device_match(const void *a, const void *b, Size keysize)
{
	const DeviceKey *x = a;
	const DeviceKey *y = b;

	return !(x->tenant_id == y->tenant_id && x->len == y->len &&
			 memcmp(x->identity, y->identity, x->len) == 0);
}

static void
registry_create(void)
{
	HASHCTL		ctl = {0};

	for (int i = 0; i < lengthof(watched_tables); i++)
		watched_relid[i] = fleet_relation_oid(watched_tables[i]);
	registry_context = AllocSetContextCreate(CacheMemoryContext, "fleet registry",
											 ALLOCSET_DEFAULT_SIZES);
	ctl.hcxt = registry_context;
	ctl.keysize = sizeof(DeviceKey);
	ctl.entrysize = sizeof(DeviceEntry);
	ctl.hash = device_hash;
	ctl.match = device_match;
	devices = hash_create("fleet devices", 1024, &ctl,
						  HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
	ctl.keysize = sizeof(int32);
	ctl.entrysize = sizeof(TenantEntry);
	tenants = hash_create("fleet tenants", 16, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	ctl.entrysize = sizeof(RegistrySource);
	sources = hash_create("fleet sources", 16, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

void
registry_begin(bool nested)
{
	/* pick up what others have committed before this statement's locks */
	AcceptInvalidationMessages();
	if (nested)
		return;
	if (registry_context != NULL && !registry_stale &&
		hash_get_num_entries(devices) <= REGISTRY_MAX_DEVICES)
		return;
	if (registry_context != NULL)
		MemoryContextDelete(registry_context);
	registry_context = NULL;
	registry_stale = false;
	registry_create();
}

static void
registry_relcache_callback(Datum arg, Oid relid)
{
	/* no catalog may be read here, so the tables were looked up before */
	if (relid == InvalidOid)
		registry_stale = true;
	for (int i = 0; i < lengthof(watched_tables); i++)
		if (relid == watched_relid[i])
			registry_stale = true;
}

void
registry_abort(void)
{
	if (registered_here)
		registry_stale = true;
}

void
registry_end_transaction(void)
{
	registered_here = false;
}

void
registry_init(void)
{
	CacheRegisterRelcacheCallback(registry_relcache_callback, (Datum) 0);
}

/*
 * invalidate_cache() returns trigger
 *	  AFTER ... FOR EACH STATEMENT: tells every backend that what it remembers
 *	  of this table is stale, when and if the transaction commits.
 */
Datum
invalidate_cache(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager", "invalidate_cache")));
	if (!TRIGGER_FIRED_AFTER(trigdata->tg_event) || !TRIGGER_FIRED_FOR_STATEMENT(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be fired after a statement", "invalidate_cache")));
	CacheInvalidateRelcache(trigdata->tg_relation);
	PG_RETURN_POINTER(NULL);
}

/* --- tenants and sources --- */

static void
tenant_load(TenantEntry *entry)
{
	static SPIPlanPtr plan = NULL;
	Datum		args[1] = {Int32GetDatum(entry->tenant_id)};
	Oid			types[1] = {INT4OID};
	RegistryTenant *t = &entry->tenant;
	SPITupleTable *result;
	TupleDesc	desc;
	HeapTuple	row;
	MemoryContext old;
	bool		isnull;
	Datum		d;

	result = plan_select(&plan,
						 "SELECT t.auto_register, t.channel_key, c.horizon_us, c.max_ahead_us,"
						 " c.allow_null_island, c.schema_versions, c.required, c.ranges,"
						 " t.notify = 'keys'"
						 " FROM fleet.tenant t LEFT JOIN fleet.contract c USING (tenant_id)"
						 " WHERE t.tenant_id = $1", 1, types, args);
	entry->exists = result->numvals == 1;
	if (!entry->exists)
		return;
	desc = result->tupdesc;
	row = result->vals[0];

	t->tenant_id = entry->tenant_id;
	t->auto_register = DatumGetBool(SPI_getbinval(row, desc, 1, &isnull));
	t->notify_keys = DatumGetBool(SPI_getbinval(row, desc, 9, &isnull));
	d = SPI_getbinval(row, desc, 2, &isnull);
	for (int topic = 0; topic < CHANNEL_TOPICS; topic++)
		channel_name(DatumGetByteaPP(d), (Topic) topic, t->channel[topic]);

	old = MemoryContextSwitchTo(registry_context);
	contract_default(&t->contract);
	d = SPI_getbinval(row, desc, 3, &isnull);
	if (!isnull)
	{
		t->contract.horizon_us = DatumGetInt64(d);
		t->contract.max_ahead_us = DatumGetInt64(SPI_getbinval(row, desc, 4, &isnull));
		t->contract.allow_null_island = DatumGetBool(SPI_getbinval(row, desc, 5, &isnull));
		contract_set_schema_versions(&t->contract,
									 DatumGetArrayTypePCopy(SPI_getbinval(row, desc, 6, &isnull)));
		contract_set_required(&t->contract,
							  DatumGetArrayTypePCopy(SPI_getbinval(row, desc, 7, &isnull)));
		contract_set_ranges(&t->contract,
							DatumGetJsonbPCopy(SPI_getbinval(row, desc, 8, &isnull)));
	}
	MemoryContextSwitchTo(old);
	t->quota = quota_load(entry->tenant_id);
}

const RegistryTenant *
registry_tenant(int32 tenant_id)
{
	bool		found;
	TenantEntry *entry = hash_search(tenants, &tenant_id, HASH_ENTER, &found);

	if (!found)
	{
		entry->exists = false;
		PG_TRY();
		{
			tenant_load(entry);
		}
		PG_CATCH();
		{
			hash_search(tenants, &tenant_id, HASH_REMOVE, NULL);
			PG_RE_THROW();
		}
		PG_END_TRY();
	}
	if (entry->exists)
		return &entry->tenant;
	hash_search(tenants, &tenant_id, HASH_REMOVE, NULL);	/* absence is not cached */
	return NULL;
}

static int
compare_name(const void *a, const void *b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

static void
source_set_devices(RegistrySource *source, ArrayType *array)
{
	MemoryContext old = MemoryContextSwitchTo(registry_context);
	Datum	   *names;
	int			n;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &names, NULL, &n);
	source->devices = palloc(Max(n, 1) * sizeof(char *));
	for (int i = 0; i < n; i++)
		source->devices[i] = TextDatumGetCString(names[i]);
	pfree(names);
	if (n > 1)
		qsort(source->devices, n, sizeof(char *), compare_name);
	source->ndevices = n;
	MemoryContextSwitchTo(old);
}

const RegistrySource *
registry_source(int32 source_id)
{
	static SPIPlanPtr plan = NULL;
	Datum		args[1] = {Int32GetDatum(source_id)};
	Oid			types[1] = {INT4OID};
	SPITupleTable *result;
	RegistrySource *source;
	RegistrySource loaded = {0};
	bool		isnull;
	Datum		d;

	source = hash_search(sources, &source_id, HASH_FIND, NULL);
	if (source != NULL)
		return source;
	result = plan_select(&plan,
						 "SELECT tenant_id, revoked_at IS NOT NULL, expires_at, devices FROM fleet.source"
						 " WHERE source_id = $1", 1, types, args);
	if (result->numvals == 0)
		return NULL;
	loaded.source_id = source_id;
	loaded.tenant_id = DatumGetInt32(SPI_getbinval(result->vals[0], result->tupdesc, 1, &isnull));
	loaded.revoked = DatumGetBool(SPI_getbinval(result->vals[0], result->tupdesc, 2, &isnull));
	d = SPI_getbinval(result->vals[0], result->tupdesc, 3, &isnull);
	loaded.expires_at = isnull ? DT_NOEND : DatumGetTimestampTz(d);
	d = SPI_getbinval(result->vals[0], result->tupdesc, 4, &isnull);
	if (!isnull)
		source_set_devices(&loaded, DatumGetArrayTypeP(d));
	source = hash_search(sources, &source_id, HASH_ENTER, NULL);
	*source = loaded;
	return source;
}

bool
registry_source_brings(const RegistrySource *source, const char *device)
{
	return source->devices == NULL ||
		bsearch(&device, source->devices, source->ndevices, sizeof(char *), compare_name) != NULL;
}

/* --- devices --- */

static DeviceEntry *
device_find(int32 tenant_id, const char *identity)
{
	DeviceKey	key = {tenant_id, strlen(identity), identity};

	return hash_search(devices, &key, HASH_FIND, NULL);
}

static void
device_remember(int32 tenant_id, const char *identity, int64 vehicle_id,
				const char *name, const char *type)
{
	DeviceKey	key = {tenant_id, strlen(identity), identity};
	DeviceEntry *entry;
	bool		found;

	key.identity = MemoryContextStrdup(registry_context, identity);
	entry = hash_search(devices, &key, HASH_ENTER, &found);
	entry->vehicle.vehicle_id = vehicle_id;
	entry->vehicle.name = MemoryContextStrdup(registry_context, name);
	entry->vehicle.type = type ? MemoryContextStrdup(registry_context, type) : NULL;
}

static ArrayType *
text_array(char **texts, int n)
{
	Datum	   *elems = palloc(n * sizeof(Datum));

	for (int i = 0; i < n; i++)
		elems[i] = CStringGetTextDatum(texts[i]);
	return construct_array(elems, n, TEXTOID, -1, false, TYPALIGN_INT);
}

/* Sorted, distinct identities as text[]; the sort fixes the order of locks. */
static ArrayType *
identity_array(char **identities, int n)
{
	int			distinct = 0;

	qsort(identities, n, sizeof(char *), compare_name);
	for (int i = 0; i < n; i++)
		if (distinct == 0 || strcmp(identities[distinct - 1], identities[i]) != 0)
			identities[distinct++] = identities[i];
	return text_array(identities, distinct);
}

static void
devices_load(int32 tenant_id, ArrayType *identities)
{
	static SPIPlanPtr plan = NULL;
	Datum		args[2] = {Int32GetDatum(tenant_id), PointerGetDatum(identities)};
	Oid			types[2] = {INT4OID, TEXTARRAYOID};
	SPITupleTable *result;

	result = plan_select(&plan,
						 "SELECT d.identity, v.vehicle_id, v.name, v.vehicle_type"
						 " FROM fleet.device d JOIN fleet.vehicle v USING (vehicle_id)"
						 " WHERE d.tenant_id = $1 AND d.identity = ANY ($2)", 2, types, args);
	for (uint64 i = 0; i < result->numvals; i++)
	{
		HeapTuple	row = result->vals[i];
		TupleDesc	desc = result->tupdesc;
		bool		isnull;

		device_remember(tenant_id, SPI_getvalue(row, desc, 1),
						DatumGetInt64(SPI_getbinval(row, desc, 2, &isnull)),
						SPI_getvalue(row, desc, 3), SPI_getvalue(row, desc, 4));
	}
}

/*
 * Vehicles and devices for identities that report for the first time.  Two
 * sessions may meet here: both insert in the order of the names, the second
 * waits and then finds the first one's rows.
 */
static void
devices_register(int32 tenant_id, ArrayType *identities)
{
	static SPIPlanPtr plan_vehicle = NULL;
	static SPIPlanPtr plan_device = NULL;
	Datum		args[2] = {Int32GetDatum(tenant_id), PointerGetDatum(identities)};
	Oid			types[2] = {INT4OID, TEXTARRAYOID};

	registered_here = true;
	plan_execute(&plan_vehicle,
				 "INSERT INTO fleet.vehicle (tenant_id, name)"
				 " SELECT $1, i FROM pg_catalog.unnest($2) WITH ORDINALITY AS u (i, n) ORDER BY n"
				 " ON CONFLICT (tenant_id, name) DO NOTHING", 2, types, args);
	plan_execute(&plan_device,
				 "INSERT INTO fleet.device (tenant_id, identity, vehicle_id)"
				 " SELECT $1, i, v.vehicle_id FROM pg_catalog.unnest($2) WITH ORDINALITY AS u (i, n)"
				 " JOIN fleet.vehicle v ON v.tenant_id = $1 AND v.name = i ORDER BY n"
				 " ON CONFLICT (tenant_id, identity) DO NOTHING", 2, types, args);
}

/* The same, unless another session has meanwhile taken the room there was: false. */
static bool
devices_register_within_quota(int32 tenant_id, ArrayType *identities)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		devices_register(tenant_id, identities);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (error != NULL && error->sqlerrcode != ERRCODE_CONFIGURATION_LIMIT_EXCEEDED)
		ReThrowError(error);
	return error == NULL;
}

/*
 * Of identities in the order of arrival: registers those for which the tenant's
 * quota has room.  Rows are locked in the order of names, and the quota only
 * then, by the trigger; so the room is looked at first, and may be gone by then.
 */
static void
devices_register_some(const RegistryTenant *tenant, char **identities, int n)
{
	/* the cache's own; what it learns here is void when the transaction is */
	TenantEntry *entry = hash_search(tenants, &tenant->tenant_id, HASH_FIND, NULL);
	ArrayType  *arrived = text_array(identities, n);
	ArrayType  *chosen;

	registered_here = true;
	do
	{
		CHECK_FOR_INTERRUPTS();
		chosen = quota_choose_vehicles(tenant->tenant_id, &entry->tenant.quota, arrived);
		if (chosen == NULL)
			return;
	} while (!devices_register_within_quota(tenant->tenant_id, chosen));
	devices_load(tenant->tenant_id, chosen);
}

static void
report_set_vehicle(Report *report, const DeviceEntry *entry)
{
	report->vehicle_id = entry->vehicle.vehicle_id;
	report->vehicle = &entry->vehicle;
}

/* One tenant's reports whose device is not in the cache. */
static void
resolve_missing(const RegistryTenant *tenant, Report **missing, int n)
{
	char	  **identities = palloc(n * sizeof(char *));
	int			nunknown = 0;

	for (int i = 0; i < n; i++)
		identities[i] = unconstify(char *, missing[i]->device);
	devices_load(tenant->tenant_id, identity_array(identities, n));

	for (int i = 0; i < n; i++)
		if (device_find(tenant->tenant_id, missing[i]->device) == NULL)
			identities[nunknown++] = unconstify(char *, missing[i]->device);
	if (nunknown > 0 && tenant->auto_register && tenant->quota.vehicles >= 0)
		devices_register_some(tenant, identities, nunknown);
	else if (nunknown > 0 && tenant->auto_register)
	{
		ArrayType  *unknown = identity_array(identities, nunknown);

		devices_register(tenant->tenant_id, unknown);
		devices_load(tenant->tenant_id, unknown);
	}

	for (int i = 0; i < n; i++)
	{
		DeviceEntry *entry = device_find(tenant->tenant_id, missing[i]->device);

		if (entry != NULL)
			report_set_vehicle(missing[i], entry);
		else if (tenant->auto_register && tenant->quota.vehicles >= 0)
			report_reject(missing[i], DEFECT_OVER_QUOTA, "device", missing[i]->device);
		else
			report_reject(missing[i], DEFECT_UNKNOWN_DEVICE, "device", missing[i]->device);
	}
}

/* By tenant, and then in the order of arrival. */
static int
compare_tenant(const void *a, const void *b)
{
	const Report *x = *(Report *const *) a;
	const Report *y = *(Report *const *) b;

	if (x->tenant_id != y->tenant_id)
		return x->tenant_id < y->tenant_id ? -1 : 1;
	return (x->ordinal > y->ordinal) - (x->ordinal < y->ordinal);
}

void
registry_vehicles(Report **reports, int64 nreports)
{
	Report	  **missing = NULL;
	int			nmissing = 0;

	for (int64 i = 0; i < nreports; i++)
	{
		Report	   *r = reports[i];
		DeviceEntry *entry;

		if (r->verdict != VERDICT_PENDING)
			continue;
		entry = device_find(r->tenant_id, r->device);
		if (entry != NULL)
		{
			report_set_vehicle(r, entry);
			continue;
		}
		if (missing == NULL)
			missing = MemoryContextAllocHuge(CurrentMemoryContext,
											 (Size) nreports * sizeof(Report *));
		missing[nmissing++] = r;
	}

	/* tenants in order too, so that registrations never wait in a circle */
	if (nmissing > 1)
		qsort(missing, nmissing, sizeof(Report *), compare_tenant);
	for (int first = 0, last; first < nmissing; first = last)
	{
		for (last = first + 1; last < nmissing; last++)
			if (missing[last]->tenant_id != missing[first]->tenant_id)
				break;
		resolve_missing(registry_tenant(missing[first]->tenant_id), missing + first, last - first);
	}
}
