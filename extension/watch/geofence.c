/*
 * geofence.c
 *	  Which vehicle is in which geofence: transitions, and the alerts that they
 *	  raise and clear.
 *
 * Of each vehicle we remember one entry per fence that it is in, is about to
 * enter (min_fixes), or has an alert open on; fences that it is simply outside
 * of have none.  An entry moves like this:
 *
 *		outside --- min_fixes fixes inside -----------------------------> inside
 *		inside  --- min_fixes fixes more than hysteresis_m outside -----> outside
 *
 * A fix whose circle of accuracy meets the border counts for neither side, nor
 * does it break a row of fixes.  What a fence does to a vehicle is always
 * decided by the fix at hand and the entry: a set of fences that changed in
 * between needs no special care, except that entries of fences which are gone
 * are dropped (the table's own trigger has closed what they left open).
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "lib/stringinfo.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "watch/geofence_memory.h"
#include "watch/geofence_set.h"
#include "watch/geofence_visit.h"
#include "watch/watch.h"

/* Two fixes further apart in time say nothing of the way between them. */
#define CROSS_MAX_GAP (INT64CONST(3600) * USECS_PER_SEC)
/* A speed alert ends so much below the limit, that it may not flap. */
#define SPEED_CLEAR_MARGIN_KMH 2.0

/* What one call of watch works on. */
typedef struct Watch
{
	VehicleState *vs;
	FenceMemory *memory;
	GeofenceSet *set;
	WatchResult *out;
	TimestampTz at;
	bool		has_location;
	Geopoint	location;
	float4		accuracy_m;		/* 0: not known */
	float4		speed_kmh;		/* NaN: not known */
} Watch;

static inline void
touched(Watch *w)
{
	w->memory->changed = true;
	w->vs->changed = true;
}

/* --- what comes out --- */

static void
add_transition(Watch *w, const Geofence *fence, FenceTransitionKind kind, TimestampTz event_time,
			   const Geopoint *location, TimestampTz entered_at)
{
	MemoryContext old = MemoryContextSwitchTo(w->out->context);
	FenceTransition *t = palloc0(sizeof(FenceTransition));

	t->kind = kind;
	t->geofence_id = fence->geofence_id;
	t->name = pstrdup(fence->name);
	t->tenant_id = w->vs->tenant_id;
	t->vehicle_id = w->vs->vehicle_id;
	t->vehicle_name = w->vs->vehicle_name;
	t->event_time = event_time;
	if (location)
	{
		t->has_location = true;
		t->location = *location;
	}
	t->entered_at = entered_at;
	w->out->transitions = lappend(w->out->transitions, t);
	MemoryContextSwitchTo(old);
}

static void
json_name(StringInfo json, const char *name)
{
	if (json->len > 1)
		appendStringInfoChar(json, ',');
	appendStringInfo(json, "\"%s\":", name);
}

static void
json_number(StringInfo json, const char *name, float4 value)
{
	char		buf[FLOAT_SHORTEST_DECIMAL_LEN];

	if (!isfinite(value))
		return;
	json_name(json, name);
	float_to_shortest_decimal_buf(value, buf);
	appendStringInfoString(json, buf);
}

static void
json_time(StringInfo json, const char *name, TimestampTz value)
{
	char		buf[MAXDATELEN + 1];

	json_name(json, name);
	JsonEncodeDateTime(buf, TimestampTzGetDatum(value), TIMESTAMPTZOID, NULL);
	appendStringInfo(json, "\"%s\"", buf);
}

static AlertChange *
add_alert(Watch *w, const Geofence *fence, AlertKind kind, bool raised, TimestampTz event_time)
{
	MemoryContext old = MemoryContextSwitchTo(w->out->context);
	AlertChange *a = palloc0(sizeof(AlertChange));

	a->raised = raised;
	a->kind = kind;
	a->geofence_id = fence->geofence_id;
	a->name = pstrdup(fence->name);
	a->severity = pstrdup(fence->severity);
	a->message = fence->message ? pstrdup(fence->message) : NULL;
	a->tenant_id = w->vs->tenant_id;
	a->vehicle_id = w->vs->vehicle_id;
	a->vehicle_name = w->vs->vehicle_name;
	a->event_time = event_time;
	a->has_location = w->has_location;
	a->location = w->location;
	w->out->alerts = lappend(w->out->alerts, a);
	MemoryContextSwitchTo(old);
	return a;
}

