/*
 * announce.c
 *	  Stage 6: NOTIFY with versioned JSON payloads, documented in docs/live.md.
 *
 * A commit that notifies holds a lock of the whole server and a payload ends
 * at 8000 bytes, so what a batch brought is packed into few parts.  Beyond
 * PARTS_MAX parts only the ids follow, and beyond one part of these the last
 * payload says "truncated": the rows are the truth, and the reader turns to
 * fleet.alerts_since() and its like.
 */
#include "postgres.h"

#include <math.h>

#include "commands/async.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgroids.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "fleet.h"
#include "pipeline/announce.h"
#include "pipeline/live.h"
#include "pipeline/registry.h"

/* bytes of a payload, below NOTIFY's limit of 7999 */
#define PAYLOAD_MAX 7900
/* room for the members around the list */
#define ENVELOPE_MAX 200
#define PARTS_MAX 6
/* Above this share of the server's notification queue nothing is sent. */
#define QUEUE_USAGE_MAX 0.5

typedef struct Parts
{
	const char *list;			/* member that holds the elements */
	List	   *bodies;			/* of StringInfo: elements joined by commas */
	StringInfo	ids;			/* of the elements that found no room */
	bool		truncated;
} Parts;

/* A tenant that wants keys only gets what others get when there is no room. */
static void
parts_begin(Parts *parts, const RegistryTenant *tenant, const char *list)
{
	parts->list = list;
	parts->bodies = NIL;
	parts->ids = tenant->notify_keys ? makeStringInfo() : NULL;
	parts->truncated = false;
}

static bool
fits(StringInfo body, int len)
{
	return len <= PAYLOAD_MAX - ENVELOPE_MAX - 1 - body->len;
}

static void
append_element(StringInfo body, const char *element, int len)
{
	if (body->len > 0)
		appendStringInfoChar(body, ',');
	appendBinaryStringInfo(body, element, len);
}

/* `id` stands for the element when there is no room for it. */
static void
parts_add(Parts *parts, StringInfo element, int64 id)
{
	StringInfo	body = parts->bodies ? llast(parts->bodies) : NULL;
	char		text[MAXINT8LEN + 1];

	if (parts->ids == NULL && element->len <= PAYLOAD_MAX - ENVELOPE_MAX - 1)
	{
		if (body == NULL || !fits(body, element->len))
		{
			if (list_length(parts->bodies) == PARTS_MAX)
				body = NULL;
			else
			{
				body = makeStringInfo();
				parts->bodies = lappend(parts->bodies, body);
			}
		}
		if (body != NULL)
		{
			append_element(body, element->data, element->len);
			return;
		}
	}
	if (parts->ids == NULL)
		parts->ids = makeStringInfo();
	pg_lltoa(id, text);
	if (fits(parts->ids, strlen(text)))
		append_element(parts->ids, text, strlen(text));
	else
		parts->truncated = true;
}

static void
parts_send(const Parts *parts, const RegistryTenant *tenant, Topic topic, int64 batch_id)
{
	int			n = list_length(parts->bodies) + (parts->ids != NULL && parts->ids->len > 0);
	int			part = 0;
	StringInfoData payload;

	initStringInfo(&payload);
	while (part < n)
	{
		bool		is_ids = part == list_length(parts->bodies);
		StringInfo	body = is_ids ? parts->ids : list_nth(parts->bodies, part);

		resetStringInfo(&payload);
		appendStringInfo(&payload, "{\"v\":1,\"topic\":\"%s\",\"tenant\":%d,\"batch\":" INT64_FORMAT
						 ",\"part\":%d,\"parts\":%d,\"%s\":[%s]%s}",
						 topic_name(topic), tenant->tenant_id, batch_id, part + 1, n,
						 is_ids ? "ids" : parts->list, body->data,
						 is_ids && parts->truncated ? ",\"truncated\":true" : "");
		Async_Notify(tenant->channel[topic], payload.data);
		part++;
	}
}

/* --- elements --- */

static void
append_time(StringInfo out, const char *name, TimestampTz time)
{
	char		buf[MAXDATELEN + 1];
	struct pg_tm tm;
	fsec_t		fsec;

	/* always UTC, whatever the session's zone: 2025-01-15T14:32:18.123Z */
	if (timestamp2tm(time, NULL, &tm, &fsec, NULL, NULL) != 0)
		elog(ERROR, "timestamp out of range");
	snprintf(buf, sizeof(buf), "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ",
			 tm.tm_year, tm.tm_mon, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int) fsec);
	appendStringInfo(out, ",\"%s\":\"%s\"", name, buf);
}

