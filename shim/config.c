/*
 * config.c
 *	  The JSON file that sets the settings, read by the rows of the table.
 */
#include "config_int.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapter.h"
#include "buf.h"
#include "log.h"
#include "mapping.h"
#include "sink.h"
#include "pseudonym.h"

#define CONFIG_FILE_MAX ((size_t) 16 << 20)

static const char *const level_names[] = {"debug", "info", "warning", "error"};

bool
config_fail(Table *table, const char *path, const char *what)
{
	snprintf(table->err, table->errlen, "%s: %s", path, what);
	return false;
}

static bool
read_value(Table *table, const Setting *setting, const char *path, struct json_object *value)
{
	char	   *at = (char *) table->target + setting->offset;
	char		reason[160];

	switch (setting->type)
	{
		case SETTING_STRING:
			{
				char	   *copy;

				if (!json_object_is_type(value, json_type_string))
					return config_fail(table, path, "must be a string");
				if (strlen(json_object_get_string(value)) != (size_t) json_object_get_string_len(value))
					return config_fail(table, path, "holds a zero byte");
				copy = strdup(json_object_get_string(value));
				if (copy == NULL)
					return config_fail(table, path, "out of memory");
				free(*(char **) at);
				*(char **) at = copy;
				return true;
			}
		case SETTING_INTEGER:
			{
				int64_t		number;

				if (!json_object_is_type(value, json_type_int))
					return config_fail(table, path, "must be a whole number");
				number = json_object_get_int64(value);
				if (number < setting->min || number > setting->max)
				{
					snprintf(reason, sizeof(reason), "must be from %lld to %lld",
							 (long long) setting->min, (long long) setting->max);
					return config_fail(table, path, reason);
				}
				*(int64_t *) at = number;
				return true;
			}
		case SETTING_BOOLEAN:
			if (!json_object_is_type(value, json_type_boolean))
				return config_fail(table, path, "must be true or false");
			*(bool *) at = json_object_get_boolean(value);
			return true;
		case SETTING_LEVEL:
			if (json_object_is_type(value, json_type_string))
				for (int i = 0; i < 4; i++)
					if (strcmp(json_object_get_string(value), level_names[i]) == 0)
					{
						*(int64_t *) at = i;
						return true;
					}
			return config_fail(table, path, "must be debug, info, warning or error");
		case SETTING_NETWORKS:
		case SETTING_DEVICES:
		case SETTING_LISTENERS:
		case SETTING_SOURCES:
		case SETTING_TOPICS:
		case SETTING_OPTIONS:
		case SETTING_MAPPINGS:
		case SETTING_ELEMENTS:
			break;
	}
	return config_read_list(table, setting, path, value);
}

/* A row's name below the table's own prefix: "tls.key" of "listeners[].tls.key". */
static const char *
local_name(const Setting *setting)
{
	const char *below = strstr(setting->name, "[].");

	return below ? below + 3 : setting->name;
}

/*
 * path is what the user sees; below it "prefix" is what rows are compared with.
 */
static bool
read_members(Table *table, const char *path, const char *prefix, struct json_object *object)
{
	json_object_object_foreach(object, key, value)
	{
		char		name[160];
		char		where[320];
		bool		known = false;
		size_t		n;

		snprintf(name, sizeof(name), "%s%s%.64s", prefix, prefix[0] ? "." : "", key);
		snprintf(where, sizeof(where), "%s%s%.64s", path, path[0] ? "." : "", key);
		n = strlen(name);
		for (size_t i = 0; i < table->settings->n && !known; i++)
		{
			const char *row = local_name(&table->settings->rows[i]);

			if (strcmp(row, name) == 0)
			{
				if (!read_value(table, &table->settings->rows[i], where, value))
					return false;
				known = true;
			}
			else if (strncmp(row, name, n) == 0 && row[n] == '.')
			{
				if (!json_object_is_type(value, json_type_object))
					return config_fail(table, where, "must be an object");
				if (!read_members(table, where, name, value))
					return false;
				known = true;
			}
		}
		if (!known)
			return config_fail(table, where, "unknown setting");
	}
	return true;
}

bool
config_read_object(Table *table, const char *path, struct json_object *object)
{
	return read_members(table, path, "", object);
}

bool
config_set_defaults(Table *table)
{
	for (size_t i = 0; i < table->settings->n; i++)
	{
		const Setting *setting = &table->settings->rows[i];
		char	   *at = (char *) table->target + setting->offset;

		if (setting->def == NULL)
			continue;
		switch (setting->type)
		{
			case SETTING_STRING:
				*(char **) at = strdup(setting->def);
				if (*(char **) at == NULL)
					return config_fail(table, setting->name, "out of memory");
				break;
			case SETTING_INTEGER:
				*(int64_t *) at = strtoll(setting->def, NULL, 10);
				break;
			case SETTING_BOOLEAN:
				*(bool *) at = strcmp(setting->def, "true") == 0;
				break;
			case SETTING_LEVEL:
				*(int64_t *) at = LOG_LEVEL_INFO;
				break;
			case SETTING_NETWORKS:
			case SETTING_DEVICES:
			case SETTING_LISTENERS:
			case SETTING_SOURCES:
		case SETTING_TOPICS:
		case SETTING_OPTIONS:
			case SETTING_MAPPINGS:
			case SETTING_ELEMENTS:
				break;
		}
	}
	return true;
}

