# The commands of users and contributors. Each target sets up what it needs by itself: the virtual environment .venv,
# packages, the build. The scripts in scripts/ do the work; this file has the order and the stamps (.venv/.stamp-*)
# that keep a second run from installing again.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# Images of Python often set this. Then each of the many processes that the tests start compiles all modules that it
# imports, which takes longer than most tests.
unexport PYTHONDONTWRITEBYTECODE
# Ignores the default that make itself gives to CXX.
ifeq ($(origin CXX),default)
undefine CXX
endif

# A virtual environment whose interpreter is gone, or that was moved here, is created again.
ifneq ($(shell scripts/setup.sh usable && echo yes),yes)
$(shell rm -f $(VENV)/.stamp-*)
endif

# The extension is rebuilt when its sources change, and the package installed again when a Python file is added or removed.
NATIVE := $(shell find include src python/bindings python/convert cmake -type f 2>/dev/null) \
  CMakeLists.txt python/CMakeLists.txt pyproject.toml
FILES := build/package-files.txt
$(shell mkdir -p build; \
  find python -type f -name '*.py*' ! -name '*.pyc' | LC_ALL=C sort > $(FILES).new; \
  cmp -s $(FILES).new $(FILES) && rm $(FILES).new || mv $(FILES).new $(FILES))

.PHONY: help demo test check package campaign mutants fuzz bench format lint develop docs clean
.PHONY: test-layers test-assertions test-prose test-text test-format test-lint test-types test-workflows
.PHONY: test-cpp test-python test-crash test-headers test-speed test-tidy test-asan test-tsan test-package test-docs

help: ## list the targets (the default)
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r target text; do \
	  printf '  make %-16s %s\n' "$$target" "$$text"; done

demo: $(VENV)/.stamp-demo $(VENV)/.stamp-package ## record environments into a store, sample it and check the samples
	python examples/record_and_sample.py

test: ## build everything and run the C++ and Python tests: 15 to 30 minutes on two cores
	@scripts/check.sh test

check: ## everything CI runs: tests, lint, sanitizers, clang-tidy, packages, docs, speed; LEAVE_OUT="cpp python"
	@scripts/check.sh check

lint: test-layers test-assertions test-prose test-text test-format test-lint test-types test-workflows ## the checks that build nothing

format: $(VENV)/.stamp-lint ## format all sources with clang-format and ruff
	git ls-files --cached --others --exclude-standard -- '*.h' '*.cc' | xargs clang-format -i
	ruff format .
	ruff check --fix --quiet . || true

docs: $(VENV)/.stamp-test $(VENV)/.stamp-docs $(VENV)/.stamp-package ## build the documentation site in build/site
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict --site-dir build/site

bench: $(VENV)/.stamp-compare $(VENV)/.stamp-bench $(if $(filter ray,$(ONLY)),$(VENV)/.stamp-ray) ## run all benchmarks and the comparison with other stores; write the report: ONLY="sb3 lanes"
	python benchmarks/run.py $(if $(ONLY),--only $(ONLY))

package: $(VENV)/.stamp-packaging ## build and check the wheel of each Python found here, in dist/: PYTHONS="3.10 3.12" REPRODUCE=1
	@python scripts/package.py $(if $(PYTHONS),--pythons $(PYTHONS)) $(if $(REPRODUCE),--reproduce)

campaign: $(VENV)/.stamp-package ## long crash tests: KILLS= STEPS= CRASHES= WINDOWS= FUZZ_RUNS= CUTS= SEED= ONLY=
	@scripts/check.sh campaign

mutants: $(VENV)/.stamp-venv ## insert bugs; the tests must find each of them: ONLY= part of a name
	@python scripts/mutants.py

fuzz: $(VENV)/.stamp-venv ## libFuzzer with AddressSanitizer on every target: SECONDS_EACH=
	@scripts/check.sh fuzz

test-cpp: $(VENV)/.stamp-package ## C++ tests; crash and fuzz tests run for a short time
	@scripts/check.sh cpp

test-python: $(VENV)/.stamp-test $(VENV)/.stamp-package ## Python tests
	@scripts/check.sh python

test-crash: $(VENV)/.stamp-test $(VENV)/.stamp-package ## crash and fuzz tests at their full length; tests that mount file systems
	@scripts/check.sh crash

test-headers: $(VENV)/.stamp-venv ## each public header compiles alone
	@scripts/check.sh headers

test-speed: $(VENV)/.stamp-venv ## the C++ benchmarks compile; instruction counts of the hot paths against stored counts; ACCEPT=1 stores new ones
	@scripts/check.sh speed

test-tidy: $(VENV)/.stamp-lint ## clang-tidy on the library and the extension
	@scripts/check.sh tidy

test-asan: $(VENV)/.stamp-coverage ## C++ tests, built with clang, under AddressSanitizer and UBSan; 95 % of all lines run
	@scripts/check.sh asan

test-tsan: $(VENV)/.stamp-venv ## C++ tests that start threads, under ThreadSanitizer
	@scripts/check.sh tsan

test-package: $(VENV)/.stamp-packaging $(VENV)/.stamp-package ## installed C++ library and wheel, with the C++ examples
	@scripts/check.sh package

test-docs: $(VENV)/.stamp-test $(VENV)/.stamp-docs $(VENV)/.stamp-package ## the documentation site builds without a warning
	@scripts/check.sh docs

test-layers: ## the layers depend in one direction, no include cycle, no file over 500 lines
	@scripts/check.sh layers

test-assertions: ## every REQUIRES: in a comment has an assertion
	@scripts/check.sh assertions

test-prose: ## comments and documents are in plain English
	@scripts/check.sh prose

test-text: $(VENV)/.stamp-lint ## codespell everywhere, shellcheck on scripts
	@scripts/check.sh text

test-format: $(VENV)/.stamp-lint ## clang-format and ruff format
	@scripts/check.sh format

test-lint: $(VENV)/.stamp-lint ## ruff check
	@scripts/check.sh lint

test-types: $(VENV)/.stamp-lint ## mypy, strict
	@scripts/check.sh types

test-workflows: $(VENV)/.stamp-lint ## workflows, issue templates and CITATION.cff match their schemas
	@scripts/check.sh workflows

develop: $(VENV)/.stamp-dev $(VENV)/.stamp-package ## editable install with every development tool

clean: ## remove everything that was built; .venv stays
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis $(VENV)/.stamp-package $(VENV)/.stamp-bench

$(VENV)/.stamp-venv: pyproject.toml scripts/constraints.txt scripts/setup.sh
	@scripts/setup.sh venv
	@touch $@

$(VENV)/.stamp-package: $(VENV)/.stamp-venv $(NATIVE) $(FILES)
	@scripts/setup.sh package
	@rm -f $(VENV)/.stamp-bench
	@touch $@

# The editable install for measurements, without assertions. It replaces the other one.
$(VENV)/.stamp-bench: $(VENV)/.stamp-venv $(NATIVE) $(FILES)
	@scripts/setup.sh bench
	@rm -f $(VENV)/.stamp-package
	@touch $@

# The packages of one extra of pyproject.toml.
$(VENV)/.stamp-%: $(VENV)/.stamp-venv
	@scripts/setup.sh extra $*
	@touch $@
