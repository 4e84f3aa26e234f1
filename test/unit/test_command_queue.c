/*
 * test_command_queue.c
 *	  Devices and their commands, with owners, a database and a clock of the
 *	  test's own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command_queue.h"
#include "config.h"
#include "log.h"
#include "stats.h"
#include "tap.h"

#define SECOND INT64_C(1000000)

static int64_t now = 1000 * SECOND;
static Config *config;

/* --- an owner --- */

typedef struct Line
{
	CommandOwner owner;
	CommandWrite says;			/* to the next one */
	int64_t		last;			/* id of the last one that it was given */
	int64_t		expires_us;
	char		text[256];
	int			written;
	int			expired;
	int			settled;
	bool		dies;			/* in write */
} Line;

static CommandWrite
on_write(void *arg, const Command *command, int64_t expires_us, const char **why)
{
	Line	   *line = arg;

	line->last = command->id;
	line->expires_us = expires_us;
	snprintf(line->text, sizeof(line->text), "%.*s %.*s %.*s %.*s", (int) command->device.len, command->device.data,
			 (int) command->name.len, command->name.data, (int) command->arguments.len, command->arguments.data,
			 (int) command->expires.len, command->expires.data);
	*why = "no words";
	if (line->dies)
	{
		command_detach(&line->owner);
		return COMMAND_GONE;
	}
	line->written += line->says == COMMAND_SENT;
	return line->says;
}

static void
on_expired(void *arg)
{
	((Line *) arg)->expired++;
}

static void
on_settled(void *arg)
{
	((Line *) arg)->settled++;
}

static const CommandOwnerOps ops = {.write = on_write,.expired = on_expired,.settled = on_settled};

static void
line_open(Line *line)
{
	memset(line, 0, sizeof(*line));
	line->owner.ops = &ops;
	line->owner.arg = line;
	line->owner.opened_us = now;
}

/* --- a database --- */

static CommandPeer *slots[16];
static size_t nslots;
static int	worked;

static void
on_work(void)
{
	worked++;
}

static size_t
take(PeerState from)
{
	nslots = queue_take(from, slots, 16);
	return nslots;
}

static void
grant(size_t i, int64_t id, int64_t left_us, int64_t lease_us)
{
	static char name[32];
	Grant		g = {.command = {.id = id,.device = slots[i] ? slots[i]->own_name : RECORD_STR(""),
	.arguments = RECORD_STR("{}"),.expires = RECORD_STR("then")},.expires_us = now + left_us,.write_by_us = now + lease_us};

	g.command.name = (Str) {name, (uint32_t) snprintf(name, sizeof(name), "do%lld", (long long) id)};
	queue_granted(&slots[i], &g, now);
	memset(name, '?', sizeof(name));	/* it must not be looked at any more */
}

/* From PEER_ASK to written, of one peer. */
static void
send_one(int64_t vehicle, int64_t id, int64_t left_us)
{
	if (take(PEER_ASK) != 1)
		printf("# %zu to be asked about\n", nslots);
	queue_asked(slots[0], vehicle, id, now);
	if (take(PEER_CLAIM) != 1)
		printf("# %zu to be claimed\n", nslots);
	grant(0, id, left_us, 5 * SECOND);
}

/* The only report there is, as text; it is taken off. */
static const char *
reported(void)
{
	static const char *const names[] = {"confirmed", "failed", "unsupported", "released"};
	static char text[COMMAND_ANSWER_MAX + 64];
	const Report *r = queue_reports();

	if (r == NULL)
		return "none";
	snprintf(text, sizeof(text), "%lld %s %.*s%s%d", (long long) r->command_id, names[r->outcome], (int) r->len, r->text,
			 r->source_id != 0 ? " of " : "", r->source_id);
	if (r->source_id == 0)
		text[strlen(text) - 1] = '\0';
	queue_reports_done(1);
	return text;
}

static void
answer(Line *line, int64_t id, bool yes, const char *text)
{
	Answer		said = {.command_id = id,.ok = yes,.text = {text, (uint32_t) strlen(text)}};

	command_answer(&line->owner, 7, &said);
}

/* --- tests --- */

