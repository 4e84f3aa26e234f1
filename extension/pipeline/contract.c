/*
 * contract.c
 *	  Stage 2: required fields, plausible ranges, times, schema version.
 *
 * Ranges come from the dictionary of well-known signals and may be overridden
 * per tenant.  The first defect found decides; a report is kept whole in
 * quarantine, so nothing is gained by listing every one.  What holds a VIN is
 * not kept, whatever else is wrong with it.
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "pipeline/contract.h"
#include "types/dictionary.h"
#include "types/vin.h"

/* A device's identity of more bytes is nonsense, and no key of an index. */
#define DEVICE_MAX 1024
/* A field's name is kept up to here, bytes. */
#define FIELD_MAX 200
/* Years beyond these have no partition of history. */
#define FIRST_YEAR_US INT64CONST(-63082281600000000)	/* 0001-01-01 */
#define AFTER_LAST_YEAR_US INT64CONST(252455616000000000)	/* 10000-01-01 */
/* Closer than this to 0,0 in both directions, degrees: a receiver without a fix. */
#define NULL_ISLAND_DEG 1e-5

static const char *const defect_names[DEFECT_CODES] = {
	[DEFECT_NONE] = "",
	[DEFECT_MALFORMED] = "malformed",
	[DEFECT_MISSING_FIELD] = "missing_field",
	[DEFECT_OUT_OF_RANGE] = "out_of_range",
	[DEFECT_NULL_ISLAND] = "null_island",
	[DEFECT_TIME_IN_FUTURE] = "time_in_future",
	[DEFECT_TIME_TOO_OLD] = "time_too_old",
	[DEFECT_UNKNOWN_DEVICE] = "unknown_device",
	[DEFECT_UNKNOWN_SCHEMA] = "unknown_schema",
	[DEFECT_NOT_PERMITTED] = "not_permitted",
	[DEFECT_LOOKS_LIKE_VIN] = "looks_like_vin",
	[DEFECT_OVER_QUOTA] = "over_quota"
};

static const char *const column_names[REPORT_COLUMNS] = {
	[COLUMN_ALTITUDE] = "altitude_m",
	[COLUMN_ACCURACY] = "accuracy_m",
	[COLUMN_SPEED] = "speed_kmh",
	[COLUMN_HEADING] = "heading_deg"
};

/* of required and of ranges */
#define CONTRACT_ELEMENTS_MAX 1000

PG_FUNCTION_INFO_V1(contract_validate);
PG_FUNCTION_INFO_V1(defect_codes);

const char *
defect_code_name(DefectCode code)
{
	if (code <= DEFECT_NONE || code >= DEFECT_CODES)
		elog(ERROR, "unrecognized defect code %d", (int) code);
	return defect_names[code];
}

DefectCode
defect_code_by_name(const char *name, int len)
{
	for (int i = DEFECT_NONE + 1; i < DEFECT_CODES; i++)
		if (strlen(defect_names[i]) == len && memcmp(defect_names[i], name, len) == 0)
			return (DefectCode) i;
	return DEFECT_MALFORMED;
}

/* defect_codes() returns text[]: the closed list */
Datum
defect_codes(PG_FUNCTION_ARGS)
{
	Datum		codes[DEFECT_CODES];
	int			n = 0;

	for (int i = DEFECT_NONE + 1; i < DEFECT_CODES; i++)
		codes[n++] = CStringGetTextDatum(defect_names[i]);
	PG_RETURN_ARRAYTYPE_P(construct_array(codes, n, TEXTOID, -1, false, TYPALIGN_INT));
}

void
report_reject(Report *report, DefectCode code, const char *field, const char *value)
{
	report->verdict = VERDICT_REJECTED;
	report->defect_code = code;
	report->defect_field = field;
	report->defect_value = value;
}

/* --- a contract from its row --- */

