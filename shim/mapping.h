/*
 * mapping.h
 *	  Which member of a vendor's document means what.
 *
 * A mapping is immutable once made, hence may be shared by any number of
 * connections.  docs/mapping.md describes the configuration's form.
 */
#ifndef SHIM_MAPPING_H
#define SHIM_MAPPING_H

#include <stddef.h>

struct json_object;

typedef struct Mapping Mapping;

/* The reference document, flat names, everything else by its path; never fails but for memory (NULL). */
extern Mapping *mapping_default(void);

/* From the configuration's object; NULL with a message in err. */
extern Mapping *mapping_from_json(const char *name, struct json_object *object,
								  char *err, size_t errlen);
extern void mapping_free(Mapping *mapping);

#endif							/* SHIM_MAPPING_H */
