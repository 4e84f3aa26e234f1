/*
 * fleet.h
 *	  What the whole module shares: settings and the schema's name.
 */
#ifndef FLEET_H
#define FLEET_H

#include "compat.h"

#define FLEET_SCHEMA "fleet"

/* setting fleet.batch_memory, kB */
extern int	fleet_batch_memory;

/* Oid of schema fleet; error if the extension is not installed here. */
extern Oid	fleet_schema_oid(void);
/* Oid of a relation of schema fleet, by its bare name; error if missing. */
extern Oid	fleet_relation_oid(const char *name);

#endif							/* FLEET_H */
