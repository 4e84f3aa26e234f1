/*
 * geofence_memory.c
 *	  What is remembered of a vehicle and its fences, and its form in a row.
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "watch/geofence_memory.h"
#include "watch/watch.h"

FenceEntry *
fence_memory_add(FenceMemory *memory)
{
	if (memory->nentries == memory->room)
	{
		memory->room = Max(8, memory->room * 2);
		if (memory->entries)
			memory->entries = repalloc_huge(memory->entries, memory->room * sizeof(FenceEntry));
		else
			memory->entries = MemoryContextAlloc(memory->context, memory->room * sizeof(FenceEntry));
	}
	memset(&memory->entries[memory->nentries], 0, sizeof(FenceEntry));
	return &memory->entries[memory->nentries++];
}

void
fence_memory_remove(FenceMemory *memory, int i)
{
	memory->entries[i] = memory->entries[--memory->nentries];
}

/* --- fence_state: the memory in a row --- */

/*
 * uint8 version, uint16 number of entries, then per entry: int32 geofence_id,
 * uint16 revision, uint8 flags, uint8 alerts; when inside, int64 entered_at; when
 * pending, uint16 pending, int64 pending_at, int32 latitude, int32 longitude.
 * All in network byte order, so that a dump can be restored anywhere.
 */
#define FENCE_STATE_VERSION 1

#define FLAG_INSIDE 0x01
#define FLAG_DWELLED 0x02
#define FLAG_PENDING 0x04
#define FLAG_PENDING_INSIDE 0x08
#define FLAGS_KNOWN 0x0f

#define STATE_HEADER_SIZE 3
#define STATE_ENTRY_SIZE 8
#define STATE_INSIDE_SIZE 8
#define STATE_PENDING_SIZE 18

static inline uint64
get_bytes(const uint8 **p, int n)
{
	uint64		v = 0;

	while (n-- > 0)
		v = (v << 8) | *(*p)++;
	return v;
}

static inline void
put_bytes(uint8 **p, uint64 v, int n)
{
	while (n-- > 0)
		*(*p)++ = (uint8) (v >> (8 * n));
}

bool
fence_memory_unpack(FenceMemory *memory, const bytea *state)
{
	const uint8 *p = (const uint8 *) VARDATA_ANY(state);
	const uint8 *end = p + VARSIZE_ANY_EXHDR(state);
	int			n;

	if (end - p < STATE_HEADER_SIZE || get_bytes(&p, 1) != FENCE_STATE_VERSION)
		return false;
	n = (int) get_bytes(&p, 2);
	for (int i = 0; i < n; i++)
	{
		FenceEntry *entry;
		uint8		flags;

		if (end - p < STATE_ENTRY_SIZE)
			return false;
		entry = fence_memory_add(memory);
		entry->geofence_id = (int32) get_bytes(&p, 4);
		entry->revision = (uint16) get_bytes(&p, 2);
		flags = (uint8) get_bytes(&p, 1);
		entry->alerts = (uint8) get_bytes(&p, 1);
		entry->inside = (flags & FLAG_INSIDE) != 0;
		entry->dwelled = (flags & FLAG_DWELLED) != 0;
		entry->pending_inside = (flags & FLAG_PENDING_INSIDE) != 0;
		if ((flags & ~FLAGS_KNOWN) || (entry->alerts & ~FENCE_ALERTS_ALL))
			return false;
		if (entry->inside)
		{
			if (end - p < STATE_INSIDE_SIZE)
				return false;
			entry->entered_at = (int64) get_bytes(&p, 8);
			if (!IS_VALID_TIMESTAMP(entry->entered_at))
				return false;
		}
		if (flags & FLAG_PENDING)
		{
			if (end - p < STATE_PENDING_SIZE)
				return false;
			entry->pending = (uint16) get_bytes(&p, 2);
			entry->pending_at = (int64) get_bytes(&p, 8);
			entry->pending_location.latitude = (int32) get_bytes(&p, 4);
			entry->pending_location.longitude = (int32) get_bytes(&p, 4);
			if (entry->pending == 0 || !IS_VALID_TIMESTAMP(entry->pending_at) ||
				abs(entry->pending_location.latitude) > GEOPOINT_MAX_LATITUDE ||
				abs(entry->pending_location.longitude) > GEOPOINT_MAX_LONGITUDE)
				return false;
		}
	}
	return p == end;
}

void
geofence_pack(VehicleState *vs)
{
	FenceMemory *memory = vs->fence_memory;
	Size		size = VARHDRSZ + STATE_HEADER_SIZE;
	bytea	   *state;
	uint8	   *p;

	if (memory == NULL || !memory->changed)
		return;
	memory->changed = false;
	if (memory->nentries == 0)
	{
		vs->fence_state = NULL;
		return;
	}

	for (int i = 0; i < memory->nentries; i++)
		size += STATE_ENTRY_SIZE + (memory->entries[i].inside ? STATE_INSIDE_SIZE : 0) +
			(memory->entries[i].pending > 0 ? STATE_PENDING_SIZE : 0);
	state = MemoryContextAlloc(memory->context, size);
	SET_VARSIZE(state, size);
	p = (uint8 *) VARDATA(state);
	put_bytes(&p, FENCE_STATE_VERSION, 1);
	put_bytes(&p, memory->nentries, 2);
	for (int i = 0; i < memory->nentries; i++)
	{
		FenceEntry *entry = &memory->entries[i];

		put_bytes(&p, (uint32) entry->geofence_id, 4);
		put_bytes(&p, entry->revision, 2);
		put_bytes(&p, (entry->inside ? FLAG_INSIDE : 0) |
				  (entry->dwelled ? FLAG_DWELLED : 0) |
				  (entry->pending > 0 ? FLAG_PENDING : 0) |
				  (entry->pending > 0 && entry->pending_inside ? FLAG_PENDING_INSIDE : 0), 1);
		put_bytes(&p, entry->alerts, 1);
		if (entry->inside)
			put_bytes(&p, (uint64) entry->entered_at, 8);
		if (entry->pending > 0)
		{
			put_bytes(&p, entry->pending, 2);
			put_bytes(&p, (uint64) entry->pending_at, 8);
			put_bytes(&p, (uint32) entry->pending_location.latitude, 4);
			put_bytes(&p, (uint32) entry->pending_location.longitude, 4);
		}
	}
	Assert(p == (uint8 *) state + size);
	vs->fence_state = state;
}
