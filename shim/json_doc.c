/*
 * json_doc.c
 *	  The decoder of record: json-c's tree, walked under a mapping.
 *
 * json-c takes more than JSON (NaN, comments, single quotes), clamps long
 * integers and cuts a member's name at an escaped NUL; json_check stands
 * before it so that neither can be seen here.
 */
#include "json_doc.h"

#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "json_decode.h"

static void walk_object(const Mapping *mapping, const Fill *fill, int node, Str prefix,
						struct json_object *object);

static JsonScalar
scalar_of(struct json_object *value)
{
	JsonScalar	scalar = {.type = JSON_NULL};

	switch (json_object_get_type(value))
	{
		case json_type_boolean:
			scalar.type = JSON_BOOLEAN;
			scalar.boolean = json_object_get_boolean(value);
			break;
		case json_type_int:
		case json_type_double:
			scalar.type = JSON_NUMBER;
			scalar.number = json_object_get_double(value);
			/* For a double that is the text that was parsed. */
			scalar.text.data = json_object_get_string(value);
			scalar.text.len = (uint32_t) strlen(scalar.text.data);
			break;
		case json_type_string:
			scalar.type = JSON_STRING;
			scalar.text.data = json_object_get_string(value);
			scalar.text.len = (uint32_t) json_object_get_string_len(value);
			break;
		default:
			break;
	}
	return scalar;
}

static bool
is_container(struct json_object *value)
{
	return json_object_is_type(value, json_type_object) ||
		json_object_is_type(value, json_type_array);
}

static bool
all_scalars(struct json_object *array)
{
	for (size_t i = 0; i < json_object_array_length(array); i++)
		if (is_container(json_object_array_get_idx(array, i)))
			return false;
	return true;
}

static void
join(const Fill *fill, struct json_object *array, Str name, bool name_stable)
{
	Join		joined;

	mapping_join_begin(fill, &joined);
	for (size_t i = 0; i < json_object_array_length(array); i++)
	{
		JsonScalar	scalar = scalar_of(json_object_array_get_idx(array, i));

		mapping_join_add(&joined, &scalar);
	}
	mapping_join_end(fill, &joined, name, name_stable);
}

/* A member or element called key, below what is called prefix. */
static void
walk_value(const Mapping *mapping, const Fill *fill, int parent, Str prefix, Str key,
		   struct json_object *value)
{
	uint64_t	words[2];
	int			node = MAPPING_UNKNOWN;
	const MappingNode *known = NULL;
	const MappingTarget *target = NULL;
	bool		array;
	bool		inside;			/* the mapping mentions something in it */
	FlatName	flat;
	Str			name;

	if (parent != MAPPING_UNKNOWN)
	{
		mapping_key_words(key.data, key.len, words);
		node = mapping_child(mapping, parent, key.data, key.len, words);
	}
	if (node != MAPPING_UNKNOWN)
	{
		known = &mapping->nodes[node];
		target = known->target;
	}
	mapping_flat_name(&flat, prefix, key);
	name = (Str) {flat.data, flat.len};

	if (!is_container(value))
	{
		JsonScalar	scalar = scalar_of(value);

		if (target != NULL)
			mapping_put(fill, target, &scalar);
		else if (mapping->keep_others)
			mapping_put_signal(fill, name, false, &scalar);
		return;
	}

	array = json_object_is_type(value, json_type_array);
	inside = known != NULL && (array ? known->has_elements : known->has_children);
	if (target != NULL && !inside && (target->field != FIELD_SIGNAL || !mapping_target_plain(target)))
	{
		mapping_put_wrong(fill, target);
		return;
	}
	if (!array)
		walk_object(mapping, fill, node, name, value);
	else if (!inside && all_scalars(value))
	{
		if (target != NULL)
			join(fill, value, target->name, true);
		else if (mapping->keep_others)
			join(fill, value, name, false);
	}
	else
		for (size_t i = 0; i < json_object_array_length(value); i++)
		{
			char		number[24];
			int			n = snprintf(number, sizeof(number), "%zu", i);

			walk_value(mapping, fill, node, name, (Str) {number, (uint32_t) n},
					   json_object_array_get_idx(value, i));
		}
}

static void
walk_object(const Mapping *mapping, const Fill *fill, int node, Str prefix,
			struct json_object *object)
{
	json_object_object_foreach(object, key, value)
		walk_value(mapping, fill, node, prefix, (Str) {key, (uint32_t) strlen(key)}, value);
}

/* NULL when json-c does not take it. */
static struct json_object *
parse(const char *text, size_t len, size_t long_integers)
{
	static struct json_tokener *tokener;
	struct json_object *object;
	char	   *spelled = NULL;

	/* json-c counts levels from one, and a scalar's as one more. */
	if (tokener == NULL)
	{
		tokener = json_tokener_new_ex(JSON_DEPTH_MAX + 2);
		if (tokener == NULL)
			return NULL;
		json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	}
	if (len > INT_MAX / 2)
		return NULL;
	if (long_integers > 0)
	{
		spelled = malloc(len + 2 * long_integers);
		if (spelled == NULL)
			return NULL;
		len = json_spell_integers(text, len, spelled);
		text = spelled;
	}
	json_tokener_reset(tokener);
	object = json_tokener_parse_ex(tokener, text, (int) len);
	free(spelled);
	return object;
}

void
json_doc_decode(const Mapping *mapping, const char *text, size_t len, Record *out)
{
	Fill		fill = {.record = out,.stable = false};
	size_t		long_integers;
	struct json_object *object = NULL;

	if (json_check(text, len, &long_integers))
		object = parse(text, len, long_integers);
	if (json_object_is_type(object, json_type_object))
		walk_object(mapping, &fill, MAPPING_ROOT, RECORD_STR(""), object);
	else
		record_set_defect(out, "malformed", (Str) {0});
	json_object_put(object);
}
