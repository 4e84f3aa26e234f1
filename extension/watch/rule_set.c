/*
 * rule_set.c
 *	  Loads and compiles the rules of a tenant, once per backend and change.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "fleet.h"
#include "watch/rule_set.h"

static HTAB *sets = NULL;		/* tenant_id -> RuleSet */
static uint64 generation = 1;	/* grows with every change of fleet.rule */
static Oid	rule_relid = InvalidOid;
static List *retired = NIL;		/* contexts to delete when the transaction ends */

static void
rule_table_changed(Datum arg, Oid relid)
{
	if (relid == InvalidOid || relid == rule_relid)
		generation++;
}

static void
delete_retired(XactEvent event, void *arg)
{
	ListCell   *lc;

	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT &&
		event != XACT_EVENT_PREPARE)
		return;
	foreach(lc, retired)
		MemoryContextDelete(lfirst(lc));
	list_free(retired);
	retired = NIL;
}

static void
rule_sets_init(void)
{
	HASHCTL		ctl;

	if (sets)
		return;
	ctl.keysize = sizeof(int32);
	ctl.entrysize = sizeof(RuleSet);
	ctl.hcxt = CacheMemoryContext;
	sets = hash_create("fleet rule sets", 16, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	CacheRegisterRelcacheCallback(rule_table_changed, (Datum) 0);
	RegisterXactCallback(delete_retired, NULL);
}

static int64
interval_microseconds(Interval *interval)
{
	int64		days = (int64) interval->month * DAYS_PER_MONTH + interval->day;

	return days * USECS_PER_DAY + interval->time;
}

/*
 * Compiles one condition into set->context.  It was accepted when the rule was
 * written, but functions may have been dropped since, so a failure must not
 * sink the batch; it is caught with a subtransaction, because name look-up
 * holds resources that an error leaves behind.
 */
static ExprState *
compile_rule(RuleSet *set, const char *text, const char *what, const Rule *rule,
			 Bitmapset **used, bool *failed)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ExprState  *volatile result = NULL;

	BeginInternalSubTransaction(NULL);
	PG_TRY();
	{
		Expr	   *expr;

		MemoryContextSwitchTo(set->context);
		expr = rule_compile(text, what, rule->name, &set->inputs, used);
		result = ExecInitExpr(expr, NULL);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *edata;

		MemoryContextSwitchTo(context);
		edata = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		if (ERRCODE_TO_CATEGORY(edata->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION ||
			edata->sqlerrcode == ERRCODE_OUT_OF_MEMORY)
			ReThrowError(edata);
		ereport(WARNING,
				(errcode(edata->sqlerrcode),
				 errmsg("rule \"%s\" is not in force: %s", rule->name, edata->message),
				 edata->detail ? errdetail_internal("%s", edata->detail) : 0,
				 errhint("Write its %s again, or disable it.", what)));
		*failed = true;
		result = NULL;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return result;
}

static char *
copy_value(SPITupleTable *table, uint64 row, int column, MemoryContext context)
{
	char	   *value = SPI_getvalue(table->vals[row], table->tupdesc, column);

	return value ? MemoryContextStrdup(context, value) : NULL;
}

/* Rules as rows; conditions are compiled after SPI_finish. */
static void
load_rules(RuleSet *set, char ***conditions, char ***clear_conditions)
{
	static const char *const query =
		"SELECT rule_id, changed_at, name, severity, message, vehicle_type, hold, silence,"
		" condition, clear_condition"
		" FROM fleet.rule WHERE tenant_id OPERATOR(pg_catalog.=) $1 AND enabled ORDER BY rule_id";
	Oid			argtypes[] = {INT4OID};
	Datum		args[] = {Int32GetDatum(set->tenant_id)};
	int			rc;

	/*
	 * The latest snapshot, not the transaction's: the invalidation that brought
	 * us here may be newer, and what is read now is kept beyond the
	 * transaction.
	 */
	PushActiveSnapshot(GetLatestSnapshot());
	SPI_connect();
	rc = SPI_execute_with_args(query, lengthof(args), argtypes, args, NULL, true, 0);
	if (rc != SPI_OK_SELECT)
		elog(ERROR, "could not read fleet.rule: %s", SPI_result_code_string(rc));

	set->nrules = SPI_processed;
	set->rules = MemoryContextAllocZero(set->context, Max(set->nrules, 1) * sizeof(Rule));
	*conditions = MemoryContextAllocZero(set->context, Max(set->nrules, 1) * sizeof(char *));
	*clear_conditions = MemoryContextAllocZero(set->context, Max(set->nrules, 1) * sizeof(char *));
	for (int i = 0; i < set->nrules; i++)
	{
		Rule	   *rule = &set->rules[i];
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		Datum		value;
		bool		isnull;

		rule->rule_id = DatumGetInt32(SPI_getbinval(tuple, desc, 1, &isnull));
		rule->changed_at = DatumGetTimestampTz(SPI_getbinval(tuple, desc, 2, &isnull));
		rule->name = copy_value(SPI_tuptable, i, 3, set->context);
		rule->severity = copy_value(SPI_tuptable, i, 4, set->context);
		rule->message = copy_value(SPI_tuptable, i, 5, set->context);
		rule->vehicle_type = copy_value(SPI_tuptable, i, 6, set->context);
		value = SPI_getbinval(tuple, desc, 7, &isnull);
		rule->hold = isnull ? 0 : interval_microseconds(DatumGetIntervalP(value));
		value = SPI_getbinval(tuple, desc, 8, &isnull);
		rule->silence = isnull ? 0 : interval_microseconds(DatumGetIntervalP(value));
		(*conditions)[i] = copy_value(SPI_tuptable, i, 9, set->context);
		(*clear_conditions)[i] = copy_value(SPI_tuptable, i, 10, set->context);
	}
	SPI_finish();
	PopActiveSnapshot();
}

/* --- which signals to fetch for the inputs --- */

static int
compare_keys(const void *a, const void *b)
{
	return signal_key_compare(a, b);
}

static int
compare_stats(const void *a, const void *b)
{
	return signal_key_compare(&((const RuleStat *) a)->key, &((const RuleStat *) b)->key);
}

/* Position of a key among sorted ones; it is there. */
static int
key_position(const RuleFetch *fetch, const SignalKey *key)
{
	SignalKey  *hit = bsearch(key, fetch->keys, fetch->count, sizeof(SignalKey), compare_keys);

	return hit - fetch->keys;
}

/* Sorts the keys collected, drops repeated ones, allocates the results. */
static void
finish_fetch(RuleFetch *fetch)
{
	int			unique = 0;

	qsort(fetch->keys, fetch->count, sizeof(SignalKey), compare_keys);
	for (int i = 0; i < fetch->count; i++)
	{
		if (unique == 0 || signal_key_compare(&fetch->keys[unique - 1], &fetch->keys[i]) != 0)
			fetch->keys[unique++] = fetch->keys[i];
	}
	fetch->count = unique;
	fetch->values = palloc0(Max(unique, 1) * sizeof(SignalValue));
	fetch->found = palloc0(Max(unique, 1) * sizeof(bool));
}

static bool
is_stat(const RuleInput *input)
{
	return input->view != RULE_NOW && input->view != RULE_PREVIOUS;
}

static void
plan_inputs(RuleSet *set)
{
	RuleInputs *inputs = &set->inputs;
	int			n = inputs->count;
	int			unique = 0;

	set->now.keys = palloc(Max(n, 1) * sizeof(SignalKey));
	set->previous.keys = palloc(Max(n, 1) * sizeof(SignalKey));
	set->report.keys = palloc(Max(n, 1) * sizeof(SignalKey));
	set->stats = palloc0(Max(n, 1) * sizeof(RuleStat));
	for (int i = 0; i < n; i++)
	{
		RuleInput  *input = &inputs->items[i];

		if (is_stat(input))
		{
			RuleStat   *stat = &set->stats[set->nstats++];

			stat->key = input->key;
			stat->column = input->column;
			if (input->column != COLUMN_NONE)
			{
				/* not a signal, whatever the dictionary may come to hold */
				stat->key.id = 0;
				stat->key.name = input->name;
				stat->key.name_len = strlen(input->name);
			}
			stat->rate = input->view == RULE_RATE;
			stat->mean = input->view == RULE_MEAN || input->view == RULE_ZSCORE;
			stat->standing = input->view == RULE_STANDING;
			if (input->column == COLUMN_NONE)
				set->report.keys[set->report.count++] = input->key;
		}
		else if (input->column == COLUMN_NONE)
		{
			RuleFetch  *fetch = input->view == RULE_NOW ? &set->now : &set->previous;

			fetch->keys[fetch->count++] = input->key;
		}
	}
	finish_fetch(&set->now);
	finish_fetch(&set->previous);
	finish_fetch(&set->report);

	qsort(set->stats, set->nstats, sizeof(RuleStat), compare_stats);
	for (int i = 0; i < set->nstats; i++)
	{
		RuleStat   *last = unique > 0 ? &set->stats[unique - 1] : NULL;
		RuleStat   *stat = &set->stats[i];

		if (last && compare_stats(last, stat) == 0)
		{
			last->rate |= stat->rate;
			last->mean |= stat->mean;
			last->standing |= stat->standing;
		}
		else
			set->stats[unique++] = *stat;
	}
	set->nstats = unique;
	for (int i = 0; i < set->nstats; i++)
	{
		if (set->stats[i].column == COLUMN_NONE)
			set->stats[i].fetch = key_position(&set->report, &set->stats[i].key);
	}

	for (int i = 0; i < n; i++)
	{
		RuleInput  *input = &inputs->items[i];

		if (is_stat(input))
		{
			for (int j = 0; j < set->nstats; j++)
			{
				const RuleStat *stat = &set->stats[j];

				if (stat->column == input->column &&
					(input->column != COLUMN_NONE || signal_key_compare(&stat->key, &input->key) == 0))
					input->slot = j;
			}
		}
		else if (input->column == COLUMN_NONE)
			input->slot = key_position(input->view == RULE_NOW ? &set->now : &set->previous,
									   &input->key);
	}
}

static TupleTableSlot *
make_slot(const RuleInputs *inputs)
{
	TupleDesc	desc = CreateTemplateTupleDesc(inputs->count);
	TupleTableSlot *slot;

	for (int i = 0; i < inputs->count; i++)
		TupleDescInitEntry(desc, i + 1, NULL, inputs->items[i].type, -1, 0);
	slot = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	ExecStoreAllNullTuple(slot);
	return slot;
}

/* What a session was told once about a version of a rule it is not told again. */
static bool
was_warned(const RuleSet *old, const Rule *rule)
{
	for (int i = 0; old->context && i < old->nrules; i++)
	{
		if (old->rules[i].rule_id == rule->rule_id &&
			old->rules[i].changed_at == rule->changed_at)
			return old->rules[i].warned;
	}
	return false;
}

static void
load_set(RuleSet *set, const RuleSet *old)
{
	MemoryContext caller = CurrentMemoryContext;
	char	  **conditions;
	char	  **clear_conditions;

	rule_inputs_init(&set->inputs, set->context);
	load_rules(set, &conditions, &clear_conditions);
	MemoryContextSwitchTo(set->context);

	for (int i = 0; i < set->nrules; i++)
	{
		Rule	   *rule = &set->rules[i];
		Bitmapset  *used = NULL;
		Bitmapset  *clear_used = NULL;
		bool		failed = false;

		rule->warned = was_warned(old, rule);
		if (conditions[i])
			rule->condition = compile_rule(set, conditions[i], "condition", rule, &used, &failed);
		if (clear_conditions[i] && !failed)
			rule->clear_condition = compile_rule(set, clear_conditions[i], "clear_condition",
												 rule, &clear_used, &failed);
		if (failed)
			rule->condition = NULL;
		rule->inputs = palloc(Max(bms_num_members(used), 1) * sizeof(int));
		for (int x = -1; (x = bms_next_member(used, x)) >= 0;)
			rule->inputs[rule->ninputs++] = x;
	}

	plan_inputs(set);
	set->slot = make_slot(&set->inputs);
	set->econtext = CreateStandaloneExprContext();
	set->econtext->ecxt_scantuple = set->slot;
	MemoryContextSwitchTo(caller);
}

RuleSet *
rule_set(int32 tenant_id)
{
	RuleSet    *set;
	RuleSet		fresh;
	bool		found;

	rule_sets_init();
	set = hash_search(sets, &tenant_id, HASH_ENTER, &found);
	if (!found)
	{
		memset(set, 0, sizeof(*set));
		set->tenant_id = tenant_id;
	}
	if (set->context && set->generation == generation)
		return set;

	/*
	 * Loaded aside, so that an error leaves no half-made set.  The generation
	 * is taken before reading: a change that comes in between makes the set
	 * stale at once, rather than being missed.
	 */
	memset(&fresh, 0, sizeof(fresh));
	fresh.tenant_id = tenant_id;
	rule_relid = fleet_relation_oid("rule");
	fresh.generation = generation;
	fresh.context = AllocSetContextCreate(CurrentMemoryContext, "fleet rule set",
										  ALLOCSET_SMALL_SIZES);
	load_set(&fresh, set);
	MemoryContextSetParent(fresh.context, CacheMemoryContext);

	if (set->context)
	{
		MemoryContext old = MemoryContextSwitchTo(CacheMemoryContext);

		retired = lappend(retired, set->context);
		MemoryContextSwitchTo(old);
	}
	*set = fresh;
	return set;
}
