/*
 * vin.c
 *	  Type vin: a vehicle identification number with a right check digit.
 *
 * It validates and pseudonymises; the product itself stores no VIN.  Text and
 * binary form are the 17 characters.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "common/hmac.h"
#include "common/sha2.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "fleet.h"
#include "types/vin.h"

/* positions, counted from 0; the standard counts from 1 */
#define WMI_LENGTH 3
#define CHECK_DIGIT 8
#define MODEL_YEAR 9
#define SERIAL 11

#define PSEUDONYM_BYTES 16
#define PSEUDONYM_KEY_MIN 16

/* --- checks --- */

/* One more than what a character counts for in the sum; 0: not allowed in a VIN. */
static const uint8 values[256] = {
	['0'] = 1, ['1'] = 2, ['2'] = 3, ['3'] = 4, ['4'] = 5,
	['5'] = 6, ['6'] = 7, ['7'] = 8, ['8'] = 9, ['9'] = 10,
	['A'] = 2, ['B'] = 3, ['C'] = 4, ['D'] = 5, ['E'] = 6, ['F'] = 7, ['G'] = 8, ['H'] = 9,
	['J'] = 2, ['K'] = 3, ['L'] = 4, ['M'] = 5, ['N'] = 6, ['P'] = 8, ['R'] = 10,
	['S'] = 3, ['T'] = 4, ['U'] = 5, ['V'] = 6, ['W'] = 7, ['X'] = 8, ['Y'] = 9, ['Z'] = 10
};

static inline char
to_upper(char c)
{
	return c >= 'a' && c <= 'z' ? c - ('a' - 'A') : c;
}

static inline bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Of 17 allowed characters in upper case. */
static char
check_digit(const char *vin)
{
	static const uint8 weights[VIN_LENGTH] = {8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2};
	int			sum = 0;

	for (int i = 0; i < VIN_LENGTH; i++)
		sum += (values[(unsigned char) vin[i]] - 1) * weights[i];
	return "0123456789X"[sum % 11];
}

/* Upper case into vin; the offset of the first bad character, or -1. */
static int
fold(const char *s, char *vin)
{
	for (int i = 0; i < VIN_LENGTH; i++)
	{
		vin[i] = to_upper(s[i]);
		if (values[(unsigned char) vin[i]] == 0)
			return i;
	}
	return -1;
}

static bool
vin_parse(const char *str, int len, Vin *result, Node *escontext)
{
	int			nchars = pg_mbstrlen_with_len(str, len);
	int			bad;
	char		expected;

	if (nchars != VIN_LENGTH)
		ereturn(escontext, false,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("invalid input syntax for type vin: \"%s\"", str),
				 errdetail("Length is %d, must be %d characters.",
						   nchars, VIN_LENGTH)));
	/* 17 characters take 17 bytes, or the first longer one is bad */
	bad = fold(str, result->chars);
	if (bad >= 0)
		ereturn(escontext, false,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("invalid input syntax for type vin: \"%s\"", str),
				 errdetail("\"%.*s\" at character %d is not allowed in a VIN.",
						   pg_mblen(str + bad), str + bad, bad + 1),
				 errhint("A VIN has digits and letters without I, O, Q.")));
	expected = check_digit(result->chars);
	if (result->chars[CHECK_DIGIT] != expected)
		ereturn(escontext, false,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("check digit of VIN is wrong: \"%s\"", str),
				 errdetail("Character %d is \"%c\", must be \"%c\".",
						   CHECK_DIGIT + 1, result->chars[CHECK_DIGIT], expected),
				 errhint("Makers outside of North America and China need not use check digits; keep such a number as text.")));
	return true;
}

