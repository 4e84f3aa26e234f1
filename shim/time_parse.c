/*
 * time_parse.c
 *	  ISO 8601 timestamps to microseconds of the Unix epoch.
 *
 * Written out by hand: strptime knows neither fractions nor ranges, and this
 * runs once per report.
 */
#include "time_parse.h"

#include <string.h>

#define ZONE_HOURS_MAX 15		/* as in PostgreSQL */

/* n digits to a number; -1 when one of them is none. */
static inline int
digits(const char *p, int n)
{
	int			value = 0;

	for (int i = 0; i < n; i++)
	{
		unsigned	d = (unsigned char) p[i] - '0';

		if (d > 9)
			return -1;
		value = value * 10 + (int) d;
	}
	return value;
}

/*
 * Days since 1970-01-01 in the proleptic Gregorian calendar.  The year is
 * counted from March, so that the leap day is its last and every month's
 * offset is a linear expression; 146097 days are 400 years.
 */
static int64_t
days_of_date(int year, int month, int day)
{
	int			y = month <= 2 ? year - 1 : year;
	int			era = (y >= 0 ? y : y - 399) / 400;
	int			year_of_era = y - era * 400;
	int			day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
	int			day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

	return (int64_t) era * 146097 + day_of_era - 719468;
}

int64_t
time_of_date(int year, int month, int day)
{
	return days_of_date(year, month, day) * 86400;
}

static int
days_in_month(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool		leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return month == 2 && leap ? 29 : days[month - 1];
}

bool
time_parse_zone(const char *text, size_t len, int32_t *seconds)
{
	int			hours;
	int			minutes = 0;

	if ((len == 1 && (*text == 'Z' || *text == 'z')) ||
		(len == 3 && memcmp(text, "UTC", 3) == 0))
	{
		*seconds = 0;
		return true;
	}
	if (len < 3 || (*text != '+' && *text != '-'))
		return false;
	hours = digits(text + 1, 2);
	if (len == 5)
		minutes = digits(text + 3, 2);
	else if (len == 6 && text[3] == ':')
		minutes = digits(text + 4, 2);
	else if (len != 3)
		return false;
	if (hours < 0 || hours > ZONE_HOURS_MAX || minutes < 0 || minutes > 59)
		return false;
	*seconds = (hours * 60 + minutes) * 60;
	if (*text == '-')
		*seconds = -*seconds;
	return true;
}

bool
time_parse(const char *text, size_t len, int32_t zone_seconds, int64_t *us)
{
	const char *p = text;
	const char *end = text + len;
	int			year,
				month,
				day,
				hour,
				minute,
				second;
	int64_t		micros = 0;
	int64_t		minutes_utc;
	int64_t		seconds_utc;

	/* 2025-01-15T14:32:18 */
	if (len < 19 || p[4] != '-' || p[7] != '-' || p[13] != ':' || p[16] != ':' ||
		(p[10] != 'T' && p[10] != 't' && p[10] != ' '))
		return false;
	year = digits(p, 4);
	month = digits(p + 5, 2);
	day = digits(p + 8, 2);
	hour = digits(p + 11, 2);
	minute = digits(p + 14, 2);
	second = digits(p + 17, 2);
	p += 19;
	if (year < 1 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) ||
		hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60)
		return false;

	if (p < end && *p == '.')
	{
		const char *first = ++p;
		int64_t		scale = 100000;

		for (; p < end && (unsigned char) (*p - '0') <= 9; p++, scale /= 10)
			micros += (*p - '0') * scale;
		if (p == first)
			return false;
	}

	if (end - p == 1 && *p == 'Z')
		zone_seconds = 0;
	else if (p < end)
	{
		/* A name is for the configuration only. */
		if (*p == 'U' || !time_parse_zone(p, (size_t) (end - p), &zone_seconds))
			return false;
	}
	else if (zone_seconds == TIME_NO_ZONE)
		return false;

	seconds_utc = time_of_date(year, month, day) + hour * 3600 + minute * 60 - zone_seconds;
	minutes_utc = seconds_utc / 60;
	if (second == 60 && (minutes_utc + 1) % 1440 != 0)
		return false;
	*us = (seconds_utc + second) * 1000000 + micros;
	return true;
}
