/*
 * fuzz_types.c
 *	  Mutated text and binary forms of the extension's types, sent to a server.
 *
 *	  fuzz_types CONNINFO SECONDS [SEED]
 *
 * A parameter in text format goes through the type's input function, one in
 * binary format through its receive function.  There are two right outcomes: an
 * error of the documented kinds, or a value that keeps its text and its binary
 * form when either is read again, and for which the type's check holds.  What
 * was accepted joins the seeds.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libpq-fe.h>

#define MAX_INPUT 8192
#define MAX_SEEDS 512
#define TEXT 0
#define BINARY 1

typedef struct Input
{
	int			format;
	int			len;
	char	   *data;			/* zero-terminated too */
} Input;

typedef struct Type
{
	const char *name;
	const char *check;			/* true of every value of $1 */
	const char *const *literals;
	char		statement[1024];
	Oid			oid;
	Input		seeds[MAX_SEEDS];
	int			nseeds;
	int			nfixed;			/* the first are never replaced */
	long		tried;
	long		accepted;
} Type;

static const char *const geopoint_literals[] = {
	"(50.1105,8.6821)", "(-90,-180)", "(90,180)", "( +1.5e1 , -.5 )", "(0.0000001,-0.0000001)", NULL
};
static const char *const geohash_literals[] = {
	"u", "0", "u0yjje", "zzzzzzzzzzzz", "U4PRUYDQQVJ8", NULL
};
static const char *const vin_literals[] = {
	"1M8GDM9AXKP042788", "11111111111111111", "5gzcz43d13s812715", NULL
};
static const char *const signals_literals[] = {
	"{}", "{\"a\":1}", "{\"battery_percent\": 68, \"charging\": false, \"error_codes\": \"\", \"other\": -1.5e-7}",
	"{\"trip_id\":\"a\\u00e9\\ud83d\\ude97\\n\\\"\",\"n\":9007199254740993,\"m\":0.1,\"trip_id\":\"twice\"}",
	"{\"x\":1e308,\"y\":5e-324,\"z\":-0.0,\"w\":2147483648,\"v\":214.7483647}", NULL
};

static Type types[] = {
	{.name = "geopoint", .literals = geopoint_literals,
		.check = "CAST(CAST($1 AS geometry) AS fleet.geopoint) = $1 AND ($1 OPERATOR(fleet.<->) $1) = 0"},
	{.name = "geohash", .literals = geohash_literals,
		.check = "$1 OPERATOR(fleet.@>) fleet.geohash_centre($1) AND $1 <= fleet.geohash_last($1)"},
	{.name = "vin", .literals = vin_literals,
		.check = "fleet.vin_is_valid($1::text) AND lower($1::text)::fleet.vin = $1"},
	{.name = "signals", .literals = signals_literals,
		.check = "$1::jsonb::fleet.signals = $1 AND $1 OPERATOR(fleet.||) $1 = $1 AND $1 OPERATOR(fleet.@>) $1 "
		"AND fleet.signals_hash($1) = fleet.signals_hash(CAST($1::text AS fleet.signals))"}
};
#define NTYPES ((int) (sizeof(types) / sizeof(types[0])))

/* documented in docs/types.md */
static const char *const sqlstates[] = {
	"22P02",					/* invalid_text_representation */
	"22P03",					/* invalid_binary_representation */
	"22003",					/* numeric_value_out_of_range */
	"22021",					/* character_not_in_repertoire */
	"54000",					/* program_limit_exceeded */
	"08P01",					/* protocol_violation: too few bytes */
	NULL
};

static PGconn *conn;
static uint64_t random_state;

static uint32_t
random_below(uint32_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t) (random_state >> 32) % n;
}

static void __attribute__((format(printf, 1, 2), noreturn))
fatal(const char *format, ...)
{
	va_list		args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	exit(2);
}

static void __attribute__((noreturn))
report(const Type *type, const Input *input, const char *what, const char *detail)
{
	printf("FAILED: %s, %s form: %s: %s\ninput in hexadecimal, %d bytes: ",
		   type->name, input->format == TEXT ? "text" : "binary", what, detail, input->len);
	for (int i = 0; i < input->len; i++)
		printf("%02x", (unsigned char) input->data[i]);
	printf("\n");
	exit(1);
}

static PGresult *
run(const Type *type, const Input *input)
{
	const char *values[] = {input->data};
	int			lengths[] = {input->len};
	int			formats[] = {input->format};

	return PQexecPrepared(conn, type->name, 1, values, lengths, formats, 0);
}

