/*
 * command.c
 *	  Commands between the database and the queue, on a connection of its own: it
 *	  is woken by NOTIFY, and asks about devices, takes commands, reports
 *	  outcomes, many in one query each.
 *
 * A role without the rights, or a database without the functions, is no fault:
 * telemetry goes on, and commands are off.
 */
#include "command.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "buf.h"
#include "clock.h"
#include "command_queue.h"
#include "config.h"
#include "db.h"
#include "log.h"
#include "stats.h"

#define ASK_MAX 500				/* devices in a query */
#define CLAIM_MAX 100
#define REPORT_MAX 100
#define READY_MAX 1000			/* taken and not written: no more are taken meanwhile */
#define SWEEP_MS 200
#define OFF_SECONDS 60			/* before another look whether they are still off */

typedef enum Phase
{
	PHASE_DOWN,					/* no connection */
	PHASE_OFF,					/* no right to it */
	PHASE_LISTENING,			/* the query runs */
	PHASE_IDLE,
	PHASE_ASKING,
	PHASE_CLAIMING,
	PHASE_REPORTING
} Phase;

static Db  *db;
static struct event *kick;		/* look for work in the next turn */
static struct event *sweeper;
static Phase phase = PHASE_DOWN;
static char daemon_id[33];
static bool off_said;
static bool failed;				/* the query that runs */
static bool again;				/* likewise, for a reason that will pass */
static int64_t began_us;		/* the query that runs */
static int64_t off_until_us;
static CommandPeer *slots[ASK_MAX];
static size_t nslots;
static size_t nsent;			/* reports in the query that runs */
static size_t singly;			/* so many go one by one, as one of them is refused */
static int64_t reports_after_us;
static bool told;				/* the last query was of reports */

static void
set_phase(Phase next)
{
	phase = next;
	stats_gauge_set(GAUGE_COMMANDS_UP, next >= PHASE_IDLE);
}

/* --- queries --- */

static void
run(Phase next, const char *sql, Buf *json)
{
	const char *params[2] = {daemon_id, json != NULL ? buf_data(json) : NULL};

	failed = again = false;
	began_us = clock_us();
	set_phase(next);
	if (next == PHASE_LISTENING)
		db_query(db, sql);
	else if (next == PHASE_ASKING)
		db_query_param(db, sql, params[1]);
	else
		db_query_params(db, sql, 2, params);
	if (json != NULL)
		buf_release(json);
}

/* A database that is away when memory is out comes back when some is. */
static void
give_up(Buf *json)
{
	buf_release(json);
	db_reset(db, "out of memory");
}

static void
ask(void)
{
	Buf			json = {0};
	bool		ok = buf_add(&json, "[", 1);

	nslots = queue_take(PEER_ASK, slots, ASK_MAX);
	for (size_t i = 0; ok && i < nslots; i++)
		ok = buf_printf(&json, "%s{\"peer\":%zu,\"source_id\":%d,\"device\":", i > 0 ? "," : "", i, slots[i]->source_id) &&
			buf_add_json(&json, slots[i]->device.data, slots[i]->device.len) && buf_add(&json, "}", 1);
	if (!ok || !buf_add(&json, "]", 2))
		give_up(&json);
	else
		run(PHASE_ASKING, "SELECT peer, vehicle_id, command_id FROM fleet.pending_commands($1)", &json);
}

static void
claim(void)
{
	Buf			json = {0};
	bool		ok = buf_add(&json, "[", 1);
	int64_t		now = clock_us();

	nslots = queue_take(PEER_CLAIM, slots, CLAIM_MAX);
	for (size_t i = 0; ok && i < nslots; i++)
		ok = buf_printf(&json, "%s{\"claim\":%zu,\"command_id\":%lld,\"source_id\":%d,\"age_ms\":%lld,\"device\":",
						i > 0 ? "," : "", i, (long long) slots[i]->command_id, slots[i]->source_id,
						(long long) (now - slots[i]->owner->opened_us) / 1000) &&
			buf_add_json(&json, slots[i]->device.data, slots[i]->device.len) && buf_add(&json, "}", 1);
	if (!ok || !buf_add(&json, "]", 2))
		give_up(&json);
	else
		run(PHASE_CLAIMING, "SELECT claim, command_id, name, arguments, expires_at, left_ms, lease_ms, wait_ms"
			" FROM fleet.claim_commands($1, $2)", &json);
}

