/*
 * auth.c
 *	  Token -> source.  Those that wait are asked about in one query; answers
 *	  are remembered by the token's SHA-256, so that no token stays in memory.
 */
#include "auth.h"

#include <event2/event.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "clock.h"
#include "config.h"
#include "db.h"
#include "log.h"
#include "stats.h"
#include "vin.h"

#define AUTH_ASK_MAX 1000		/* tokens in one query */
#define AUTH_DENIED_SECONDS 10	/* an unknown token may become known */
#define AUTH_BUCKETS 16384		/* a power of two */

#define AUTH_QUERY \
	"SELECT fleet.authenticate_source(t) FROM unnest($1::text[]) WITH ORDINALITY AS asked(t, n) ORDER BY n"

typedef struct Digest
{
	unsigned char bytes[SHA256_DIGEST_LENGTH];
} Digest;

typedef struct CacheEntry
{
	struct CacheEntry *next_in_bucket;
	struct CacheEntry *newer;	/* by time of the answer */
	struct CacheEntry *older;
	Digest		digest;
	int32_t		source_id;		/* 0: denied */
	int64_t		expires_us;
} CacheEntry;

typedef enum RequestState
{
	REQUEST_WAITING,			/* for its query */
	REQUEST_ASKED,				/* in the query that runs */
	REQUEST_ANSWERED			/* done() comes next */
} RequestState;

struct AuthRequest
{
	AuthRequest *next;
	RequestState state;
	Digest		digest;
	AuthDone	done;			/* NULL: cancelled */
	void	   *arg;
	AuthStatus	status;
	int32_t		source_id;
	char		token[AUTH_TOKEN_MAX + 1];
};

typedef struct Queue
{
	AuthRequest *head;
	AuthRequest **tail;
} Queue;

static Db  *db;
static struct event *kick;		/* runs ask() from the loop, for all that came in one turn */
static bool up;
static bool was_up;
static void (*on_ready) (void *arg);
static void *on_ready_arg;
static Queue waiting = {NULL, &waiting.head};
static Queue asked = {NULL, &asked.head};
static size_t nwaiting;			/* requests of both queues */

static CacheEntry *buckets[AUTH_BUCKETS];
static CacheEntry *newest;
static CacheEntry *oldest;
static size_t ncached;

/* --- the cache --- */

static CacheEntry **
bucket_of(const Digest *digest)
{
	uint32_t	h;

	memcpy(&h, digest->bytes, sizeof(h));
	return &buckets[h & (AUTH_BUCKETS - 1)];
}

static CacheEntry *
cache_find(const Digest *digest)
{
	CacheEntry *entry = *bucket_of(digest);

	while (entry != NULL && memcmp(&entry->digest, digest, sizeof(*digest)) != 0)
		entry = entry->next_in_bucket;
	return entry;
}

static void
cache_unlink(CacheEntry *entry)
{
	if (entry->newer != NULL)
		entry->newer->older = entry->older;
	else
		newest = entry->older;
	if (entry->older != NULL)
		entry->older->newer = entry->newer;
	else
		oldest = entry->newer;
}

static void
cache_drop(CacheEntry *entry)
{
	CacheEntry **link = bucket_of(&entry->digest);

	while (*link != entry)
		link = &(*link)->next_in_bucket;
	*link = entry->next_in_bucket;
	cache_unlink(entry);
	free(entry);
	ncached--;
}

