/*
 * auth.c
 *	  Token -> source.  Those that wait are asked about in one query; answers
 *	  are remembered by the token's SHA-256, so that no token stays in memory.
 *
 *	  The connection listens for changes of tokens and sources, and then asks
 *	  about those that are in use here; also when it comes back, since nothing
 *	  was heard meanwhile, and now and then, lest one be missed.
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

#define AUTH_CHECK_MAX 1000		/* credentials in one query */
#define AUTH_PERIOD_SECONDS 10	/* between looks at all that is in use, at least */
#define AUTH_RETRY_SECONDS 1	/* after such a look failed */

#define AUTH_QUERY \
	"SELECT a.source_id, a.prefix, floor(extract(epoch FROM a.expires_in) * 1000)::bigint" \
	" FROM unnest($1::text[]) WITH ORDINALITY AS asked(t, n) LEFT JOIN LATERAL fleet.authenticate(asked.t) a ON true ORDER BY n"
#define AUTH_CHECK_QUERY \
	"SELECT prefix, source_id, floor(extract(epoch FROM expires_in) * 1000)::bigint FROM fleet.live_credentials($1, $2)"

typedef enum Phase
{
	PHASE_DOWN,
	PHASE_IDLE,
	PHASE_LISTENING,			/* the query runs, here and below */
	PHASE_ASKING,
	PHASE_CHECKING
} Phase;

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
	Credential *credential;		/* NULL: denied */
	int64_t		expires_us;		/* of the answer */
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
	Credential *credential;		/* held */
	char		token[AUTH_TOKEN_MAX + 1];
};

typedef struct Queue
{
	AuthRequest *head;
	AuthRequest **tail;
} Queue;

static Db  *db;
static struct event *kick;		/* runs ask() from the loop, for all that came in one turn */
static struct event *period;
static Phase phase = PHASE_DOWN;
static bool up;
static bool was_up;
static void (*on_ready) (void *arg);
static void *on_ready_arg;
static Queue waiting = {NULL, &waiting.head};
static Queue asked = {NULL, &asked.head};
static size_t nwaiting;			/* requests of both queues */
static int64_t began_us;		/* the query that runs */
static bool failed;				/* likewise */
static bool blind;				/* no right to ask what is still good */
static bool blind_said;
static bool check_next;			/* it is the credentials' turn, not the tokens' */
static Credential *checked[AUTH_CHECK_MAX];	/* in the query that runs */
static size_t nchecked;
static int64_t checked_us;		/* when all were last to be checked */
static int64_t check_after_us;

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
	credential_drop(entry->credential);
	free(entry);
	ncached--;
}

/* One whose token has ended is as good as none. */
static CacheEntry *
cache_find(const Digest *digest)
{
	CacheEntry *entry = *bucket_of(digest);

	while (entry != NULL && memcmp(&entry->digest, digest, sizeof(*digest)) != 0)
		entry = entry->next_in_bucket;
	if (entry != NULL && entry->credential != NULL && !credential_is_live(entry->credential))
	{
		cache_drop(entry);
		entry = NULL;
	}
	return entry;
}

static void
cache_store(const Digest *digest, Credential *credential)
{
	CacheEntry *entry = cache_find(digest);
	int64_t		seconds = cf->auth_cache_seconds;

	if (entry != NULL)
	{
		cache_unlink(entry);
		credential_drop(entry->credential);
	}
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
	if (credential == NULL && seconds > AUTH_DENIED_SECONDS)
		seconds = AUTH_DENIED_SECONDS;
	entry->credential = credential != NULL ? credential_hold(credential) : NULL;
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
	/* It may have come to its end since. */
	if (request->status == AUTH_OK && !credential_is_live(request->credential))
		request->status = AUTH_DENIED;
	if (request->done != NULL)
	{
		count_result(request->status);
		request->done(request->arg, request->status, request->credential);
	}
	credential_drop(request->credential);
	OPENSSL_cleanse(request->token, sizeof(request->token));
	free(request);
}

static void
begin(Phase next)
{
	phase = next;
	failed = false;
	began_us = clock_us();
}

