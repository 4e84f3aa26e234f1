/*
 * live.c
 *	  fleet.listen() and fleet.unlisten(): a topic's name -> its channel.
 *
 * PostgreSQL has no rights on channels: who knows a name may listen.  So the
 * name is derived from random bytes that only the tenant's row holds.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/async.h"
#include "common/sha2.h"
#include "common/cryptohash.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "fleet.h"
#include "pipeline/live.h"
#include "pipeline/plan.h"
#include "trust/trust.h"

/* bytes of the digest that make the name: 128 bits */
#define CHANNEL_BYTES 16
/* random bytes that names are made of */
#define CHANNEL_KEY_BYTES 32

static const char *const topic_names[] = {
	[TOPIC_LIVE] = "live",
	[TOPIC_ALERT] = "alert",
	[TOPIC_GEOFENCE] = "geofence",
	[TOPIC_QUARANTINE] = "quarantine",
	[TOPIC_COMMAND] = "command"
};

PG_FUNCTION_INFO_V1(listen);
PG_FUNCTION_INFO_V1(unlisten);
PG_FUNCTION_INFO_V1(rotate_channels);

const char *
topic_name(Topic topic)
{
	return topic_names[topic];
}

static Topic
topic_by_name(const char *name)
{
	for (int i = 0; i < lengthof(topic_names); i++)
		if (strcmp(topic_names[i], name) == 0)
			return (Topic) i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown topic \"%s\"", name),
			 errhint("Topics are live, alert, geofence, quarantine and command.")));
	return TOPIC_LIVE;
}

void
channel_name(bytea *channel_key, Topic topic, char *result)
{
	pg_cryptohash_ctx *ctx = pg_cryptohash_create(PG_SHA256);
	const char *name = topic_names[topic];
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	char	   *out = result;

	if (ctx == NULL || pg_cryptohash_init(ctx) < 0 ||
		pg_cryptohash_update(ctx, (uint8 *) VARDATA_ANY(channel_key), VARSIZE_ANY_EXHDR(channel_key)) < 0 ||
		pg_cryptohash_update(ctx, (const uint8 *) name, strlen(name)) < 0 ||
		pg_cryptohash_final(ctx, digest, sizeof(digest)) < 0)
		elog(ERROR, "could not compute SHA-256 of a channel key");
	pg_cryptohash_free(ctx);

	out += sprintf(out, "fleet_%s_", name);
	for (int i = 0; i < CHANNEL_BYTES; i++)
		out += sprintf(out, "%02x", digest[i]);
}

static void
require_channels(int32 tenant_id, TrustLevel level)
{
	trust_require(tenant_id, "live", level);
	if (!trust_allows_all_vehicles())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for channels of tenant %d", tenant_id),
				 errdetail("The token of this session is limited to some vehicles, channels are not.")));
}

/* The channel of (topic, tenant_id), for those who may see all of the tenant. */
static void
find_channel(FunctionCallInfo fcinfo, char *result)
{
	static SPIPlanPtr plan = NULL;
	Topic		topic = topic_by_name(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	int32		tenant_id = PG_GETARG_INT32(1);
	Datum		args[1] = {Int32GetDatum(tenant_id)};
	Oid			types[1] = {INT4OID};
	SPITupleTable *rows;
	OwnerGuard	guard;
	bool		isnull;

	/* as LISTEN: a standby would take it and never send anything */
	PreventCommandDuringRecovery("fleet.listen()");
	require_channels(tenant_id, TRUST_READER);
	SPI_connect();
	owner_begin(&guard);
	rows = plan_select(&plan, "SELECT channel_key FROM fleet.tenant WHERE tenant_id OPERATOR(pg_catalog.=) $1",
					   1, types, args);
	if (rows->numvals == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("tenant %d does not exist", tenant_id)));
	channel_name(DatumGetByteaPP(SPI_getbinval(rows->vals[0], rows->tupdesc, 1, &isnull)),
				 topic, result);
	owner_end(&guard);
	SPI_finish();
}

/* listen(topic text, tenant_id integer) returns text: the channel's name */
Datum
listen(PG_FUNCTION_ARGS)
{
	char		channel[NAMEDATALEN];

	find_channel(fcinfo, channel);
	Async_Listen(channel);
	PG_RETURN_TEXT_P(cstring_to_text(channel));
}

/* unlisten(topic text, tenant_id integer) returns text: the channel's name */
Datum
unlisten(PG_FUNCTION_ARGS)
{
	char		channel[NAMEDATALEN];

	find_channel(fcinfo, channel);
	Async_Unlisten(channel);
	PG_RETURN_TEXT_P(cstring_to_text(channel));
}

/*
 * rotate_channels(tenant_id integer) returns void
 *	  New random bytes for the names of a tenant's channels.  The last thing
 *	  that is said on each old one is that it is over.
 */
Datum
rotate_channels(PG_FUNCTION_ARGS)
{
	static SPIPlanPtr lock_plan = NULL;
	static SPIPlanPtr update_plan = NULL;
	static SPIPlanPtr audit_plan = NULL;
	int32		tenant_id = PG_GETARG_INT32(0);
	Datum		args[2] = {Int32GetDatum(tenant_id)};
	Oid			types[2] = {INT4OID, BYTEAOID};
	SPITupleTable *rows;
	OwnerGuard	guard;
	bytea	   *old_key;
	bytea	   *new_key = palloc(VARHDRSZ + CHANNEL_KEY_BYTES);
	bool		isnull;

	require_channels(tenant_id, TRUST_ADMIN);
	SET_VARSIZE(new_key, VARHDRSZ + CHANNEL_KEY_BYTES);
	if (!pg_strong_random(VARDATA(new_key), CHANNEL_KEY_BYTES))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random bytes for channels")));
	args[1] = PointerGetDatum(new_key);

	SPI_connect();
	owner_begin(&guard);
	rows = plan_select(&lock_plan, "SELECT channel_key FROM fleet.tenant WHERE tenant_id = $1 FOR NO KEY UPDATE",
					   1, types, args);
	if (rows->numvals == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("tenant %d does not exist", tenant_id)));
	old_key = DatumGetByteaPP(SPI_getbinval(rows->vals[0], rows->tupdesc, 1, &isnull));
	for (int topic = 0; topic < lengthof(topic_names); topic++)
	{
		char		channel[NAMEDATALEN];

		channel_name(old_key, (Topic) topic, channel);
		Async_Notify(channel, psprintf("{\"v\":1,\"topic\":\"%s\",\"tenant\":%d,\"rotated\":true}",
									   topic_names[topic], tenant_id));
	}
	plan_execute(&update_plan, "UPDATE fleet.tenant SET channel_key = $2 WHERE tenant_id = $1", 2, types, args);
	(void) plan_select(&audit_plan, "SELECT fleet.audit('channel.rotate', $1, 'channel', NULL)", 1, types, args);
	owner_end(&guard);
	SPI_finish();
	PG_RETURN_VOID();
}
