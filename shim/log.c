/*
 * log.c
 *	  Log lines as JSON objects on standard error.
 */
#include "log.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "buf.h"
#include "stats.h"
#include "vin.h"

static LogLevel lowest_level = LOG_LEVEL_INFO;
static unsigned lines_per_second = 0;

/* Lines written in the second budget_second: [0] up to info, [1] above. */
static time_t budget_second;
static unsigned budget_used[2];
static unsigned suppressed;

static const char *
level_name(LogLevel level)
{
	switch (level)
	{
		case LOG_LEVEL_DEBUG:
			return "debug";
		case LOG_LEVEL_INFO:
			return "info";
		case LOG_LEVEL_WARNING:
			return "warning";
		case LOG_LEVEL_ERROR:
			return "error";
		case LOG_LEVEL_FATAL:
			return "fatal";
	}
	return "unknown";
}

void
log_configure(LogLevel level, unsigned per_second)
{
	lowest_level = level;
	lines_per_second = per_second;
}

/* Nothing that a device sent should come here; a VIN in it ends here at the latest. */
static bool
add_string(Buf *line, const char *text, size_t len)
{
	Buf			copy = {0};
	bool		ok;

	if (vin_find(text, len, 0, VIN_IN_TEXT) == len)
		return buf_add_json(line, text, len);
	ok = buf_add(&copy, text, len);
	if (ok)
	{
		vin_mask(copy.data + copy.start, len, VIN_IN_TEXT);
		ok = buf_add_json(line, buf_data(&copy), len);
	}
	buf_release(&copy);
	return ok;
}

static void
write_line(const struct timespec *now, LogLevel level, const char *event, const LogField *fields)
{
	Buf			line = {0};
	struct tm	tm;
	char		stamp[40];
	bool		ok;

	gmtime_r(&now->tv_sec, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	ok = buf_printf(&line, "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\",\"event\":\"%s\"",
					stamp, now->tv_nsec / 1000000, level_name(level), event);
	for (; ok && fields->name != NULL; fields++)
	{
		if (fields->kind == LOG_FIELD_STR && fields->str == NULL)
			continue;
		ok = buf_printf(&line, ",\"%s\":", fields->name);
		if (!ok)
			break;
		switch (fields->kind)
		{
			case LOG_FIELD_STR:
				{
					size_t		n = strlen(fields->str);

					/* libpq's messages end with a newline. */
					while (n > 0 && fields->str[n - 1] == '\n')
						n--;
					ok = add_string(&line, fields->str, n);
					break;
				}
			case LOG_FIELD_INT:
				ok = buf_printf(&line, "%lld", (long long) fields->integer);
				break;
			case LOG_FIELD_NUM:
				if (isfinite(fields->number))
					ok = buf_printf(&line, "%.6g", fields->number);
				else
					ok = buf_add(&line, "null", 4);
				break;
		}
	}
	if (ok && buf_add(&line, "}\n", 2))
	{
		/* One write, so that lines of several processes do not mix. */
		ssize_t		written = write(STDERR_FILENO, buf_data(&line), buf_len(&line));

		(void) written;
	}
	buf_release(&line);
}

void
log_write(LogLevel level, const char *event, const LogField *fields)
{
	struct timespec now;
	unsigned	pot = level > LOG_LEVEL_INFO;
	int			saved_errno = errno;

	if (level < lowest_level && level != LOG_LEVEL_FATAL)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	if (now.tv_sec != budget_second)
	{
		budget_second = now.tv_sec;
		budget_used[0] = budget_used[1] = 0;
		if (suppressed > 0)
		{
			unsigned	n = suppressed;

			suppressed = 0;
			write_line(&now, LOG_LEVEL_WARNING, "log_lines_suppressed",
					   (const LogField[]) {log_int("lines", n), {0}});
		}
	}
	if (lines_per_second > 0 && level != LOG_LEVEL_FATAL &&
		budget_used[pot]++ >= lines_per_second)
	{
		suppressed++;
		stats_inc(STAT_LOG_SUPPRESSED);
	}
	else
		write_line(&now, level, event, fields);
	errno = saved_errno;
}
