/*
 * test_rate.c
 *	  Rates, with a clock of the test's own.
 */
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "config.h"
#include "rate.h"
#include "stats.h"
#include "tap.h"

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

static Str
name(int i)
{
	static char text[32];

	return (Str) {text, (uint32_t) snprintf(text, sizeof(text), "device-%d", i)};
}

int
main(void)
{
	const char *text = "{\"listeners\":[{\"adapter\":\"json\",\"address\":\":0\"}]}";
	char		err[256];
	Config	   *config = config_parse(text, strlen(text), err, sizeof(err));
	Str			a = RECORD_STR("a");
	Str			b = RECORD_STR("b");
	int			taken = 0;

	config_set(config);
	for (int i = 0; i < 1000; i++)
		taken += rate_charge(7, a) == 0;
	is_int(taken, 1000, "without limits nobody waits");

	config->limit_device_per_second = 5;
	is_int(rate_wait_device(7, a), 0, "who has sent nothing since need not wait");
	for (taken = 0; rate_charge(7, a) == 0; taken++)
		;
	is_int(taken, 50, "ten seconds of five");
	is_int(rate_wait_device(7, a), 200000, "the next after a fifth of a second");
	is_int(stats_counters[STAT_OVER_DEVICE_RATE], 1, "it is counted");
	is_int(rate_wait_device(7, b), 0, "others need not wait");
	is_int(rate_wait_device(8, a), 0, "nor its name in another source");
	now_us += 200000;
	is_int(rate_wait_device(7, a), 0, "time passes");
	is_int(rate_charge(7, a), 200000, "then one more");
	now_us += 1000000;
	for (taken = 1; rate_charge(7, a) == 0; taken++)
		;
	is_int(taken, 5, "five more after a second");
	now_us += 1000000000;
	for (taken = 0; rate_charge(7, a) == 0; taken++)
		;
	is_int(taken, 50, "a long rest gives no more than the ten seconds");
	is_int(rate_charge(7, (Str) {0}), 0, "who has no name has no rate of his own");

	rate_reset();
	config->limit_device_per_second = 0;
	config->limit_source_per_second = 1000000;
	for (taken = 0; taken < 20000000 && rate_charge(7, taken % 2 ? a : b) == 0; taken++)
		;
	is_int(taken, 10000000, "a source has one rate for all its devices");
	ok(rate_wait_source(7) > 0 && rate_wait_source(8) == 0, "and waits alone");

	rate_reset();
	config->limit_source_per_second = 0;
	rate_hold_source(7);
	rate_hold_source(7);
	is_int(rate_wait_source(7), 1000000, "a source beyond its quota waits for a second, without any rate");
	is_int(rate_wait_device(7, a) + rate_wait_source(8), 0, "others do not");
	now_us += 1000000;
	is_int(rate_wait_source(7), 0, "then it may send");
	config->limit_source_per_second = 10;
	is_int(rate_charge(7, a), 0, "and owes nothing for its own rate");

	rate_reset();
	config->limit_source_per_second = 0;
	config->limit_device_per_second = 1;
	for (int i = 0; i < 10; i++)
		(void) rate_charge(7, a);
	for (int i = 0; i < 1000; i++)
		for (int j = 0; j < 300; j++)
			(void) rate_charge(7, name(i * 300 + j));
	ok(rate_charge(7, a) > 0, "of too many, those with the least debt are forgotten");

	rate_reset();
	config_free(config);
	return tap_done();
}
