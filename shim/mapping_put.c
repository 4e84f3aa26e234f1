/*
 * mapping_put.c
 *	  What becomes of a scalar of a document: the part of decoding that the
 *	  scanner and the json-c path share.
 */
#include "mapping_tree.h"

#include <math.h>

#include "time_parse.h"

#define EPOCH_SECONDS_END 1e11	/* a greater number is milliseconds */

static void
malformed(const Fill *fill, Str name)
{
	record_set_defect(fill->record, "malformed", name);
}

/* The string itself when it lives long enough, else a copy; data NULL: no room. */
static Str
keep(const Fill *fill, Str text, bool stable)
{
	char	   *copy;

	if (stable)
		return text;
	copy = record_scratch(fill->record, text.len);
	if (copy != NULL)
		memcpy(copy, text.data, text.len);
	return (Str) {copy, text.len};
}

void
mapping_flat_name(FlatName *out, Str prefix, Str key)
{
	uint32_t	n = prefix.len;

	memcpy(out->data, prefix.data, n);
	if (n > 0 && n < sizeof(out->data))
		out->data[n++] = '_';
	for (uint32_t i = 0; i < key.len && n < sizeof(out->data); i++)
	{
		unsigned char c = (unsigned char) key.data[i];
		bool		digit = (unsigned char) (c - '0') <= 9;

		if (c >= 0x80 && c < 0xC0)
			continue;			/* one _ for a whole UTF-8 sequence */
		if (digit && n == 0)
			out->data[n++] = '_';	/* never the last byte */
		out->data[n++] = digit || (unsigned char) ((c | 0x20) - 'a') < 26 ? (char) c : '_';
	}
	if (n == 0)
		out->data[n++] = '_';
	out->len = n;
}

void
mapping_put_signal(const Fill *fill, Str name, bool name_stable, const JsonScalar *scalar)
{
	Record	   *record = fill->record;
	Str			kept;
	bool		added = false;

	if (scalar->type == JSON_NULL)
		return;
	/* A name that is none cannot be told, and no single one is at fault for too many. */
	if (name.len > RECORD_NAME_MAX || record->nsignals == RECORD_MAX_SIGNALS)
	{
		malformed(fill, (Str) {0});
		return;
	}
	kept = keep(fill, name, name_stable);
	if (kept.data != NULL)
		switch (scalar->type)
		{
			case JSON_NULL:
				break;
			case JSON_BOOLEAN:
				added = record_add_boolean(record, kept, scalar->boolean);
				break;
			case JSON_NUMBER:
				/* + 0.0 makes -0 a 0, as numeric does */
				added = record_add_number(record, kept, scalar->number + 0.0);
				break;
			case JSON_STRING:
				added = record_add_text(record, kept, scalar->text);
				if (added && !fill->stable)
				{
					RecordSignal *signal = &record->signals[record->nsignals - 1];

					signal->text = keep(fill, scalar->text, false);
					if (signal->text.data == NULL)
					{
						record->nsignals--;
						added = false;
					}
				}
				break;
		}
	if (!added)
		malformed(fill, name);
}

void
mapping_put_wrong(const Fill *fill, const MappingTarget *target)
{
	malformed(fill, target->name);
}

/* --- arrays --- */
void
mapping_join_begin(const Fill *fill, Join *join)
{
	join->text = record_scratch(fill->record, RECORD_TEXT_MAX);
	join->len = 0;
	join->any = false;
	join->overflow = join->text == NULL;
}

