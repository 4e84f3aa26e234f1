/*
 * tesla_decode.c
 *	  Payloads to records: a car's data, its alerts and errors, connectivity,
 *	  metrics.
 */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plausible.h"
#include "tesla.h"
#include "tesla_payload.pb-c.h"
#include "time_parse.h"
#include "tracker_report.h"
#include "tracker_text.h"

#define KMH_PER_MPH 1.609344
#define MS_FROM INT64_C(315576000000)	/* seconds from here on are milliseconds */
#define ARENA_FIXED 16384		/* what a payload may become in memory: this, */
#define ARENA_FACTOR 64			/* and so many times its length */

enum
{
	FIELD_SPEED = 4, FIELD_LOCATION = 21, FIELD_HEADING = 23, FIELD_DETAILED_CHARGE_STATE = 179
};

/* --- memory of one payload: a piece that is freed as a whole --- */

typedef struct Arena
{
	char	   *memory;
	size_t		size;
	size_t		used;
} Arena;

static void *
arena_alloc(void *arg, size_t size)
{
	Arena	   *arena = arg;
	char	   *piece = arena->memory + arena->used;

	if (size > arena->size - arena->used)
		return NULL;
	arena->used += (size + 15) / 16 * 16 < arena->size - arena->used ? (size + 15) / 16 * 16 : arena->size - arena->used;
	return piece;
}

static void
arena_free(void *arg, void *piece)
{
	(void) arg;
	(void) piece;
}

/* --- values --- */

static Str
str(const char *text)
{
	return (Str) {text, (uint32_t) strlen(text)};
}

/* prefix_name in letters that a signal's name may have; "" when there is no room. */
static const char *
join_name(Record *r, const char *prefix, const char *name)
{
	char	   *out = record_scratch(r, RECORD_NAME_MAX + 1);

	if (out == NULL)
		return "";
	snprintf(out, RECORD_NAME_MAX + 1, "%s_%s", prefix, name);
	for (char *p = out; *p != '\0'; p++)
		if (!isalnum((unsigned char) *p) || (unsigned char) *p > '~')
			*p = '_';
	return out;
}

/* What does not fit makes the report one for quarantine, not one with a gap. */
static void
check(Record *r, bool added)
{
	if (!added)
		record_set_defect(r, "malformed", RECORD_STR("signals"));
}

static void
put_boolean(Record *r, const char *name, bool value)
{
	check(r, record_add_boolean(r, str(name), value));
}

static void
put_text(Record *r, const char *name, const char *value)
{
	uint32_t	before = r->nsignals;

	if (value[0] == '\0')
		check(r, record_add_text(r, str(name), (Str) {"", 0}));
	else
	{
		tracker_put_text(r, name, str(value));
		check(r, r->nsignals > before);
	}
}

static void
put_number(Record *r, const char *name, double value)
{
	if (isfinite(value))
		check(r, record_add_number(r, str(name), value));
	else
		put_boolean(r, join_name(r, name, "invalid"), true);
}

/* A whole text that is a number, "1.19e-05" too. */
static bool
is_number(const char *text, double *value)
{
	char	   *end;

	if (!isdigit((unsigned char) text[text[0] == '-' || text[0] == '+']) ||
		strpbrk(text, "xXpP") != NULL)
		return false;
	*value = strtod(text, &end);
	return *end == '\0' && isfinite(*value);
}

static void
put_place(Record *r, int32_t number, const char *name, double latitude, double longitude)
{
	if (!isfinite(latitude) || !isfinite(longitude))
		put_boolean(r, join_name(r, name, "invalid"), true);
	else if (number == FIELD_LOCATION)
	{
		r->latitude = latitude;
		r->longitude = longitude;
	}
	else
	{
		put_number(r, join_name(r, name, "latitude"), latitude);
		put_number(r, join_name(r, name, "longitude"), longitude);
	}
}

/* "(37.412374 N, 122.145867 W)" of old firmware. */
static bool
put_place_text(Record *r, int32_t number, const char *name, const char *text)
{
	double		latitude;
	double		longitude;
	char		ns;
	char		ew;
	int			end = 0;

	if (sscanf(text, "(%31lf %c, %31lf %c)%n", &latitude, &ns, &longitude, &ew, &end) != 4 || end == 0 || text[end] != '\0' ||
		strchr("NS", ns) == NULL || strchr("EW", ew) == NULL)
		return false;
	put_place(r, number, name, ns == 'S' ? -latitude : latitude, ew == 'W' ? -longitude : longitude);
	return true;
}

