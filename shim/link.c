/*
 * link.c
 *	  A connection that fleetd makes: name, address, TLS, bytes in and out.
 */
#include "link.h"

#include <errno.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io.h"
#include "log.h"
#include "stats.h"

#define CONNECT_SECONDS 10		/* for one address, with TLS */
#define READ_PIECE ((size_t) 64 << 10)

typedef enum LinkState
{
	LINK_IDLE,
	LINK_RESOLVING,
	LINK_CONNECTING,
	LINK_TLS,
	LINK_UP
} LinkState;

struct Link
{
	const LinkOps *ops;
	void	   *arg;
	struct event_base *base;
	char	   *host;
	char		port[6];
	LinkState	state;
	struct evdns_base *dns;		/* of the last look-up */
	bool		asking;			/* it has not answered */
	struct evutil_addrinfo *addresses;
	struct evutil_addrinfo *next;	/* to be tried */
	TlsContext *tls;
	int			fd;				/* -1: none */
	SSL		   *ssl;
	struct event readable;
	struct event writable;
	struct event *timer;		/* patience while connecting */
	Buf			in;
	Buf			out;
	bool		delivering;		/* in is being looked at */
	bool		paused;
	char		reason[160];	/* why the last address was no good */
};

static void try_next(Link *link);

/* --- addresses --- */

/* The host's length, and where the port begins; false when there is none. */
static bool
split(const char *address, const char **host, size_t *host_len, const char **port)
{
	const char *colon = strrchr(address, ':');
	char	   *end;
	unsigned long number;

	if (colon == NULL || colon == address || colon[1] < '0' || colon[1] > '9')
		return false;
	number = strtoul(colon + 1, &end, 10);
	if (*end != '\0' || number == 0 || number > 65535 || strlen(colon + 1) > 5)
		return false;
	*host = address;
	*host_len = (size_t) (colon - address);
	*port = colon + 1;
	if (address[0] == '[')
	{
		if (*host_len < 3 || address[*host_len - 1] != ']')
			return false;
		++*host;
		*host_len -= 2;
		return true;
	}
	return memchr(address, ':', *host_len) == NULL && *host_len <= 253;
}

bool
link_address_valid(const char *address)
{
	const char *host;
	const char *port;
	size_t		len;

	return split(address, &host, &len, &port);
}

/* --- the end --- */

static void
drop_socket(Link *link)
{
	evtimer_del(link->timer);
	if (link->fd < 0)
		return;
	event_del(&link->readable);
	event_del(&link->writable);
	if (link->ssl != NULL)
		SSL_free(link->ssl);
	link->ssl = NULL;
	close(link->fd);
	link->fd = -1;
}

static void
drop_addresses(Link *link)
{
	if (link->addresses != NULL)
		evutil_freeaddrinfo(link->addresses);
	link->addresses = link->next = NULL;
}

void
link_close(Link *link)
{
	if (link->state == LINK_UP)
		io_end(link->fd, link->ssl);
	drop_socket(link);
	drop_addresses(link);
	link->state = LINK_IDLE;
	buf_release(&link->out);
	if (!link->delivering)
		buf_release(&link->in);
	link->paused = false;
}

static void
fail(Link *link, const char *reason)
{
	link_close(link);
	link->ops->down(link->arg, reason);
}

/* --- in and out --- */

Buf *
link_out(Link *link)
{
	return &link->out;
}

void
link_flush(Link *link)
{
	while (link->state == LINK_UP && buf_len(&link->out) > 0)
	{
		size_t		n;
		IoResult	result = io_write(link->fd, link->ssl, buf_data(&link->out), buf_len(&link->out), &n);

		if (result == IO_DONE)
		{
			stats_add(STAT_BYTES_OUT, n);
			buf_consume(&link->out, n);
			continue;
		}
		if (result == IO_WANT_WRITE || result == IO_WANT_READ)
		{
			event_add(&link->writable, NULL);
			return;
		}
		fail(link, "write failed");
		return;
	}
	if (link->state == LINK_UP)
		event_del(&link->writable);
}