bool
vin_looks_valid(const char *s, int len)
{
	char		vin[VIN_LENGTH];
	bool		letter = false;

	if (len != VIN_LENGTH)
		return false;
	for (int i = VIN_LENGTH - 4; i < VIN_LENGTH; i++)
		if (!is_digit(s[i]))
			return false;
	if (fold(s, vin) >= 0)
		return false;
	for (int i = 0; i < VIN_LENGTH; i++)
		letter |= !is_digit(vin[i]);
	if (!letter)
		return false;
	return vin[CHECK_DIGIT] == check_digit(vin) ||
		(vin[0] >= 'S' && vin[0] <= 'Z' && memcmp(vin + WMI_LENGTH, "ZZZ", 3) == 0);
}

static inline bool
is_alphanumeric(char c)
{
	return is_digit(c) || (to_upper(c) >= 'A' && to_upper(c) <= 'Z');
}

/* In the midst of letters and digits: what a real one has besides. */
static bool
stands_out(const char *s)
{
	bool		letter = false;

	for (int i = 0; i < WMI_LENGTH; i++)
		letter |= !is_digit(s[i]);
	return letter && s[MODEL_YEAR] != '0' &&
		to_upper(s[MODEL_YEAR]) != 'U' && to_upper(s[MODEL_YEAR]) != 'Z';
}

/* Goes from run to run of letters and digits. */
static bool
find_vin(const char *s, int len, bool inside)
{
	for (int from = 0, to; from < len; from = to + 1)
	{
		for (to = from; to < len && is_alphanumeric(s[to]); to++)
			;
		if (to - from == VIN_LENGTH && vin_looks_valid(s + from, VIN_LENGTH))
			return true;
		if (!inside || to - from <= VIN_LENGTH)
			continue;
		for (int at = from; to - at >= VIN_LENGTH; at++)
			if (vin_looks_valid(s + at, VIN_LENGTH) && stands_out(s + at))
				return true;
	}
	return false;
}

bool
vin_in_text(const char *s, int len)
{
	return len >= VIN_LENGTH && find_vin(s, len, false);
}

bool
vin_in_bytes(const char *s, int len)
{
	return len >= VIN_LENGTH && find_vin(s, len, true);
}

/* --- input and output --- */

PG_FUNCTION_INFO_V1(vin_in);
Datum
vin_in(PG_FUNCTION_ARGS)
{
	char	   *str = PG_GETARG_CSTRING(0);
	Vin		   *result = palloc(sizeof(Vin));

	if (!vin_parse(str, strlen(str), result, fcinfo->context))
		PG_RETURN_NULL();
	PG_RETURN_POINTER(result);
}

PG_FUNCTION_INFO_V1(vin_out);
Datum
vin_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(pnstrdup(PG_GETARG_VIN_P(0)->chars, VIN_LENGTH));
}

PG_FUNCTION_INFO_V1(vin_recv);
Datum
vin_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	int			len;
	char	   *str = pq_getmsgtext(buf, buf->len - buf->cursor, &len);
	Vin		   *result = palloc(sizeof(Vin));

	vin_parse(str, len, result, NULL);
	PG_RETURN_POINTER(result);
}

PG_FUNCTION_INFO_V1(vin_send);
Datum
vin_send(PG_FUNCTION_ARGS)
{
	StringInfoData buf;

	pq_begintypsend(&buf);
	pq_sendtext(&buf, PG_GETARG_VIN_P(0)->chars, VIN_LENGTH);
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

/* --- checks of a text --- */

/* Would the type accept it? */
PG_FUNCTION_INFO_V1(vin_is_valid);
Datum
vin_is_valid(PG_FUNCTION_ARGS)
{
	text	   *t = PG_GETARG_TEXT_PP(0);
	char		vin[VIN_LENGTH];

	PG_RETURN_BOOL(VARSIZE_ANY_EXHDR(t) == VIN_LENGTH &&
				   fold(VARDATA_ANY(t), vin) < 0 &&
				   vin[CHECK_DIGIT] == check_digit(vin));
}

PG_FUNCTION_INFO_V1(vin_check);
Datum
vin_check(PG_FUNCTION_ARGS)
{
	text	   *t = PG_GETARG_TEXT_PP(0);

	PG_RETURN_BOOL(vin_looks_valid(VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t)));
}

