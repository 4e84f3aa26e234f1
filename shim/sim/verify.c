/*
 * verify.c
 *	  fleetsim verify: prove a ledger against the database.
 *
 * Each message has a key made of device, time and content.  Every key that was
 * acknowledged must be in fleet.event once; every one that was rejected must be
 * in fleet.quarantine, found by its bytes or by device and time.  What was
 * sent and never acknowledged may be there or not.
 */
#include "commands.h"
#include "message.h"

#include <errno.h>
#include <getopt.h>
#include <json-c/json.h>
#include <libpq-fe.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define FETCH_ROWS "20000"
#define SHOWN_MAX 10			/* messages named on each list */

typedef enum Fate
{
	FATE_UNKNOWN,				/* not acknowledged */
	FATE_ACKED,
	FATE_TAKEN,					/* acknowledged, stored or in quarantine */
	FATE_REJECTED
} Fate;

typedef struct Sent
{
	uint64_t	key;			/* device, time, content; 0: cannot become an event */
	uint64_t	place;			/* device and time; 0: has not both */
	uint64_t	line;			/* hash of the bytes */
	uint8_t		fate;
	char		code[23];
} Sent;

/* A set of hashes with a counter and a mark each; open addressing. */
typedef struct Tally
{
	uint64_t   *keys;			/* 0: free */
	uint32_t   *counts;
	uint8_t    *marks;
	size_t		used;
	size_t		size;			/* a power of two */
} Tally;

typedef struct Figures
{
	uint64_t	sent;
	uint64_t	acked;
	uint64_t	rejected;
	uint64_t	unacked;
	uint64_t	repeats_sent;
	uint64_t	events_found;
	uint64_t	events_of_others;
	uint64_t	lost;
	uint64_t	twice;
	uint64_t	rejected_missing;
} Figures;

static const char verify_help[] =
	"Usage: fleetsim verify --ledger FILE --database CONNINFO [--tenant N]\n\n"
	"Proves that every acknowledged message of the ledger is in fleet.event exactly\n"
	"once, or in fleet.quarantine where it was rejected.  Exit code 0: proved;\n"
	"1: something is lost or stored twice; 2: it could not be checked.\n";

static uint64_t
nonzero(uint64_t hash)
{
	return hash ? hash : 1;
}

static uint64_t
place_hash(const char *device, int64_t time_us)
{
	return nonzero(hash_mix(hash_bytes(HASH_START, device, strlen(device)) ^ hash_mix((uint64_t) time_us)));
}

static uint64_t
key_hash(uint64_t place, uint64_t content)
{
	return nonzero(hash_mix(place + hash_mix(content)));
}

static size_t
tally_slot(const Tally *t, uint64_t key)
{
	size_t		slot = key & (t->size - 1);

	while (t->keys[slot] && t->keys[slot] != key)
		slot = (slot + 1) & (t->size - 1);
	return slot;
}

static void
tally_grow(Tally *t)
{
	Tally		old = *t;

	t->size = old.size ? old.size * 2 : 4096;
	t->keys = xcalloc(t->size, sizeof(uint64_t));
	t->counts = xcalloc(t->size, sizeof(uint32_t));
	t->marks = xcalloc(t->size, sizeof(uint8_t));
	for (size_t i = 0; i < old.size; i++)
		if (old.keys[i])
		{
			size_t		slot = tally_slot(t, old.keys[i]);

			t->keys[slot] = old.keys[i];
			t->counts[slot] = old.counts[i];
			t->marks[slot] = old.marks[i];
		}
	free(old.keys);
	free(old.counts);
	free(old.marks);
}

static void
tally_add(Tally *t, uint64_t key)
{
	size_t		slot;

	if (t->used >= t->size / 2)
		tally_grow(t);
	slot = tally_slot(t, key);
	t->used += t->keys[slot] == 0;
	t->keys[slot] = key;
	t->counts[slot]++;
}

static uint32_t
tally_count(const Tally *t, uint64_t key)
{
	return t->size ? t->counts[tally_slot(t, key)] : 0;
}

/* True the first time it is asked for a key. */
static bool
tally_mark(Tally *t, uint64_t key)
{
	size_t		slot = tally_slot(t, key);

	if (t->marks[slot])
		return false;
	t->marks[slot] = 1;
	return true;
}

