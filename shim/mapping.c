/*
 * mapping.c
 *	  Compiling mappings: the default one from a table, others from the
 *	  configuration.
 */
#include "mapping_tree.h"

#include <json-c/json.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "json_decode.h"
#include "time_parse.h"

#define PATH_SEGMENTS_MAX JSON_DEPTH_MAX
#define EDGE_SLOTS 4096			/* a quarter full at most: MAPPING_NODES_MAX */

/* What reports have beside signals, and what else a configuration may call it. */
static const struct
{
	const char *name;
	MappingField field;
}			columns[] =
{
	{"device", FIELD_DEVICE},
	{"id", FIELD_DEVICE},
	{"event_time", FIELD_EVENT_TIME},
	{"received_at", FIELD_RECEIVED_AT},
	{"latitude", FIELD_LATITUDE},
	{"longitude", FIELD_LONGITUDE},
	{"altitude_m", FIELD_ALTITUDE},
	{"accuracy_m", FIELD_ACCURACY},
	{"speed_kmh", FIELD_SPEED},
	{"heading_deg", FIELD_HEADING},
	{"schema_version", FIELD_SCHEMA_VERSION},
};

/* The reference document.  docs/mapping.md shows it. */
static const struct
{
	const char *name;
	const char *path;
}			reference[] =
{
	{"device", "vehicle_id"},
	{"event_time", "timestamp"},
	{"latitude", "location.lat"},
	{"longitude", "location.lon"},
	{"altitude_m", "location.altitude"},
	{"accuracy_m", "location.accuracy"},
	{"speed_kmh", "motion.speed_kmh"},
	{"heading_deg", "motion.heading"},
	{"battery_percent", "battery.percent"},
	{"battery_voltage_v", "battery.voltage"},
	{"battery_current_a", "battery.current"},
	{"battery_temp_c", "battery.temperature"},
	{"charging", "battery.charging"},
	{"acceleration_x_ms2", "motion.acceleration.x"},
	{"acceleration_y_ms2", "motion.acceleration.y"},
	{"acceleration_z_ms2", "motion.acceleration.z"},
	{"locked", "vehicle_status.locked"},
	{"in_use", "vehicle_status.in_use"},
	{"trip_id", "vehicle_status.trip_id"},
	{"odometer_km", "diagnostics.odometer_km"},
	{"error_codes", "diagnostics.error_codes"},
	{"last_maintenance_km", "diagnostics.last_maintenance_km"},
};

static const struct
{
	const char *name;
	double		scale;
	double		offset;
}			units[] =
{
	{"m/s", 3.6, 0},			/* to km/h */
	{"mph", 1.609344, 0},
	{"kn", 1.852, 0},
	{"km/h", 1, 0},
	{"ft", 0.3048, 0},			/* to m */
	{"m", 1, 0},
	{"mi", 1.609344, 0},		/* to km */
	{"km", 1, 0},
	{"mV", 0.001, 0},			/* to V */
	{"V", 1, 0},
	{"mA", 0.001, 0},			/* to A */
	{"A", 1, 0},
	{"degF", 5.0 / 9.0, -160.0 / 9.0},	/* to degrees Celsius */
	{"degC", 1, 0},
	{"fraction", 100, 0},		/* to percent */
	{"percent", 1, 0},
};

/* --- memory of a mapping: a list, freed as a whole --- */
typedef struct Piece
{
	struct Piece *next;
	max_align_t data[];
} Piece;

static void *
mapping_alloc(Mapping *mapping, size_t size)
{
	Piece	   *piece = calloc(1, sizeof(Piece) + size);

	if (piece == NULL)
		return NULL;
	piece->next = mapping->memory;
	mapping->memory = piece;
	return piece->data;
}

static const char *
mapping_copy(Mapping *mapping, const char *text, size_t len)
{
	char	   *copy = mapping_alloc(mapping, len + 1);

	if (copy != NULL)
		memcpy(copy, text, len);
	return copy;
}

void
mapping_free(Mapping *mapping)
{
	Piece	   *piece;

	if (mapping == NULL)
		return;
	for (piece = mapping->memory; piece != NULL;)
	{
		Piece	   *next = piece->next;

		free(piece);
		piece = next;
	}
	free(mapping);
}

