/*
 * test_failures.c
 *	  Addresses that fail to prove who they are, with a clock of the test's own;
 *	  names of certificates.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "config.h"
#include "failures.h"
#include "log.h"
#include "peer.h"
#include "stats.h"
#include "tap.h"

#define SECOND INT64_C(1000000)

static int64_t now_us = 1000000000;

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

/* In a place of its own: two may stand in one expression. */
static const unsigned char *
address(const char *text)
{
	static unsigned char addresses[4][16];
	static int	at;
	unsigned char *a = addresses[at++ % 4];

	memset(a, 0, 16);
	if (inet_pton(AF_INET, text, a + 12) == 1)
		a[10] = a[11] = 0xFF;
	else
		inet_pton(AF_INET6, text, a);
	return a;
}

static void
fail(const char *text, int times, FailureKind kind)
{
	while (times-- > 0)
		failures_add(address(text), kind);
}

static void
test_window(void)
{
	fail("192.0.2.1", 4, FAILURE_TOKEN);
	is_int(failures_wait(address("192.0.2.1")), 0, "four failures of five");
	now_us += 59 * SECOND;
	fail("192.0.2.1", 1, FAILURE_TOKEN);
	is_int(failures_wait(address("192.0.2.1")), 60, "the fifth, within the time");
	is_int(failures_wait_handshake(address("192.0.2.1")), 0, "none of them a handshake");
	is_int(failures_wait(address("192.0.2.2")), 0, "another address");
	now_us += 59 * SECOND + SECOND / 2;
	is_int(failures_wait(address("192.0.2.1")), 1, "time passes");
	now_us += SECOND;
	is_int(failures_wait(address("192.0.2.1")), 0, "until it may come again");
	fail("192.0.2.1", 4, FAILURE_TOKEN);
	is_int(failures_wait(address("192.0.2.1")), 0, "with as many attempts as before");
	now_us += 61 * SECOND;
	fail("192.0.2.1", 4, FAILURE_HANDSHAKE);
	is_int(failures_wait(address("192.0.2.1")), 0, "failures of long ago do not count");
	fail("192.0.2.1", 1, FAILURE_TOKEN);
	ok(failures_wait(address("192.0.2.1")) > 0 && failures_wait_handshake(address("192.0.2.1")) == 0, "kinds count together");
	fail("192.0.2.1", 1, FAILURE_HANDSHAKE);
	ok(failures_wait_handshake(address("192.0.2.1")) > 0, "handshakes by themselves, too");
	is_int((int) stats_counters[STAT_FAILURES_TOKEN], 10, "tokens are counted");
	is_int((int) stats_counters[STAT_FAILURES_HANDSHAKE], 5, "handshakes are");
	failures_reset();
	is_int(failures_wait(address("192.0.2.1")), 0, "all forgotten");
}

static void
test_success(void)
{
	failures_success(address("192.0.2.1"));
	now_us += 1800 * SECOND;
	fail("192.0.2.1", 100, FAILURE_TOKEN);
	is_int(failures_wait(address("192.0.2.1")), 0, "an address with good peers is not blocked");
	now_us += 1801 * SECOND;
	fail("192.0.2.1", 5, FAILURE_TOKEN);
	ok(failures_wait(address("192.0.2.1")) > 0, "when there were none for an hour it is");
	failures_success(address("192.0.2.2"));
	ok(failures_wait(address("192.0.2.1")) > 0, "others' success is of no use");
	failures_success(address("192.0.2.1"));
	is_int(failures_wait(address("192.0.2.1")), 0, "until one comes");
	failures_reset();
}

static void
test_networks(void)
{
	fail("2001:db8:1:2::1", 3, FAILURE_TOKEN);
	fail("2001:db8:1:2:ffff::7", 2, FAILURE_TOKEN);
	ok(failures_wait(address("2001:db8:1:2:3::4")) > 0, "all of a /64 are one");
	is_int(failures_wait(address("2001:db8:1:3::1")), 0, "the next is another");
	ok(failures_same(address("2001:db8::1"), address("2001:db8::2")) &&
	   !failures_same(address("10.0.0.1"), address("10.0.0.2")) &&
	   !failures_same(address("10.0.0.1"), address("::1")), "of IPv4 each address is");
	failures_reset();
}

static void
test_bounds(Config *config)
{
	char		text[32];

	for (int i = 0; i < 100000; i++)
	{
		snprintf(text, sizeof(text), "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
		now_us++;
		fail(text, 1, FAILURE_TOKEN);
	}
	fail(text, 4, FAILURE_TOKEN);
	ok(failures_wait(address(text)) > 0, "of more addresses than there is room for, the newest are known");
	is_int(failures_wait(address("10.0.0.1")), 0, "others are forgotten");
	for (int i = 0; i < 100000; i++)
	{
		snprintf(text, sizeof(text), "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
		now_us++;
		failures_success(address(text));
	}
	is_int(failures_wait(address(text)), 0, "the newest successes are known, too");
	failures_reset();
	fail(text, 5, FAILURE_TOKEN);
	ok(failures_wait(address(text)) > 0, "blocked");
	config->auth_failures = 0;
	is_int(failures_wait(address(text)), 0, "without a limit nobody waits");
	failures_reset();
}

static void
strips(const char *pattern, const char *name, const char *device, const char *what)
{
	char		out[16];

	is_str(peer_strip(pattern, name, out, sizeof(out)) ? out : "-", device, what);
}

static void
test_names(void)
{
	strips(NULL, "car-1", "car-1", "without a pattern the name is the device");
	strips("%", "car-1", "car-1", "so with %");
	strips("device-%", "device-7", "7", "what stands before it");
	strips("%.example", "car.example", "car", "behind it");
	strips("a%z", "a-z", "-", "on both sides");
	strips("a%a", "aa", "-", "with nothing in between it names nobody");
	strips("a%a", "a", "-", "nor when one letter were both");
	strips("device-%", "machine-7", "-", "another name");
	strips("device-%", "device-", "-", "nothing behind it");
	strips(NULL, "", "-", "no name");
	strips(NULL, "0123456789abcde", "0123456789abcde", "as long as it may be");
	strips(NULL, "0123456789abcdef", "-", "and longer");
}

int
main(void)
{
	const char *text = "{\"listeners\":[{\"adapter\":\"json\",\"address\":\":0\"}],\"auth\":{\"failures\":5}}";
	char		err[256];
	Config	   *config = config_parse(text, strlen(text), err, sizeof(err));

	log_configure(LOG_LEVEL_FATAL, 0);
	config_set(config);
	test_window();
	test_success();
	test_networks();
	test_bounds(config);
	test_names();
	config_free(config);
	return tap_done();
}
