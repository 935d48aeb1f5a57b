# make run, make test: all the set-up they need is done by themselves.
PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv
STAMP := .venv/.installed
WORKERS ?= 2

.PHONY: install run test check bench torture results up down clean
.DEFAULT_GOAL := run

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13) and "Python 3.11 or 3.12 is needed; set PYTHON=...")'
	@$(PYTHON) -m venv .venv && $(BIN)/pip install -q --disable-pip-version-check uv==0.13.9

$(STAMP): $(UV) requirements.lock pyproject.toml
	@$(UV) pip sync -q --python $(BIN)/python requirements.lock
	@$(UV) pip install -q --python $(BIN)/python --no-deps -e .
	@touch $@

install: $(STAMP) ## everything into .venv, and the system libraries for PDFs and mongod
	@sh .ci/system-libraries

run: install ## the whole job over the demo bank, on embedded stores
	@$(BIN)/terag run

up: install ## stores, Dagster's web server and daemon, and the API; prints their addresses
	@$(BIN)/terag up

down: ## stops what `make up` started
	@$(BIN)/terag down

test: install ## all tests but the torture ones
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not torture"

check: install ## format, lint, types, import contracts, definitions
	@$(BIN)/ruff format --check . && $(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@home=$$(mktemp -d) && env -i PATH="$$PATH" HOME=$$home DAGSTER_HOME=$$home $(BIN)/dagster definitions validate -w workspace.yaml

torture: install ## the fault tests at full count (hours)
	@TERAG_TORTURE=1 $(BIN)/python -m pytest -m torture

bench: install ## measures, beside the peers; writes docs/benchmarks.md
	@$(UV) pip install -q --python $(BIN)/python --target .venv/peers -r tests/benchmarks/peers.txt
	@$(BIN)/python -m tests.benchmarks.run

results: install ## the job over the demo bank and the public sets; writes docs/results.md
	@$(BIN)/python -m tests.benchmarks.results

clean: ## removes the environment and everything that was computed
	@if [ -x $(BIN)/terag ]; then $(BIN)/terag down; fi
	@rm -rf .venv .terag
