/*
 * ingest_json.c
 *	  fleet.ingest_json(): the reference document, for clients without the daemon.
 *
 * Members map to columns and signals as docs/mapping.md says, by the same
 * table as fleetd's default mapping.  A document that does not map is a report
 * with a defect, not an error: it goes to quarantine like any other.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "fleet.h"
#include "pipeline/batch.h"
#include "pipeline/last_batch.h"

/* Numbers below this are epoch seconds, others milliseconds (year 5138). */
#define EPOCH_SECONDS_BELOW 1e11
/* Members may be nested as deep as this. */
#define DOCUMENT_MAX_DEPTH 31
/* A device's identity that is longer is nonsense. */
#define DOCUMENT_MAX_DEVICE 1024

typedef enum Target
{
	TARGET_SIGNAL, TARGET_DEVICE, TARGET_EVENT_TIME, TARGET_RECEIVED_AT, TARGET_SCHEMA_VERSION,
	TARGET_LATITUDE, TARGET_LONGITUDE, TARGET_ALTITUDE, TARGET_ACCURACY, TARGET_SPEED,
	TARGET_HEADING
} Target;

typedef struct PathTarget
{
	const char *path;			/* members joined by dots */
	Target		target;
	const char *field;			/* column's or signal's name */
} PathTarget;

static const PathTarget default_mapping[] = {
	{"vehicle_id", TARGET_DEVICE, "device"},
	{"device", TARGET_DEVICE, "device"},
	{"timestamp", TARGET_EVENT_TIME, "event_time"},
	{"event_time", TARGET_EVENT_TIME, "event_time"},
	{"received_at", TARGET_RECEIVED_AT, "received_at"},
	{"schema_version", TARGET_SCHEMA_VERSION, "schema_version"},
	{"location.lat", TARGET_LATITUDE, "latitude"},
	{"latitude", TARGET_LATITUDE, "latitude"},
	{"location.lon", TARGET_LONGITUDE, "longitude"},
	{"longitude", TARGET_LONGITUDE, "longitude"},
	{"location.altitude", TARGET_ALTITUDE, "altitude_m"},
	{"altitude_m", TARGET_ALTITUDE, "altitude_m"},
	{"location.accuracy", TARGET_ACCURACY, "accuracy_m"},
	{"accuracy_m", TARGET_ACCURACY, "accuracy_m"},
	{"motion.speed_kmh", TARGET_SPEED, "speed_kmh"},
	{"speed_kmh", TARGET_SPEED, "speed_kmh"},
	{"motion.heading", TARGET_HEADING, "heading_deg"},
	{"heading_deg", TARGET_HEADING, "heading_deg"},
	{"battery.percent", TARGET_SIGNAL, "battery_percent"},
	{"battery.voltage", TARGET_SIGNAL, "battery_voltage_v"},
	{"battery.current", TARGET_SIGNAL, "battery_current_a"},
	{"battery.temperature", TARGET_SIGNAL, "battery_temp_c"},
	{"battery.charging", TARGET_SIGNAL, "charging"},
	{"motion.acceleration.x", TARGET_SIGNAL, "acceleration_x_ms2"},
	{"motion.acceleration.y", TARGET_SIGNAL, "acceleration_y_ms2"},
	{"motion.acceleration.z", TARGET_SIGNAL, "acceleration_z_ms2"},
	{"vehicle_status.locked", TARGET_SIGNAL, "locked"},
	{"vehicle_status.in_use", TARGET_SIGNAL, "in_use"},
	{"vehicle_status.trip_id", TARGET_SIGNAL, "trip_id"},
	{"diagnostics.odometer_km", TARGET_SIGNAL, "odometer_km"},
	{"diagnostics.error_codes", TARGET_SIGNAL, "error_codes"},
	{"diagnostics.last_maintenance_km", TARGET_SIGNAL, "last_maintenance_km"}
};

typedef struct Document
{
	Report	   *report;
	SignalsBuilder *signals;
	int			nsignals;
	const char *defect;			/* first one found, or NULL */
} Document;

PG_FUNCTION_INFO_V1(ingest_json);

static void
set_defect(Document *doc, const char *field)
{
	if (doc->defect == NULL)
		doc->defect = field ? psprintf("malformed:%s", field) : "malformed";
}

/* --- values --- */

static bool
digits(const char **p, const char *end, int count, int *value)
{
	*value = 0;
	if (count > end - *p)
		return false;
	for (int i = 0; i < count; i++)
	{
		char		c = *(*p)++;

		if (c < '0' || c > '9')
			return false;
		*value = *value * 10 + (c - '0');
	}
	return true;
}

