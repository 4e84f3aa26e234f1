/*
 * test_plausible.c
 *	  What becomes of values that the server would refuse; and whether the table
 *	  of shim/plausible.c is the dictionary of the extension.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plausible.h"
#include "tap.h"

static Record record;

static void
begin(void)
{
	record_reset(&record);
}

static const RecordSignal *
find(const char *name)
{
	for (uint32_t i = 0; i < record.nsignals; i++)
		if (record.signals[i].name.len == strlen(name) && memcmp(record.signals[i].name.data, name, strlen(name)) == 0)
			return &record.signals[i];
	return NULL;
}

static double
number(const char *name)
{
	const RecordSignal *signal = find(name);

	return signal != NULL && signal->kind == RECORD_NUMBER ? signal->number : NAN;
}

static bool
is_text(const char *name, const char *text)
{
	const RecordSignal *signal = find(name);

	return signal != NULL && signal->kind == RECORD_TEXT && signal->text.len == strlen(text) &&
		memcmp(signal->text.data, text, strlen(text)) == 0;
}

static void
add(const char *name, double value)
{
	if (!record_add_number(&record, (Str) {name, (uint32_t) strlen(name)}, value))
		abort();
}

static void
add_text(const char *name, const char *value)
{
	if (!record_add_text(&record, (Str) {name, (uint32_t) strlen(name)}, (Str) {value, (uint32_t) strlen(value)}))
		abort();
}

static void
test_numbers(void)
{
	begin();
	add("fuel_percent", 100);
	add("engine_rpm", 65535);
	add("my_own", 1e300);
	add("odometer_km", -1);
	plausible(&record);
	ok(record.nsignals == 4 && number("fuel_percent") == 100 && number("my_own") == 1e300, "what can be is left alone");
	ok(number("engine_rpm_raw") == 65535 && find("engine_rpm") == NULL, "what is too large is renamed");
	ok(number("odometer_km_raw") == -1, "what is too small too");
	ok(plausible_number(RECORD_STR("fuel_percent"), 100) && !plausible_number(RECORD_STR("fuel_percent"), 100.5) &&
	   plausible_number(RECORD_STR("whatever"), -5) && !plausible_number(RECORD_STR("ignition"), 1) &&
	   !plausible_number(RECORD_STR("whatever"), NAN), "asked beforehand");
}

static void
test_kinds(void)
{
	begin();
	add("ignition", 1);
	add("movement", 2);
	add("alarm", 5);
	add_text("fuel_l", "12.5");
	add_text("fuel_rate_lh", "much");
	add_text("sos", "false");
	add_text("satellites", "999");
	plausible(&record);
	ok(find("ignition")->kind == RECORD_BOOLEAN && find("ignition")->boolean, "1 is true");
	ok(number("movement_raw") == 2, "2 is no boolean");
	ok(is_text("alarm", "5"), "a number as text");
	ok(number("fuel_l") == 12.5 && is_text("fuel_rate_lh_raw", "much"), "a text as number");
	ok(find("sos")->kind == RECORD_BOOLEAN && !find("sos")->boolean, "a text as boolean");
	ok(number("satellites_raw") == 999, "a text that is too large a number");
}

static void
test_columns(void)
{
	begin();
	record.speed_kmh = 351;
	record.heading_deg = 360;
	record.altitude_m = -501;
	record.accuracy_m = 0;
	plausible(&record);
	ok(isnan(record.speed_kmh) && number("speed_kmh_raw") == 351 && isnan(record.altitude_m) &&
	   number("altitude_m_raw") == -501, "columns out of range");
	ok(record.heading_deg == 360 && record.accuracy_m == 0, "columns in range");
	begin();
	record.speed_kmh = 1000;
	record_set_defect(&record, "malformed", (Str) {NULL, 0});
	plausible(&record);
	ok(record.speed_kmh == 1000 && record.nsignals == 0, "a record with a defect is left alone");
}

static void
test_vin(void)
{
	begin();
	add_text("a", "1M8GDM9AXKP042788");
	add("b", 1);
	add_text("c", "WVWZZZ1KZAW000123");
	add_text("d", "1M8GDM9A1KP042788");
	plausible(&record);
	ok(record.nsignals == 2 && number("b") == 1 && find("d") != NULL, "VINs are taken out");
	begin();
	add_text("rest", "a,1M8GDM9AXKP042788,,1m8gdm9axkp042788;b");
	add_text("end", "x 1M8GDM9AXKP042788");
	add_text("longer", "1M8GDM9AXKP0427880");
	add("p_1M8GDM9AXKP042788", 1);
	plausible(&record);
	ok(is_text("rest", "a,,,;b") && is_text("end", "x ") && is_text("longer", "1M8GDM9AXKP0427880"), "out of a text, too");
	ok(record.nsignals == 3, "and out of names");
	ok(record.signals_size == 3 * 2 + 4 + 3 + 6 + (2 + 6) + (2 + 2) + (2 + 18), "their size is given back");
	ok(plausible_vin(RECORD_STR("11111111111111111")) == false && plausible_vin(RECORD_STR("1m8gdm9axkp042788")) &&
	   !plausible_vin(RECORD_STR("1M8GDM9AXKP0427")) && !plausible_vin(RECORD_STR("IM8GDM9AXKP042788")), "what is one");
}

static void
test_limits(void)
{
	begin();
	record.scratch_used = RECORD_SCRATCH - 4;
	add("fuel_percent", 101);
	add("x", 1);
	plausible(&record);
	ok(record.nsignals == 1 && number("x") == 1, "without room for the name, without the value");
	ok(record.signals_size == 2 + 1 + 8, "its size is given back");
}

/* The rows of the extension's source, when it is there. */
static void
test_dictionary(void)
{
	FILE	   *file = fopen("extension/types/dictionary.c", "r");
	char		line[256];
	int			rows = 0;
	int			wrong = 0;

	if (file == NULL)
		file = fopen("../../extension/types/dictionary.c", "r");
	if (file == NULL)
	{
		tap_tests++;
		printf("ok %d - the dictionary # SKIP the extension's source is not here\n", tap_tests);
		return;
	}
	while (fgets(line, sizeof(line), file) != NULL)
	{
		char		name[64];
		double		min;
		double		max;
		Str			key;
		bool		same = true;

		if (sscanf(line, " NUMBER(%*d, \"%63[^\"]\", \"%*[^\"]\", %lf, %lf", name, &min, &max) == 3 ||
			sscanf(line, " NUMBER(%*d, \"%63[^\"]\", \"\", %lf, %lf", name, &min, &max) == 3)
		{
			double		step = fmax(fabs(max), 1) * 1e-6;

			key = (Str) {name, (uint32_t) strlen(name)};
			same = plausible_number(key, min) && plausible_number(key, max) &&
				!plausible_number(key, min - fmax(fabs(min), 1) * 1e-6) && !plausible_number(key, max + step);
		}
		else if (sscanf(line, " BOOLEAN(%*d, \"%63[^\"]\"", name) == 1 || sscanf(line, " TEXT(%*d, \"%63[^\"]\"", name) == 1)
		{
			key = (Str) {name, (uint32_t) strlen(name)};
			same = !plausible_number(key, 1);
		}
		else
			continue;
		rows++;
		if (!same)
		{
			printf("# %s differs\n", name);
			wrong++;
		}
	}
	fclose(file);
	ok(rows > 100, "the extension's dictionary was read");
	is_int(wrong, 0, "all its rows are in the table");
}

int
main(void)
{
	test_numbers();
	test_kinds();
	test_columns();
	test_vin();
	test_limits();
	test_dictionary();
	return tap_done();
}
