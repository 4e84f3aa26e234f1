/*
 * signals_ops.c
 *	  SQL functions and operators of signals, and the casts to and from jsonb.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "common/shortest_dec.h"
#include "funcapi.h"
#include "storage/shmem.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "fleet.h"
#include "types/dictionary.h"
#include "types/signals.h"

/* --- casts --- */

static Numeric
number_to_numeric(double number)
{
	char		digits[DOUBLE_SHORTEST_DECIMAL_LEN];

	if (fabs(number) <= PG_INT32_MAX && rint(number) == number)
		return int64_to_numeric((int64) number);

	/*
	 * Not float8_numeric: it keeps 15 digits, which would not bring the same
	 * number back.
	 */
	double_to_shortest_decimal_buf(number, digits);
	return DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(digits),
											   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

static void
value_to_jsonb(const SignalValue *value, JsonbValue *result)
{
	switch (value->kind)
	{
		case SIGNAL_BOOLEAN:
			result->type = jbvBool;
			result->val.boolean = value->boolean;
			break;
		case SIGNAL_NUMBER:
			result->type = jbvNumeric;
			result->val.numeric = number_to_numeric(value->number);
			break;
		case SIGNAL_TEXT:
			result->type = jbvString;
			result->val.string.val = unconstify(char *, value->text);
			result->val.string.len = value->text_len;
			break;
	}
}

PG_FUNCTION_INFO_V1(signals_to_jsonb);
Datum
signals_to_jsonb(PG_FUNCTION_ARGS)
{
	SignalsIterator it;
	JsonbParseState *state = NULL;
	JsonbValue *result;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	signals_iterate(PG_GETARG_SIGNALS(0), &it);
	while (signals_next(&it))
	{
		JsonbValue	key = {.type = jbvString};
		JsonbValue	value;

		key.val.string.val = unconstify(char *, signal_key_name(&it.key, &key.val.string.len));
		pushJsonbValue(&state, WJB_KEY, &key);
		value_to_jsonb(&it.value, &value);
		pushJsonbValue(&state, WJB_VALUE, &value);
	}
	result = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	PG_RETURN_JSONB_P(JsonbValueToJsonb(result));
}

static double
double_from_numeric(Numeric numeric, const char *name, int name_len)
{
	/* jsonb knows neither NaN nor infinity, so these are digits */
	char	   *digits = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(numeric)));
	double		number = strtod(digits, NULL);

	if (!isfinite(number) || (number == 0 && strpbrk(digits, "123456789") != NULL))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("number out of range for type signals"),
				 errdetail("Value of \"%.*s\" must fit double precision.", name_len, name)));
	pfree(digits);
	return number;
}

PG_FUNCTION_INFO_V1(signals_from_jsonb);
Datum
signals_from_jsonb(PG_FUNCTION_ARGS)
{
	Jsonb	   *document = PG_GETARG_JSONB_P(0);
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	key;
	JsonbValue	member;
	SignalsBuilder *b = signals_builder();

	if (!JB_ROOT_IS_OBJECT(document))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cannot convert jsonb to type signals"),
				 errdetail("The document is not an object.")));

	it = JsonbIteratorInit(&document->root);
	while ((token = JsonbIteratorNext(&it, &key, true)) != WJB_DONE)
	{
		SignalValue value;
		const char *refused = NULL;

		if (token != WJB_KEY)
			continue;
		JsonbIteratorNext(&it, &member, true);
		switch (member.type)
		{
			case jbvBool:
				value.kind = SIGNAL_BOOLEAN;
				value.boolean = member.val.boolean;
				break;
			case jbvNumeric:
				value.kind = SIGNAL_NUMBER;
				value.number = double_from_numeric(member.val.numeric,
												 key.val.string.val, key.val.string.len);
				break;
			case jbvString:
				value.kind = SIGNAL_TEXT;
				value.text = member.val.string.val;
				value.text_len = member.val.string.len;
				break;
			case jbvNull:
				refused = "null";
				break;
			default:
				refused = JsonContainerIsArray(member.val.binary.data) ? "an array" : "an object";
		}
		if (refused != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("cannot convert jsonb to type signals"),
					 errdetail("Value of \"%.*s\" is %s, must be a number, boolean or string.",
							   key.val.string.len, key.val.string.val, refused),
					 member.type == jbvNull ? errhint("Use jsonb_strip_nulls.") : 0));
		signals_add(b, signal_key(key.val.string.val, key.val.string.len), &value);
	}
	PG_RETURN_POINTER(signals_build(b));
}

/* --- one value by name --- */

static bool
get_by_name(FunctionCallInfo fcinfo, SignalValue *value)
{
	Signals    *signals = PG_GETARG_SIGNALS(0);
	text	   *name = PG_GETARG_TEXT_PP(1);
	SignalKey	key = signal_key(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));

	return signals_get(signals, &key, value);
}

static Jsonb *
value_as_jsonb(const SignalValue *value)
{
	JsonbValue	scalar;

	value_to_jsonb(value, &scalar);
	return JsonbValueToJsonb(&scalar);
}

