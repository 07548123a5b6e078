# make test, make demo: both set everything up on a machine that has Python 3.11 or newer, make and tmux.

PYTHON ?= $(firstword $(foreach name,python3 python3.12 python3.13 python3.11 python3.14,$(if $(shell $(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo yes),$(name))))
VENV ?= .venv
BIN := $(VENV)/bin
DEMO ?= demo
PIP := $(BIN)/python -m pip --disable-pip-version-check
TESTS ?= tests
# Five processes run the tests, file by file, with one thread of arithmetic each: much of the time they wait for
# programs that they drive, so that two cores have room for more.
WORKERS ?= 5
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: help setup test test-slow test-gpu test-slurm fuzz bench lint types imports demo docs i18n clean

help:
	@echo "make test       lint, types, import rules, tests"
	@echo "make demo       a small project: trained and reported, then opened when there is a terminal"
	@echo "make test-slow  the tests that take minutes; make test-gpu those that need a GPU"
	@echo "make test-slurm  runs on a real Slurm, which it starts itself; needs the packages slurm-wlm and munge"
	@echo "make fuzz       the laws of the tests on new examples"
	@echo "make bench      measure this machine"
	@echo "make lint       ruff, mypy and import-linter alone"
	@echo "make docs       docs/parameters.md from the schema; make i18n: the translations"

# torch goes first and alone, so that the version in constraints.txt is taken from whatever index pip is set up for
# and nothing else decides; a machine whose index offers several builds of it can set PIP_INDEX_URL or install its
# own before. The stamp lists what was installed from: nothing happens until it changes.
$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name it with: make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install -q --no-compile -c constraints.txt torch
	$(PIP) install -q --no-compile -c constraints.txt -e '.[train,optimizers,tag,background,graphics,dev]'
	@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true  # on all cores; pip would use one
	@touch $@

setup: $(VENV)/installed

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

test: lint
	$(PYTEST) $(TESTS)

test-slow: setup
	$(PIP) install -q -c constraints.txt -e '.[slow]'
	$(BIN)/python -m pytest -m slow --timeout 3600 $(TESTS)

fuzz: setup
	$(PYTEST) --hypothesis-profile fuzz -m 'hypothesis and not slow and not gpu and not bench' $(TESTS)

test-gpu: setup
	$(BIN)/python -m pytest -m gpu $(TESTS)

test-slurm: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slurm tests/slurm

bench: setup
	$(BIN)/lora-tui bench start
	$(BIN)/lora-tui bench dashboard
	$(BIN)/lora-tui bench train

demo: setup
	@if [ -t 0 ] && [ -t 1 ]; then $(BIN)/lora-tui demo $(DEMO); else $(BIN)/lora-tui demo $(DEMO) --headless; fi

docs: setup
	$(BIN)/python -m lora_tui.config.document

i18n: setup
	$(BIN)/python -m lora_tui.text.catalog

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
