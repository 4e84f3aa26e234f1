/*
 * conn_peers.h
 *	  Connections over real sockets with a sink and an authority of the test's
 *	  own: what the tests of conn*.c share.
 */
#ifndef TEST_CONN_PEERS_H
#define TEST_CONN_PEERS_H

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adapter.h"
#include "auth.h"
#include "config.h"
#include "conn.h"
#include "failures.h"
#include "fake_sink.h"
#include "log.h"
#include "tap.h"

static struct event_base *base;

/* --- the authority: "good" is known, "slow" never answered, others are not --- */

static int	asked_slow;
static int	cancelled;
static Credential known = {.source_id = 7,.prefix = "known",.ends_us = CREDENTIAL_NO_END,.holders = 1};
static AuthDone slow_done;
static void *slow_arg;

AuthStatus
auth_check(const char *token, size_t len, Credential **credential, AuthDone done, void *arg,
		   AuthRequest **request)
{
	*credential = &known;
	*request = NULL;
	if (len == 4 && memcmp(token, "good", 4) == 0)
		return AUTH_OK;
	if (len == 4 && memcmp(token, "slow", 4) == 0)
	{
		asked_slow++;
		slow_done = done;
		slow_arg = arg;
		*request = (AuthRequest *) &asked_slow;
		return AUTH_PENDING;
	}
	return AUTH_DENIED;
}

void
auth_cancel(AuthRequest *request)
{
	(void) request;
	cancelled++;
}

/* --- peers --- */

static Config *config;

static const ListenerConfig *listener;

static int
peer_open_from(const char *address)
{
	struct sockaddr_in in = {.sin_family = AF_INET,.sin_port = htons(1234)};
	int			pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
		return -1;
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	fcntl(pair[1], F_SETFL, O_NONBLOCK);
	inet_pton(AF_INET, address, &in.sin_addr);
	conn_accept(pair[0], (struct sockaddr *) &in, sizeof(in), listener);
	return pair[1];
}

static int
peer_open(void)
{
	return peer_open_from("10.0.0.1");
}

static void
turn(void)
{
	event_base_loop(base, EVLOOP_NONBLOCK);
}

static void
peer_send(int fd, const char *text)
{
	size_t		n = strlen(text);

	while (n > 0)
	{
		ssize_t		put = write(fd, text, n);

		if (put > 0)
		{
			text += put;
			n -= (size_t) put;
		}
		else if (errno != EAGAIN)
			break;
		turn();
	}
	turn();
	turn();
}

/* What came, up to an end ("$"), or nothing more for a moment. */
static const char *
peer_read(int fd)
{
	static char text[65536];
	size_t		n = 0;

	for (int tries = 0; tries < 3; tries++)
	{
		ssize_t		got;

		turn();
		while ((got = read(fd, text + n, sizeof(text) - 2 - n)) > 0)
			n += (size_t) got;
		if (got == 0 || (got < 0 && errno != EAGAIN))
		{
			text[n++] = '$';
			break;
		}
	}
	text[n] = '\0';
	return text;
}

static void
peer_close(int fd)
{
	close(fd);
	for (int i = 0; i < 4; i++)
		turn();
}

static int
peer_hello(void)
{
	int			fd = peer_open();

	peer_send(fd, "{\"auth\":\"good\"}\n");
	if (strcmp(peer_read(fd), "{\"auth\":\"ok\"}\n") != 0)
		printf("# no welcome\n");
	return fd;
}

static void
all_gone(const char *name)
{
	for (int i = 0; i < 4; i++)
		turn();
	nrows = 0;
	is_int(conn_count(), 0, name);
}

/* Short limits, one listener of json; false when nothing can begin. */
static bool
peers_start(void)
{
	const char *text = "{\"listeners\":[{\"adapter\":\"json\",\"address\":\"127.0.0.1:0\"}],"
		"\"limits\":{\"frame_bytes\":4096,\"first_frame_bytes\":100,\"read_bytes\":4096,"
		"\"output_bytes\":4096,\"auth_seconds\":1,\"idle_seconds\":3600,\"write_seconds\":1}}";
	char		err[CONFIG_ERROR_MAX];

	log_configure(LOG_LEVEL_FATAL, 0);
	signal(SIGPIPE, SIG_IGN);
	config = config_parse(text, strlen(text), err, sizeof(err));
	if (config == NULL)
	{
		printf("Bail out! %s\n", err);
		return false;
	}
	config_set(config);
	listener = &cf->listeners[0];
	base = event_base_new();
	ok(conn_start(base), "connections can begin");
	return true;
}

static int
peers_stop(void)
{
	conn_stop();
	failures_reset();
	event_base_free(base);
	config_free(config);
	is_int(buf_memory(), 0, "no buffer is left");
	buf_trim();
	return tap_done();
}

#endif							/* TEST_CONN_PEERS_H */
