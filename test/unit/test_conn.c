/*
 * test_conn.c
 *	  Connections over real sockets with a sink and an authority of our own:
 *	  acknowledgements, limits, back-pressure, endings.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adapter.h"
#include "auth.h"
#include "clock.h"
#include "config.h"
#include "conn.h"
#include "fake_sink.h"
#include "gate.h"
#include "log.h"
#include "rate.h"
#include "tap.h"
#include "tracker.h"

#define PATIENCE_US 5000000

static struct event_base *base;

/* --- the authority: "good" is known, "slow" never answered, others are not --- */

static int	asked_slow;
static int	cancelled;
static AuthDone slow_done;
static void *slow_arg;

AuthStatus
auth_check(const char *token, size_t len, int32_t *source_id, AuthDone done, void *arg,
		   AuthRequest **request)
{
	*source_id = 7;
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

/* Turns the loop until the peer has something to read. */
static const char *
peer_wait(int fd)
{
	int64_t		until = clock_us() + PATIENCE_US;

	while (clock_us() < until)
	{
		struct pollfd p = {fd, POLLIN, 0};
		struct timeval tv = {0, 20000};

		if (poll(&p, 1, 0) > 0)
			break;
		event_base_loopexit(base, &tv);
		event_base_loop(base, EVLOOP_ONCE);
	}
	return peer_read(fd);
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

/* --- tests --- */

static void
test_acks(void)
{
	int			fd = peer_hello();

	peer_send(fd, "{}\n\n{}\r\n{}\n{}\n");
	is_int(nrows, 4, "four documents, an empty line is none");
	is_str(peer_read(fd), "", "nothing is acknowledged before the commit");

	/* Two connections of the sink: the later lines are committed first. */
	decide(2, SINK_REJECTED, "malformed", "");
	decide(3, SINK_ACCEPTED, "", "");
	settle(3);
	is_str(peer_read(fd), "", "nor while an earlier line is undecided");
	decide(0, SINK_ACCEPTED, "", "");
	settle(0);
	is_str(peer_read(fd), "{\"ack\":1}\n", "the first line");
	decide(1, SINK_REJECTED, "out_of_range", "latitude");
	settle(1);
	is_str(peer_read(fd), "{\"ack\":4,\"rejected\":[{\"line\":2,\"code\":\"out_of_range\",\"field\":\"latitude\"},"
		   "{\"line\":3,\"code\":\"malformed\"}]}\n", "then all, rejections in order");
	nrows = 0;

	for (int i = 0; i < 100; i++)
		peer_send(fd, "{}\n");
	commit_all();
	is_str(peer_read(fd), "{\"ack\":104}\n", "one answer to a hundred lines of one commit");
	peer_close(fd);
	all_gone("an end without anything in flight closes");
}

static void
test_byte_by_byte(void)
{
	int			fd = peer_open();
	const char *text = "{\"auth\":\"good\"}\n{\"vehicle_id\":1}\n";

	for (const char *p = text; *p != '\0'; p++)
	{
		char		one[2] = {*p, '\0'};

		peer_send(fd, one);
	}
	is_str(peer_read(fd), "{\"auth\":\"ok\"}\n", "a byte at a time authenticates");
	is_int(nrows, 1, "and sends");
	commit_all();
	is_str(peer_read(fd), "{\"ack\":1}\n", "and is answered");
	peer_close(fd);
	all_gone("and ends");
}

static void
test_half_closed(void)
{
	int			fd = peer_open();

	peer_send(fd, "{\"auth\":\"good\"}\n{}\n{}\n{\"cut");
	shutdown(fd, SHUT_WR);
	turn();
	is_str(peer_read(fd), "{\"auth\":\"ok\"}\n", "a peer that ended its side stays");
	is_int(stats_counters[STAT_FRAMES_CUT], 1, "the line without an end is counted");
	is_int(nrows, 2, "its lines are under way");
	commit_all();
	is_str(peer_read(fd), "{\"ack\":2}\n$", "it gets its answer, then the end");
	is_int(stats_counters[STAT_CLOSED_EOF], 3, "closed because of its end");
	close(fd);
	all_gone("and is gone");
}

static void
test_gone_in_flight(void)
{
	int			fd = peer_hello();

	peer_send(fd, "{}\n");
	close(fd);
	turn();
	is_int(nrows, 1, "a row of a peer that is gone is committed all the same");
	commit_all();
	all_gone("and its answer harms nobody");
}

static void
test_refusals(void)
{
	int			fd = peer_open();
	uint64_t	before = stats_counters[STAT_CLOSED_DENIED];

	peer_send(fd, "{\"auth\":\"bad\"}\n{}\n");
	is_str(peer_read(fd), "{\"error\":\"token unknown\"}\n$", "an unknown token");
	is_int(nrows, 0, "what follows it is not read");
	peer_close(fd);
	is_int(stats_counters[STAT_CLOSED_DENIED], before + 1, "and it is counted");

	fd = peer_open();
	before = stats_counters[STAT_CLOSED_PROTOCOL];
	peer_send(fd, "GET / HTTP/1.1\r\n\r\n");
	ok(strstr(peer_read(fd), "the first line must be") != NULL, "another protocol");
	peer_close(fd);
	is_int(stats_counters[STAT_CLOSED_PROTOCOL], before + 1, "is counted");
	all_gone("all closed");
}

static void
test_long_lines(void)
{
	static char line[8192];
	int			fd = peer_open();
	uint64_t	before = stats_counters[STAT_CLOSED_FRAME_TOO_LONG];

	memset(line, 'x', 200);
	line[200] = '\0';
	peer_send(fd, line);
	is_str(peer_read(fd), "{\"error\":\"line too long\"}\n$", "a first line beyond its limit");
	peer_close(fd);

	fd = peer_hello();
	memset(line, ' ', 4094);
	strcpy(line + 4094, "{\n");
	peer_send(fd, line);
	is_int(nrows, 1, "a line as long as the limit is taken");
	peer_send(fd, "{}\n ");
	peer_send(fd, line);
	is_int(nrows, 2, "one that is a byte longer is not");
	is_str(peer_read(fd), "", "its error waits for the lines before it");
	commit_all();
	is_str(peer_read(fd), "{\"ack\":2}\n{\"error\":\"line too long\"}\n$", "then it comes");
	peer_close(fd);

	fd = peer_hello();
	memset(line, 'y', 5000);
	line[5000] = '\0';
	peer_send(fd, line);
	is_str(peer_read(fd), "{\"error\":\"line too long\"}\n$", "a line without end");
	peer_close(fd);
	is_int(stats_counters[STAT_CLOSED_FRAME_TOO_LONG], before + 3, "all are counted");
	all_gone("all closed");
}

static void
test_time_limits(void)
{
	int			silent = peer_open();
	int			idle = peer_hello();
	int			slow = peer_open();
	int			busy = peer_hello();

	peer_send(slow, "{\"auth\":\"slow\"}\n");
	peer_send(busy, "{}\n");
	is_int(asked_slow, 1, "one waits for the authority");
	is_str(peer_wait(silent), "{\"error\":\"no authentication in time\"}\n$", "who says nothing is closed");
	is_str(peer_wait(slow), "{\"error\":\"database unavailable\"}\n$", "who waits too long is told");
	is_int(cancelled, 1, "and the question withdrawn");
	is_str(peer_wait(idle), "{\"error\":\"idle for too long\"}\n$", "who is idle is closed");
	is_int(conn_count(), 4, "those linger until their peers have read");
	peer_close(silent);
	peer_close(idle);
	peer_close(slow);
	is_int(stats_counters[STAT_CLOSED_IDLE], 1, "and are counted");
	is_int(conn_count(), 1, "who waits for a commit is not idle");
	commit_all();
	is_str(peer_read(busy), "{\"ack\":1}\n", "and is answered");
	peer_close(busy);
	all_gone("all closed");
}

static void
test_sink_full(void)
{
	int			fd = peer_hello();
	int			sent = 0;
	ssize_t		n;

	full = true;
	while ((n = write(fd, "{}\n", 3)) == 3 && sent < 100000)
		sent++;
	turn();
	turn();
	is_int(nrows, 0, "nothing is read while the sink is full");
	is_int(buf_memory(), 0, "nothing is kept either: the peer has to wait");
	full = false;
	ready(ready_arg);
	for (int i = 0; i < 200; i++)
		turn();
	ok(nrows > 1000 || (int) nrows == sent, "it goes on when there is room");
	commit_all();
	peer_read(fd);

	/* The hard limit comes in the middle of what was read. */
	nrows = 0;
	room = 0;
	peer_send(fd, "{}\n");
	is_int(nrows, 1, "when nothing is pending there will never be more room: it is tried");
	waited = false;
	peer_send(fd, "{}\n{}\n{}\n");
	is_int(nrows, 1, "no frame is begun without room for it");
	ok(waited, "and the sink knows that somebody waits, though below its mark");
	room = SIZE_MAX / 2;
	ready(ready_arg);
	turn();
	turn();
	is_int(nrows, 4, "what was read before waits and is taken then");
	commit_all();
	peer_close(fd);
	all_gone("closed");
}

static void
test_peer_does_not_read(void)
{
	int			fd = peer_hello();
	int			small = 4096;
	int			lines = 0;
	uint64_t	pauses = stats_counters[STAT_PAUSES_OUTPUT];

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	/* Each line is rejected, so answers are long, and never read. */
	while (stats_counters[STAT_PAUSES_OUTPUT] == pauses && lines < 50000)
	{
		if (write(fd, "{}\n", 3) == 3)
			lines++;
		turn();
		for (size_t i = 0; i < nrows; i++)
			decide(i, SINK_REJECTED, "out_of_range", "a_name_that_is_rather_long_so_that_answers_fill_up");
		if (nrows > 0)
			settle(nrows - 1);
		nrows = 0;
	}
	is_int(stats_counters[STAT_PAUSES_OUTPUT], pauses + 1, "reading stops when answers are not read");
	nrows = 0;
	ok(write(fd, "{}\n", 3) == 3, "what is sent then");
	turn();
	is_int(nrows, 0, "is not taken");
	while (strlen(peer_read(fd)) > 0 && nrows == 0)
		turn();
	turn();
	is_int(nrows, 1, "until the answers are read");
	commit_all();
	peer_close(fd);

	fd = peer_hello();
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	pauses = stats_counters[STAT_PAUSES_OUTPUT];
	while (stats_counters[STAT_PAUSES_OUTPUT] == pauses)
	{
		(void) !write(fd, "{}\n", 3);
		turn();
		for (size_t i = 0; i < nrows; i++)
			decide(i, SINK_REJECTED, "out_of_range", "a_name_that_is_rather_long_so_that_answers_fill_up");
		if (nrows > 0)
			settle(nrows - 1);
		nrows = 0;
	}
	{
		int64_t		until = clock_us() + PATIENCE_US;
		struct timeval tv = {0, 50000};

		while (stats_counters[STAT_CLOSED_WRITE_TIMEOUT] == 0 && clock_us() < until)
		{
			event_base_loopexit(base, &tv);
			event_base_loop(base, EVLOOP_ONCE);
		}
	}
	is_int(stats_counters[STAT_CLOSED_WRITE_TIMEOUT], 1, "who never reads is closed");
	close(fd);
	all_gone("closed");
}

static void
test_many(void)
{
	int			fds[8];

	config->limit_connections = 6;
	config->limit_connections_per_address = 4;
	for (int i = 0; i < 4; i++)
		fds[i] = peer_open();
	fds[4] = peer_open();
	is_str(peer_read(fds[4]), "{\"error\":\"too many connections of this address\"}\n$", "a fifth of one address");
	fds[5] = peer_open_from("10.0.0.2");
	fds[6] = peer_open_from("10.0.0.3");
	is_int(conn_count(), 6, "others may come");
	fds[7] = peer_open_from("10.0.0.4");
	is_str(peer_read(fds[7]), "{\"error\":\"too many connections\"}\n$", "up to the limit");
	is_int(stats_counters[STAT_REFUSED_TOTAL], 1, "which is counted");
	is_int(stats_counters[STAT_REFUSED_ADDRESS], 1, "as is the other");
	for (int i = 0; i < 8; i++)
		peer_close(fds[i]);
	config->limit_connections = 10000;
	config->limit_connections_per_address = 0;
	all_gone("all closed");
}

static void
test_idle_memory(void)
{
	int			fds[200];

	for (int i = 0; i < 200; i++)
	{
		fds[i] = peer_hello();
		peer_send(fds[i], "{}\n");
	}
	commit_all();
	turn();
	is_int(conn_count(), 200, "two hundred connections at rest");
	is_int(buf_memory(), 0, "hold no buffer");
	for (int i = 0; i < 200; i++)
		peer_close(fds[i]);
	all_gone("all closed");
}

static void
test_input_memory(void)
{
	int			fds[8];
	uint64_t	before = stats_counters[STAT_CLOSED_INPUT_MEMORY];
	char		part[3000];

	config->limit_input_bytes = 6 * 4096;
	memset(part, 'x', sizeof(part) - 1);
	part[sizeof(part) - 1] = '\0';
	for (int i = 0; i < 8; i++)
	{
		fds[i] = peer_hello();
		peer_send(fds[i], part);
	}
	ok(stats_gauges[GAUGE_INPUT_BYTES] <= 6 * 4096, "unfinished lines have a common limit");
	for (int i = 0; i < 8; i++)
		peer_close(fds[i]);
	is_int(stats_counters[STAT_CLOSED_INPUT_MEMORY], before + 2, "two were closed at it");
	config->limit_input_bytes = 64 << 20;
	all_gone("all closed");
	is_int((int) stats_gauges[GAUGE_INPUT_BYTES], 0, "and all memory is back");
}

static void
test_claiming(void)
{
	ListenerConfig trackers = {.adapter = &tracker,.source = 7};
	uint64_t	skipped = stats_counters[STAT_FRAMES_SKIPPED];
	int			fd;

	listener = &trackers;
	fd = peer_open();
	peer_send(fd, "L");
	is_str(peer_read(fd), "", "half a login");
	peer_send(fd, "5");
	is_str(peer_read(fd), "+", "a login is answered at once");
	peer_send(fd, "RHD??R");
	is_str(peer_read(fd), "h", "so is a heartbeat, reports are not");
	is_int(nrows, 4, "there are four of them");
	is_int(stats_counters[STAT_FRAMES_SKIPPED], skipped + 2, "noise is counted");
	decide(3, SINK_ACCEPTED, "", "");
	decide(1, SINK_ACCEPTED, "", "");
	decide(0, SINK_ACCEPTED, "", "");
	settle(0);
	is_str(peer_read(fd), "5R1", "a frame of two waits for both");
	decide(2, SINK_REPEATED, "", "");
	settle(2);
	is_str(peer_read(fd), "5D25R1", "then each frame has its answer");
	nrows = 0;
	peer_send(fd, "E");
	is_str(peer_read(fd), "5E0", "a frame without records needs no commit");
	peer_send(fd, "RE");
	is_str(peer_read(fd), "", "but keeps its place");
	commit_all();
	is_str(peer_read(fd), "5R15E0", "behind one that does");

	/* Of these the sink knows nothing: they must not grow for ever. */
	{
		static char many[20001];
		uint64_t	frames = stats_counters[STAT_FRAMES];

		memset(many, 'E', sizeof(many) - 1);
		peer_send(fd, "R");
		peer_send(fd, many);
		for (int i = 0; i < 20; i++)
			turn();
		is_int(stats_counters[STAT_FRAMES] - frames, 1 + 4096, "many frames without records wait behind one");
		commit_all();
		while (strlen(peer_read(fd)) > 0)
			;
		is_int(stats_counters[STAT_FRAMES] - frames, 1 + 20000, "then it goes on");
	}
	peer_send(fd, "!");
	is_str(peer_read(fd), "$", "what cannot be followed is closed");
	peer_close(fd);
	listener = &cf->listeners[0];
	all_gone("and gone");
}

/* Waits until the loop has done what takes time. */
static void
turn_until(const uint64_t *counter, uint64_t value)
{
	int64_t		until = clock_us() + PATIENCE_US;

	while (*counter < value && clock_us() < until)
	{
		struct timeval tv = {0, 20000};

		event_base_loopexit(base, &tv);
		event_base_loop(base, EVLOOP_ONCE);
	}
}

static void
test_devices(void)
{
	char	   *names[] = {"5", "7"};
	ListenerConfig trackers = {.adapter = &tracker,.source = 7,.devices = names,.ndevices = 2};
	uint64_t	before = stats_counters[STAT_CLOSED_DEVICE];
	int			fd;

	listener = &trackers;
	fd = peer_open();
	peer_send(fd, "L5R");
	is_str(peer_read(fd), "+", "a device that may send");
	commit_all();
	is_str(peer_read(fd), "5R1", "is answered");
	peer_send(fd, "RL6R");
	is_int(nrows, 1, "another one on its connection is not heard");
	is_str(peer_read(fd), "", "nor welcomed");
	commit_all();
	is_str(peer_read(fd), "6R1$", "what came before it is answered, then the end");
	peer_close(fd);
	names_device = "8";
	fd = peer_open();
	peer_send(fd, "R");
	is_int(nrows, 0, "nor is a report of another one");
	is_str(peer_read(fd), "$", "which is the end, too");
	names_device = "";
	peer_close(fd);
	is_int(stats_counters[STAT_CLOSED_DEVICE], before + 2, "both are counted");
	listener = &cf->listeners[0];
	all_gone("and gone");
}

static void
test_source(void)
{
	ListenerConfig trackers = {.adapter = &tracker,.source = 7};
	int			fd;
	int			late;

	listener = &trackers;
	fd = peer_open();
	peer_send(fd, "R");
	decide(0, SINK_REJECTED, "not_permitted", "source_id");
	settle(0);
	nrows = 0;
	is_str(peer_read(fd), "$", "a source that the database does not permit: no answer, but an end");
	is_int(stats_counters[STAT_CLOSED_SOURCE], 1, "which is counted");
	late = peer_open();
	is_str(peer_read(late), "$", "for a while its peers are turned away");
	is_int(stats_counters[STAT_REFUSED_SOURCE], 1, "and counted");
	peer_close(late);
	peer_close(fd);
	gate_reset();
	fd = peer_open();
	peer_send(fd, "R");
	is_int(nrows, 1, "then there is another try");
	commit_all();
	is_str(peer_read(fd), "R1", "which may succeed");
	peer_close(fd);
	listener = &cf->listeners[0];
	all_gone("gone");
}

static void
test_rates(void)
{
	ListenerConfig trackers = {.adapter = &tracker,.source = 7};
	uint64_t	pauses = stats_counters[STAT_PAUSES_RATE];
	int			fd;
	int			other;
	char		many[400];

	config->limit_device_per_second = 20;
	names_device = "fast";
	listener = &trackers;
	fd = peer_open();
	memset(many, 'R', sizeof(many) - 1);
	many[sizeof(many) - 1] = '\0';
	peer_send(fd, many);
	is_int(nrows, 201, "two hundred reports and one are ten seconds of twenty");
	is_int(stats_counters[STAT_PAUSES_RATE], pauses + 1, "then the connection is not read");
	is_int((int) stats_gauges[GAUGE_CONN_SLOWED], 1, "which shows");
	names_device = "slow";
	other = peer_open();
	peer_send(other, "R");
	is_int(nrows, 202, "another device is not concerned");
	names_device = "fast";
	turn_until(&stats_counters[STAT_PAUSES_RATE], pauses + 2);
	ok(nrows > 202 && nrows < 212, "it goes on at its rate, with what had come before");
	peer_send(other, "R");
	is_int((int) stats_gauges[GAUGE_CONN_SLOWED], 2, "another connection of that device is no way round");
	commit_all();
	peer_close(other);
	config->limit_device_per_second = 0;
	turn_until(&stats_counters[STAT_FRAMES], stats_counters[STAT_FRAMES] + 100);
	is_int((int) stats_gauges[GAUGE_CONN_SLOWED], 0, "without a limit all go on");
	commit_all();
	peer_close(fd);

	/* A peer that sends much more than it may costs no more memory for it. */
	rate_reset();
	config->limit_source_per_second = 1;
	names_device = "";
	fd = peer_open();
	for (int i = 0; i < 1000; i++)
		if (write(fd, many, sizeof(many) - 1) > 0)
			turn();
	ok(stats_gauges[GAUGE_INPUT_BYTES] <= 2 * 4096, "what waits in memory has a limit");
	commit_all();
	config->limit_source_per_second = 0;
	rate_reset();
	peer_close(fd);
	listener = &cf->listeners[0];
	turn_until(&stats_counters[STAT_CLOSED_EOF], stats_counters[STAT_CLOSED_EOF] + 2);
	all_gone("all gone");
}

static void
test_networks(void)
{
	ListenerConfig some = cf->listeners[0];
	Network		office = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 10, 1}, 96 + 16};
	int			fd;

	some.allow = &office;
	some.nallow = 1;
	listener = &some;
	fd = peer_open_from("10.1.200.9");
	peer_send(fd, "{\"auth\":\"good\"}\n");
	is_str(peer_read(fd), "{\"auth\":\"ok\"}\n", "an address that may connect");
	peer_close(fd);
	fd = peer_open_from("10.2.0.1");
	is_str(peer_read(fd), "$", "one that may not");
	is_int(stats_counters[STAT_REFUSED_NETWORK], 1, "is counted");
	peer_close(fd);
	listener = &cf->listeners[0];
	all_gone("both gone");
}

