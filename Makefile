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
