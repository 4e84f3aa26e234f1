/*
 * credential.c
 *	  Tokens and sources that are in use: when they end, and who hears of it.
 */
#include "credential.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"

#define BUCKETS 4096			/* a power of two */
#define LOOK_SECONDS 3600		/* the longest sleep before a look at what ends */

static Credential *all;
static Credential *buckets[BUCKETS];
static Credential *sources;
static size_t nunchecked;
static struct event *timer;		/* the next end */
static int64_t timer_us = INT64_MAX;
static struct event *teller;	/* calls on_end from the loop */
static void (*on_end) (void);
static void (*on_check) (void);

/* --- the set --- */

static Credential **
bucket_of(const char *prefix)
{
	uint32_t	h = 2166136261u;

	for (; *prefix != '\0'; prefix++)
		h = (h ^ (unsigned char) *prefix) * 16777619u;
	return &buckets[h & (BUCKETS - 1)];
}

static Credential *
find_token(const char *prefix)
{
	Credential *c = *bucket_of(prefix);

	while (c != NULL && strcmp(c->prefix, prefix) != 0)
		c = c->next_in_bucket;
	return c;
}

/* There are no more of them than names in the configuration. */
static Credential *
find_source(int32_t source_id)
{
	Credential *c = sources;

	while (c != NULL && c->source_id != source_id)
		c = c->next_in_bucket;
	return c;
}

static void
unhash(Credential *credential)
{
	Credential **link = bucket_of(credential->prefix);

	while (*link != NULL && *link != credential)
		link = &(*link)->next_in_bucket;
	if (*link != NULL)
		*link = credential->next_in_bucket;
}

static Credential *
add(int32_t source_id, const char *prefix)
{
	Credential *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->source_id = source_id;
	c->ends_us = CREDENTIAL_NO_END;
	snprintf(c->prefix, sizeof(c->prefix), "%s", prefix);
	c->next = all;
	if (all != NULL)
		all->prev = c;
	all = c;
	return c;
}

static void
release(Credential *credential)
{
	if (credential->prefix[0] != '\0' && credential->state == CREDENTIAL_LIVE)
		unhash(credential);
	if (credential->check)
		nunchecked--;
	if (credential->next != NULL)
		credential->next->prev = credential->prev;
	if (credential->prev != NULL)
		credential->prev->next = credential->next;
	else
		all = credential->next;
	free(credential);
}

static void
set_check(Credential *credential, bool check)
{
	if (credential->check == check)
		return;
	credential->check = check;
	if (check)
		nunchecked++;
	else
		nunchecked--;
}

static void
wake(void)
{
	if (nunchecked > 0 && on_check != NULL)
		on_check();
}

/* --- the end --- */

static void
on_tell(evutil_socket_t fd, short what, void *arg)
{
	(void) fd;
	(void) what;
	(void) arg;
	if (on_end != NULL)
		on_end();
}

static void
end(Credential *credential, CredentialState state)
{
	const char *reason = state == CREDENTIAL_EXPIRED ? "expired" : "revoked";

	if (credential->state != CREDENTIAL_LIVE)
		return;
	if (credential->prefix[0] != '\0')
	{
		unhash(credential);
		set_check(credential, false);
		log_info("token_ended", log_str("prefix", credential->prefix), log_int("source", credential->source_id),
				 log_str("reason", reason));
	}
	else
		log_error("source_not_permitted", log_int("source", credential->source_id), log_str("reason", reason));
	credential->state = state;
	if (teller != NULL)
		event_active(teller, EV_TIMEOUT, 0);
}

static void
arm(int64_t at_us)
{
	int64_t		wait = at_us - clock_us();
	struct timeval tv;

	if (timer == NULL || at_us >= timer_us)
		return;
	if (wait < 0)
		wait = 0;
	if (wait > (int64_t) LOOK_SECONDS * 1000000)
		wait = (int64_t) LOOK_SECONDS * 1000000;
	timer_us = at_us;
	tv = (struct timeval) {wait / 1000000, wait % 1000000};
	event_add(timer, &tv);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	int64_t		now = clock_us();
	int64_t		next = INT64_MAX;

	(void) fd;
	(void) what;
	(void) arg;
	for (Credential *c = all; c != NULL; c = c->next)
	{
		if (c->state != CREDENTIAL_LIVE)
			continue;
		if (c->ends_us <= now)
			end(c, CREDENTIAL_EXPIRED);
		else if (c->ends_us < next)
			next = c->ends_us;
	}
	timer_us = INT64_MAX;
	arm(next);
}

