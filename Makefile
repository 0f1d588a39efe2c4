# Every target uses .venv and makes it first where it is missing. A machine with Python >= 3.10 and make is enough.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PYTHON_VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
CONSTRAINTS := constraints/airflow-3.3.2-py$(PYTHON_VERSION).txt

.DEFAULT_GOAL := help
.PHONY: help venv

help:  ## List the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 20

venv: $(VENV)/.ready  ## Make .venv with everything that running and testing need

$(VENV)/.ready: pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || scripts/system-packages.sh python$(PYTHON_VERSION)-venv
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) --editable '.[simulator,dev]'
	@touch $@

# The AWS CLI, for tests of the simulator. It pins one botocore, and Airflow's amazon provider pins another.
.venv-awscli/.ready: constraints/awscli.txt
	$(PYTHON) -m venv .venv-awscli
	.venv-awscli/bin/python -m pip install --quiet --requirement constraints/awscli.txt
	@touch $@

# Made only where it is missing.
$(CONSTRAINTS):
	@echo "$(PYTHON) is Python $(PYTHON_VERSION), for which there is no $@." >&2
	@echo "Name one that has: make PYTHON=python3.12 (or 3.10, 3.11, 3.13)" >&2
	@exit 1

.PHONY: demo up test test-unit test-e2e test-compose lint format types

demo: $(VENV)/.ready  ## Drill plans/three-tier-web.yaml on a real Airflow against a simulated AWS, and show it
	@$(BIN)/drs-plan rehearse plans/three-tier-web.yaml

PORT ?= 8080
up: $(VENV)/.ready  ## The same with Airflow's UI left open until Ctrl-C, at PORT (8080)
	@$(BIN)/drs-plan rehearse plans/three-tier-web.yaml --keep --port $(PORT)

test: lint types test-unit test-oldest test-e2e test-compose  ## Everything that CI runs

test-unit: $(VENV)/.ready  ## Unit tests, and tests over HTTP against the simulator
	$(BIN)/python -m pytest -m "not e2e and not deployment" -n 4 -q

test-e2e: $(VENV)/.ready  ## Whole runs on a real Airflow, judged from the simulator's log
	scripts/system-packages.sh chromium postgresql
	$(BIN)/python -m pytest -m "e2e and not deployment" -q

test-compose: $(VENV)/.ready  ## The services of docker-compose.yaml as processes: a drill that loses a worker
	scripts/system-packages.sh postgresql redis-server curl
	$(BIN)/python -m pytest tests/deploy/test_compose_drill.py -q

lint: $(VENV)/.ready  ## Format, lint, and who imports whom
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo

format: $(VENV)/.ready  ## Put the code into the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: $(VENV)/.ready  ## Check the types
	$(BIN)/mypy

# Benchmarks: benchmarks/README.md says what each shows. Machines differ: ratios of one run count, and no test judges them.
.PHONY: bench bench-plans bench-simulator bench-parsing bench-waves bench-waiting bench-demo bench-scale

bench: bench-plans bench-simulator bench-parsing bench-waiting bench-waves bench-demo bench-scale  ## All benchmarks

bench-plans: $(VENV)/.ready  ## 500 plans in one process: milliseconds a plan, by YAML, validation and positions
	$(BIN)/python benchmarks/bench_plans.py

bench-simulator: $(VENV)/.ready  ## Twenty clients at once against 300 simulated servers: states, and how long calls take
	$(BIN)/python benchmarks/bench_simulator.py

bench-parsing: $(VENV)/.ready  ## CPU milliseconds a DAG, against Airflow's own objects and dag-factory
	$(BIN)/python -m benchmarks.bench_parsing

bench-waves: $(VENV)/.ready  ## Seconds between waves on SQLite and PostgreSQL, against Airflow's own floor
	scripts/system-packages.sh postgresql
	$(BIN)/python -m benchmarks.bench_waves

bench-waiting: $(VENV)/.ready  ## 1 to 1,000 deferred waits: API calls, CPU and memory against a client a trigger
	$(BIN)/python -m benchmarks.bench_waiting

bench-demo: $(VENV)/.ready  ## Where the seconds of make demo go
	$(BIN)/python -m benchmarks.bench_demo