void
contract_default(Contract *contract)
{
	int			n = dictionary_size();

	memset(contract, 0, sizeof(*contract));
	contract->horizon_us = INT64CONST(30) * USECS_PER_DAY;
	contract->max_ahead_us = INT64CONST(5) * USECS_PER_MINUTE;
	contract->nschema_versions = 1;
	contract->schema_versions = palloc(sizeof(int32));
	contract->schema_versions[0] = 1;
	contract->signal_range = palloc((n + 1) * sizeof(Range));
	for (int id = 0; id <= n; id++)
	{
		const WellKnownSignal *s = id > 0 ? dictionary_by_id(id) : NULL;

		contract->signal_range[id].min = s && s->kind == SIGNAL_NUMBER ? s->min : -INFINITY;
		contract->signal_range[id].max = s && s->kind == SIGNAL_NUMBER ? s->max : INFINITY;
	}
	for (int i = 0; i < REPORT_COLUMNS; i++)
	{
		const WellKnownSignal *s = dictionary_by_name(column_names[i], strlen(column_names[i]));

		if (s == NULL)
			elog(ERROR, "dictionary has no range for %s", column_names[i]);
		contract->column_range[i].min = s->min;
		contract->column_range[i].max = s->max;
	}
}

static int
column_by_name(const char *name, int len)
{
	for (int i = 0; i < REPORT_COLUMNS; i++)
		if (strlen(column_names[i]) == len && memcmp(column_names[i], name, len) == 0)
			return i;
	return -1;
}

/* A field that is no column must be a name that a signal can have. */
static void
check_signal_name(const char *name)
{
	if (!signal_name_valid(name, strlen(name)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("contract names a field that cannot be"),
				 errdetail("\"%s\" is neither a column of fleet.ingest nor a name that a signal can have.", name),
				 errhint("A signal's name has 1 to 63 letters, digits and underscores and does not begin with a digit.")));
}

void
contract_set_required(Contract *contract, ArrayType *names)
{
	Datum	   *elems;
	bool	   *nulls;
	int			n;

	deconstruct_array(names, TEXTOID, -1, false, TYPALIGN_INT, &elems, &nulls, &n);
	contract->required = palloc(Max(n, 1) * sizeof(SignalKey));
	for (int i = 0; i < n; i++)
	{
		char	   *name;
		int			column;

		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("required field name must not be null")));
		name = TextDatumGetCString(elems[i]);
		column = column_by_name(name, strlen(name));
		if (strcmp(name, "device") == 0 || strcmp(name, "event_time") == 0)
			continue;			/* always required */
		if (strcmp(name, "location") == 0 || strcmp(name, "latitude") == 0 ||
			strcmp(name, "longitude") == 0)
			contract->location_required = true;
		else if (column >= 0)
			contract->column_required[column] = true;
		else
		{
			check_signal_name(name);
			contract->required[contract->nrequired++] = signal_key(name, strlen(name));
		}
	}
}

void
contract_set_schema_versions(Contract *contract, ArrayType *versions)
{
	Datum	   *elems;
	bool	   *nulls;
	int			n;

	deconstruct_array(versions, INT4OID, 4, true, TYPALIGN_INT, &elems, &nulls, &n);
	contract->schema_versions = palloc(Max(n, 1) * sizeof(int32));
	contract->nschema_versions = 0;
	for (int i = 0; i < n; i++)
		if (!nulls[i])
			contract->schema_versions[contract->nschema_versions++] = DatumGetInt32(elems[i]);
}

static pg_attribute_noreturn() void
bad_ranges(const char *name, int len)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid range in contract"),
			 errdetail("The value of \"%.*s\" must be an array of two numbers, the first not above the second.",
					   len, name),
			 errhint("Write for example {\"speed_kmh\": [0, 420]}; null leaves a side open.")));
}

