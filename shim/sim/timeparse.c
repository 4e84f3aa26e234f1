/*
 * timeparse.c
 *	  Times as recorded tracks write them.
 *
 * strptime() is not used: it takes 99 seconds or the 31st of February, and
 * knows no fractions; a date that is none must be seen as none.
 */
#include "timeparse.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define EPOCH_SECONDS_BELOW 1e11
#define EPOCH_MS_BELOW 1e14
#define NO_OFFSET INT32_MIN

static bool zone_is_fixed = true;
static int32_t zone_offset_s;	/* east of UTC */

typedef struct Clock
{
	int			year,
				month,
				day,
				hour,
				minute,
				second;
	int			fraction_us;
	int32_t		offset_s;		/* NO_OFFSET: local */
	int			afternoon;		/* of a 12-hour clock; -1: not given */
} Clock;

/* Exactly or up to `digits` digits. */
static bool
take_number(const char **p, int digits, bool exact, int *value)
{
	int			n = 0;

	*value = 0;
	while (n < digits && isdigit((unsigned char) **p))
	{
		*value = *value * 10 + (*(*p)++ - '0');
		n++;
	}
	return exact ? n == digits : n > 0;
}

static void
take_fraction(const char **p, int *us)
{
	int			scale = 100000;

	*us = 0;
	if (**p != '.' && **p != ',')
		return;
	for ((*p)++; isdigit((unsigned char) **p); (*p)++, scale /= 10)
		*us += (**p - '0') * scale;
}

/* Z, +HH, +HHMM, +HH:MM */
static bool
take_offset(const char **p, int32_t *offset_s)
{
	int			sign = **p == '-' ? -1 : 1;
	int			hours,
				minutes = 0;

	if (**p == 'Z' || **p == 'z')
	{
		(*p)++;
		*offset_s = 0;
		return true;
	}
	if (**p != '+' && **p != '-')
		return false;
	(*p)++;
	if (!take_number(p, 2, true, &hours))
		return false;
	if (**p == ':')
		(*p)++;
	if (isdigit((unsigned char) **p) && !take_number(p, 2, true, &minutes))
		return false;
	*offset_s = sign * (hours * 3600 + minutes * 60);
	return hours < 16 && minutes < 60;
}

void
time_set_zone(const char *zone)
{
	const char *p = zone;
	char		path[256];

	zone_is_fixed = true;
	if (strcasecmp(zone, "UTC") == 0)
		zone_offset_s = 0;
	else if (!(take_offset(&p, &zone_offset_s) && *p == '\0'))
	{
		snprintf(path, sizeof(path), "/usr/share/zoneinfo/%s", zone);
		if (*zone == '/' || strstr(zone, "..") || access(path, R_OK) != 0)
			die("--time-zone: no time zone \"%s\"; expected is a name such as Europe/Berlin, or +05:30", zone);
		setenv("TZ", zone, 1);
		tzset();
		zone_is_fixed = false;
	}
}

