# The commands of the project. Each installs what it needs into .venv, from the hashed lock files, when they change.
PYTHON ?= python3
BIN := .venv/bin
RUNTIME := .venv/installed-runtime
DEV := .venv/installed-dev
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes
# Checks look at the code, not at a database.
NO_DATABASE := DATABASE_URL=postgresql://127.0.0.1:1/unused

.DEFAULT_GOAL := help
.PHONY: help run test journeys check bench format lock

help: ## show the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18

run: $(RUNTIME) ## start everything; PORT=8000 and JOBSERVICE_DATA_DIR=var unless set
	@exec $(BIN)/python manage.py up

test: $(DEV) ## run the everyday tests; nothing needs to be installed or running
	$(BIN)/pytest -n auto --ignore=tests/journeys --ignore=tests/clients

journeys: $(DEV) ## run the whole product from outside: real processes, brokers, kills
	$(BIN)/pytest tests/journeys

check: $(DEV) ## format, lint, types, import contract, migrations, OpenAPI document
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(NO_DATABASE) $(BIN)/python -W ignore manage.py makemigrations --check --dry-run
	$(NO_DATABASE) $(BIN)/python -W ignore manage.py openapi --check

bench: $(DEV) ## measure accept, dispatch and callback, as ratios within one run
	$(BIN)/python -m tests.benchmarks

format: $(DEV) ## format the code and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: ## make the hashed lock files anew from pyproject.toml (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet \
	  pyproject.toml --extra embedded -o requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet \
	  pyproject.toml --extra embedded --group dev -o requirements-dev.lock

$(BIN)/python:
	$(PYTHON) -m venv .venv

$(RUNTIME): requirements.lock | $(BIN)/python
	$(INSTALL) -r requirements.lock
	@touch $@

$(DEV): requirements-dev.lock $(RUNTIME) | $(BIN)/python
	$(INSTALL) -r requirements-dev.lock
	@touch $@
