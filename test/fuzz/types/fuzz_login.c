/*
 * fuzz_login.c
 *	  Mutated JSON Web Tokens, sent to fleet.login_local() of a server.
 *
 *	  fuzz_login CONNINFO SECONDS [SEED]
 *
 * Header and claims are mutated before they are signed, so that everything
 * behind the signature's check is reached; or the token as a whole is, and
 * then it must be refused, as must be every one that claims to be signed with
 * a public key, since nobody here has the private ones.  Right outcomes: the
 * one error of a token that is not valid (or of text that is no UTF-8), or a
 * session that acts for the tenant of the key and for no other.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libpq-fe.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#define MAX_PART 5000
#define MAX_TOKEN 32768

static const char secret[] = "0123456789abcdef0123456789abcdef";

static const char *const setup[] = {
	"SET client_min_messages = warning",
	"INSERT INTO fleet.tenant (tenant_id, name) VALUES (7, 'fuzz'), (8, 'another')",
	"INSERT INTO fleet.vehicle (tenant_id, name) VALUES (7, 'a'), (8, 'b')",
	"SELECT fleet.create_login_key('hs', 'HS256', '0123456789abcdef0123456789abcdef', 'fuzz', 'fleet', 7)",
	"SELECT fleet.create_login_key('rs', 'RS256', convert_to(E'-----BEGIN PUBLIC KEY-----\\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAvq8EWQjjQAVesRaOOVUh\\nJ37VHru1i1YnpaO0KdVKJ1M3ohAwPBSpADPIRfVO7x0TmChjnzlERHizvI9NCFx2\\nPHtbR+ORKFGvpNyHWL81DOrRU9/OfyN+7WOwLnwmEW78HdwASRw/MW3lVoQcBb0P\\nOibiEsKE814rGLJcpWTh768FxRr6IGvXSg1UNaanmcNiND/AfnGyXYzuIohPrfjS\\n/mlB54K1F4KM9tTecqvS9Ixt/V5/1H9VOLuN3R0CRW8lCZ+u7w3Gx6ecTERPexio\\ne5TI7CgsxAUvuSeLUdTnu7CrdpqCnIx/QDWTZJSfV2dBUNT1PLcP25eWWx2pPMn0\\nnwIDAQAB\\n-----END PUBLIC KEY-----\\n', 'UTF8'), 'fuzz')",
	"SELECT fleet.create_login_key('es', 'ES256', convert_to(E'-----BEGIN PUBLIC KEY-----\\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEzewqh8B1s7AEY34hznQrNy4UhGhn\\n5iw46/lNxQFb42apUBFxqhTIz6vgQwwXFY1l+rUfwQhlNHbWMOLOkYewHQ==\\n-----END PUBLIC KEY-----\\n', 'UTF8'), 'fuzz')",
	"SELECT fleet.create_login_key('ed', 'EdDSA', convert_to(E'-----BEGIN PUBLIC KEY-----\\nMCowBQYDK2VwAyEAKjM+r6e1WRl6iuShNFw259OSL3n/gpcOSw24iAx9334=\\n-----END PUBLIC KEY-----\\n', 'UTF8'), 'fuzz')",
	"CREATE ROLE fuzz IN ROLE fleet_admin",
	"CREATE SCHEMA fuzz; GRANT USAGE ON SCHEMA fuzz TO PUBLIC",
	"CREATE FUNCTION fuzz.try(token text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM fleet.login_local(token); "
	"RETURN array_to_string(fleet.allowed_tenants('history', 'ingest'), ',') || coalesce((SELECT string_agg(v.tenant_id::text, '') FROM fleet.vehicle v WHERE v.tenant_id <> 7), ''); END $$",
	"SET ROLE fuzz",
	NULL
};

static const char *const headers[] = {
	"{\"alg\":\"HS256\"}", "{\"alg\":\"HS256\",\"kid\":\"hs\",\"typ\":\"JWT\"}", "{\"alg\":\"RS256\",\"kid\":\"rs\"}",
	"{\"alg\":\"ES256\"}", "{\"alg\":\"EdDSA\",\"kid\":\"ed\"}", "{\"alg\":\"none\"}", "{\"alg\":\"HS256\",\"crit\":[\"exp\"]}"
};
static const char *const claims[] = {
	"{\"iss\":\"fuzz\",\"aud\":\"fleet\",\"exp\":4000000000,\"tenant\":7,\"role\":\"reader\"}",
	"{\"iss\":\"fuzz\",\"aud\":[\"x\",\"fleet\"],\"exp\":4e9,\"nbf\":1,\"tenant\":7,\"role\":\"admin\",\"sub\":\"\\u00e9\",\"scope\":\"history registry\",\"vehicles\":[1,\"a\",2.5,null]}",
	"{\"iss\":\"fuzz\",\"aud\":\"fleet\",\"exp\":4000000000,\"tenant\":8,\"role\":\"operator\",\"vehicles\":[]}"
};
static const char *const tokens[] = {
	"null", "true", "1e400", "-0", "1e308", "-1", "\"tenant\":8,", "\"tenant\":7,", "\\u0000", "\\ud800", "[[[[[[[[", "{\"a\":", "\"vehicles\":[1],", "\"exp\":1e18,", "99999999999999999999", ".", "=", "\"aud\":\"fleet\","
};
#define COUNT(array) ((int) (sizeof(array) / sizeof((array)[0])))

static uint64_t random_state;

static uint32_t
random_below(uint32_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t) (random_state >> 32) % n;
}

static int
mutate(char *data, int len, int max)
{
	int			at = len > 0 ? (int) random_below(len) : 0;
	int			n;
	const char *token;

	switch (random_below(6))
	{
		case 0:					/* flip a bit */
			if (len > 0)
				data[at] ^= 1 << random_below(8);
			break;
		case 1:					/* any byte but none */
			if (len > 0)
				data[at] = (char) (1 + random_below(255));
			break;
		case 2:					/* delete some */
			n = len > at ? 1 + (int) random_below(len - at < 8 ? len - at : 8) : 0;
			memmove(data + at, data + at + n, len - at - n);
			len -= n;
			break;
		case 3:					/* cut off */
			len = at;
			break;
		case 4:					/* repeat a piece, many times at times */
			n = len > at ? 1 + (int) random_below(len - at) : 0;
			for (int times = random_below(8) == 0 ? 400 : 1; times > 0 && n > 0 && n <= max - len; times--)
			{
				memmove(data + at + n, data + at, len - at);
				len += n;
			}
			break;
		case 5:					/* a word of the grammar */
			token = tokens[random_below(COUNT(tokens))];
			n = (int) strlen(token);
			if (n <= max - len)
			{
				memmove(data + at + n, data + at, len - at);
				memcpy(data + at, token, n);
				len += n;
			}
			break;
	}
	return len;
}

