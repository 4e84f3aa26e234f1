/*
 * json_value.h
 *	  Scalars of a document, and what both decoders agree on about them.
 */
#ifndef SHIM_JSON_VALUE_H
#define SHIM_JSON_VALUE_H

#include "record.h"

typedef enum JsonType
{
	JSON_NULL,
	JSON_BOOLEAN,
	JSON_NUMBER,
	JSON_STRING
} JsonType;

typedef struct JsonScalar
{
	JsonType	type;
	bool		boolean;
	double		number;			/* infinite when beyond a double */
	Str			text;			/* string: unescaped; number: as written */
} JsonScalar;

/*
 * A number as text, the way PostgreSQL's numeric writes it: no exponent, as many
 * decimals as were written, no minus before zero.  False when that takes more
 * than size bytes.
 */
extern bool json_number_text(Str number, char *out, size_t size, uint32_t *len)
			__attribute__((warn_unused_result));

/* A JSON number's value; the text must be one (RFC 8259). */
extern double json_number_value(Str number);

/* Does the whole text read as a JSON number? */
extern bool json_is_number(const char *text, size_t len);

extern bool json_utf8_valid(const char *text, size_t len);


/*
 * Is it one JSON text by RFC 8259, in valid UTF-8, and storable: no \u0000, no
 * half of a surrogate pair, no more than JSON_DEPTH_MAX levels?
 *
 * long_integers counts the integers of more than 18 digits, which json-c would
 * clamp; json_spell_integers copies the text (len + 2 * long_integers bytes)
 * with "e0" behind each of them, which makes json-c read them as doubles.
 */
extern bool json_check(const char *text, size_t len, size_t *long_integers)
			__attribute__((warn_unused_result));
extern size_t json_spell_integers(const char *text, size_t len, char *out);

/*
 * Behind the JSON value, which stands the same checks, that begins at p; NULL
 * when there is none.
 */
extern const char *json_skip_value(const char *p, const char *end);
extern const char *json_skip_space(const char *p, const char *end);

#endif							/* SHIM_JSON_VALUE_H */