static Mapping *
mapping_new(const char *name)
{
	Mapping    *mapping = calloc(1, sizeof(Mapping));

	if (mapping == NULL)
		return NULL;
	mapping->keep_others = true;
	mapping->name = (char *) mapping_copy(mapping, name, strlen(name));
	mapping->nodes = mapping_alloc(mapping, MAPPING_NODES_MAX * sizeof(MappingNode));
	mapping->edges = mapping_alloc(mapping, EDGE_SLOTS * sizeof(MappingEdge));
	if (mapping->name == NULL || mapping->nodes == NULL || mapping->edges == NULL)
	{
		mapping_free(mapping);
		return NULL;
	}
	mapping->edge_mask = EDGE_SLOTS - 1;
	mapping->nnodes = 1;
	mapping->nodes[MAPPING_ROOT].flat = RECORD_STR("");
	return mapping;
}

static bool
is_index(Str key)
{
	for (uint32_t i = 0; i < key.len; i++)
		if (key.data[i] < '0' || key.data[i] > '9')
			return false;
	return key.len > 0;
}

/* The child of that name, made when there is none; -1: no room. */
static int
grow_child(Mapping *mapping, int from, Str key)
{
	uint64_t	words[2];
	uint32_t	slot;
	int			child;
	FlatName	flat;
	MappingEdge *edge;

	mapping_key_words(key.data, key.len, words);
	child = mapping_child(mapping, from, key.data, key.len, words);
	if (child != MAPPING_UNKNOWN)
		return child;
	if (mapping->nnodes == MAPPING_NODES_MAX)
		return -1;
	mapping_flat_name(&flat, mapping->nodes[from].flat, key);
	slot = mapping_key_hash(words, key.len, (uint32_t) from);
	while (mapping->edges[slot & mapping->edge_mask].to != 0)
		slot++;
	edge = &mapping->edges[slot & mapping->edge_mask];
	edge->key = mapping_copy(mapping, key.data, key.len);
	if (edge->key == NULL)
		return -1;
	edge->key_len = key.len;
	memcpy(edge->key_words, words, sizeof(words));
	edge->from = (uint16_t) from;
	child = (int) mapping->nnodes;
	mapping->nodes[child].flat = (Str) {mapping_copy(mapping, flat.data, flat.len), flat.len};
	if (mapping->nodes[child].flat.data == NULL)
		return -1;
	mapping->nnodes++;
	mapping->nodes[from].has_children = true;
	if (is_index(key))
		mapping->nodes[from].has_elements = true;
	edge->to = (uint16_t) child;
	return child;
}

static MappingTarget *
target_new(Mapping *mapping, const char *name)
{
	MappingTarget *target = mapping_alloc(mapping, sizeof(MappingTarget));

	if (target == NULL)
		return NULL;
	target->field = FIELD_SIGNAL;
	target->scale = 1;
	target->zone_seconds = TIME_NO_ZONE;
	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
		if (strcmp(columns[i].name, name) == 0)
			target->field = columns[i].field;
	if (target->field == FIELD_DEVICE)
		name = "device";		/* also for "id" */
	target->name = (Str) {mapping_copy(mapping, name, strlen(name)), (uint32_t) strlen(name)};
	return target->name.data != NULL ? target : NULL;
}

/* "a.b.0": three segments. */
static size_t
split_path(const char *path, Str *segments)
{
	size_t		n = 0;

	for (;;)
	{
		const char *dot = strchr(path, '.');
		size_t		len = dot != NULL ? (size_t) (dot - path) : strlen(path);

		if (len == 0 || n == PATH_SEGMENTS_MAX)
			return 0;
		segments[n++] = (Str) {path, (uint32_t) len};
		if (dot == NULL)
			return n;
		path = dot + 1;
	}
}

/* The hash table in its final, smaller size: it should stay in the cache. */
static bool
seal(Mapping *mapping)
{
	MappingEdge *sparse = mapping->edges;
	uint32_t	slots = 64;

	while (slots < 4 * mapping->nnodes)
		slots *= 2;
	mapping->edges = mapping_alloc(mapping, slots * sizeof(MappingEdge));
	if (mapping->edges == NULL)
		return false;
	mapping->edge_mask = slots - 1;
	for (size_t i = 0; i < EDGE_SLOTS; i++)
	{
		uint32_t	slot;

		if (sparse[i].to == 0)
			continue;
		slot = mapping_key_hash(sparse[i].key_words, sparse[i].key_len, sparse[i].from);
		while (mapping->edges[slot & mapping->edge_mask].to != 0)
			slot++;
		mapping->edges[slot & mapping->edge_mask] = sparse[i];
	}
	return true;
}