/* Asks about all that wait, as far as they fit into one query. */
static void
ask(void)
{
	Buf			array = {0};
	AuthRequest *request;
	int			n = 0;
	bool		ok;

	ok = buf_add(&array, "{", 1);
	while (ok && n < AUTH_ASK_MAX && (request = queue_take(&waiting)) != NULL)
	{
		/* auth_check let no quote and no backslash pass. */
		ok = buf_printf(&array, "%s\"%s\"", n > 0 ? "," : "", request->token);
		request->state = REQUEST_ASKED;
		queue_add(&asked, request);
		n++;
	}
	begin(PHASE_ASKING);
	if (ok && buf_add(&array, "}", 2))
		db_query_param(db, AUTH_QUERY, buf_data(&array));
	else
		db_reset(db, "out of memory");
	if (array.data != NULL)
		OPENSSL_cleanse(array.data, array.size);
	buf_release(&array);
}

/* Asks which of those in question are still good; false when there are none. */
static bool
check(void)
{
	Buf			prefixes = {0};
	Buf			sources = {0};
	const char *params[2];
	bool		ok;

	nchecked = credential_ask(checked, AUTH_CHECK_MAX);
	if (nchecked == 0)
		return false;
	ok = buf_add(&prefixes, "{", 1) && buf_add(&sources, "{", 1);
	for (size_t i = 0; ok && i < nchecked; i++)
		if (checked[i]->prefix[0] != '\0')
			ok = buf_printf(&prefixes, "%s%s", buf_len(&prefixes) > 1 ? "," : "", checked[i]->prefix);
		else
			ok = buf_printf(&sources, "%s%d", buf_len(&sources) > 1 ? "," : "", checked[i]->source_id);
	begin(PHASE_CHECKING);
	if (ok && buf_add(&prefixes, "}", 2) && buf_add(&sources, "}", 2))
	{
		params[0] = buf_data(&prefixes);
		params[1] = buf_data(&sources);
		stats_inc(STAT_AUTH_CHECKS);
		db_query_params(db, AUTH_CHECK_QUERY, 2, params);
	}
	else
		db_reset(db, "out of memory");
	buf_release(&prefixes);
	buf_release(&sources);
	return true;
}

/* New peers and the credentials of those that are here take turns. */
static void
work(void)
{
	if (phase != PHASE_IDLE || !db_is_idle(db))
		return;
	if ((check_next || waiting.head == NULL) && !blind && clock_us() >= check_after_us && check())
		check_next = false;
	else if (waiting.head != NULL)
	{
		check_next = true;
		ask();
	}
}