const struct Mapping *
config_find_mapping(const Config *config, const char *name)
{
	static const struct Mapping *standard = NULL;

	if (name == NULL || strcmp(name, "default") == 0)
	{
		if (standard == NULL)
			standard = mapping_default();
		return standard;
	}
	for (size_t i = 0; i < config->nmappings; i++)
		if (strcmp(config->mappings[i].name, name) == 0)
			return config->mappings[i].mapping;
	return NULL;
}

/* What no single row can check. */
static bool
check(Table *table)
{
	Config	   *config = table->config;
	size_t		room = SINK_HARD_LIMIT(config->queue_high_bytes);

	if (config->nlisteners == 0 && config->nsources == 0)
		return config_fail(table, "listeners", "at least one is needed");
	if (config->queue_low_bytes >= config->queue_high_bytes)
		return config_fail(table, "queue.low_bytes", "must be less than queue.high_bytes");
	if (config->limit_first_frame_bytes > config->limit_frame_bytes)
		return config_fail(table, "limits.first_frame_bytes", "must not be more than limits.frame_bytes");
	/* Or they would wait for room that there never is. */
	if (SINK_NEED(config->limit_frame_bytes) > room)
		return config_fail(table, "limits.frame_bytes", "queue.high_bytes has no room for a frame of that length (16 times as much)");
	for (size_t i = 0; i < config->nlisteners; i++)
		if (config->listeners[i].adapter->service != NULL && (size_t) config->http_body_bytes > room)
			return config_fail(table, "http.body_bytes", "queue.high_bytes, and a quarter more, has no room for a body of that length");
	for (size_t i = 0; i < config->nlisteners; i++)
		if (config_find_mapping(config, config->listeners[i].mapping_name) == NULL)
		{
			char		where[64];

			snprintf(where, sizeof(where), "listeners[%zu].mapping", i);
			return config_fail(table, where, "no mapping has that name");
		}
	for (size_t i = 0; i < config->nsources; i++)
		if (config_find_mapping(config, config->sources[i].mapping_name) == NULL)
		{
			char		where[64];

			snprintf(where, sizeof(where), "sources[%zu].mapping", i);
			return config_fail(table, where, "no mapping has that name");
		}
	if (config->pseudonym_key_file != NULL)
	{
		char		reason[CONFIG_ERROR_MAX - 128];

		config->pseudonym_keys = pseudonym_keys_read(config->pseudonym_key_file, reason, sizeof(reason));
		if (config->pseudonym_keys == NULL)
			return config_fail(table, "pseudonym.key_file", reason);
	}
	return true;
}

Config *
config_parse(const char *text, size_t len, char *err, size_t errlen)
{
	struct json_tokener *tokener = json_tokener_new();
	struct json_object *object;
	Config	   *config = calloc(1, sizeof(Config));
	Table		table = {&config_rows, config, config, err, errlen};

	if (tokener == NULL || config == NULL || len > CONFIG_FILE_MAX)
	{
		snprintf(err, errlen, "%s", len > CONFIG_FILE_MAX ? "file is too long" : "out of memory");
		if (tokener != NULL)
			json_tokener_free(tokener);
		free(config);
		return NULL;
	}

	object = json_tokener_parse_ex(tokener, text, (int) len);
	if (object != NULL)
		for (size_t i = json_tokener_get_parse_end(tokener); i < len; i++)
			if (strchr(" \t\r\n", text[i]) == NULL)
			{
				json_object_put(object);
				object = NULL;
				break;
			}
	if (object == NULL || !json_object_is_type(object, json_type_object))
	{
		enum json_tokener_error code = json_tokener_get_error(tokener);
		size_t		end = code == json_tokener_continue ? len : json_tokener_get_parse_end(tokener);
		int			line = 1;

		for (size_t i = 0; i < end && i < len; i++)
			if (text[i] == '\n')
				line++;
		snprintf(err, errlen, "line %d: %s", line,
				 object != NULL ? "the file must hold one JSON object" :
				 code == json_tokener_success ? "text after the end of the JSON object" :
				 code == json_tokener_continue ? "the JSON object does not end" :
				 json_tokener_error_desc(code));
		json_object_put(object);
		json_tokener_free(tokener);
		free(config);
		return NULL;
	}

	if (!config_set_defaults(&table) || !config_read_object(&table, "", object) || !check(&table))
	{
		config_free(config);
		config = NULL;
	}
	json_object_put(object);
	json_tokener_free(tokener);
	return config;
}

Config *
config_read(const char *path, char *err, size_t errlen)
{
	FILE	   *file = fopen(path, "r");
	Buf			text = {0};
	Config	   *config = NULL;
	size_t		n = 0;

	if (file == NULL)
	{
		snprintf(err, errlen, "cannot open: %s", strerror(errno));
		return NULL;
	}
	for (;;)
	{
		char	   *room = buf_reserve(&text, 65536);

		if (room == NULL || (n = fread(room, 1, 65536, file)) == 0)
			break;
		buf_commit(&text, n);
		if (buf_len(&text) > CONFIG_FILE_MAX)
			break;
	}
	if (ferror(file))
		snprintf(err, errlen, "cannot read: %s", strerror(errno));
	else
		config = config_parse(buf_len(&text) ? buf_data(&text) : "", buf_len(&text), err, errlen);
	fclose(file);
	buf_release(&text);
	return config;
}

void
config_free(Config *config)
{
	if (config == NULL)
		return;
	config_free_lists(config);
	pseudonym_keys_free(config->pseudonym_keys);
	config_free_strings(&config_rows, config);
	free(config);
}
