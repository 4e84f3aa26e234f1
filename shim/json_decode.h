/*
 * json_decode.h
 *	  One JSON document, under a mapping, to a record.
 */
#ifndef SHIM_JSON_DECODE_H
#define SHIM_JSON_DECODE_H

#include <stddef.h>

#include "mapping.h"
#include "record.h"

#define JSON_DEPTH_MAX 32		/* objects and arrays within each other */

/*
 * Never fails: a document that is no good is a record with a defect and with
 * raw = the text.  The record points into the text and into the mapping.
 */
extern void json_decode(const Mapping *mapping, const char *text, size_t len, Record *out);

#endif							/* SHIM_JSON_DECODE_H */