PG_FUNCTION_INFO_V1(holds_vin_text);
Datum
holds_vin_text(PG_FUNCTION_ARGS)
{
	text	   *t = PG_GETARG_TEXT_PP(0);

	PG_RETURN_BOOL(vin_in_text(VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t)));
}

PG_FUNCTION_INFO_V1(holds_vin_bytea);
Datum
holds_vin_bytea(PG_FUNCTION_ARGS)
{
	bytea	   *b = PG_GETARG_BYTEA_PP(0);

	PG_RETURN_BOOL(vin_in_bytes(VARDATA_ANY(b), VARSIZE_ANY_EXHDR(b)));
}

/* --- parts --- */

static text *
part(FunctionCallInfo fcinfo, int first, int len)
{
	return cstring_to_text_with_len(PG_GETARG_VIN_P(0)->chars + first, len);
}

PG_FUNCTION_INFO_V1(vin_wmi);
Datum
vin_wmi(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(part(fcinfo, 0, WMI_LENGTH));
}

PG_FUNCTION_INFO_V1(vin_vds);
Datum
vin_vds(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(part(fcinfo, WMI_LENGTH, MODEL_YEAR - WMI_LENGTH));
}

PG_FUNCTION_INFO_V1(vin_vis);
Datum
vin_vis(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(part(fcinfo, MODEL_YEAR, VIN_LENGTH - MODEL_YEAR));
}

PG_FUNCTION_INFO_V1(vin_plant);
Datum
vin_plant(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(part(fcinfo, MODEL_YEAR + 1, 1));
}

PG_FUNCTION_INFO_V1(vin_serial);
Datum
vin_serial(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(part(fcinfo, SERIAL, VIN_LENGTH - SERIAL));
}

/*
 * Makers of fewer than 1000 vehicles a year share a world identifier that ends
 * in 9; characters 12 to 14 then tell which one it is.
 */
PG_FUNCTION_INFO_V1(vin_manufacturer);
Datum
vin_manufacturer(PG_FUNCTION_ARGS)
{
	Vin		   *vin = PG_GETARG_VIN_P(0);
	char		code[2 * WMI_LENGTH];

	memcpy(code, vin->chars, WMI_LENGTH);
	memcpy(code + WMI_LENGTH, vin->chars + SERIAL, WMI_LENGTH);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(code, vin->chars[WMI_LENGTH - 1] == '9' ?
											  2 * WMI_LENGTH : WMI_LENGTH));
}

PG_FUNCTION_INFO_V1(vin_region);
Datum
vin_region(PG_FUNCTION_ARGS)
{
	char		c = PG_GETARG_VIN_P(0)->chars[0];
	const char *region;

	if (c >= 'A' && c <= 'H')
		region = "Africa";
	else if (c >= 'J' && c <= 'R')
		region = "Asia";
	else if (c >= 'S' && c <= 'Z')
		region = "Europe";
	else if (c >= '1' && c <= '5')
		region = "North America";
	else if (c == '6' || c == '7')
		region = "Oceania";
	else if (c == '8' || c == '9')
		region = "South America";
	else
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(region));
}

/*
 * Character 10 names the year in a cycle of 30.  Of passenger cars and light
 * vehicles character 7 tells the cycle: a digit before 2010, a letter from then
 * on.
 */
PG_FUNCTION_INFO_V1(vin_model_year);
Datum
vin_model_year(PG_FUNCTION_ARGS)
{
	static const char codes[] = "ABCDEFGHJKLMNPRSTVWXY123456789";
	Vin		   *vin = PG_GETARG_VIN_P(0);
	const char *code = strchr(codes, vin->chars[MODEL_YEAR]);

	if (code == NULL)
		PG_RETURN_NULL();		/* 0, U and Z name no year */
	PG_RETURN_INT32((is_digit(vin->chars[6]) ? 1980 : 2010) + (int) (code - codes));
}