static AlertKind
alert_kind_of(uint8 on)
{
	switch (on)
	{
		case ON_ENTER:
			return ALERT_FENCE_ENTER;
		case ON_EXIT:
			return ALERT_FENCE_EXIT;
		case ON_DWELL:
			return ALERT_FENCE_DWELL;
		case ON_CROSS:
			return ALERT_FENCE_CROSS;
		default:
			return ALERT_FENCE_SPEED;
	}
}

/* `since`: when what the alert is about began, the first of min_fixes fixes. */
static void
raise_alert(Watch *w, const Geofence *fence, uint8 on, TimestampTz event_time, TimestampTz since)
{
	AlertChange *a = add_alert(w, fence, alert_kind_of(on), true, event_time);
	MemoryContext old = MemoryContextSwitchTo(w->out->context);
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	json_number(&json, "speed_kmh", w->speed_kmh);
	if (on == ON_SPEED)
		json_number(&json, "speed_limit_kmh", (float4) fence->speed_limit_kmh);
	if (w->accuracy_m > 0)
		json_number(&json, "accuracy_m", w->accuracy_m);
	if (on == ON_DWELL)
		json_number(&json, "dwell_s", (float4) ((double) fence->dwell / USECS_PER_SEC));
	json_time(&json, on == ON_DWELL ? "entered_at" : "since", since);
	appendStringInfoChar(&json, '}');
	a->values = json.data;
	MemoryContextSwitchTo(old);
}

/* Clears those of the entry's alerts that are in the mask. */
static void
clear_alerts(Watch *w, FenceEntry *entry, const Geofence *fence, uint8 mask, TimestampTz event_time)
{
	mask &= entry->alerts;
	if (mask == 0)
		return;
	for (uint8 on = ON_ENTER; on <= ON_SPEED; on <<= 1)
	{
		if (mask & on)
			add_alert(w, fence, alert_kind_of(on), false, event_time);
	}
	entry->alerts &= ~mask;
	touched(w);
}

/* --- one entry --- */

static inline bool
applies(const Watch *w, const Geofence *fence)
{
	return fence->vehicle_type < 0 || fence->vehicle_type == w->memory->vehicle_type;
}

static inline bool
is_valid(const Geofence *fence, TimestampTz at)
{
	return at >= fence->valid_from && at < fence->valid_to;
}

/* Might the vehicle be on either side of the border? */
static inline bool
straddles(const Watch *w, const Geofence *fence)
{
	return w->accuracy_m > 0 && fence_shape_border_within(fence->shape, w->location, w->accuracy_m);
}

/* A vehicle outside a keep_in fence that nobody has been told about. */
static inline bool
is_undecided(const FenceEntry *entry, const Geofence *fence)
{
	return !entry->inside && fence->kind == GEOFENCE_KEEP_IN &&
		(fence->alert_on & ON_EXIT) && !(entry->alerts & ON_EXIT);
}

static void
enter(Watch *w, FenceEntry *entry, const Geofence *fence)
{
	entry->inside = true;
	entry->entered_at = entry->pending_at;
	entry->dwelled = false;
	add_transition(w, fence, FENCE_ENTER, entry->entered_at, &entry->pending_location, entry->entered_at);
	clear_alerts(w, entry, fence, ON_EXIT, w->at);
	if ((fence->alert_on & ON_ENTER) && !(entry->alerts & ON_ENTER))
	{
		raise_alert(w, fence, ON_ENTER, w->at, entry->entered_at);
		entry->alerts |= ON_ENTER;
	}
}