static bool
literal(const char **p, const char *end, char c)
{
	if (*p == end || **p != c)
		return false;
	(*p)++;
	return true;
}

/*
 * ISO 8601 with a zone: YYYY-MM-DD (T or blank) HH:MM:SS[.f...](Z or +HH[[:]MM]).
 * Fractions beyond microseconds are cut.  A second 60 is taken at 23:59 UTC
 * only, and is the next midnight.  No session setting has a say.
 */
static bool
parse_time(const char *text, int len, TimestampTz *result)
{
	const char *p = text;
	const char *end = text + len;
	struct pg_tm tm = {0};
	int			fraction = 0,
				scale = 100000,
				hours = 0,
				minutes = 0,
				sign;
	Timestamp	local;

	if (!digits(&p, end, 4, &tm.tm_year) || !literal(&p, end, '-') ||
		!digits(&p, end, 2, &tm.tm_mon) || !literal(&p, end, '-') ||
		!digits(&p, end, 2, &tm.tm_mday))
		return false;
	if (!literal(&p, end, 'T') && !literal(&p, end, 't') && !literal(&p, end, ' '))
		return false;
	if (!digits(&p, end, 2, &tm.tm_hour) || !literal(&p, end, ':') ||
		!digits(&p, end, 2, &tm.tm_min) || !literal(&p, end, ':') ||
		!digits(&p, end, 2, &tm.tm_sec))
		return false;
	if (literal(&p, end, '.'))
	{
		const char *first = p;

		for (; p < end && *p >= '0' && *p <= '9'; p++, scale /= 10)
			fraction += (*p - '0') * scale;
		if (p == first)
			return false;
	}
	if (!literal(&p, end, 'Z') && !literal(&p, end, 'z'))
	{
		sign = literal(&p, end, '-') ? -1 : literal(&p, end, '+') ? 1 : 0;
		if (sign == 0 || !digits(&p, end, 2, &hours) ||
			((literal(&p, end, ':') || p < end) && !digits(&p, end, 2, &minutes)))
			return false;
		if (hours > 15 || minutes > 59)
			return false;
		hours *= sign;
		minutes *= sign;
	}
	if (p != end || tm.tm_year < 1 || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 ||
		tm.tm_mday > day_tab[isleap(tm.tm_year)][tm.tm_mon - 1] ||
		tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > SECS_PER_MINUTE)
		return false;
	if (tm2timestamp(&tm, fraction, NULL, &local) != 0)
		return false;
	*result = local - ((int64) hours * SECS_PER_HOUR + minutes * SECS_PER_MINUTE) * USECS_PER_SEC;
	return tm.tm_sec < SECS_PER_MINUTE || (*result - fraction) % USECS_PER_DAY == 0;
}

static double
json_number(const JsonbValue *v)
{
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
											  NumericGetDatum(v->val.numeric)));
}

static bool
read_time(const JsonbValue *v, TimestampTz *result)
{
	double		epoch;

	if (v->type == jbvString)
		return parse_time(v->val.string.val, v->val.string.len, result);
	if (v->type != jbvNumeric)
		return false;
	epoch = json_number(v);
	epoch = rint(epoch * (fabs(epoch) < EPOCH_SECONDS_BELOW ? 1e6 : 1e3)) -
		(double) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
	if (!(epoch >= (double) MIN_TIMESTAMP && epoch < (double) END_TIMESTAMP))
		return false;
	*result = (TimestampTz) epoch;
	return true;
}

static char *
scalar_text(const JsonbValue *v)
{
	switch (v->type)
	{
		case jbvString:
			return pnstrdup(v->val.string.val, v->val.string.len);
		case jbvNumeric:
			return DatumGetCString(DirectFunctionCall1(numeric_out,
													   NumericGetDatum(v->val.numeric)));
		case jbvBool:
			return v->val.boolean ? "true" : "false";
		default:
			return "null";
	}
}

/* --- members --- */

static void
add_signal(Document *doc, const char *name, const JsonbValue *v)
{
	SignalValue value = {0};

	if (v->type == jbvNumeric)
	{
		value.kind = SIGNAL_NUMBER;
		value.number = json_number(v);
		if (!isfinite(value.number))
		{
			set_defect(doc, name);
			return;
		}
	}
	else if (v->type == jbvBool)
	{
		value.kind = SIGNAL_BOOLEAN;
		value.boolean = v->val.boolean;
	}
	else
	{
		value.kind = SIGNAL_TEXT;
		value.text = v->val.string.val;
		value.text_len = v->val.string.len;
		if (value.text_len > SIGNAL_TEXT_MAX)
		{
			set_defect(doc, name);
			return;
		}
	}
	if (strlen(name) > SIGNAL_NAME_MAX || doc->nsignals == SIGNALS_MAX_ENTRIES)
	{
		set_defect(doc, NULL);
		return;
	}
	/* a name that is none, or more than a map may hold, spoils its document alone */
	if (signals_try_add(doc->signals, signal_key(name, strlen(name)), &value) != SIGNALS_OK)
	{
		set_defect(doc, NULL);
		return;
	}
	doc->nsignals++;
}

