/*
 * verdicts.h
 *	  What fleet.last_batch() says of each row of a batch.
 */
#ifndef SHIM_VERDICTS_H
#define SHIM_VERDICTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sink.h"

struct json_object;

typedef struct Verdicts
{
	uint32_t   *rows;			/* private; kept from batch to batch */
	size_t		size;
	struct json_object *refused;
} Verdicts;

/*
 * Reads the columns refused, [{"ordinal":3,"code":"...","field":"..."}], and
 * repeats, {2,7}, for a batch of so many rows.  What is in neither was
 * accepted; an ordinal that no row has is passed over.  False when memory is
 * out or refused is not of that form; all rows count as accepted then.
 */
extern bool verdicts_read(Verdicts *verdicts, size_t nrows, const char *refused, const char *repeats)
			__attribute__((warn_unused_result));

/* Of row 0, 1, ...; the strings live until the next read. */
extern SinkOutcome verdicts_outcome(const Verdicts *verdicts, size_t row);
extern void verdicts_free(Verdicts *verdicts);

#endif							/* SHIM_VERDICTS_H */
