/*
 * client_json.c
 *	  The line protocol: {"auth":"TOKEN"}, then one document per line, answered
 *	  by {"ack":N,"rejected":[{"line":n,"code":"...","field":"..."}]}.
 */
#include "client.h"
#include "encode_json.h"

#include <json-c/json.h>

static void
json_opened(Lane *lane)
{
	const ClientOptions *o = &lane->client->options;

	buffer_add_char(&lane->control, '{');
	encode_text_member(&lane->control, false, "auth", o->token);
	if (o->mapping)
		encode_text_member(&lane->control, true, "mapping", o->mapping);
	buffer_add_string(&lane->control, o->commands ? ",\"commands\":true}\n" : "}\n");
	lane_set_state(lane, LANE_GREETING);
}

static void
json_produce(Lane *lane)
{
	/* The outbox is the stream. */
	(void) lane;
}

static const char *
string_member(struct json_object *object, const char *name)
{
	struct json_object *value;

	if (!json_object_object_get_ex(object, name, &value) || !value)
		return NULL;
	return json_object_get_string(value);
}

/* All lines up to N are decided; those in `rejected` are in quarantine. */
static bool
take_ack(Lane *lane, uint64_t decided, struct json_object *rejected, const char **reason)
{
	const ClientEvents *events = &lane->client->events;
	size_t		next = 0;
	size_t		count = rejected ? json_object_array_length(rejected) : 0;

	if (decided < lane->decided || decided - lane->decided > outbox_entries(&lane->outbox))
	{
		*reason = "it acknowledged lines that were never sent";
		return false;
	}
	while (lane->decided < decided)
	{
		uint64_t	id = outbox_take(&lane->outbox);
		struct json_object *entry = NULL;
		struct json_object *line;

		lane->decided++;
		if (next < count &&
			json_object_object_get_ex(json_object_array_get_idx(rejected, next), "line", &line) &&
			(uint64_t) json_object_get_int64(line) == lane->decided)
			entry = json_object_array_get_idx(rejected, next++);
		if (entry)
		{
			const char *code = string_member(entry, "code");

			events->rejected(events->context, id, code ? code : "unnamed", string_member(entry, "field"));
		}
		else
			events->acked(events->context, id);
	}
	if (next < count)
	{
		*reason = "it rejected lines out of order, or that it had decided before";
		return false;
	}
	return true;
}

/* It does what it is told, and says so. */
static void
take_command(Lane *lane, struct json_object *command)
{
	struct json_object *id;
	const char *name = string_member(command, "name");

	if (!json_object_object_get_ex(command, "id", &id))
		return;
	buffer_printf(&lane->control, "{\"confirm\":{\"id\":%lld,", (long long) json_object_get_int64(id));
	encode_text_member(&lane->control, false, "answer", name ? name : "");
	buffer_add_string(&lane->control, "}}\n");
}

static bool
take_answer(Lane *lane, struct json_object *answer, const char **reason)
{
	struct json_object *ack;
	struct json_object *rejected = NULL;
	struct json_object *command;
	const char *error = string_member(answer, "error");

	if (error)
	{
		/* Wrong credentials stay wrong; a missing database comes back. */
		if (lane->state == LANE_GREETING && !strstr(error, "unavailable") && !strstr(error, "shutting down"))
			die("the daemon refused the connection: %s", error);
		*reason = "the daemon reported an error";
		return false;
	}
	if (lane->state == LANE_GREETING)
	{
		if (!string_member(answer, "auth"))
		{
			*reason = "no answer to the credentials";
			return false;
		}
		lane_set_state(lane, LANE_READY);
		return true;
	}
	if (lane->client->options.commands && json_object_object_get_ex(answer, "command", &command))
	{
		take_command(lane, command);
		return true;
	}
	if (!json_object_object_get_ex(answer, "ack", &ack))
	{
		*reason = "an answer without \"ack\"";
		return false;
	}
	json_object_object_get_ex(answer, "rejected", &rejected);
	return take_ack(lane, (uint64_t) json_object_get_int64(ack), rejected, reason);
}

static bool
json_receive(Lane *lane, const char **reason)
{
	size_t		done = 0;
	char	   *newline;
	bool		ok = true;

	while (ok && (newline = memchr(lane->input.data + done, '\n', lane->input.len - done)))
	{
		struct json_object *answer;

		*newline = '\0';
		answer = json_tokener_parse(lane->input.data + done);
		if (json_object_is_type(answer, json_type_object))
			ok = take_answer(lane, answer, reason);
		else
		{
			*reason = "an answer that is no JSON object";
			ok = false;
		}
		json_object_put(answer);
		done = newline + 1 - lane->input.data;
	}
	memmove(lane->input.data, lane->input.data + done, lane->input.len - done);
	lane->input.len -= done;
	return ok;
}

const Protocol protocol_json = {
	.name = "json",
	.streams = true,
	.opened = json_opened,
	.produce = json_produce,
	.receive = json_receive
};
