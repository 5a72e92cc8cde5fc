# `make demo` and `make test` need nothing but Python 3.10+ and make: they set up .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# torch comes first and pinned: left to itself, pip on Linux brings several gigabytes of CUDA along.
INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test lint format type docs bench package clean

help: ## Show what there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.demo ## Train an adapter on Python's language reference and show what it gains (no key, no network)
	$(BIN)/embedding-adapter demo --folder demo-run

test: $(VENV)/.dev ## Run all tests
	$(BIN)/python -m pytest -n 2 tests/unit_tests
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/integration_tests

lint: $(VENV)/.dev ## Check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.dev ## Mend style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

type: $(VENV)/.dev ## Check types
	$(BIN)/mypy

docs: $(VENV)/.dev ## Build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo 'Open site/index.html, or $(BIN)/mkdocs serve while you write.'

bench: $(VENV)/.dev ## Run the benchmarks (they say where their data comes from)
	$(BIN)/python cookbook/benchmarks/lyft_uber.py

package: $(VENV)/.dev ## Build sdist and wheel, and use the wheel with the core dependencies alone
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	rm -rf build/bare && $(PYTHON) -m venv build/bare
	build/bare/bin/python -m pip install --quiet dist/*.whl
	cd build && bare/bin/python ../tests/wheel_smoke.py

clean: ## Remove everything that was built
	rm -rf $(VENV) build dist site demo-run .mypy_cache .pytest_cache .ruff_cache

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'

$(VENV)/.demo: $(BIN)/python pyproject.toml constraints.txt
	$(INSTALL) torch
	$(INSTALL) --editable '.[train,local,faiss,cli]'
	touch $@

$(VENV)/.dev: $(VENV)/.demo
	$(INSTALL) --editable '.[all]' --group dev
	touch $@
