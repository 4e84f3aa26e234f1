# The test targets, included by the root Makefile. `make check` runs them all,
# through test/check.
#
# The extension under test is never installed into the system: it is staged
# below build/stage, and the server is told to look there first.
STAGE = $(CURDIR)/build/stage
PG_REGRESS = $(abspath $(dir $(PGXS))../test/regress/pg_regress)
PG_ISOLATION_REGRESS = $(abspath $(dir $(PGXS))../test/isolation/pg_isolation_regress)
REGRESS_TESTS ?= $(shell cat test/regress/schedule)
ISOLATION_TESTS ?= $(sort $(basename $(notdir $(wildcard test/isolation/specs/*.spec))))
UNIT_TESTS ?= $(patsubst test/unit/%.c,build/unit/%,$(sort $(wildcard test/unit/test_*.c)))
E2E_TESTS ?= $(sort $(wildcard test/e2e/*.pl))
STATIC_TESTS ?= $(sort $(wildcard test/static/*.pl))

.PHONY: stage check-regress check-isolation unit check-unit check-e2e check-static bench fuzz
# A staged install made by root in somebody else's tree is handed to its owner,
# who could not replace it otherwise.
stage: all
	@rm -rf $(STAGE)
	@umask 022 && $(MAKE) -s install DESTDIR=$(STAGE) >/dev/null
	@tools/test-conf $(STAGE) > build/test.conf
	@if [ "$$(id -u)" = 0 ]; then chown -R --reference=. build/stage; fi

# The server's settings are written where the tests run, which is not this
# folder when the unprivileged user cannot reach it.
RUN_REGRESS = tools/unprivileged build/$(1) sh -c 'tools/test-conf build/stage > build/$(1)/test.conf && exec "$$@"' sh \
	$(2) --temp-instance=build/$(1)/instance --temp-config=build/$(1)/test.conf --bindir=$(bindir) \
	--inputdir=test/$(1) --outputdir=build/$(1)

check-regress: stage
	$(call RUN_REGRESS,regress,$(PG_REGRESS)) setup $(filter-out setup,$(REGRESS_TESTS))

check-isolation: stage
	$(call RUN_REGRESS,isolation,$(PG_ISOLATION_REGRESS)) $(ISOLATION_TESTS)

# The daemon's layers, under ASan and UBSan.
unit:
	$(MAKE) -C test/unit PG_CONFIG=$(PG_CONFIG)
check-unit: unit
	test/run-tap --name=unit $(UNIT_TESTS)

# PostgreSQL::Test::Utils and ::Cluster want the variables.
# A Kafka cluster to test with, where librdkafka is.
KAFKA_MOCK = $(if $(shell pkg-config --exists rdkafka && echo yes),build/tools/kafka_mock)
build/tools/kafka_mock: test/tools/kafka_mock.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O1 -g -Wall -Wextra $(shell pkg-config --cflags rdkafka) -o $@ $< $(shell pkg-config --libs rdkafka)

check-e2e: stage $(KAFKA_MOCK)
	tools/unprivileged build/e2e env TESTDIR=build/e2e TESTDATADIR=build/e2e/tmp_check TESTLOGDIR=build/e2e/tmp_check/log \
	  PG_REGRESS=$(PG_REGRESS) PATH="$(bindir):$$PATH" PERL5LIB="$(dir $(PGXS))../test/perl:test/e2e" \
	  test/run-tap --name=e2e $(E2E_TESTS)

check-static: all
	test/run-tap --name=static $(STATIC_TESTS)

bench: stage $(KAFKA_MOCK)
	bench/run

fuzz: fuzz-types
	@tools/install-deps --fuzz
	$(MAKE) -C test/fuzz fuzz

# The extension's types, through a server: FUZZ_SECONDS, FUZZ_SEED.
build/fuzz/fuzz_types: test/fuzz/types/fuzz_types.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -g -O1 -Wall -Wextra -I$(includedir) -o $@ $< -L$(libdir) -lpq

build/fuzz/fuzz_login: test/fuzz/types/fuzz_login.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -g -O1 -Wall -Wextra -I$(includedir) -o $@ $< -L$(libdir) -lpq -lcrypto

.PHONY: fuzz-types
fuzz-types: stage build/fuzz/fuzz_types build/fuzz/fuzz_login
	tools/unprivileged build/fuzz-types test/fuzz/types/run build/fuzz-types build/fuzz/fuzz_types $(or $(FUZZ_SECONDS),30) $(FUZZ_SEED)
	tools/unprivileged build/fuzz-login test/fuzz/types/run build/fuzz-login build/fuzz/fuzz_login $(or $(FUZZ_SECONDS),30) $(FUZZ_SEED)
