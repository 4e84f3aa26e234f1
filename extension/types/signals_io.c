/*
 * signals_io.c
 *	  Text and binary forms of signals.
 *
 * Text: a JSON object whose members are numbers, booleans and strings.  Binary:
 *
 *	  uint8 version = 1, uint16 count, then for each entry
 *	  uint8 length of the name, name, uint8 kind (1 boolean, 2 number, 3 text),
 *	  value: uint8 0 or 1 | float8 | uint16 length and text in UTF-8
 *
 * Both accept any order and let the last of a name win.
 */
#include "postgres.h"

#include <math.h>

#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"

#include "fleet.h"
#include "types/signals.h"

#define WIRE_VERSION 1

/* how much of an offending number an error shows */
#define SHOWN_MAX 40

/* --- what is wrong with a value, said softly --- */

/* `where` is a sentence on the position, or "". */
static bool
complain_fault(SignalsFault fault, const char *name, int name_len, const SignalValue *value,
			   int malformed_code, const char *where, Node *escontext)
{
	switch (fault)
	{
		case SIGNALS_OK:
			return true;
		case SIGNALS_BAD_NAME:
			name_len = pg_mbcliplen(name, name_len, SIGNAL_NAME_MAX + 1);
			ereturn(escontext, false,
					(errcode(malformed_code),
					 errmsg("invalid signal name \"%.*s\"", name_len, name),
					 *where ? errdetail("%s", where) : 0,
					 errhint("A name has 1 to %d letters, digits and underscores and does not begin with a digit.",
							 SIGNAL_NAME_MAX)));
		case SIGNALS_NOT_FINITE:
			ereturn(escontext, false,
					(errcode(malformed_code),
					 errmsg("number of a signal must be finite"),
					 errdetail("Signal \"%.*s\" is %g.", name_len, name, value->number)));
		case SIGNALS_TEXT_TOO_LONG:
			ereturn(escontext, false,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("text of a signal is too long"),
					 errdetail("Signal \"%.*s\" has %d bytes, must be at most %d.",
							   name_len, name, value->text_len, SIGNAL_TEXT_MAX)));
		case SIGNALS_TOO_MANY:
			ereturn(escontext, false,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("signals value too large"),
					 errdetail("It may have %d signals at most.", SIGNALS_MAX_ENTRIES)));
		case SIGNALS_TOO_LARGE:
			ereturn(escontext, false,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("signals value too large"),
					 errdetail("It may take %d bytes at most.", SIGNALS_MAX_SIZE)));
	}
	return false;
}

/* --- text: a reader of flat JSON --- */

typedef struct JsonReader
{
	const char *start;
	const char *p;
	Node	   *escontext;
	StringInfoData name;		/* the member's name, unescaped */
	StringInfoData text;		/* its value, unescaped, when a string */
} JsonReader;

static int
position_of(const JsonReader *r, const char *p)
{
	return pg_mbstrlen_with_len(r->start, p - r->start) + 1;
}

static bool
complain_syntax(JsonReader *r, const char *expected)
{
	if (*r->p == '\0')
		ereturn(r->escontext, false,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("invalid input syntax for type signals"),
				 errdetail("Expected %s at character %d, but the input ended.",
						   expected, position_of(r, r->p)),
				 errhint("Write a JSON object of numbers, booleans and strings, such as {\"fuel_percent\": 68}.")));
	ereturn(r->escontext, false,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("invalid input syntax for type signals"),
			 errdetail("Expected %s at character %d, found \"%.*s\".",
					   expected, position_of(r, r->p), pg_mblen(r->p), r->p),
			 errhint("Write a JSON object of numbers, booleans and strings, such as {\"fuel_percent\": 68}.")));
}

static bool
complain_value(JsonReader *r, const char *what, const char *hint)
{
	ereturn(r->escontext, false,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("%s not allowed in type signals", what),
			 errdetail("Value of \"%s\" at character %d.", r->name.data, position_of(r, r->p)),
			 errhint("%s", hint)));
}

