/*
 * tap.h
 *	  Just enough of the Test Anything Protocol for the unit tests.
 */
#ifndef TEST_TAP_H
#define TEST_TAP_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int	tap_tests;
static int	tap_failures;

#define ok(condition, ...) \
	tap_ok((condition), __FILE__, __LINE__, #condition, __VA_ARGS__)
#define is_int(got, want, ...) \
	tap_is_int((long long) (got), (long long) (want), __FILE__, __LINE__, __VA_ARGS__)
#define is_str(got, want, ...) \
	tap_is_str((got), (want), __FILE__, __LINE__, __VA_ARGS__)

static inline bool
tap_ok(bool passed, const char *file, int line, const char *what, const char *name)
{
	tap_tests++;
	printf("%sok %d - %s\n", passed ? "" : "not ", tap_tests, name);
	if (!passed)
	{
		tap_failures++;
		printf("# %s:%d: %s\n", file, line, what);
	}
	return passed;
}

static inline bool
tap_is_int(long long got, long long want, const char *file, int line, const char *name)
{
	char		what[80];

	snprintf(what, sizeof(what), "got %lld, want %lld", got, want);
	return tap_ok(got == want, file, line, what, name);
}

static inline bool
tap_is_str(const char *got, const char *want, const char *file, int line, const char *name)
{
	char		what[2048];

	snprintf(what, sizeof(what), "got \"%.1000s\", want \"%.1000s\"", got ? got : "(null)", want);
	return tap_ok(got != NULL && strcmp(got, want) == 0, file, line, what, name);
}

/* The last line of main: return tap_done(); */
static inline int
tap_done(void)
{
	printf("1..%d\n", tap_tests);
	return tap_failures > 0;
}

#endif							/* TEST_TAP_H */