void
mapping_join_add(Join *join, const JsonScalar *scalar)
{
	Str			text = scalar->text;
	uint32_t	room;

	if (join->overflow)
		return;
	if (scalar->type == JSON_BOOLEAN)
		text = scalar->boolean ? RECORD_STR("true") : RECORD_STR("false");
	else if (scalar->type == JSON_NULL)
		text = RECORD_STR("null");	/* the others keep their places */
	if (join->any)
	{
		if (join->len == RECORD_TEXT_MAX)
		{
			join->overflow = true;
			return;
		}
		join->text[join->len++] = ',';
	}
	join->any = true;
	room = RECORD_TEXT_MAX - join->len;
	if (scalar->type == JSON_NUMBER)
	{
		uint32_t	n;
		char		number[RECORD_TEXT_MAX + 2];

		/* Built aside, since it may need two bytes more than it leaves. */
		if (!json_number_text(text, number, sizeof(number), &n) || n > room)
		{
			join->overflow = true;
			return;
		}
		memcpy(join->text + join->len, number, n);
		join->len += n;
		return;
	}
	if (text.len > room)
	{
		join->overflow = true;
		return;
	}
	memcpy(join->text + join->len, text.data, text.len);
	join->len += text.len;
}

void
mapping_join_end(const Fill *fill, Join *join, Str name, bool name_stable)
{
	JsonScalar	scalar = {.type = JSON_STRING};
	Fill		own = {.record = fill->record,.stable = true};

	if (join->text != NULL)
		record_scratch_trim(fill->record, join->text, join->overflow ? 0 : join->len);
	if (join->overflow)
	{
		malformed(fill, name);
		return;
	}
	scalar.text = (Str) {join->text, join->len};
	mapping_put_signal(&own, name, name_stable, &scalar);
}

/* --- columns --- */
static void
put_device(const Fill *fill, const MappingTarget *target, const JsonScalar *scalar)
{
	Record	   *record = fill->record;

	if (scalar->type == JSON_STRING && scalar->text.len <= RECORD_DEVICE_MAX)
	{
		record->device = keep(fill, scalar->text, fill->stable);
		if (record->device.data != NULL)
			return;
	}
	else if (scalar->type == JSON_NUMBER)
	{
		char	   *text = record_scratch(record, RECORD_DEVICE_MAX + 2);
		uint32_t	n;

		if (text != NULL)
		{
			if (json_number_text(scalar->text, text, RECORD_DEVICE_MAX + 2, &n) &&
				n <= RECORD_DEVICE_MAX)
			{
				record_scratch_trim(record, text, n);
				record->device = (Str) {text, n};
				return;
			}
			record_scratch_trim(record, text, 0);
		}
	}
	record->device = (Str) {0};
	malformed(fill, target->name);
}

/* False when the scalar is no time. */
static bool
read_time(const MappingTarget *target, const JsonScalar *scalar, int64_t *us)
{
	double		unit = target->time_unit_us;
	double		value;

	if (scalar->type == JSON_STRING)
		return time_parse(scalar->text.data, scalar->text.len, target->zone_seconds, us);
	if (scalar->type != JSON_NUMBER)
		return false;
	if (unit == 0)
		unit = fabs(scalar->number) < EPOCH_SECONDS_END ? 1e6 : 1e3;
	value = rint(scalar->number * unit);
	if (!(value >= (double) TIME_MIN_US && value < (double) TIME_END_US))
		return false;
	*us = (int64_t) value;
	return true;
}

static void
put_event_time(const Fill *fill, const MappingTarget *target, const JsonScalar *scalar)
{
	Record	   *record = fill->record;

	record->has_event_time = read_time(target, scalar, &record->event_time_us);
	if (!record->has_event_time)
	{
		record->event_time_us = 0;
		malformed(fill, target->name);
	}
}

static void
put_received_at(const Fill *fill, const MappingTarget *target, const JsonScalar *scalar)
{
	if (!read_time(target, scalar, &fill->record->received_at_us))
	{
		fill->record->received_at_us = 0;
		malformed(fill, target->name);
	}
}

static void
put_schema_version(const Fill *fill, const MappingTarget *target, const JsonScalar *scalar)
{
	Record	   *record = fill->record;

	record->schema_version = 0;
	if (scalar->type != JSON_NUMBER || fabs(scalar->number) > INT32_MAX ||
		scalar->number != rint(scalar->number))
		malformed(fill, target->name);
	else if (scalar->number == 0)
		record_set_defect(record, "unknown_schema", target->name);	/* a record's 0 is none */
	else
		record->schema_version = (int32_t) scalar->number;
}