static inline void
skip_space(JsonReader *r)
{
	while (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r')
		r->p++;
}

static bool
read_hex4(JsonReader *r, uint32 *result)
{
	*result = 0;
	for (int i = 0; i < 4; i++, r->p++)
	{
		char		c = *r->p;

		if (c >= '0' && c <= '9')
			*result = *result * 16 + (c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			*result = *result * 16 + ((c | 0x20) - 'a' + 10);
		else
			return complain_syntax(r, "four hexadecimal digits");
	}
	return true;
}

/* r->p is after "\u". */
static bool
read_unicode_escape(JsonReader *r, StringInfo out)
{
	uint32		code;
	unsigned char utf8[MAX_UNICODE_EQUIVALENT_STRING + 1];
	const char *first = r->p - 2;

	if (!read_hex4(r, &code))
		return false;
	if (is_utf16_surrogate_first(code) && r->p[0] == '\\' && r->p[1] == 'u')
	{
		uint32		second;

		r->p += 2;
		if (!read_hex4(r, &second))
			return false;
		if (is_utf16_surrogate_second(second))
			code = surrogate_pair_to_codepoint(code, second);
	}
	if (code == 0 || is_utf16_surrogate_first(code) || is_utf16_surrogate_second(code))
	{
		r->p = first;
		ereturn(r->escontext, false,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("invalid input syntax for type signals"),
				 code == 0 ?
				 errdetail("\\u0000 at character %d cannot be stored in a text.", position_of(r, first)) :
				 errdetail("The escape at character %d is half of a surrogate pair.", position_of(r, first))));
	}
	pg_unicode_to_server(code, utf8);
	appendStringInfoString(out, (char *) utf8);
	return true;
}

/* r->p is at the opening quote. */
static bool
read_string(JsonReader *r, StringInfo out)
{
	resetStringInfo(out);
	r->p++;
	for (;;)
	{
		const char *run = r->p;

		while (*r->p != '"' && *r->p != '\\' && (unsigned char) *r->p >= 0x20)
			r->p++;
		appendBinaryStringInfo(out, run, r->p - run);
		if (*r->p == '"')
		{
			r->p++;
			return true;
		}
		if (*r->p != '\\')
			return complain_syntax(r, *r->p == '\0' ? "\"\"\"" : "an escape instead of a control character");
		r->p++;
		switch (*r->p)
		{
			case '"':
			case '\\':
			case '/':
				appendStringInfoChar(out, *r->p++);
				break;
			case 'b':
				appendStringInfoChar(out, '\b');
				r->p++;
				break;
			case 'f':
				appendStringInfoChar(out, '\f');
				r->p++;
				break;
			case 'n':
				appendStringInfoChar(out, '\n');
				r->p++;
				break;
			case 'r':
				appendStringInfoChar(out, '\r');
				r->p++;
				break;
			case 't':
				appendStringInfoChar(out, '\t');
				r->p++;
				break;
			case 'u':
				r->p++;
				if (!read_unicode_escape(r, out))
					return false;
				break;
			default:
				return complain_syntax(r, "an escape that JSON knows");
		}
	}
}

static inline bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
read_number(JsonReader *r, double *result)
{
	const char *start = r->p;
	bool		zero = true;	/* no digit but 0 in the mantissa */

	if (*r->p == '-')
		r->p++;
	if (!is_digit(*r->p))
		return complain_syntax(r, "a digit");
	if (*r->p == '0' && is_digit(r->p[1]))
	{
		r->p++;
		return complain_syntax(r, "no digit after a leading zero");
	}
	for (; is_digit(*r->p); r->p++)
		zero &= *r->p == '0';
	if (*r->p == '.')
	{
		r->p++;
		if (!is_digit(*r->p))
			return complain_syntax(r, "a digit");
		for (; is_digit(*r->p); r->p++)
			zero &= *r->p == '0';
	}
	if (*r->p == 'e' || *r->p == 'E')
	{
		r->p++;
		if (*r->p == '-' || *r->p == '+')
			r->p++;
		if (!is_digit(*r->p))
			return complain_syntax(r, "a digit");
		while (is_digit(*r->p))
			r->p++;
	}
	*result = strtod(start, NULL);
	if (isinf(*result) || (*result == 0 && !zero))
		ereturn(r->escontext, false,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("number out of range for type signals"),
				 errdetail("Value of \"%s\" at character %d is %.*s%s, must fit double precision.",
						   r->name.data, position_of(r, start),
						   (int) Min(r->p - start, SHOWN_MAX), start,
						   r->p - start > SHOWN_MAX ? "..." : "")));
	return true;
}

static bool
read_word(JsonReader *r, const char *word)
{
	int			len = strlen(word);

	if (strncmp(r->p, word, len) != 0)
		return false;
	r->p += len;
	return true;
}

