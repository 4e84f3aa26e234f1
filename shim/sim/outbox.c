/*
 * outbox.c
 *	  Lines on their way to the daemon, kept until they are acknowledged.
 */
#include "outbox.h"

#include <stdlib.h>

#define COMPACT_ABOVE (256 * 1024)

void
outbox_add(Outbox *o, uint64_t id, const char *line, size_t len)
{
	if (o->count == o->size)
	{
		o->size = o->size ? o->size * 2 : 1024;
		o->entries = xrealloc(o->entries, o->size * sizeof(OutboxEntry));
	}
	o->entries[o->count++] = (OutboxEntry) {id, (uint32_t) len + 1};
	buffer_add(&o->bytes, line, len);
	buffer_add_char(&o->bytes, '\n');
}

/* Move what is still needed to the front once the free part is the larger one. */
static void
compact(Outbox *o)
{
	size_t		held = outbox_held_bytes(o);

	if (held == 0 || (o->head_offset > COMPACT_ABOVE && o->head_offset > held))
	{
		memmove(o->bytes.data, o->bytes.data + o->head_offset, held);
		o->sent_offset -= o->head_offset;
		o->bytes.len = held;
		o->head_offset = 0;
		memmove(o->entries, o->entries + o->head, outbox_entries(o) * sizeof(OutboxEntry));
		o->count -= o->head;
		o->head = 0;
	}
}

uint64_t
outbox_take(Outbox *o)
{
	OutboxEntry e = o->entries[o->head++];

	o->head_offset += e.len;
	if (o->sent_offset < o->head_offset)
		o->sent_offset = o->head_offset;
	compact(o);
	return e.id;
}

void
outbox_rewind(Outbox *o)
{
	o->sent_offset = o->head_offset;
}

void
outbox_free(Outbox *o)
{
	buffer_free(&o->bytes);
	free(o->entries);
	*o = (Outbox) {0};
}