static void
test_plain(void)
{
	Line		line;

	line_open(&line);
	command_attach(&line.owner, 7, RECORD_STR("car"));
	is_int(queue_count(PEER_ASK), 1, "a device that comes is asked about");
	ok(worked > 0, "... and there is work");
	command_attach(&line.owner, 7, RECORD_STR("car"));
	is_int(queue_peers(), 1, "it comes once");
	send_one(1, 11, 60 * SECOND);
	is_str(line.text, "car do11 {} then", "its command is written");
	is_int(queue_count(PEER_FLYING), 1, "... and awaits its answer");
	is_int(queue_flying(), 1, "... is counted");
	queue_wake(1);
	is_int(take(PEER_ASK), 1, "news of the vehicle: it is asked about again");
	queue_asked(slots[0], 1, 11, now);
	is_int(queue_count(PEER_FLYING), 1, "the same one is not sent twice over a connection");
	answer(&line, 12, true, "x");
	is_str(reported(), "12 confirmed x of 7", "an answer to another one is for the database to judge");
	answer(&line, 11, true, "done");
	is_str(reported(), "11 confirmed done", "its own is reported");
	is_int(line.settled, 1, "nothing is in flight any more");
	answer(&line, 11, false, "again");
	is_str(reported(), "11 failed again of 7", "a second one is for the database, too");
	answer(&line, 0, true, "");
	is_str(reported(), "none", "what answers nothing is dropped");
	is_int(queue_count(PEER_ASK), 1, "the next one is looked for");
	send_one(1, 12, 60 * SECOND);
	answer(&line, 0, false, "no");
	is_str(reported(), "12 failed no", "without an id it is the one in flight");
	take(PEER_ASK);
	queue_asked(slots[0], 1, 0, now);
	is_int(queue_count(PEER_REST), 1, "when there is none, it rests");
	queue_wake(2);
	is_int(queue_count(PEER_ASK), 0, "news of others are none");
	now += config->commands_poll_seconds * SECOND;
	queue_sweep(now);
	is_int(queue_count(PEER_ASK), 1, "now and then it is looked at all the same");
	command_detach(&line.owner);
	is_int(queue_peers(), 0, "it goes");
}

static void
test_time(void)
{
	Line		line;

	line_open(&line);
	command_attach(&line.owner, 7, RECORD_STR("car"));
	send_one(1, 21, 2 * SECOND);
	is_int(line.expires_us - now, 2 * SECOND, "the owner is told when it expires");
	now += 2 * SECOND - 1;
	queue_sweep(now);
	is_int(line.expired, 0, "until then it waits");
	now++;
	queue_sweep(now);
	is_int(line.expired, 1, "then the owner is told");
	is_int(queue_flying(), 0, "... it is given up");
	is_int(queue_count(PEER_ASK), 1, "... and the next one is looked for");
	answer(&line, 21, true, "late");
	is_str(reported(), "21 confirmed late of 7", "a late answer is for the database to judge");

	/* The answer of the database came late. */
	take(PEER_ASK);
	queue_asked(slots[0], 1, 22, now);
	take(PEER_CLAIM);
	grant(0, 22, 0, 5 * SECOND);
	is_int(line.last, 21, "one that has expired meanwhile is not written");
	is_str(reported(), "22 released ", "... it is given back");
	now += SECOND;
	queue_sweep(now);
	take(PEER_ASK);
	queue_asked(slots[0], 1, 23, now);
	take(PEER_CLAIM);
	grant(0, 23, 60 * SECOND, 0);
	is_int(line.last, 21, "nor one whose lease is over");
	is_str(reported(), "23 released ", "... likewise");

	/* The connection is busy. */
	now += SECOND;
	queue_sweep(now);
	take(PEER_ASK);
	queue_asked(slots[0], 1, 24, now);
	take(PEER_CLAIM);
	line.says = COMMAND_LATER;
	grant(0, 24, 3 * SECOND, 5 * SECOND);
	is_int(queue_count(PEER_READY), 1, "one that cannot be written now is kept");
	queue_wake(1);
	is_int(queue_count(PEER_READY), 1, "... whatever happens");
	line.says = COMMAND_SENT;
	queue_sweep(now);
	is_str(line.text, "car do24 {} then", "... and written when it can be");
	is_int(queue_count(PEER_FLYING), 1, "... once");
	answer(&line, 24, true, "");
	is_str(reported(), "24 confirmed ", "... confirmed");
	take(PEER_ASK);
	queue_asked(slots[0], 1, 25, now);
	take(PEER_CLAIM);
	line.says = COMMAND_LATER;
	grant(0, 25, 3 * SECOND, 5 * SECOND);
	now += 3 * SECOND;
	line.says = COMMAND_SENT;
	queue_sweep(now);
	is_int(line.last, 25, "one that expires while it is kept");
	is_int(line.written, 2, "... is never written");
	is_str(reported(), "25 released ", "... but given back");
	command_detach(&line.owner);

	/* And the connection ends. */
	line_open(&line);
	command_attach(&line.owner, 7, RECORD_STR("car"));
	take(PEER_ASK);
	queue_asked(slots[0], 1, 26, now);
	take(PEER_CLAIM);
	line.says = COMMAND_LATER;
	grant(0, 26, 60 * SECOND, 5 * SECOND);
	command_detach(&line.owner);
	is_str(reported(), "26 released ", "one that is kept goes back when its connection ends");
	line_open(&line);
	command_attach(&line.owner, 7, RECORD_STR("car"));
	take(PEER_ASK);
	queue_asked(slots[0], 1, 26, now);
	take(PEER_CLAIM);
	command_detach(&line.owner);
	ok(slots[0] == NULL, "a device may go while the database is asked");
	grant(0, 26, 60 * SECOND, 5 * SECOND);
	is_str(reported(), "26 released ", "... then what it was given goes back");
	line_open(&line);
	command_attach(&line.owner, 7, RECORD_STR("car"));
	line.dies = true;
	send_one(1, 26, 60 * SECOND);
	is_int(queue_peers(), 0, "the connection may end in the act of writing");
	is_str(reported(), "none", "... then nobody knows, and it is sent again");
	line_open(&line);
	command_attach(&line.owner, 7, RECORD_STR("car"));
	send_one(1, 26, 60 * SECOND);
	is_int(line.last, 26, "... over the next one");
	command_detach(&line.owner);
	is_str(reported(), "none", "what is in flight stays sent");
	is_int(queue_flying(), 0, "... and is not counted any more");
}

