/*
 * gt06.h
 *	  What the two files of the gt06 adapter share.
 */
#ifndef SHIM_ADAPTERS_GT06_H
#define SHIM_ADAPTERS_GT06_H

#include "adapter.h"

typedef struct Gt06Session
{
	int32_t		zone_seconds;	/* east of Greenwich, as the login said */
	int			malformed;		/* frames since the last good one */
	int64_t		command_id;		/* that waits for an answer; 0: none */
	uint16_t	serial;			/* of what we send unasked */
	bool		unanswered;		/* a command before that was not answered */
} Gt06Session;

/* A frame whose length, end and checksum are right. */
typedef struct Gt06Message
{
	uint8_t		type;
	bool		extended;		/* 7979 */
	uint16_t	serial;
	const unsigned char *content;
	size_t		length;			/* of the content */
	const Frame *frame;
} Gt06Message;

typedef enum Gt06Result
{
	GT06_NOTHING,				/* nothing worth keeping */
	GT06_EMITTED,
	GT06_MALFORMED				/* too short, or otherwise not to be read */
} Gt06Result;

/* Emits what the message says; gt06_decode.c. */
extern Gt06Result gt06_report(Session *session, const Gt06Message *m, Decoded *out);

/* Does it begin with a date and a fix, whatever its type? */
extern bool gt06_looks_placed(const unsigned char *p, size_t n);

/* Empties out->record for a report of this session. */
extern void gt06_begin(Session *session, Decoded *out);

static inline uint16_t
gt06_u16(const unsigned char *p)
{
	return (uint16_t) (p[0] << 8 | p[1]);
}

static inline uint32_t
gt06_u32(const unsigned char *p)
{
	return (uint32_t) gt06_u16(p) << 16 | gt06_u16(p + 2);
}

#endif							/* SHIM_ADAPTERS_GT06_H */