/*
 * vin_pseudonym(vin, key bytea): HMAC-SHA-256 cut to 128 bits.  Keyed, because
 * there are few enough VINs to try them all against a plain hash.
 */
PG_FUNCTION_INFO_V1(vin_pseudonym);
Datum
vin_pseudonym(PG_FUNCTION_ARGS)
{
	Vin		   *vin = PG_GETARG_VIN_P(0);
	bytea	   *key = PG_GETARG_BYTEA_PP(1);
	int			key_len = VARSIZE_ANY_EXHDR(key);
	pg_hmac_ctx *ctx;
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	char	   *hex;

	if (key_len < PSEUDONYM_KEY_MIN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("key is too short"),
				 errdetail("It has %d bytes, must have at least %d.", key_len, PSEUDONYM_KEY_MIN)));
	ctx = pg_hmac_create(PG_SHA256);
	if (ctx == NULL ||
		pg_hmac_init(ctx, (uint8 *) VARDATA_ANY(key), key_len) < 0 ||
		pg_hmac_update(ctx, (uint8 *) vin->chars, VIN_LENGTH) < 0 ||
		pg_hmac_final(ctx, digest, sizeof(digest)) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not compute HMAC")));
	pg_hmac_free(ctx);
	hex = palloc(2 * PSEUDONYM_BYTES);
	hex_encode((char *) digest, PSEUDONYM_BYTES, hex);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(hex, 2 * PSEUDONYM_BYTES));
}

/* --- comparison and hash: by character, digits before letters --- */

static int
vin_compare(const Vin *a, const Vin *b)
{
	int			result = memcmp(a->chars, b->chars, VIN_LENGTH);

	return result < 0 ? -1 : result > 0;
}

PG_FUNCTION_INFO_V1(vin_eq);
Datum
vin_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(vin_compare(PG_GETARG_VIN_P(0), PG_GETARG_VIN_P(1)) == 0);
}

PG_FUNCTION_INFO_V1(vin_ne);
Datum
vin_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(vin_compare(PG_GETARG_VIN_P(0), PG_GETARG_VIN_P(1)) != 0);
}

PG_FUNCTION_INFO_V1(vin_lt);
Datum
vin_lt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(vin_compare(PG_GETARG_VIN_P(0), PG_GETARG_VIN_P(1)) < 0);
}

PG_FUNCTION_INFO_V1(vin_le);
Datum
vin_le(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(vin_compare(PG_GETARG_VIN_P(0), PG_GETARG_VIN_P(1)) <= 0);
}

PG_FUNCTION_INFO_V1(vin_gt);
Datum
vin_gt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(vin_compare(PG_GETARG_VIN_P(0), PG_GETARG_VIN_P(1)) > 0);
}

PG_FUNCTION_INFO_V1(vin_ge);
Datum
vin_ge(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(vin_compare(PG_GETARG_VIN_P(0), PG_GETARG_VIN_P(1)) >= 0);
}

PG_FUNCTION_INFO_V1(vin_cmp);
Datum
vin_cmp(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(vin_compare(PG_GETARG_VIN_P(0), PG_GETARG_VIN_P(1)));
}

PG_FUNCTION_INFO_V1(vin_hash);
Datum
vin_hash(PG_FUNCTION_ARGS)
{
	return hash_any((unsigned char *) PG_GETARG_VIN_P(0)->chars, VIN_LENGTH);
}

PG_FUNCTION_INFO_V1(vin_hash_extended);
Datum
vin_hash_extended(PG_FUNCTION_ARGS)
{
	return hash_any_extended((unsigned char *) PG_GETARG_VIN_P(0)->chars, VIN_LENGTH,
							 PG_GETARG_INT64(1));
}
