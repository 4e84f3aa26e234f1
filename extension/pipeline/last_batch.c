/*
 * last_batch.c
 *	  fleet.last_batch(): what became of the reports just sent in this session.
 *
 * Kept in session memory, replaced by the next statement, void when the
 * transaction or savepoint that sent them is rolled back.  While a statement
 * runs its notes are its batch's own, since another one may run within it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "fleet.h"
#include "pipeline/batch.h"
#include "pipeline/last_batch.h"
#include "trust/identity.h"

typedef struct Refusal
{
	int64		ordinal;
	DefectCode	code;
	const char *field;			/* or NULL */
} Refusal;

struct LastBatch
{
	MemoryContext context;		/* holds it; the batch's until the statement ends */
	int			level;			/* nesting level of its transaction */
	Oid			role;			/* of the session, outside of functions with other rights */
	int32		tenant_id;		/* of the session's token; 0: it had none */
	BatchOutcome outcome;
	Refusal    *refusals;
	int64		nrefusals;
	int64		refusal_capacity;
	int64	   *repeats;		/* ordinals */
	int64		nrepeats;
	int64		repeat_capacity;
};

static LastBatch *last = NULL;	/* in a child of TopMemoryContext; NULL: none, or void */

PG_FUNCTION_INFO_V1(last_batch);

static int32
session_tenant(void)
{
	const TrustIdentity *who = trust_identity();

	return who ? who->tenant_id : 0;
}

static void
last_reset(void)
{
	if (last != NULL)
		MemoryContextDelete(last->context);
	last = NULL;
}

void
last_batch_begin(Batch *batch)
{
	MemoryContext context = AllocSetContextCreate(batch->context, "fleet last batch",
												  ALLOCSET_DEFAULT_SIZES);

	last_reset();
	batch->notes = MemoryContextAllocZero(context, sizeof(LastBatch));
	batch->notes->context = context;
}

/* Room for one more element of `size` bytes; arrays may pass 1 GB. */
static void *
grow(MemoryContext context, void *array, int64 used, int64 *capacity, Size size)
{
	if (used < *capacity)
		return array;
	*capacity = Max(16, *capacity * 2);
	return array == NULL
		? MemoryContextAllocHuge(context, *capacity * size)
		: repalloc_huge(array, *capacity * size);
}

void
last_batch_note(Batch *batch)
{
	LastBatch  *notes = batch->notes;

	for (int64 i = 0; i < batch->nreports; i++)
	{
		const Report *r = batch->reports[i];

		if (r->verdict == VERDICT_REJECTED)
		{
			Refusal    *refusal;

			notes->refusals = grow(notes->context, notes->refusals, notes->nrefusals,
								   &notes->refusal_capacity, sizeof(Refusal));
			refusal = &notes->refusals[notes->nrefusals++];
			refusal->ordinal = r->ordinal;
			refusal->code = r->defect_code;
			refusal->field = r->defect_field
				? MemoryContextStrdup(notes->context, r->defect_field) : NULL;
		}
		else if (r->verdict == VERDICT_REPEATED)
		{
			notes->repeats = grow(notes->context, notes->repeats, notes->nrepeats,
								  &notes->repeat_capacity, sizeof(int64));
			notes->repeats[notes->nrepeats++] = r->ordinal;
		}
	}
}

static int
compare_refusal(const void *a, const void *b)
{
	int64		x = ((const Refusal *) a)->ordinal;
	int64		y = ((const Refusal *) b)->ordinal;

	return (x > y) - (x < y);
}

static int
compare_ordinal(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return (x > y) - (x < y);
}

void
last_batch_end(Batch *batch)
{
	LastBatch  *notes = batch->notes;

	if (notes->nrefusals > 1)
		qsort(notes->refusals, notes->nrefusals, sizeof(Refusal), compare_refusal);
	if (notes->nrepeats > 1)
		qsort(notes->repeats, notes->nrepeats, sizeof(int64), compare_ordinal);
	notes->outcome = batch->outcome;
	notes->level = batch->level;
	notes->role = GetOuterUserId();
	notes->tenant_id = session_tenant();

	/* of a statement within this one nobody asks any more */
	last_reset();
	MemoryContextSetParent(notes->context, TopMemoryContext);
	batch->notes = NULL;
	last = notes;
}

void
last_batch_abort(int level)
{
	if (last != NULL && last->level >= level)
		last_reset();
}

void
last_batch_commit_sub(int level)
{
	/* from now on it stands and falls with the transaction around it */
	if (last != NULL && last->level >= level)
		last->level = level - 1;
}

static Datum
refusals_jsonb(void)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoChar(&json, '[');
	for (int64 i = 0; i < last->nrefusals; i++)
	{
		const Refusal *r = &last->refusals[i];

		CHECK_FOR_INTERRUPTS();
		appendStringInfo(&json, "%s{\"ordinal\":" INT64_FORMAT ",\"code\":\"%s\",\"field\":",
						 i > 0 ? "," : "", r->ordinal, defect_code_name(r->code));
		if (r->field)
			escape_json(&json, r->field);
		else
			appendStringInfoString(&json, "null");
		appendStringInfoChar(&json, '}');
	}
	appendStringInfoChar(&json, ']');
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data));
}

static Datum
repeats_array(void)
{
	Datum	   *elems = palloc(Max(last->nrepeats, 1) * sizeof(Datum));

	for (int64 i = 0; i < last->nrepeats; i++)
		elems[i] = Int64GetDatum(last->repeats[i]);
	return PointerGetDatum(construct_array(elems, last->nrepeats, INT8OID, 8, true,
										   TYPALIGN_DOUBLE));
}

Datum
last_batch_tuple(FunctionCallInfo fcinfo)
{
	Datum		values[8];
	bool		nulls[8] = {false};
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	/* a pool hands the session on to somebody else */
	if (last == NULL || last->tenant_id != session_tenant() ||
		!has_privs_of_role(GetOuterUserId(), last->role))
		return (Datum) 0;
	values[0] = Int64GetDatum(last->outcome.batch_id);
	nulls[0] = last->outcome.batch_id == 0;
	values[1] = Int64GetDatum(last->outcome.received);
	values[2] = Int64GetDatum(last->outcome.accepted);
	values[3] = Int64GetDatum(last->outcome.repeated);
	values[4] = Int64GetDatum(last->outcome.late);
	values[5] = Int64GetDatum(last->outcome.rejected);
	values[6] = refusals_jsonb();
	values[7] = repeats_array();
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

/*
 * last_batch() returns a row: batch_id, received, accepted, repeated, late,
 * rejected, refused jsonb, repeats bigint[]; null before the first statement.
 */
Datum
last_batch(PG_FUNCTION_ARGS)
{
	Datum		tuple = last_batch_tuple(fcinfo);

	if (tuple == (Datum) 0)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(tuple);
}
