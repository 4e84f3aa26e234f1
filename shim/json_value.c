/*
 * json_value.c
 *	  Numbers, UTF-8 and the grammar of JSON, as strict as RFC 8259.
 */
#define _GNU_SOURCE				/* strtod_l */
#include "json_value.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "json_decode.h"

#define LONG_INTEGER 18			/* digits that an int64 surely holds */
#define NUMBER_STACK 128		/* bytes of a number copied without malloc */

static inline bool
is_digit(char c)
{
	return (unsigned char) (c - '0') <= 9;
}

bool
json_number_text(Str number, char *out, size_t size, uint32_t *len)
{
	const char *p = number.data;
	const char *end = p + number.len;
	const char *whole;			/* digits before the point */
	size_t		nwhole;
	const char *fraction = "";	/* and behind */
	size_t		nfraction = 0;
	long		exponent = 0;
	long		decimals;
	long		point;			/* digits before the point, once shifted */
	bool		negative = false;
	bool		zero = true;
	size_t		n = 0;

	if (*p == '-')
	{
		negative = true;
		p++;
	}
	whole = p;
	while (p < end && is_digit(*p))
		zero &= *p++ == '0';
	nwhole = (size_t) (p - whole);
	if (p < end && *p == '.')
	{
		fraction = ++p;
		while (p < end && is_digit(*p))
			zero &= *p++ == '0';
		nfraction = (size_t) (p - fraction);
	}
	if (p < end)
	{
		/* An exponent beyond this is beyond any size, too. */
		bool		minus = p[1] == '-';

		for (p += p[1] == '-' || p[1] == '+' ? 2 : 1; p < end; p++)
			exponent = exponent > 1000000 ? exponent : exponent * 10 + (*p - '0');
		if (minus)
			exponent = -exponent;
	}

	decimals = (long) nfraction - exponent;
	if (decimals < 0)
		decimals = 0;
	point = zero ? 0 : (long) nwhole + exponent;
	if ((size_t) (point > 1 ? point : 1) + (size_t) decimals + 2 > size)
		return false;
	if (negative && !zero)
		out[n++] = '-';

	/* Digit i counts from the first of whole; out of both parts it is a 0. */
#define DIGIT(i) ((i) < 0 ? '0' : (size_t) (i) < nwhole ? whole[i] : \
				  (size_t) (i) - nwhole < nfraction ? fraction[(size_t) (i) - nwhole] : '0')
	if (zero)
	{
		out[n++] = '0';
		point = (long) (nwhole + nfraction);	/* zeros all the way */
	}
	else
	{
		long		i = 0;

		/* 0.0012e3: leading zeros end up before the point. */
		while (i < point - 1 && DIGIT(i) == '0')
			i++;
		if (point <= 0)
			out[n++] = '0';
		for (; i < point; i++)
			out[n++] = DIGIT(i);
	}
	if (decimals > 0)
	{
		out[n++] = '.';
		for (long i = point; i < point + decimals; i++)
			out[n++] = DIGIT(i);
	}
#undef DIGIT
	*len = (uint32_t) n;
	return true;
}

double
json_number_value(Str number)
{
	static locale_t c_locale;
	char		stack[NUMBER_STACK];
	char	   *copy = stack;
	double		value;

	/* A decimal comma of the environment must not matter. */
	if (c_locale == NULL)
		c_locale = newlocale(LC_ALL_MASK, "C", NULL);
	if (number.len >= NUMBER_STACK)
	{
		copy = malloc((size_t) number.len + 1);
		if (copy == NULL)
			return HUGE_VAL;
	}
	memcpy(copy, number.data, number.len);
	copy[number.len] = '\0';
	value = c_locale != NULL ? strtod_l(copy, NULL, c_locale) : strtod(copy, NULL);
	if (copy != stack)
		free(copy);
	return value;
}

/* Behind the number that begins at p, NULL when none does. */
static const char *
skip_number(const char *p, const char *end, bool *long_integer)
{
	const char *first;
	bool		integer = true;

	if (p < end && *p == '-')
		p++;
	first = p;
	if (p == end || !is_digit(*p))
		return NULL;
	if (*p++ != '0')
		while (p < end && is_digit(*p))
			p++;
	*long_integer = p - first > LONG_INTEGER;
	if (p < end && *p == '.')
	{
		integer = false;
		if (++p == end || !is_digit(*p))
			return NULL;
		while (p < end && is_digit(*p))
			p++;
	}
	if (p < end && (*p == 'e' || *p == 'E'))
	{
		integer = false;
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		if (p == end || !is_digit(*p))
			return NULL;
		while (p < end && is_digit(*p))
			p++;
	}
	*long_integer &= integer;
	return p;
}

bool
json_is_number(const char *text, size_t len)
{
	bool		long_integer;

	return skip_number(text, text + len, &long_integer) == text + len && len > 0;
}

