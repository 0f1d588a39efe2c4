# Every target uses .venv and makes it first where it is missing. A machine with Python >= 3.10 and make is enough.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PYTHON_VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
CONSTRAINTS := constraints/airflow-3.3.2-py$(PYTHON_VERSION).txt

.DEFAULT_GOAL := help
.PHONY: help venv

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 20

venv: $(VENV)/.ready  ## Make .venv with everything that running and testing need

$(VENV)/.ready: pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) --editable '.[simulator,dev]'
	@touch $@

.PHONY: demo up test test-unit test-e2e lint format types

demo: $(VENV)/.ready  ## Drill plans/three-tier-web.yaml on a real Airflow against a simulated AWS, and show it
	@$(BIN)/drs-plan rehearse plans/three-tier-web.yaml --speed 30

up: $(VENV)/.ready  ## The same with Airflow's UI left open until Ctrl-C
	@$(BIN)/drs-plan rehearse plans/three-tier-web.yaml --speed 30 --keep --port 8080

test: lint types test-unit test-e2e  ## Everything that CI runs

test-unit: $(VENV)/.ready  ## Unit tests, and tests over HTTP against the simulator
	$(BIN)/python -m pytest -m "not e2e" -n 2 -q

test-e2e: $(VENV)/.ready  ## Whole runs on a real Airflow, judged from the simulator's log
	scripts/system-packages.sh chromium
	$(BIN)/python -m pytest -m e2e -q

lint: $(VENV)/.ready  ## Format and lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: $(VENV)/.ready  ## Put the code into the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: $(VENV)/.ready  ## Check the types
	$(BIN)/mypy

.PHONY: bench-simulator
bench-simulator: $(VENV)/.ready  ## Twenty clients at once against 300 simulated servers: states, and how long calls take
	$(BIN)/python benchmarks/bench_simulator.py