static void
confirm(Credential *credential, int64_t ends_us, int64_t asked_us)
{
	credential->state = CREDENTIAL_LIVE;
	credential->ends_us = ends_us;
	credential->confirmed_us = asked_us;
	arm(ends_us);
}

/* --- holders --- */

Credential *
credential_token(int32_t source_id, const char *prefix, int64_t ends_us, int64_t asked_us)
{
	Credential *c;

	if (prefix[0] == '\0' || strlen(prefix) > CREDENTIAL_PREFIX_MAX)
		return NULL;
	c = find_token(prefix);
	if (c == NULL)
	{
		Credential **bucket = bucket_of(prefix);

		c = add(source_id, prefix);
		if (c == NULL)
			return NULL;
		c->next_in_bucket = *bucket;
		*bucket = c;
	}
	confirm(c, ends_us, asked_us);
	return credential_hold(c);
}

Credential *
credential_source(int32_t source_id)
{
	Credential *c = find_source(source_id);

	if (c != NULL)
		return c;
	c = add(source_id, "");
	if (c == NULL)
		return NULL;
	/* for ever */
	c->holders = 1;
	c->next_in_bucket = sources;
	sources = c;
	set_check(c, true);
	wake();
	return c;
}

Credential *
credential_hold(Credential *credential)
{
	credential->holders++;
	return credential;
}

void
credential_drop(Credential *credential)
{
	if (credential != NULL && --credential->holders == 0)
		release(credential);
}

bool
credential_is_live(const Credential *credential)
{
	return credential->state == CREDENTIAL_LIVE && clock_us() < credential->ends_us;
}

void
credential_on_end(void (*ended) (void))
{
	on_end = ended;
}

/* --- questions --- */

/* A token that has ended stays so; a source may be put right. */
static bool
may_be_good(const Credential *credential)
{
	return credential->state == CREDENTIAL_LIVE || credential->prefix[0] == '\0';
}

void
credential_check_source(int32_t source_id)
{
	for (Credential *c = all; c != NULL; c = c->next)
		if (c->source_id == source_id && may_be_good(c))
			set_check(c, true);
	wake();
}

void
credential_check_all(void)
{
	for (Credential *c = all; c != NULL; c = c->next)
		if (may_be_good(c))
			set_check(c, true);
	wake();
}

void
credential_trust_sources(void)
{
	for (Credential *c = all; c != NULL; c = c->next)
		if (c->prefix[0] == '\0' && c->state != CREDENTIAL_LIVE)
		{
			c->state = CREDENTIAL_LIVE;
			c->ends_us = CREDENTIAL_NO_END;
		}
	credential_check_all();
}

void
credential_on_check(void (*waker) (void))
{
	on_check = waker;
}

size_t
credential_ask(Credential **list, size_t max)
{
	size_t		n = 0;

	for (Credential *c = all; c != NULL && n < max && nunchecked > 0; c = c->next)
	{
		if (!c->check)
			continue;
		set_check(c, false);
		c->asked = true;
		c->seen = false;
		list[n++] = credential_hold(c);
	}
	return n;
}

void
credential_seen(const char *prefix, int32_t source_id, int64_t ends_us)
{
	Credential *c = prefix != NULL ? find_token(prefix) : find_source(source_id);

	if (c == NULL || !c->asked || c->source_id != source_id)
		return;
	c->seen = true;
	c->ends_us = ends_us;
}

void
credential_answered(Credential **list, size_t n, bool ok, int64_t asked_us)
{
	for (size_t i = 0; i < n; i++)
	{
		Credential *c = list[i];

		c->asked = false;
		if (!ok)
		{
			if (may_be_good(c))
				set_check(c, true);
		}
		else if (c->seen && may_be_good(c))
			confirm(c, c->ends_us, asked_us);
		else if (!c->seen)
			end(c, clock_us() >= c->ends_us ? CREDENTIAL_EXPIRED : CREDENTIAL_REVOKED);
		credential_drop(c);
	}
}

bool
credential_start(struct event_base *base)
{
	timer = evtimer_new(base, on_timer, NULL);
	teller = evtimer_new(base, on_tell, NULL);
	return timer != NULL && teller != NULL;
}

void
credential_stop(void)
{
	while (all != NULL)
		release(all);
	memset(buckets, 0, sizeof(buckets));
	sources = NULL;
	if (timer != NULL)
		event_free(timer);
	if (teller != NULL)
		event_free(teller);
	timer = teller = NULL;
	timer_us = INT64_MAX;
}
