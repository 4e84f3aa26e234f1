/*
 * json_doc.h
 *	  The decoder of record: json-c's tree, walked under a mapping.
 */
#ifndef SHIM_JSON_DOC_H
#define SHIM_JSON_DOC_H

#include "mapping_tree.h"

/*
 * Into a record just reset, which will point into the mapping and itself only.
 * A text that is no JSON, or no object, gives the defect "malformed".
 */
extern void json_doc_decode(const Mapping *mapping, const char *text, size_t len, Record *out);

#endif							/* SHIM_JSON_DOC_H */
