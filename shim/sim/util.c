/*
 * util.c
 *	  Messages, memory, clocks, a byte buffer.
 */
#include "util.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

volatile int stop_requested;

static void
print_message(const char *fmt, va_list args)
{
	fputs("fleetsim: ", stderr);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
}

void
warn(const char *fmt,...)
{
	va_list		args;

	va_start(args, fmt);
	print_message(fmt, args);
	va_end(args);
}

void
die(const char *fmt,...)
{
	va_list		args;

	va_start(args, fmt);
	print_message(fmt, args);
	va_end(args);
	exit(EXIT_USAGE);
}

void *
xmalloc(size_t size)
{
	return xrealloc(NULL, size);
}

void *
xcalloc(size_t count, size_t size)
{
	void	   *p = calloc(count ? count : 1, size ? size : 1);

	if (!p)
		die("out of memory");
	return p;
}

void *
xrealloc(void *p, size_t size)
{
	p = realloc(p, size ? size : 1);
	if (!p)
		die("out of memory");
	return p;
}

char *
xstrdup(const char *s)
{
	size_t		len = strlen(s) + 1;

	return memcpy(xmalloc(len), s, len);
}

static int64_t
clock_us(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * US_PER_S + t.tv_nsec / 1000;
}

int64_t
wall_us(void)
{
	return clock_us(CLOCK_REALTIME);
}

int64_t
monotonic_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

double
option_number(const char *option, const char *text, double min, double max)
{
	char	   *end;
	double		value;

	errno = 0;
	value = strtod(text, &end);
	if (end == text || *end || errno || !isfinite(value))
		die("--%s: \"%s\" is not a number", option, text);
	if (value < min || value > max)
		die("--%s: %s is outside %g to %g", option, text, min, max);
	return value;
}

static void
request_stop(int signo)
{
	(void) signo;
	stop_requested = 1;
}

void
catch_stop_signals(void)
{
	struct sigaction action = {.sa_handler = request_stop};

	/* No SA_RESTART: poll() must come back at once.  A second one kills. */
	action.sa_flags = SA_RESETHAND;
	sigemptyset(&action.sa_mask);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

void
buffer_reserve(Buffer *b, size_t more)
{
	size_t		size = b->size ? b->size : 256;

	while (more > size - b->len)
	{
		if (size > SIZE_MAX / 2)
			die("out of memory");
		size *= 2;
	}
	b->data = xrealloc(b->data, size);
	b->size = size;
}

void
buffer_printf(Buffer *b, const char *fmt,...)
{
	va_list		args;
	int			len;

	buffer_reserve(b, 1);
	va_start(args, fmt);
	len = vsnprintf(b->data + b->len, b->size - b->len, fmt, args);
	va_end(args);
	if ((size_t) len >= b->size - b->len)
	{
		buffer_reserve(b, (size_t) len + 1);
		va_start(args, fmt);
		vsnprintf(b->data + b->len, b->size - b->len, fmt, args);
		va_end(args);
	}
	b->len += len;
}

void
buffer_free(Buffer *b)
{
	free(b->data);
	*b = (Buffer) {0};
}