static void
cache_store(const Digest *digest, int32_t source_id)
{
	CacheEntry *entry = cache_find(digest);
	int64_t		seconds = cf->auth_cache_seconds;

	if (entry != NULL)
		cache_unlink(entry);
	else
	{
		CacheEntry **bucket = bucket_of(digest);

		while (oldest != NULL && ncached >= (size_t) cf->auth_cache_entries)
			cache_drop(oldest);
		entry = malloc(sizeof(*entry));
		if (entry == NULL)
			return;
		entry->digest = *digest;
		entry->next_in_bucket = *bucket;
		*bucket = entry;
		ncached++;
	}
	if (source_id == 0 && seconds > AUTH_DENIED_SECONDS)
		seconds = AUTH_DENIED_SECONDS;
	entry->source_id = source_id;
	entry->expires_us = clock_us() + seconds * 1000000;
	entry->newer = NULL;
	entry->older = newest;
	if (newest != NULL)
		newest->newer = entry;
	newest = entry;
	if (oldest == NULL)
		oldest = entry;
}

/* --- asking --- */

static void
queue_add(Queue *queue, AuthRequest *request)
{
	request->next = NULL;
	*queue->tail = request;
	queue->tail = &request->next;
}

static AuthRequest *
queue_take(Queue *queue)
{
	AuthRequest *request = queue->head;

	if (request != NULL)
	{
		queue->head = request->next;
		if (queue->head == NULL)
			queue->tail = &queue->head;
	}
	return request;
}

static void
count_result(AuthStatus status)
{
	if (status == AUTH_OK)
		stats_inc(STAT_AUTH_OK);
	else if (status == AUTH_DENIED)
		stats_inc(STAT_AUTH_DENIED);
	else if (status == AUTH_UNAVAILABLE)
		stats_inc(STAT_AUTH_UNAVAILABLE);
}

/* Answers and frees a request that is on no queue any more. */
static void
answer(AuthRequest *request)
{
	nwaiting--;
	if (request->done != NULL)
	{
		count_result(request->status);
		request->done(request->arg, request->status, request->source_id);
	}
	OPENSSL_cleanse(request->token, sizeof(request->token));
	free(request);
}

/* Asks about all that wait, as far as they fit into one query. */
static void
ask(void)
{
	Buf			array = {0};
	AuthRequest *request;
	int			n = 0;
	bool		ok = true;

	if (waiting.head == NULL || !db_is_idle(db))
		return;
	ok = buf_add(&array, "{", 1);
	while (ok && n < AUTH_ASK_MAX && (request = queue_take(&waiting)) != NULL)
	{
		/* auth_check let no quote and no backslash pass. */
		ok = buf_printf(&array, "%s\"%s\"", n > 0 ? "," : "", request->token);
		request->state = REQUEST_ASKED;
		queue_add(&asked, request);
		n++;
	}
	if (ok && buf_add(&array, "}", 2))
		db_query_param(db, AUTH_QUERY, buf_data(&array));
	else
		db_reset(db, "out of memory");
	if (array.data != NULL)
		OPENSSL_cleanse(array.data, array.size);
	buf_release(&array);
}

static void
on_up(void *arg)
{
	(void) arg;
	up = true;
	ask();
	if (!was_up)
	{
		was_up = true;
		if (on_ready != NULL)
			on_ready(on_ready_arg);
	}
}

bool
auth_was_up(void)
{
	return was_up;
}

void
auth_on_ready(void (*ready) (void *arg), void *arg)
{
	on_ready = ready;
	on_ready_arg = arg;
}

static void
on_result(void *arg, const PGresult *result)
{
	AuthRequest *request;
	int			row = 0;

	(void) arg;
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
	{
		log_error("auth_query_failed",
				  log_str("sqlstate", PQresultErrorField(result, PG_DIAG_SQLSTATE)),
				  log_str("message", PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY)));
		return;
	}
	for (request = asked.head; request != NULL; request = request->next, row++)
	{
		bool		known = row < PQntuples(result) && !PQgetisnull(result, row, 0);

		request->source_id = known ? (int32_t) strtol(PQgetvalue(result, row, 0), NULL, 10) : 0;
		request->status = known ? AUTH_OK : AUTH_DENIED;
		request->state = REQUEST_ANSWERED;
		cache_store(&request->digest, request->source_id);
	}
}