static void
put_field_number(Record *r, int32_t number, const TeslaField *field, const char *name, double value)
{
	if (number == FIELD_SPEED && plausible_number(RECORD_STR("speed_kmh"), value * KMH_PER_MPH))
		r->speed_kmh = value * KMH_PER_MPH;
	else if (number == FIELD_HEADING && value >= 0 && value <= 360)
		r->heading_deg = value < 360 ? value : 0;
	else if (field != NULL && field->known != NULL && field->kind == TESLA_NUMBER &&
			 plausible_number(str(field->known), value * field->factor))
		put_number(r, field->known, value * field->factor);
	else
		put_number(r, name, value);
}

static void
put_field_boolean(Record *r, const TeslaField *field, const char *name, bool value)
{
	put_boolean(r, field != NULL && field->known != NULL && field->kind == TESLA_BOOLEAN ? field->known : name, value);
}

/* Old firmware sends all as text: what is documented as something else is read as that. */
static void
put_field_text(Record *r, int32_t number, const TeslaField *field, const char *name, const char *text)
{
	double		value;

	if (field != NULL && field->kind == TESLA_NUMBER && is_number(text, &value))
		put_field_number(r, number, field, name, value);
	else if (field != NULL && field->kind == TESLA_BOOLEAN && (strcasecmp(text, "true") == 0 || strcasecmp(text, "false") == 0))
		put_field_boolean(r, field, name, tolower((unsigned char) text[0]) == 't');
	else if (text[0] != '(' || !put_place_text(r, number, name, text))
		put_text(r, name, text);
}

static void
put_label(Record *r, int32_t number, const char *name, uint32_t member, int32_t value)
{
	const char *label = tesla_label(member, value);
	char	   *digits;

	if (label == NULL)
	{
		digits = record_scratch(r, 12);
		if (digits != NULL)
			snprintf(digits, 12, "%d", (int) value);
		label = digits != NULL ? digits : "";
	}
	if (number == FIELD_DETAILED_CHARGE_STATE)
	{
		put_text(r, "charge_state", label);
		put_boolean(r, "charging", strcmp(label, "Charging") == 0);
	}
	else
		put_text(r, name, label);
}

/* The switches of a structure, each under its own name. */
static void
put_switches(Record *r, const char *name, const ProtobufCMessage *message)
{
	for (unsigned i = 0; i < message->descriptor->n_fields; i++)
	{
		const ProtobufCFieldDescriptor *part = &message->descriptor->fields[i];
		bool		on = *(const protobuf_c_boolean *) ((const char *) message + part->offset) != 0;

		/* Of most cars there are four tires. */
		if (on || part->id <= 4 || message->descriptor != &tesla__tires__descriptor)
			put_boolean(r, join_name(r, name, part->name), on);
	}
}

static void
put_doors(Record *r, const Tesla__Doors *doors)
{
	put_boolean(r, "door_driver_open", doors->driver_front);
	put_boolean(r, "door_passenger_open", doors->passenger_front);
	put_boolean(r, "door_driver_rear_open", doors->driver_rear);
	put_boolean(r, "door_passenger_rear_open", doors->passenger_rear);
	put_boolean(r, "trunk_open", doors->trunk_rear);
	put_boolean(r, "hood_open", doors->trunk_front);
	put_boolean(r, "door_open", doors->driver_front || doors->passenger_front || doors->driver_rear || doors->passenger_rear);
}

static void
put_time_of_day(Record *r, const char *name, const Tesla__TimeOfDay *time)
{
	char	   *text = record_scratch(r, 48);

	if (text == NULL)
	{
		check(r, false);
		return;
	}
	snprintf(text, 48, "%02d:%02d:%02d", (int) time->hour, (int) time->minute, (int) time->second);
	put_text(r, name, text);
}

