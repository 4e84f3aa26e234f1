/*
 * verdicts.c
 *	  Reads the answer about a batch.
 */
#include "verdicts.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

/* Of a row: one of the first two, or ROW_REFUSED + its index in refused. */
#define ROW_ACCEPTED 0
#define ROW_REPEATED 1
#define ROW_REFUSED 2

static void
mark_repeats(Verdicts *verdicts, size_t nrows, const char *text)
{
	while (*text != '\0')
	{
		char	   *end;
		unsigned long long ordinal = strtoull(text, &end, 10);

		if (end == text)
		{
			text++;
			continue;
		}
		if (ordinal >= 1 && ordinal <= nrows)
			verdicts->rows[ordinal - 1] = ROW_REPEATED;
		text = end;
	}
}

static bool
mark_refused(Verdicts *verdicts, size_t nrows, const char *text)
{
	size_t		n;

	/* Nearly always "[]". */
	if (strcmp(text, "[]") == 0)
		return true;
	verdicts->refused = json_tokener_parse(text);
	if (!json_object_is_type(verdicts->refused, json_type_array))
		return false;
	n = json_object_array_length(verdicts->refused);
	for (size_t i = 0; i < n; i++)
	{
		struct json_object *item = json_object_array_get_idx(verdicts->refused, i);
		struct json_object *ordinal;
		int64_t		at;

		if (!json_object_is_type(item, json_type_object) ||
			!json_object_object_get_ex(item, "ordinal", &ordinal))
			return false;
		at = json_object_get_int64(ordinal);
		if (at >= 1 && (uint64_t) at <= nrows)
			verdicts->rows[at - 1] = ROW_REFUSED + (uint32_t) i;
	}
	return true;
}

bool
verdicts_read(Verdicts *verdicts, size_t nrows, const char *refused, const char *repeats)
{
	json_object_put(verdicts->refused);
	verdicts->refused = NULL;
	if (verdicts->size < nrows)
	{
		uint32_t   *more = realloc(verdicts->rows, nrows * sizeof(*more));

		if (more == NULL)
			return false;
		verdicts->rows = more;
		verdicts->size = nrows;
	}
	memset(verdicts->rows, 0, nrows * sizeof(*verdicts->rows));
	mark_repeats(verdicts, nrows, repeats);
	if (mark_refused(verdicts, nrows, refused))
		return true;
	memset(verdicts->rows, 0, nrows * sizeof(*verdicts->rows));
	return false;
}

static const char *
member_text(struct json_object *item, const char *name)
{
	struct json_object *value;

	if (!json_object_object_get_ex(item, name, &value) || value == NULL)
		return "";
	return json_object_get_string(value);
}

SinkOutcome
verdicts_outcome(const Verdicts *verdicts, size_t row)
{
	SinkOutcome outcome = {0, SINK_ACCEPTED, "", ""};
	uint32_t	verdict = row < verdicts->size ? verdicts->rows[row] : ROW_ACCEPTED;

	if (verdict == ROW_REPEATED)
		outcome.verdict = SINK_REPEATED;
	else if (verdict >= ROW_REFUSED)
	{
		struct json_object *item = json_object_array_get_idx(verdicts->refused, verdict - ROW_REFUSED);

		outcome.verdict = SINK_REJECTED;
		outcome.code = member_text(item, "code");
		outcome.field = member_text(item, "field");
	}
	return outcome;
}

void
verdicts_free(Verdicts *verdicts)
{
	json_object_put(verdicts->refused);
	free(verdicts->rows);
	memset(verdicts, 0, sizeof(*verdicts));
}
