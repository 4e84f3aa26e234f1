/*
 * h02.h
 *	  What the files of the h02 adapter share: h02.c cuts and answers,
 *	  h02_decode.c reads frames.
 */
#ifndef SHIM_H02_H
#define SHIM_H02_H

#include "tracker_report.h"

/* The lowest byte of a tag: the answer that is due.  Above it, two letters. */
typedef enum H02Answer
{
	H02_NONE,
	H02_POSITION,
	H02_CELLS,
	H02_HEARTBEAT,
	H02_HELLO
} H02Answer;

extern DecodeStatus h02_text(Session *session, const Frame *frame, Decoded *out);
extern DecodeStatus h02_binary(Session *session, const Frame *frame, Decoded *out);

/* Is it a binary frame with an identity of 8 bytes? */
extern bool h02_is_wide(const char *data, size_t len);

extern void h02_answer(const Session *session, uint32_t tag, Buf *out);

#endif							/* SHIM_H02_H */