static void
append_location(StringInfo out, bool has_location, Geopoint location)
{
	if (has_location)
		appendStringInfo(out, ",\"latitude\":%.7f,\"longitude\":%.7f",
						 geopoint_latitude_deg(location), geopoint_longitude_deg(location));
}

static void
append_number(StringInfo out, const char *name, float4 value)
{
	if (!isnan(value))
		appendStringInfo(out, ",\"%s\":%s", name,
						 DatumGetCString(DirectFunctionCall1(float4out, Float4GetDatum(value))));
}

static void
append_vehicle(StringInfo out, int64 vehicle_id, const char *name)
{
	appendStringInfo(out, "\"vehicle_id\":" INT64_FORMAT ",\"vehicle\":", vehicle_id);
	escape_json(out, name);
}

static void
live_element(StringInfo out, const LiveState *live)
{
	appendStringInfoChar(out, '{');
	append_vehicle(out, live->vehicle_id, live->vehicle_name);
	append_time(out, "event_time", live->event_time);
	append_time(out, "received_at", live->received_at);
	append_location(out, live->has_location, live->location);
	append_number(out, "speed_kmh", live->speed_kmh);
	append_number(out, "heading_deg", live->heading_deg);
	appendStringInfoChar(out, '}');
}

static void
alert_element(StringInfo out, const AlertChange *alert)
{
	appendStringInfo(out, "{\"alert_id\":" INT64_FORMAT ",\"raised\":%s,\"kind\":\"%s\",\"name\":",
					 alert->alert_id, alert->raised ? "true" : "false", alert_kind_name(alert->kind));
	escape_json(out, alert->name);
	if (alert->rule_id != 0)
		appendStringInfo(out, ",\"rule_id\":%d", alert->rule_id);
	if (alert->geofence_id != 0)
		appendStringInfo(out, ",\"geofence_id\":%d", alert->geofence_id);
	if (alert->severity)
	{
		appendStringInfoString(out, ",\"severity\":");
		escape_json(out, alert->severity);
	}
	appendStringInfoChar(out, ',');
	append_vehicle(out, alert->vehicle_id, alert->vehicle_name);
	append_time(out, "event_time", alert->event_time);
	append_location(out, alert->has_location, alert->location);
	if (alert->values)
		appendStringInfo(out, ",\"values\":%s", alert->values);
	if (alert->message)
	{
		appendStringInfoString(out, ",\"message\":");
		escape_json(out, alert->message);
	}
	appendStringInfoChar(out, '}');
}

static void
transition_element(StringInfo out, const FenceTransition *t)
{
	static const char *const kinds[] = {
		[FENCE_ENTER] = "enter", [FENCE_EXIT] = "exit",
		[FENCE_DWELL] = "dwell", [FENCE_CROSS] = "cross"
	};

	appendStringInfo(out, "{\"kind\":\"%s\",\"geofence_id\":%d,\"name\":", kinds[t->kind],
					 t->geofence_id);
	escape_json(out, t->name);
	appendStringInfoChar(out, ',');
	append_vehicle(out, t->vehicle_id, t->vehicle_name);
	append_time(out, "event_time", t->event_time);
	append_location(out, t->has_location, t->location);
	if ((t->kind == FENCE_EXIT || t->kind == FENCE_DWELL) && t->entered_at != 0)
		append_time(out, "entered_at", t->entered_at);
	appendStringInfoChar(out, '}');
}

/* --- topics --- */

static void
announce_live(const RegistryTenant *tenant, int64 batch_id, List *live)
{
	Parts		parts;
	ListCell   *lc;
	StringInfoData element;

	initStringInfo(&element);
	parts_begin(&parts, tenant, "vehicles");
	foreach(lc, live)
	{
		const LiveState *state = lfirst(lc);

		if (state->tenant_id != tenant->tenant_id)
			continue;
		resetStringInfo(&element);
		/* rendering is the dear part; once full, ids are enough */
		if (parts.ids == NULL)
			live_element(&element, state);
		parts_add(&parts, &element, state->vehicle_id);
	}
	parts_send(&parts, tenant, TOPIC_LIVE, batch_id);
}