static bool
read_value(JsonReader *r, SignalValue *value)
{
	switch (*r->p)
	{
		case '"':
			value->kind = SIGNAL_TEXT;
			if (!read_string(r, &r->text))
				return false;
			value->text = r->text.data;
			value->text_len = r->text.len;
			return true;
		case 't':
		case 'f':
			value->kind = SIGNAL_BOOLEAN;
			value->boolean = *r->p == 't';
			if (read_word(r, value->boolean ? "true" : "false"))
				return true;
			break;
		case '{':
			return complain_value(r, "nested object", "Give every signal a name of its own, such as battery_percent.");
		case '[':
			return complain_value(r, "array", "Join the elements to a string, or give each a name of its own.");
		case 'n':
			if (read_word(r, "null"))
			{
				r->p -= 4;
				return complain_value(r, "null", "Leave out a signal that has no value.");
			}
			break;
		case '-':
		case '0' ... '9':
			value->kind = SIGNAL_NUMBER;
			return read_number(r, &value->number);
	}
	return complain_syntax(r, "a number, boolean or string");
}

static bool
read_members(JsonReader *r, SignalsBuilder *b)
{
	for (;;)
	{
		const char *at;
		SignalValue value;
		SignalsFault fault;

		skip_space(r);
		at = r->p;
		if (*r->p != '"')
			return complain_syntax(r, "a name in double quotes");
		if (!read_string(r, &r->name))
			return false;
		skip_space(r);
		if (*r->p != ':')
			return complain_syntax(r, "\":\"");
		r->p++;
		skip_space(r);
		if (!read_value(r, &value))
			return false;

		fault = signals_try_add(b, signal_key(r->name.data, r->name.len), &value);
		if (fault != SIGNALS_OK)
			return complain_fault(fault, r->name.data, r->name.len, &value,
								  ERRCODE_INVALID_TEXT_REPRESENTATION,
								  psprintf("Name at character %d.", position_of(r, at)),
								  r->escontext);

		skip_space(r);
		if (*r->p == '}')
			return true;
		if (*r->p != ',')
			return complain_syntax(r, "\",\" or \"}\"");
		r->p++;
	}
}

static bool
signals_parse(const char *str, SignalsBuilder *b, Node *escontext)
{
	JsonReader	r = {.start = str, .p = str, .escontext = escontext};

	initStringInfo(&r.name);
	initStringInfo(&r.text);
	skip_space(&r);
	if (*r.p != '{')
		return complain_syntax(&r, "\"{\"");
	r.p++;
	skip_space(&r);
	if (*r.p != '}' && !read_members(&r, b))
		return false;
	r.p++;
	skip_space(&r);
	if (*r.p != '\0')
		return complain_syntax(&r, "the end");
	pfree(r.name.data);
	pfree(r.text.data);
	return true;
}

PG_FUNCTION_INFO_V1(signals_in);
Datum
signals_in(PG_FUNCTION_ARGS)
{
	SignalsBuilder *b = signals_builder();

	if (!signals_parse(PG_GETARG_CSTRING(0), b, fcinfo->context))
		PG_RETURN_NULL();
	PG_RETURN_POINTER(signals_build(b));
}

PG_FUNCTION_INFO_V1(signals_out);
Datum
signals_out(PG_FUNCTION_ARGS)
{
	StringInfoData buf;

	initStringInfo(&buf);
	signals_append_json(&buf, PG_GETARG_SIGNALS(0));
	PG_RETURN_CSTRING(buf.data);
}

/* --- binary --- */

/* Never returns. */
static void
complain_wire(const StringInfo buf, const char *at, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
			 errmsg("invalid binary form of type signals"),
			 errdetail("%s at byte %d.", what, (int) (at - (buf->data + buf->cursor)))));
}

/*
 * Reads from the buffer itself rather than by pq_getmsg functions: this runs
 * for every signal of every report.  Comparisons are by what is left.
 */
