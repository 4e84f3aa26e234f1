/*
 * vin.c
 *	  Vehicle identification numbers, ISO 3779 and ISO 3780.
 */
#include "postgres.h"

#include "types/vin.h"

/* Value of a character for the check digit, 49 CFR 565.15; -1: not in the alphabet. */
static int
transliterate(char c)
{
	static const char letters[] = "ABCDEFGH.JKLMN.P.R.STUVWXYZ";
	static const int values[] = {1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 2, 3, 4, 5, 0, 7, 0, 9, 0, 2, 3, 4, 5, 6, 7, 8, 9};
	const char *at;

	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'z')
		c -= 'a' - 'A';
	if (c < 'A' || c > 'Z' || (at = strchr(letters, c)) == NULL)
		return -1;
	return values[at - letters];
}

bool
vin_looks_valid(const char *s, int len)
{
	static const int weights[VIN_LENGTH] = {8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2};
	int			sum = 0;

	if (len != VIN_LENGTH)
		return false;
	for (int i = 0; i < VIN_LENGTH; i++)
	{
		int			value = transliterate(s[i]);

		if (value < 0)
			return false;
		sum += value * weights[i];
	}
	sum %= 11;
	return sum == 10 ? s[8] == 'X' || s[8] == 'x' : s[8] == '0' + sum;
}
