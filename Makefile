# make pipeline: environment, metric networks and the whole pipeline (dvc repro)
# make test:     environment, lint, types and tests
# WEIGHTS=DIR takes the metric networks from a folder instead of downloading them.
# Both install into .venv, again only when pyproject.toml or constraints.txt has changed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?= -n auto
WEIGHTS ?= $(wildcard $(or $(ARBISCALE_SHARED),../shared)/weights)

.DELETE_ON_ERROR:
.PHONY: help pipeline install test lint types pytest format clean

help:
	@sed -n 's/^# //p' Makefile

pipeline: $(VENV)/.installed
	@$(BIN)/arbiscale weights $(if $(WEIGHTS),--from '$(WEIGHTS)') || echo 'Continuing without the metric networks: what needs them will say so.' >&2
	PATH="$(CURDIR)/$(BIN):$$PATH" DVC_NO_ANALYTICS=1 $(BIN)/dvc repro

install: $(VENV)/.installed

test: lint types pytest

lint: $(VENV)/.installed-all
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.installed-all
	$(BIN)/mypy

pytest: $(VENV)/.installed-all
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest $(PYTEST_ARGS)

format: $(VENV)/.installed-all
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache

# An environment whose interpreter is gone or too old is made anew.
define environment
@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	|| { echo 'error: $(PYTHON) is not Python 3.11-3.13; name one: make PYTHON=python3.12 ...' >&2; exit 2; }
@$(BIN)/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
endef

$(VENV)/.installed: pyproject.toml constraints.txt
	$(environment)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.installed-all: pyproject.toml constraints.txt
	$(environment)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all]'
	@touch $@ $(VENV)/.installed
