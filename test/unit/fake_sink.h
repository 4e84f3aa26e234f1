/*
 * fake_sink.h
 *	  The sink of a test: rows wait until the test decides them.
 */
#ifndef TEST_FAKE_SINK_H
#define TEST_FAKE_SINK_H

#include <stdlib.h>

#include "sink.h"

#define ROWS_MAX 20000

struct SinkOwner
{
	const SinkOwnerOps *ops;
	void	   *arg;
};

static struct
{
	SinkOwner  *owner;
	uint64_t	seq;
}			rows[ROWS_MAX];
static size_t nrows;
static size_t room = SIZE_MAX / 2;
static bool full;
static void (*ready) (void *arg);
static void *ready_arg;

SinkOwner *
sink_owner_new(const SinkOwnerOps *ops, void *arg)
{
	SinkOwner  *owner = malloc(sizeof(*owner));

	owner->ops = ops;
	owner->arg = arg;
	return owner;
}

void
sink_owner_free(SinkOwner *owner)
{
	for (size_t i = 0; i < nrows; i++)
		if (rows[i].owner == owner)
			rows[i].owner = NULL;
	free(owner);
}

SinkStatus
sink_submit(SinkOwner *owner, uint64_t seq, int32_t source_id, const Record *record)
{
	(void) record;
	if (nrows == ROWS_MAX || source_id != 7)
		return SINK_FULL;
	rows[nrows].owner = owner;
	rows[nrows++].seq = seq;
	return SINK_OK;
}

bool
sink_full(void)
{
	return full;
}

size_t
sink_room(void)
{
	return room;
}

size_t
sink_pending(void)
{
	return nrows;
}

static bool waited;				/* sink_wait was called */

void
sink_wait(void)
{
	waited = true;
}

bool
sink_up(void)
{
	return true;
}

bool
sink_was_up(void)
{
	return true;
}

void
sink_on_ready(void (*hook) (void *arg), void *arg)
{
	ready = hook;
	ready_arg = arg;
}

/* Row i is committed. */
static void
decide(size_t i, SinkVerdict verdict, const char *code, const char *field)
{
	SinkOutcome outcome = {rows[i].seq, verdict, code, field};

	if (rows[i].owner != NULL)
		rows[i].owner->ops->decided(rows[i].owner->arg, &outcome);
}

static void
settle(size_t i)
{
	if (rows[i].owner != NULL)
		rows[i].owner->ops->settled(rows[i].owner->arg);
}

static void
commit_all(void)
{
	for (size_t i = 0; i < nrows; i++)
		decide(i, SINK_ACCEPTED, "", "");
	for (size_t i = 0; i < nrows; i++)
		settle(i);
	nrows = 0;
}

#endif							/* TEST_FAKE_SINK_H */
