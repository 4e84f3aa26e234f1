/*
 * record.h
 *	  A record: what one report of a device says, decoded, ready for the sink.
 *
 * Strings are slices: of the text that was decoded, of the mapping, or of the
 * record's own scratch.  They live as long as the shortest-lived of these.
 */
#ifndef SHIM_RECORD_H
#define SHIM_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECORD_MAX_SIGNALS 512	/* as in the extension */
#define RECORD_NAME_MAX 63		/* bytes of a signal's name, as in the extension */
#define RECORD_TEXT_MAX 4096	/* bytes of a text signal, as in the extension */
#define RECORD_SIGNALS_SIZE 60000	/* bytes of all signals, below the extension's */
#define RECORD_DEVICE_MAX 1024	/* bytes of a device's identity */
#define RECORD_DEFECT_MAX 96		/* bytes of "code:field" */
#define RECORD_SCRATCH 73728	/* all of a record's strings, and room to build one */

typedef struct Str
{
	const char *data;
	uint32_t	len;
} Str;

typedef enum RecordKind
{
	RECORD_BOOLEAN = 1,
	RECORD_NUMBER = 2,
	RECORD_TEXT = 3
} RecordKind;

typedef struct RecordSignal
{
	Str			name;			/* [A-Za-z_][A-Za-z0-9_]*, 1 to RECORD_NAME_MAX bytes */
	uint8_t		kind;			/* a RecordKind */
	bool		boolean;
	double		number;			/* finite */
	Str			text;			/* UTF-8 without NUL, up to RECORD_TEXT_MAX bytes */
} RecordSignal;

typedef struct Record
{
	Str			device;			/* len 0: none */
	bool		has_event_time;
	int64_t		event_time_us;	/* Unix epoch, microseconds */
	int64_t		received_at_us; /* likewise; 0: not given */
	double		latitude;		/* NaN: none, here and below */
	double		longitude;
	double		altitude_m;
	double		accuracy_m;
	double		speed_kmh;
	double		heading_deg;
	int32_t		schema_version; /* 0: none */
	Str			defect;			/* "code" or "code:field"; len 0: none */
	Str			raw;			/* the frame as received; set with a defect, or
								 * when device or time are missing */
	uint32_t	nsignals;
	RecordSignal signals[RECORD_MAX_SIGNALS];	/* the last of a name counts */

	/* private */
	uint32_t	signals_size;	/* bytes they will take */
	uint32_t	scratch_used;
	char		defect_text[RECORD_DEFECT_MAX];
	char		scratch[RECORD_SCRATCH];
} Record;

#define RECORD_STR(literal) ((Str) {(literal), sizeof(literal) - 1})

/* Empties it; the arrays are left as they are. */
extern void record_reset(Record *record);

/*
 * n bytes of scratch, NULL when there is not that much left.  What is known
 * to be the most recent piece may be cut back to a shorter length.
 */
extern char *record_scratch(Record *record, size_t n) __attribute__((warn_unused_result));
extern void record_scratch_trim(Record *record, char *piece, size_t n);

/*
 * Appends a signal.  False, and nothing added, when a limit above is passed or
 * the number is not finite.
 */
extern bool record_add_boolean(Record *record, Str name, bool value) __attribute__((warn_unused_result));
extern bool record_add_number(Record *record, Str name, double value) __attribute__((warn_unused_result));
extern bool record_add_text(Record *record, Str name, Str value) __attribute__((warn_unused_result));

/*
 * Sets the defect "code:field", or "code" for an empty field, unless there is
 * one already: the first counts.  The code is a literal of at most 31 bytes.
 */
extern void record_set_defect(Record *record, const char *code, Str field);

/*
 * Makes the record one of device, which its sender has proved to be.  One that
 * says to be of another device gets the defect not_permitted:device; then false.
 * text is what it was read from.
 */
extern bool record_bind(Record *record, Str device, Str text);

#endif							/* SHIM_RECORD_H */
