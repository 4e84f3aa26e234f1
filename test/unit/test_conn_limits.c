/*
 * test_conn_limits.c
 *	  Connections: limits of time, memory, number and rate, and back-pressure.
 */
#include <poll.h>

#include "clock.h"
#include "conn_peers.h"
#include "failures.h"
#include "rate.h"
#include "tracker.h"

#define PATIENCE_US 5000000

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
test_failures(void)
{
	int			fd;
	int			live;

	config->auth_failures = 2;
	failures_reset();
	for (int i = 0; i < 2; i++)
	{
		fd = peer_open_from("10.0.0.9");
		peer_send(fd, "{\"auth\":\"bad\"}\n");
		is_str(peer_read(fd), "{\"error\":\"token unknown\"}\n$", "a failed attempt");
		peer_close(fd);
	}
	fd = peer_open_from("10.0.0.9");
	is_str(peer_read(fd), "{\"error\":\"too many failed attempts of this address\"}\n$", "a third is not made");
	peer_close(fd);
	is_int(stats_counters[STAT_REFUSED_FAILURES], 1, "which is counted");
	fd = peer_open_from("10.0.0.8");
	is_str(peer_read(fd), "", "others are not concerned");
	peer_close(fd);

	/* One that came before the failures speaks for its address. */
	failures_reset();
	live = peer_open_from("10.0.0.9");
	peer_send(live, "{\"auth\":\"good\"}\n");
	for (int i = 0; i < 4; i++)
	{
		fd = peer_open_from("10.0.0.9");
		peer_send(fd, "{\"auth\":\"bad\"}\n");
		is_str(peer_read(fd), "{\"error\":\"token unknown\"}\n$", "a failed attempt beside a good connection");
		peer_close(fd);
	}
	peer_close(live);
	config->auth_failures = 10;
	failures_reset();
	all_gone("all closed");
}

int
main(void)
{
	if (!peers_start())
		return 1;
	test_long_lines();
	config->limit_idle_seconds = 1;
	test_time_limits();
	config->limit_idle_seconds = 3600;
	test_sink_full();
	test_peer_does_not_read();
	test_many();
	test_idle_memory();
	test_input_memory();
	test_rates();
	test_failures();
	return peers_stop();
}
