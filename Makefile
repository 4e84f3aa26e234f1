# pgfleet: PGXS builds the extension, shim/ has its own Makefile for fleetd.
#
#   make            extension and fleetd
#   make install    both, into the server's directories
#   make demo       a private cluster, a fleet over real sockets, live alerts
#   make check      every test
#   make bench      the figures of docs/benchmarks.md
#   make fuzz       the fuzzers, bounded in time

# These begin on a machine where nothing may be installed yet, PGXS included,
# so they work through sub-makes.
BARE = check demo install-deps
ifneq (,$(filter $(BARE),$(MAKECMDGOALS)))
OTHERS = $(filter-out $(BARE),$(MAKECMDGOALS))
.PHONY: $(BARE) $(OTHERS)
.NOTPARALLEL:
install-deps:
	@tools/install-deps
check: install-deps
	+@MAKE='$(MAKE)' test/check

# It installs and builds for itself; NAME=VALUE settings reach it by environment.
demo:
	+@MAKE='$(MAKE)' tools/demo

$(OTHERS):
	$(MAKE) $@
else

EXTENSION = control/fleet
EXTVERSION = $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" control/fleet.control)
MODULE_big = fleet
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard extension/*.c extension/*/*.c)))
FLEET_HEADERS = $(wildcard extension/*.h extension/*/*.h)
SQL_PIECES = $(sort $(wildcard sql/[0-9]*.sql))
FULL_SCRIPT = build/fleet--$(EXTVERSION).sql
DATA_built = $(FULL_SCRIPT)
DATA = $(wildcard sql/updates/fleet--*--*.sql)
PG_CPPFLAGS = -Iextension -DFLEET_VERSION='"$(EXTVERSION)"'
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers -Wno-clobbered
SHLIB_LINK = -lcrypto -lm
EXTRA_CLEAN = build/*.sql

PG_CONFIG ?= pg_config
# Bitcode would only serve inlining across modules, which nothing here needs.
override with_llvm = no
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

$(OBJS): $(FLEET_HEADERS) control/fleet.control

$(FULL_SCRIPT): $(SQL_PIECES) control/fleet.control
	@mkdir -p build
	cat $(SQL_PIECES) > $@

all: shim
install: install-shim
uninstall: uninstall-shim
clean: clean-shim

uninstall-shim:
	rm -f $(addprefix '$(DESTDIR)$(bindir)'/, fleetd fleetsim)

.PHONY: shim install-shim uninstall-shim clean-shim
shim:
	@$(MAKE) --no-print-directory -C shim PG_CONFIG=$(PG_CONFIG) VERSION=$(EXTVERSION)
install-shim:
	@$(MAKE) --no-print-directory -C shim install PG_CONFIG=$(PG_CONFIG) VERSION=$(EXTVERSION) DESTDIR=$(DESTDIR)
clean-shim:
	@$(MAKE) --no-print-directory -C shim clean
	@if [ -e build/demo/data/postmaster.pid ]; then tools/demo stop; fi
	rm -rf build

include test/targets.mk

endif
