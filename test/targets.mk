# The test targets, included by the root Makefile.
#
# The extension under test is never installed into the system: it is staged
# below build/stage, and the server is told to look there first.
STAGE = $(CURDIR)/build/stage
PG_REGRESS = $(abspath $(dir $(PGXS))../test/regress/pg_regress)
PG_ISOLATION_REGRESS = $(abspath $(dir $(PGXS))../test/isolation/pg_isolation_regress)
REGRESS_TESTS ?= $(shell cat test/regress/schedule)
ISOLATION_TESTS ?= $(sort $(basename $(notdir $(wildcard test/isolation/specs/*.spec))))

.PHONY: stage check-regress check-isolation
stage: all
	@rm -rf $(STAGE)
	@umask 022 && $(MAKE) -s install DESTDIR=$(STAGE) >/dev/null
	@tools/test-conf $(STAGE) > build/test.conf

# The server's settings are written where the tests run, which is not this
# folder when the unprivileged user cannot reach it.
RUN_REGRESS = tools/unprivileged build/$(1) sh -c 'tools/test-conf build/stage > build/$(1)/test.conf && exec "$$@"' sh \
	$(2) --temp-instance=build/$(1)/instance --temp-config=build/$(1)/test.conf --bindir=$(bindir) \
	--inputdir=test/$(1) --outputdir=build/$(1)

check-regress: stage
	$(call RUN_REGRESS,regress,$(PG_REGRESS)) setup $(filter-out setup,$(REGRESS_TESTS))

check-isolation: stage
	$(call RUN_REGRESS,isolation,$(PG_ISOLATION_REGRESS)) $(ISOLATION_TESTS)
