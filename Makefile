# Everything a user or contributor does with this tree. Each target sets up what it needs by itself: the virtual
# environment .venv, packages, the build. The work is done by the scripts in scripts/; here are the order and the
# stamps (.venv/.stamp-*) that keep a second run from installing again.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# make's own default for CXX is no choice of the user's.
ifeq ($(origin CXX),default)
undefine CXX
endif

# A virtual environment whose interpreter is gone, or that was moved here, is made anew.
ifneq ($(shell scripts/setup.sh usable && echo yes),yes)
$(shell rm -f $(VENV)/.stamp-*)
endif

# The extension is rebuilt when its sources change, and the editable install renewed when a Python file comes or goes.
NATIVE := $(shell find include src python/bindings python/convert cmake -type f 2>/dev/null) \
  CMakeLists.txt python/CMakeLists.txt pyproject.toml
FILES := build/package-files.txt
$(shell mkdir -p build; \
  find python -type f -name '*.py*' ! -name '*.pyc' | LC_ALL=C sort > $(FILES).new; \
  cmp -s $(FILES).new $(FILES) && rm $(FILES).new || mv $(FILES).new $(FILES))

.PHONY: help demo test campaign mutants fuzz bench format lint develop clean
.PHONY: test-layers test-text test-format test-lint test-types test-docs test-cpp test-speed test-tidy test-asan test-tsan
.PHONY: test-python test-package docs

help: ## list the targets (the default)
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r target text; do \
	  printf '  make %-14s %s\n' "$$target" "$$text"; done

demo: $(VENV)/.stamp-demo $(VENV)/.stamp-package ## record environments into a store, sample and check it
	python examples/record_and_sample.py

test: ## run every check below; the last lines say what was skipped
	@scripts/check.sh all

campaign: $(VENV)/.stamp-package ## long crash tests: KILLS= STEPS= CRASHES= WINDOWS= FUZZ_RUNS= CUTS= SEED= ONLY=
	@scripts/check.sh campaign

mutants: $(VENV)/.stamp-venv ## bugs on purpose, each to be caught by the crash tests: ONLY= part of a name
	@python scripts/mutants.py

fuzz: $(VENV)/.stamp-venv ## libFuzzer with AddressSanitizer on every target: SECONDS_EACH=
	@scripts/check.sh fuzz

bench: $(VENV)/.stamp-compare $(VENV)/.stamp-package ## run all benchmarks, ours and the comparison with other stores; write the report
	python benchmarks/run.py

format: $(VENV)/.stamp-lint ## rewrite all sources as clang-format and ruff lay them out
	git ls-files --cached --others --exclude-standard -- '*.h' '*.cc' | xargs clang-format -i
	ruff format .
	ruff check --fix --quiet . || true

lint: test-layers test-text test-format test-lint test-types ## run the checks that build nothing

test-layers: ## rooms look one way only, no include cycle, no file over 500 lines
	@scripts/check.sh layers

test-text: $(VENV)/.stamp-lint ## codespell everywhere, shellcheck on scripts
	@scripts/check.sh text

test-format: $(VENV)/.stamp-lint ## clang-format and ruff format
	@scripts/check.sh format

test-lint: $(VENV)/.stamp-lint ## ruff check
	@scripts/check.sh lint

test-types: $(VENV)/.stamp-lint ## mypy, strict
	@scripts/check.sh types

test-cpp: $(VENV)/.stamp-venv ## C++ tests, optimised build, warnings are errors
	@scripts/check.sh cpp

test-speed: $(VENV)/.stamp-venv ## instructions of the hot paths against stored figures; ACCEPT=1 stores new ones
	@scripts/check.sh speed

test-tidy: $(VENV)/.stamp-lint ## clang-tidy on the library and the extension
	@scripts/check.sh tidy

test-asan: $(VENV)/.stamp-coverage ## C++ built by clang, tests under AddressSanitizer and UBSan; they run 95 lines of 100
	@scripts/check.sh asan

test-tsan: $(VENV)/.stamp-venv ## C++ tests of threads under ThreadSanitizer
	@scripts/check.sh tsan

test-python: $(VENV)/.stamp-test $(VENV)/.stamp-package ## Python tests
	@scripts/check.sh python

test-package: $(VENV)/.stamp-packaging $(VENV)/.stamp-package ## installed C++ library and wheel, with the C++ examples
	@scripts/check.sh package

test-docs: $(VENV)/.stamp-docs $(VENV)/.stamp-package ## the site builds, its links lead somewhere
	@scripts/check.sh docs

docs: $(VENV)/.stamp-docs $(VENV)/.stamp-package ## build the documents as a site, in build/site
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict --site-dir build/site

develop: $(VENV)/.stamp-dev $(VENV)/.stamp-package ## editable install with every development tool

clean: ## remove what was built; .venv stays
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis $(VENV)/.stamp-package

$(VENV)/.stamp-venv: pyproject.toml scripts/setup.sh
	@scripts/setup.sh venv
	@touch $@

$(VENV)/.stamp-package: $(VENV)/.stamp-venv $(NATIVE) $(FILES)
	@scripts/setup.sh package
	@touch $@

# The packages of one extra of pyproject.toml.
$(VENV)/.stamp-%: $(VENV)/.stamp-venv
	@scripts/setup.sh extra $*
	@touch $@
