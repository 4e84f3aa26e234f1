/*
 * gl200.h
 *	  What the two files of the gl200 adapter share.
 */
#ifndef SHIM_ADAPTERS_GL200_H
#define SHIM_ADAPTERS_GL200_H

#include "adapter.h"

#define GL200_FIELDS_MAX 512	/* of a message; groups of a long report included */

typedef enum Gl200Kind
{
	GL200_LIVE,					/* +RESP */
	GL200_STORED,				/* +BUFF */
	GL200_ANSWER				/* +ACK, to a command */
} Gl200Kind;

/* A message whose header, identity and end are there. */
typedef struct Gl200Message
{
	Gl200Kind	kind;
	Str			report;			/* FRI, without the GT */
	Str			field[GL200_FIELDS_MAX];	/* 0 the header, 1 version, 2 identity */
	int			n;				/* the last is the count, the one before the time of sending */
	bool		old;			/* of the oldest models: no name behind the identity */
	bool		oldest;			/* version behind the count; accuracy behind the height */
	const Frame *frame;
} Gl200Message;

/* Emits what the message says: one record a place, or one without. */
extern void gl200_report(Session *session, const Gl200Message *m, Decoded *out);

/* Empties out->record for a report of this session. */
extern void gl200_begin(Session *session, Decoded *out);

#endif							/* SHIM_ADAPTERS_GL200_H */