/* Returns the length; the result is zero-terminated. */
static int
base64url(const unsigned char *data, int len, char *out)
{
	int			n = EVP_EncodeBlock((unsigned char *) out, data, len);

	while (n > 0 && out[n - 1] == '=')
		n--;
	out[n] = '\0';
	for (int i = 0; i < n; i++)
		out[i] = out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i];
	return n;
}

static int
some_part(const char *const *seeds, int nseeds, bool changed, char *out)
{
	const char *seed = seeds[random_below(nseeds)];
	int			len = (int) strlen(seed);

	memcpy(out, seed, len);
	for (int i = changed ? (int) random_below(4) : 0; i > 0; i--)
		len = mutate(out, len, MAX_PART);
	return len;
}

/* Makes a token; returns whether it may be taken. */
static bool
make_token(char *token)
{
	char		part[MAX_PART];
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned int maclen = 0;
	int			len = 0;
	bool		whole = random_below(4) == 0;
	char		before[MAX_TOKEN];

	len = base64url((unsigned char *) part, some_part(headers, COUNT(headers), random_below(3) == 0, part), token);
	token[len++] = '.';
	len += base64url((unsigned char *) part, some_part(claims, COUNT(claims), !whole, part), token + len);
	HMAC(EVP_sha256(), secret, (int) strlen(secret), (unsigned char *) token, len, mac, &maclen);
	/* what a public key would have to verify */
	if (random_below(8) == 0)
		for (maclen = random_below(sizeof(mac)) + 1, whole = true; random_below(100) != 0;)
			mac[random_below(maclen)] = (unsigned char) random_below(256);
	token[len++] = '.';
	len += base64url(mac, (int) maclen, token + len);
	if (!whole)
		return true;
	memcpy(before, token, len + 1);
	do
	{
		len = mutate(token, len, MAX_TOKEN - 1);
		token[len] = '\0';
	} while (strcmp(token, before) == 0);
	return false;
}

int
main(int argc, char **argv)
{
	static char token[MAX_TOKEN];
	PGconn	   *conn;
	time_t		end;
	long		tried = 0;
	long		taken = 0;

	if (argc < 3)
	{
		fprintf(stderr, "usage: fuzz_login CONNINFO SECONDS [SEED]\n");
		return 2;
	}
	random_state = argc > 3 ? strtoull(argv[3], NULL, 10) : (uint64_t) time(NULL);
	printf("fuzz_login: seed %llu\n", (unsigned long long) random_state);
	random_state = random_state * 0x9e3779b97f4a7c15 + 1;
	conn = PQconnectdb(argv[1]);
	for (const char *const *s = setup; *s != NULL; s++)
	{
		PGresult   *result = PQexec(conn, *s);

		if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
		{
			fprintf(stderr, "%s", PQerrorMessage(conn));
			return 2;
		}
		PQclear(result);
	}
	end = time(NULL) + atoi(argv[2]);
	do
	{
		const char *values[] = {token};
		bool		may = make_token(token);
		PGresult   *result = PQexecParams(conn, "SELECT fuzz.try($1)", 1, NULL, values, NULL, NULL, 0);
		const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
		const char *answer = sqlstate ? sqlstate : PQresultStatus(result) == PGRES_TUPLES_OK ? PQgetvalue(result, 0, 0) : "the session is lost";
		bool		right = sqlstate ? strcmp(sqlstate, "28000") == 0 || strcmp(sqlstate, "22021") == 0
			: may && PQresultStatus(result) == PGRES_TUPLES_OK && (strcmp(answer, "7") == 0 || strcmp(answer, "") == 0);

		tried++;
		taken += sqlstate == NULL;
		if (!right)
		{
			printf("FAILED: %s: %s\ntoken: %s\n", answer, PQresultErrorMessage(result), token);
			return 1;
		}
		PQclear(result);
	} while (time(NULL) < end);
	printf("login: %ld tokens, %ld taken\n", tried, taken);
	PQfinish(conn);
	return taken > 0 ? 0 : 1;
}
