/*
 * login.c
 *	  fleet.login(): a token -> who this session is.
 *
 * Keys are rows of fleet.login_key, which nobody but fleet_owner reads; each
 * says for which algorithms, issuer and audience it is good, and may be bound
 * to one tenant.  Several live at a time, so that keys can be changed without
 * a gap.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "compare.h"
#include "fleet.h"
#include "pipeline/plan.h"
#include "trust/identity.h"
#include "trust/jwt.h"
#include "trust/login.h"

#define MAX_VEHICLES 10000		/* of a vehicles claim */
#define MAX_SCOPES 64
#define MAX_SUBJECT 255			/* bytes */
#define CLOCK_SKEW_S 30			/* that nbf may lie ahead of our clock */

/* setting fleet.login: whom the session's login names; whoever else sets it ends the login */
static char *login_setting = NULL;
static bool setting_is_ours = false;	/* while we set it */

PG_FUNCTION_INFO_V1(login);
PG_FUNCTION_INFO_V1(login_local);
PG_FUNCTION_INFO_V1(logout);
PG_FUNCTION_INFO_V1(login_key_check);

static void refuse(const char *why) pg_attribute_noreturn();

static void
refuse(const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
			 errmsg("token is not valid"),
			 errdetail_internal("%s", why)));
	pg_unreachable();
}

/* --- keys --- */

typedef struct LoginKey
{
	int32		tenant_id;		/* 0: any */
	char	   *issuer;
	char	   *audience;
} LoginKey;

/* The key that signed the token, or none. */
static bool
find_key(const Jwt *jwt, LoginKey *result)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[2] = {TEXTOID, TEXTOID};
	Datum		args[2];
	MemoryContext caller = CurrentMemoryContext;
	SPITupleTable *rows;
	OwnerGuard	guard;
	bool		found = false;

	args[0] = CStringGetTextDatum(jwt->key_id ? jwt->key_id : "");
	args[1] = CStringGetTextDatum(jwt->algorithm);
	SPI_connect();
	owner_begin(&guard);
	rows = plan_select(&plan,
					   "SELECT k.key, coalesce(k.tenant_id, 0), k.issuer, k.audience FROM fleet.login_key k"
					   " WHERE ($1 = '' OR k.key_id = $1) AND $2 = ANY (k.algorithms)"
					   " AND k.valid_from <= now() AND (k.valid_to IS NULL OR k.valid_to > now())"
					   " AND k.revoked_at IS NULL ORDER BY k.key_id LIMIT 32",
					   2, types, args);
	for (uint64 i = 0; i < rows->numvals && !found; i++)
	{
		bool		isnull;
		bytea	   *key = DatumGetByteaPP(SPI_getbinval(rows->vals[i], rows->tupdesc, 1, &isnull));

		/* the list of the key holds what the token says, so the two are the same */
		found = jwt_verify(jwt, jwt->algorithm, (unsigned char *) VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key));
		if (!found)
			continue;
		result->tenant_id = DatumGetInt32(SPI_getbinval(rows->vals[i], rows->tupdesc, 2, &isnull));
		result->issuer = MemoryContextStrdup(caller, SPI_getvalue(rows->vals[i], rows->tupdesc, 3));
		result->audience = MemoryContextStrdup(caller, SPI_getvalue(rows->vals[i], rows->tupdesc, 4));
	}
	owner_end(&guard);
	SPI_finish();
	return found;
}

/* login_key_check(algorithms text[], key bytea) returns boolean: true, or an error */
Datum
login_key_check(PG_FUNCTION_ARGS)
{
	ArrayType  *algorithms = PG_GETARG_ARRAYTYPE_P(0);
	bytea	   *key = PG_GETARG_BYTEA_PP(1);
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	deconstruct_array(algorithms, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &n);
	if (n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a login key needs an algorithm")));
	for (int i = 0; i < n; i++)
	{
		const char *why = nulls[i] ? "Null is no algorithm."
			: jwt_check_key(text_to_cstring(DatumGetTextPP(elements[i])),
							(unsigned char *) VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key));

		if (why != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("key does not suit the algorithm"),
					 errdetail_internal("%s", why)));
	}
	PG_RETURN_BOOL(true);
}

/* --- claims --- */

