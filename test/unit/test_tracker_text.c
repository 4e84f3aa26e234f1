/*
 * test_tracker_text.c
 *	  Checksums, angles, dates and digits of trackers.
 */
#include <math.h>

#include "crc.h"
#include "tap.h"
#include "tracker_text.h"

#define S(text) ((Str) {(text), (uint32_t) strlen(text)})

static void
test_sums(void)
{
	is_int(crc16_arc("123456789", 9), 0xBB3D, "CRC-16/ARC");
	is_int(crc16_modbus("123456789", 9), 0x4B37, "CRC-16/MODBUS");
	is_int(crc16_x25("123456789", 9), 0x906E, "CRC-16/X.25");
	is_int(crc16_kermit("123456789", 9), 0x2189, "CRC-16/KERMIT");
	is_int(crc16_arc("", 0), 0, "of nothing");
	is_int(crc16_x25("", 0), 0, "of nothing, X.25");
}

static void
test_fields(void)
{
	Str			rest = S("a,,b,");
	Str			field;

	ok(tracker_field(&rest, ',', &field) && tracker_equals(field, "a"), "the first field");
	ok(tracker_field(&rest, ',', &field) && field.len == 0, "an empty one");
	ok(tracker_field(&rest, ',', &field) && tracker_equals(field, "b"), "another");
	ok(tracker_field(&rest, ',', &field) && tracker_equals(field, ""), "an empty last one");
	ok(!tracker_field(&rest, ',', &field), "no more");
	ok(!tracker_equals(S("ab"), "a") && !tracker_equals(S("a"), "ab"), "other words");
}

static bool
number_is(const char *text, double want)
{
	double		got = NAN;

	return tracker_number(S(text), &got) && got == want;
}

static void
test_numbers(void)
{
	static const char *const bad[] = {"", "-", ".", "1e3", "1,5", " 1", "0x1", "1.2.3", "--1", "1234567890123456789"};
	double		d;
	uint64_t	u;
	int			i;

	ok(number_is("0", 0) && number_is("-3.25", -3.25) && number_is("+7.", 7) && number_is(".5", 0.5) &&
	   number_is("007", 7), "numbers");
	ok(number_is("0.29999999999999998889776975", 0.29999999999999998), "decimals beyond measure are cut");
	for (size_t n = 0; n < sizeof(bad) / sizeof(bad[0]); n++)
		ok(!tracker_number(S(bad[n]), &d), bad[n]);
	ok(tracker_hex(S("fF"), &u) && u == 255, "hexadecimal");
	ok(tracker_hex(S("FFFFFFFFFFFFFFFF"), &u) && u == UINT64_MAX, "64 bits of it");
	ok(!tracker_hex(S(""), &u) && !tracker_hex(S("10000000000000000"), &u) && !tracker_hex(S("g"), &u), "not hexadecimal");
	ok(tracker_digits("0420", 4, &i) && i == 420, "digits");
	ok(!tracker_digits("42a0", 4, &i) && !tracker_digits("-420", 4, &i), "no digits");
}

static bool
angle_is(const char *text, char hemisphere, double want)
{
	double		got;

	return tracker_angle(S(text), hemisphere, &got) && fabs(got - want) < 1e-9;
}

static void
test_angles(void)
{
	double		d;

	ok(angle_is("2238.5237", 'N', 22 + 38.5237 / 60), "north");
	ok(angle_is("11349.4571", 'W', -(113 + 49.4571 / 60)), "west");
	ok(angle_is("38.6508", 'W', -38.6508 / 60), "minutes alone");
	ok(angle_is("5.5", 'S', -5.5 / 60), "one digit of minutes");
	ok(angle_is("-2238.5237", 'N', -(22 + 38.5237 / 60)), "a sign turns it round");
	ok(angle_is("5364.0167", 'N', 53 + 64.0167 / 60), "minutes beyond 60, as some devices send");
	ok(angle_is("18000.0000", 'E', 180), "the limit");
	ok(!tracker_angle(S("18000.0001"), 'E', &d), "beyond it");
	ok(!tracker_angle(S("9100.0"), 'N', &d), "beyond the pole");
	ok(!tracker_angle(S("2238.5237"), 'X', &d), "no hemisphere");
	ok(!tracker_angle(S(""), 'N', &d) && !tracker_angle(S("."), 'N', &d) && !tracker_angle(S("NA"), 'N', &d) &&
	   !tracker_angle(S("22-3.1"), 'N', &d) && !tracker_angle(S("123456.7"), 'E', &d), "no angle");
}

static void
test_times(void)
{
	int64_t		us;

	ok(tracker_time_ddmmyy(S("213945"), S("221025"), &us) && us == INT64_C(1761169185000000), "hhmmss ddmmyy");
	ok(tracker_time_ddmmyy(S("213945.250"), S("221025"), &us) && us == INT64_C(1761169185250000), "with a fraction");
	ok(tracker_time_yymmdd(S("213945"), S("251022"), &us) && us == INT64_C(1761169185000000), "hhmmss yymmdd");
	ok(tracker_time_digits(S("20251022213945"), &us) && us == INT64_C(1761169185000000), "yyyymmddhhmmss");
	ok(tracker_time_digits(S("251022213945"), &us) && us == INT64_C(1761169185000000), "yymmddhhmmss");
	ok(tracker_time_digits(S("700101000000"), &us) && us == 0, "70 is 1970");
	ok(tracker_time(2024, 2, 29, 23, 59, 59, &us), "a leap day");
	ok(!tracker_time(2023, 2, 29, 0, 0, 0, &us) && !tracker_time(2100, 2, 29, 0, 0, 0, &us), "none");
	ok(!tracker_time_ddmmyy(S("000000"), S("000000"), &us), "zeros are no date");
	ok(!tracker_time_ddmmyy(S("240000"), S("010125"), &us) && !tracker_time_ddmmyy(S("126000"), S("010125"), &us) &&
	   !tracker_time_ddmmyy(S("125960"), S("010125"), &us), "no time of day");
	ok(!tracker_time_ddmmyy(S("1259"), S("010125"), &us) && !tracker_time_ddmmyy(S("125901x"), S("010125"), &us) &&
	   !tracker_time_ddmmyy(S("125901"), S("01012025"), &us) && !tracker_time_digits(S("2025102221394"), &us) &&
	   !tracker_time_digits(S("00201022213945"), &us), "wrong lengths");
}

static void
test_bcd(void)
{
	char		text[64];

	ok(tracker_bcd("\x08\x64\x71\x70\x03\x28\x35\x81", 8, text), "BCD");
	is_str(text, "0864717003283581", "its digits");
	ok(!tracker_bcd("\x0a", 1, text) && !tracker_bcd("\xa0", 1, text), "no BCD");
	tracker_to_hex("\xde\xad", 2, text);
	text[4] = '\0';
	is_str(text, "dead", "hexadecimal digits");
	tracker_to_hex("\x01" "1M8GDM9AXKP042788" "\xff", 19, text);
	text[38] = '\0';
	is_str(text, "01" "5858585858585858585858585858585858" "ff", "no VIN in them");
}

int
main(void)
{
	test_sums();
	test_fields();
	test_numbers();
	test_angles();
	test_times();
	test_bcd();
	return tap_done();
}