typedef struct Book
{
	Sent	   *list;
	size_t		count;
	size_t		size;
} Book;

static Sent *
book_add(Book *b)
{
	if (b->count == b->size)
	{
		b->size = b->size ? b->size * 2 : 65536;
		b->list = xrealloc(b->list, b->size * sizeof(Sent));
	}
	memset(&b->list[b->count], 0, sizeof(Sent));
	return &b->list[b->count++];
}

/* A run that was killed may have left half a line; it says nothing then. */
static void
read_ledger(Book *b, const char *path)
{
	FILE	   *f = fopen(path, "r");
	char	   *line = NULL;
	size_t		size = 0;
	size_t		run_begin = 0;
	uint64_t	line_number = 0;

	if (!f)
		die("cannot open ledger \"%s\": %s", path, strerror(errno));
	while (getline(&line, &size, f) > 0)
	{
		unsigned long long id,
					content,
					bytes;
		char		device[MESSAGE_DEVICE_SIZE + 1];
		char		time[24];
		char		code[23];

		line_number++;
		if (strncmp(line, "fleetsim-ledger 1 ", 18) == 0)
			run_begin = b->count;
		else if (sscanf(line, "S %llu %64s %23s %llx %llx", &id, device, time, &content, &bytes) == 5)
		{
			Sent	   *s = book_add(b);

			if (run_begin + id != b->count - 1)
				die("ledger \"%s\", line %llu: numbers are not in sequence", path, (unsigned long long) line_number);
			s->line = nonzero(bytes);
			if (strcmp(device, "-") != 0 && strcmp(time, "-") != 0)
				s->place = place_hash(device, strtoll(time, NULL, 10));
			if (s->place && content)
				s->key = key_hash(s->place, content);
		}
		else if (sscanf(line, "A %llu", &id) == 1 && run_begin + id < b->count)
			b->list[run_begin + id].fate = FATE_ACKED;
		else if (sscanf(line, "T %llu", &id) == 1 && run_begin + id < b->count)
			b->list[run_begin + id].fate = FATE_TAKEN;
		else if (sscanf(line, "R %llu %22s", &id, code) == 2 && run_begin + id < b->count)
		{
			b->list[run_begin + id].fate = FATE_REJECTED;
			strcpy(b->list[run_begin + id].code, code);
		}
		else if (line[strlen(line) - 1] == '\n')
			die("ledger \"%s\", line %llu: not understood", path, (unsigned long long) line_number);
	}
	free(line);
	fclose(f);
}

static PGconn *
connect_database(const char *conninfo)
{
	PGconn	   *conn = PQconnectdb(conninfo);

	if (PQstatus(conn) != CONNECTION_OK)
		die("cannot connect: %s", PQerrorMessage(conn));
	return conn;
}

static PGresult *
query(PGconn *conn, const char *sql, ExecStatusType expected)
{
	PGresult   *result = PQexec(conn, sql);

	if (PQresultStatus(result) != expected)
		die("the database said: %s", PQerrorMessage(conn));
	return result;
}

static double
column_number(const PGresult *r, int row, int column)
{
	return PQgetisnull(r, row, column) ? NAN : strtod(PQgetvalue(r, row, column), NULL);
}

static void
add_signals(Message *m, struct json_object *signals)
{
	json_object_object_foreach(signals, name, value)
	{
		switch (json_object_get_type(value))
		{
			case json_type_boolean:
				message_add_boolean(m, name, json_object_get_boolean(value));
				break;
			case json_type_int:
			case json_type_double:
				message_add_number(m, name, json_object_get_double(value));
				break;
			case json_type_string:
				message_add_text(m, name, json_object_get_string(value));
				break;
			default:
				break;
		}
	}
}

/* Reads a whole query through a cursor, so that memory stays small. */
static void
for_each_row(PGconn *conn, const char *sql, void (*take) (void *context, const PGresult *r, int row), void *context)
{
	char	   *declare = xmalloc(strlen(sql) + 64);
	int			rows;

	strcpy(declare, "DECLARE fleetsim_cursor NO SCROLL CURSOR FOR ");
	strcat(declare, sql);
	PQclear(query(conn, declare, PGRES_COMMAND_OK));
	do
	{
		PGresult   *r = query(conn, "FETCH " FETCH_ROWS " FROM fleetsim_cursor", PGRES_TUPLES_OK);

		rows = PQntuples(r);
		for (int row = 0; row < rows; row++)
			take(context, r, row);
		PQclear(r);
	} while (rows > 0);
	PQclear(query(conn, "CLOSE fleetsim_cursor", PGRES_COMMAND_OK));
	free(declare);
}

