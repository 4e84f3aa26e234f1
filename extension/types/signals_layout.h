/*
 * signals_layout.h
 *	  The packed form of signals, private to signals.c and signals_build.c.
 *
 * After the header the entries follow without alignment, in canonical order:
 *
 *	  tag		1 byte: form of the value (6 bits), form of the key (2 bits)
 *	  key		number in 1 or 2 bytes, or length and name
 *	  value		see ValueForm
 *
 * The form of a value follows from the value alone, so equal maps are equal
 * byte for byte.  Fifteen usual signals take some sixty bytes.
 */
#ifndef FLEET_SIGNALS_LAYOUT_H
#define FLEET_SIGNALS_LAYOUT_H

#include "postgres.h"

#include "types/signals.h"

typedef enum KeyForm
{
	KEY_ID8 = 0,
	KEY_ID16 = 1,
	KEY_NAME = 2				/* length in 1 byte, name */
} KeyForm;

/*
 * A number that is a decimal of at most MAX_EXPONENT places and fits is kept as
 * mantissa * 10^-exponent, with the smallest exponent and then the narrowest
 * integer that will do.  mantissa / 10^exponent, both exact in a double, is the
 * double nearest to that decimal, hence the very number that came in.
 */
typedef enum ValueForm
{
	VALUE_FALSE = 0,
	VALUE_TRUE = 1,
	VALUE_FLOAT8 = 2,
	VALUE_FLOAT4 = 3,			/* a double that is exactly a float4 */
	VALUE_TEXT8 = 4,			/* length in 1 byte, text */
	VALUE_TEXT16 = 5,			/* length in 2 bytes, text */
	VALUE_DECIMAL = 8			/* + 3 * exponent + (0: int8, 1: int16, 2: int32) */
} ValueForm;

#define MAX_EXPONENT 7

#define TAG(key_form, value_form) ((uint8) (((key_form) << 6) | (value_form)))
#define TAG_KEY_FORM(tag) ((tag) >> 6)
#define TAG_VALUE_FORM(tag) ((tag) & 0x3F)

static const double powers_of_ten[MAX_EXPONENT + 1] = {
	1, 10, 100, 1000, 10000, 100000, 1000000, 10000000
};

static inline int
compare_names(const char *a, int a_len, const char *b, int b_len)
{
	int			result = memcmp(a, b, Min(a_len, b_len));

	return result != 0 ? result : a_len - b_len;
}

/* --- reading one entry: inline, since every look at a map goes through here --- */

/* Reads the key, returns where the value begins. */
static inline const char *
unpack_key(const char *in, SignalKey *key)
{
	uint8		tag = (uint8) *in++;

	key->name = NULL;
	key->name_len = 0;
	switch (TAG_KEY_FORM(tag))
	{
		case KEY_ID8:
			key->id = (uint8) *in;
			return in + 1;
		case KEY_ID16:
			memcpy(&key->id, in, sizeof(uint16));
			return in + sizeof(uint16);
		default:
			key->id = 0;
			key->name_len = (uint8) *in;
			key->name = in + 1;
			return in + 1 + key->name_len;
	}
}

/* Given the start of a value, returns its end. */
static inline const char *
skip_value(uint8 tag, const char *in)
{
	static const uint8 widths[] = {
		[VALUE_FLOAT8] = 8, [VALUE_FLOAT4] = 4,
		[VALUE_DECIMAL] = 1, 2, 4, 1, 2, 4, 1, 2, 4, 1, 2, 4,
		1, 2, 4, 1, 2, 4, 1, 2, 4, 1, 2, 4
	};
	int			form = TAG_VALUE_FORM(tag);

	if (form == VALUE_TEXT8)
		return in + 1 + (uint8) *in;
	if (form == VALUE_TEXT16)
	{
		uint16		length;

		memcpy(&length, in, sizeof(length));
		return in + sizeof(length) + length;
	}
	if (unlikely(form >= lengthof(widths)))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("unknown value form %d in signals", form)));
	return in + widths[form];
}

/* Given the start of a value, reads it and returns its end. */
static inline const char *
unpack_value(uint8 tag, const char *in, SignalValue *value)
{
	int			form = TAG_VALUE_FORM(tag);
	int			exponent;
	int32		mantissa;

	switch (form)
	{
		case VALUE_FALSE:
		case VALUE_TRUE:
			value->kind = SIGNAL_BOOLEAN;
			value->boolean = form == VALUE_TRUE;
			return in;
		case VALUE_FLOAT8:
			value->kind = SIGNAL_NUMBER;
			memcpy(&value->number, in, sizeof(double));
			return in + sizeof(double);
		case VALUE_FLOAT4:
			{
				float4		narrow;

				memcpy(&narrow, in, sizeof(narrow));
				value->kind = SIGNAL_NUMBER;
				value->number = narrow;
				return in + sizeof(narrow);
			}
		case VALUE_TEXT8:
			value->kind = SIGNAL_TEXT;
			value->text_len = (uint8) *in;
			value->text = in + 1;
			return value->text + value->text_len;
		case VALUE_TEXT16:
			{
				uint16		length;

				memcpy(&length, in, sizeof(length));
				value->kind = SIGNAL_TEXT;
				value->text_len = length;
				value->text = in + sizeof(length);
				return value->text + length;
			}
	}

	exponent = (form - VALUE_DECIMAL) / 3;
	if (unlikely(form < VALUE_DECIMAL || exponent > MAX_EXPONENT))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("unknown value form %d in signals", form)));
	switch ((form - VALUE_DECIMAL) % 3)
	{
		case 0:
			mantissa = (int8) *in;
			in += 1;
			break;
		case 1:
			{
				int16		narrow;

				memcpy(&narrow, in, sizeof(narrow));
				mantissa = narrow;
				in += sizeof(narrow);
				break;
			}
		default:
			memcpy(&mantissa, in, sizeof(mantissa));
			in += sizeof(mantissa);
			break;
	}
	value->kind = SIGNAL_NUMBER;
	value->number = exponent == 0 ? mantissa : mantissa / powers_of_ten[exponent];
	return in;
}

#endif							/* FLEET_SIGNALS_LAYOUT_H */