typedef enum PlaceResult
{
	PLACE_OK,
	PLACE_TAKEN,				/* another target is there */
	PLACE_FULL
} PlaceResult;

static PlaceResult
place_target(Mapping *mapping, const MappingTarget *target, const Str *segments, size_t n)
{
	int			node = MAPPING_ROOT;

	for (size_t i = 0; i < n; i++)
	{
		node = grow_child(mapping, node, segments[i]);
		if (node < 0)
			return PLACE_FULL;
	}
	if (mapping->nodes[node].target != NULL)
		return PLACE_TAKEN;
	mapping->nodes[node].target = target;
	return PLACE_OK;
}

/*
 * Top-level members with the name of a column mean that column, unless the
 * mapping takes it from elsewhere or says what the member is.
 */
static bool
place_flat_columns(Mapping *mapping, const bool *taken)
{
	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
	{
		Str			key = {columns[i].name, (uint32_t) strlen(columns[i].name)};
		MappingTarget *target;

		/* "id" is a name of the configuration only */
		if (taken[columns[i].field] || strcmp(columns[i].name, "id") == 0)
			continue;
		target = target_new(mapping, columns[i].name);
		if (target == NULL || place_target(mapping, target, &key, 1) == PLACE_FULL)
			return false;
	}
	return true;
}

Mapping *
mapping_default(void)
{
	static const bool none_taken[FIELD_SIGNAL + 1];
	Mapping    *mapping = mapping_new("default");

	if (mapping == NULL)
		return NULL;
	for (size_t i = 0; i < sizeof(reference) / sizeof(reference[0]); i++)
	{
		Str			segments[PATH_SEGMENTS_MAX];
		size_t		n = split_path(reference[i].path, segments);
		MappingTarget *target = target_new(mapping, reference[i].name);

		if (target == NULL || place_target(mapping, target, segments, n) != PLACE_OK)
		{
			mapping_free(mapping);
			return NULL;
		}
	}
	if (!place_flat_columns(mapping, none_taken) || !seal(mapping))
	{
		mapping_free(mapping);
		return NULL;
	}
	return mapping;
}

/* --- from the configuration --- */
typedef struct Reader
{
	Mapping    *mapping;
	const char *target_name;	/* being read */
	char	   *err;
	size_t		errlen;
} Reader;

static bool complain(Reader *reader, const char *format,...) __attribute__((format(printf, 2, 3)));

/* Always false. */
static bool
complain(Reader *reader, const char *format,...)
{
	va_list		args;
	char		what[256];

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	if (reader->target_name != NULL)
		snprintf(reader->err, reader->errlen, "mapping \"%s\", \"%s\": %s",
				 reader->mapping->name, reader->target_name, what);
	else
		snprintf(reader->err, reader->errlen, "mapping \"%s\": %s", reader->mapping->name, what);
	return false;
}

static bool
read_scalar(Reader *reader, struct json_object *value, JsonScalar *out)
{
	switch (json_object_get_type(value))
	{
		case json_type_null:
			out->type = JSON_NULL;
			return true;
		case json_type_boolean:
			out->type = JSON_BOOLEAN;
			out->boolean = json_object_get_boolean(value);
			return true;
		case json_type_int:
		case json_type_double:
			out->type = JSON_NUMBER;
			out->number = json_object_get_double(value);
			if (!isfinite(out->number))
				return complain(reader, "a number is out of range");
			break;
		case json_type_string:
			out->type = JSON_STRING;
			break;
		default:
			return complain(reader, "an enumeration's values are text, numbers, booleans or null");
	}

	/* The text of a number serves when it names a device. */
	{
		const char *text = json_object_get_string(value);
		size_t		len = out->type == JSON_STRING ?
			(size_t) json_object_get_string_len(value) : strlen(text);

		if (memchr(text, '\0', len) != NULL)
			return complain(reader, "text must not contain NUL");
		out->text = (Str) {mapping_copy(reader->mapping, text, len), (uint32_t) len};
	}
	return out->text.data != NULL || complain(reader, "out of memory");
}

