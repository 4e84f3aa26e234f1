/*
 * test_sim_csv.c
 *	  The simulator's CSV records: RFC 4180, and what files make of it.
 */
#include "sim/csv.h"
#include "tap.h"

static CsvRecord record;
static bool record_ok;

static size_t
read_all(const char *text)
{
	return csv_read(&record, text, strlen(text), ',', &record_ok);
}

static void
test_plain(void)
{
	is_int(read_all("a,b,,d\nnext"), 7, "a record ends with its line");
	ok(record_ok, "a plain record is good");
	is_int(record.count, 4, "four fields");
	is_str(record.fields[0], "a", "first field");
	is_str(record.fields[2], "", "an empty field");
	is_str(record.fields[3], "d", "last field");

	is_int(read_all("a,b\r\nnext"), 5, "CRLF ends a record");
	is_str(record.fields[1], "b", "and is not part of the field");
	is_int(read_all("a,"), 2, "the text may end without a line end");
	is_int(record.count, 2, "a separator at the end has a field behind it");
	is_int(read_all("\n"), 1, "an empty line");
	is_int(record.count, 1, "has one field");
}

static void
test_quoted(void)
{
	is_int(read_all("\"a,b\",\"say \"\"hi\"\"\",c\nx"), 21, "quoted fields");
	is_int(record.count, 3, "a separator between quotes does not separate");
	is_str(record.fields[0], "a,b", "it is part of the field");
	is_str(record.fields[1], "say \"hi\"", "two quotes are one");
	is_int(read_all("\"two\nlines\",b\nx"), 14, "a line end between quotes is kept");
	is_str(record.fields[0], "two\nlines", "as part of the field");
	is_int(read_all("\"\",b\n"), 5, "an empty quoted field");
	is_str(record.fields[0], "", "is empty");
	is_int(read_all("a\"b,c\n"), 6, "a quote inside a plain field");
	is_str(record.fields[0], "a\"b", "is a character");
}

static void
test_broken(void)
{
	is_int(read_all("\"never closed,b\nnext,line\n"), 16, "a quote that is not closed costs one line");
	ok(!record_ok, "and is reported");
	is_int(read_all("\"a\"b,c\nnext\n"), 7, "text behind a closing quote costs one line");
	ok(!record_ok, "and is reported");
	read_all("a,b\n");
	ok(record_ok, "the next record is good again");
}

static void
test_many_fields(void)
{
	char		text[4000];
	bool		same = true;

	for (int i = 0; i < 1000; i++)
		memcpy(text + 2 * i, i == 999 ? "x\n" : "x,", 2);
	csv_read(&record, text, 2000, ',', &record_ok);
	is_int(record.count, 1000, "a thousand fields");
	for (int i = 0; i < record.count; i++)
		same = same && strcmp(record.fields[i], "x") == 0;
	ok(same, "every one of them in its place");
}

static void
test_separator(void)
{
	is_int(csv_guess_separator("a,b;c,d\n;;;;", 12), ',', "the header line tells the separator");
	is_int(csv_guess_separator("a;b;c\n", 6), ';', "semicolon");
	is_int(csv_guess_separator("a\tb\tc\n", 6), '\t', "tab");
}

int
main(void)
{
	test_plain();
	test_quoted();
	test_broken();
	test_many_fields();
	test_separator();
	csv_free(&record);
	return tap_done();
}
