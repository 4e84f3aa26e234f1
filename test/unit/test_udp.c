/*
 * test_udp.c
 *	  Datagrams over a real socket, with a sink and a protocol of our own.
 */
#include <arpa/inet.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config.h"
#include "fake_sink.h"
#include "gate.h"
#include "log.h"
#include "rate.h"
#include "stats.h"
#include "tap.h"
#include "tracker.h"
#include "udp.h"

static struct event_base *base;
static struct sockaddr_in server;

static int
udp_socket(struct sockaddr_in *name)
{
	socklen_t	len = sizeof(*name);
	int			fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	memset(name, 0, sizeof(*name));
	name->sin_family = AF_INET;
	name->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *) name, sizeof(*name)) != 0 ||
		getsockname(fd, (struct sockaddr *) name, &len) != 0)
		printf("# no socket\n");
	return fd;
}

static void
turn(void)
{
	for (int i = 0; i < 3; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

static void
peer_send(int fd, const char *text)
{
	if (sendto(fd, text, strlen(text), 0, (struct sockaddr *) &server, sizeof(server)) < 0)
		printf("# not sent\n");
	turn();
}

/* The next datagram, "" when there is none. */
static const char *
peer_read(int fd)
{
	static char text[2048];
	ssize_t		n;

	turn();
	n = recv(fd, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

/* Listens on all addresses; the port in network order, 0 where that cannot be. */
static in_port_t
listen_on_all(const ListenerConfig *config, int family)
{
	struct sockaddr_in6 all = {.sin6_family = (sa_family_t) family};
	socklen_t	len = sizeof(all);
	int			fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	int			off = 0;

	if (fd < 0)
		return 0;
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, (struct sockaddr *) &all, family == AF_INET ? sizeof(struct sockaddr_in) : len) != 0 ||
		getsockname(fd, (struct sockaddr *) &all, &len) != 0 || !udp_start(base, fd, config))
	{
		close(fd);
		return 0;
	}
	/* At the same place for both families. */
	return all.sin6_port;
}

/* Asks one of our addresses, and hears only what comes from there. */
static void
ask_second_address(in_port_t port, const char *name)
{
	struct sockaddr_in to = {.sin_family = AF_INET,.sin_port = port};
	int			fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	inet_pton(AF_INET, "127.0.0.2", &to.sin_addr);
	if (port == 0 || connect(fd, (struct sockaddr *) &to, sizeof(to)) != 0 || send(fd, "E", 1, 0) != 1)
		printf("# skipped, there is no such address: %s\n", name);
	else
	{
		turn();
		is_str(peer_read(fd), "E0", name);
	}
	close(fd);
}

int
main(void)
{
	const char *text = "{\"listeners\":[{\"adapter\":\"json\",\"address\":\"127.0.0.1:0\"}],\"limits\":{\"datagrams\":2}}";
	char		err[CONFIG_ERROR_MAX];
	Config	   *config = config_parse(text, strlen(text), err, sizeof(err));
	Network		nobody = {{0xFE}, 128};
	ListenerConfig trackers = {.adapter = &tracker,.source = 7,.transport = "udp"};
	struct sockaddr_in name;
	in_port_t	ports[2];
	char		long_text[51] = "";
	int			fd;
	int			a;
	int			b;

	log_configure(LOG_LEVEL_FATAL, 0);
	config_set(config);
	base = event_base_new();
	fd = udp_socket(&server);
	a = udp_socket(&name);
	b = udp_socket(&name);
	ok(udp_start(base, fd, &trackers), "a listener");
	ports[0] = listen_on_all(&trackers, AF_INET);
	ports[1] = listen_on_all(&trackers, AF_INET6);
	udp_resume();
	ask_second_address(ports[0], "an answer leaves from the address that was asked");
	ask_second_address(ports[1], "of IPv4, too, where the socket is of IPv6");

	/* 1. Answers */
	peer_send(a, "L5H");
	is_str(peer_read(a), "+h", "a login and a heartbeat are answered at once, in one datagram");
	peer_send(a, "L7R?D");
	is_str(peer_read(a), "+", "of reports, only the login before them");
	peer_send(b, "R");
	is_int(nrows, 4, "they are on their way");
	is_int(udp_busy(), 2, "two datagrams wait");
	decide(3, SINK_ACCEPTED, "", "");
	settle(3);
	is_str(peer_read(b), "R1", "one is committed and answered, to whom it came from");
	decide(0, SINK_ACCEPTED, "", "");
	decide(1, SINK_REPEATED, "", "");
	settle(0);
	is_str(peer_read(a), "", "the other waits for all its records");
	decide(2, SINK_REJECTED, "malformed", "");
	settle(2);
	is_str(peer_read(a), "7R17D2", "then it is answered whole");
	is_str(peer_read(b), "", "and nobody else");
	nrows = 0;
	peer_send(a, "E");
	is_str(peer_read(a), "E0", "a frame without records needs no commit");

	/* 2. What is no good */
	peer_send(a, "R!R");
	is_int(nrows, 2, "what cannot be followed ends the datagram, and goes to quarantine");
	is_int(stats_counters[STAT_DATAGRAMS_BAD], 1, "and is counted");
	commit_all();
	is_str(peer_read(a), "R1", "what came before it is answered");
	peer_send(a, "RL");
	is_int(stats_counters[STAT_FRAMES_CUT], 1, "half a frame at the end is counted");
	is_int(nrows, 2, "and goes there too");
	commit_all();
	is_str(peer_read(a), "R1", "and what came before it answered");
	peer_send(a, "L5O");
	is_int(stats_counters[STAT_RECORDS_FOREIGN], 1, "two devices in a datagram are counted");
	is_str(peer_read(a), "+", "the first is answered");
	peer_send(a, "");
	is_int(udp_busy(), 0, "an empty datagram is nothing");
	trackers.allow = &nobody;
	trackers.nallow = 1;
	peer_send(a, "R");
	is_int(nrows, 0, "an address that may not send is not heard");
	is_int(stats_counters[STAT_DATAGRAM_REFUSED_NETWORK], 1, "and counted");
	trackers.nallow = 0;

	/* Devices, sources, answers */
	{
		char	   *names[] = {"5", "7"};

		trackers.devices = names;
		trackers.ndevices = 2;
		peer_send(a, "L7R");
		is_str(peer_read(a), "+", "a device that may send");
		commit_all();
		is_str(peer_read(a), "7R1", "is answered");
		peer_send(a, "RL6R");
		is_int(nrows, 1, "one that may not is not heard");
		commit_all();
		is_str(peer_read(a), "", "nor answered");
		is_int(stats_counters[STAT_DATAGRAM_REFUSED_DEVICE], 1, "but counted");
		trackers.ndevices = 0;
	}
	peer_send(a, "R");
	decide(0, SINK_REJECTED, "not_permitted", "source_id");
	settle(0);
	nrows = 0;
	is_str(peer_read(a), "", "what the database does not permit the source is not answered");
	peer_send(a, "R");
	is_int(nrows, 0, "and for a while nobody of the source is heard");
	is_int(stats_counters[STAT_DATAGRAM_REFUSED_SOURCE], 2, "both are counted");
	gate_reset();
	for (int i = 0; i < 50; i++)
		long_text[i] = 'E';
	peer_send(a, long_text);
	is_int((int) strlen(peer_read(a)), 0, "an answer of 100 bytes to a datagram of 50 is not sent");
	is_int(stats_counters[STAT_DATAGRAM_ANSWERS_LONG], 1, "but counted");
	long_text[30] = '\0';
	peer_send(a, long_text);
	is_int((int) strlen(peer_read(a)), 60, "one of 60 to 30 is");
	config->limit_device_per_second = 1;
	names_device = "5";
	for (int i = 0; i < 12; i++)
	{
		peer_send(a, "R");
		commit_all();
		turn();
	}
	for (int i = 0; i < 11; i++)
		is_str(peer_read(a), "R1", "eleven reports in no time");
	is_str(peer_read(a), "", "the twelfth is beyond ten seconds of its rate");
	is_int(stats_counters[STAT_DATAGRAM_REFUSED_RATE], 1, "and dropped");
	names_device = "6";
	peer_send(a, "R");
	is_int(nrows, 1, "others are not concerned");
	commit_all();
	is_str(peer_read(a), "R1", "and answered");
	config->limit_device_per_second = 0;
	config->limit_source_per_second = 1;
	names_device = "";
	for (int i = 0; i < 12; i++)
	{
		peer_send(a, "R");
		commit_all();
		turn();
	}
	is_int(stats_counters[STAT_DATAGRAM_REFUSED_RATE], 2, "the same for the whole source");
	while (peer_read(a)[0] != '\0')
		;
	config->limit_source_per_second = 0;
	rate_reset();

	/* 3. Limits */
	for (int i = 0; i < 5; i++)
		peer_send(a, "R");
	is_int(nrows, 2, "no more datagrams than the limit are read");
	commit_all();
	turn();
	is_int(nrows, 2, "the next ones when these are answered");
	commit_all();
	turn();
	commit_all();
	for (int i = 0; i < 5; i++)
		is_str(peer_read(a), "R1", "in the end, all have their answer");
	full = true;
	peer_send(a, "R");
	is_int(nrows, 0, "nothing is read while the sink is full");
	full = false;
	udp_resume();
	turn();
	is_int(nrows, 1, "it is when there is room");

	/* 4. The end */
	udp_drain();
	peer_send(b, "R");
	is_int(nrows, 1, "at the end nothing more is read");
	is_int(udp_busy(), 1, "what is under way is waited for");
	commit_all();
	is_str(peer_read(a), "R1", "and answered");
	is_int(udp_busy(), 0, "then all is done");

	udp_stop();
	close(a);
	close(b);
	event_base_free(base);
	config_free(config);
	is_int(buf_memory(), 0, "no buffer is left");
	buf_trim();
	return tap_done();
}
