/*
 * test_credential.c
 *	  Tokens and sources in use: held, asked about, ended by an answer or by
 *	  time; the gate that goes by a source's.  The clock is the test's own.
 */
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "config.h"
#include "credential.h"
#include "gate.h"
#include "log.h"
#include "tap.h"

#define SECOND INT64_C(1000000)

static struct event_base *base;
static int64_t now_us = 1000 * SECOND;
static int	ended;
static int	woken;

int64_t
clock_us(void)
{
	return now_us;
}

int64_t
clock_unix_us(void)
{
	return now_us;
}

static void
on_end(void)
{
	ended++;
}

static void
on_check(void)
{
	woken++;
}

static void
turn(void)
{
	event_base_loop(base, EVLOOP_NONBLOCK);
}

/* One question to a database that knows these prefixes and sources; how many were asked about. */
static size_t
ask(const char *prefixes, const char *sources, int64_t ends_us, bool works)
{
	Credential *list[1000];
	size_t		n = credential_ask(list, 1000);
	int64_t		asked_us = now_us;

	for (size_t i = 0; i < n && works; i++)
	{
		char		number[16];

		snprintf(number, sizeof(number), "%d,", list[i]->source_id);
		if (list[i]->prefix[0] != '\0' ? strstr(prefixes, list[i]->prefix) != NULL : strstr(sources, number) != NULL)
			credential_seen(list[i]->prefix[0] != '\0' ? list[i]->prefix : NULL, list[i]->source_id, ends_us);
	}
	credential_answered(list, n, works, asked_us);
	return n;
}

static void
test_tokens(void)
{
	Credential *a = credential_token(1, "aaaaaaaaaa", CREDENTIAL_NO_END, now_us);
	Credential *same = credential_token(1, "aaaaaaaaaa", CREDENTIAL_NO_END, now_us);
	Credential *b = credential_token(1, "bbbbbbbbbb", CREDENTIAL_NO_END, now_us);
	Credential *c = credential_token(2, "cccccccccc", CREDENTIAL_NO_END, now_us);

	ok(a == same, "a token is one credential, however many came by it");
	ok(credential_is_live(a) && credential_is_live(b), "tokens are good when the database has said so");
	is_int(ask("", "", 0, true), 0, "... and nothing is to be asked");

	credential_check_source(1);
	ok(woken > 0, "a change of their source is to be asked about");
	is_int(ask("bbbbbbbbbb", "", CREDENTIAL_NO_END, true), 2, "... that is, both tokens of it, once");
	turn();
	ok(!credential_is_live(a) && a->state == CREDENTIAL_REVOKED, "the one that the database does not name was revoked");
	ok(credential_is_live(b) && credential_is_live(c), "others are good");
	is_int(ended, 1, "... and those who hold one are told");
	credential_check_all();
	is_int(ask("bbbbbbbbbb cccccccccc", "", CREDENTIAL_NO_END, true), 2, "what has ended is not asked about again");

	credential_check_all();
	is_int(ask("", "", 0, false), 2, "an answer that does not come");
	ok(credential_is_live(b) && credential_is_live(c), "... ends nothing");
	is_int(ask("bbbbbbbbbb cccccccccc", "", CREDENTIAL_NO_END, true), 2, "... and is asked for again");

	credential_drop(same);
	credential_drop(a);
	a = credential_token(1, "aaaaaaaaaa", CREDENTIAL_NO_END, now_us);
	ok(credential_is_live(a), "a token that the database lets in is a new credential");
	credential_drop(a);
	credential_drop(b);
	credential_check_all();
	is_int(ask("cccccccccc", "", CREDENTIAL_NO_END, true), 1, "what nobody holds is forgotten");
	credential_drop(c);
	ok(credential_token(1, "", CREDENTIAL_NO_END, now_us) == NULL, "a token without prefix is none");
}

