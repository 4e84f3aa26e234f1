/*
 * test_sim_time.c
 *	  The simulator's times: what is one, what is none, and what it means.
 */
#include "sim/timeparse.h"
#include "tap.h"

#define JANUARY_15 INT64_C(1736951538)	/* 2025-01-15T14:32:18Z */

static void
is_time(const char *text, const char *format, int64_t want_us)
{
	int64_t		got = -1;

	if (!time_parse(text, format, &got))
		got = -1;
	is_int(got, want_us, text);
}

static void
is_none(const char *text, const char *format)
{
	int64_t		got;

	ok(!time_parse(text, format, &got), text);
}

static void
test_guessed(void)
{
	is_time("2025-01-15T14:32:18Z", NULL, JANUARY_15 * US_PER_S);
	is_time("2025-01-15T14:32:18.123Z", NULL, JANUARY_15 * US_PER_S + 123000);
	is_time("2025-01-15T14:32:18.123456+00:00", NULL, JANUARY_15 * US_PER_S + 123456);
	is_time("2025-01-15T08:32:18-06:00", NULL, JANUARY_15 * US_PER_S);
	is_time("2025-01-15 20:02:18 +0530", NULL, JANUARY_15 * US_PER_S);
	is_time("2025-01-15 14:32:18", NULL, JANUARY_15 * US_PER_S);
	is_time("2025-01-15T14:32Z", NULL, (JANUARY_15 - 18) * US_PER_S);
	is_time("1/15/2025 14:32:18", NULL, JANUARY_15 * US_PER_S);
	is_time("1736951538", NULL, JANUARY_15 * US_PER_S);
	is_time("1736951538.5", NULL, JANUARY_15 * US_PER_S + 500000);
	is_time("1736951538123", NULL, JANUARY_15 * US_PER_S + 123000);
	is_time("1736951538123456", NULL, JANUARY_15 * US_PER_S + 123456);
	is_time("0.5", NULL, 500000);
	is_time("2024-02-29T00:00:00Z", NULL, INT64_C(1709164800) * US_PER_S);
}

static void
test_none(void)
{
	is_none("", NULL);
	is_none("yesterday", NULL);
	is_none("29/00/2003 11:13:45", NULL);
	is_none("90/02/2032 11:13:45", NULL);
	is_none("2025-02-29T00:00:00Z", NULL);
	is_none("2025-13-01T00:00:00Z", NULL);
	is_none("2025-01-15T24:00:00Z", NULL);
	is_none("2025-01-15T14:60:00Z", NULL);
	is_none("2025-01-15T14:32:18Zebra", NULL);
	is_none("2025-01-15", NULL);
	is_none("0x1234", NULL);
	is_none("1e300", NULL);
	is_none("12345 ", NULL);
}

static void
test_formats(void)
{
	is_time("29.03.2021 11:13:45", "%d.%m.%Y %H:%M:%S", INT64_C(1617016425) * US_PER_S);
	is_time("03/29/2021 11:13:45.25", "%m/%d/%Y %H:%M:%S", INT64_C(1617016425) * US_PER_S + 250000);
	is_time("29-Mar-21 11:13:45 PM", "%d-%b-%y %I:%M:%S %p", INT64_C(1617059625) * US_PER_S);
	is_time("12:00:00 AM 2021-03-29", "%I:%M:%S %p %Y-%m-%d", INT64_C(1616976000) * US_PER_S);
	is_time("20210329111345+0100", "%Y%m%d%H%M%S%z", INT64_C(1617012825) * US_PER_S);
	is_time("1600657200963", "ms", INT64_C(1600657200963) * US_PER_MS);
	is_time("1600657200", "ms", INT64_C(1600657200) * US_PER_MS);
	is_time("1600657200", "s", INT64_C(1600657200) * US_PER_S);
	is_none("29.03.2021", "%d.%m.%Y %H:%M:%S");
	is_none("31.04.2021 00:00:00", "%d.%m.%Y %H:%M:%S");
}

static void
test_zones(void)
{
	time_set_zone("+05:30");
	is_time("2025-01-15 20:02:18", NULL, JANUARY_15 * US_PER_S);
	is_time("2025-01-15 14:32:18Z", NULL, JANUARY_15 * US_PER_S);
	time_set_zone("UTC");
	is_time("2025-01-15 14:32:18", NULL, JANUARY_15 * US_PER_S);
}

int
main(void)
{
	test_guessed();
	test_none();
	test_formats();
	test_zones();
	return tap_done();
}