static void
leave(Watch *w, FenceEntry *entry, const Geofence *fence)
{
	if (entry->inside)
	{
		add_transition(w, fence, FENCE_EXIT, entry->pending_at, &entry->pending_location, entry->entered_at);
		clear_alerts(w, entry, fence, ON_ENTER | ON_DWELL | ON_SPEED, w->at);
	}
	entry->inside = false;
	if ((fence->alert_on & ON_EXIT) && !(entry->alerts & ON_EXIT))
	{
		raise_alert(w, fence, ON_EXIT, w->at, entry->pending_at);
		entry->alerts |= ON_EXIT;
	}
}

/* The fence no longer concerns the vehicle, wherever that is. */
static void
end_entry(Watch *w, FenceEntry *entry, const Geofence *fence)
{
	TimestampTz at = Min(w->at, fence->valid_to);

	if (entry->inside)
	{
		at = Max(at, entry->entered_at);
		add_transition(w, fence, FENCE_EXIT, at, NULL, entry->entered_at);
	}
	clear_alerts(w, entry, fence, FENCE_ALERTS_ALL, at);
	touched(w);
}

/* What time alone brings about: dwell, by `w->at`. */
static inline void
watch_time(Watch *w, FenceEntry *entry, const Geofence *fence)
{
	if (fence->valid_to != DT_NOEND)
		state_due(w->vs, fence->valid_to);
	if (fence->dwell == 0 || !entry->inside || entry->dwelled || entry->pending > 0)
		return;
	if (w->at - entry->entered_at < fence->dwell)
	{
		state_due(w->vs, entry->entered_at + fence->dwell);
		return;
	}
	entry->dwelled = true;
	touched(w);
	add_transition(w, fence, FENCE_DWELL, entry->entered_at + fence->dwell,
				   w->has_location ? &w->location : NULL, entry->entered_at);
	if (fence->alert_on & ON_DWELL)
	{
		raise_alert(w, fence, ON_DWELL, entry->entered_at + fence->dwell, entry->entered_at);
		entry->alerts |= ON_DWELL;
	}
}

static void
watch_speed(Watch *w, FenceEntry *entry, const Geofence *fence)
{
	if (entry->alerts & ON_SPEED)
	{
		if (w->speed_kmh <= Max(fence->speed_limit_kmh - SPEED_CLEAR_MARGIN_KMH, 0) &&
			!straddles(w, fence))
			clear_alerts(w, entry, fence, ON_SPEED, w->at);
	}
	else if (w->speed_kmh > fence->speed_limit_kmh && !straddles(w, fence))
	{
		raise_alert(w, fence, ON_SPEED, w->at, w->at);
		entry->alerts |= ON_SPEED;
		touched(w);
	}
}

/* One fix seen by one entry; false when there is nothing to remember. */
static bool
watch_entry(Watch *w, FenceEntry *entry, bool covered)
{
	const Geofence *fence = &w->set->fences[entry->slot];
	bool		undecided;

	if (!is_valid(fence, w->at))
	{
		end_entry(w, entry, fence);
		return false;
	}
	if (entry->alerts & ~fence->alert_on)
		clear_alerts(w, entry, fence, ~fence->alert_on, w->at);

	undecided = is_undecided(entry, fence);
	if ((covered != entry->inside || undecided || entry->pending > 0) && !straddles(w, fence))
	{
		bool		inside = covered;
		bool		counts = true;

		/* outside, but not far enough: as inside as it was */
		if (!covered && fence->hysteresis_m > 0 && (entry->inside || undecided) &&
			fence_shape_border_within(fence->shape, w->location, fence->hysteresis_m))
		{
			inside = entry->inside;
			counts = !undecided;
		}

		if (!counts)
			 /* says nothing */ ;
		else if (inside == entry->inside && !undecided)
		{
			if (entry->pending > 0)
			{
				entry->pending = 0;
				touched(w);
			}
		}
		else
		{
			if (entry->pending == 0 || entry->pending_inside != inside)
			{
				entry->pending = 0;
				entry->pending_inside = inside;
				entry->pending_at = w->at;
				entry->pending_location = w->location;
			}
			entry->pending++;
			touched(w);
			if (entry->pending >= fence->min_fixes)
			{
				entry->pending = 0;
				if (inside)
					enter(w, entry, fence);
				else
					leave(w, entry, fence);
			}
		}
	}

	if (entry->inside && covered && (fence->alert_on & ON_SPEED))
		watch_speed(w, entry, fence);
	watch_time(w, entry, fence);
	return entry->inside || entry->pending > 0 || entry->alerts != 0;
}

