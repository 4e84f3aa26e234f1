/*
 * ledger.c
 *	  The lists of what was sent and what was acknowledged.
 */
#include "ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define FLUSH_ABOVE (64 * 1024)

struct Ledger
{
	int			fd;				/* -1: only count */
	Buffer		pending;
	LedgerCounts counts;
};

Ledger *
ledger_open(const char *path)
{
	Ledger	   *l = xcalloc(1, sizeof(*l));

	l->fd = -1;
	if (path)
	{
		l->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
		if (l->fd < 0)
			die("cannot open ledger \"%s\": %s", path, strerror(errno));
		buffer_printf(&l->pending, "fleetsim-ledger 1 %lld\n", (long long) wall_us());
	}
	return l;
}

void
ledger_flush(Ledger *l)
{
	size_t		done = 0;

	while (done < l->pending.len)
	{
		ssize_t		n = write(l->fd, l->pending.data + done, l->pending.len - done);

		if (n < 0 && errno != EINTR)
			die("cannot write the ledger: %s", strerror(errno));
		if (n > 0)
			done += n;
	}
	l->pending.len = 0;
}

/* Sent is always written before acked of the same line: both go through one buffer. */
static void
flush_when_large(Ledger *l)
{
	if (l->pending.len > FLUSH_ABOVE)
		ledger_flush(l);
}

uint64_t
ledger_sent(Ledger *l, const char *device, int64_t time_us, uint64_t content,
			const char *line, size_t len)
{
	uint64_t	id = l->counts.sent++;

	if (l->fd >= 0)
	{
		buffer_printf(&l->pending, "S %llu ", (unsigned long long) id);
		/* A space would end the field. */
		for (const char *p = device && *device ? device : "-"; *p; p++)
			buffer_add_char(&l->pending, *p == ' ' ? '_' : *p);
		if (time_us == MESSAGE_NO_TIME)
			buffer_add_string(&l->pending, " -");
		else
			buffer_printf(&l->pending, " %lld", (long long) time_us);
		buffer_printf(&l->pending, " %llx %llx\n", (unsigned long long) content,
					  (unsigned long long) hash_bytes(HASH_START, line, len));
		flush_when_large(l);
	}
	return id;
}

void
ledger_acked(Ledger *l, uint64_t id)
{
	l->counts.acked++;
	if (l->fd >= 0)
	{
		buffer_printf(&l->pending, "A %llu\n", (unsigned long long) id);
		flush_when_large(l);
	}
}

void
ledger_taken(Ledger *l, uint64_t id)
{
	l->counts.acked++;
	if (l->fd >= 0)
	{
		buffer_printf(&l->pending, "T %llu\n", (unsigned long long) id);
		flush_when_large(l);
	}
}

void
ledger_rejected(Ledger *l, uint64_t id, const char *code, const char *field)
{
	l->counts.rejected++;
	if (l->fd >= 0)
	{
		buffer_printf(&l->pending, "R %llu %s %s\n", (unsigned long long) id, code, field && *field ? field : "-");
		flush_when_large(l);
	}
}

LedgerCounts
ledger_counts(const Ledger *l)
{
	return l->counts;
}

void
ledger_close(Ledger *l)
{
	if (l->fd >= 0)
	{
		ledger_flush(l);
		close(l->fd);
	}
	buffer_free(&l->pending);
	free(l);
}