static void
put_datum(Record *r, const Tesla__Datum *datum)
{
	const TeslaField *field = tesla_field(datum->field);
	const Tesla__Value *value = datum->value;
	const ProtobufCFieldDescriptor *member;
	const char *at;
	const char *name = field != NULL ? field->name : NULL;
	char		number[16];

	/* Nothing in it, or a kind of value that is newer than this. */
	if (value == NULL || value->is_case == 0)
		return;
	if (name == NULL)
	{
		snprintf(number, sizeof(number), "%u", (unsigned) datum->field);
		name = join_name(r, "field", number);
	}
	member = protobuf_c_message_descriptor_get_field(&tesla__value__descriptor, value->is_case);
	at = (const char *) value + member->offset;
	switch ((int) value->is_case)
	{
		case TESLA__VALUE__IS_INVALID:
			put_boolean(r, join_name(r, name, "invalid"), value->invalid);
			return;
		case TESLA__VALUE__IS_PLACE:
			put_place(r, datum->field, name, value->place->latitude, value->place->longitude);
			return;
		case TESLA__VALUE__IS_DOORS:
			put_doors(r, value->doors);
			return;
		case TESLA__VALUE__IS_TIRES:
			put_switches(r, name, &value->tires->base);
			return;
		case TESLA__VALUE__IS_TIME:
			put_time_of_day(r, name, value->time);
			return;
	}
	switch (member->type)
	{
		case PROTOBUF_C_TYPE_STRING:
			put_field_text(r, datum->field, field, name, *(char *const *) at);
			break;
		case PROTOBUF_C_TYPE_BOOL:
			put_field_boolean(r, field, name, *(const protobuf_c_boolean *) at != 0);
			break;
		case PROTOBUF_C_TYPE_INT32:
			if (tesla_is_listed(value->is_case))
				put_label(r, datum->field, name, value->is_case, *(const int32_t *) at);
			else
				put_field_number(r, datum->field, field, name, *(const int32_t *) at);
			break;
		case PROTOBUF_C_TYPE_INT64:
			put_field_number(r, datum->field, field, name, (double) *(const int64_t *) at);
			break;
		case PROTOBUF_C_TYPE_FLOAT:
			put_field_number(r, datum->field, field, name, *(const float *) at);
			break;
		default:
			put_field_number(r, datum->field, field, name, *(const double *) at);
			break;
	}
}

/* --- records --- */

/* Some alerts carry milliseconds in the place of seconds. */
static bool
stamp_us(const Tesla__Stamp *stamp, int64_t *us)
{
	int64_t		limit = TIME_END_US / 1000000 - 1;

	if (stamp == NULL || stamp->seconds <= 0)
		return false;
	if (stamp->seconds >= MS_FROM)
	{
		if (stamp->seconds / 1000 >= limit)
			return false;
		*us = stamp->seconds * 1000;
	}
	else
		*us = stamp->seconds * 1000000;
	if (stamp->nanos > 0 && stamp->nanos < 1000000000)
		*us += stamp->nanos / 1000;
	return true;
}

/* Of the first of the times that is there; else of the envelope's, in whole seconds. */
static Record *
begin(const Session *session, const TeslaEnvelope *envelope, Str raw, const Tesla__Stamp *first,
	  const Tesla__Stamp *second, Decoded *out)
{
	Record	   *r = tracker_report(session, out);

	r->raw = raw;
	r->has_event_time = stamp_us(first, &r->event_time_us) || stamp_us(second, &r->event_time_us);
	if (!r->has_event_time && envelope->created_at > 0)
	{
		r->has_event_time = true;
		r->event_time_us = (int64_t) envelope->created_at * 1000000;
	}
	if (!r->has_event_time)
		record_set_defect(r, "missing_field", RECORD_STR("event_time"));
	return r;
}

static void
emit(Record *r, Decoded *out)
{
	plausible(r);
	/* The payload has the car's VIN in it: its bytes go with what is refused here only. */
	if (r->defect.len == 0 && r->has_event_time)
		r->raw = (Str) {NULL, 0};
	out->emit(out->emit_arg, r);
}

static void
put_tags(Record *r, const char *prefix, size_t n, Tesla__Tag *const *tags)
{
	for (size_t i = 0; i < n; i++)
		if (tags[i]->key[0] != '\0')
			put_text(r, join_name(r, prefix, tags[i]->key), tags[i]->value);
}

static void
emit_alert(const Session *session, const TeslaEnvelope *envelope, Str raw, const Tesla__Alerts *alerts,
		   const Tesla__Alert *alert, Decoded *out)
{
	static const char *const names[] = {"unknown", "customer", "service", "service_fix"};
	const Tesla__Stamp *when = alert->ended_at != NULL ? alert->ended_at : alert->started_at;
	Record	   *r = begin(session, envelope, raw, when, alerts->created_at, out);
	char	   *audiences = record_scratch(r, 128);
	int64_t		began;
	size_t		n = 0;

	put_text(r, "event_type", "alert");
	put_text(r, "alarm", alert->name);
	put_boolean(r, "alarm_active", alert->ended_at == NULL);
	for (size_t i = 0; audiences != NULL && i < alert->n_audiences && n < 100; i++)
		if (alert->audiences[i] >= 0 && alert->audiences[i] <= 3)
			n += (size_t) snprintf(audiences + n, 128 - n, "%s%s", n > 0 ? "," : "", names[alert->audiences[i]]);
	if (n > 0)
		put_text(r, "alarm_audiences", audiences);
	if (stamp_us(alert->started_at, &began))
		put_number(r, "alarm_started_at", (double) began / 1e6);
	emit(r, out);
}

