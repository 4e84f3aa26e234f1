/*
 * tesla.h
 *	  What the files of the tesla adapter share: tesla.c has the connection and
 *	  the answers, tesla_envelope.c what surrounds a message, tesla_decode.c its
 *	  payload, tesla_fields.c the names.
 */
#ifndef ADAPTERS_TESLA_H
#define ADAPTERS_TESLA_H

#include "adapter.h"

#define TESLA_STREAM 4			/* types of messages */
#define TESLA_ACK 5

/* Slices are of the bytes that were read; absent ones are empty. */
typedef struct TeslaEnvelope
{
	Str			txid;
	Str			topic;
	Str			message_id;
	uint8_t		type;
	bool		has_message;	/* the rest; not looked at in an acknowledgement */
	uint32_t	created_at;		/* seconds; 0: absent */
	Str			sender;
	Str			payload;
} TeslaEnvelope;

/* NULL, or what is wrong: static text.  What was read until then stays in out. */
extern const char *tesla_envelope_read(const char *data, size_t len, TeslaEnvelope *out)
			__attribute__((warn_unused_result));

/* "Stored"; or why not, when refusal is not NULL.  False when out of memory. */
extern bool tesla_envelope_answer(Buf *out, Str txid, Str topic, const char *refusal)
			__attribute__((warn_unused_result));

/*
 * The payload of a message, to records of session->device.  NULL, or the part
 * that is wrong: static text; nothing has been emitted then.
 */
extern const char *tesla_decode(const Session *session, const TeslaEnvelope *envelope, Str raw, Decoded *out)
			__attribute__((warn_unused_result));

typedef enum TeslaKind
{
	TESLA_ANY,					/* text, one of a list, a structure */
	TESLA_NUMBER,
	TESLA_BOOLEAN
} TeslaKind;

typedef struct TeslaField
{
	const char *name;			/* the vendor's, in our spelling */
	TeslaKind	kind;			/* old firmware sends all as text: what to read in it */
	const char *known;			/* the signal it is when of that kind, or NULL: by name */
	double		factor;			/* of a number, to the unit of known */
} TeslaField;

/* NULL for a number of newer firmware. */
extern const TeslaField *tesla_field(int32_t number);

/* Is that member of a value one of a list?  Its label, or NULL. */
extern bool tesla_is_listed(uint32_t member);
extern const char *tesla_label(uint32_t member, int32_t value);

#endif							/* ADAPTERS_TESLA_H */
