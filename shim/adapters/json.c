/*
 * json.c
 *	  JSON documents, one per line; docs/json-lines.md has the protocol.
 */
#include <json-c/json.h>
#include <string.h>

#include "adapter.h"
#include "command_text.h"
#include "json_decode.h"

/* A line ends with "\n"; "\r\n" does as well. */
static FrameStatus
json_frame(Session *session, const char *data, size_t len, Frame *out)
{
	size_t		from = session->searched <= len ? session->searched : 0;
	const char *end = memchr(data + from, '\n', len - from);

	if (end == NULL)
	{
		session->searched = len;
		return FRAME_MORE;
	}
	out->length = (size_t) (end - data) + 1;
	return FRAME_READY;
}

static void
answer(Buf *out, const char *member, const char *value)
{
	if (!buf_printf(out, "{\"%s\":\"%s\"}\n", member, value))
		buf_release(out);
}

/* Copies a string member; false when it is too long or no string. */
static bool
take_string(struct json_object *object, const char *name, char *out, size_t size)
{
	struct json_object *value;
	size_t		n;

	out[0] = '\0';
	if (!json_object_object_get_ex(object, name, &value))
		return true;
	if (!json_object_is_type(value, json_type_string))
		return false;
	n = (size_t) json_object_get_string_len(value);
	if (n >= size || memchr(json_object_get_string(value), '\0', n) != NULL)
		return false;
	memcpy(out, json_object_get_string(value), n + 1);
	return true;
}

/* Does it say that there is no token, where a certificate is enough? */
static bool
without_token(const Session *session, struct json_object *object)
{
	struct json_object *value;

	return session->token_optional && json_object_object_get_ex(object, "auth", &value) && value == NULL;
}

/*
 * "commands":true, for the devices that it reports for, or "commands":"DEVICE".
 * False when it is neither, or not the device that the peer is known to be.
 */
static bool
take_commands(struct json_object *object, Session *session)
{
	char		device[DEVICE_MAX + 1];
	struct json_object *value;

	if (!json_object_object_get_ex(object, "commands", &value))
		return true;
	if (json_object_is_type(value, json_type_boolean))
	{
		session->takes_commands = json_object_get_boolean(value);
		return true;
	}
	if (!take_string(object, "commands", device, sizeof(device)) || device[0] == '\0' ||
		(session->device[0] != '\0' && strcmp(session->device, device) != 0))
		return false;
	memcpy(session->device, device, sizeof(device));
	session->takes_commands = true;
	return true;
}

/* {"auth":"TOKEN"} or {"auth":null}, and perhaps "mapping":"NAME" and "commands". */
static DecodeStatus
json_hello(Session *session, const char *line, size_t len, Decoded *out)
{
	struct json_tokener *tokener = json_tokener_new_ex(4);
	struct json_object *object = NULL;
	DecodeStatus status = DECODE_BAD;

	if (tokener != NULL)
		object = json_tokener_parse_ex(tokener, line, (int) len);
	if (object != NULL && json_object_is_type(object, json_type_object) &&
		take_string(object, "mapping", out->mapping, sizeof(out->mapping)) &&
		(without_token(session, object) ||
		 (take_string(object, "auth", out->token, sizeof(out->token)) && out->token[0] != '\0')) &&
		take_commands(object, session))
		status = DECODE_HELLO;
	if (status == DECODE_BAD)
	{
		out->reason = "first line is no authentication";
		answer(out->reply, "error", "the first line must be {\\\"auth\\\":\\\"TOKEN\\\"}");
	}
	json_object_put(object);
	if (tokener != NULL)
		json_tokener_free(tokener);
	return status;
}

/* Does the line begin with {"confirm"? */
static bool
is_confirmation(const char *line, size_t len)
{
	static const char word[] = "\"confirm\"";
	const char *end = line + len;

	while (line < end && (*line == ' ' || *line == '\t'))
		line++;
	if (line == end || *line++ != '{')
		return false;
	while (line < end && (*line == ' ' || *line == '\t'))
		line++;
	return (size_t) (end - line) >= sizeof(word) - 1 && memcmp(line, word, sizeof(word) - 1) == 0;
}

/*
 * {"confirm":{"id":7,"ok":true,"answer":"..."}}: not counted; one that is none goes
 * to quarantine.  Who has proved what it is answers for nobody else.
 */
static DecodeStatus
json_confirmation(Session *session, const char *line, size_t len, Decoded *out)
{
	Str			device = {session->certificate, (uint32_t) strlen(session->certificate)};

	if (command_read_answer(line, len, "confirm", device, out))
		return DECODE_IGNORED;
	record_reset(out->record);
	out->record->received_at_us = session->now_us;
	record_set_defect(out->record, "malformed", RECORD_STR("confirm"));
	out->record->raw = (Str) {line, (uint32_t) len};
	out->emit(out->emit_arg, out->record);
	return DECODE_OK;
}

