/*
 * test_time_parse.c
 *	  ISO 8601 timestamps: what is taken, as what, and what is not.
 */
#include <time.h>

#include "tap.h"
#include "time_parse.h"

static void
taken(const char *text, int64_t us)
{
	int64_t		got = -1;

	ok(time_parse(text, strlen(text), TIME_NO_ZONE, &got), text);
	is_int(got, us, "... as the right time");
}

static void
refused(const char *text, const char *why)
{
	int64_t		us;
	char		name[128];

	snprintf(name, sizeof(name), "refused, %s: %s", why, text);
	ok(!time_parse(text, strlen(text), TIME_NO_ZONE, &us), name);
}

int
main(void)
{
	int64_t		us = 0;
	int32_t		zone = 1;
	bool		same = true;

	/* 1. Forms */
	taken("2025-01-15T14:32:18Z", INT64_C(1736951538000000));
	taken("2025-01-15T14:32:18.123Z", INT64_C(1736951538123000));
	taken("2025-01-15t14:32:18.1z", INT64_C(1736951538100000));
	taken("2025-01-15 14:32:18+00:00", INT64_C(1736951538000000));
	taken("2025-01-15T14:32:18.123456789Z", INT64_C(1736951538123456));
	taken("2025-01-15T14:32:18.99999999999999999999Z", INT64_C(1736951538999999));
	taken("1970-01-01T00:00:00Z", 0);
	taken("1969-12-31T23:59:59.999999Z", -1);

	/* 2. Zones */
	taken("2025-01-15T15:32:18+01", INT64_C(1736951538000000));
	taken("2025-01-15T20:02:18+0530", INT64_C(1736951538000000));
	taken("2025-01-15T11:02:18-03:30", INT64_C(1736951538000000));
	taken("2025-01-16T06:31:18+15:59", INT64_C(1736951538000000));
	refused("2025-01-15T14:32:18", "no zone");
	refused("2025-01-15T14:32:18.5", "no zone");
	refused("2025-01-15T14:32:18+16:00", "too far east");
	refused("2025-01-15T14:32:18+01:60", "minutes");
	refused("2025-01-15T14:32:18+1", "one digit");
	refused("2025-01-15T14:32:18+01:", "no minutes");
	refused("2025-01-15T14:32:18UTC", "a name");
	refused("2025-01-15T14:32:18 Z", "a blank");
	refused("2025-01-15T14:32:18ZZ", "junk");
	ok(time_parse("2025-01-15T16:32:18", 19, 7200, &us) && us == INT64_C(1736951538000000),
	   "without a zone, the given one");
	ok(time_parse("2025-01-15T14:32:18Z", 20, 7200, &us) && us == INT64_C(1736951538000000),
	   "its own zone comes first");

	/* 3. Ranges */
	taken("2024-02-29T00:00:00Z", INT64_C(1709164800000000));
	taken("2000-02-29T00:00:00Z", INT64_C(951782400000000));
	taken("0001-01-01T00:00:00Z", INT64_C(-62135596800000000));
	taken("9999-12-31T23:59:59.999999Z", INT64_C(253402300799999999));
	refused("2025-02-29T00:00:00Z", "no leap year");
	refused("1900-02-29T00:00:00Z", "no leap year");
	refused("2025-04-31T00:00:00Z", "30 days");
	refused("2025-00-10T00:00:00Z", "month");
	refused("2025-13-10T00:00:00Z", "month");
	refused("2025-01-00T00:00:00Z", "day");
	refused("2025-01-10T24:00:00Z", "hour");
	refused("2025-01-10T23:60:00Z", "minute");
	refused("0000-01-01T00:00:00Z", "year");
	refused("12025-01-01T00:00:00Z", "year");

	/* 4. Leap seconds: where they can be */
	taken("2016-12-31T23:59:60Z", INT64_C(1483228800000000));
	taken("2016-12-31T23:59:60.5Z", INT64_C(1483228800500000));
	taken("2017-01-01T00:59:60+01:00", INT64_C(1483228800000000));
	refused("2016-12-31T22:59:60Z", "not the last minute in UTC");
	refused("2016-12-31T23:59:61Z", "second");

	/* 5. Other forms */
	refused("", "empty");
	refused("2025-01-15", "no time");
	refused("2025-01-15T14:32Z", "no seconds");
	refused("20250115T143218Z", "no separators");
	refused("2025-01-15T14:32:18.Z", "no fraction");
	refused("2025-01-15T14:32:18,5Z", "a comma");
	refused("2025/01/15T14:32:18Z", "slashes");
	refused("+2025-01-15T14:32:18Z", "a sign");
	refused("2025-01-15T1a:32:18Z", "a letter");
	refused(" 2025-01-15T14:32:18Z", "a blank");
	refused("1736951538", "a number");
	ok(!time_parse("2025-01-15T14:32:18Z", 19, TIME_NO_ZONE, &us), "the length counts, not the NUL");

	/* 6. Zones of the configuration */
	ok(time_parse_zone("UTC", 3, &zone) && zone == 0, "UTC");
	ok(time_parse_zone("-03:30", 6, &zone) && zone == -12600, "-03:30");
	ok(!time_parse_zone("CET", 3, &zone), "no other name");

	/* 7. Every day of 1200 years, against the C library */
	for (int64_t day = -300000; day < 140000; day += 13)
	{
		time_t		seconds = (time_t) (day * 86400);
		struct tm	tm;

		gmtime_r(&seconds, &tm);
		same &= time_of_date(tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday) == seconds;
	}
	ok(same, "dates agree with gmtime");
	return tap_done();
}
