/*
 * outbox.h
 *	  Lines on their way to the daemon, kept until they are acknowledged.
 *
 *	  bytes:  | acknowledged, free | sent, not acknowledged | not sent yet |
 *			  0				   head_offset			   sent_offset		  len
 */
#ifndef SIM_OUTBOX_H
#define SIM_OUTBOX_H

#include "util.h"

typedef struct OutboxEntry
{
	uint64_t	id;				/* the sender's name for the line */
	uint32_t	len;			/* with its newline */
} OutboxEntry;

typedef struct Outbox
{
	Buffer		bytes;
	size_t		head_offset;
	size_t		sent_offset;
	OutboxEntry *entries;		/* oldest first, from `head` to `count` */
	size_t		head;
	size_t		count;
	size_t		size;
} Outbox;

extern void outbox_add(Outbox *o, uint64_t id, const char *line, size_t len);
/* Takes the oldest entry out and returns its id; there must be one. */
extern uint64_t outbox_take(Outbox *o);
/* After a lost connection: everything counts as not sent. */
extern void outbox_rewind(Outbox *o);
extern void outbox_free(Outbox *o);

static inline size_t
outbox_entries(const Outbox *o)
{
	return o->count - o->head;
}

static inline size_t
outbox_held_bytes(const Outbox *o)
{
	return o->bytes.len - o->head_offset;
}

static inline size_t
outbox_unsent_bytes(const Outbox *o)
{
	return o->bytes.len - o->sent_offset;
}

#endif							/* SIM_OUTBOX_H */