static void
answer_asked(void)
{
	/* done() may ask again, and that goes to the other queue. */
	Queue		answered = asked;

	if (answered.head == NULL)
		return;
	asked.head = NULL;
	asked.tail = &asked.head;
	for (AuthRequest *request = answered.head, *next; request != NULL; request = next)
	{
		next = request->next;
		if (request->state != REQUEST_ANSWERED)
			request->status = AUTH_UNAVAILABLE;
		answer(request);
	}
}

static void
on_done(void *arg)
{
	(void) arg;
	answer_asked();
	ask();
}

/* Whoever waits is told at once: a device does better to come again later. */
static void
on_lost(void *arg)
{
	AuthRequest *request;

	(void) arg;
	up = false;
	answer_asked();
	while ((request = queue_take(&waiting)) != NULL)
	{
		request->status = AUTH_UNAVAILABLE;
		answer(request);
	}
}

AuthStatus
auth_check(const char *token, size_t len, int32_t *source_id, AuthDone done, void *arg,
		   AuthRequest **result)
{
	Digest		digest;
	CacheEntry *entry;
	AuthRequest *request;

	*source_id = 0;
	*result = NULL;
	if (len == 0 || len > AUTH_TOKEN_MAX)
	{
		count_result(AUTH_DENIED);
		return AUTH_DENIED;
	}
	for (size_t i = 0; i < len; i++)
		if (token[i] <= ' ' || token[i] > '~' || token[i] == '"' || token[i] == '\\')
		{
			count_result(AUTH_DENIED);
			return AUTH_DENIED;
		}

	/* A number that somebody took for a token must not stand in a query. */
	if (vin_find(token, len, 0, VIN_IN_TEXT) < len)
	{
		count_result(AUTH_DENIED);
		return AUTH_DENIED;
	}
	SHA256((const unsigned char *) token, len, digest.bytes);
	entry = cache_find(&digest);
	/* While the database is away an old answer is better than none. */
	if (entry != NULL && (clock_us() < entry->expires_us || (!up && entry->source_id != 0)))
	{
		AuthStatus	status = entry->source_id != 0 ? AUTH_OK : AUTH_DENIED;

		*source_id = entry->source_id;
		stats_inc(STAT_AUTH_CACHED);
		count_result(status);
		return status;
	}
	if (!up || nwaiting >= (size_t) cf->auth_waiting)
	{
		count_result(AUTH_UNAVAILABLE);
		return AUTH_UNAVAILABLE;
	}
	request = malloc(sizeof(*request));
	if (request == NULL)
	{
		count_result(AUTH_UNAVAILABLE);
		return AUTH_UNAVAILABLE;
	}
	request->state = REQUEST_WAITING;
	request->digest = digest;
	request->done = done;
	request->arg = arg;
	request->status = AUTH_UNAVAILABLE;
	request->source_id = 0;
	memcpy(request->token, token, len);
	request->token[len] = '\0';
	queue_add(&waiting, request);
	nwaiting++;
	*result = request;
	event_active(kick, EV_TIMEOUT, 0);
	return AUTH_PENDING;
}

void
auth_cancel(AuthRequest *request)
{
	request->done = NULL;
}

static void
on_kick(evutil_socket_t fd, short what, void *arg)
{
	(void) fd;
	(void) what;
	(void) arg;
	ask();
}

static const DbOps ops = {.up = on_up,.lost = on_lost,.result = on_result,.done = on_done};

bool
auth_start(struct event_base *base)
{
	kick = evtimer_new(base, on_kick, NULL);
	db = db_new(base, "auth", 0, &ops, NULL);
	return kick != NULL && db != NULL;
}

void
auth_stop(void)
{
	AuthRequest *request;

	while ((request = queue_take(&asked)) != NULL || (request = queue_take(&waiting)) != NULL)
		free(request);
	while (oldest != NULL)
		cache_drop(oldest);
	if (kick != NULL)
		event_free(kick);
	db_free(db);
	kick = NULL;
	db = NULL;
}
