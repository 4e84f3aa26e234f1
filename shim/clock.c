/*
 * clock.c
 *	  Calls fleet.tick() on a connection of its own, so that neither batches
 *	  nor authentication wait for it.
 */
#include "clock.h"

#include <event2/event.h>
#include <time.h>

#include "config.h"
#include "db.h"
#include "log.h"
#include "stats.h"

static Db  *db;
static struct event *timer;
static int64_t last_us;			/* when the last tick began */
static bool failing;			/* said so already */

int64_t
clock_unix_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t
clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	int64_t		now = clock_us();

	(void) fd;
	(void) what;
	(void) arg;
	/* A tick that takes longer than its period is not called twice at once. */
	if (cf->tick_seconds == 0 || !db_is_idle(db) ||
		now - last_us < cf->tick_seconds * 1000000 - 50000)
		return;
	last_us = now;
	db_query(db, "SELECT fleet.tick()");
}

static void
on_result(void *arg, const PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	(void) arg;
	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
	{
		if (failing)
			log_info("tick_works_again");
		failing = false;
		stats_inc(STAT_TICKS);
		return;
	}
	stats_inc(STAT_TICKS_FAILED);
	if (!failing)
		log_error("tick_failed",
				  log_str("sqlstate", PQresultErrorField(result, PG_DIAG_SQLSTATE)),
				  log_str("message", PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY)));
	failing = true;
}

static void
on_nothing(void *arg)
{
	(void) arg;
}

static const DbOps ops = {.up = on_nothing,.lost = on_nothing,.result = on_result,.done = on_nothing};

bool
clock_start(struct event_base *base)
{
	struct timeval tv = {1, 0};

	db = db_new(base, "clock", 0, &ops, NULL);
	timer = event_new(base, -1, EV_PERSIST, on_timer, NULL);
	return db != NULL && timer != NULL && event_add(timer, &tv) == 0;
}

void
clock_stop(void)
{
	if (timer != NULL)
		event_free(timer);
	db_free(db);
	timer = NULL;
	db = NULL;
}
