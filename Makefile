# The commands of the project; `make` alone lists them.

PYTHON ?= python3
# Handed on to what a target runs, for example make test ARGS="tests/local -x".
ARGS ?=
# Test processes side by side, each with a PostgreSQL and a broker of its own.
JOBS ?= 2

UV_VERSION := 0.13.9
UV := .uv/bin/uv
BIN := .venv/bin

# Once the environment exists its commands need nobody else's.
unexport VIRTUAL_ENV
unexport PYTHONHOME

.DEFAULT_GOAL := help
.PHONY: help setup demo test chaos bench lint contracts clean

help: ## List these commands
	@echo "make ..."
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/.synced ## Create the environment in .venv, or bring it up to date
	@:

demo: setup ## Start everything, play one quality cycle, stay up until Ctrl-C
	@$(BIN)/qc demo $(ARGS)

test: setup ## Run all tests (on genuine Apache Kafka where Java 17+ and Maven are found)
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(ARGS)

chaos: setup ## Break things for DURATION seconds while staff work, and see that nothing is lost (SEED=n, GUARD_OFF=name)
	@$(BIN)/python -m tests.chaos $(if $(DURATION),--duration $(DURATION)) $(if $(SEED),--seed $(SEED)) \
	  $(if $(GUARD_OFF),--guard-off $(GUARD_OFF)) $(ARGS)

bench: .venv/.synced-bench ## Measure it, write benchmarks/latest.json (about 15 min; ARGS="relay --quick" for a part)
	@$(BIN)/python -m benchmarks $(ARGS)

lint: setup ## Check style, types and the import rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports

contracts: setup ## Write the JSON Schemas and the AsyncAPI document anew
	$(BIN)/qc contracts export

clean: ## Stop the stack; remove the environment, the caches and the stack's data
	@if [ -x $(BIN)/qc ]; then $(BIN)/qc down; fi
	rm -rf .venv .uv .qc .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps are written last, so an interrupted run is done again.

.venv/.synced: pyproject.toml uv.lock .uv/.installed-$(UV_VERSION)
	@echo "Bringing .venv up to date with uv.lock ..."
	@# Compiled once here: four services compiling their libraries at every start would take seconds.
	@$(UV) sync --quiet --frozen --compile-bytecode --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')"
	@touch $@

# The peers that are measured against are installed beside the rest only when they are needed.
.venv/.synced-bench: .venv/.synced
	@$(UV) sync --quiet --frozen --group bench --compile-bytecode --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')"
	@touch $@

.uv/.installed-$(UV_VERSION):
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "No $(PYTHON) is on the PATH: install Python 3.11 or newer, or name it with make PYTHON=..." >&2; exit 2; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is older than 3.11: install a newer Python, or name it with make PYTHON=..." >&2; exit 2; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) has no venv module: install it (on Debian and Ubuntu: apt install python3-venv)." >&2; exit 2; }
	@echo "Installing uv $(UV_VERSION) in .uv ..."
	@rm -rf .uv
	@"$(PYTHON)" -m venv .uv
	@.uv/bin/python -m pip install --quiet --disable-pip-version-check "uv==$(UV_VERSION)"
	@touch $@
