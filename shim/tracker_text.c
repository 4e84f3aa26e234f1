/*
 * tracker_text.c
 *	  Fields, angles, dates and digits of tracker protocols.
 */
#include "tracker_text.h"

#include <string.h>

#include "time_parse.h"
#include "vin.h"

#define NUMBER_MAX_DIGITS 18	/* of a whole number or fraction: fits 64 bits */

bool
tracker_field(Str *rest, char separator, Str *field)
{
	const char *end;

	if (rest->data == NULL)
		return false;
	field->data = rest->data;
	end = rest->len > 0 ? memchr(rest->data, separator, rest->len) : NULL;
	if (end == NULL)
	{
		field->len = rest->len;
		*rest = (Str) {NULL, 0};
		return true;
	}
	field->len = (uint32_t) (end - rest->data);
	rest->data = end + 1;
	rest->len -= field->len + 1;
	return true;
}

static inline bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool
tracker_digits(const char *text, size_t count, int *value)
{
	int			sum = 0;

	if (count > 9)
		return false;
	for (size_t i = 0; i < count; i++)
	{
		if (!is_digit(text[i]))
			return false;
		sum = sum * 10 + (text[i] - '0');
	}
	*value = sum;
	return true;
}

bool
tracker_number(Str text, double *value)
{
	static const double powers[] = {
		1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9,
		1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18
	};
	uint32_t	at = 0;
	bool		negative = false;
	bool		point = false;
	uint64_t	digits = 0;
	uint32_t	count = 0;
	uint32_t	decimals = 0;

	if (at < text.len && (text.data[at] == '-' || text.data[at] == '+'))
		negative = text.data[at++] == '-';
	for (; at < text.len; at++)
	{
		if (text.data[at] == '.' && !point)
		{
			point = true;
			continue;
		}
		if (!is_digit(text.data[at]))
			return false;
		if (count == NUMBER_MAX_DIGITS)
		{
			/* More decimals than a double can tell apart are cut. */
			if (point)
				continue;
			return false;
		}
		digits = digits * 10 + (uint64_t) (text.data[at] - '0');
		count++;
		decimals += point;
	}
	if (count == 0)
		return false;
	*value = (double) digits / powers[decimals];
	if (negative)
		*value = -*value;
	return true;
}

bool
tracker_hex(Str text, uint64_t *value)
{
	uint64_t	sum = 0;

	if (text.len < 1 || text.len > 16)
		return false;
	for (uint32_t i = 0; i < text.len; i++)
	{
		char		c = text.data[i];
		int			nibble;

		if (is_digit(c))
			nibble = c - '0';
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			nibble = (c | 0x20) - 'a' + 10;
		else
			return false;
		sum = sum << 4 | (uint64_t) nibble;
	}
	*value = sum;
	return true;
}

bool
tracker_angle(Str text, char hemisphere, double *degrees)
{
	bool		negative = text.len > 0 && text.data[0] == '-';
	Str			minutes;
	const char *point;
	uint32_t	whole;
	int			degree = 0;
	double		minute;
	double		limit;

	if (hemisphere == 'N' || hemisphere == 'S')
		limit = 90;
	else if (hemisphere == 'E' || hemisphere == 'W')
		limit = 180;
	else
		return false;
	if (negative)
	{
		text.data++;
		text.len--;
	}
	point = text.len > 0 ? memchr(text.data, '.', text.len) : NULL;
	whole = point != NULL ? (uint32_t) (point - text.data) : text.len;
	if (whole < 1 || whole > 5)
		return false;
	minutes = text;
	if (whole > 2)
	{
		if (!tracker_digits(text.data, whole - 2, &degree))
			return false;
		minutes.data += whole - 2;
		minutes.len -= whole - 2;
	}
	if (!is_digit(minutes.data[0]) || !tracker_number(minutes, &minute))
		return false;
	minute = degree + minute / 60;
	if (minute > limit)
		return false;
	*degrees = negative != (hemisphere == 'S' || hemisphere == 'W') ? -minute : minute;
	return true;
}

bool
tracker_time(int year, int month, int day, int hour, int minute, int second, int64_t *us)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int			last;

	if (year >= 0 && year < 100)
		year += year < 70 ? 2000 : 1900;
	if (year < 1970 || year > 9999 || month < 1 || month > 12 || day < 1 ||
		hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59)
		return false;
	last = days[month - 1];
	if (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0))
		last = 29;
	if (day > last)
		return false;
	*us = (time_of_date(year, month, day) + hour * 3600 + minute * 60 + second) * INT64_C(1000000);
	return true;
}

/* hhmmss, and what follows a point. */
static bool
time_of_day(Str text, int *hour, int *minute, int *second, int64_t *fraction_us)
{
	double		fraction = 0;

	if (text.len < 6 || !tracker_digits(text.data, 2, hour) ||
		!tracker_digits(text.data + 2, 2, minute) || !tracker_digits(text.data + 4, 2, second))
		return false;
	if (text.len > 6 && (text.data[6] != '.' ||
						 (text.len > 7 && !tracker_number((Str) {text.data + 6, text.len - 6}, &fraction))))
		return false;
	*fraction_us = (int64_t) (fraction * 1e6 + 0.5);
	return true;
}

static bool
time_of_texts(Str time, Str date, bool year_first, int64_t *us)
{
	int			part[3];
	int			hour,
				minute,
				second;
	int64_t		fraction_us;

	if (date.len != 6 || !time_of_day(time, &hour, &minute, &second, &fraction_us))
		return false;
	for (int i = 0; i < 3; i++)
		if (!tracker_digits(date.data + 2 * i, 2, &part[i]))
			return false;
	if (!tracker_time(part[year_first ? 0 : 2], part[1], part[year_first ? 2 : 0],
					  hour, minute, second, us))
		return false;
	*us += fraction_us;
	return true;
}

bool
tracker_time_ddmmyy(Str hhmmss, Str ddmmyy, int64_t *us)
{
	return time_of_texts(hhmmss, ddmmyy, false, us);
}

bool
tracker_time_yymmdd(Str hhmmss, Str yymmdd, int64_t *us)
{
	return time_of_texts(hhmmss, yymmdd, true, us);
}

bool
tracker_time_digits(Str digits, int64_t *us)
{
	size_t		year_digits = digits.len == 14 ? 4 : 2;
	int			year;
	int			part[5];

	if ((digits.len != 14 && digits.len != 12) || !tracker_digits(digits.data, year_digits, &year))
		return false;
	for (int i = 0; i < 5; i++)
		if (!tracker_digits(digits.data + year_digits + 2 * i, 2, &part[i]))
			return false;
	/* Four digits say what they mean: 0020 is no 2020. */
	if (year_digits == 4 && year < 100)
		return false;
	return tracker_time(year, part[0], part[1], part[2], part[3], part[4], us);
}

bool
tracker_bcd(const void *bytes, size_t n, char *out)
{
	const unsigned char *p = bytes;

	for (size_t i = 0; i < n; i++)
		if (p[i] >> 4 > 9 || (p[i] & 15) > 9)
			return false;
	tracker_to_hex(bytes, n, out);
	out[2 * n] = '\0';
	return true;
}

void
tracker_to_hex(const void *bytes, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *p = bytes;

	for (size_t i = 0; i < n; i++)
	{
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	/* Nobody would find a VIN in these digits any more. */
	for (size_t at = 0; (at = vin_find(bytes, n, at, VIN_IN_BYTES)) < n; at += VIN_LENGTH)
		for (size_t i = at; i < at + VIN_LENGTH; i++)
			memcpy(out + 2 * i, "58", 2);	/* X */
}
