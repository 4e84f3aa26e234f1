/*
 * identity.c
 *	  Who this session has proved to be: memory that no SQL can write.
 *
 * There are two places, one of the session and one of the transaction, which
 * wins.  Each change is noted with the subtransaction that made it, so that a
 * rollback puts back what was there; what a setting says is never believed.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "utils/memutils.h"

#include "trust/identity.h"

/* A change of a place, newest first. */
typedef struct Change
{
	struct Change *before;
	SubTransactionId subxact;	/* whose rollback undoes it */
	bool		local;			/* of the transaction's place */
	TrustIdentity *previous;	/* what was there */
} Change;

static TrustIdentity *of_session = NULL;
static TrustIdentity *of_transaction = NULL;
static Change *changes = NULL;	/* of this transaction */

/* Each identity has a context of its own below TopMemoryContext. */
static TrustIdentity *
identity_copy(const TrustIdentity *from)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "fleet identity",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	TrustIdentity *copy = palloc(sizeof(TrustIdentity));

	*copy = *from;
	copy->subject = from->subject ? pstrdup(from->subject) : NULL;
	if (from->nscopes > 0)
	{
		copy->scopes = palloc(from->nscopes * sizeof(char *));
		for (int i = 0; i < from->nscopes; i++)
			copy->scopes[i] = pstrdup(from->scopes[i]);
	}
	if (from->nvehicles > 0)
	{
		int64	   *vehicles = palloc(from->nvehicles * sizeof(int64));

		memcpy(vehicles, from->vehicles, from->nvehicles * sizeof(int64));
		copy->vehicles = vehicles;
	}
	MemoryContextSwitchTo(old);
	return copy;
}

static void
identity_free(TrustIdentity *identity)
{
	if (identity != NULL)
		MemoryContextDelete(GetMemoryChunkContext(identity));
}

static void
note_change(bool local, TrustIdentity *previous)
{
	Change	   *change = MemoryContextAlloc(TopTransactionContext, sizeof(Change));

	change->before = changes;
	change->subxact = GetCurrentSubTransactionId();
	change->local = local;
	change->previous = previous;
	changes = change;
}

void
trust_set_identity(const TrustIdentity *identity, bool local)
{
	TrustIdentity *copy = identity ? identity_copy(identity) : NULL;

	if (local)
	{
		note_change(true, of_transaction);
		of_transaction = copy;
	}
	else
	{
		note_change(false, of_session);
		of_session = copy;
	}
}

void
trust_forget_session(void)
{
	identity_free(of_session);
	of_session = NULL;
}

const TrustIdentity *
trust_identity(void)
{
	/* a worker knows nothing of the leader's login: to it the role is all there is */
	if (IsParallelWorker())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("tenants of a session are not known in a parallel worker"),
				 errhint("A function that reads tables of fleet must be PARALLEL RESTRICTED.")));
	return of_transaction != NULL ? of_transaction : of_session;
}

/* Undoes the newest change. */
static void
undo(void)
{
	Change	   *change = changes;

	if (change->local)
	{
		identity_free(of_transaction);
		of_transaction = change->previous;
	}
	else
	{
		identity_free(of_session);
		of_session = change->previous;
	}
	changes = change->before;
}

static void
at_subtransaction(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		while (changes != NULL && changes->subxact == mine)
			undo();
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
		for (Change *c = changes; c != NULL && c->subxact == mine; c = c->before)
			c->subxact = parent;
}

static void
at_transaction(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PARALLEL_ABORT:
			while (changes != NULL)
				undo();
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PREPARE:
			/* what was replaced is not needed any more */
			for (Change *c = changes; c != NULL; c = c->before)
				identity_free(c->previous);
			changes = NULL;
			break;
		default:
			return;
	}
	identity_free(of_transaction);
	of_transaction = NULL;
}

void
identity_init(void)
{
	RegisterXactCallback(at_transaction, NULL);
	RegisterSubXactCallback(at_subtransaction, NULL);
}