static bool
read_enumeration(Reader *reader, MappingTarget *target, struct json_object *object)
{
	if (!json_object_is_type(object, json_type_object) || json_object_object_length(object) == 0)
		return complain(reader, "\"enumeration\" must be an object that is not empty");
	target->choices = mapping_alloc(reader->mapping, (size_t) json_object_object_length(object) *
									sizeof(MappingChoice));
	if (target->choices == NULL)
		return complain(reader, "out of memory");
	json_object_object_foreach(object, key, value)
	{
		MappingChoice *choice = &target->choices[target->nchoices++];

		choice->key = (Str) {mapping_copy(reader->mapping, key, strlen(key)), (uint32_t) strlen(key)};
		if (choice->key.data == NULL)
			return complain(reader, "out of memory");
		if (!read_scalar(reader, value, &choice->value))
			return false;
		if (strcmp(key, "*") == 0)
			target->otherwise = &choice->value;
	}
	return true;
}

static bool
is_time(const MappingTarget *target)
{
	return target->field == FIELD_EVENT_TIME || target->field == FIELD_RECEIVED_AT;
}

static bool
read_unit(Reader *reader, MappingTarget *target, struct json_object *value)
{
	const char *unit;

	if (!json_object_is_type(value, json_type_string))
		return complain(reader, "\"unit\" must be text");
	unit = json_object_get_string(value);
	if (is_time(target))
	{
		if (strcmp(unit, "s") == 0)
			target->time_unit_us = 1e6;
		else if (strcmp(unit, "ms") == 0)
			target->time_unit_us = 1e3;
		else if (strcmp(unit, "us") == 0)
			target->time_unit_us = 1;
		else
			return complain(reader, "unit \"%.32s\" is not one of s, ms, us", unit);
		return true;
	}
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(units[i].name, unit) == 0)
		{
			target->scaled = units[i].scale != 1 || units[i].offset != 0;
			target->scale = units[i].scale;
			target->offset = units[i].offset;
			return true;
		}
	return complain(reader, "unit \"%.32s\" is not known; give \"scale\" and \"offset\"", unit);
}

static bool
read_factor(Reader *reader, MappingTarget *target, const char *key, struct json_object *value,
			double *factor)
{
	if (!json_object_is_type(value, json_type_double) && !json_object_is_type(value, json_type_int))
		return complain(reader, "\"%s\" must be a number", key);
	*factor = json_object_get_double(value);
	if (!isfinite(*factor))
		return complain(reader, "\"%s\" is out of range", key);
	target->scaled = true;
	return true;
}

/* "a.b", or ["a","b"] for members with a point in their name. */
static bool
read_path(Reader *reader, MappingTarget *target, struct json_object *value)
{
	Str			segments[PATH_SEGMENTS_MAX];
	size_t		n = 0;

	if (json_object_is_type(value, json_type_string))
		n = split_path(json_object_get_string(value), segments);
	else if (json_object_is_type(value, json_type_array) &&
			 json_object_array_length(value) <= PATH_SEGMENTS_MAX)
	{
		for (; n < json_object_array_length(value); n++)
		{
			struct json_object *segment = json_object_array_get_idx(value, n);

			if (!json_object_is_type(segment, json_type_string))
				return complain(reader, "a path's segments must be text");
			segments[n] = (Str) {json_object_get_string(segment),
			(uint32_t) json_object_get_string_len(segment)};
		}
	}
	if (n == 0)
		return complain(reader, "a path is text such as \"a.b.0\", up to %d segments, none empty",
						PATH_SEGMENTS_MAX);
	switch (place_target(reader->mapping, target, segments, n))
	{
		case PLACE_OK:
			return true;
		case PLACE_TAKEN:
			return complain(reader, "another target has the same path");
		case PLACE_FULL:
			break;
	}
	return complain(reader, "the mapping has more than %d places", MAPPING_NODES_MAX - 1);
}