static void
put_number(const Fill *fill, const MappingTarget *target, const JsonScalar *scalar, double *column)
{
	/* An infinite one is out of range, and the contract says so. */
	if (scalar->type == JSON_NUMBER)
		*column = scalar->number + 0.0;
	else
	{
		*column = NAN;
		malformed(fill, target->name);
	}
}

/* The value that an enumeration gives; NULL when it has none for that. */
static const JsonScalar *
choose(const MappingTarget *target, const JsonScalar *scalar)
{
	char		number[64];
	Str			key = scalar->text;

	if (scalar->type == JSON_BOOLEAN)
		key = scalar->boolean ? RECORD_STR("true") : RECORD_STR("false");
	else if (scalar->type == JSON_NUMBER)
	{
		if (!json_number_text(scalar->text, number, sizeof(number), &key.len))
			return target->otherwise;
		key.data = number;
	}
	for (size_t i = 0; i < target->nchoices; i++)
		if (target->choices[i].key.len == key.len &&
			memcmp(target->choices[i].key.data, key.data, key.len) == 0)
			return &target->choices[i].value;
	return target->otherwise;
}

/* Enumeration, text to number, scale: all that only a mapping of one's own has. */
static void
put_converted(const Fill *fill, const MappingTarget *target, const JsonScalar *scalar)
{
	MappingTarget plain = *target;
	JsonScalar	value = *scalar;
	Fill		how = *fill;

	if (target->nchoices > 0)
	{
		const JsonScalar *chosen = choose(target, scalar);

		if (chosen == NULL)
		{
			malformed(fill, target->name);
			return;
		}
		value = *chosen;
		how.stable = true;		/* the mapping's */
		if (value.type == JSON_NULL)
			return;
	}
	if (target->number_in_text && value.type == JSON_STRING &&
		json_is_number(value.text.data, value.text.len))
	{
		value.type = JSON_NUMBER;
		value.number = json_number_value(value.text);
	}
	if (target->scaled)
	{
		if (value.type != JSON_NUMBER)
		{
			malformed(fill, target->name);
			return;
		}
		value.number = value.number * target->scale + target->offset;
	}
	plain.nchoices = 0;
	plain.number_in_text = false;
	plain.scaled = false;
	mapping_put(&how, &plain, &value);
}

void
mapping_put(const Fill *fill, const MappingTarget *target, const JsonScalar *scalar)
{
	Record	   *record = fill->record;

	if (scalar->type == JSON_NULL)
		return;
	if (!mapping_target_plain(target))
	{
		put_converted(fill, target, scalar);
		return;
	}
	switch (target->field)
	{
		case FIELD_DEVICE:
			put_device(fill, target, scalar);
			break;
		case FIELD_EVENT_TIME:
			put_event_time(fill, target, scalar);
			break;
		case FIELD_RECEIVED_AT:
			put_received_at(fill, target, scalar);
			break;
		case FIELD_SCHEMA_VERSION:
			put_schema_version(fill, target, scalar);
			break;
		case FIELD_LATITUDE:
			put_number(fill, target, scalar, &record->latitude);
			break;
		case FIELD_LONGITUDE:
			put_number(fill, target, scalar, &record->longitude);
			break;
		case FIELD_ALTITUDE:
			put_number(fill, target, scalar, &record->altitude_m);
			break;
		case FIELD_ACCURACY:
			put_number(fill, target, scalar, &record->accuracy_m);
			break;
		case FIELD_SPEED:
			put_number(fill, target, scalar, &record->speed_kmh);
			break;
		case FIELD_HEADING:
			put_number(fill, target, scalar, &record->heading_deg);
			break;
		case FIELD_SIGNAL:
			mapping_put_signal(fill, target->name, true, scalar);
			break;
	}
}