static void
deliver(Link *link)
{
	size_t		taken;

	if (buf_len(&link->in) == 0 || link->paused)
		return;
	link->delivering = true;
	taken = link->ops->input(link->arg, buf_data(&link->in), buf_len(&link->in));
	link->delivering = false;
	if (link->state != LINK_UP || taken == buf_len(&link->in))
		buf_release(&link->in);
	else
		buf_consume(&link->in, taken);
}

static void
read_more(Link *link)
{
	char	   *room;
	size_t		n;
	IoResult	result;

	/* What was kept from a pause comes first. */
	deliver(link);
	if (link->state != LINK_UP || link->paused)
		return;
	room = buf_reserve(&link->in, READ_PIECE);
	if (room == NULL)
	{
		fail(link, "out of memory");
		return;
	}
	result = io_read(link->fd, link->ssl, room, READ_PIECE, &n);
	buf_commit(&link->in, n);
	stats_add(STAT_BYTES_IN, n);
	if (buf_len(&link->in) == 0)
		buf_release(&link->in);
	if (result == IO_WANT_WRITE)
		event_add(&link->writable, NULL);
	if (result == IO_EOF || result == IO_ERROR)
	{
		fail(link, result == IO_EOF ? "closed by the peer" : "read failed");
		return;
	}
	if (n == 0)
		return;
	deliver(link);
	if (link->state == LINK_UP && !link->paused && n == READ_PIECE && link->ssl != NULL)
		event_active(&link->readable, EV_READ, 0);
}

void
link_pause(Link *link)
{
	if (link->state != LINK_UP || link->paused)
		return;
	link->paused = true;
	event_del(&link->readable);
}

void
link_resume(Link *link)
{
	if (link->state != LINK_UP || !link->paused)
		return;
	link->paused = false;
	event_add(&link->readable, NULL);
	event_active(&link->readable, EV_READ, 0);
}

/* --- connecting --- */

static void
is_up(Link *link)
{
	evtimer_del(link->timer);
	drop_addresses(link);
	event_del(&link->writable);
	event_add(&link->readable, NULL);
	link->state = LINK_UP;
	link->ops->up(link->arg);
}

static void
address_failed(Link *link, const char *what, const char *detail)
{
	snprintf(link->reason, sizeof(link->reason), "%s: %s", what, detail);
	drop_socket(link);
	try_next(link);
}

static void
shake_hands(Link *link)
{
	long		verdict;

	switch (io_handshake(link->ssl))
	{
		case IO_DONE:
			is_up(link);
			break;
		case IO_WANT_READ:
			event_del(&link->writable);
			event_add(&link->readable, NULL);
			break;
		case IO_WANT_WRITE:
			event_add(&link->writable, NULL);
			break;
		default:
			verdict = SSL_get_verify_result(link->ssl);
			address_failed(link, "tls", verdict == X509_V_OK ? "handshake failed" :
						   X509_verify_cert_error_string(verdict));
			break;
	}
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	Link	   *link = arg;

	(void) fd;
	(void) what;
	if (link->state == LINK_TLS)
		shake_hands(link);
	else if (link->state == LINK_UP && !link->paused)
		read_more(link);
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	Link	   *link = arg;
	int			error = 0;
	socklen_t	size = sizeof(error);
	int			on = 1;

	(void) what;
	if (link->state == LINK_UP)
	{
		link_flush(link);
		/* TLS may have wanted to write before it reads on. */
		if (link->state == LINK_UP && link->ssl != NULL && !link->paused)
			read_more(link);
		return;
	}
	if (link->state == LINK_TLS)
	{
		shake_hands(link);
		return;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0)
	{
		address_failed(link, "connect", strerror(error ? error : errno));
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	event_del(&link->writable);
	if (link->tls == NULL)
	{
		is_up(link);
		return;
	}
	link->ssl = tls_client_session(link->tls, link->host);
	if (link->ssl == NULL || SSL_set_fd(link->ssl, fd) != 1)
	{
		address_failed(link, "tls", "out of memory");
		return;
	}
	link->state = LINK_TLS;
	shake_hands(link);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void) fd;
	(void) what;
	address_failed(arg, "connect", "no answer in time");
}

