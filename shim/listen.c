/*
 * listen.c
 *	  Listening sockets.
 */
#include "listen.h"

#include <errno.h>
#include <event2/event.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adapter.h"
#include "auth.h"
#include "config.h"
#include "conn.h"
#include "log.h"
#include "sink.h"
#include "stats.h"
#include "udp.h"

#define ACCEPT_BUDGET 64		/* connections accepted in one turn of the loop */
#define ACCEPT_PAUSE_MS 200		/* after accept() failed */
#define BACKLOG 4096

typedef struct Listener
{
	const ListenerConfig *config;
	int			fd;				/* -1: given to the service, or closed */
	struct event *event;		/* NULL for a service */
	void	   *service;
} Listener;

static struct event_base *base;
static Listener *listeners;
static size_t nlisteners;
static struct event *resume_timer;
static bool accepting;
static bool drained;

static void
accept_on(void)
{
	if (accepting || drained)
		return;
	accepting = true;
	for (size_t i = 0; i < nlisteners; i++)
		if (listeners[i].event != NULL)
			event_add(listeners[i].event, NULL);
}

static void
accept_off(void)
{
	accepting = false;
	for (size_t i = 0; i < nlisteners; i++)
		if (listeners[i].event != NULL)
			event_del(listeners[i].event);
}

static void
on_resume(evutil_socket_t fd, short what, void *arg)
{
	(void) fd;
	(void) what;
	(void) arg;
	accept_on();
}

static void
on_accept(evutil_socket_t fd, short what, void *arg)
{
	Listener   *listener = arg;

	(void) what;
	for (int i = 0; i < ACCEPT_BUDGET; i++)
	{
		struct sockaddr_storage address;
		socklen_t	len = sizeof(address);
		int			peer = accept4(fd, (struct sockaddr *) &address, &len,
								   SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (peer >= 0)
		{
			conn_accept(peer, (struct sockaddr *) &address, len, listener->config);
			continue;
		}
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			return;
		if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO)
			continue;

		/* No descriptor or no memory: trying again at once would only spin. */
		struct timeval tv = {0, ACCEPT_PAUSE_MS * 1000};

		stats_inc(STAT_ACCEPT_FAILED);
		log_error("accept_failed", log_str("message", strerror(errno)),
				  log_int("pause_ms", ACCEPT_PAUSE_MS));
		accept_off();
		event_add(resume_timer, &tv);
		return;
	}
}

static void
on_database(void *arg)
{
	(void) arg;
	if (sink_was_up() && auth_was_up() && !accepting && !event_pending(resume_timer, EV_TIMEOUT, NULL))
	{
		accept_on();
		if (accepting)
			log_info("accepting");
	}
	udp_resume();
}

