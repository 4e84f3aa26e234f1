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

static const char *const topic_names[] = {
	[TOPIC_LIVE] = "live",
	[TOPIC_ALERT] = "alert",
	[TOPIC_GEOFENCE] = "geofence",
	[TOPIC_QUARANTINE] = "quarantine",
	[TOPIC_COMMAND] = "command"
};

PG_FUNCTION_INFO_V1(listen);
PG_FUNCTION_INFO_V1(unlisten);

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
	trust_require(tenant_id, "live", TRUST_READER);
	if (!trust_allows_all_vehicles())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for channels of tenant %d", tenant_id),
				 errdetail("The token of this session is limited to some vehicles, channels are not.")));
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