/* Whichever address answers first in the order of the look-up. */
static void
try_next(Link *link)
{
	while (link->next != NULL)
	{
		struct evutil_addrinfo *address = link->next;
		struct timeval tv = {CONNECT_SECONDS, 0};

		link->next = address->ai_next;
		link->fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (link->fd < 0 || (connect(link->fd, address->ai_addr, (socklen_t) address->ai_addrlen) != 0 &&
							 errno != EINPROGRESS))
		{
			snprintf(link->reason, sizeof(link->reason), "connect: %s", strerror(errno));
			if (link->fd >= 0)
				close(link->fd);
			link->fd = -1;
			continue;
		}
		event_assign(&link->readable, link->base, link->fd, EV_READ | EV_PERSIST, on_readable, link);
		event_assign(&link->writable, link->base, link->fd, EV_WRITE | EV_PERSIST, on_writable, link);
		event_add(&link->writable, NULL);
		evtimer_add(link->timer, &tv);
		link->state = LINK_CONNECTING;
		return;
	}
	fail(link, link->reason);
}

static void
on_addresses(int result, struct evutil_addrinfo *addresses, void *arg)
{
	Link	   *link = arg;

	link->asking = false;
	if (link->state != LINK_RESOLVING)
	{
		if (addresses != NULL)
			evutil_freeaddrinfo(addresses);
		return;
	}
	if (result != 0)
	{
		snprintf(link->reason, sizeof(link->reason), "look-up: %s", evutil_gai_strerror(result));
		fail(link, link->reason);
		return;
	}
	link->addresses = link->next = addresses;
	snprintf(link->reason, sizeof(link->reason), "look-up: no address");
	try_next(link);
}

void
link_open(Link *link, TlsContext *tls)
{
	struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC,.ai_socktype = SOCK_STREAM,.ai_protocol = IPPROTO_TCP};

	link->tls = tls;
	link->state = LINK_RESOLVING;
	if (link->asking)
		return;
	/* Made anew each time: name servers change. */
	if (link->dns != NULL)
		evdns_base_free(link->dns, 0);
	link->dns = evdns_base_new(link->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	if (link->dns == NULL)
	{
		fail(link, "out of memory");
		return;
	}
	(void) evdns_base_resolv_conf_parse(link->dns, DNS_OPTIONS_ALL, "/etc/resolv.conf");
	link->asking = true;
	(void) evdns_getaddrinfo(link->dns, link->host, link->port, &hints, on_addresses, link);
}

Link *
link_new(struct event_base *base, const char *address, const LinkOps *ops, void *arg)
{
	Link	   *link = calloc(1, sizeof(*link));
	const char *host;
	const char *port;
	size_t		len;

	if (link == NULL || !split(address, &host, &len, &port))
	{
		free(link);
		return NULL;
	}
	link->base = base;
	link->ops = ops;
	link->arg = arg;
	link->fd = -1;
	link->host = strndup(host, len);
	link->timer = evtimer_new(base, on_timer, link);
	snprintf(link->port, sizeof(link->port), "%s", port);
	if (link->host == NULL || link->timer == NULL)
	{
		link_free(link);
		return NULL;
	}
	return link;
}

void
link_free(Link *link)
{
	if (link->timer != NULL)
	{
		link_close(link);
		event_free(link->timer);
	}
	if (link->dns != NULL)
		evdns_base_free(link->dns, 0);
	free(link->host);
	free(link);
}