static void
test_change_meanwhile(void)
{
	Credential *a = credential_token(1, "aaaaaaaaaa", CREDENTIAL_NO_END, now_us);
	Credential *list[10];
	size_t		n;

	credential_check_source(1);
	n = credential_ask(list, 10);
	credential_seen("aaaaaaaaaa", 1, CREDENTIAL_NO_END);
	credential_check_source(1);
	credential_answered(list, n, true, now_us);
	ok(credential_is_live(a), "an answer from before a change");
	is_int(ask("", "", 0, true), 1, "... does not answer the change");
	ok(!credential_is_live(a), "... the next one does");
	credential_drop(a);

	a = credential_token(1, "aaaaaaaaaa", CREDENTIAL_NO_END, now_us);
	credential_check_source(1);
	n = credential_ask(list, 10);
	credential_drop(a);
	credential_answered(list, n, true, now_us);
	is_int(ask("", "", 0, true), 0, "one that is let go while it is asked about");
}

static void
test_expiry(void)
{
	Credential *a = credential_token(1, "aaaaaaaaaa", now_us + SECOND / 100, now_us);
	Credential *b = credential_token(1, "bbbbbbbbbb", now_us + SECOND / 50, now_us);

	turn();
	ended = 0;
	now_us += SECOND / 100;
	ok(!credential_is_live(a) && credential_is_live(b), "a token ends in its time");
	/* the loop's clock is another one */
	for (int i = 0; i < 200 && ended == 0; i++)
		event_base_loop(base, EVLOOP_ONCE);
	turn();
	is_int(a->state, CREDENTIAL_EXPIRED, "... and its holders are told");
	is_int(b->state, CREDENTIAL_LIVE, "... those of others not");
	credential_check_source(1);
	is_int(ask("bbbbbbbbbb", "", now_us + 3600 * SECOND, true), 1, "an end can be put off");
	now_us += 60 * SECOND;
	ok(credential_is_live(b), "... then it holds no more");
	credential_check_source(1);
	now_us += 3600 * SECOND;
	(void) ask("", "", 0, true);
	is_int(b->state, CREDENTIAL_EXPIRED, "what the database does not name after its end has expired, not been revoked");
	credential_drop(a);
	credential_drop(b);
}

static void
test_gate(void)
{
	ok(gate_is_open(0), "no source, no gate");
	ok(gate_is_open(5), "a source is trusted until it is asked about");
	is_int(ask("", "5,", CREDENTIAL_NO_END, true), 1, "... which it is");
	ok(gate_is_open(5), "... and is good");
	gate_shut(5);
	ok(!gate_is_open(5), "the pipeline says otherwise");
	now_us += 1;
	credential_check_source(5);
	(void) ask("", "5,", CREDENTIAL_NO_END, true);
	ok(gate_is_open(5), "... until the database was asked again");
	gate_shut(5);
	now_us += (GATE_SECONDS + 1) * SECOND;
	ok(gate_is_open(5), "... or for a while");

	credential_check_source(5);
	(void) ask("", "", 0, true);
	ok(!gate_is_open(5), "a source that is revoked");
	now_us += 3600 * SECOND;
	ok(!gate_is_open(5), "... stays so");
	credential_check_source(5);
	is_int(ask("", "5,", CREDENTIAL_NO_END, true), 1, "... and is asked about all the same");
	ok(gate_is_open(5), "when it is put right the gate opens");
	credential_check_source(5);
	(void) ask("", "", 0, true);
	gate_reset();
	ok(gate_is_open(5), "a reload gives it another chance");
	(void) ask("", "", 0, true);
	ok(!gate_is_open(5), "... until it is answered");
}

int
main(void)
{
	log_configure(LOG_LEVEL_FATAL, 0);
	base = event_base_new();
	if (base == NULL || !credential_start(base))
		return 1;
	credential_on_end(on_end);
	credential_on_check(on_check);
	test_tokens();
	test_change_meanwhile();
	test_expiry();
	test_gate();
	credential_stop();
	event_base_free(base);
	return tap_done();
}
