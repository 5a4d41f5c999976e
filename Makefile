# Every target builds what it needs inside this folder; `make` alone lists them.
.DEFAULT_GOAL := help
PYTHON ?= python3
PORT ?= 8000
BIN := .venv/bin

.PHONY: help install serve test test-full check format docs bench lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: .venv/.installed ## Make the environment with what serving needs

serve: .venv/.installed ## Set everything up and start Cito (PORT=9000 changes the port)
	@$(BIN)/cito serve --port $(PORT)

test: .venv/.installed-dev ## Run the tests, in under 10 minutes
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n 2 --dist loadfile -m "not full"
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

test-full: .venv/.installed-dev ## Run every count as promised (long)
	$(BIN)/pytest
	$(BIN)/pytest -m "not full" --both-ways tests/plugins tests/acceptance

check: .venv/.installed-dev ## Lint, format, types, import contracts, SQL lint, licences, known vulnerabilities
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/sqlfluff lint sql -q
	$(BIN)/python deploy/check_packages.py
	$(BIN)/python deploy/check_vulnerabilities.py

format: .venv/.installed-dev ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/.installed-dev ## Write the generated parts of the documentation anew
	$(BIN)/python docs/generate.py

bench: .venv/.installed-dev ## Run the benchmarks
	$(BIN)/cito bench all

lock: .venv/.installed-dev ## Pin all dependencies anew, with hashes
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-annotate --upgrade \
		--no-emit-index-url --custom-compile-command "make lock" \
		pyproject.toml deploy/build.in -o requirements.lock
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-annotate --upgrade \
		--no-emit-index-url --custom-compile-command "make lock" \
		pyproject.toml deploy/build.in --group dev -o requirements-dev.lock
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-annotate --upgrade \
		--no-emit-index-url --custom-compile-command "make lock" \
		deploy/bench-peers.in -o deploy/bench-peers.lock

clean: ## Remove the environment and the data folder
	rm -rf .venv .venv-peers .cito .mypy_cache .ruff_cache .pytest_cache .hypothesis cito.egg-info

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.installed: requirements.lock pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.venv/.installed-dev: requirements-dev.lock .venv/.installed
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@