/* "host:port", "[v6]:port", ":port"; the socket, or -1 with a message. */
static int
open_address(const char *address, int type, char *err, size_t errlen)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC,.ai_socktype = type,.ai_flags = AI_PASSIVE};
	struct addrinfo *found = NULL;
	const char *colon = strrchr(address, ':');
	char		host[256];
	size_t		n;
	int			fd = -1;
	int			rc;

	if (colon == NULL || (size_t) (colon - address) >= sizeof(host))
	{
		snprintf(err, errlen, "not of the form host:port");
		return -1;
	}
	n = (size_t) (colon - address);
	memcpy(host, address, n);
	host[n] = '\0';
	if (n >= 2 && host[0] == '[' && host[n - 1] == ']')
	{
		memmove(host, host + 1, n - 2);
		host[n - 2] = '\0';
	}
	rc = getaddrinfo(host[0] && strcmp(host, "*") != 0 ? host : NULL, colon + 1, &hints, &found);
	if (rc != 0)
	{
		snprintf(err, errlen, "%s", gai_strerror(rc));
		return -1;
	}
	for (struct addrinfo *ai = found; ai != NULL && fd < 0; ai = ai->ai_next)
	{
		int			on = 1;

		fd = socket(ai->ai_family, ai->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, ai->ai_protocol);
		if (fd < 0)
		{
			snprintf(err, errlen, "%s", strerror(errno));
			continue;
		}
		/* For UDP it would mean that two daemons share the port. */
		if (type == SOCK_STREAM)
			setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		if (bind(fd, ai->ai_addr, ai->ai_addrlen) != 0 ||
			(type == SOCK_STREAM && listen(fd, BACKLOG) != 0))
		{
			snprintf(err, errlen, "%s", strerror(errno));
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(found);
	return fd;
}

static int
port_of(int fd)
{
	struct sockaddr_storage address;
	socklen_t	len = sizeof(address);

	if (getsockname(fd, (struct sockaddr *) &address, &len) != 0)
		return 0;
	if (address.ss_family == AF_INET6)
		return ntohs(((struct sockaddr_in6 *) &address)->sin6_port);
	return ntohs(((struct sockaddr_in *) &address)->sin_port);
}

bool
listen_start(struct event_base *event_base)
{
	base = event_base;
	nlisteners = cf->nlisteners;
	listeners = calloc(nlisteners, sizeof(*listeners));
	resume_timer = evtimer_new(base, on_resume, NULL);
	if (listeners == NULL || resume_timer == NULL)
		return false;
	for (size_t i = 0; i < nlisteners; i++)
		listeners[i].fd = -1;
	for (size_t i = 0; i < nlisteners; i++)
	{
		Listener   *listener = &listeners[i];
		const ListenerConfig *config = &cf->listeners[i];
		char		err[256] = "";

		bool		udp = strcmp(config->transport, "udp") == 0;

		listener->config = config;
		listener->fd = open_address(config->address, udp ? SOCK_DGRAM : SOCK_STREAM, err, sizeof(err));
		if (listener->fd < 0)
		{
			log_fatal("cannot_listen", log_str("address", config->address), log_str("message", err));
			return false;
		}
		log_info("listening", log_str("adapter", config->adapter->name),
				 log_str("address", config->address), log_int("port", port_of(listener->fd)),
				 log_str("transport", config->transport), log_str("tls", config->tls ? "on" : "off"));
		if (udp)
		{
			if (!udp_start(base, listener->fd, config))
				return false;
			listener->fd = -1;
		}
		else if (config->adapter->service != NULL)
		{
			listener->service = config->adapter->service->start(base, listener->fd, config);
			if (listener->service == NULL)
			{
				log_fatal("cannot_serve", log_str("address", config->address));
				return false;
			}
			listener->fd = -1;
		}
		else
		{
			listener->event = event_new(base, listener->fd, EV_READ | EV_PERSIST, on_accept, listener);
			if (listener->event == NULL)
				return false;
		}
	}
	sink_on_ready(on_database, NULL);
	auth_on_ready(on_database, NULL);
	return true;
}

void
listen_drain(void)
{
	if (drained)
		return;
	accept_off();
	udp_drain();
	drained = true;
	event_del(resume_timer);
	for (size_t i = 0; i < nlisteners; i++)
	{
		Listener   *listener = &listeners[i];

		if (listener->service != NULL)
			listener->config->adapter->service->drain(listener->service);
		if (listener->event != NULL)
			event_free(listener->event);
		if (listener->fd >= 0)
			close(listener->fd);
		listener->event = NULL;
		listener->fd = -1;
	}
}

void
listen_end_revoked(void)
{
	for (size_t i = 0; i < nlisteners; i++)
		if (listeners[i].service != NULL)
			listeners[i].config->adapter->service->end_revoked(listeners[i].service);
}

size_t
listen_busy(void)
{
	size_t		n = udp_busy();

	for (size_t i = 0; i < nlisteners; i++)
		if (listeners[i].service != NULL)
			n += listeners[i].config->adapter->service->busy(listeners[i].service);
	return n;
}

void
listen_stop(void)
{
	listen_drain();
	for (size_t i = 0; i < nlisteners; i++)
		if (listeners[i].service != NULL)
			listeners[i].config->adapter->service->stop(listeners[i].service);
	udp_stop();
	event_free(resume_timer);
	free(listeners);
	listeners = NULL;
	nlisteners = 0;
}