static text *
value_as_text(const SignalValue *value)
{
	StringInfoData buf;

	if (value->kind == SIGNAL_TEXT)
		return cstring_to_text_with_len(value->text, value->text_len);
	initStringInfo(&buf);
	signal_append_json(&buf, value);
	return cstring_to_text_with_len(buf.data, buf.len);
}

PG_FUNCTION_INFO_V1(signals_value);
Datum
signals_value(PG_FUNCTION_ARGS)
{
	SignalValue value;

	if (!get_by_name(fcinfo, &value))
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(value_as_jsonb(&value));
}

PG_FUNCTION_INFO_V1(signals_value_text);
Datum
signals_value_text(PG_FUNCTION_ARGS)
{
	SignalValue value;

	if (!get_by_name(fcinfo, &value))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(value_as_text(&value));
}

PG_FUNCTION_INFO_V1(signals_number);
Datum
signals_number(PG_FUNCTION_ARGS)
{
	SignalValue value;

	if (!get_by_name(fcinfo, &value) || value.kind != SIGNAL_NUMBER)
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(value.number);
}

PG_FUNCTION_INFO_V1(signals_boolean);
Datum
signals_boolean(PG_FUNCTION_ARGS)
{
	SignalValue value;

	if (!get_by_name(fcinfo, &value) || value.kind != SIGNAL_BOOLEAN)
		PG_RETURN_NULL();
	PG_RETURN_BOOL(value.boolean);
}

PG_FUNCTION_INFO_V1(signals_text);
Datum
signals_text(PG_FUNCTION_ARGS)
{
	SignalValue value;

	if (!get_by_name(fcinfo, &value) || value.kind != SIGNAL_TEXT)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(value.text, value.text_len));
}

PG_FUNCTION_INFO_V1(signals_exists);
Datum
signals_exists(PG_FUNCTION_ARGS)
{
	SignalValue value;

	PG_RETURN_BOOL(get_by_name(fcinfo, &value));
}

/* --- the whole map --- */

PG_FUNCTION_INFO_V1(signals_count);
Datum
signals_count(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(PG_GETARG_SIGNALS(0)->count);
}

PG_FUNCTION_INFO_V1(signals_concat);
Datum
signals_concat(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(signals_merge(PG_GETARG_SIGNALS(0), PG_GETARG_SIGNALS(1)));
}

/* The map without the n names. */
static Signals *
without(const Signals *signals, const SignalKey *keys, int n)
{
	SignalsBuilder *b = signals_builder();
	SignalsIterator it;

	signals_iterate(signals, &it);
	while (signals_next(&it))
	{
		bool		drop = false;

		for (int i = 0; i < n && !drop; i++)
			drop = signal_key_compare(&it.key, &keys[i]) == 0;
		if (!drop)
			signals_add(b, it.key, &it.value);
	}
	return signals_build(b);
}

PG_FUNCTION_INFO_V1(signals_delete);
Datum
signals_delete(PG_FUNCTION_ARGS)
{
	text	   *name = PG_GETARG_TEXT_PP(1);
	SignalKey	key = signal_key(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));

	PG_RETURN_POINTER(without(PG_GETARG_SIGNALS(0), &key, 1));
}

PG_FUNCTION_INFO_V1(signals_delete_array);
Datum
signals_delete_array(PG_FUNCTION_ARGS)
{
	Datum	   *names;
	bool	   *nulls;
	int			n;
	int			nkeys = 0;
	SignalKey  *keys;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT,
					  &names, &nulls, &n);
	keys = palloc(mul_size(Max(n, 1), sizeof(SignalKey)));
	for (int i = 0; i < n; i++)
	{
		text	   *name;

		if (nulls[i])
			continue;
		name = DatumGetTextPP(names[i]);
		keys[nkeys++] = signal_key(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));
	}
	PG_RETURN_POINTER(without(PG_GETARG_SIGNALS(0), keys, nkeys));
}

/* Does a hold every signal of b with the same value? */
static bool
contains(const Signals *a, const Signals *b)
{
	Signals    *merged;

	if (b->count > a->count)
		return false;
	/* too large a union would need a signal that a has not */
	merged = signals_try_merge(a, b);
	return merged != NULL && signals_equal(a, merged);
}

PG_FUNCTION_INFO_V1(signals_contains);
Datum
signals_contains(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(contains(PG_GETARG_SIGNALS(0), PG_GETARG_SIGNALS(1)));
}

PG_FUNCTION_INFO_V1(signals_contained);
Datum
signals_contained(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(contains(PG_GETARG_SIGNALS(1), PG_GETARG_SIGNALS(0)));
}