void
contract_set_ranges(Contract *contract, Jsonb *ranges)
{
	JsonbIterator *it = JsonbIteratorInit(&ranges->root);
	JsonbValue	v;
	JsonbIteratorToken token;
	int			capacity = JsonContainerSize(&ranges->root);

	if (!JB_ROOT_IS_OBJECT(ranges))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("ranges of a contract must be a JSON object"),
				 errhint("Write for example {\"speed_kmh\": [0, 420]}; null leaves a side open.")));
	contract->extra_key = palloc(Max(capacity, 1) * sizeof(SignalKey));
	contract->extra_range = palloc(Max(capacity, 1) * sizeof(Range));
	token = JsonbIteratorNext(&it, &v, false);
	while ((token = JsonbIteratorNext(&it, &v, true)) == WJB_KEY)
	{
		char	   *name = pnstrdup(v.val.string.val, v.val.string.len);
		int			len = v.val.string.len;
		Range		range = {-INFINITY, INFINITY};
		JsonbContainer *array;
		int			column;
		SignalKey	key;

		(void) JsonbIteratorNext(&it, &v, true);
		if (v.type != jbvBinary || !JsonContainerIsArray(v.val.binary.data) ||
			JsonContainerSize(v.val.binary.data) != 2)
			bad_ranges(name, len);
		array = v.val.binary.data;
		for (int side = 0; side < 2; side++)
		{
			JsonbValue *bound = getIthJsonbValueFromContainer(array, side);

			if (bound->type == jbvNull)
				continue;
			if (bound->type != jbvNumeric)
				bad_ranges(name, len);
			*(side == 0 ? &range.min : &range.max) =
				DatumGetFloat8(DirectFunctionCall1(numeric_float8, NumericGetDatum(bound->val.numeric)));
		}
		if (range.min > range.max)
			bad_ranges(name, len);
		column = column_by_name(name, len);
		if (column < 0)
			check_signal_name(name);
		key = signal_key(name, len);
		if (column >= 0)
			contract->column_range[column] = range;
		else if (key.id != 0)
			contract->signal_range[key.id] = range;
		else
		{
			contract->extra_key[contract->nextra_ranges] = key;
			contract->extra_range[contract->nextra_ranges++] = range;
		}
	}
}

/* Each report is compared with each element, so there must not be too many. */
static void
check_count(const char *column, int n)
{
	if (n > CONTRACT_ELEMENTS_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("%s of a contract has too many elements", column),
				 errdetail("It has %d, may have at most %d.", n, CONTRACT_ELEMENTS_MAX)));
}

/*
 * contract_validate(required text[], ranges jsonb) returns boolean
 *	  For the table's CHECK: true, or an error that says what is wrong.
 */
Datum
contract_validate(PG_FUNCTION_ARGS)
{
	Contract	contract;

	check_count("required", ArrayGetNItems(ARR_NDIM(PG_GETARG_ARRAYTYPE_P(0)), ARR_DIMS(PG_GETARG_ARRAYTYPE_P(0))));
	check_count("ranges", JsonContainerSize(&PG_GETARG_JSONB_P(1)->root));
	contract_default(&contract);
	contract_set_required(&contract, PG_GETARG_ARRAYTYPE_P(0));
	contract_set_ranges(&contract, PG_GETARG_JSONB_P(1));
	PG_RETURN_BOOL(true);
}

/* --- checking a report --- */

static char *
number_text(double value)
{
	return float8out_internal(value);
}

/* As the sender wrote it, not as the nearest double. */
static char *
single_text(float4 value)
{
	return DatumGetCString(DirectFunctionCall1(float4out, Float4GetDatum(value)));
}

static bool
check_time(const Contract *contract, Report *report, TimestampTz now)
{
	DefectCode	code;

	if (!report->has_event_time)
	{
		report_reject(report, DEFECT_MISSING_FIELD, "event_time", NULL);
		return true;
	}
	if (report->event_time >= AFTER_LAST_YEAR_US)	/* infinity, too */
		code = DEFECT_TIME_IN_FUTURE;
	else if (report->event_time < FIRST_YEAR_US)
		code = DEFECT_TIME_TOO_OLD;
	else if (report->event_time > now && report->event_time - now > contract->max_ahead_us)
		code = DEFECT_TIME_IN_FUTURE;
	else if (report->event_time < now && now - report->event_time > contract->horizon_us)
		code = DEFECT_TIME_TOO_OLD;
	else
		return false;
	report_reject(report, code, "event_time", pstrdup(timestamptz_to_str(report->event_time)));
	return true;
}

