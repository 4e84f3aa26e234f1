/*
 * revocation.c
 *	  Lists of revoked certificates while the daemon runs; the end of those whose
 *	  certificate, token or source is not good any more.
 */
#include "revocation.h"

#include <event2/event.h>

#include "config.h"
#include "conn.h"
#include "credential.h"
#include "listen.h"
#include "log.h"
#include "stats.h"
#include "tls.h"

static struct event *timer;

void
revocation_close(void)
{
	conn_end_revoked();
	listen_end_revoked();
}

void
revocation_apply(void)
{
	for (size_t i = 0; i < cf->nlisteners; i++)
	{
		const ListenerConfig *listener = &cf->listeners[i];

		/* Nobody can come in until there is a newer one. */
		if (listener->tls != NULL && listener->tls_client_crl != NULL && tls_crl_expired(listener->tls))
			log_error("revocation_list_expired", log_int("listener", (int64_t) i),
					  log_str("file", listener->tls_client_crl));
	}
	revocation_close();
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct timeval tv = {cf->revocation_seconds, 0};

	(void) fd;
	(void) what;
	(void) arg;
	for (size_t i = 0; i < cf->nlisteners; i++)
	{
		const ListenerConfig *listener = &cf->listeners[i];
		char		err[CONFIG_ERROR_MAX];

		if (listener->tls == NULL || listener->tls_client_crl == NULL ||
			!tls_crl_changed(listener->tls, listener->tls_client_crl))
			continue;
		if (tls_crl_read(listener->tls, listener->tls_client_ca, listener->tls_client_crl, err, sizeof(err)))
		{
			stats_inc(STAT_CRL_READS);
			log_info("revocation_list_read", log_int("listener", (int64_t) i), log_str("file", listener->tls_client_crl));
		}
		else
		{
			/* It may be half written: another try at the next look. */
			stats_inc(STAT_CRL_FAILURES);
			log_error("revocation_list_not_read", log_int("listener", (int64_t) i), log_str("message", err));
		}
	}
	revocation_apply();
	event_add(timer, &tv);
}

bool
revocation_start(struct event_base *base)
{
	struct timeval tv = {cf->revocation_seconds, 0};

	timer = evtimer_new(base, on_timer, NULL);
	credential_on_end(revocation_close);
	revocation_apply();
	return timer != NULL && event_add(timer, &tv) == 0;
}

void
revocation_stop(void)
{
	credential_on_end(NULL);
	if (timer != NULL)
		event_free(timer);
	timer = NULL;
}