static void
on_up(void *arg)
{
	(void) arg;
	up = true;
	blind = false;
	check_after_us = 0;
	begin(PHASE_LISTENING);
	db_query(db, "SELECT fleet.daemon_listen()");
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
on_failure(const PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	failed = true;
	/* No such right or function: tokens are good until their connections end. */
	if (phase != PHASE_ASKING && state != NULL && (strcmp(state, "42501") == 0 || strcmp(state, "42883") == 0))
	{
		blind |= phase == PHASE_CHECKING;
		if (!blind_said)
			log_warning("tokens_not_watched", log_str("sqlstate", state), log_str("message", message));
		blind_said = true;
		return;
	}
	log_error("auth_query_failed", log_str("sqlstate", state), log_str("message", message));
}

/* When that answer ends: never later than the server means. */
static int64_t
ends_us(const PGresult *result, int row)
{
	if (PQgetisnull(result, row, 2))
		return CREDENTIAL_NO_END;
	return began_us + strtoll(PQgetvalue(result, row, 2), NULL, 10) * 1000;
}

static int32_t
source_of(const PGresult *result, int row, int column)
{
	return (int32_t) strtol(PQgetvalue(result, row, column), NULL, 10);
}

static void
on_result(void *arg, const PGresult *result)
{
	AuthRequest *request;
	int			row = 0;

	(void) arg;
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
	{
		on_failure(result);
		return;
	}
	if (phase == PHASE_CHECKING)
		for (row = 0; row < PQntuples(result); row++)
			credential_seen(PQgetisnull(result, row, 0) ? NULL : PQgetvalue(result, row, 0),
							source_of(result, row, 1), ends_us(result, row));
	if (phase != PHASE_ASKING)
		return;
	for (request = asked.head; request != NULL; request = request->next, row++)
	{
		bool		known = row < PQntuples(result) && !PQgetisnull(result, row, 0);

		if (known)
			request->credential = credential_token(source_of(result, row, 0), PQgetvalue(result, row, 1),
												   ends_us(result, row), began_us);
		request->status = request->credential != NULL ? AUTH_OK : known ? AUTH_UNAVAILABLE : AUTH_DENIED;
		request->state = REQUEST_ANSWERED;
		if (request->status != AUTH_UNAVAILABLE)
			cache_store(&request->digest, request->credential);
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
answer_checked(bool ok)
{
	credential_answered(checked, nchecked, ok, began_us);
	nchecked = 0;
}

static void
check_all(void)
{
	checked_us = clock_us();
	credential_check_all();
}

static void
on_done(void *arg)
{
	Phase		was = phase;

	(void) arg;
	phase = PHASE_IDLE;
	if (was == PHASE_LISTENING)
	{
		/* What came to its end while nobody listened. */
		check_all();
		check_next = true;
	}
	else if (was == PHASE_CHECKING)
	{
		if (failed)
			check_after_us = clock_us() + (int64_t) AUTH_RETRY_SECONDS * 1000000;
		answer_checked(!failed);
	}
	answer_asked();
	work();
}

/* "source 12" or "source *"; what else is told is for others. */
static void
on_notified(void *arg, const char *payload)
{
	static const char word[] = "source ";

	(void) arg;
	if (strncmp(payload, word, sizeof(word) - 1) != 0)
		return;
	payload += sizeof(word) - 1;
	if (*payload == '*')
		credential_check_all();
	else
		credential_check_source((int32_t) strtol(payload, NULL, 10));
}

/* Notifications can be missed: behind a pooler, or when the server's queue was full. */
static void
on_period(evutil_socket_t fd, short what, void *arg)
{
	int64_t		seconds = cf->auth_cache_seconds > AUTH_PERIOD_SECONDS ? cf->auth_cache_seconds : AUTH_PERIOD_SECONDS;

	(void) fd;
	(void) what;
	(void) arg;
	if (up && clock_us() - checked_us > seconds * 1000000)
		check_all();
	work();
}

/* Whoever waits is told at once: a device does better to come again later. */
static void
on_lost(void *arg)
{
	AuthRequest *request;

	(void) arg;
	up = false;
	phase = PHASE_DOWN;
	answer_checked(false);
	answer_asked();
	while ((request = queue_take(&waiting)) != NULL)
	{
		request->status = AUTH_UNAVAILABLE;
		answer(request);
	}
}

AuthStatus
auth_check(const char *token, size_t len, Credential **credential, AuthDone done, void *arg,
		   AuthRequest **result)
{
	Digest		digest;
	CacheEntry *entry;
	AuthRequest *request;

	*credential = NULL;
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
	if (entry != NULL && (clock_us() < entry->expires_us || (!up && entry->credential != NULL)))
	{
		AuthStatus	status = entry->credential != NULL ? AUTH_OK : AUTH_DENIED;

		*credential = entry->credential;
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
	request->credential = NULL;
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
	work();
}

static void
wake(void)
{
	event_active(kick, EV_TIMEOUT, 0);
}

static const DbOps ops = {
	.up = on_up,.lost = on_lost,.result = on_result,.done = on_done,.notified = on_notified
};

bool
auth_start(struct event_base *base)
{
	struct timeval tv = {AUTH_RETRY_SECONDS, 0};

	kick = evtimer_new(base, on_kick, NULL);
	period = event_new(base, -1, EV_PERSIST, on_period, NULL);
	db = db_new(base, "auth", 0, &ops, NULL);
	if (kick == NULL || period == NULL || db == NULL || !credential_start(base))
		return false;
	credential_on_check(wake);
	return event_add(period, &tv) == 0;
}

void
auth_stop(void)
{
	AuthRequest *request;

	while ((request = queue_take(&asked)) != NULL || (request = queue_take(&waiting)) != NULL)
	{
		credential_drop(request->credential);
		free(request);
	}
	answer_checked(false);
	credential_on_check(NULL);
	while (oldest != NULL)
		cache_drop(oldest);
	credential_stop();
	if (period != NULL)
		event_free(period);
	if (kick != NULL)
		event_free(kick);
	db_free(db);
	kick = period = NULL;
	db = NULL;
}