/* device, time, latitude, longitude, altitude, accuracy, speed, heading, signals */
static void
take_event(void *context, const PGresult *r, int row)
{
	struct json_object *signals = PQgetisnull(r, row, 8) ? NULL : json_tokener_parse(PQgetvalue(r, row, 8));
	Message		m;

	message_clear(&m);
	m.latitude = column_number(r, row, 2);
	m.longitude = column_number(r, row, 3);
	m.altitude_m = column_number(r, row, 4);
	m.accuracy_m = column_number(r, row, 5);
	m.speed_kmh = column_number(r, row, 6);
	m.heading_deg = column_number(r, row, 7);
	if (signals)
		add_signals(&m, signals);
	tally_add(context, key_hash(place_hash(PQgetvalue(r, row, 0), strtoll(PQgetvalue(r, row, 1), NULL, 10)),
								message_fingerprint(&m)));
	json_object_put(signals);
}

/*
 * A row that the server refused stands there without its time, with its columns
 * as JSON.
 */
static void
take_salvaged(Tally *quarantine, const char *raw, size_t len)
{
	/* No zero byte follows the bytes. */
	struct json_tokener *tokener = json_tokener_new();
	struct json_object *row = tokener != NULL ? json_tokener_parse_ex(tokener, raw, (int) len) : NULL;
	struct json_object *device;
	struct json_object *time;

	if (tokener != NULL)
		json_tokener_free(tokener);
	if (json_object_is_type(row, json_type_object) && json_object_object_get_ex(row, "device", &device) &&
		json_object_is_type(device, json_type_string) &&
		json_object_object_get_ex(row, "event_time", &time) &&
		(json_object_is_type(time, json_type_double) || json_object_is_type(time, json_type_int)))
	{
		char	   *name = strdup(json_object_get_string(device));

		/* As the ledger writes it; the number counts milliseconds. */
		for (char *p = name; p != NULL && *p != '\0'; p++)
			if (*p == ' ')
				*p = '_';
		if (name != NULL)
			tally_add(quarantine, place_hash(name, llround(json_object_get_double(time) * 1000)));
		free(name);
	}
	json_object_put(row);
}

/* device, time, raw */
static void
take_quarantine(void *context, const PGresult *r, int row)
{
	if (!PQgetisnull(r, row, 0) && !PQgetisnull(r, row, 1))
		tally_add(context, place_hash(PQgetvalue(r, row, 0), strtoll(PQgetvalue(r, row, 1), NULL, 10)));
	if (!PQgetisnull(r, row, 2))
	{
		size_t		len;
		unsigned char *raw = PQunescapeBytea((const unsigned char *) PQgetvalue(r, row, 2), &len);

		if (raw == NULL)
			return;
		if (PQgetisnull(r, row, 1) && len > 0 && raw[0] == '{')
			take_salvaged(context, (const char *) raw, len);
		while (len > 0 && (raw[len - 1] == '\n' || raw[len - 1] == '\r'))
			len--;
		tally_add(context, nonzero(hash_bytes(HASH_START, raw, len)));
		PQfreemem(raw);
	}
}