static bool
read_source(Reader *reader, struct json_object *value)
{
	MappingTarget *target = target_new(reader->mapping, reader->target_name);
	struct json_object *path = NULL;
	bool		unit = false;
	bool		factors = false;

	if (target == NULL)
		return complain(reader, "out of memory");
	if (json_object_is_type(value, json_type_string))
		return read_path(reader, target, value);
	if (!json_object_is_type(value, json_type_object))
		return complain(reader, "must be a path or an object with \"path\"");
	json_object_object_foreach(value, key, member)
	{
		if (strcmp(key, "path") == 0)
			path = member;
		else if (strcmp(key, "unit") == 0)
		{
			unit = true;
			if (!read_unit(reader, target, member))
				return false;
		}
		else if (strcmp(key, "scale") == 0 || strcmp(key, "offset") == 0)
		{
			factors = true;
			if (!read_factor(reader, target, key, member,
							 *key == 's' ? &target->scale : &target->offset))
				return false;
		}
		else if (strcmp(key, "enumeration") == 0)
		{
			if (!read_enumeration(reader, target, member))
				return false;
		}
		else if (strcmp(key, "number_in_text") == 0)
		{
			if (!json_object_is_type(member, json_type_boolean))
				return complain(reader, "\"number_in_text\" must be true or false");
			target->number_in_text = json_object_get_boolean(member);
		}
		else if (strcmp(key, "time_zone") == 0)
		{
			if (!is_time(target))
				return complain(reader, "\"time_zone\" belongs to a time");
			if (!json_object_is_type(member, json_type_string) ||
				!time_parse_zone(json_object_get_string(member),
								 (size_t) json_object_get_string_len(member), &target->zone_seconds))
				return complain(reader, "\"time_zone\" must be \"UTC\" or an offset such as \"+02:00\"");
		}
		else
			return complain(reader, "unknown member \"%.64s\"", key);
	}
	if (path == NULL)
		return complain(reader, "\"path\" is missing");
	if (unit && factors)
		return complain(reader, "\"unit\" cannot be combined with \"scale\" and \"offset\"");
	if (target->scaled && (target->field == FIELD_DEVICE || is_time(target) ||
						   target->field == FIELD_SCHEMA_VERSION))
		return complain(reader, "cannot be scaled");
	return read_path(reader, target, path);
}

static bool
valid_name(const char *name)
{
	size_t		len = strlen(name);

	if (len == 0 || len > RECORD_NAME_MAX || (*name >= '0' && *name <= '9'))
		return false;
	return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == len;
}

static bool
read_mapping(Reader *reader, struct json_object *object)
{
	bool		taken[FIELD_SIGNAL + 1] = {false};

	if (!json_object_is_type(object, json_type_object))
		return complain(reader, "must be an object");
	json_object_object_foreach(object, key, value)
	{
		reader->target_name = key;
		if (strcmp(key, "others") == 0)
		{
			const char *others = json_object_is_type(value, json_type_string) ?
				json_object_get_string(value) : "";

			if (strcmp(others, "keep") != 0 && strcmp(others, "drop") != 0)
				return complain(reader, "must be \"keep\" or \"drop\"");
			reader->mapping->keep_others = *others == 'k';
			continue;
		}
		if (!valid_name(key))
			return complain(reader, "not a name: letters, digits and _, no digit first, up to %d",
							RECORD_NAME_MAX);
		for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
			if (strcmp(columns[i].name, key) == 0)
				taken[columns[i].field] = true;
		if (!json_object_is_type(value, json_type_array))
		{
			if (!read_source(reader, value))
				return false;
			continue;
		}
		/* Several places, of which a document uses one. */
		if (json_object_array_length(value) == 0)
			return complain(reader, "has no path");
		for (size_t i = 0; i < json_object_array_length(value); i++)
			if (!read_source(reader, json_object_array_get_idx(value, i)))
				return false;
	}
	reader->target_name = NULL;
	if (!reader->mapping->keep_others)
	{
		if (!taken[FIELD_DEVICE] || !taken[FIELD_EVENT_TIME])
			return complain(reader, "\"others\" is \"drop\", so device and event_time need a path");
		return true;
	}
	return place_flat_columns(reader->mapping, taken) ||
		complain(reader, "the mapping has more than %d places", MAPPING_NODES_MAX - 1);
}

Mapping *
mapping_from_json(const char *name, struct json_object *object, char *err, size_t errlen)
{
	Reader		reader = {.err = err,.errlen = errlen};

	reader.mapping = mapping_new(name);
	if (reader.mapping == NULL)
	{
		snprintf(err, errlen, "mapping \"%s\": out of memory", name);
		return NULL;
	}
	if (!read_mapping(&reader, object) ||
		(!seal(reader.mapping) && !complain(&reader, "out of memory")))
	{
		mapping_free(reader.mapping);
		return NULL;
	}
	return reader.mapping;
}
