/*
 * db.c
 *	  libpq's non-blocking interface on the event loop, with reconnection.
 */
#include "db.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "log.h"
#include "stats.h"

#define DB_BACKOFF_FIRST_MS 100
#define DB_BACKOFF_LAST_MS 5000
#define DB_CONNECT_SECONDS 10

typedef enum DbState
{
	DB_AWAY,					/* waiting for the timer, then connects */
	DB_CONNECTING,
	DB_IDLE,
	DB_BUSY,					/* a query runs */
	DB_COPYING					/* a query runs and takes data */
} DbState;

struct Db
{
	struct event_base *base;
	const char *name;
	int			number;
	const DbOps *ops;
	void	   *arg;
	DbState		state;
	PGconn	   *pg;
	struct event *io;			/* on the socket; NULL: none */
	struct event *timer;		/* next try, or end of patience while connecting */
	evutil_socket_t fd;			/* io's */
	short		watched;		/* io's events */
	unsigned	tries;			/* since the last query that ended */
};

static void db_connect(Db *db);
static void on_io(evutil_socket_t fd, short what, void *arg);

unsigned
db_backoff_ms(unsigned n)
{
	unsigned	ms = DB_BACKOFF_FIRST_MS;

	while (n-- > 0 && ms < DB_BACKOFF_LAST_MS)
		ms *= 2;
	if (ms > DB_BACKOFF_LAST_MS)
		ms = DB_BACKOFF_LAST_MS;
	/* Half of it is chance, lest all connections come back in step. */
	return ms / 2 + (unsigned) random() % (ms / 2 + 1);
}

static void
set_timer(Db *db, unsigned ms)
{
	struct timeval tv = {ms / 1000, (ms % 1000) * 1000};

	event_add(db->timer, &tv);
}

static void
unwatch(Db *db)
{
	if (db->io != NULL)
		event_free(db->io);
	db->io = NULL;
	db->watched = 0;
}

/* Waits for these events on the socket, which libpq may have changed. */
static void
watch(Db *db, short events)
{
	evutil_socket_t fd = PQsocket(db->pg);

	if (db->io != NULL && db->fd == fd && db->watched == events)
		return;
	unwatch(db);
	db->io = event_new(db->base, fd, events | EV_PERSIST, on_io, db);
	if (db->io == NULL || event_add(db->io, NULL) != 0)
	{
		log_fatal("out_of_memory");
		abort();
	}
	db->fd = fd;
	db->watched = events;
}

static void
lose(Db *db, const char *message)
{
	DbState		was = db->state;
	unsigned	ms = db_backoff_ms(db->tries++);

	log_warning(was == DB_CONNECTING ? "database_not_reached" : "database_lost",
				log_str("connection", db->name), log_int("number", db->number),
				log_str("message", message), log_int("retry_ms", ms));
	stats_inc(STAT_CONNECTION_LOST);
	unwatch(db);
	PQfinish(db->pg);
	db->pg = NULL;
	db->state = DB_AWAY;
	set_timer(db, ms);
	if (was != DB_CONNECTING)
		db->ops->lost(db->arg);
}

static void
poll_connecting(Db *db)
{
	switch (PQconnectPoll(db->pg))
	{
		case PGRES_POLLING_READING:
			/* A poll can replace the socket by one of the same number. */
			unwatch(db);
			watch(db, EV_READ);
			break;
		case PGRES_POLLING_WRITING:
			unwatch(db);
			watch(db, EV_WRITE);
			break;
		case PGRES_POLLING_OK:
			if (PQsetnonblocking(db->pg, 1) != 0)
			{
				lose(db, PQerrorMessage(db->pg));
				break;
			}
			event_del(db->timer);
			unwatch(db);
			watch(db, EV_READ);
			db->state = DB_IDLE;
			stats_inc(STAT_CONNECTS);
			log_info("database_connected", log_str("connection", db->name),
					 log_int("number", db->number));
			db->ops->up(db->arg);
			break;
		default:
			lose(db, PQerrorMessage(db->pg));
			break;
	}
}

static void
on_notice(void *arg, const PGresult *result)
{
	Db		   *db = arg;

	log_debug("database_notice", log_str("connection", db->name),
			  log_str("message", PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY)));
}

static void
db_connect(Db *db)
{
	/* What stands before dbname are defaults, the user's string may change them. */
	static const char *const keywords[] = {
		"fallback_application_name", "keepalives_idle", "keepalives_interval",
		"keepalives_count", "dbname", "client_encoding", NULL
	};
	const char *const values[] = {
		"fleetd", "30", "10", "3", cf->database, "UTF8", NULL
	};

	db->state = DB_CONNECTING;
	db->pg = PQconnectStartParams(keywords, values, 1);
	if (db->pg == NULL)
	{
		log_fatal("out_of_memory");
		abort();
	}
	if (PQstatus(db->pg) == CONNECTION_BAD)
	{
		lose(db, PQerrorMessage(db->pg));
		return;
	}
	PQsetNoticeReceiver(db->pg, on_notice, db);
	set_timer(db, DB_CONNECT_SECONDS * 1000);
	watch(db, EV_WRITE);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	Db		   *db = arg;

	(void) fd;
	(void) what;
	if (db->state == DB_AWAY)
		db_connect(db);
	else if (db->state == DB_CONNECTING)
		lose(db, "no answer in time");
}

