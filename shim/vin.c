/*
 * vin.c
 *	  Finds vehicle identification numbers in texts and bytes.
 */
#include "vin.h"

#include <stdint.h>
#include <string.h>

/* positions, counted from 0; the standard counts from 1 */
#define WMI_LENGTH 3
#define CHECK_DIGIT 8
#define MODEL_YEAR 9

/* One more than what a character counts for in the sum; 0: not allowed in a VIN. */
static const uint8_t values[256] = {
	['0'] = 1, ['1'] = 2, ['2'] = 3, ['3'] = 4, ['4'] = 5,
	['5'] = 6, ['6'] = 7, ['7'] = 8, ['8'] = 9, ['9'] = 10,
	['A'] = 2, ['B'] = 3, ['C'] = 4, ['D'] = 5, ['E'] = 6, ['F'] = 7, ['G'] = 8, ['H'] = 9,
	['J'] = 2, ['K'] = 3, ['L'] = 4, ['M'] = 5, ['N'] = 6, ['P'] = 8, ['R'] = 10,
	['S'] = 3, ['T'] = 4, ['U'] = 5, ['V'] = 6, ['W'] = 7, ['X'] = 8, ['Y'] = 9, ['Z'] = 10
};

static inline char
to_upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char) (c - ('a' - 'A')) : c;
}

static inline bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool
is_alphanumeric(char c)
{
	return is_digit(c) || (to_upper(c) >= 'A' && to_upper(c) <= 'Z');
}

bool
vin_looks_valid(const char *s)
{
	static const uint8_t weights[VIN_LENGTH] = {8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2};
	char		vin[VIN_LENGTH];
	int			sum = 0;
	bool		letter = false;

	/* What most windows fail first. */
	for (int i = VIN_LENGTH - 4; i < VIN_LENGTH; i++)
		if (!is_digit(s[i]))
			return false;
	for (int i = 0; i < VIN_LENGTH; i++)
	{
		vin[i] = to_upper(s[i]);
		if (values[(unsigned char) vin[i]] == 0)
			return false;
		letter |= !is_digit(vin[i]);
		sum += (values[(unsigned char) vin[i]] - 1) * weights[i];
	}
	if (!letter)
		return false;
	return vin[CHECK_DIGIT] == "0123456789X"[sum % 11] ||
		(vin[0] >= 'S' && vin[0] <= 'Z' && memcmp(vin + WMI_LENGTH, "ZZZ", 3) == 0);
}

/* In the midst of letters and digits: what a real one has besides. */
static bool
stands_out(const char *s)
{
	bool		letter = false;

	for (int i = 0; i < WMI_LENGTH; i++)
		letter |= !is_digit(s[i]);
	return letter && s[MODEL_YEAR] != '0' &&
		to_upper(s[MODEL_YEAR]) != 'U' && to_upper(s[MODEL_YEAR]) != 'Z';
}

size_t
vin_find(const char *data, size_t len, size_t from, VinSearch search)
{
	if (len < VIN_LENGTH)
		return len;
	/* From run to run of letters and digits. */
	for (size_t to; from < len; from = to + 1)
	{
		for (to = from; to < len && is_alphanumeric(data[to]); to++)
			;
		if (to - from == VIN_LENGTH && vin_looks_valid(data + from))
			return from;
		if (search == VIN_IN_TEXT || to - from <= VIN_LENGTH)
			continue;
		for (size_t at = from; to - at >= VIN_LENGTH; at++)
			if (vin_looks_valid(data + at) && stands_out(data + at))
				return at;
	}
	return len;
}

unsigned
vin_mask(char *data, size_t len, VinSearch search)
{
	unsigned	n = 0;

	for (size_t at = 0; (at = vin_find(data, len, at, search)) < len; at += VIN_LENGTH)
	{
		memset(data + at, 'X', VIN_LENGTH);
		n++;
	}
	return n;
}
