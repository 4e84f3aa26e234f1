/*
 * rule_check.c
 *	  Refuses a bad rule when it is written: the trigger of fleet.rule, and
 *	  check_condition() for those who want to know before.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "fleet.h"
#include "watch/rule_compile.h"

PG_FUNCTION_INFO_V1(check_condition);
/* check_condition(condition text): the names it refers to, or an error. */
Datum
check_condition(PG_FUNCTION_ARGS)
{
	char	   *condition = text_to_cstring(PG_GETARG_TEXT_PP(0));
	RuleInputs	inputs;
	Bitmapset  *used;
	Datum	   *names;

	rule_inputs_init(&inputs, CurrentMemoryContext);
	inputs.notice_typos = true;
	(void) rule_compile(condition, "condition", NULL, &inputs, &used);
	names = palloc(inputs.count * sizeof(Datum));
	for (int i = 0; i < inputs.count; i++)
		names[i] = CStringGetTextDatum(inputs.items[i].label);
	PG_RETURN_ARRAYTYPE_P(construct_array(names, inputs.count, TEXTOID, -1, false, TYPALIGN_INT));
}

/* Compares one column of two rows; NULL equals NULL. */
static bool
column_changed(HeapTuple old, HeapTuple new, TupleDesc desc, int attno)
{
	bool		old_null,
				new_null;
	Datum		a = heap_getattr(old, attno, desc, &old_null);
	Datum		b = heap_getattr(new, attno, desc, &new_null);
	Form_pg_attribute att = TupleDescAttr(desc, attno - 1);

	if (old_null || new_null)
		return old_null != new_null;
	if (att->attlen == -1)
		return strcmp(TextDatumGetCString(a), TextDatumGetCString(b)) != 0;
	return !datumIsEqual(a, b, att->attbyval, att->attlen);
}

static int
required_column(TupleDesc desc, const char *name)
{
	int			attno = SPI_fnumber(desc, name);

	if (attno <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("trigger rule_check is for table fleet.rule only"),
				 errdetail("There is no column \"%s\".", name)));
	return attno;
}

PG_FUNCTION_INFO_V1(rule_check);
/*
 * BEFORE INSERT OR UPDATE ON fleet.rule: refuses a bad condition, and stamps
 * the rule when what it watches for has changed, which makes vehicles forget
 * what they remember of it.
 */
Datum
rule_check(PG_FUNCTION_ARGS)
{
	static const char *const conditions[] = {"condition", "clear_condition"};
	static const char *const definition[] = {"rule_id", "tenant_id", "condition", "hold",
	"clear_condition", "silence", "vehicle_type", "enabled"};
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	TupleDesc	desc;
	HeapTuple	old,
				new;
	char	   *name;
	bool		changed = false;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("rule_check can only be called as a trigger")));
	if (!TRIGGER_FIRED_BEFORE(trigdata->tg_event) || !TRIGGER_FIRED_FOR_ROW(trigdata->tg_event) ||
		!(TRIGGER_FIRED_BY_INSERT(trigdata->tg_event) || TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event)))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("rule_check must be fired before insert or update, for each row")));
	if (RelationGetRelid(trigdata->tg_relation) != fleet_relation_oid("rule"))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("trigger rule_check is for table fleet.rule only")));

	desc = RelationGetDescr(trigdata->tg_relation);
	old = TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) ? trigdata->tg_trigtuple : NULL;
	new = old ? trigdata->tg_newtuple : trigdata->tg_trigtuple;
	name = SPI_getvalue(new, desc, required_column(desc, "name"));

	for (int i = 0; i < lengthof(conditions); i++)
	{
		int			attno = required_column(desc, conditions[i]);
		char	   *condition = SPI_getvalue(new, desc, attno);
		RuleInputs	inputs;
		Bitmapset  *used;

		/* a rule can be renamed or switched off whatever became of its text */
		if (condition == NULL || (old && !column_changed(old, new, desc, attno)))
			continue;
		rule_inputs_init(&inputs, CurrentMemoryContext);
		inputs.notice_typos = true;
		(void) rule_compile(condition, conditions[i], name, &inputs, &used);
	}

	for (int i = 0; old && i < lengthof(definition); i++)
		changed |= column_changed(old, new, desc, required_column(desc, definition[i]));
	if (changed)
	{
		int			attno = required_column(desc, "changed_at");
		Datum		value = TimestampTzGetDatum(GetCurrentTimestamp());
		bool		isnull = false;

		new = heap_modify_tuple_by_cols(new, desc, 1, &attno, &value, &isnull);
	}
	return PointerGetDatum(new);
}