/* Is wanted the value of the claim, or one of its values? */
static bool
audience_has(Jsonb *claims, const char *wanted)
{
	JsonbValue *aud = getKeyJsonValueFromContainer(&claims->root, "aud", strlen("aud"), NULL);
	JsonbValue	text;

	if (aud == NULL)
		return false;
	if (aud->type == jbvString)
		return aud->val.string.len == strlen(wanted) &&
			memcmp(aud->val.string.val, wanted, aud->val.string.len) == 0;
	if (aud->type != jbvBinary || !JsonContainerIsArray(aud->val.binary.data))
		return false;
	text.type = jbvString;
	text.val.string.val = unconstify(char *, wanted);
	text.val.string.len = strlen(wanted);
	return findJsonbValueFromContainer(aud->val.binary.data, JB_FARRAY, &text) != NULL;
}

static void
check_times(Jsonb *claims, TrustIdentity *who)
{
	double		now = (double) GetCurrentTimestamp() / USECS_PER_SEC
		+ (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY;
	double		at;
	bool		valid;

	if (!jwt_number(claims, "exp", &at, &valid) || !valid)
		refuse("It has no time of expiry (exp).");
	if (!(at > now))
		refuse("It has expired.");
	/* a time that no clock will see is as good as the last one */
	who->expires = at >= 1e11 ? DT_NOEND
		: (TimestampTz) ((at - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY) * USECS_PER_SEC);
	if (jwt_number(claims, "nbf", &at, &valid) && !(valid && at <= now + CLOCK_SKEW_S))
		refuse("It is not valid yet (nbf).");
}

static void
read_scope(Jsonb *claims, TrustIdentity *who)
{
	JsonbValue *scope = getKeyJsonValueFromContainer(&claims->root, "scope", strlen("scope"), NULL);
	char	   *words;

	who->nscopes = -1;
	if (scope == NULL)
		return;
	if (scope->type != jbvString)
		refuse("Its scope is not a string of words.");
	words = pnstrdup(scope->val.string.val, scope->val.string.len);
	who->scopes = palloc(MAX_SCOPES * sizeof(char *));
	who->nscopes = 0;
	for (char *save = NULL, *word = strtok_r(words, " ", &save); word; word = strtok_r(NULL, " ", &save))
	{
		if (who->nscopes == MAX_SCOPES)
			refuse("Its scope has too many words.");
		who->scopes[who->nscopes++] = word;
	}
}

/* ids as they are, names by the tenant's registry; a name that nobody has allows nothing */
static void
read_vehicles(Jsonb *claims, TrustIdentity *who)
{
	static SPIPlanPtr plan = NULL;
	JsonbValue *list = getKeyJsonValueFromContainer(&claims->root, "vehicles", strlen("vehicles"), NULL);
	Oid			types[2] = {INT4OID, JSONBOID};
	Datum		args[2];
	MemoryContext caller = CurrentMemoryContext;
	SPITupleTable *rows;
	OwnerGuard	guard;
	int64	   *vehicles;

	who->nvehicles = -1;
	if (list == NULL)
		return;
	if (list->type != jbvBinary || !JsonContainerIsArray(list->val.binary.data))
		refuse("Its vehicles are not an array.");
	if (JsonContainerSize(list->val.binary.data) > MAX_VEHICLES)
		refuse("It has too many vehicles.");
	args[0] = Int32GetDatum(who->tenant_id);
	args[1] = JsonbPGetDatum(JsonbValueToJsonb(list));
	SPI_connect();
	owner_begin(&guard);
	rows = plan_select(&plan,
					   "SELECT v.vehicle_id FROM fleet.vehicle v WHERE v.tenant_id = $1 AND"
					   " (v.vehicle_id::text IN (SELECT e::text FROM jsonb_array_elements($2) e WHERE jsonb_typeof(e) = 'number')"
					   " OR v.name IN (SELECT e #>> '{}' FROM jsonb_array_elements($2) e WHERE jsonb_typeof(e) = 'string'))"
					   " ORDER BY 1", 2, types, args);
	who->nvehicles = (int) rows->numvals;
	vehicles = MemoryContextAlloc(caller, Max(who->nvehicles, 1) * sizeof(int64));
	for (int i = 0; i < who->nvehicles; i++)
	{
		bool		isnull;

		vehicles[i] = DatumGetInt64(SPI_getbinval(rows->vals[i], rows->tupdesc, 1, &isnull));
	}
	owner_end(&guard);
	SPI_finish();
	who->vehicles = vehicles;
}

/* Everything that the token proves; an error when it proves nothing. */
static void
identify(text *token, TrustIdentity *who)
{
	const char *why;
	Jwt		   *jwt = jwt_parse(VARDATA_ANY(token), VARSIZE_ANY_EXHDR(token), &why);
	LoginKey	key;
	char	   *issuer;
	char	   *role;
	double		tenant;
	bool		valid;

	if (jwt == NULL)
		refuse(why);
	if (!find_key(jwt, &key))
		refuse("No key of fleet.login_key verifies its signature.");
	issuer = jwt_string(jwt->claims, "iss");
	if (issuer == NULL || strcmp(issuer, key.issuer) != 0)
		refuse("Its issuer (iss) is not the key's.");
	if (!audience_has(jwt->claims, key.audience))
		refuse("Its audience (aud) is not the key's.");
	check_times(jwt->claims, who);

	if (!jwt_number(jwt->claims, "tenant", &tenant, &valid) || !valid ||
		!(tenant >= 1 && tenant <= PG_INT32_MAX) || tenant != floor(tenant))
		refuse("It names no tenant.");
	who->tenant_id = (int32) tenant;
	if (key.tenant_id != 0 && key.tenant_id != who->tenant_id)
		refuse("Its key is another tenant's.");
	role = jwt_string(jwt->claims, "role");
	if (role == NULL || !trust_find_level(role, &who->level))
		refuse("It names no role: ingest, reader, operator or admin.");
	who->subject = jwt_string(jwt->claims, "sub");
	if (who->subject != NULL && strlen(who->subject) > MAX_SUBJECT)
		refuse("Its subject (sub) is too long.");
	read_scope(jwt->claims, who);
	read_vehicles(jwt->claims, who);
}

/* --- SQL --- */

static void
note_in_setting(const char *subject)
{
	setting_is_ours = true;
	PG_TRY();
	{
		SetConfigOption("fleet.login", subject, PGC_USERSET, PGC_S_SESSION);
	}
	PG_FINALLY();
	{
		setting_is_ours = false;
	}
	PG_END_TRY();
}

/* login(token text) returns void: for the session */
Datum
login(PG_FUNCTION_ARGS)
{
	TrustIdentity who = {0};

	identify(PG_GETARG_TEXT_PP(0), &who);
	trust_set_identity(&who, false);
	note_in_setting(who.subject ? who.subject : "anonymous");
	PG_RETURN_VOID();
}

/* login_local(token text) returns void: until the transaction ends */
Datum
login_local(PG_FUNCTION_ARGS)
{
	TrustIdentity who = {0};

	identify(PG_GETARG_TEXT_PP(0), &who);
	trust_set_identity(&who, true);
	PG_RETURN_VOID();
}

/* logout() returns void: the session is what its role is again */
Datum
logout(PG_FUNCTION_ARGS)
{
	trust_set_identity(NULL, true);
	trust_set_identity(NULL, false);
	note_in_setting("");
	PG_RETURN_VOID();
}

/*
 * A pool hands sessions on after DISCARD ALL or RESET ALL, which reset
 * settings and know nothing of our memory.  So whoever else sets or resets
 * this one ends the login; nothing else is ever read from it.  What it is
 * reset to is no sign, since roles may choose that (ALTER ROLE SET): values of
 * ours carry a mark, which comes back with them when a rollback does.
 */
static bool
login_setting_check(char **value, void **extra, GucSource source)
{
	if (setting_is_ours)
	{
		bool	   *mark = fleet_guc_malloc(sizeof(bool));

		if (mark == NULL)
			return false;
		*mark = true;
		*extra = mark;
	}
	return true;
}

static void
login_setting_assigned(const char *value, void *extra)
{
	if (extra == NULL)
		trust_forget_session();
}

void
login_init(void)
{
	DefineCustomStringVariable("fleet.login",
							   "Whom the token of fleet.login() names; set by it.",
							   "To set or reset it otherwise ends the login. Nothing is concluded from its value.",
							   &login_setting, "", PGC_USERSET, GUC_NO_SHOW_ALL | GUC_DISALLOW_IN_FILE,
							   login_setting_check, login_setting_assigned, NULL);
}