static Input
make_input(int format, const char *data, int len)
{
	Input		input = {format, len, malloc(len + 1)};

	if (input.data == NULL)
		fatal("out of memory\n");
	memcpy(input.data, data, len);
	input.data[len] = '\0';
	return input;
}

static void
add_seed(Type *type, int format, const char *data, int len, bool fixed)
{
	int			at = type->nseeds;

	if (len > MAX_INPUT)
		return;
	if (at == MAX_SEEDS)
	{
		at = type->nfixed + random_below(MAX_SEEDS - type->nfixed);
		free(type->seeds[at].data);
	}
	else
		type->nseeds++;
	type->seeds[at] = make_input(format, data, len);
	if (fixed)
		type->nfixed = type->nseeds;
}

static bool
unhex(const char *hex, char *out, int *len)
{
	*len = (int) strlen(hex) / 2;
	if (*len > MAX_INPUT)
		return false;
	for (int i = 0; i < *len; i++)
	{
		unsigned int byte;

		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			return false;
		out[i] = (char) byte;
	}
	return true;
}

/* Reads a form of an accepted value again: text and binary form must stay. */
static void
check_again(const Type *type, const Input *input, const PGresult *first, int format, const char *data, int len)
{
	Input		again = make_input(format, data, len);
	PGresult   *second = run(type, &again);

	if (PQresultStatus(second) != PGRES_TUPLES_OK)
		report(type, input, format == TEXT ? "its text form is refused" : "its binary form is refused",
			   PQresultErrorMessage(second));
	for (int column = 0; column < 2; column++)
		if (strcmp(PQgetvalue(first, 0, column), PQgetvalue(second, 0, column)) != 0)
			report(type, input, format == TEXT ? "its text form is another value" : "its binary form is another value",
				   PQgetvalue(second, 0, column));
	PQclear(second);
	free(again.data);
}

static void
try_input(Type *type, const Input *input, bool fixed)
{
	PGresult   *result = run(type, input);
	char		bytes[MAX_INPUT];
	int			len;

	type->tried++;
	if (PQresultStatus(result) == PGRES_TUPLES_OK)
	{
		type->accepted++;
		if (strcmp(PQgetvalue(result, 0, 2), "t") != 0)
			report(type, input, "the check of the type fails", PQgetvalue(result, 0, 0));
		check_again(type, input, result, TEXT, PQgetvalue(result, 0, 0), (int) strlen(PQgetvalue(result, 0, 0)));
		if (unhex(PQgetvalue(result, 0, 1), bytes, &len))
		{
			check_again(type, input, result, BINARY, bytes, len);
			if (fixed || random_below(16) == 0)
				add_seed(type, BINARY, bytes, len, fixed);
		}
		if (!fixed && random_below(16) == 0)
			add_seed(type, input->format, input->data, input->len, false);
	}
	else
	{
		const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
		const char *const *known = sqlstates;

		if (sqlstate == NULL || PQstatus(conn) != CONNECTION_OK)
			report(type, input, "the session is lost", PQresultErrorMessage(result));
		while (*known != NULL && strcmp(*known, sqlstate) != 0)
			known++;
		if (*known == NULL || fixed)
			report(type, input, sqlstate, PQresultErrorMessage(result));
	}
	PQclear(result);
}

