/*
 * teltonika_config.c
 *	  IO elements that the configuration names:
 *
 *		{"10831": {"name": "beacons", "kind": "hex"}, "200": "sleep_mode", "72": null}
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "teltonika.h"

static const char *const kinds[] = {
	[TELTONIKA_NUMBER] = "number",
	[TELTONIKA_SIGNED] = "signed",
	[TELTONIKA_BOOLEAN] = "boolean",
	[TELTONIKA_NOT] = "not",
	[TELTONIKA_DECIMAL] = "decimal",
	[TELTONIKA_HEX] = "hex",
	[TELTONIKA_TEXT] = "text"
};

static const char *
read_member(TeltonikaIo *row, const char *member, struct json_object *value)
{
	if (strcmp(member, "name") == 0)
	{
		if (!json_object_is_type(value, json_type_string))
			return "\"name\" must be a string";
		row->name = json_object_get_string(value);
		return NULL;
	}
	if (strcmp(member, "kind") == 0)
	{
		for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
			if (json_object_is_type(value, json_type_string) &&
				strcmp(json_object_get_string(value), kinds[i]) == 0)
			{
				row->kind = (uint8_t) i;
				return NULL;
			}
		return "\"kind\" must be number, signed, boolean, not, decimal, hex or text";
	}
	if (strcmp(member, "scale") == 0)
	{
		if (!json_object_is_type(value, json_type_double) && !json_object_is_type(value, json_type_int))
			return "\"scale\" must be a number";
		row->scale = json_object_get_double(value);
		return NULL;
	}
	if (strcmp(member, "width") == 0)
	{
		int64_t		width = json_object_get_int64(value);

		if (!json_object_is_type(value, json_type_int) || width < 0 || width > 16)
			return "\"width\" must be from 0 to 16";
		row->width = (uint8_t) width;
		return NULL;
	}
	return "members are name, kind, scale and width";
}

/* NULL, or what is wrong. */
static const char *
read_row(TeltonikaIo *row, const char *id, struct json_object *value)
{
	char	   *end;
	unsigned long number = strtoul(id, &end, 10);
	const char *reason;

	if (id[0] < '0' || id[0] > '9' || *end != '\0' || number > UINT16_MAX)
		return "not the id of an element";
	*row = (TeltonikaIo) {.id = (uint16_t) number, .width = TELTONIKA_ANY, .scale = 1};
	if (value == NULL)
	{
		row->kind = TELTONIKA_DROP;
		row->name = "dropped";
		return NULL;
	}
	if (json_object_is_type(value, json_type_string))
		row->name = json_object_get_string(value);
	else if (json_object_is_type(value, json_type_object))
	{
		json_object_object_foreach(value, member, what)
		{
			reason = read_member(row, member, what);
			if (reason != NULL)
				return reason;
		}
	}
	if (row->name == NULL)
		return "must be a signal's name, an object with \"name\", or null";
	if (!teltonika_row_valid(row))
		return "not a signal's name, or not a scale";
	return NULL;
}

bool
teltonika_read_rows(struct json_object *value, TeltonikaIo **rows, size_t *nrows, char *err, size_t errlen)
{
	size_t		n = json_object_is_type(value, json_type_object) ? (size_t) json_object_object_length(value) : 0;

	*nrows = 0;
	*rows = calloc(n + 1, sizeof(TeltonikaIo));
	if (*rows == NULL || !json_object_is_type(value, json_type_object) || n > TELTONIKA_EXTRA_MAX)
	{
		snprintf(err, errlen, "%s", *rows == NULL ? "out of memory" : n > 0 ? "too many" : "must be an object");
		return false;
	}
	json_object_object_foreach(value, id, what)
	{
		TeltonikaIo *row = &(*rows)[*nrows];
		const char *reason = read_row(row, id, what);

		if (reason == NULL && (row->name = strdup(row->name)) == NULL)
			reason = "out of memory";
		if (reason != NULL)
		{
			snprintf(err, errlen, "element %.32s: %s", id, reason);
			return false;
		}
		(*nrows)++;
	}
	return true;
}

void
teltonika_free_rows(TeltonikaIo *rows, size_t nrows)
{
	for (size_t i = 0; i < nrows; i++)
		free((char *) rows[i].name);
	free(rows);
}
