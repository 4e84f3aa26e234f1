/*
 * record.c
 *	  Filling a record within its limits.
 */
#include "record.h"

#include <math.h>
#include <string.h>

void
record_reset(Record *record)
{
	memset(record, 0, offsetof(Record, signals));
	record->latitude = NAN;
	record->longitude = NAN;
	record->altitude_m = NAN;
	record->accuracy_m = NAN;
	record->speed_kmh = NAN;
	record->heading_deg = NAN;
	record->signals_size = 0;
	record->scratch_used = 0;
}

char *
record_scratch(Record *record, size_t n)
{
	char	   *piece = record->scratch + record->scratch_used;

	if (n > RECORD_SCRATCH - record->scratch_used)
		return NULL;
	record->scratch_used += (uint32_t) n;
	return piece;
}

void
record_scratch_trim(Record *record, char *piece, size_t n)
{
	record->scratch_used = (uint32_t) (piece - record->scratch + n);
}

/* The next signal, when there is room for one of that many bytes on the wire. */
static RecordSignal *
next_signal(Record *record, Str name, uint8_t kind, uint32_t value_size)
{
	uint32_t	size = 2 + name.len + value_size;
	RecordSignal *signal;

	if (record->nsignals >= RECORD_MAX_SIGNALS ||
		name.len == 0 || name.len > RECORD_NAME_MAX ||
		size > RECORD_SIGNALS_SIZE - record->signals_size)
		return NULL;
	record->signals_size += size;
	signal = &record->signals[record->nsignals++];
	signal->name = name;
	signal->kind = kind;
	return signal;
}

bool
record_add_boolean(Record *record, Str name, bool value)
{
	RecordSignal *signal = next_signal(record, name, RECORD_BOOLEAN, 1);

	if (signal == NULL)
		return false;
	signal->boolean = value;
	return true;
}

bool
record_add_number(Record *record, Str name, double value)
{
	RecordSignal *signal;

	if (!isfinite(value))
		return false;
	signal = next_signal(record, name, RECORD_NUMBER, 8);
	if (signal == NULL)
		return false;
	signal->number = value;
	return true;
}

bool
record_add_text(Record *record, Str name, Str value)
{
	RecordSignal *signal;

	if (value.len > RECORD_TEXT_MAX)
		return false;
	signal = next_signal(record, name, RECORD_TEXT, 2 + value.len);
	if (signal == NULL)
		return false;
	signal->text = value;
	return true;
}

void
record_set_defect(Record *record, const char *code, Str field)
{
	size_t		code_len = strlen(code);
	char	   *text;

	if (record->defect.len > 0)
		return;
	if (field.len > RECORD_NAME_MAX)
		field.len = RECORD_NAME_MAX;
	if (field.len == 0)
	{
		record->defect = (Str) {code, (uint32_t) code_len};
		return;
	}
	text = record->defect_text;
	memcpy(text, code, code_len);
	text[code_len] = ':';
	memcpy(text + code_len + 1, field.data, field.len);
	record->defect = (Str) {text, (uint32_t) (code_len + 1 + field.len)};
}

bool
record_bind(Record *record, Str device, Str text)
{
	bool		other = record->device.len > 0 &&
		(record->device.len != device.len || memcmp(record->device.data, device.data, device.len) != 0);

	if (other)
		record_set_defect(record, "not_permitted", RECORD_STR("device"));
	record->device = device;
	record->raw = record->defect.len > 0 || !record->has_event_time ? text : (Str) {NULL, 0};
	return !other;
}
