/*
 * test_conn_commands.c
 *	  Commands down a connection: who takes them, and none after its time.
 */
#include "clock.h"
#include "command_queue.h"
#include "conn_peers.h"

static CommandPeer *slots[16];

/* All that ask or claim have this command; how many they are. */
static size_t
offer(int64_t id, int64_t left_us, const char *arguments)
{
	size_t		n = queue_take(PEER_ASK, slots, 16);
	Grant		grant = {.command = {.id = id,.name = RECORD_STR("lock"),.expires = RECORD_STR("then")}};

	for (size_t i = 0; i < n; i++)
		queue_asked(slots[i], 100 + (int64_t) i, id, clock_us());
	n = queue_take(PEER_CLAIM, slots, 16);
	for (size_t i = 0; i < n; i++)
	{
		grant.command.device = slots[i]->own_name;
		grant.command.arguments = (Str) {arguments, (uint32_t) strlen(arguments)};
		grant.expires_us = clock_us() + left_us;
		grant.write_by_us = grant.expires_us;
		queue_granted(&slots[i], &grant, clock_us());
	}
	return n;
}

static void
pass(int64_t us)
{
	int64_t		until = clock_us() + us;

	while (clock_us() < until)
		usleep(1000);
	queue_sweep(clock_us());
	turn();
	turn();
}

static void
test_who(void)
{
	int			fd = peer_hello();

	peer_send(fd, "{\"device\":\"car\",\"event_time\":1}\n");
	commit_all();
	(void) peer_read(fd);
	is_int(queue_peers(), 0, "who does not ask for commands gets none");
	peer_close(fd);

	fd = peer_open();
	peer_send(fd, "{\"auth\":\"good\",\"commands\":true}\n");
	is_str(peer_read(fd), "{\"auth\":\"ok\"}\n", "who asks is let in");
	is_int(queue_peers(), 0, "... and has no device yet");
	peer_send(fd, "{\"device\":\"car\",\"event_time\":1}\n{\"device\":\"car\",\"event_time\":2}\n{\"device\":\"bus\",\"event_time\":1}\n{\"dev\n");
	is_int(queue_peers(), 2, "... then those that it reports for");
	commit_all();
	(void) peer_read(fd);
	is_int(offer(7, 60000000, "{}"), 2, "each is offered its command");
	is_str(peer_read(fd),
		   "{\"command\":{\"id\":7,\"device\":\"car\",\"name\":\"lock\",\"arguments\":{},\"expires\":\"then\"}}\n"
		   "{\"command\":{\"id\":7,\"device\":\"bus\",\"name\":\"lock\",\"arguments\":{},\"expires\":\"then\"}}\n", "... and gets it");
	peer_send(fd, "{\"confirm\":{\"id\":7,\"answer\":\"done\"}}\n");
	is_int(queue_report_count(), 1, "a confirmation is reported");
	is_str(peer_read(fd), "", "... not acknowledged");
	queue_reports_done(1);
	peer_close(fd);
	is_int(queue_peers(), 0, "they go with their connection");
	is_int(queue_flying(), 0, "... with what is in flight");

	fd = peer_open();
	peer_send(fd, "{\"auth\":\"good\",\"commands\":\"car\"}\n");
	is_int(queue_peers(), 1, "a device says what it is");
	peer_send(fd, "{\"device\":\"bus\",\"event_time\":1}\n");
	is_int(queue_peers(), 1, "... and is that, whatever it reports");
	peer_close(fd);
	for (int i = 0; i < 3; i++)
	{
		static const char *const lines[] = {
			"{\"auth\":\"good\",\"commands\":5}\n", "{\"auth\":\"good\",\"commands\":\"\"}\n", "{\"auth\":\"bad\",\"commands\":\"car\"}\n"
		};

		fd = peer_open();
		peer_send(fd, lines[i]);
		is_int(queue_peers(), 0, "a first line that asks wrongly, or is not let in");
		peer_close(fd);
	}
	all_gone("all have gone");
}

static void
test_time(void)
{
	static char large[4000];
	uint64_t	before = stats_counters[STAT_CLOSED_COMMAND];
	int			fd = peer_open();

	peer_send(fd, "{\"auth\":\"good\",\"commands\":\"car\"}\n");
	(void) peer_read(fd);
	(void) offer(8, 60000, "{}");
	pass(70000);
	is_int(stats_counters[STAT_CLOSED_COMMAND] - before, 1, "one that the peer has not even got is cut off in time");
	is_int(queue_peers(), 0, "... with its connection");
	peer_close(fd);

	fd = peer_open();
	peer_send(fd, "{\"auth\":\"good\",\"commands\":\"car\"}\n");
	(void) peer_read(fd);
	(void) offer(9, 60000, "{}");
	(void) peer_read(fd);
	pass(70000);
	is_int(stats_counters[STAT_CLOSED_COMMAND] - before, 1, "who has got it, and does not answer, stays");
	is_int(queue_count(PEER_ASK), 1, "... and gets the next one");

	/* Answers that it does not read stand in the way. */
	for (int i = 0; i < 20000 && stats_gauges[GAUGE_OUTPUT_BYTES] == 0; i++)
	{
		peer_send(fd, "{\n");
		commit_all();
	}
	ok(stats_gauges[GAUGE_OUTPUT_BYTES] > 0, "answers wait for a peer that does not read");
	memset(large, ' ', sizeof(large) - 1);
	large[0] = '{';
	large[sizeof(large) - 2] = '}';
	is_int(offer(10, 60000, large), 1, "a command for it");
	is_int(queue_count(PEER_READY), 1, "... waits outside");
	pass(70000);
	is_int(queue_count(PEER_READY), 0, "... is given up in its time");
	is_int(queue_reports() != NULL && queue_reports()->outcome == REPORT_RELEASED, 1, "... given back");
	queue_reports_done(1);
	for (int i = 0; i < 100; i++)
		if (strstr(peer_read(fd), "command") != NULL)
			ok(false, "it came late");
	pass(1000);
	peer_close(fd);
	all_gone("all have gone");
}

int
main(void)
{
	if (!peers_start())
		return 1;
	test_who();
	test_time();
	queue_reset();
	return peers_stop();
}