static void
load_database(PGconn *conn, int tenant, Tally *events, Tally *quarantine)
{
	char		sql[1024];

	/* One snapshot for both tables. */
	PQclear(query(conn, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", PGRES_COMMAND_OK));
	PQclear(query(conn, "SET LOCAL extra_float_digits = 1", PGRES_COMMAND_OK));
	snprintf(sql, sizeof(sql),
			 "SELECT replace(d.identity, ' ', '_'), (extract(epoch FROM e.event_time) * 1000000)::bigint,"
			 " fleet.latitude(e.location), fleet.longitude(e.location), e.altitude_m, e.accuracy_m,"
			 " e.speed_kmh, e.heading_deg, e.signals::text"
			 " FROM fleet.event e JOIN fleet.device d USING (vehicle_id)"
			 " WHERE d.tenant_id = %d", tenant);
	for_each_row(conn, sql, take_event, events);
	snprintf(sql, sizeof(sql),
			 "SELECT replace(device, ' ', '_'), (extract(epoch FROM event_time) * 1000000)::bigint, raw"
			 " FROM fleet.quarantine WHERE tenant_id = %d OR tenant_id IS NULL", tenant);
	for_each_row(conn, sql, take_quarantine, quarantine);
	PQclear(query(conn, "COMMIT", PGRES_COMMAND_OK));
}

static void
complain(uint64_t *count, const char *what, const Sent *s, size_t number)
{
	if ((*count)++ < SHOWN_MAX)
		warn("message %zu %s%s%s", number, what, s->code[0] ? ", rejected as " : "", s->code);
}

static void
compare(Book *b, Tally *events, Tally *quarantine, Figures *f)
{
	Tally		seen = {0};
	size_t		known = 0;

	for (size_t i = 0; i < b->count; i++)
	{
		const Sent *s = &b->list[i];
		uint32_t	found = s->key ? tally_count(events, s->key) : 0;

		f->sent++;
		if (s->key)
		{
			f->repeats_sent += tally_count(&seen, s->key) > 0;
			tally_add(&seen, s->key);
		}
		if (found > 0 && tally_mark(events, s->key))
		{
			known += found;
			f->events_found++;
			if (found > 1)
				complain(&f->twice, "is stored more than once", s, i);
		}
		switch (s->fate)
		{
			case FATE_UNKNOWN:
				f->unacked++;
				break;
			case FATE_ACKED:
				f->acked++;
				if (found == 0)
					complain(&f->lost, "was acknowledged and is not in fleet.event", s, i);
				break;
			case FATE_TAKEN:
				f->acked++;
				if (found == 0 && (s->place == 0 || tally_count(quarantine, s->place) == 0))
					complain(&f->lost, "was acknowledged and is nowhere", s, i);
				break;
			case FATE_REJECTED:
				f->rejected++;
				if (tally_count(quarantine, s->line) == 0 &&
					(s->place == 0 || tally_count(quarantine, s->place) == 0))
					complain(&f->rejected_missing, "was rejected and is not in fleet.quarantine", s, i);
				break;
		}
	}
	for (size_t i = 0; i < events->size; i++)
		if (events->keys[i])
			f->events_of_others += events->counts[i];
	f->events_of_others -= known;
}

int
command_verify(int argc, char **argv)
{
	static const struct option options[] = {
		{"ledger", required_argument, NULL, 'l'},
		{"database", required_argument, NULL, 'd'},
		{"tenant", required_argument, NULL, 't'},
		{"help", no_argument, NULL, 'h'},
		{NULL}
	};
	const char *ledger = NULL;
	const char *database = NULL;
	int			tenant = 1;
	Book		book = {0};
	Tally		events = {0};
	Tally		quarantine = {0};
	Figures		f = {0};
	PGconn	   *conn;
	bool		proved;
	int			option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
	{
		switch (option)
		{
			case 'l':
				ledger = optarg;
				break;
			case 'd':
				database = optarg;
				break;
			case 't':
				tenant = (int) option_number("tenant", optarg, 1, 2e9);
				break;
			case 'h':
				fputs(verify_help, stdout);
				return 0;
			default:
				return EXIT_USAGE;
		}
	}
	if (!ledger || !database)
		die("--ledger and --database are needed");

	read_ledger(&book, ledger);
	conn = connect_database(database);
	load_database(conn, tenant, &events, &quarantine);
	PQfinish(conn);
	compare(&book, &events, &quarantine, &f);

	printf("sent=%llu acked=%llu rejected=%llu unacknowledged=%llu repeats_sent=%llu events_found=%llu events_of_others=%llu\n"
		   "acknowledged_and_lost=%llu stored_twice=%llu rejected_and_not_in_quarantine=%llu\n",
		   (unsigned long long) f.sent, (unsigned long long) f.acked, (unsigned long long) f.rejected,
		   (unsigned long long) f.unacked, (unsigned long long) f.repeats_sent,
		   (unsigned long long) f.events_found, (unsigned long long) f.events_of_others,
		   (unsigned long long) f.lost, (unsigned long long) f.twice, (unsigned long long) f.rejected_missing);
	proved = f.lost == 0 && f.twice == 0 && f.rejected_missing == 0;
	puts(proved ? "proved" : "NOT PROVED");
	return proved ? 0 : EXIT_PROVEN_WRONG;
}
