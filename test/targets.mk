# The test targets, included by the root Makefile.
#
# The extension under test is never installed into the system: it is staged
# below build/stage, and the server is told to look there first.
STAGE = $(CURDIR)/build/stage
PG_REGRESS = $(dir $(PGXS))../test/regress/pg_regress
PG_ISOLATION_REGRESS = $(dir $(PGXS))../test/isolation/pg_isolation_regress
REGRESS_TESTS ?= $(shell cat test/regress/schedule)
ISOLATION_TESTS ?= $(sort $(basename $(notdir $(wildcard test/isolation/specs/*.spec))))

.PHONY: stage check-regress check-isolation
stage: all
	@rm -rf $(STAGE)
	@$(MAKE) -s install DESTDIR=$(STAGE) >/dev/null
	@tools/test-conf $(STAGE) > build/test.conf

check-regress: stage
	tools/unprivileged build/regress $(PG_REGRESS) --temp-instance=build/regress/instance \
	  --temp-config=build/test.conf --bindir=$(bindir) --inputdir=test/regress \
	  --outputdir=build/regress --dlpath=$(STAGE)$(pkglibdir) $(REGRESS_TESTS)

check-isolation: stage
	tools/unprivileged build/isolation $(PG_ISOLATION_REGRESS) --temp-instance=build/isolation/instance \
	  --temp-config=build/test.conf --bindir=$(bindir) --inputdir=test/isolation \
	  --outputdir=build/isolation $(ISOLATION_TESTS)