/* signals_keys(signals) returns setof text */
PG_FUNCTION_INFO_V1(signals_keys);
Datum
signals_keys(PG_FUNCTION_ARGS)
{
	FuncCallContext *call;
	SignalsIterator *it;
	const char *name;
	int			len;

	if (SRF_IS_FIRSTCALL())
	{
		MemoryContext old;

		call = SRF_FIRSTCALL_INIT();
		old = MemoryContextSwitchTo(call->multi_call_memory_ctx);
		it = palloc(sizeof(SignalsIterator));
		signals_iterate(DatumGetSignals(PointerGetDatum(PG_DETOAST_DATUM_COPY(PG_GETARG_DATUM(0)))), it);
		call->user_fctx = it;
		MemoryContextSwitchTo(old);
	}
	call = SRF_PERCALL_SETUP();
	it = call->user_fctx;
	if (!signals_next(it))
		SRF_RETURN_DONE(call);
	name = signal_key_name(&it->key, &len);
	SRF_RETURN_NEXT(call, PointerGetDatum(cstring_to_text_with_len(name, len)));
}

/* signals_each(signals) returns table (name text, value jsonb, unit text) */
PG_FUNCTION_INFO_V1(signals_each);
Datum
signals_each(PG_FUNCTION_ARGS)
{
	FuncCallContext *call;
	SignalsIterator *it;
	const WellKnownSignal *known;
	const char *name;
	int			len;
	Datum		values[3];
	bool		nulls[3] = {false};

	if (SRF_IS_FIRSTCALL())
	{
		MemoryContext old;
		TupleDesc	tupdesc;

		call = SRF_FIRSTCALL_INIT();
		old = MemoryContextSwitchTo(call->multi_call_memory_ctx);
		if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE ||
			tupdesc->natts != lengthof(values))
			elog(ERROR, "signals_each must return %d columns", (int) lengthof(values));
		call->tuple_desc = BlessTupleDesc(tupdesc);
		it = palloc(sizeof(SignalsIterator));
		signals_iterate(DatumGetSignals(PointerGetDatum(PG_DETOAST_DATUM_COPY(PG_GETARG_DATUM(0)))), it);
		call->user_fctx = it;
		MemoryContextSwitchTo(old);
	}
	call = SRF_PERCALL_SETUP();
	it = call->user_fctx;
	if (!signals_next(it))
		SRF_RETURN_DONE(call);
	name = signal_key_name(&it->key, &len);
	values[0] = PointerGetDatum(cstring_to_text_with_len(name, len));
	values[1] = JsonbPGetDatum(value_as_jsonb(&it->value));
	known = it->key.id != 0 ? dictionary_by_id(it->key.id) : NULL;
	if (known != NULL && known->unit[0] != '\0')
		values[2] = CStringGetTextDatum(known->unit);
	else
		nulls[2] = true;
	SRF_RETURN_NEXT(call, HeapTupleGetDatum(heap_form_tuple(call->tuple_desc, values, nulls)));
}

/* --- comparison and hash: an order of no meaning, for sorting and grouping --- */

static int
compare(const Signals *a, const Signals *b)
{
	int			len_a = VARSIZE(a) - offsetof(Signals, data);
	int			len_b = VARSIZE(b) - offsetof(Signals, data);
	int			result = memcmp(a->data, b->data, Min(len_a, len_b));

	if (result == 0)
		result = len_a - len_b;
	return result < 0 ? -1 : result > 0;
}

PG_FUNCTION_INFO_V1(signals_eq);
Datum
signals_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(signals_equal(PG_GETARG_SIGNALS(0), PG_GETARG_SIGNALS(1)));
}

PG_FUNCTION_INFO_V1(signals_ne);
Datum
signals_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(!signals_equal(PG_GETARG_SIGNALS(0), PG_GETARG_SIGNALS(1)));
}

PG_FUNCTION_INFO_V1(signals_lt);
Datum
signals_lt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(PG_GETARG_SIGNALS(0), PG_GETARG_SIGNALS(1)) < 0);
}

PG_FUNCTION_INFO_V1(signals_le);
Datum
signals_le(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(PG_GETARG_SIGNALS(0), PG_GETARG_SIGNALS(1)) <= 0);
}

PG_FUNCTION_INFO_V1(signals_gt);
Datum
signals_gt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(PG_GETARG_SIGNALS(0), PG_GETARG_SIGNALS(1)) > 0);
}

PG_FUNCTION_INFO_V1(signals_ge);
Datum
signals_ge(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(PG_GETARG_SIGNALS(0), PG_GETARG_SIGNALS(1)) >= 0);
}

PG_FUNCTION_INFO_V1(signals_cmp);
Datum
signals_cmp(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(compare(PG_GETARG_SIGNALS(0), PG_GETARG_SIGNALS(1)));
}

PG_FUNCTION_INFO_V1(signals_hash);
Datum
signals_hash(PG_FUNCTION_ARGS)
{
	Signals    *signals = PG_GETARG_SIGNALS(0);

	return hash_any((unsigned char *) signals->data, VARSIZE(signals) - offsetof(Signals, data));
}

PG_FUNCTION_INFO_V1(signals_hash_extended);
Datum
signals_hash_extended(PG_FUNCTION_ARGS)
{
	Signals    *signals = PG_GETARG_SIGNALS(0);

	return hash_any_extended((unsigned char *) signals->data,
							 VARSIZE(signals) - offsetof(Signals, data), PG_GETARG_INT64(1));
}
