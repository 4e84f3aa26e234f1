/*
 * last_batch.h
 *	  The row of fleet.last_batch(), for other functions that return the same.
 */
#ifndef FLEET_LAST_BATCH_H
#define FLEET_LAST_BATCH_H

#include "fmgr.h"

/* Composite datum of fcinfo's row type; 0 when there is no last batch. */
extern Datum last_batch_tuple(FunctionCallInfo fcinfo);

#endif							/* FLEET_LAST_BATCH_H */