static void
test_drain(void)
{
	int			busy = peer_hello();
	int			rest = peer_hello();

	int			slow = peer_open();
	int			before = cancelled;

	peer_send(busy, "{}\n");
	peer_send(slow, "{\"auth\":\"slow\"}\n{}\n");
	conn_drain();
	is_int(cancelled, before + 1, "at the end, nobody's token matters any more");
	/* What a real authority does not do for a question that was withdrawn. */
	if (cancelled == before)
		slow_done(slow_arg, AUTH_OK, 7);
	is_str(peer_read(slow), "$", "and who waited for it is let go");
	close(slow);
	is_str(peer_read(rest), "$", "at the end, who rests is closed");
	is_str(peer_read(busy), "", "who waits for a commit is not");
	commit_all();
	is_str(peer_read(busy), "{\"ack\":1}\n$", "before it has its answer");
	close(busy);
	close(rest);
	all_gone("all closed");
}

int
main(void)
{
	const char *text = "{\"listeners\":[{\"adapter\":\"json\",\"address\":\"127.0.0.1:0\"}],"
		"\"limits\":{\"frame_bytes\":4096,\"first_frame_bytes\":100,\"read_bytes\":4096,"
		"\"output_bytes\":4096,\"auth_seconds\":1,\"idle_seconds\":1,\"write_seconds\":1}}";
	char		err[CONFIG_ERROR_MAX];

	log_configure(LOG_LEVEL_FATAL, 0);
	signal(SIGPIPE, SIG_IGN);
	config = config_parse(text, strlen(text), err, sizeof(err));
	if (config == NULL)
	{
		printf("Bail out! %s\n", err);
		return 1;
	}
	config_set(config);
	listener = &cf->listeners[0];
	base = event_base_new();
	ok(conn_start(base), "connections can begin");
	config->limit_idle_seconds = 3600;
	test_acks();
	test_byte_by_byte();
	test_half_closed();
	test_gone_in_flight();
	test_refusals();
	test_long_lines();
	config->limit_idle_seconds = 1;
	test_time_limits();
	config->limit_idle_seconds = 3600;
	test_sink_full();
	test_peer_does_not_read();
	test_many();
	test_idle_memory();
	test_input_memory();
	test_claiming();
	test_devices();
	test_source();
	test_rates();
	test_networks();
	test_drain();
	conn_stop();
	event_base_free(base);
	config_free(config);
	is_int(buf_memory(), 0, "no buffer is left");
	buf_trim();
	return tap_done();
}