/* Length of the well-formed UTF-8 sequence at p, 0 when it is none. */
static size_t
utf8_sequence(const unsigned char *p, const unsigned char *end)
{
	size_t		room = (size_t) (end - p);
	unsigned char low = 0x80;
	unsigned char high = 0xBF;
	size_t		n;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xC2)
		return 0;				/* a continuation, or an overlong form */
	if (p[0] < 0xE0)
		n = 2;
	else if (p[0] < 0xF0)
	{
		n = 3;
		if (p[0] == 0xE0)
			low = 0xA0;
		else if (p[0] == 0xED)
			high = 0x9F;		/* surrogates */
	}
	else if (p[0] < 0xF5)
	{
		n = 4;
		if (p[0] == 0xF0)
			low = 0x90;
		else if (p[0] == 0xF4)
			high = 0x8F;
	}
	else
		return 0;
	if (n > room || p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if (p[i] < 0x80 || p[i] > 0xBF)
			return 0;
	return n;
}

bool
json_utf8_valid(const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *) text;
	const unsigned char *end;

	/* An empty text may have no address. */
	if (len == 0)
		return true;
	for (end = p + len; p < end;)
	{
		size_t		n = utf8_sequence(p, end);

		if (n == 0)
			return false;
		p += n;
	}
	return true;
}

/* Four hexadecimal digits; -1 when they are not. */
static int
hex4(const char *p, const char *end)
{
	int			value = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++)
	{
		char		c = p[i];

		if (is_digit(c))
			value = value * 16 + (c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			value = value * 16 + ((c | 0x20) - 'a' + 10);
		else
			return -1;
	}
	return value;
}

/* Behind the string whose opening quote is at p, NULL when it is none. */
static const char *
skip_string(const char *p, const char *end)
{
	for (p++; p < end;)
	{
		unsigned char c = (unsigned char) *p;

		if (c == '"')
			return p + 1;
		if (c < 0x20)
			return NULL;
		if (c == '\\')
		{
			int			unit;

			if (++p == end)
				return NULL;
			if (*p != 'u')
			{
				if (*p == '\0' || strchr("\"\\/bfnrt", *p) == NULL)
					return NULL;
				p++;
				continue;
			}
			unit = hex4(p + 1, end);
			p += 5;
			if (unit <= 0 || (unit >= 0xDC00 && unit <= 0xDFFF))
				return NULL;
			if (unit >= 0xD800 && unit <= 0xDBFF)
			{
				if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
					return NULL;
				unit = hex4(p + 2, end);
				if (unit < 0xDC00 || unit > 0xDFFF)
					return NULL;
				p += 6;
			}
			continue;
		}
		if (c < 0x80)
			p++;
		else
		{
			size_t		n = utf8_sequence((const unsigned char *) p, (const unsigned char *) end);

			if (n == 0)
				return NULL;
			p += n;
		}
	}
	return NULL;
}

const char *
json_skip_space(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
		p++;
	return p;
}

/* Behind the value at p, NULL when there is none; long integers are counted. */
static const char *
skip_value(const char *p, const char *end, int depth, size_t *long_integers)
{
	bool		long_integer;

	p = json_skip_space(p, end);
	if (p == end)
		return NULL;
	switch (*p)
	{
		case '"':
			return skip_string(p, end);
		case 't':
			return end - p >= 4 && memcmp(p, "true", 4) == 0 ? p + 4 : NULL;
		case 'f':
			return end - p >= 5 && memcmp(p, "false", 5) == 0 ? p + 5 : NULL;
		case 'n':
			return end - p >= 4 && memcmp(p, "null", 4) == 0 ? p + 4 : NULL;
		case '{':
		case '[':
			{
				bool		object = *p == '{';
				char		close = object ? '}' : ']';

				if (depth == JSON_DEPTH_MAX)
					return NULL;
				p = json_skip_space(p + 1, end);
				if (p < end && *p == close)
					return p + 1;
				for (;;)
				{
					if (object)
					{
						p = json_skip_space(p, end);
						if (p == end || *p != '"' || (p = skip_string(p, end)) == NULL)
							return NULL;
						p = json_skip_space(p, end);
						if (p == end || *p++ != ':')
							return NULL;
					}
					p = skip_value(p, end, depth + 1, long_integers);
					if (p == NULL)
						return NULL;
					p = json_skip_space(p, end);
					if (p == end)
						return NULL;
					if (*p == close)
						return p + 1;
					if (*p++ != ',')
						return NULL;
				}
			}
		default:
			p = skip_number(p, end, &long_integer);
			if (p != NULL && long_integer)
				++*long_integers;
			return p;
	}
}

bool
json_check(const char *text, size_t len, size_t *long_integers)
{
	const char *end = text + len;
	const char *p;

	*long_integers = 0;
	p = skip_value(text, end, 0, long_integers);
	return p != NULL && json_skip_space(p, end) == end;
}

const char *
json_skip_value(const char *p, const char *end)
{
	size_t		long_integers = 0;

	return skip_value(p, end, 0, &long_integers);
}

size_t
json_spell_integers(const char *text, size_t len, char *out)
{
	const char *p = text;
	const char *end = text + len;
	char	   *o = out;

	while (p < end)
	{
		const char *next = p + 1;
		bool		long_integer = false;

		if (*p == '"')
			next = skip_string(p, end);
		else if (*p == '-' || is_digit(*p))
			next = skip_number(p, end, &long_integer);
		memcpy(o, p, (size_t) (next - p));
		o += next - p;
		if (long_integer)
		{
			memcpy(o, "e0", 2);
			o += 2;
		}
		p = next;
	}
	return (size_t) (o - out);
}