/* Sends what libpq holds, as far as the socket takes it; false when lost. */
static bool
flush(Db *db)
{
	int			rc = PQflush(db->pg);

	if (rc < 0)
	{
		lose(db, PQerrorMessage(db->pg));
		return false;
	}
	watch(db, rc > 0 ? EV_READ | EV_WRITE : EV_READ);
	return true;
}

/* Feeds COPY until the socket is full or the data ends. */
static void
pump_copy(Db *db)
{
	const char *data;
	size_t		len;

	for (;;)
	{
		if (!flush(db))
			return;
		if (db->watched & EV_WRITE)
			return;
		if (!db->ops->copy(db->arg, &data, &len))
			break;
		if (PQputCopyData(db->pg, data, (int) len) != 1)
		{
			lose(db, PQerrorMessage(db->pg));
			return;
		}
	}
	if (PQputCopyEnd(db->pg, NULL) != 1)
	{
		lose(db, PQerrorMessage(db->pg));
		return;
	}
	db->state = DB_BUSY;
	flush(db);
}

static void
read_results(Db *db)
{
	while (db->state == DB_BUSY && !PQisBusy(db->pg))
	{
		PGresult   *result = PQgetResult(db->pg);

		if (result == NULL)
		{
			if (PQstatus(db->pg) == CONNECTION_BAD)
			{
				lose(db, PQerrorMessage(db->pg));
				return;
			}
			db->state = DB_IDLE;
			db->tries = 0;
			db->ops->done(db->arg);
			return;
		}
		if (PQresultStatus(result) == PGRES_COPY_IN)
		{
			PQclear(result);
			db->state = DB_COPYING;
			pump_copy(db);
			continue;
		}
		if (PQstatus(db->pg) == CONNECTION_BAD)
		{
			char	   *message = strdup(PQresultErrorMessage(result));

			PQclear(result);
			lose(db, message ? message : "");
			free(message);
			return;
		}
		db->ops->result(db->arg, result);
		PQclear(result);
	}
}

static void
on_io(evutil_socket_t fd, short what, void *arg)
{
	Db		   *db = arg;

	(void) fd;
	if (db->state == DB_CONNECTING)
	{
		poll_connecting(db);
		return;
	}
	if ((what & EV_READ) && !PQconsumeInput(db->pg))
	{
		lose(db, PQerrorMessage(db->pg));
		return;
	}
	if (db->state == DB_COPYING)
		pump_copy(db);
	else if ((db->watched & EV_WRITE) && !flush(db))
		return;

	if (db->state != DB_AWAY)
		read_results(db);
	if (db->state != DB_AWAY && db->state != DB_CONNECTING)
	{
		PGnotify   *notify;

		while ((notify = PQnotifies(db->pg)) != NULL)
		{
			if (db->ops->notified != NULL)
				db->ops->notified(db->arg, notify->extra);
			PQfreemem(notify);
		}
	}
	/* The server may end an idle connection. */
	if (db->state == DB_IDLE && PQstatus(db->pg) == CONNECTION_BAD)
		lose(db, PQerrorMessage(db->pg));
}

Db *
db_new(struct event_base *base, const char *name, int number, const DbOps *ops, void *arg)
{
	Db		   *db = calloc(1, sizeof(*db));

	if (db == NULL)
		return NULL;
	db->base = base;
	db->name = name;
	db->number = number;
	db->ops = ops;
	db->arg = arg;
	db->timer = evtimer_new(base, on_timer, db);
	if (db->timer == NULL)
	{
		free(db);
		return NULL;
	}
	/* From the loop, so that the owner has its pointer when things happen. */
	db->state = DB_AWAY;
	set_timer(db, 0);
	return db;
}

void
db_free(Db *db)
{
	if (db == NULL)
		return;
	unwatch(db);
	event_free(db->timer);
	PQfinish(db->pg);
	free(db);
}

bool
db_is_idle(const Db *db)
{
	return db->state == DB_IDLE;
}

static void
sent(Db *db, int rc)
{
	if (rc != 1)
	{
		lose(db, PQerrorMessage(db->pg));
		return;
	}
	db->state = DB_BUSY;
	flush(db);
}

void
db_query(Db *db, const char *sql)
{
	sent(db, PQsendQuery(db->pg, sql));
}

void
db_query_param(Db *db, const char *sql, const char *param)
{
	db_query_params(db, sql, 1, &param);
}

void
db_query_params(Db *db, const char *sql, int n, const char *const *params)
{
	sent(db, PQsendQueryParams(db->pg, sql, n, NULL, params, NULL, NULL, 0));
}

void
db_reset(Db *db, const char *why)
{
	if (db->state != DB_AWAY)
		lose(db, why);
}
