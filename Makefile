# Everything here needs python3 (3.11 or newer, with venv) and make; the rest is installed into .venv, pinned and hashed.
# `make train` is the way in. Variables: PRESET, ARGS (passed on to the command), PYTHON (another interpreter), JOBS.

VENV := .venv
PRESET ?= burgers
ARGS ?=
# Test processes. Each holds its own compiled programs (4 to 5 GB in the end), so many cores do not mean many processes.
JOBS ?= 2

# Tests that compare with recorded numbers, or bit for bit: what a compiler that optimises could change.
AS_USERS := tests/core/test_flow.py tests/schemes/test_recorded.py tests/schemes/test_recorded_euler.py \
  tests/tasks/test_control_recorded.py tests/export/test_agreement.py

# The second line of made-for remembers the PYTHON of an earlier call.
ifeq ($(origin PYTHON),undefined)
PYTHON := $(or $(shell sed -n 2p $(VENV)/made-for 2>/dev/null),python3)
endif
# An environment holds absolute paths: in a copied or moved folder, or with another PYTHON, it is made anew.
ifneq ($(shell cat $(VENV)/made-for 2>/dev/null),$(CURDIR) $(PYTHON))
.PHONY: $(VENV)/made-for
endif

RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip --disable-pip-version-check --no-input
# The lock files are complete, so there is nothing to resolve. Compiling every module of every package takes longer than
# compiling, on first use, the ones that are used.
PIP_LOCKED := $(PIP) install --no-compile --no-deps --require-hashes
# One file for every Python and system: where a newer Python takes newer versions, a line says so with a marker.
# The files name packages and hashes only, never the index they came from.
LOCK := $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
  --no-annotate --no-emit-index-url --no-emit-find-links $(ARGS)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup train test users lint format types baselines docs bench validate lock clean

help: ## list these targets
	@sed -n 's/^\([a-z]*\):.*## /\1 /p' Makefile | while read -r name text; do printf '  make %-10s %s\n' "$$name" "$$text"; done

setup: $(VENV)/.package ## make .venv with the pinned dependencies and undertow in it

train: setup ## train PRESET (burgers) and show the result; ARGS="--seed 1"
	$(VENV)/bin/undertow train $(PRESET) $(ARGS)

test: $(VENV)/.dev ## run the test suite
	$(RUN) -m pytest -n $(JOBS) --dist worksteal$(if $(ARGS), $(ARGS))

users: $(VENV)/.dev ## run a part of it compiled as users have it, not as fast as can be; ARGS=tests for all
	JAX_DISABLE_MOST_OPTIMIZATIONS=0 $(RUN) -m pytest -n $(JOBS) --dist worksteal $(or $(ARGS),$(AS_USERS))

lint: $(VENV)/.dev ## check style and formatting
	$(RUN) -m ruff check --output-format concise .
	$(RUN) -m ruff format --check .

format: $(VENV)/.dev ## repair formatting and what else can be repaired
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

types: $(VENV)/.dev ## check types
	$(RUN) -m mypy

baselines: $(VENV)/.baselines ## add PyTorch and Stable-Baselines3 to .venv, for the tests that need them

docs: $(VENV)/.docs $(VENV)/.dev ## build the documentation into site/, run the code on its pages
# No --quiet: it hides warnings from --strict, which then never fails. Without it there are two lines more.
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict
	$(RUN) -m pytest -n $(JOBS) -m documentation tests/test_docs.py

bench: $(VENV)/.dev ## measure speed, memory and compile time
	$(RUN) -m benchmarks $(ARGS)

validate: $(VENV)/.dev ## run the slow physics: orders, exact solutions, references
	$(RUN) -m pytest validation $(ARGS)

lock: $(VENV)/.lock ## bring requirements/*.txt up to date with pyproject.toml; ARGS=--upgrade takes newer versions
	$(LOCK) pyproject.toml --group build -o requirements/core.txt
	$(LOCK) pyproject.toml --extra dev -c requirements/core.txt -o requirements/dev.txt
	$(LOCK) pyproject.toml --extra docs -c requirements/dev.txt -o requirements/docs.txt
	$(LOCK) --group lock -o requirements/lock.txt

clean: ## remove .venv and everything built; runs/ stays
	rm -rf $(VENV) build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/made-for:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "undertow needs Python 3.11 or newer, but '$(PYTHON)' is" \
	    "$$($(PYTHON) --version 2>/dev/null || echo 'not found')." \
	    "Name another: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "'$(PYTHON)' cannot make virtual environments. On Debian or Ubuntu: apt install python3-venv" >&2; exit 2; }
	$(PYTHON) -m venv $(if $(wildcard $(VENV)/made-for),--clear )$(VENV)
	@printf '%s\n' '$(CURDIR)' '$(PYTHON)' > $@

$(VENV)/.core: $(VENV)/made-for requirements/core.txt
	$(PIP_LOCKED) -r requirements/core.txt
	@touch $@

$(VENV)/.package: $(VENV)/.core pyproject.toml
	$(PIP) install --quiet --no-build-isolation --no-deps -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.package requirements/dev.txt
	$(PIP_LOCKED) --quiet -r requirements/dev.txt
	@touch $@

# Not in the lock files: which of PyTorch's builds is taken, with CUDA or without, is up to pip's settings.
$(VENV)/.baselines: $(VENV)/.dev requirements/baselines.pins
	$(PIP) install --quiet -r requirements/baselines.pins
	@touch $@

$(VENV)/.docs: $(VENV)/.package requirements/docs.txt
	$(PIP_LOCKED) --quiet -r requirements/docs.txt
	@touch $@

$(VENV)/.lock: $(VENV)/made-for requirements/lock.txt
	$(PIP_LOCKED) --quiet -r requirements/lock.txt
	@touch $@
