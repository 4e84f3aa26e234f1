/*
 * compat.h
 *	  Every difference between server versions, so that no other file tests
 *	  PG_VERSION_NUM.  PostgreSQL 15 to 18 are in reach, 15 is what we test;
 *	  14 has no security_invoker views.
 */
#ifndef FLEET_COMPAT_H
#define FLEET_COMPAT_H

#if PG_VERSION_NUM < 150000 || PG_VERSION_NUM >= 190000
#error "fleet needs PostgreSQL 15 to 18"
#endif

/*
 * Soft input errors came with 16.  Before it the context is ignored and the
 * error is raised; `escontext` is what fcinfo->context holds.
 */
#if PG_VERSION_NUM >= 160000
#include "nodes/miscnodes.h"
#else
#define ereturn(escontext, dummy_value, ...) \
	do { (void) (escontext); ereport(ERROR, __VA_ARGS__); return dummy_value; } while (0)
#endif

/* varatt.h was split from postgres.h in 16 */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* ExecInsertIndexTuples learned to do summarizing indexes only in 16 */
#if PG_VERSION_NUM >= 160000
#define fleet_insert_index_tuples(rri, slot, estate) \
	ExecInsertIndexTuples((rri), (slot), (estate), false, false, NULL, NIL, false)
#else
#define fleet_insert_index_tuples(rri, slot, estate) \
	ExecInsertIndexTuples((rri), (slot), (estate), false, false, NULL, NIL)
#endif

/* ... and RelationGetPrimaryKeyIndex to pass over deferrable ones in 18 */
#if PG_VERSION_NUM >= 180000
#define fleet_primary_key_index(rel) RelationGetPrimaryKeyIndex((rel), false)
#else
#define fleet_primary_key_index(rel) (RelationGetIndexList(rel), (rel)->rd_pkindex)
#endif

/* ownership checks became one function in 16 */
#if PG_VERSION_NUM >= 160000
#define fleet_owns_table(relid, user) object_ownercheck(RelationRelationId, (relid), (user))
#else
#define fleet_owns_table(relid, user) pg_class_ownercheck((relid), (user))
#endif

/* what a setting's hook keeps has a place of its own since 16 */
#if PG_VERSION_NUM >= 160000
#define fleet_guc_malloc(size) guc_malloc(LOG, (size))
#else
#define fleet_guc_malloc(size) malloc(size)
#endif

#endif							/* FLEET_COMPAT_H */