static void
announce_watch(const RegistryTenant *tenant, int64 batch_id, const WatchResult *result)
{
	Parts		alerts,
				transitions;
	ListCell   *lc;
	StringInfoData element;

	initStringInfo(&element);
	parts_begin(&alerts, tenant, "alerts");
	foreach(lc, result->alerts)
	{
		const AlertChange *alert = lfirst(lc);

		if (alert->tenant_id != tenant->tenant_id)
			continue;
		resetStringInfo(&element);
		if (alerts.ids == NULL)
			alert_element(&element, alert);
		parts_add(&alerts, &element, alert->alert_id);
	}
	parts_send(&alerts, tenant, TOPIC_ALERT, batch_id);

	parts_begin(&transitions, tenant, "transitions");
	foreach(lc, result->transitions)
	{
		const FenceTransition *t = lfirst(lc);

		if (t->tenant_id != tenant->tenant_id)
			continue;
		resetStringInfo(&element);
		if (transitions.ids == NULL)
			transition_element(&element, t);
		parts_add(&transitions, &element, t->vehicle_id);
	}
	parts_send(&transitions, tenant, TOPIC_GEOFENCE, batch_id);
}

static void
announce_quarantine(const RegistryTenant *tenant, int64 batch_id, Report **rejected, int64 n)
{
	int64		counts[DEFECT_CODES] = {0};
	int64		total = 0;
	StringInfoData payload;

	for (int64 i = 0; i < n; i++)
		if (rejected[i]->tenant_id == tenant->tenant_id)
		{
			counts[rejected[i]->defect_code]++;
			total++;
		}
	if (total == 0)
		return;
	initStringInfo(&payload);
	appendStringInfo(&payload, "{\"v\":1,\"topic\":\"quarantine\",\"tenant\":%d,\"batch\":" INT64_FORMAT,
					 tenant->tenant_id, batch_id);
	if (!tenant->notify_keys)
	{
		appendStringInfo(&payload, ",\"total\":" INT64_FORMAT ",\"counts\":{", total);
		for (int code = DEFECT_NONE + 1; code < DEFECT_CODES; code++)
			if (counts[code] > 0)
				appendStringInfo(&payload, "%s\"%s\":" INT64_FORMAT,
								 payload.data[payload.len - 1] == '{' ? "" : ",",
								 defect_code_name((DefectCode) code), counts[code]);
		appendStringInfoChar(&payload, '}');
	}
	appendStringInfoChar(&payload, '}');
	Async_Notify(tenant->channel[TOPIC_QUARANTINE], payload.data);
}

/*
 * A listener that sits in a long transaction keeps the queue from being
 * emptied, and a full queue makes commits fail: rather tell nobody for a while.
 */
static bool
queue_has_room(void)
{
	static bool warned = false;
	double		usage = DatumGetFloat8(OidFunctionCall0(F_PG_NOTIFICATION_QUEUE_USAGE));

	if (usage <= QUEUE_USAGE_MAX)
	{
		warned = false;
		return true;
	}
	if (!warned)
		ereport(WARNING,
				(errmsg("live updates are suspended"),
				 errdetail("The notification queue is %.0f %% full.", usage * 100),
				 errhint("End the session that listens inside a long transaction.")));
	warned = true;
	return false;
}

void
announce(int64 batch_id, List *live, const WatchResult *result, Report **rejected, int64 nrejected)
{
	List	   *tenants = NIL;
	ListCell   *lc;

	foreach(lc, live)
		tenants = list_append_unique_int(tenants, ((LiveState *) lfirst(lc))->tenant_id);
	foreach(lc, result->alerts)
		tenants = list_append_unique_int(tenants, ((AlertChange *) lfirst(lc))->tenant_id);
	foreach(lc, result->transitions)
		tenants = list_append_unique_int(tenants, ((FenceTransition *) lfirst(lc))->tenant_id);
	for (int64 i = 0; i < nrejected; i++)
		tenants = list_append_unique_int(tenants, rejected[i]->tenant_id);
	if (tenants == NIL || !queue_has_room())
		return;

	foreach(lc, tenants)
	{
		/* reports of an unknown source have no tenant to tell */
		const RegistryTenant *tenant = lfirst_int(lc) != 0 ? registry_tenant(lfirst_int(lc)) : NULL;

		if (tenant == NULL)
			continue;
		announce_live(tenant, batch_id, live);
		announce_watch(tenant, batch_id, result);
		announce_quarantine(tenant, batch_id, rejected, nrejected);
	}
}