static void
tell(void)
{
	static const char *const outcomes[] = {
		[REPORT_CONFIRMED] = "{\"command_id\":%lld,\"outcome\":\"confirmed\",\"answer\":",
		[REPORT_FAILED] = "{\"command_id\":%lld,\"outcome\":\"failed\",\"failure\":\"refused\",\"answer\":",
		[REPORT_UNSUPPORTED] = "{\"command_id\":%lld,\"outcome\":\"failed\",\"written\":false,\"failure\":",
		[REPORT_RELEASED] = "{\"command_id\":%lld,\"outcome\":\"released\",\"answer\":"
	};
	Buf			json = {0};
	bool		ok = buf_add(&json, "[", 1);
	size_t		max = singly > 0 ? 1 : REPORT_MAX;

	nsent = 0;
	for (const Report *r = queue_reports(); ok && r != NULL && nsent < max; r = r->next, nsent++)
	{
		ok = nsent == 0 || buf_add(&json, ",", 1);
		/* A format of the table above: one number each. */
		ok = ok && buf_printf(&json, outcomes[r->outcome], (long long) r->command_id) &&
			(r->len > 0 ? buf_add_json(&json, r->text, r->len) : buf_add(&json, "null", 4));
		if (ok && r->source_id != 0)
			ok = buf_printf(&json, ",\"source_id\":%d", r->source_id);
		if (ok && r->device_len > 0)
			ok = buf_add(&json, ",\"device\":", 10) && buf_add_json(&json, r->text + r->len, r->device_len);
		ok = ok && buf_add(&json, "}", 1);
	}
	if (!ok || !buf_add(&json, "]", 2))
		give_up(&json);
	else
		run(PHASE_REPORTING, "SELECT fleet.report_commands($1, $2)", &json);
}

/*
 * What has become of commands first, then those that are to go, then what else
 * there is.  But reports take turns with the others: a peer may confirm what nobody
 * sent, without end.
 */
static void
work(void)
{
	bool		claims;

	if (!db_is_idle(db))
		return;
	if (phase == PHASE_OFF && clock_us() >= off_until_us)
		run(PHASE_LISTENING, "SELECT fleet.daemon_listen()", NULL);
	if (phase != PHASE_IDLE)
		return;
	claims = queue_count(PEER_CLAIM) > 0 && queue_count(PEER_READY) < READY_MAX;
	if (queue_report_count() > 0 && clock_us() >= reports_after_us &&
		!(told && (claims || queue_count(PEER_ASK) > 0)))
	{
		told = true;
		tell();
		return;
	}
	told = false;
	if (claims)
		claim();
	else if (queue_count(PEER_ASK) > 0)
		ask();
}

static void
on_kick(evutil_socket_t fd, short what, void *arg)
{
	(void) fd;
	(void) what;
	(void) arg;
	work();
}

static void
on_work(void)
{
	if (phase == PHASE_IDLE)
		event_active(kick, EV_TIMEOUT, 0);
}

/* --- answers of the database --- */

static void
on_up(void *arg)
{
	(void) arg;
	run(PHASE_LISTENING, "SELECT fleet.daemon_listen()", NULL);
}

static void
on_lost(void *arg)
{
	(void) arg;
	/* Reports stay, and are told again: the database knows those it has. */
	queue_failed(slots, nslots, clock_us());
	nslots = 0;
	set_phase(PHASE_DOWN);
}

static bool
is_state(const char *state, const char *const *list)
{
	for (; *list != NULL; list++)
		if (strncmp(state, *list, strlen(*list)) == 0)
			return true;
	return false;
}

static void
on_failure(const PGresult *result)
{
	/* no right, no such function, no such schema, no such table */
	static const char *const lacking[] = {"42501", "42883", "3F000", "42P01", NULL};
	/* serialization, resources, shutdown, locks */
	static const char *const passing[] = {"40", "53", "57", "55P03", NULL};
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	failed = true;
	if (state != NULL && phase == PHASE_LISTENING && is_state(state, lacking))
	{
		if (!off_said)
			log_warning("commands_off", log_str("sqlstate", state), log_str("message", message));
		off_said = true;
		return;
	}
	again = state != NULL && is_state(state, passing);
	stats_inc(STAT_COMMAND_QUERIES_FAILED);
	log_error("command_query_failed", log_str("sqlstate", state), log_str("message", message));
}

static int64_t
number(const PGresult *result, int row, int column)
{
	return PQgetisnull(result, row, column) ? 0 : strtoll(PQgetvalue(result, row, column), NULL, 10);
}

static Str
text(const PGresult *result, int row, int column)
{
	return (Str) {PQgetvalue(result, row, column), (uint32_t) PQgetlength(result, row, column)};
}

static void
on_asked(const PGresult *result, int64_t now)
{
	for (int row = 0; row < PQntuples(result); row++)
	{
		size_t		i = (size_t) number(result, row, 0);

		if (i < nslots && slots[i] != NULL)
			queue_asked(slots[i], number(result, row, 1), number(result, row, 2), now);
	}
	/* The others are of no vehicle that is known. */
	for (size_t i = 0; i < nslots; i++)
		if (slots[i] != NULL)
			queue_asked(slots[i], 0, 0, now);
	nslots = 0;
}

