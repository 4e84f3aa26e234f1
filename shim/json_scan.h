/*
 * json_scan.h
 *	  The fast decoder: one pass over a document that holds nothing unusual.
 */
#ifndef SHIM_JSON_SCAN_H
#define SHIM_JSON_SCAN_H

#include "mapping_tree.h"

typedef enum ScanResult
{
	SCAN_DONE,					/* the record is what json_doc_decode would give */
	SCAN_UNUSUAL				/* not decided: reset the record, use json_doc_decode */
} ScanResult;

/* Into a record just reset; it will point into the text and the mapping. */
extern ScanResult json_scan(const Mapping *mapping, const char *text, size_t len, Record *out)
			__attribute__((warn_unused_result));

#endif							/* SHIM_JSON_SCAN_H */
