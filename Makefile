# What a developer types. ARGS goes on to the program: make test ARGS="-k scopes", make run ARGS=--once
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
ARGS ?=

VENV := .venv
PYTHON := $(VENV)/bin/python
PIP := $(PYTHON) -m pip --disable-pip-version-check
PYTEST := $(PYTHON) -m pytest --numprocesses auto --dist worksteal

# One line for each package that pip fetches, on stderr.
SAY_PROGRESS := sed -nE 's/^(Collecting [^ =<>]+).*/  \1/p; s/^(Installing collected packages).*/  \1/p' >&2

.PHONY: help
help: ## says what each target does
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 18

.PHONY: run
run: $(VENV)/.run ## tries the product: a sample flow, checked by an independent verifier, then goes on serving
	@$(VENV)/bin/countersign try $(ARGS)

.PHONY: test
test: $(VENV)/.dev ## runs all tests; what they lack is installed where we are root on Debian
	@$(PYTHON) -m tests.support.prepare
	@$(PYTEST) $(ARGS)

.PHONY: proof
proof: $(VENV)/.dev ## runs the long versions of the same tests
	@$(PYTHON) -m tests.support.prepare
	@PROOF=1 $(PYTEST) --timeout 7200 $(ARGS)

.PHONY: lint
lint: $(VENV)/.dev ## checks style, format and types
	@$(VENV)/bin/ruff check
	@$(VENV)/bin/ruff format --check
	@$(VENV)/bin/mypy

.PHONY: bench
bench: $(VENV)/.dev ## measures, and prints the tables that the README quotes
	@$(PYTHON) -m bench $(ARGS)

.PHONY: openbao
openbao: $(VENV)/.python ## builds the pinned OpenBao into .tools/bin/bao, which takes minutes and needs Go
	@$(PYTHON) -m tests.support.prepare openbao

.PHONY: vendor
vendor: $(VENV)/.python ## copies the console's libraries of package-lock.json into app/web/static/vendor; ARGS=--check only compares
	@$(PYTHON) -m tests.support.vendor $(ARGS)

.PHONY: pictures
pictures: $(VENV)/.dev ## takes the docs' pictures of the console anew, in Chromium
	@$(PYTHON) -m tests.support.prepare
	@$(PYTHON) -m tests.docs.pictures

.PHONY: lock
lock: $(VENV)/.python ## resolves the newest dependencies that pyproject.toml allows into the two lock files
	@test -x .tools/uv/bin/uv || { $(PYTHON) -m venv .tools/uv && .tools/uv/bin/pip install --quiet uv; }
	@compile=".tools/uv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header"; \
	$$compile pyproject.toml --output-file requirements.lock; \
	$$compile pyproject.toml --extra aws --group dev --constraint requirements.lock --output-file requirements-dev.lock

.PHONY: clean
clean: ## removes what make has made: .venv, .tools, caches; never var/ or keys/
	@rm -rf $(VENV) .tools dist .pytest_cache .mypy_cache .ruff_cache .hypothesis tests/interop/node/node_modules bench/peers/oidc-provider/node_modules
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The virtual environment, in three steps that are each taken once.

$(VENV)/.python:
	@lacks="no Python 3.11 or newer"; \
	for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	    $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null || continue; \
	    if $$python -c 'import ensurepip, venv' 2> /dev/null; then lacks=; break; fi; \
	    lacks="$$python, but without its venv module"; \
	done; \
	test -z "$$lacks" || { echo "There is $$lacks here. On Debian: apt-get install python3-venv" >&2; exit 1; }; \
	echo "make: $(VENV) with $$($$python --version)" >&2; \
	$$python -m venv --clear $(VENV)
	@touch $@

$(VENV)/.run: $(VENV)/.python requirements.lock pyproject.toml
	@echo "make: installing $$(grep -c == requirements.lock) packages of requirements.lock" >&2
	@$(PIP) install --require-hashes --requirement requirements.lock | $(SAY_PROGRESS)
	@$(PIP) install --quiet --no-deps --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.lock
	@echo "make: installing the tools of requirements-dev.lock" >&2
	@$(PIP) install --require-hashes --requirement requirements-dev.lock | $(SAY_PROGRESS)
	@touch $@