static int
mutate(char *data, int len, int format, const Type *type)
{
	static const unsigned char bytes[] = {0, 1, 2, 3, 0x7f, 0x80, 0xff, '"', '\\', '{', '}', '(', ',', ':', '-', '0', '9', 'e', '.', 'u', 0xc3, 0xed};
	static const char *const tokens[] = {
		"null", "true", "1e400", "-0.0", "1e-324", "NaN", "Infinity", "\\u0000", "\\ud800", "\"a\":1,", "99999999999999999999", "[[[[", "{\"a\":", "180", "-90", "\xc3\xa9"
	};
	int			at = len > 0 ? (int) random_below(len) : 0;
	int			n;
	const Input *other;

	switch (random_below(8))
	{
		case 0:					/* flip a bit */
			if (len > 0)
				data[at] ^= 1 << random_below(8);
			break;
		case 1:					/* an interesting byte */
			if (len > 0)
				data[at] = (char) bytes[random_below(sizeof(bytes))];
			break;
		case 2:					/* insert one */
			if (len < MAX_INPUT)
			{
				memmove(data + at + 1, data + at, len - at);
				data[at] = (char) bytes[random_below(sizeof(bytes))];
				len++;
			}
			break;
		case 3:					/* delete some */
			n = len > at ? 1 + (int) random_below(len - at < 8 ? len - at : 8) : 0;
			memmove(data + at, data + at + n, len - at - n);
			len -= n;
			break;
		case 4:					/* cut off */
			len = at;
			break;
		case 5:					/* repeat a piece, many times at times */
			n = len > at ? 1 + (int) random_below(len - at) : 0;
			for (int times = random_below(16) == 0 ? 600 : 1; times > 0 && n > 0 && len + n <= MAX_INPUT; times--)
			{
				memmove(data + at + n, data + at, len - at);
				len += n;
			}
			break;
		case 6:					/* a word of the grammar */
			n = (int) random_below(sizeof(tokens) / sizeof(tokens[0]));
			if (format == TEXT && len + (int) strlen(tokens[n]) <= MAX_INPUT)
			{
				memmove(data + at + strlen(tokens[n]), data + at, len - at);
				memcpy(data + at, tokens[n], strlen(tokens[n]));
				len += (int) strlen(tokens[n]);
			}
			break;
		case 7:					/* go on as another seed */
			other = &type->seeds[random_below(type->nseeds)];
			n = other->len > 0 ? (int) random_below(other->len) : 0;
			if (other->format == format && at + other->len - n <= MAX_INPUT)
			{
				memcpy(data + at, other->data + n, other->len - n);
				len = at + other->len - n;
			}
			break;
	}
	return len;
}

static void
prepare(Type *type)
{
	char		query[128];
	PGresult   *result;

	snprintf(query, sizeof(query), "SELECT 'fleet.%s'::regtype::oid", type->name);
	result = PQexec(conn, query);
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		fatal("%s", PQerrorMessage(conn));
	type->oid = (Oid) strtoul(PQgetvalue(result, 0, 0), NULL, 10);
	PQclear(result);

	snprintf(type->statement, sizeof(type->statement),
			 "SELECT $1::text, encode(fleet.%s_send($1), 'hex'), %s", type->name, type->check);
	result = PQprepare(conn, type->name, type->statement, 1, &type->oid);
	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		fatal("%s", PQerrorMessage(conn));
	PQclear(result);

	for (const char *const *literal = type->literals; *literal != NULL; literal++)
	{
		Input		input = make_input(TEXT, *literal, (int) strlen(*literal));

		add_seed(type, TEXT, *literal, input.len, true);
		try_input(type, &input, true);
		free(input.data);
	}
}

int
main(int argc, char **argv)
{
	time_t		end;
	uint64_t	seed;
	static char data[MAX_INPUT + 1];

	if (argc < 3)
		fatal("usage: fuzz_types CONNINFO SECONDS [SEED]\n");
	seed = argc > 3 ? strtoull(argv[3], NULL, 10) : (uint64_t) time(NULL);
	random_state = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
	printf("seed %llu\n", (unsigned long long) seed);
	fflush(stdout);

	conn = PQconnectdb(argv[1]);
	if (PQstatus(conn) != CONNECTION_OK)
		fatal("%s", PQerrorMessage(conn));
	/* refusals are what we are after */
	PQclear(PQexec(conn, "SET log_min_messages = fatal; SET search_path = fleet, public"));
	for (int i = 0; i < NTYPES; i++)
		prepare(&types[i]);

	end = time(NULL) + atoi(argv[2]);
	while (time(NULL) < end)
		for (int i = 0; i < NTYPES; i++)
			for (int round = 0; round < 50; round++)
			{
				const Input *base = &types[i].seeds[random_below(types[i].nseeds)];
				Input		input = {base->format, base->len, data};

				memcpy(data, base->data, base->len);
				for (int n = 1 + random_below(4); n > 0; n--)
					input.len = mutate(data, input.len, input.format, &types[i]);
				data[input.len] = '\0';
				/* a text parameter ends at its first zero */
				if (input.format == TEXT)
					input.len = (int) strlen(data);
				try_input(&types[i], &input, false);
			}

	for (int i = 0; i < NTYPES; i++)
		printf("%s: %ld inputs, %ld accepted\n", types[i].name, types[i].tried, types[i].accepted);
	PQfinish(conn);
	return 0;
}
