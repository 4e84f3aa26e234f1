/*
 * command_text.c
 *	  Commands and answers as documents and as text, for adapters.
 */
#include "command_text.h"

#include <json-c/json.h>
#include <string.h>

#define DEPTH_MAX 32

bool
command_document(const Command *command, Buf *out)
{
	/* The arguments come from jsonb: valid, and on one line. */
	return buf_printf(out, "{\"id\":%lld,\"device\":", (long long) command->id) &&
		buf_add_json(out, command->device.data, command->device.len) &&
		buf_add(out, ",\"name\":", 8) &&
		buf_add_json(out, command->name.data, command->name.len) &&
		buf_add(out, ",\"arguments\":", 13) &&
		buf_add(out, command->arguments.data, command->arguments.len) &&
		buf_add(out, ",\"expires\":", 11) &&
		buf_add_json(out, command->expires.data, command->expires.len) &&
		buf_add(out, "}", 1);
}

static struct json_object *
parse(const char *text, size_t len)
{
	struct json_tokener *tokener = json_tokener_new_ex(DEPTH_MAX);
	struct json_object *object;

	if (tokener == NULL)
		return NULL;
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	object = json_tokener_parse_ex(tokener, text, (int) len);
	if (object != NULL && (!json_object_is_type(object, json_type_object) ||
						   json_tokener_get_parse_end(tokener) != len))
	{
		json_object_put(object);
		object = NULL;
	}
	json_tokener_free(tokener);
	return object;
}

static bool
read_answer(struct json_object *object, Answer *answer)
{
	struct json_object *value;

	if (!json_object_is_type(object, json_type_object) || !json_object_object_get_ex(object, "id", &value) ||
		!json_object_is_type(value, json_type_int))
		return false;
	answer->command_id = json_object_get_int64(value);
	if (answer->command_id <= 0)
		return false;
	if (json_object_object_get_ex(object, "ok", &value))
	{
		if (!json_object_is_type(value, json_type_boolean))
			return false;
		answer->ok = json_object_get_boolean(value);
	}
	if (!json_object_object_get_ex(object, "answer", &value) || value == NULL)
		return true;
	/* What is no text is kept as it was written. */
	if (json_object_is_type(value, json_type_string))
		answer->text = (Str) {json_object_get_string(value), (uint32_t) json_object_get_string_len(value)};
	else
	{
		answer->text.data = json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN);
		answer->text.len = answer->text.data != NULL ? (uint32_t) strlen(answer->text.data) : 0;
	}
	return true;
}

bool
command_read_answer(const char *text, size_t len, const char *member, Str device, Decoded *out)
{
	struct json_object *object = parse(text, len);
	struct json_object *inner = object;
	Answer		answer = {.device = device,.ok = true};
	bool		good = object != NULL &&
		(member == NULL || json_object_object_get_ex(object, member, &inner)) && read_answer(inner, &answer);

	if (good && out->answer != NULL)
		out->answer(out->emit_arg, &answer);
	json_object_put(object);
	return good;
}

bool
command_plain(const Command *command, char *text, size_t size, const char **why)
{
	struct json_object *arguments = parse(command->arguments.data, command->arguments.len);
	struct json_object *value;
	Str			plain = command->name;
	bool		good = false;

	if (arguments != NULL && json_object_object_length(arguments) > 0)
	{
		plain = (Str) {NULL, 0};
		if (json_object_object_get_ex(arguments, "text", &value) && json_object_is_type(value, json_type_string))
			plain = (Str) {json_object_get_string(value), (uint32_t) json_object_get_string_len(value)};
	}
	if (plain.len == 0)
		*why = "no argument text";
	else if (plain.len >= size)
		*why = "text too long";
	else if (memchr(plain.data, '\0', plain.len) != NULL)
		*why = "zero byte in text";
	else
	{
		memcpy(text, plain.data, plain.len);
		text[plain.len] = '\0';
		good = true;
	}
	json_object_put(arguments);
	return good;
}
