/*
 * signals.c
 *	  Names of signals, and reading packed maps.
 */
#include "postgres.h"

#include "common/shortest_dec.h"
#include "utils/builtins.h"
#include "utils/json.h"

#include "types/dictionary.h"
#include "types/signals.h"
#include "types/signals_layout.h"

/* --- names --- */

bool
signal_name_valid(const char *name, int name_len)
{
	/* 1: letter or underscore, 2: digit */
	static const uint8 class[256] = {
		['A' ... 'Z'] = 1, ['a' ... 'z'] = 1, ['_'] = 1, ['0' ... '9'] = 2
	};

	if (name_len < 1 || name_len > SIGNAL_NAME_MAX || class[(unsigned char) name[0]] != 1)
		return false;
	for (int i = 1; i < name_len; i++)
		if (class[(unsigned char) name[i]] == 0)
			return false;
	return true;
}

SignalKey
signal_key(const char *name, int name_len)
{
	const WellKnownSignal *known = dictionary_by_name(name, name_len);
	SignalKey	key = {0};

	if (known != NULL)
		key.id = known->id;
	else
	{
		/* a name that is too long stays too long, and so is never found */
		key.name_len = (uint8) Min(name_len, PG_UINT8_MAX);
		key.name = name;
	}
	return key;
}

const char *
signal_key_name(const SignalKey *key, int *len)
{
	const WellKnownSignal *known;

	if (key->id == 0)
	{
		*len = key->name_len;
		return key->name;
	}
	known = dictionary_by_id(key->id);
	if (known == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("signal number %d is not in the dictionary", key->id),
				 errhint("The value was written by a newer version of the extension's library.")));
	*len = strlen(known->name);
	return known->name;
}

const char *
signal_kind_name(SignalKind kind)
{
	switch (kind)
	{
		case SIGNAL_BOOLEAN:
			return "boolean";
		case SIGNAL_NUMBER:
			return "number";
		case SIGNAL_TEXT:
			return "text";
	}
	elog(ERROR, "unknown signal kind %d", (int) kind);
	return NULL;
}

int
signal_key_compare(const SignalKey *a, const SignalKey *b)
{
	if (a->id != b->id)
	{
		/* numbers come first, and 0 stands for a name */
		if (a->id == 0)
			return 1;
		if (b->id == 0)
			return -1;
		return (int) a->id - (int) b->id;
	}
	if (a->id != 0)
		return 0;
	return compare_names(a->name, a->name_len, b->name, b->name_len);
}

/* --- reading --- */

void
signals_iterate(const Signals *signals, SignalsIterator *it)
{
	it->signals = signals;
	it->next = signals != NULL ? signals->data : NULL;
	it->remaining = signals != NULL ? signals->count : 0;
}

bool
signals_next(SignalsIterator *it)
{
	uint8		tag;

	if (it->remaining == 0)
		return false;
	it->remaining--;
	tag = (uint8) *it->next;
	it->next = unpack_value(tag, unpack_key(it->next, &it->key), &it->value);
	return true;
}

bool
signals_get(const Signals *signals, const SignalKey *key, SignalValue *value)
{
	const char *in = signals != NULL ? signals->data : NULL;

	for (int remaining = signals != NULL ? signals->count : 0; remaining > 0; remaining--)
	{
		uint8		tag = (uint8) *in;
		SignalKey	have;
		int			order;

		in = unpack_key(in, &have);
		order = signal_key_compare(&have, key);
		if (order == 0)
		{
			unpack_value(tag, in, value);
			return true;
		}
		if (order > 0)
			return false;
		in = skip_value(tag, in);
	}
	return false;
}

bool
signals_same_names(const Signals *a, const Signals *b)
{
	const char *in_a = a->data;
	const char *in_b = b->data;

	if (a->count != b->count)
		return false;
	for (int remaining = a->count; remaining > 0; remaining--)
	{
		uint8		tag_a = (uint8) *in_a;
		uint8		tag_b = (uint8) *in_b;
		SignalKey	key_a,
					key_b;

		in_a = unpack_key(in_a, &key_a);
		in_b = unpack_key(in_b, &key_b);
		if (signal_key_compare(&key_a, &key_b) != 0)
			return false;
		in_a = skip_value(tag_a, in_a);
		in_b = skip_value(tag_b, in_b);
	}
	return true;
}

void
signals_fetch(const Signals *signals, const SignalKey *keys, int nkeys,
			  SignalValue *values, bool *found)
{
	const char *in = signals != NULL ? signals->data : NULL;
	int			remaining = signals != NULL ? signals->count : 0;
	int			i = 0;

	while (i < nkeys && remaining > 0)
	{
		uint8		tag = (uint8) *in;
		SignalKey	have;
		int			order = 1;

		in = unpack_key(in, &have);
		while (i < nkeys && (order = signal_key_compare(&have, &keys[i])) > 0)
			found[i++] = false;
		if (i < nkeys && order == 0)
		{
			in = unpack_value(tag, in, &values[i]);
			found[i++] = true;
			/* the same key asked for twice */
			while (i < nkeys && signal_key_compare(&have, &keys[i]) == 0)
			{
				values[i] = values[i - 1];
				found[i++] = true;
			}
		}
		else
			in = skip_value(tag, in);
		remaining--;
	}
	while (i < nkeys)
		found[i++] = false;
}

bool
signals_equal(const Signals *a, const Signals *b)
{
	int			count_a = a != NULL ? a->count : 0;
	int			count_b = b != NULL ? b->count : 0;

	if (count_a != count_b)
		return false;
	if (count_a == 0)
		return true;
	return VARSIZE(a) == VARSIZE(b) &&
		memcmp(a->data, b->data, VARSIZE(a) - offsetof(Signals, data)) == 0;
}

/* --- JSON --- */

static void
append_json_text(StringInfo out, const char *text, int len)
{
	char	   *copy = pnstrdup(text, len);

	escape_json(out, copy);
	pfree(copy);
}

void
signal_append_json(StringInfo out, const SignalValue *value)
{
	switch (value->kind)
	{
		case SIGNAL_BOOLEAN:
			if (value->boolean)
				appendBinaryStringInfo(out, "true", 4);
			else
				appendBinaryStringInfo(out, "false", 5);
			break;
		case SIGNAL_NUMBER:
			{
				char		number[DOUBLE_SHORTEST_DECIMAL_LEN];

				appendBinaryStringInfo(out, number,
									   double_to_shortest_decimal_bufn(value->number, number));
				break;
			}
		case SIGNAL_TEXT:
			append_json_text(out, value->text, value->text_len);
			break;
	}
}

void
signals_append_json(StringInfo out, const Signals *signals)
{
	SignalsIterator it;
	bool		first = true;

	appendStringInfoChar(out, '{');
	signals_iterate(signals, &it);
	while (signals_next(&it))
	{
		int			len;
		const char *name = signal_key_name(&it.key, &len);

		appendBinaryStringInfo(out, first ? "\"" : ", \"", first ? 1 : 3);
		appendBinaryStringInfo(out, name, len);
		appendBinaryStringInfo(out, "\": ", 3);
		signal_append_json(out, &it.value);
		first = false;
	}
	appendStringInfoChar(out, '}');
}
