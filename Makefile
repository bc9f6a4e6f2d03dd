# Everything that is built or tested here starts from this file; `make` alone lists the targets.
# Needs Debian 12, root, git, make, python3 and a package archive; `make tools` fetches the rest.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

# The distribution's interpreter, always: one from PATH has no libvirt.
PYTHON := .venv/bin/python
PYTEST := $(PYTHON) -m pytest
CELL := PYTHONPATH=$(CURDIR) $(PYTHON) -m tests.harness.cell --
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"$$/\1/p' heartbeat/__init__.py)
PACKAGE := build/masakari-qga_$(VERSION)_all.deb
# More words for pytest: make unit ARGS="-k verdict -x"
ARGS ?=
MINUTES ?= 60

export HYPOTHESIS_STORAGE_DIRECTORY := $(CURDIR)/build/hypothesis

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | while IFS=$$'\t' read -r name text; do printf '%-12s %s\n' "$$name" "$$text"; done

.PHONY: demo
demo: install-deb ## a real guest hangs on a real cluster, and is reported: the whole way, with what is seen on it
	@/usr/bin/python3 -m tests.harness.demo

.PHONY: test
test: lint ## all tests that fit into 25 minutes; others have targets of their own
	@mkdir -p build
	@echo "live beside unit and cluster, since it mostly waits; its output comes at the end (build/live.log)"
	@$(MAKE) --no-print-directory live > build/live.log 2>&1 & live=$$!; status=0; \
	$(MAKE) --no-print-directory unit || status=$$?; \
	$(MAKE) --no-print-directory cluster || status=$$?; \
	wait $$live || status=$$?; cat build/live.log; exit $$status

.PHONY: lint
lint: tools ## ruff, mypy, vermin (nothing newer than Python 3.9)
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy
	$(PYTHON) .venv/bin/vermin --quiet heartbeat qga_ra ocf/qga

.PHONY: unit
unit: tools ## tests without daemons
	$(PYTEST) tests/unit $(ARGS)

.PHONY: live
live: tools ## tests with real libvirt, QEMU and guest agents, in a private cell
	$(CELL) $(PYTEST) tests/live $(if $(ARGS),$(ARGS),-m "not slow")

.PHONY: cluster
cluster: install-deb ## tests of the installed package with real corosync and Pacemaker, in a private cell
	$(CELL) $(PYTEST) tests/cluster $(ARGS)

# In a mount namespace, whose end is the unmounting, and with all that is started in a root.
.PHONY: test-install
test-install: tools deb rpm ## both packages in fresh systems of Debian 12 and 13, upgrades and all (some 15 minutes)
	@tests/tools.sh roots
	unshare --mount --pid --fork --kill-child --mount-proc --propagation private $(PYTEST) tests/install $(ARGS)

.PHONY: test-cluster
test-cluster: install-deb ## three cluster nodes and a remote one, lost, cut off, killed and reloaded (some 2 minutes)
	@tests/tools.sh remote
	$(CELL) $(PYTEST) tests/multinode $(ARGS)

.PHONY: openstack
openstack: tools ## tests with the real Keystone and Masakari, in a private cell (their pages: ARGS=--write-pages)
	@tests/openstack/install.sh
	@tests/openstack/receivers.sh
	$(CELL) $(PYTEST) tests/openstack $(ARGS)

.PHONY: drills
drills: tools ## guests, hosts and helpers broken on purpose: a table of what came of each (some 16 minutes)
	$(CELL) $(PYTEST) tests/drills $(ARGS)

.PHONY: soak
soak: tools ## everyday life of twenty guests for an hour, with no recovery and no growth (make soak MINUTES=10)
	$(CELL) $(PYTHON) -m tests.soak --minutes $(MINUTES)

.PHONY: bench
bench: install-deb ## what it costs and how fast it is: the table in build/bench.rst (make bench ARGS="hangs harm")
	$(PYTHON) -m tests.harness.peer
	$(CELL) $(PYTHON) -m tests.bench $(ARGS)

.PHONY: deb
deb: ## the Debian package, in build/
	@tests/tools.sh build
	packaging/deb/build.sh

.PHONY: rpm
rpm: ## the RPM package for EL 9 and Fedora, in build/
	@tests/tools.sh rpm
	packaging/rpm/build.sh

# The same version may be installed already: dpkg replaces it. A configuration file that somebody edited on this machine
# stays (confold) without a question asked (confdef), and one that was deleted comes back (confmiss).
.PHONY: install-deb
install-deb: tools deb ## build the package and install it here
	dpkg --force-confdef --force-confold --force-confmiss --install $(PACKAGE)

.PHONY: tools
tools: ## install what the tests need: Debian packages, and .venv
	@tests/tools.sh build run venv

.PHONY: clean
clean: ## remove everything that was made here (not what was installed)
	rm -rf build .venv .hypothesis
	find . -name .git -prune -o -name __pycache__ -type d -exec rm -rf {} +
