/*
 * state_merge.c
 *	  What a report does to the last known state of its vehicle.
 *
 * Three things have a time of their own: the fix (location, altitude,
 * accuracy), the motion (speed, heading) and each signal.
 */
#include "postgres.h"

#include <math.h>

#include "pipeline/state.h"

/* One time per signal, where until now all shared the state's. */
static TimestampTz *
spread_times(const VehicleState *vs)
{
	int			n = vs->now.signals->count;
	TimestampTz *times = palloc(n * sizeof(TimestampTz));

	for (int i = 0; i < n; i++)
		times[i] = vs->now.event_time;
	return times;
}

/*
 * A vehicle that comes with ever new names would outgrow what a map may hold,
 * and an error here would sink the whole batch, again and again.  Its state then
 * starts over with the signals of the newer report.
 */
static void
start_over(VehicleState *vs, const Signals *signals, TimestampTz event_time)
{
	if (event_time < vs->now.event_time)
		return;
	vs->now.signals = (Signals *) signals;
	vs->signal_times = palloc(Max(signals->count, 1) * sizeof(TimestampTz));
	for (int i = 0; i < signals->count; i++)
		vs->signal_times[i] = event_time;
}

/*
 * Merges by name; of two values the newer one stays, at equal times the
 * report's.
 */
static void
merge_signals(VehicleState *vs, const Signals *signals, TimestampTz event_time)
{
	const Signals *old = vs->now.signals;
	const TimestampTz *old_times = vs->signal_times ? vs->signal_times : spread_times(vs);
	TimestampTz *times = palloc((old->count + signals->count) * sizeof(TimestampTz));
	SignalsBuilder *builder = signals_builder();
	SignalsIterator x,
				y;
	SignalsFault fault;
	bool		more_x,
				more_y;
	int			n = 0,
				i = 0;

	signals_iterate(old, &x);
	signals_iterate(signals, &y);
	more_x = signals_next(&x);
	more_y = signals_next(&y);
	while (more_x || more_y)
	{
		int			order = !more_x ? 1 : !more_y ? -1 : signal_key_compare(&x.key, &y.key);
		bool		take_new = order > 0 || (order == 0 && event_time >= old_times[i]);

		fault = take_new ? signals_try_add(builder, y.key, &y.value) :
			signals_try_add(builder, x.key, &x.value);
		if (fault != SIGNALS_OK)
		{
			start_over(vs, signals, event_time);
			return;
		}
		times[n++] = take_new ? event_time : old_times[i];
		if (order <= 0)
		{
			more_x = signals_next(&x);
			i++;
		}
		if (order >= 0)
			more_y = signals_next(&y);
	}
	vs->now.signals = signals_build(builder);
	vs->signal_times = times;
}

static void
apply_signals(VehicleState *vs, const Report *report, bool late)
{
	if (report->signals == NULL || report->signals->count == 0)
	{
		/* the state's time moves on, that of its signals does not */
		if (!late && vs->now.signals != NULL && vs->signal_times == NULL &&
			report->event_time != vs->now.event_time)
			vs->signal_times = spread_times(vs);
		return;
	}
	if (vs->now.signals == NULL || vs->now.signals->count == 0)
	{
		vs->now.signals = report->signals;
		vs->signal_times = NULL;
		if (late)
		{
			vs->signal_times = spread_times(vs);
			for (int i = 0; i < vs->now.signals->count; i++)
				vs->signal_times[i] = report->event_time;
		}
		return;
	}
	if (!late && signals_same_names(vs->now.signals, report->signals))
	{
		/* the newer map replaces the older one whole */
		vs->now.signals = report->signals;
		vs->signal_times = NULL;
		return;
	}
	merge_signals(vs, report->signals, report->event_time);
}

void
state_apply(VehicleState *vs, const Report *report)
{
	VehiclePosition *now = &vs->now;
	bool		late = report->late;

	if (!late)
		vs->before = *now;
	apply_signals(vs, report, late);
	if (report->has_location &&
		(!now->has_location || report->event_time >= now->location_time))
	{
		now->has_location = true;
		now->location = report->location;
		now->location_time = report->event_time;
		now->altitude_m = report->altitude_m;
		now->accuracy_m = report->accuracy_m;
	}
	if ((!isnan(report->speed_kmh) || !isnan(report->heading_deg)) &&
		report->event_time >= now->motion_time)
	{
		now->motion_time = report->event_time;
		now->speed_kmh = report->speed_kmh;
		now->heading_deg = report->heading_deg;
	}
	if (!late)
	{
		now->event_time = report->event_time;
		now->received_at = report->received_at;
	}
	vs->changed = true;
}