bench-scale: $(VENV)/.ready  ## 1,000 servers in 60 waves; 50 plans in one night
	$(BIN)/python -m benchmarks.bench_scale large
	$(BIN)/python -m benchmarks.bench_scale night

# Deployments

# Each row is a file of constraints, and runs on Python 3.12: Airflow 3.2.1 and 3.3.1 as MWAA has them, and the newest.
MATRIX := mwaa-3.2.1 mwaa-3.3.1 airflow-3.3.2-py3.12
MWAA := 3.2.1 3.3.1
# What depends on the version of Airflow. test-oldest leaves the public operators to test-matrix: it tests the steps that
# plans make of them.
MATRIX_TESTS := tests/dag tests/runs tests/tasks tests/steps tests/provider tests/test_airflow_compat.py

.PHONY: compose-env test-deploy test-matrix test-oldest $(MATRIX:%=test-%)

compose-env:  ## Write the secrets of docker-compose.yaml into .env; what is there stays
	@$(PYTHON) scripts/compose_env.py

test-deploy: $(VENV)/.ready $(MWAA:%=.venv-mwaa-%/.ready)  ## Whole deployments: Compose services, the image, MWAA
	scripts/system-packages.sh postgresql redis-server curl
	$(BIN)/python -m pytest -m deployment -q

test-matrix: $(MATRIX:%=test-%)  ## The DAG and provider tests on the other versions of Airflow that are supported

# A machine without Python 3.12 tests its own versions only, and says so.
test-oldest:  ## DAGs, runs and steps on the oldest Airflow that is supported, where there is a Python 3.12
	@if scripts/python.sh 3.12 >/dev/null 2>&1; then \
	$(MAKE) --no-print-directory test-$(firstword $(MATRIX)) MATRIX_TESTS="$(filter-out tests/provider,$(MATRIX_TESTS))"; \
	else echo "Not tested on Airflow 3.2.1: it is tested on Python 3.12, and there is none on this machine."; fi

$(MATRIX:%=test-%): test-%: .venv-matrix-%/.ready
	.venv-matrix-$*/bin/python -m pytest $(MATRIX_TESTS) -m "not e2e and not slow" -n 4 -q -p no:cacheprovider

.venv-matrix-%/.ready: constraints/%.txt constraints/test-tools.txt pyproject.toml
	"$$(scripts/python.sh 3.12)" -m venv .venv-matrix-$*
	.venv-matrix-$*/bin/python -m pip install --quiet --constraint $< --requirement constraints/test-tools.txt --editable '.[simulator]'
	@touch $@

# What an image of MWAA holds, as far as recovery plans meet it.
.venv-mwaa-%/.ready: constraints/mwaa-%.txt
	"$$(scripts/python.sh 3.12)" -m venv .venv-mwaa-$*
	.venv-mwaa-$*/bin/python -m pip install --quiet --constraint $< apache-airflow==$* 'apache-airflow-providers-amazon[aiobotocore]' 'apache-airflow-providers-celery' apache-airflow-providers-fab apache-airflow-providers-postgres apache-airflow-providers-common-io apache-airflow-providers-standard gunicorn
	@touch $@

.PHONY: check-estimates
check-estimates: $(VENV)/.ready  ## Ten plans: what estimate predicts, against what their rehearsals take
	$(BIN)/python benchmarks/check_estimates.py

.PHONY: chaos people silence
ROUNDS ?= 10
STORIES ?= 300

chaos: $(VENV)/.ready  ## The fault campaign, for as long as you like: make chaos SEED=7 ROUNDS=10
	scripts/system-packages.sh postgresql
	$(BIN)/python -m tests.chaos.campaign $(if $(SEED),--seed $(SEED)) --rounds $(ROUNDS)

people: $(VENV)/.ready  ## What people do to runs, in one process: make people SEED=7 STORIES=300
	$(BIN)/python -m tests.chaos.people_campaign $(if $(SEED),--seed $(SEED)) --stories $(STORIES)

silence: $(VENV)/.ready  ## Each operation of a run throttled for 1, 5 and 20 minutes in turn, and all of AWS for 10
	$(BIN)/python -m tests.chaos.silence