static void
test_refusals(void)
{
	Line		line;

	line_open(&line);
	line.says = COMMAND_REFUSED;
	command_attach(&line.owner, 7, RECORD_STR("car"));
	send_one(1, 31, 60 * SECOND);
	is_str(reported(), "31 unsupported no words", "what the protocol cannot say");
	take(PEER_ASK);
	queue_asked(slots[0], 1, 31, now);
	is_int(queue_count(PEER_REST), 1, "... is not tried again before the database knows");
	queue_wake(0);
	take(PEER_ASK);
	queue_asked(slots[0], 1, 32, now);
	take(PEER_CLAIM);
	queue_not_granted(slots[0], 3 * SECOND, now);
	is_int(queue_count(PEER_LATER), 1, "one that another daemon has is looked at");
	now += 3 * SECOND;
	queue_sweep(now);
	is_int(take(PEER_ASK), 1, "... when its lease ends");
	queue_asked(slots[0], 1, 32, now);
	take(PEER_CLAIM);
	queue_wake(1);
	queue_not_granted(slots[0], 0, now);
	is_int(queue_count(PEER_ASK), 1, "news that came meanwhile are not lost");
	take(PEER_ASK);
	queue_failed(slots, nslots, now);
	is_int(queue_count(PEER_LATER), 1, "after a failed query there is a pause");
	command_detach(&line.owner);

	line_open(&line);
	command_attach(&line.owner, 7, RECORD_STR("stranger"));
	for (int i = 0; i < 10; i++)
	{
		take(PEER_ASK);
		queue_asked(slots[0], 0, 0, now);
		now += 64 * SECOND;
		queue_sweep(now);
	}
	is_int(queue_count(PEER_ASK), 1, "a device that nobody knows is asked about again, ever less often");
	now -= 64 * SECOND;
	take(PEER_ASK);
	queue_asked(slots[0], 0, 0, now);
	queue_sweep(now + 63 * SECOND);
	is_int(queue_count(PEER_ASK), 0, "... but not more than once a minute");
	now += 64 * SECOND;
	command_detach(&line.owner);
}