static void
on_claimed(const PGresult *result, int64_t now)
{
	for (int row = 0; row < PQntuples(result); row++)
	{
		size_t		i = (size_t) number(result, row, 0);
		Grant		grant;

		if (i >= nslots)
			continue;
		if (PQgetisnull(result, row, 5))
		{
			if (slots[i] != NULL)
				queue_not_granted(slots[i], number(result, row, 7) * 1000, now);
			continue;
		}
		grant.command.id = number(result, row, 1);
		grant.command.device = slots[i] != NULL ? slots[i]->own_name : (Str) {"", 0};
		grant.command.name = text(result, row, 2);
		grant.command.arguments = text(result, row, 3);
		grant.command.expires = text(result, row, 4);
		/* Counted from before the question: never later than the server means. */
		grant.expires_us = began_us + number(result, row, 5) * 1000;
		grant.write_by_us = began_us + number(result, row, 6) * 1000;
		queue_granted(&slots[i], &grant, now);
	}
	for (size_t i = 0; i < nslots; i++)
		if (slots[i] != NULL)
			queue_not_granted(slots[i], 0, now);
	nslots = 0;
}

static void
on_result(void *arg, const PGresult *result)
{
	int64_t		now = clock_us();

	(void) arg;
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		on_failure(result);
	else if (phase == PHASE_ASKING)
		on_asked(result, now);
	else if (phase == PHASE_CLAIMING)
		on_claimed(result, now);
}

static void
on_told(int64_t now)
{
	if (!failed)
	{
		queue_reports_done(nsent);
		singly -= singly > 0;
	}
	else if (again)
		reports_after_us = now + 1000000;
	else if (nsent > 1)
		singly = nsent;
	else
	{
		stats_inc(STAT_COMMAND_REPORTS_LOST);
		queue_reports_done(1);
		singly -= singly > 0;
	}
}

static void
on_done(void *arg)
{
	int64_t		now = clock_us();

	(void) arg;
	switch (phase)
	{
		case PHASE_LISTENING:
			if (failed)
			{
				off_until_us = now + (int64_t) OFF_SECONDS * 1000000;
				set_phase(PHASE_OFF);
				return;
			}
			log_info("commands_on");
			off_said = false;
			set_phase(PHASE_IDLE);
			/* What came while nobody listened. */
			queue_wake(0);
			break;
		case PHASE_ASKING:
		case PHASE_CLAIMING:
			queue_failed(slots, nslots, now);
			nslots = 0;
			set_phase(PHASE_IDLE);
			break;
		case PHASE_REPORTING:
			on_told(now);
			set_phase(PHASE_IDLE);
			break;
		case PHASE_DOWN:
		case PHASE_OFF:
		case PHASE_IDLE:
			break;
	}
	work();
}

static void
on_notified(void *arg, const char *payload)
{
	int64_t		vehicle_id = strtoll(payload, NULL, 10);

	(void) arg;
	if (vehicle_id > 0)
		queue_wake(vehicle_id);
}

static void
on_sweep(evutil_socket_t fd, short what, void *arg)
{
	(void) fd;
	(void) what;
	(void) arg;
	queue_sweep(clock_us());
	work();
}

static const DbOps ops = {
	.up = on_up,.lost = on_lost,.result = on_result,.done = on_done,.notified = on_notified
};

bool
command_start(struct event_base *base)
{
	struct timeval tv = {0, SWEEP_MS * 1000};
	unsigned char noise[16];

	if (cf->commands_devices == 0)
		return true;
	if (getrandom(noise, sizeof(noise), 0) != sizeof(noise))
		return false;
	for (size_t i = 0; i < sizeof(noise); i++)
		snprintf(daemon_id + 2 * i, 3, "%02x", noise[i]);
	queue_on_work(on_work);
	kick = evtimer_new(base, on_kick, NULL);
	sweeper = event_new(base, -1, EV_PERSIST, on_sweep, NULL);
	db = db_new(base, "command", 0, &ops, NULL);
	return kick != NULL && sweeper != NULL && db != NULL && event_add(sweeper, &tv) == 0;
}

void
command_stop(void)
{
	queue_reset();
	if (kick != NULL)
		event_free(kick);
	if (sweeper != NULL)
		event_free(sweeper);
	db_free(db);
	kick = sweeper = NULL;
	db = NULL;
	phase = PHASE_DOWN;
}

size_t
command_busy(void)
{
	if (phase < PHASE_IDLE)
		return 0;
	return queue_report_count() + (phase == PHASE_CLAIMING ? nslots : 0);
}
