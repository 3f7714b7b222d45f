# The targets; `make help` lists them.

PORT ?= 8000
PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help
# Settings for targets that read only the code, without .env and a database.
NO_SETTINGS := ENV_FILE=/dev/null DATABASE_URL=sqlite:///:memory: SECRET_KEY=nothing-is-signed-with-this-key-that-everybody-can-read

.PHONY: help run serve test test-all a11y openapi messages check fuzz stress failover mutants bench container fmt lock clean

help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):[^#]*## /\1\t/' | expand -t 10

# The demo does not use the database of .env. Its path is relative, because a folder's name may have characters that are invalid in a URL.
run: writable $(BIN)/.runtime .env ## Run the demo: SQLite, demo data, API and admin at http://127.0.0.1:8000 (PORT= for another port)
	@env DATABASE_URL=sqlite:///school.sqlite3 HTTPS=false $(BIN)/python manage.py run_demo --port='$(PORT)'

serve: writable $(BIN)/.runtime ## Run only the server, with the database of DATABASE_URL
	@$(BIN)/python manage.py serve --port='$(PORT)'

test: writable $(BIN)/.dev ## Run the tests on SQLite, and those that depend on the database on PostgreSQL (ARGS= for pytest)
	@$(BIN)/python -m tools.run_tests $(ARGS)

test-all: writable $(BIN)/.dev ## The same with the exhaustive tests: each page, form and parameter with the worst input
	@$(BIN)/python -m tools.run_tests --everything $(ARGS)

a11y: writable $(BIN)/.dev ## Check the accessibility of every page, as every role
	@$(BIN)/python -m tools.run_tests --a11y $(ARGS)

openapi: writable $(BIN)/.dev ## Write docs/openapi.yaml from the code
	@env $(NO_SETTINGS) $(BIN)/python -m tools.openapi --write

messages: writable $(BIN)/.dev ## Update the message catalogs in locale/ from the code, and compile them
	@env $(NO_SETTINGS) $(BIN)/python -m tools.messages --write

check: writable $(BIN)/.dev ## Run all static checks
	@$(BIN)/python -m tools.check

fuzz: writable $(BIN)/.dev ## Run random commands and requests on both databases (ARGS="--examples 5000")
	@$(BIN)/python -m tools.fuzz $(ARGS)

stress: writable $(BIN)/.dev ## Run the stress tests: load, killed servers, SQLite writers, slow clients, memory, races, pooler, webhooks (ARGS=--short)
	@$(BIN)/python -m stress.run $(ARGS)

failover: writable $(BIN)/.dev ## Fail nodes, network and servers of a replicated cluster under load, as root (ARGS="--faults 100")
	@$(BIN)/python -m stress.run failover $(ARGS)

mutants: writable $(BIN)/.dev ## Remove each guard in turn and check that a test fails (ARGS=word to select some)
	@$(BIN)/python -m tools.mutants $(ARGS)

bench: writable $(BIN)/.dev ## Measure requests per second, imports and queries (ARGS=--help for sizes)
	@$(BIN)/python -m bench.run $(ARGS)

container: writable $(BIN)/.dev ## Replay the steps of deploy/Containerfile in a chroot, and test the result (as root)
	@$(BIN)/python -m tools.container_check $(ARGS)

fmt: writable $(BIN)/.dev ## Format the code
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format --quiet .

lock: writable $(BIN)/.dev ## Write requirements*.txt from requirements*.in
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-header --generate-hashes requirements.in -o requirements.txt
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-header --generate-hashes requirements-sentry.in -o requirements-sentry.txt
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-header --generate-hashes requirements-dev.in -o requirements-dev.txt

clean: ## Remove the files that make created, including the demo data
	@rm -rf .venv .env .demo.json school.sqlite3* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.PHONY: writable
writable:
	@test -w . || { echo "This folder is read-only: $(CURDIR). Copy School to a writable folder." >&2; exit 1; }
	@command -v $(firstword $(PYTHON)) >/dev/null || { echo "There is no Python at $(PYTHON): set PYTHON= to a Python 3.11 or newer." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "School needs Python 3.11 or newer." >&2; exit 1; }

$(BIN)/python:
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || $(MAKE) --no-print-directory venv-package
	@echo "Creating .venv …"
	@$(PYTHON) -m venv .venv

# On Debian, the venv module of Python is in a separate package.
.PHONY: venv-package
venv-package:
	@[ "$$(id -u)" = 0 ] || { echo "Python's venv is missing: run sudo apt-get install python3-venv, then make again." >&2; exit 1; }
	@echo "Installing Debian's python3-venv …"
	@apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv >/dev/null

$(BIN)/.runtime: requirements.txt | $(BIN)/python
	@echo "Installing requirements.txt …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(BIN)/.dev: requirements-dev.txt | $(BIN)/python
	@echo "Installing requirements-dev.txt …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

.env:
	@umask 077 && $(PYTHON) -c 'import secrets; print(f"SECRET_KEY={secrets.token_urlsafe(50)}\nHTTPS=false\nLOG_JSON=false")' > .env