static bool
check_location(const Contract *contract, Report *report)
{
	bool		has_latitude = !isnan(report->latitude);
	bool		has_longitude = !isnan(report->longitude);

	report->has_location = false;
	if (!has_latitude && !has_longitude)
	{
		if (!contract->location_required)
			return false;
		report_reject(report, DEFECT_MISSING_FIELD, "latitude", NULL);
	}
	else if (!has_latitude || !has_longitude)
		report_reject(report, DEFECT_MISSING_FIELD, has_latitude ? "longitude" : "latitude", NULL);
	else if (!(fabs(report->latitude) <= 90))
		report_reject(report, DEFECT_OUT_OF_RANGE, "latitude", number_text(report->latitude));
	else if (!(fabs(report->longitude) <= 180))
		report_reject(report, DEFECT_OUT_OF_RANGE, "longitude", number_text(report->longitude));
	else if (!contract->allow_null_island &&
			 fabs(report->latitude) < NULL_ISLAND_DEG && fabs(report->longitude) < NULL_ISLAND_DEG)
		report_reject(report, DEFECT_NULL_ISLAND, "location", "0,0");
	else
		report->has_location = geopoint_from_degrees(report->latitude, report->longitude,
													 &report->location);
	return report->verdict == VERDICT_REJECTED;
}

static bool
check_columns(const Contract *contract, Report *report)
{
	const float4 values[REPORT_COLUMNS] = {
		[COLUMN_ALTITUDE] = report->altitude_m,
		[COLUMN_ACCURACY] = report->accuracy_m,
		[COLUMN_SPEED] = report->speed_kmh,
		[COLUMN_HEADING] = report->heading_deg
	};

	for (int i = 0; i < REPORT_COLUMNS; i++)
	{
		if (isnan(values[i]))
		{
			if (!contract->column_required[i])
				continue;
			report_reject(report, DEFECT_MISSING_FIELD, column_names[i], NULL);
			return true;
		}
		if (isinf(values[i]) || values[i] < contract->column_range[i].min || values[i] > contract->column_range[i].max)
		{
			report_reject(report, DEFECT_OUT_OF_RANGE, column_names[i], single_text(values[i]));
			return true;
		}
	}
	return false;
}

static char *
signal_name_copy(const SignalKey *key)
{
	int			len;
	const char *name = signal_key_name(key, &len);

	return pnstrdup(name, len);
}

/* The field that holds what looks like a VIN, or NULL. */
static const char *
find_vin(const Report *report)
{
	SignalsIterator it;

	if (report->device != NULL && vin_in_text(report->device, strlen(report->device)))
		return "device";
	signals_iterate(report->signals, &it);
	while (signals_next(&it))
	{
		if (it.value.kind == SIGNAL_TEXT && vin_in_text(it.value.text, it.value.text_len))
		{
			char	   *name = signal_name_copy(&it.key);

			return vin_in_text(name, strlen(name)) ? "signals" : name;
		}
		if (it.key.id == 0)
		{
			int			len;
			const char *name = signal_key_name(&it.key, &len);

			if (vin_in_text(name, len))
				return "signals";
		}
	}
	if (report->defect != NULL && vin_in_text(report->defect, strlen(report->defect)))
		return "defect";
	if (report->raw != NULL &&
		vin_in_bytes(VARDATA_ANY(report->raw), VARSIZE_ANY_EXHDR(report->raw)))
		return "raw";
	return NULL;
}

static bool
check_vin(Report *report)
{
	const char *field = find_vin(report);

	if (field != NULL)
		report_reject(report, DEFECT_LOOKS_LIKE_VIN, field, NULL);
	return field != NULL;
}

