# The commands of the project. Each installs what it needs into .venv, from the hashed lock files, when they change.
PYTHON ?= python3
SEEDS ?= 1 2
# Suites that are run by themselves.
OUTSIDE := $(addprefix --ignore=,tests/journeys tests/chaos tests/clients)
BIN := .venv/bin
RUNTIME := .venv/installed-runtime
DEV := .venv/installed-dev
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes
LOCALE ?= en
CATALOGUE = tenants/console/locale/$(LOCALE)/LC_MESSAGES/django
# Checks look at the code, not at a database.
NO_DATABASE := DATABASE_URL=postgresql://127.0.0.1:1/unused

.DEFAULT_GOAL := help
.PHONY: help messages run test test-deep journeys chaos chaos-short holes model egress-million check bench security format lock console-css pictures

help: ## show the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

run: $(RUNTIME) ## start everything; PORT=8000 and JOBSERVICE_DATA_DIR=var unless set
	@exec $(BIN)/python manage.py up

test: $(DEV) ## run the everyday tests; nothing needs to be installed or running
	$(BIN)/pytest -n auto -m "not deep" $(OUTSIDE)

test-deep: $(DEV) ## run what takes longer: races, every key against every operation, real processes, whole tables
	$(BIN)/pytest -n auto -m deep $(OUTSIDE)

journeys: $(DEV) ## run the whole product from outside: real processes, brokers, kills
	$(BIN)/pytest -n 2 --dist loadgroup --durations=20 tests/journeys

chaos-short: $(DEV) ## kill, freeze, cut and wipe everything while jobs pass: none is lost; about 8 minutes
	CHAOS=short $(BIN)/pytest tests/chaos

chaos: $(DEV) ## the same for long: 10,000 jobs and 500 kills for each of SEEDS="1 2"
	CHAOS=long SEEDS="$(SEEDS)" $(BIN)/pytest tests/chaos

holes: $(DEV) ## make each hole of tests/security/holes in a copy of the code, and see its tests turn red; about half an hour
	HOLES=all $(BIN)/pytest -n 0 tests/security/test_seeded_holes.py

model: $(DEV) ## hold the life of a job against its model: MODEL_RUNS=2000 of MODEL_STEPS=50, half an hour
	MODEL_RUNS=$${MODEL_RUNS:-2000} MODEL_SEED=$${MODEL_SEED:-$$(date +%s)} \
	  $(BIN)/pytest -n 0 tests/races/test_life_model.py

egress-million: $(DEV) ## hold what may be called against two other guards: EGRESS_SAMPLES=1000000, three minutes
	EGRESS_SAMPLES=$${EGRESS_SAMPLES:-1000000} EGRESS_SEED=$${EGRESS_SEED:-$$(date +%s)} \
	  $(BIN)/pytest -n 0 tests/egress/test_oracles.py

security: $(DEV) ## the security tests at length: SCHEMATHESIS=500 requests per operation and phase, half an hour (PATHS='^/v1/queues': some); all hostile bodies
	SECURITY=long $(BIN)/pytest -n 0 tests/security/test_web_cpu.py
	TEST_SCHEMATHESIS_EXAMPLES=$${SCHEMATHESIS:-500} TEST_SCHEMATHESIS_PATHS="$(PATHS)" $(BIN)/pytest -n 0 tests/journeys/test_schemathesis.py

check: $(DEV) ## format, lint of code and templates, types, security lint, import contract, migrations, OpenAPI document
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy .
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml api jobservice tenants workers deploy manage.py
	$(BIN)/djlint tenants/console/templates --lint --quiet
	$(BIN)/lint-imports
	$(NO_DATABASE) $(BIN)/python -W ignore manage.py makemigrations --check --dry-run
	$(NO_DATABASE) $(BIN)/python -W ignore manage.py openapi --check

bench: $(DEV) ## measure accept, dispatch and callback, as ratios within one run
	$(BIN)/python -m tests.benchmarks

messages: $(DEV) ## gather the console's words for translators, and compile them (needs GNU gettext); LOCALE=en
	$(NO_DATABASE) $(BIN)/python -W ignore manage.py makemessages -v 0 -l $(LOCALE) --no-location --no-wrap --no-obsolete \
	  -i ".venv/*" -i "tests/*" -i "deploy/*" -i "node_modules/*"
	sed -i '/^"POT-Creation-Date: /d' $(CATALOGUE).po
	$(if $(filter en,$(LOCALE)),,msgfmt --check -o $(CATALOGUE).mo $(CATALOGUE).po)

console-css: ## build the console's stylesheet, icons and vendored files anew (needs Node)
	cd tenants/console/frontend && npm ci --no-fund --no-audit --ignore-scripts && npm run --silent build

pictures: $(DEV) ## take the pictures of the README anew (needs Chromium)
	$(BIN)/python -m tests.journeys.pictures

format: $(DEV) ## format the code and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: ## make the hashed lock files anew from pyproject.toml (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet \
	  pyproject.toml --extra embedded -o requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet \
	  pyproject.toml --extra embedded --extra vault --group dev -o requirements-dev.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet \
	  pyproject.toml --extra vault --constraint requirements.lock -o requirements-vault.lock

$(BIN)/python:
	$(PYTHON) -m venv .venv

$(RUNTIME): requirements.lock | $(BIN)/python
	$(INSTALL) -r requirements.lock
	@touch $@

$(DEV): requirements-dev.lock $(RUNTIME) | $(BIN)/python
	$(INSTALL) -r requirements-dev.lock
	@touch $@
