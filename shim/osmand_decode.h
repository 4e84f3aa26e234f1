/*
 * osmand_decode.h
 *	  What phones with OsmAnd's protocol say, decoded from memory; the requests
 *	  around it are the matter of http_osmand.c.
 */
#ifndef SHIM_OSMAND_DECODE_H
#define SHIM_OSMAND_DECODE_H

#include <stddef.h>
#include <stdint.h>

#include "record.h"

typedef enum OsmandResult
{
	OSMAND_OK,					/* emitted: one record, or those of an array */
	OSMAND_NO_DEVICE,
	OSMAND_MALFORMED			/* nothing to be made of it */
} OsmandResult;

typedef struct OsmandSink
{
	void		(*emit) (void *arg, const Record *record);
	void	   *arg;
	Record	   *record;			/* for our use */
	int64_t		now_us;			/* when the request came */
} OsmandSink;

/* The pairs of a query and of a form, read as one; either may be empty. */
extern OsmandResult osmand_form(Str query, Str form, const OsmandSink *sink)
			__attribute__((warn_unused_result));

extern OsmandResult osmand_json(Str text, const OsmandSink *sink)
			__attribute__((warn_unused_result));

#endif							/* SHIM_OSMAND_DECODE_H */
