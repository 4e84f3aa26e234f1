/*
 * signals.h
 *	  A compact, immutable map from signal name to number, boolean or text.
 *
 * Well-known names (dictionary.h) are stored by their dictionary number, any
 * other name in full.  Entries are kept in canonical order: well-known ones by
 * number, then the others by name in byte order; each name at most once.  The
 * packed layout is private (signals_layout.h); others use the functions below.
 */
#ifndef FLEET_SIGNALS_H
#define FLEET_SIGNALS_H

#include "fmgr.h"
#include "lib/stringinfo.h"

#define SIGNALS_VERSION 1
#define SIGNAL_NAME_MAX 63		/* bytes in a name */
#define SIGNAL_TEXT_MAX 4096	/* bytes in a text value */
#define SIGNALS_MAX_ENTRIES 512
#define SIGNALS_MAX_SIZE 65536	/* bytes of the packed map */

typedef enum SignalKind
{
	SIGNAL_BOOLEAN = 1,
	SIGNAL_NUMBER = 2,			/* finite double */
	SIGNAL_TEXT = 3
} SignalKind;

typedef struct SignalKey
{
	uint16		id;				/* dictionary number, 0: not well known */
	uint8		name_len;		/* when id is 0 */
	const char *name;			/* when id is 0; not terminated */
} SignalKey;

typedef struct SignalValue
{
	SignalKind	kind;
	bool		boolean;
	double		number;
	const char *text;			/* not terminated; points into the map */
	int			text_len;
} SignalValue;

typedef struct Signals
{
	int32		vl_len_;		/* varlena header */
	uint8		version;		/* SIGNALS_VERSION */
	uint8		generation;		/* DICTIONARY_GENERATION of the writer: which names
								 * it stored by number */
	uint16		count;			/* entries */
	char		data[FLEXIBLE_ARRAY_MEMBER];
} Signals;

/* Detoasted, not a copy when it need not be; in the form of today's dictionary. */
extern Signals *DatumGetSignals(Datum d);
#define PG_GETARG_SIGNALS(n) DatumGetSignals(PG_GETARG_DATUM(n))

/* --- reading, in canonical order --- */
typedef struct SignalsIterator
{
	const Signals *signals;
	const char *next;
	int			remaining;
	SignalKey	key;			/* of the current entry */
	SignalValue value;
} SignalsIterator;

extern void signals_iterate(const Signals *signals, SignalsIterator *it);	/* NULL map: empty */
extern bool signals_next(SignalsIterator *it);
extern int	signal_key_compare(const SignalKey *a, const SignalKey *b);

/* The value of one name; false when the map (NULL: empty) has none. */
extern bool signals_get(const Signals *signals, const SignalKey *key, SignalValue *value);

/*
 * Many values in one pass: keys in canonical order; found[i] tells whether
 * values[i] was set.
 */
extern void signals_fetch(const Signals *signals, const SignalKey *keys, int nkeys,
						  SignalValue *values, bool *found);

/* Have both maps the same names, whatever the values? */
extern bool signals_same_names(const Signals *a, const Signals *b);

/* Key for a name, well known or not; keeps the pointer to the name. */
extern SignalKey signal_key(const char *name, int name_len);
/* The name of a key (dictionary string or key->name), length in *len. */
extern const char *signal_key_name(const SignalKey *key, int *len);

/* --- building: entries in any order, the last of a name wins --- */
typedef struct SignalsBuilder SignalsBuilder;

/* What keeps a value out of a map. */
typedef enum SignalsFault
{
	SIGNALS_OK = 0,
	SIGNALS_BAD_NAME,			/* not [A-Za-z_][A-Za-z0-9_]*, or too long */
	SIGNALS_NOT_FINITE,
	SIGNALS_TEXT_TOO_LONG,
	SIGNALS_TOO_MANY,			/* entries */
	SIGNALS_TOO_LARGE			/* bytes of the map */
} SignalsFault;

extern SignalsBuilder *signals_builder(void);	/* in CurrentMemoryContext */
/*
 * Copies name and text.  Raises program_limit_exceeded beyond the limits above,
 * invalid_parameter_value for a bad name or a number that is not finite.
 */
extern void signals_add(SignalsBuilder *b, SignalKey key, const SignalValue *value);
/* The same, but says what is wrong; the builder is then as it was. */
extern SignalsFault signals_try_add(SignalsBuilder *b, SignalKey key, const SignalValue *value);
extern Signals *signals_build(SignalsBuilder *b);	/* frees the builder */

/* a || b, the right side wins; NULL stands for an empty map. */
extern Signals *signals_merge(const Signals *a, const Signals *b);
/* The same, but NULL where signals_merge raises program_limit_exceeded. */
extern Signals *signals_try_merge(const Signals *a, const Signals *b);
extern bool signals_equal(const Signals *a, const Signals *b);
/* Appends the JSON object form. */
extern void signals_append_json(StringInfo out, const Signals *signals);
/* Appends one value as JSON: numbers in the shortest form that is exact. */
extern void signal_append_json(StringInfo out, const SignalValue *value);

/* Is it [A-Za-z_][A-Za-z0-9_]*, up to SIGNAL_NAME_MAX bytes? */
extern bool signal_name_valid(const char *name, int name_len);
/* "boolean", "number", "text" */
extern const char *signal_kind_name(SignalKind kind);

#endif							/* FLEET_SIGNALS_H */
