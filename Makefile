# make pipeline: environment, metric networks and the whole pipeline (dvc repro)
# make test:     environment, lint, types and tests
# make bench:    what decoding, upscaling and training cost on this machine (BENCH_ARGS='--only decode', --help)
# WEIGHTS=DIR takes the metric networks from a folder instead of downloading them.
# Both install into .venv, again only when pyproject.toml or constraints.txt has changed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?= -n auto --dist loadgroup
WEIGHTS ?= $(wildcard $(or $(ARBISCALE_SHARED),../shared)/weights)

.DELETE_ON_ERROR:
.PHONY: environment help pipeline install test lint types pytest bench format clean

help:
	@sed -n 's/^# //p' Makefile

pipeline: $(VENV)/.installed
	@$(BIN)/arbiscale weights $(if $(WEIGHTS),--from '$(WEIGHTS)') || echo 'Continuing without the metric networks: what needs them will say so.' >&2
	@git rev-parse --git-dir >/dev/null 2>&1 || $(BIN)/dvc config --local core.no_scm true
	DVC_NO_ANALYTICS=1 $(BIN)/dvc repro

install: $(VENV)/.installed

test: lint types pytest

lint: $(VENV)/.installed-all
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	PYTHONPATH=src $(BIN)/lint-imports

types: $(VENV)/.installed-all
	$(BIN)/mypy

pytest: $(VENV)/.installed-all
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest $(PYTEST_ARGS)

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

format: $(VENV)/.installed-all
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache

# An environment is made where there is none, or its interpreter or pip is gone.
ENVIRONMENT := $(shell test -x $(BIN)/python && test -x $(BIN)/pip || echo environment)
environment:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
		|| { echo 'error: $(PYTHON) is not Python 3.11-3.13; name one: make PYTHON=python3.12 ...' >&2; exit 2; }
	$(PYTHON) -m venv --clear $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt $(ENVIRONMENT)
	@echo 'Installing the packages into $(VENV): a minute or more'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[train]'
	@$(BIN)/python .ci/torchvision_shim.py
	@touch $@

$(VENV)/.installed-all: pyproject.toml constraints.txt $(ENVIRONMENT)
	@echo 'Installing the packages into $(VENV): a minute or more'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all]'
	@$(BIN)/python .ci/torchvision_shim.py
	@touch $@ $(VENV)/.installed