static void
set_number(Document *doc, const PathTarget *t, const JsonbValue *v)
{
	Report	   *r = doc->report;
	double		number;

	if (v->type != jbvNumeric)
	{
		set_defect(doc, t->field);
		return;
	}
	number = json_number(v);
	switch (t->target)
	{
		case TARGET_LATITUDE:
			r->latitude = number;
			break;
		case TARGET_LONGITUDE:
			r->longitude = number;
			break;
		case TARGET_ALTITUDE:
			r->altitude_m = number;
			break;
		case TARGET_ACCURACY:
			r->accuracy_m = number;
			break;
		case TARGET_SPEED:
			r->speed_kmh = number;
			break;
		case TARGET_HEADING:
			r->heading_deg = number;
			break;
		case TARGET_SCHEMA_VERSION:
			if (number != rint(number) || fabs(number) > PG_INT32_MAX)
				set_defect(doc, t->field);
			else
				r->schema_version = (int32) number;
			break;
		default:
			elog(ERROR, "target %d is not a number", (int) t->target);
	}
}

static void
set_member(Document *doc, const PathTarget *t, const JsonbValue *v)
{
	Report	   *r = doc->report;

	switch (t->target)
	{
		case TARGET_SIGNAL:
			add_signal(doc, t->field, v);
			break;
		case TARGET_DEVICE:
			if (v->type == jbvString || v->type == jbvNumeric)
				r->device = scalar_text(v);
			if ((v->type != jbvString && v->type != jbvNumeric) ||
				strlen(r->device) > DOCUMENT_MAX_DEVICE)
			{
				r->device = NULL;
				set_defect(doc, t->field);
			}
			break;
		case TARGET_EVENT_TIME:
			r->has_event_time = read_time(v, &r->event_time);
			if (!r->has_event_time)
			{
				r->event_time = 0;
				set_defect(doc, t->field);
			}
			break;
		case TARGET_RECEIVED_AT:
			if (!read_time(v, &r->received_at))
				set_defect(doc, t->field);
			break;
		default:
			set_number(doc, t, v);
	}
}

static const PathTarget *
find_target(const char *path)
{
	for (int i = 0; i < lengthof(default_mapping); i++)
		if (strcmp(default_mapping[i].path, path) == 0)
			return &default_mapping[i];
	return NULL;
}

/*
 * A path that nobody knows becomes a signal's name: a.b -> a_b.  Any character
 * that a name cannot have is one "_", however many bytes it takes.
 */
static char *
signal_name_of(const char *path)
{
	StringInfoData name;

	initStringInfo(&name);
	if (path[0] >= '0' && path[0] <= '9')
		appendStringInfoChar(&name, '_');
	for (const char *p = path; *p != '\0'; p++)
	{
		bool		good = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
			(*p >= '0' && *p <= '9');

		if (((unsigned char) *p & 0xC0) == 0x80)
			continue;
		appendStringInfoChar(&name, good ? *p : '_');
	}
	return name.data;
}

static void
take_scalar(Document *doc, const char *path, const JsonbValue *v)
{
	const PathTarget *t;

	if (v->type == jbvNull)
		return;
	t = find_target(path);
	if (t != NULL)
		set_member(doc, t, v);
	else
		add_signal(doc, signal_name_of(path), v);
}

static void take_value(Document *doc, const char *path, JsonbValue *v, int depth);

/*
 * An array of scalars is one text, its elements joined by commas.  With an
 * object or an array in it, each element has a place of its own: a.0, a.1.
 */
static void
take_array(Document *doc, const char *path, JsonbContainer *array, int depth)
{
	StringInfoData joined;
	JsonbValue	text;
	int			n = JsonContainerSize(array);
	bool		scalars = true;

	if (depth > DOCUMENT_MAX_DEPTH)
	{
		set_defect(doc, NULL);
		return;
	}
	for (int i = 0; i < n && scalars; i++)
		scalars = getIthJsonbValueFromContainer(array, i)->type != jbvBinary;
	if (!scalars)
	{
		for (int i = 0; i < n; i++)
			take_value(doc, psprintf("%s.%d", path, i),
					   getIthJsonbValueFromContainer(array, i), depth);
		return;
	}
	initStringInfo(&joined);
	for (int i = 0; i < n; i++)
		appendStringInfo(&joined, "%s%s", i > 0 ? "," : "",
						 scalar_text(getIthJsonbValueFromContainer(array, i)));
	text.type = jbvString;
	text.val.string.val = joined.data;
	text.val.string.len = joined.len;
	take_scalar(doc, path, &text);
}

