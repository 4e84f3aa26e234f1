/*
 * teltonika.h
 *	  What the files of the teltonika adapter share, the table of IO elements,
 *	  and commands to devices.
 *
 * teltonika.c cuts and answers, teltonika_decode.c reads packets,
 * teltonika_io.c names IO elements, teltonika_config.c reads more names.
 */
#ifndef SHIM_TELTONIKA_H
#define SHIM_TELTONIKA_H

#include "adapter.h"

#define TELTONIKA_COMMAND_MAX 1024	/* bytes of a command's text */
#define TELTONIKA_EXTRA_MAX 1024	/* IO elements that configuration may name */

typedef enum TeltonikaKind
{
	TELTONIKA_NUMBER,			/* unsigned, times scale */
	TELTONIKA_SIGNED,			/* two's complement of its width, times scale */
	TELTONIKA_BOOLEAN,			/* not 0 */
	TELTONIKA_NOT,				/* 0 */
	TELTONIKA_DECIMAL,			/* a text of its decimal digits */
	TELTONIKA_HEX,				/* a text of its hexadecimal digits, "" for 0 */
	TELTONIKA_TEXT,				/* characters: values of variable length only */
	TELTONIKA_DROP				/* not kept */
} TeltonikaKind;

typedef struct TeltonikaIo
{
	uint16_t	id;
	uint8_t		width;			/* bytes; 0: variable length; TELTONIKA_ANY: of any */
	uint8_t		kind;			/* a TeltonikaKind */
	double		scale;
	const char *name;			/* of the signal */
	double		min;			/* of its range; raw outside; min = max: none */
	double		max;
} TeltonikaIo;

#define TELTONIKA_ANY 0xFF

typedef struct TeltonikaSession
{
	bool		owes;			/* an answer to the last command */
} TeltonikaSession;

/*
 * IO elements on top of the built-in table, which they override; a new call
 * replaces those of the last one.  Rows and names are copied.  False, and
 * nothing changed, when a row has a name that is none, or there are too many.
 */
extern bool teltonika_extend(const TeltonikaIo *rows, size_t nrows) __attribute__((warn_unused_result));

extern bool teltonika_row_valid(const TeltonikaIo *row);

/*
 * Such rows from the configuration, to be freed in any case; false with a
 * message when it is not understood.
 */
struct json_object;
extern bool teltonika_read_rows(struct json_object *value, TeltonikaIo **rows, size_t *nrows, char *err, size_t errlen)
			__attribute__((warn_unused_result));
extern void teltonika_free_rows(TeltonikaIo *rows, size_t nrows);

/*
 * A command in codec 12, as the device takes it: "getinfo", "setdigout 1".
 * False when it is empty or too long, or there was no room.
 */
extern bool teltonika_command(const char *text, size_t len, Buf *out) __attribute__((warn_unused_result));

/* --- among the files of the adapter --- */

/*
 * One packet: codec, number, records or messages, number.  Emits its records
 * for the device; false, and nothing was emitted, when it is malformed: field
 * says where.  *count is what the device wants to have confirmed, -1: nothing.
 */
extern bool teltonika_packet(const Session *session, Str device, const char *data, size_t len,
							 Decoded *out, int *count, const char **field);

/*
 * Adds the element to the record; codec 7 has elements of its own.  False when
 * the record has no room.
 */
extern bool teltonika_io(Record *record, bool codec7, unsigned id, const unsigned char *value, size_t width,
						 bool variable);

/* The name of its signal; may take scratch.  data NULL: no room. */
extern Str	teltonika_io_name(Record *record, bool codec7, unsigned id);

static inline uint64_t
teltonika_be(const unsigned char *p, size_t n)
{
	uint64_t	value = 0;

	for (size_t i = 0; i < n; i++)
		value = value << 8 | p[i];
	return value;
}

#endif							/* SHIM_TELTONIKA_H */
