/*
 * ruptela.h
 *	  What the files of the ruptela adapter share: ruptela.c reads frames,
 *	  ruptela_io.c names the elements of records.
 */
#ifndef SHIM_ADAPTERS_RUPTELA_H
#define SHIM_ADAPTERS_RUPTELA_H

#include "adapter.h"

/* Adds the element of 1, 2, 4 or 8 bytes; false when the record has no room. */
extern bool ruptela_io(Record *r, unsigned id, const unsigned char *p, size_t size);

#endif							/* SHIM_ADAPTERS_RUPTELA_H */