static void
emit_error(const Session *session, const TeslaEnvelope *envelope, Str raw, const Tesla__Errors *errors,
		   const Tesla__Error *error, Decoded *out)
{
	Record	   *r = begin(session, envelope, raw, error->created_at, errors->created_at, out);

	put_text(r, "event_type", "error");
	put_text(r, "error_name", error->name);
	if (error->body[0] != '\0')
		put_text(r, "error_body", error->body);
	put_tags(r, "error_tag", error->n_tags, error->tags);
	emit(r, out);
}

static void
emit_message(const Session *session, const TeslaEnvelope *envelope, Str raw, const ProtobufCMessage *message, Decoded *out)
{
	Record	   *r;

	if (message->descriptor == &tesla__data__descriptor)
	{
		const Tesla__Data *data = (const Tesla__Data *) message;

		r = begin(session, envelope, raw, data->created_at, NULL, out);
		for (size_t i = 0; i < data->n_data; i++)
			put_datum(r, data->data[i]);
		if (data->is_resend)
			put_boolean(r, "is_resend", true);
		emit(r, out);
	}
	else if (message->descriptor == &tesla__alerts__descriptor)
	{
		const Tesla__Alerts *alerts = (const Tesla__Alerts *) message;

		for (size_t i = 0; i < alerts->n_alerts; i++)
			emit_alert(session, envelope, raw, alerts, alerts->alerts[i], out);
	}
	else if (message->descriptor == &tesla__errors__descriptor)
	{
		const Tesla__Errors *errors = (const Tesla__Errors *) message;

		for (size_t i = 0; i < errors->n_errors; i++)
			emit_error(session, envelope, raw, errors, errors->errors[i], out);
	}
	else if (message->descriptor == &tesla__connectivity__descriptor)
	{
		const Tesla__Connectivity *c = (const Tesla__Connectivity *) message;

		r = begin(session, envelope, raw, c->created_at, NULL, out);
		put_text(r, "event_type", "connectivity");
		if (c->status == 1 || c->status == 2)
			put_boolean(r, "connected", c->status == 1);
		put_text(r, "connection_id", c->connection_id);
		put_text(r, "network_interface", c->network_interface);
		emit(r, out);
	}
	else
	{
		const Tesla__Metrics *metrics = (const Tesla__Metrics *) message;

		r = begin(session, envelope, raw, metrics->created_at, NULL, out);
		put_text(r, "event_type", "metrics");
		for (size_t i = 0; i < metrics->n_metrics; i++)
		{
			const char *name = join_name(r, "metric", metrics->metrics[i]->name);

			put_number(r, name, metrics->metrics[i]->value);
			put_tags(r, name, metrics->metrics[i]->n_tags, metrics->metrics[i]->tags);
		}
		emit(r, out);
	}
}

const char *
tesla_decode(const Session *session, const TeslaEnvelope *envelope, Str raw, Decoded *out)
{
	static const struct
	{
		const char *topic;
		const ProtobufCMessageDescriptor *descriptor;
	}			topics[] = {
		{"V", &tesla__data__descriptor},
		{"alerts", &tesla__alerts__descriptor},
		{"errors", &tesla__errors__descriptor},
		{"connectivity", &tesla__connectivity__descriptor},
		{"metrics", &tesla__metrics__descriptor}
	};
	Arena		arena = {NULL, ARENA_FIXED + ARENA_FACTOR * (size_t) envelope->payload.len, 0};
	ProtobufCAllocator allocator = {arena_alloc, arena_free, &arena};
	const ProtobufCMessageDescriptor *descriptor = NULL;
	ProtobufCMessage *message;

	for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++)
		if (tracker_equals(envelope->topic, topics[i].topic))
			descriptor = topics[i].descriptor;
	if (descriptor == NULL)
		return "topic";
	arena.memory = malloc(arena.size);
	if (arena.memory == NULL)
		return "payload";
	message = protobuf_c_message_unpack(descriptor, &allocator, envelope->payload.len,
										(const uint8_t *) envelope->payload.data);
	if (message != NULL)
		emit_message(session, envelope, raw, message, out);
	free(arena.memory);
	return message != NULL ? NULL : "payload";
}