static void
test_vehicle(void)
{
	Line		a,
				b;

	line_open(&a);
	line_open(&b);
	command_attach(&a.owner, 7, RECORD_STR("one"));
	send_one(5, 41, 60 * SECOND);
	command_attach(&b.owner, 7, RECORD_STR("two"));
	take(PEER_ASK);
	queue_asked(slots[0], 5, 41, now);
	is_int(queue_count(PEER_REST), 1, "a second device of the vehicle does not get the same command");
	command_detach(&a.owner);
	is_int(queue_count(PEER_ASK), 1, "... until the first one has gone");
	send_one(5, 41, 60 * SECOND);
	is_int(b.last, 41, "then it does");
	take(PEER_ASK);
	command_attach(&a.owner, 7, RECORD_STR("two"));
	is_int(queue_peers(), 1, "a device is on the connection that it came on last");
	is_int(b.owner.npeers, 0, "... not on the other one");
	is_int(b.owner.in_flight, 0, "... where nothing is in flight");
	send_one(5, 41, 60 * SECOND);
	is_int(a.last, 41, "... and gets again what it has not answered");
	take(PEER_ASK);
	queue_wake(5);
	take(PEER_ASK);
	queue_asked(slots[0], 5, 42, now);
	is_int(a.owner.in_flight, 0, "one that was cancelled is not waited for");
	is_int(queue_count(PEER_CLAIM), 1, "... the next one goes");
	command_detach(&a.owner);
	command_detach(&b.owner);

	/* An answer beside the connection. */
	line_open(&a);
	line_open(&b);
	command_attach(&a.owner, 7, RECORD_STR("one"));
	send_one(5, 43, 60 * SECOND);
	command_answer(&b.owner, 8, &(Answer) {.device = RECORD_STR("one"),.command_id = 43,.ok = true});
	is_str(reported(), "43 confirmed  of 8", "an answer of another source is not taken for the device's");
	command_answer(&b.owner, 7, &(Answer) {.device = RECORD_STR("one"),.command_id = 43,.ok = true});
	is_str(reported(), "43 confirmed ", "over another connection of the source it is");
	command_detach(&a.owner);
}

static void
test_limits(void)
{
	Line		line;
	Line		other;
	char		name[32];
	static char long_text[COMMAND_ANSWER_MAX + 100];
	const Report *r;

	line_open(&line);
	line_open(&other);
	config->commands_devices = 5;
	config->commands_devices_per_connection = 3;
	for (int i = 0; i < 10; i++)
		command_attach(&line.owner, 7, (Str) {name, (uint32_t) snprintf(name, sizeof(name), "d%d", i)});
	is_int(queue_peers(), 3, "a connection has so many devices");
	for (int i = 10; i < 20; i++)
		command_attach(&other.owner, 7, (Str) {name, (uint32_t) snprintf(name, sizeof(name), "d%d", i)});
	is_int(queue_peers(), 5, "... and all have so many");
	is_int(stats_counters[STAT_COMMAND_DEVICES_REFUSED], 15, "... those beyond are counted");
	command_attach(&other.owner, 8, RECORD_STR("d0"));
	is_int(queue_peers(), 5, "the same name in another source is another one");
	command_detach(&line.owner);
	command_attach(&line.owner, 7, RECORD_STR(""));
	command_attach(&line.owner, 7, (Str) {"a\nb", 3});
	command_attach(&line.owner, 7, (Str) {"\xff", 1});
	command_attach(&line.owner, 7, (Str) {"a\0b", 3});
	command_attach(&line.owner, 7, RECORD_STR("1M8GDM9AXKP042788"));
	is_int(line.owner.npeers, 0, "what is no identity is none, nor a VIN without a key");
	command_detach(&other.owner);

	config->commands_devices = 1000;
	command_attach(&line.owner, 7, RECORD_STR("car"));
	send_one(1, 51, 60 * SECOND);
	memset(long_text, 'x', sizeof(long_text));
	memcpy(long_text + COMMAND_ANSWER_MAX - 1, "\xc3\xa4", 2);
	command_answer(&line.owner, 7, &(Answer) {.ok = true,.text = {long_text, sizeof(long_text)}});
	r = queue_reports();
	is_int(r->len, COMMAND_ANSWER_MAX - 1, "a long answer is cut, between characters");
	queue_reports_done(1);
	send_one(1, 52, 60 * SECOND);
	command_answer(&line.owner, 7, &(Answer) {.ok = true,.text = {"VIN 1M8GDM9AXKP042788\0!", 23}});
	is_str(reported(), "52 confirmed VIN XXXXXXXXXXXXXXXXX !", "an answer keeps no VIN, and no zero byte");
	for (int i = 0; i < 2000; i++)
		answer(&line, 1000 + i, true, "flood");
	is_int(queue_report_count(), 1000, "who floods with answers to nothing fills no memory");
	queue_reports_done(2000);
	is_int(queue_report_count(), 0, "reports are taken off");
	command_detach(&line.owner);
}

int
main(void)
{
	const char *text = "{\"listeners\":[{\"adapter\":\"json\",\"address\":\":0\"}]}";
	char		err[256];

	log_configure(LOG_LEVEL_FATAL, 0);
	config = config_parse(text, strlen(text), err, sizeof(err));
	config_set(config);
	queue_on_work(on_work);
	test_plain();
	test_time();
	test_refusals();
	test_vehicle();
	test_limits();
	is_int(queue_peers() + queue_flying() + queue_report_count(), 0, "nothing is left");
	queue_reset();
	config_free(config);
	return tap_done();
}