/* --- all entries of a vehicle --- */

/* After a change of the set: find the fences again, drop what is gone. */
static void
resolve(Watch *w)
{
	FenceMemory *memory = w->memory;
	GeofenceSet *set = w->set;

	memory->vehicle_type = geofence_set_vehicle_type(set, w->vs->vehicle_type);
	memory->generation = set->generation;
	for (int i = 0; i < memory->nentries;)
	{
		FenceEntry *entry = &memory->entries[i];
		int32		slot = geofence_set_slot(set, entry->geofence_id);

		if (slot < 0 || set->fences[slot].revision != entry->revision)
		{
			if (slot < 0 && (entry->inside || entry->alerts))
				geofence_visit_gone(entry->geofence_id);
			touched(w);
			fence_memory_remove(memory, i);
			continue;
		}
		entry->slot = slot;
		if (!applies(w, &set->fences[slot]))
		{
			end_entry(w, entry, &set->fences[slot]);
			fence_memory_remove(memory, i);
			continue;
		}
		i++;
	}
}

/* False when there is nothing to watch. */
static bool
begin_watch(Watch *w, VehicleState *vs, TimestampTz at, WatchResult *out)
{
	w->vs = vs;
	w->out = out;
	w->at = at;
	w->set = geofence_set(vs->tenant_id);
	if (w->set->nfences == 0 && vs->fence_memory == NULL && vs->fence_state == NULL)
		return false;

	w->memory = vs->fence_memory;
	if (w->memory == NULL)
	{
		w->memory = palloc0(sizeof(FenceMemory));
		w->memory->context = CurrentMemoryContext;
		vs->fence_memory = w->memory;
		if (vs->fence_state)
		{
			if (!fence_memory_unpack(w->memory, vs->fence_state))
			{
				ereport(DEBUG1,
						(errmsg("fence_state of vehicle %lld is not readable, starting anew",
								(long long) vs->vehicle_id)));
				w->memory->nentries = 0;
				touched(w);
			}
		}
	}
	if (w->memory->generation != w->set->generation)
		resolve(w);
	return true;
}

static void
add_and_watch(Watch *w, int32 slot, bool covered)
{
	const Geofence *fence = &w->set->fences[slot];
	FenceEntry *entry;

	if (!applies(w, fence) || !is_valid(fence, w->at) || w->memory->nentries >= FENCE_MEMORY_MAX)
		return;
	entry = fence_memory_add(w->memory);
	entry->geofence_id = fence->geofence_id;
	entry->revision = fence->revision;
	entry->slot = slot;
	if (!watch_entry(w, entry, covered))
		w->memory->nentries--;
}

/*
 * Fences that the straight way from the last fix to this one leads through,
 * though neither fix is inside.
 */