/* Days from 1970-01-01 of a date of the Gregorian calendar. */
static int64_t
days_from_date(int64_t year, int month, int day)
{
	/* Years begin in March here, so that the leap day is the last of a year. */
	int64_t		y = month > 2 ? year : year - 1;
	int64_t		era = (y >= 0 ? y : y - 399) / 400;
	int64_t		year_of_era = y - era * 400;
	int64_t		day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

static bool
clock_is_valid(const Clock *c)
{
	static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool		leap = (c->year % 4 == 0 && c->year % 100 != 0) || c->year % 400 == 0;

	if (c->month < 1 || c->month > 12 || c->day < 1)
		return false;
	if (c->day > month_days[c->month - 1] + (c->month == 2 && leap))
		return false;
	/* 23:59:60 is a leap second */
	return c->hour < 24 && c->minute < 60 && c->second <= 60;
}

static bool
clock_to_us(Clock *c, int64_t *time_us)
{
	int64_t		seconds;

	if (c->afternoon >= 0)
	{
		if (c->hour < 1 || c->hour > 12)
			return false;
		c->hour = c->hour % 12 + 12 * c->afternoon;
	}
	if (!clock_is_valid(c))
		return false;
	if (c->offset_s == NO_OFFSET && !zone_is_fixed)
	{
		struct tm	tm = {
			.tm_year = c->year - 1900, .tm_mon = c->month - 1, .tm_mday = c->day,
			.tm_hour = c->hour, .tm_min = c->minute, .tm_sec = c->second, .tm_isdst = -1
		};

		seconds = mktime(&tm);
	}
	else
		seconds = days_from_date(c->year, c->month, c->day) * 86400 +
			c->hour * 3600 + c->minute * 60 + c->second -
			(c->offset_s == NO_OFFSET ? zone_offset_s : c->offset_s);
	*time_us = seconds * US_PER_S + c->fraction_us;
	return true;
}

/* HH:MM[:SS[.fraction]][ ][offset] up to the end of the text */
static bool
parse_time_of_day(const char *p, Clock *c)
{
	if (!take_number(&p, 2, false, &c->hour) || *p++ != ':' || !take_number(&p, 2, true, &c->minute))
		return false;
	if (*p == ':')
	{
		p++;
		if (!take_number(&p, 2, true, &c->second))
			return false;
		take_fraction(&p, &c->fraction_us);
	}
	while (*p == ' ')
		p++;
	if (*p && !take_offset(&p, &c->offset_s))
		return false;
	return *p == '\0';
}

static bool
parse_iso(const char *text, Clock *c)
{
	const char *p = text;

	if (!take_number(&p, 4, true, &c->year) || *p++ != '-' ||
		!take_number(&p, 2, true, &c->month) || *p++ != '-' ||
		!take_number(&p, 2, true, &c->day))
		return false;
	if (*p != 'T' && *p != 't' && *p != ' ')
		return false;
	return parse_time_of_day(p + 1, c);
}

/* 3/29/2021 11:13:45, the American order */
static bool
parse_slashes(const char *text, Clock *c)
{
	const char *p = text;

	if (!take_number(&p, 2, false, &c->month) || *p++ != '/' ||
		!take_number(&p, 2, false, &c->day) || *p++ != '/' ||
		!take_number(&p, 4, true, &c->year) || *p++ != ' ')
		return false;
	return parse_time_of_day(p, c);
}

static bool
parse_epoch(const char *text, double unit, int64_t *time_us)
{
	char	   *end;
	double		value;

	if (!isdigit((unsigned char) *text) && *text != '-')
		return false;
	value = strtod(text, &end);
	if (*end || !isfinite(value) || strpbrk(text, "xX"))
		return false;
	if (unit == 0)
		unit = fabs(value) < EPOCH_SECONDS_BELOW ? 1e6 : fabs(value) < EPOCH_MS_BELOW ? 1e3 : 1;
	if (fabs(value * unit) > 2.5e17)	/* year 9892 */
		return false;
	*time_us = llround(value * unit);
	return true;
}

static bool
take_month_name(const char **p, int *month)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

	for (int i = 0; i < 12; i++)
		if (strncasecmp(*p, names + 3 * i, 3) == 0)
		{
			*p += 3;
			*month = i + 1;
			return true;
		}
	return false;
}

static bool
parse_pattern(const char *p, const char *format, Clock *c)
{
	for (; *format; format++)
	{
		bool		ok = true;

		if (*format != '%')
		{
			if (*p++ != *format)
				return false;
			continue;
		}
		switch (*++format)
		{
			case 'Y':
				ok = take_number(&p, 4, true, &c->year);
				break;
			case 'y':
				ok = take_number(&p, 2, true, &c->year);
				c->year += c->year < 70 ? 2000 : 1900;
				break;
			case 'm':
				ok = take_number(&p, 2, false, &c->month);
				break;
			case 'b':
				ok = take_month_name(&p, &c->month);
				break;
			case 'd':
				ok = take_number(&p, 2, false, &c->day);
				break;
			case 'H':
			case 'I':
				ok = take_number(&p, 2, false, &c->hour);
				break;
			case 'M':
				ok = take_number(&p, 2, false, &c->minute);
				break;
			case 'S':
				ok = take_number(&p, 2, false, &c->second);
				take_fraction(&p, &c->fraction_us);
				break;
			case 'p':
				ok = (tolower((unsigned char) *p) == 'a' || tolower((unsigned char) *p) == 'p') &&
					tolower((unsigned char) p[1]) == 'm';
				if (ok)
				{
					c->afternoon = tolower((unsigned char) *p) == 'p';
					p += 2;
				}
				break;
			case 'z':
				ok = take_offset(&p, &c->offset_s);
				break;
			default:
				die("--time-format: %%%c is not known", *format ? *format : '%');
		}
		if (!ok)
			return false;
	}
	return *p == '\0';
}

bool
time_parse(const char *text, const char *format, int64_t *time_us)
{
	Clock		c = {.offset_s = NO_OFFSET, .afternoon = -1, .month = 1, .day = 1};

	if (!format)
	{
		if (parse_epoch(text, 0, time_us))
			return true;
		if (!parse_iso(text, &c))
		{
			c = (Clock) {.offset_s = NO_OFFSET, .afternoon = -1};
			if (!parse_slashes(text, &c))
				return false;
		}
		return clock_to_us(&c, time_us);
	}
	if (strcmp(format, "s") == 0)
		return parse_epoch(text, 1e6, time_us);
	if (strcmp(format, "ms") == 0)
		return parse_epoch(text, 1e3, time_us);
	if (strcmp(format, "us") == 0)
		return parse_epoch(text, 1, time_us);
	if (strcmp(format, "iso") == 0)
		return parse_iso(text, &c) && clock_to_us(&c, time_us);
	return parse_pattern(text, format, &c) && clock_to_us(&c, time_us);
}