PG_FUNCTION_INFO_V1(signals_recv);
Datum
signals_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	const char *p = buf->data + buf->cursor;
	const char *end = buf->data + buf->len;
	bool		utf8 = GetDatabaseEncoding() == PG_UTF8 || GetDatabaseEncoding() == PG_SQL_ASCII;
	SignalsBuilder *b;
	uint16		count;

	if (end - p < 3)
		complain_wire(buf, end, "Truncated header");
	if ((uint8) *p != WIRE_VERSION)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("unknown version of the binary form of type signals"),
				 errdetail("Version is %d, must be %d.", (uint8) *p, WIRE_VERSION)));
	memcpy(&count, p + 1, sizeof(count));
	count = pg_ntoh16(count);
	p += 3;

	b = signals_builder();
	for (int i = 0; i < count; i++)
	{
		const char *name;
		int			name_len;
		SignalValue value;
		SignalsFault fault;

		if (p == end)
			complain_wire(buf, p, "Truncated, fewer entries than announced,");
		name_len = (uint8) *p++;
		name = p;
		/* name and kind */
		if (name_len + 1 > end - p)
			complain_wire(buf, p, "Truncated name");
		p += name_len;
		value.kind = (uint8) *p++;
		switch (value.kind)
		{
			case SIGNAL_BOOLEAN:
				if (p == end)
					complain_wire(buf, p, "Truncated boolean");
				if ((uint8) *p > 1)
					complain_wire(buf, p, "Boolean other than 0 and 1");
				value.boolean = *p++ != 0;
				break;
			case SIGNAL_NUMBER:
				{
					uint64		bits;

					if (end - p < (int) sizeof(bits))
						complain_wire(buf, p, "Truncated number");
					memcpy(&bits, p, sizeof(bits));
					bits = pg_ntoh64(bits);
					memcpy(&value.number, &bits, sizeof(bits));
					p += sizeof(bits);
					break;
				}
			case SIGNAL_TEXT:
				{
					uint16		len;

					if (end - p < (int) sizeof(len))
						complain_wire(buf, p, "Truncated length of a text");
					memcpy(&len, p, sizeof(len));
					len = pg_ntoh16(len);
					p += sizeof(len);
					if (len > end - p)
						complain_wire(buf, p, "Truncated text");
					if (memchr(p, '\0', len) != NULL ||
						(GetDatabaseEncoding() != PG_SQL_ASCII &&
						 !pg_verify_mbstr(PG_UTF8, p, len, true)))
						complain_wire(buf, p, "Text that is not UTF-8 without zero bytes");
					value.text = p;
					value.text_len = len;
					if (!utf8 && len > 0)
					{
						value.text = pg_any_to_server(p, len, PG_UTF8);
						if (value.text != p)
							value.text_len = strlen(value.text);
					}
					p += len;
					break;
				}
			default:
				complain_wire(buf, p - 1, "Unknown kind");
		}

		fault = signals_try_add(b, signal_key(name, name_len), &value);
		if (unlikely(fault != SIGNALS_OK))
		{
			if (fault == SIGNALS_BAD_NAME)
				complain_wire(buf, name, "Invalid signal name");
			complain_fault(fault, name, name_len, &value,
						   ERRCODE_INVALID_BINARY_REPRESENTATION, "", NULL);
		}
	}
	if (p != end)
		complain_wire(buf, p, "Excess bytes after the last entry");
	buf->cursor = buf->len;
	PG_RETURN_POINTER(signals_build(b));
}

PG_FUNCTION_INFO_V1(signals_send);
Datum
signals_send(PG_FUNCTION_ARGS)
{
	Signals    *signals = PG_GETARG_SIGNALS(0);
	SignalsIterator it;
	StringInfoData buf;

	pq_begintypsend(&buf);
	pq_sendint8(&buf, WIRE_VERSION);
	pq_sendint16(&buf, signals->count);
	signals_iterate(signals, &it);
	while (signals_next(&it))
	{
		int			len;
		const char *name = signal_key_name(&it.key, &len);

		pq_sendint8(&buf, len);
		pq_sendbytes(&buf, name, len);
		pq_sendint8(&buf, it.value.kind);
		switch (it.value.kind)
		{
			case SIGNAL_BOOLEAN:
				pq_sendint8(&buf, it.value.boolean);
				break;
			case SIGNAL_NUMBER:
				pq_sendfloat8(&buf, it.value.number);
				break;
			case SIGNAL_TEXT:
				{
					const char *text = it.value.text;
					int			text_len = it.value.text_len;

					if (text_len > 0 && GetDatabaseEncoding() != PG_SQL_ASCII)
					{
						text = pg_server_to_any(it.value.text, it.value.text_len, PG_UTF8);
						if (text != it.value.text)
							text_len = strlen(text);
					}
					pq_sendint16(&buf, text_len);
					pq_sendbytes(&buf, text, text_len);
					break;
				}
		}
	}
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}