static void
take_object(Document *doc, const char *prefix, JsonbContainer *object, int depth)
{
	JsonbIterator *it = JsonbIteratorInit(object);
	JsonbIteratorToken token;
	JsonbValue	v;

	if (depth > DOCUMENT_MAX_DEPTH)
	{
		set_defect(doc, NULL);
		return;
	}
	token = JsonbIteratorNext(&it, &v, false);
	Assert(token == WJB_BEGIN_OBJECT);
	while ((token = JsonbIteratorNext(&it, &v, true)) == WJB_KEY)
	{
		char	   *path = psprintf("%s%s%.*s", prefix, prefix[0] ? "." : "",
									v.val.string.len, v.val.string.val);

		/* A member without a name, at the top: it must have one. */
		if (path[0] == '\0')
			path = "_";

		(void) JsonbIteratorNext(&it, &v, true);
		take_value(doc, path, &v, depth);
	}
}

static void
take_value(Document *doc, const char *path, JsonbValue *v, int depth)
{
	const PathTarget *t;

	if (v->type != jbvBinary)
	{
		take_scalar(doc, path, v);
		return;
	}
	/* A column holds a scalar; a signal's object becomes signals by their paths. */
	t = find_target(path);
	if (t != NULL && t->target != TARGET_SIGNAL)
		set_defect(doc, t->field);
	else if (JsonContainerIsArray(v->val.binary.data))
		take_array(doc, path, v->val.binary.data, depth + 1);
	else
		take_object(doc, path, v->val.binary.data, depth + 1);
}

static bytea *
document_bytes(JsonbContainer *container, int size)
{
	char	   *text = JsonbToCString(NULL, container, size);

	return DatumGetByteaP(DirectFunctionCall1(textsend, CStringGetTextDatum(text)));
}

/* One document, or what stands in its place. */
static void
add_document(Batch *batch, int32 source_id, JsonbValue *v)
{
	MemoryContext old = MemoryContextSwitchTo(batch->piece);
	Document	doc = {0};
	Report	   *r = batch_add(batch);

	r->source_id = source_id;
	r->received_at = batch->now;
	r->schema_version = 1;
	r->latitude = r->longitude = NAN;
	r->altitude_m = r->accuracy_m = r->speed_kmh = r->heading_deg = NAN;
	doc.report = r;
	doc.signals = signals_builder();

	if (v->type == jbvBinary && JsonContainerIsObject(v->val.binary.data))
		take_object(&doc, "", v->val.binary.data, 0);
	else
		set_defect(&doc, NULL);
	if (doc.nsignals > 0)
		r->signals = signals_build(doc.signals);
	if (r->received_at > batch->now)
		r->received_at = batch->now;
	if (doc.defect != NULL)
	{
		r->defect = doc.defect;
		r->raw = v->type == jbvBinary
			? document_bytes(v->val.binary.data, v->val.binary.len)
			: DatumGetByteaP(DirectFunctionCall1(textsend, CStringGetTextDatum(scalar_text(v))));
	}
	MemoryContextSwitchTo(old);
	batch_limit_memory(batch);
}

/*
 * ingest_json(source_id integer, document jsonb) returns the row of last_batch()
 *	  The document, or each element of an array of them, as one statement.
 */
Datum
ingest_json(PG_FUNCTION_ARGS)
{
	int32		source_id = PG_GETARG_INT32(0);
	Jsonb	   *document = PG_GETARG_JSONB_P(1);
	Batch	   *batch;

	PreventCommandIfReadOnly("fleet.ingest_json()");
	batch = batch_begin();
	if (JB_ROOT_IS_ARRAY(document) && !JB_ROOT_IS_SCALAR(document))
	{
		int			n = JB_ROOT_COUNT(document);

		for (int i = 0; i < n; i++)
			add_document(batch, source_id, getIthJsonbValueFromContainer(&document->root, i));
	}
	else
	{
		JsonbValue	v;

		v.type = jbvBinary;
		v.val.binary.data = &document->root;
		v.val.binary.len = VARSIZE(document) - VARHDRSZ;
		add_document(batch, source_id, &v);
	}
	batch_finish(batch);
	PG_RETURN_DATUM(last_batch_tuple(fcinfo));
}