static void
watch_crossings(Watch *w, uint64 mark_covered)
{
	const VehiclePosition *before = &w->vs->before;
	GeofenceSet *set = w->set;
	int			n;

	if (!before->has_location ||
		(before->location.latitude == w->location.latitude &&
		 before->location.longitude == w->location.longitude) ||
		w->at - before->location_time > CROSS_MAX_GAP ||
		llabs((int64) before->location.longitude - w->location.longitude) > GEOPOINT_MAX_LONGITUDE)
		return;

	n = fence_index_crossing(set->index, before->location, w->location, set->hits);
	for (int i = 0; i < n; i++)
	{
		int32		slot = set->hits[i];
		const Geofence *fence = &set->fences[slot];
		bool		known = false;

		if (set->mark[slot] == mark_covered || fence->min_fixes > 1 ||
			!applies(w, fence) || !is_valid(fence, w->at) ||
			!fence_shape_border_crossed(fence->shape, before->location, w->location) ||
			fence_shape_covers(fence->shape, before->location))
			continue;
		for (int e = 0; e < w->memory->nentries && !known; e++)
			known = w->memory->entries[e].slot == slot && w->memory->entries[e].inside;
		if (known || straddles(w, fence) ||
			(before->accuracy_m > 0 &&
			 fence_shape_border_within(fence->shape, before->location, before->accuracy_m)))
			continue;
		add_transition(w, fence, FENCE_CROSS, w->at, &w->location, 0);
		if (fence->alert_on & ON_CROSS)
		{
			/* over before we know of it: raised and cleared in one go */
			raise_alert(w, fence, ON_CROSS, w->at, before->location_time);
			add_alert(w, fence, ALERT_FENCE_CROSS, false, w->at);
		}
	}
}

void
geofence_watch(VehicleState *vs, const Report *report, WatchResult *out)
{
	Watch		w;
	FenceMemory *memory;
	GeofenceSet *set;
	uint64		mark_hit,
				mark_outside,
				mark_covered;
	int			nhits;

	w.has_location = report->has_location;
	w.location = report->location;
	w.accuracy_m = report->accuracy_m > 0 ? report->accuracy_m : 0;
	w.speed_kmh = report->speed_kmh;
	if (!begin_watch(&w, vs, report->event_time, out))
		return;
	memory = w.memory;
	set = w.set;

	if (!report->has_location)
	{
		/* nothing changes, but the clock must come back when it would have */
		for (int i = 0; i < memory->nentries; i++)
		{
			FenceEntry *entry = &memory->entries[i];
			const Geofence *fence = &set->fences[entry->slot];

			if (fence->valid_to != DT_NOEND)
				state_due(vs, fence->valid_to);
			if (fence->dwell > 0 && entry->inside && !entry->dwelled && entry->pending == 0)
				state_due(vs, entry->entered_at + fence->dwell);
		}
		return;
	}

	/* mark: covers the fix; has an entry and does not; has been seen to and does */
	mark_hit = set->marks + 1;
	mark_outside = set->marks + 2;
	mark_covered = set->marks + 3;
	set->marks += 3;
	nhits = fence_index_covering(set->index, report->location, set->hits);
	for (int i = 0; i < nhits; i++)
		set->mark[set->hits[i]] = mark_hit;
	for (int i = 0; i < memory->nentries;)
	{
		int32		slot = memory->entries[i].slot;
		bool		covered = set->mark[slot] == mark_hit;

		set->mark[slot] = covered ? mark_covered : mark_outside;
		if (watch_entry(&w, &memory->entries[i], covered))
			i++;
		else
			fence_memory_remove(memory, i);
	}
	for (int i = 0; i < nhits; i++)
	{
		int32		slot = set->hits[i];

		if (set->mark[slot] == mark_hit)
		{
			set->mark[slot] = mark_covered;
			add_and_watch(&w, slot, true);
		}
	}
	for (int i = 0; i < set->nkeep_in; i++)
	{
		if (set->mark[set->keep_in[i]] < mark_outside)
			add_and_watch(&w, set->keep_in[i], false);
	}
	watch_crossings(&w, mark_covered);
}

void
geofence_watch_clock(VehicleState *vs, TimestampTz now, WatchResult *out)
{
	Watch		w;

	w.has_location = vs->now.has_location;
	w.location = vs->now.location;
	w.accuracy_m = 0;
	w.speed_kmh = NAN;
	if (!begin_watch(&w, vs, now, out))
		return;
	for (int i = 0; i < w.memory->nentries;)
	{
		FenceEntry *entry = &w.memory->entries[i];
		const Geofence *fence = &w.set->fences[entry->slot];

		if (now >= fence->valid_to)
		{
			end_entry(&w, entry, fence);
			fence_memory_remove(w.memory, i);
			continue;
		}
		watch_time(&w, entry, fence);
		i++;
	}
}
