/*
 * test_conn.c
 *	  Connections: acknowledgements in order, refusals, who may send, endings.
 */
#include "conn_peers.h"
#include "gate.h"
#include "rate.h"
#include "tracker.h"

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
	is_int(nrows, 1, "and goes to quarantine");
	commit_all();
	peer_close(fd);
	listener = &cf->listeners[0];
	all_gone("and gone");
}

/* What trackers leave behind that is no frame. */
static void
test_remains(void)
{
	ListenerConfig trackers = {.adapter = &tracker,.source = 7};
	uint64_t	foreign = stats_counters[STAT_RECORDS_FOREIGN];
	uint64_t	cut = stats_counters[STAT_FRAMES_CUT];
	int			fd;

	listener = &trackers;
	fd = peer_open();
	peer_send(fd, "!");
	is_int(nrows, 1, "what is no frame from the first byte on goes to quarantine");
	is_str(peer_read(fd), "$", "and is closed");
	peer_close(fd);
	commit_all();

	fd = peer_open();
	peer_send(fd, "RL");
	shutdown(fd, SHUT_WR);
	turn();
	is_int(nrows, 2, "a frame that its peer did not end goes there, too");
	is_int(stats_counters[STAT_FRAMES_CUT], cut + 1, "and is counted");
	commit_all();
	is_str(peer_read(fd), "R1$", "what came before it is answered");
	close(fd);

	fd = peer_open();
	peer_send(fd, "L5O");
	is_str(peer_read(fd), "+$", "another device on a connection is its end");
	is_int(stats_counters[STAT_RECORDS_FOREIGN], foreign + 1, "which is counted");
	peer_close(fd);
	listener = &cf->listeners[0];
	all_gone("gone");
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

/* What is not stored gets no answer, what came before it does. */
static void
test_quota(void)
{
	ListenerConfig trackers = {.adapter = &tracker,.source = 7};
	int			fd;

	listener = &trackers;
	fd = peer_open();
	peer_send(fd, "RRRR");
	is_int(nrows, 4, "four frames");
	decide(0, SINK_ACCEPTED, "", "");
	decide(1, SINK_REJECTED, "over_quota", "device");
	decide(2, SINK_REJECTED, "over_quota", "events_per_second");
	decide(3, SINK_ACCEPTED, "", "");
	settle(0);
	nrows = 0;
	is_str(peer_read(fd), "R1R1$", "beyond a quota: those before it are acknowledged, then it ends");
	is_int(stats_counters[STAT_CLOSED_QUOTA], 1, "which is counted");
	ok(rate_wait_source(7) > 0 && rate_wait_source(8) == 0, "for a while its source is slowed, and no other");
	rate_reset();
	peer_close(fd);
	listener = &cf->listeners[0];
	all_gone("gone");
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
		slow_done(slow_arg, AUTH_OK, &known);
	is_str(peer_read(slow), "{\"error\":\"shutting down, come back later\"}\n$", "and who waited for it is let go");
	close(slow);
	is_str(peer_read(rest), "{\"error\":\"shutting down, come back later\"}\n$", "at the end, who rests is closed");
	is_str(peer_read(busy), "", "who waits for a commit is not");
	commit_all();
	is_str(peer_read(busy), "{\"ack\":1}\n{\"error\":\"shutting down, come back later\"}\n$", "before it has its answer");
	close(busy);
	close(rest);
	all_gone("all closed");
}

int
main(void)
{
	if (!peers_start())
		return 1;
	test_acks();
	test_byte_by_byte();
	test_half_closed();
	test_gone_in_flight();
	test_refusals();
	test_claiming();
	test_remains();
	test_devices();
	test_quota();
	test_source();
	test_networks();
	test_drain();
	return peers_stop();
}
