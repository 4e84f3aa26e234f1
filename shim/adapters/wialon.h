/*
 * wialon.h
 *	  What the two files of the wialon adapter share.
 */
#ifndef SHIM_ADAPTERS_WIALON_H
#define SHIM_ADAPTERS_WIALON_H

#include "adapter.h"

#define WIALON_SHORT_FIELDS 10	/* of a record, up to the satellites */
#define WIALON_FULL_FIELDS 16	/* of one with inputs and parameters */

/* Empties out->record for a report of this session. */
extern void wialon_begin(Session *session, Decoded *out);

/* The record goes to quarantine with these bytes. */
extern void wialon_quarantine(Session *session, Str raw, const char *field, Decoded *out);

/*
 * Emits what a body of that many fields says, without its checksum; raw is
 * kept when it goes to quarantine.  False when it has not that form: it was
 * emitted as malformed.
 */
extern bool wialon_report(Session *session, Str body, int fields, Str raw, Decoded *out)
			__attribute__((warn_unused_result));

#endif							/* SHIM_ADAPTERS_WIALON_H */