static DecodeStatus
json_document(Session *session, const Frame *frame, Decoded *out)
{
	const char *line = frame->data;
	size_t		len = frame->length - 1;

	if (len > 0 && line[len - 1] == '\r')
		len--;
	if (len == 0)
		return DECODE_IGNORED;
	if (!session->authenticated)
		return json_hello(session, line, len, out);
	if (session->takes_commands && is_confirmation(line, len))
		return json_confirmation(session, line, len, out);
	json_decode(session->mapping, line, len, out->record);
	if (session->certificate[0] != '\0')
		(void) record_bind(out->record, (Str) {session->certificate, (uint32_t) strlen(session->certificate)},
						   (Str) {line, (uint32_t) len});
	/* A gateway may know when it had it; nobody has it before it came. */
	if (out->record->received_at_us == 0 || out->record->received_at_us > session->now_us)
		out->record->received_at_us = session->now_us;
	out->emit(out->emit_arg, out->record);
	return DECODE_OK;
}

static void
json_welcome(Session *session, Welcome welcome, Buf *out)
{
	(void) session;
	switch (welcome)
	{
		case WELCOME_OK:
			answer(out, "auth", "ok");
			break;
		case WELCOME_DENIED:
			answer(out, "error", "token unknown");
			break;
		case WELCOME_FORBIDDEN:
			answer(out, "error", "not permitted");
			break;
		case WELCOME_UNAVAILABLE:
			answer(out, "error", "database unavailable");
			break;
		case WELCOME_NO_MAPPING:
			answer(out, "error", "mapping unknown");
			break;
	}
}

static void
json_ack(Session *session, const Ack *ack, Buf *out)
{
	bool		ok = buf_printf(out, "{\"ack\":%llu", (unsigned long long) ack->upto);

	(void) session;
	for (size_t i = 0; ok && i < ack->nrejected; i++)
	{
		const AckRejection *rejection = &ack->rejected[i];

		ok = buf_printf(out, "%s{\"line\":%llu,\"code\":", i == 0 ? ",\"rejected\":[" : ",",
						(unsigned long long) rejection->seq) &&
			buf_add_json(out, rejection->code, strlen(rejection->code));
		if (ok && rejection->field[0] != '\0')
			ok = buf_add(out, ",\"field\":", 9) &&
				buf_add_json(out, rejection->field, strlen(rejection->field));
		ok = ok && buf_add(out, "}", 1);
	}
	if (ok && ack->nrejected > 0)
		ok = buf_add(out, "]", 1);
	if (!ok || !buf_add(out, "}\n", 2))
		buf_release(out);
}

/* {"command":{"id":7,"device":"...","name":"...","arguments":{...},"expires":"..."}} */
static CommandStatus
json_command(Session *session, const Command *command, const char **why, Buf *out)
{
	(void) session;
	(void) why;
	if (!buf_add(out, "{\"command\":", 11) || !command_document(command, out) || !buf_add(out, "}\n", 2))
		return COMMAND_NOT_NOW;
	return COMMAND_WRITTEN;
}

/* Other reasons have been told already, or need no words. */
static void
json_farewell(Session *session, const char *reason, Buf *out)
{
	static const struct
	{
		const char *reason;
		const char *text;
	}			texts[] = {
		{"auth_timeout", "no authentication in time"},
		{"frame_too_long", "line too long"},
		{"idle", "idle for too long"},
		{"mapping", "mapping removed"},
		{"shutdown", "shutting down, come back later"},
		{"certificate_revoked", "certificate revoked"},
		{"device_not_allowed", "device not allowed"},
		{"source_not_permitted", "not permitted"},
		{"token_revoked", "token revoked"},
		{"token_expired", "token expired"},
		{"auth_failures", "too many failed attempts of this address"},
		{"input_memory", "too much unfinished input"},
		{"overload", "overloaded, come back later"},
		{"connections", "too many connections"},
		{"connections_per_address", "too many connections of this address"}
	};

	/* Of the one that it asked for, it has been told. */
	if ((strcmp(reason, "mapping") == 0 || strcmp(reason, "source_not_permitted") == 0) && !session->authenticated)
		return;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (strcmp(texts[i].reason, reason) == 0)
			answer(out, "error", texts[i].text);
}

const Adapter adapter_json = {
	.name = "json",
	.help = "JSON documents, one per line",
	.tells_rejected = true,
	.frame = json_frame,
	.decode = json_document,
	.welcome = json_welcome,
	.ack = json_ack,
	.command = json_command,
	.farewell = json_farewell
};
