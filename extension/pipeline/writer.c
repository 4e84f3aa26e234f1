/*
 * writer.c
 *	  Heap multi-insert, as COPY does it, for tables that the pipeline owns.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/executor.h"

#include "fleet.h"
#include "pipeline/writer.h"

/* Rows handed to the table at once; COPY uses as many. */
#define WRITER_SLOTS 1000

struct TableWriter
{
	Relation	rel;
	EState	   *estate;
	ResultRelInfo *rri;
	BulkInsertState bulk;
	TupleTableSlot *slots[WRITER_SLOTS];	/* made as needed */
	int			nslots;			/* filled */
};

TableWriter *
writer_open(Relation rel, int ncolumns)
{
	TableWriter *writer = palloc0(sizeof(TableWriter));

	if (RelationGetNumberOfAttributes(rel) != ncolumns)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" does not have the expected columns",
						RelationGetRelationName(rel)),
				 errdetail("It has %d columns, must have %d.",
						   RelationGetNumberOfAttributes(rel), ncolumns)));
	writer->rel = rel;
	writer->estate = CreateExecutorState();
	writer->rri = makeNode(ResultRelInfo);
	InitResultRelInfo(writer->rri, rel, 0, NULL, 0);
	ExecOpenIndices(writer->rri, false);
	writer->bulk = GetBulkInsertState();
	return writer;
}

static void
writer_flush(TableWriter *writer)
{
	if (writer->nslots == 0)
		return;
	table_multi_insert(writer->rel, writer->slots, writer->nslots,
					   GetCurrentCommandId(true), 0, writer->bulk);
	for (int i = 0; i < writer->nslots; i++)
	{
		if (writer->rri->ri_NumIndices > 0)
			(void) fleet_insert_index_tuples(writer->rri, writer->slots[i], writer->estate);
		ExecClearTuple(writer->slots[i]);
		ResetPerTupleExprContext(writer->estate);
	}
	writer->nslots = 0;
}

void
writer_add(TableWriter *writer, const Datum *values, const bool *nulls)
{
	TupleTableSlot *slot;
	int			n = RelationGetNumberOfAttributes(writer->rel);

	if (writer->nslots == WRITER_SLOTS)
		writer_flush(writer);
	if (writer->slots[writer->nslots] == NULL)
		writer->slots[writer->nslots] = table_slot_create(writer->rel, NULL);
	slot = writer->slots[writer->nslots++];
	ExecClearTuple(slot);
	memcpy(slot->tts_values, values, n * sizeof(Datum));
	memcpy(slot->tts_isnull, nulls, n * sizeof(bool));
	ExecStoreVirtualTuple(slot);
}

void
writer_close(TableWriter *writer)
{
	writer_flush(writer);
	for (int i = 0; i < WRITER_SLOTS && writer->slots[i] != NULL; i++)
		ExecDropSingleTupleTableSlot(writer->slots[i]);
	FreeBulkInsertState(writer->bulk);
	table_finish_bulk_insert(writer->rel, 0);
	ExecCloseIndices(writer->rri);
	FreeExecutorState(writer->estate);
	pfree(writer);
}
