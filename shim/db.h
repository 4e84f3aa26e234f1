/*
 * db.h
 *	  One non-blocking database connection that comes back by itself.
 *
 * It runs one query at a time.  When the connection is lost, lost() is called
 * and up() again later; what became of a query in flight is then unknown.
 */
#ifndef SHIM_DB_H
#define SHIM_DB_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;

typedef struct DbOps
{
	void		(*up) (void *arg);	/* connected and idle */
	void		(*lost) (void *arg);
	void		(*result) (void *arg, const PGresult *result);	/* each of the query */
	void		(*done) (void *arg);	/* the query ended; idle again */

	/*
	 * COPY FROM STDIN wants data: the next piece, false when there is no more.
	 * Asked as the socket takes it.
	 */
	bool		(*copy) (void *arg, const char **data, size_t *len);

	/* NOTIFY on a channel that the connection listens to; NULL: nobody cares. */
	void		(*notified) (void *arg, const char *payload);
} DbOps;

typedef struct Db Db;

/* Begins to connect.  The name is for the log. */
extern Db  *db_new(struct event_base *base, const char *name, int number,
				   const DbOps *ops, void *arg);
extern void db_free(Db *db);
extern bool db_is_idle(const Db *db);

/* Only when idle.  What goes wrong shows as lost() or as a result, later. */
extern void db_query(Db *db, const char *sql);
extern void db_query_param(Db *db, const char *sql, const char *param);
extern void db_query_params(Db *db, const char *sql, int n, const char *const *params);

/* Throws the connection away and makes a new one. */
extern void db_reset(Db *db, const char *why);

/* Milliseconds to wait before try number n (0, 1, ...): doubling, with jitter. */
extern unsigned db_backoff_ms(unsigned n);

#endif							/* SHIM_DB_H */