static bool
check_signals(const Contract *contract, Report *report)
{
	SignalsIterator it;
	SignalValue value;
	bool		suspicious = false;	/* long enough to hold a VIN */

	for (int i = 0; i < contract->nrequired; i++)
		if (!signals_get(report->signals, &contract->required[i], &value))
		{
			report_reject(report, DEFECT_MISSING_FIELD,
						  signal_name_copy(&contract->required[i]), NULL);
			return true;
		}

	signals_iterate(report->signals, &it);
	while (signals_next(&it))
	{
		const Range *range = NULL;

		suspicious |= it.value.kind == SIGNAL_TEXT && it.value.text_len >= VIN_LENGTH;
		if (it.key.id != 0)
		{
			const WellKnownSignal *known = dictionary_by_id(it.key.id);

			if (known != NULL && known->kind != it.value.kind)
			{
				report_reject(report, DEFECT_MALFORMED, known->name,
							  it.value.kind == SIGNAL_NUMBER ? number_text(it.value.number) :
							  it.value.kind == SIGNAL_TEXT ? pnstrdup(it.value.text, Min(it.value.text_len, 100)) :
							  it.value.boolean ? "true" : "false");
				return true;
			}
			range = &contract->signal_range[it.key.id];
		}
		else
		{
			int			len;

			(void) signal_key_name(&it.key, &len);
			suspicious |= len >= VIN_LENGTH;
			for (int i = 0; i < contract->nextra_ranges; i++)
				if (signal_key_compare(&contract->extra_key[i], &it.key) == 0)
					range = &contract->extra_range[i];
		}

		if (it.value.kind == SIGNAL_NUMBER && range != NULL &&
			(it.value.number < range->min || it.value.number > range->max))
		{
			report_reject(report, DEFECT_OUT_OF_RANGE, signal_name_copy(&it.key),
						  number_text(it.value.number));
			return true;
		}
	}
	if (suspicious || report->raw != NULL || strlen(report->device) >= VIN_LENGTH)
		return check_vin(report);
	return false;
}

/* The sender's own finding: "code" or "code:field". */
static void
reject_as_sent(Report *report)
{
	const char *colon = strchr(report->defect, ':');
	int			len = colon ? colon - report->defect : (int) strlen(report->defect);
	const char *field = colon && colon[1] != '\0' ? colon + 1 : NULL;

	/* it goes back to the sender, who may have put anything here */
	if (field != NULL && strlen(field) > FIELD_MAX)
		field = pnstrdup(field, pg_mbcliplen(field, strlen(field), FIELD_MAX));
	report_reject(report, defect_code_by_name(report->defect, len), field, NULL);
}

void
contract_check(const Contract *contract, Report *report, TimestampTz now)
{
	bool		known_version = false;

	if (report->defect != NULL)
	{
		reject_as_sent(report);
		return;
	}
	if (report->device == NULL || report->device[0] == '\0')
	{
		report_reject(report, DEFECT_MISSING_FIELD, "device", NULL);
		return;
	}
	if (strlen(report->device) > DEVICE_MAX)
	{
		report_reject(report, DEFECT_MALFORMED, "device", report->device);
		return;
	}
	for (int i = 0; i < contract->nschema_versions; i++)
		known_version |= contract->schema_versions[i] == report->schema_version;
	if (!known_version)
	{
		report_reject(report, DEFECT_UNKNOWN_SCHEMA, "schema_version",
					  psprintf("%d", report->schema_version));
		return;
	}
	if (check_time(contract, report, now) || check_location(contract, report) ||
		check_columns(contract, report))
		return;
	(void) check_signals(contract, report);
}

void
contract_withhold(Report *report)
{
	const char *field = find_vin(report);

	report->withheld = field != NULL || report->defect_code == DEFECT_LOOKS_LIKE_VIN;
	/* whoever sends without a right must go on hearing that */
	if (field != NULL && report->defect_code != DEFECT_NOT_PERMITTED)
		report_reject(report, DEFECT_LOOKS_LIKE_VIN, field, NULL);
	if (report->withheld)
		report->defect_value = NULL;
}
