/*
 * writer.h
 *	  Many rows into one table by heap multi-insert, indexes maintained.
 */
#ifndef FLEET_WRITER_H
#define FLEET_WRITER_H

#include "utils/rel.h"

typedef struct TableWriter TableWriter;

/*
 * The relation must be open with RowExclusiveLock and have `ncolumns` columns;
 * the error otherwise names it.  Defaults, CHECK constraints and triggers of
 * the table are not applied: the pipeline gives every column.
 */
extern TableWriter *writer_open(Relation rel, int ncolumns);
/* Values must stay good until writer_flush() or writer_close(). */
extern void writer_add(TableWriter *writer, const Datum *values, const bool *nulls);
extern void writer_close(TableWriter *writer);

#endif							/* FLEET_WRITER_H */
