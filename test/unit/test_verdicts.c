/*
 * test_verdicts.c
 *	  The answer of fleet.last_batch(), row by row.
 */
#include "tap.h"
#include "verdicts.h"

static const char *
all(const Verdicts *v, size_t nrows)
{
	static char text[512];
	size_t		n = 0;

	for (size_t i = 0; i < nrows; i++)
	{
		SinkOutcome o = verdicts_outcome(v, i);

		n += (size_t) snprintf(text + n, sizeof(text) - n, "%s%s%s%s",
							   o.verdict == SINK_ACCEPTED ? "a" : o.verdict == SINK_REPEATED ? "r" : "x:",
							   o.code, o.field[0] ? ":" : "", o.field);
		n += (size_t) snprintf(text + n, sizeof(text) - n, " ");
	}
	return text;
}

int
main(void)
{
	Verdicts	v = {0};

	ok(verdicts_read(&v, 3, "[]", "{}"), "an answer without exceptions");
	is_str(all(&v, 3), "a a a ", "all rows were accepted");
	ok(verdicts_read(&v, 5, "[]", "{1,5}"), "repeats");
	is_str(all(&v, 5), "r a a a r ", "are told by their ordinals");
	ok(verdicts_read(&v, 4, "[{\"ordinal\":3,\"code\":\"out_of_range\",\"field\":\"latitude\"},"
					 "{\"ordinal\":1,\"code\":\"malformed\",\"field\":null}]", "{4}"), "refused ones");
	is_str(all(&v, 4), "x:malformed a x:out_of_range:latitude r ", "have code and field");
	ok(verdicts_read(&v, 2, "[{\"ordinal\":3,\"code\":\"c\"},{\"ordinal\":0,\"code\":\"c\"},{\"ordinal\":-1,\"code\":\"c\"}]",
					 "{0,3,99999999999999999999}"), "ordinals that no row has");
	is_str(all(&v, 2), "a a ", "are passed over");
	ok(!verdicts_read(&v, 2, "{\"ordinal\":1}", "{}"), "an object instead of a list");
	is_str(all(&v, 2), "a a ", "says nothing of any row");
	ok(!verdicts_read(&v, 2, "[{\"ordinal\":1,\"code\":\"c\"},7]", "{2}"), "a list with something else in it");
	is_str(all(&v, 2), "a a ", "neither");
	ok(!verdicts_read(&v, 2, "[{", "{}"), "no JSON");
	ok(verdicts_read(&v, 2, "[]", "{2}"), "and the next answer");
	is_str(all(&v, 2), "a r ", "is read as ever");
	verdicts_free(&v);
	return tap_done();
}
