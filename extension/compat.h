/*
 * compat.h
 *	  Every difference between server versions, so that no other file tests
 *	  PG_VERSION_NUM.  PostgreSQL 14 to 18 are in reach, 15 is what we test.
 */
#ifndef FLEET_COMPAT_H
#define FLEET_COMPAT_H

#if PG_VERSION_NUM < 140000 || PG_VERSION_NUM >= 190000
#error "fleet needs PostgreSQL 14 to 18"
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

#endif							/* FLEET_COMPAT_H */
