# `make demo` and `make test` do all the set-up themselves on Debian or Ubuntu with Python 3.11 or newer.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

DEMO_PROGRAMS := prometheus prometheus-alertmanager
TEST_PROGRAMS := $(DEMO_PROGRAMS) postgresql

# Two at a time: much of it waits for servers.
PYTEST_FLAGS ?= -n 2 --dist worksteal

# Left out of test-quick, beside what needs programs: a real MLflow, processes, months of flights, gigabytes.
SLOW := tests/demo tests/e2e tests/prometheus tests/measures/test_evidently.py tests/study/test_false_alarms.py \
	tests/study/test_flight_quality.py tests/study/test_flights.py tests/registry/test_local_mlflow.py tests/profiling/test_reference_memory.py \
	tests/registry/test_registry.py tests/monitoring/test_run_watcher.py tests/registry/test_sources.py tests/study/test_study.py tests/evaluation/test_change.py tests/grafana \
	tests/evaluation/test_live_variation.py tests/api/test_readme_calls.py tests/measures/test_contract.py

# Where it is set, as in many images, every process compiles all that it imports: five seconds with MLflow.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help

help: ## what can be made
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: $(INSTALLED) ## the virtual environment .venv, from the lock file

# uv: pip needs minutes for what it does in seconds.
$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || .ci/packages python3-venv
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

demo: setup ## watch a real model drift, an alert fire and a mail arrive
	@.ci/packages $(DEMO_PROGRAMS)
	@$(BIN)/mlflow-exporter demo $(DEMO_FLAGS)

test: setup ## the checks, the fuzzer and all tests, of which pytest's summary comes last
	@.ci/packages $(TEST_PROGRAMS)
	@.ci/newer-programs $(VENV)/newer
	$(MAKE) --no-print-directory check
	$(MAKE) --no-print-directory fuzz
	$(BIN)/pytest $(PYTEST_FLAGS)

test-quick: check ## the checks and the tests that start no servers and replay no months, for every day; a few minutes
	$(BIN)/pytest $(PYTEST_FLAGS) -m 'not needs' $(SLOW:%=--ignore=%)

check: setup ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# A fault of compiled code ends the process, and with it make.
FUZZ = $(BIN)/python -X faulthandler -W error -m tests.fuzz_bodies --seconds 60
fuzz: setup ## damaged bodies and files: fuzz-known and fuzz-new side by side, a minute of two processors
	$(MAKE) --no-print-directory --jobs=2 --output-sync fuzz-known fuzz-new

fuzz-known: setup ## damaged bodies and files from a seed that ended the process once
	$(FUZZ) --seed 777123

fuzz-new: setup ## damaged bodies and files from a new seed, which it prints
	$(FUZZ)

bench: setup ## speed and memory, beside what they are compared with
	@for file in tests/benchmarks/bench_*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

study: setup ## how often clean traffic pages and how soon what breaks does, into prometheus/README.md; half an hour
	@nice -n 19 $(BIN)/python -m tests.study --write

dashboards: setup ## grafana/dashboards from the Python beside it
	$(BIN)/python grafana/build.py

# The image has locks of its own, with the versions of the first.
COMPILE = $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-emit-index-url --no-header
lock: setup ## the newest versions of everything into the lock files
	$(COMPILE) --upgrade pyproject.toml --all-extras --group dev -o requirements.lock
	$(COMPILE) --upgrade --constraints requirements.lock pyproject.toml -o exporter/requirements.lock
	$(COMPILE) --upgrade --constraints requirements.lock pyproject.toml --extra demo -o exporter/requirements-demo.lock
	echo 'hatchling>=1.27' | $(COMPILE) --upgrade --constraints requirements.lock --python-version 3.11 - -o exporter/requirements-build.lock

clean: ## remove what was made
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis dist

.PHONY: help setup demo test test-quick check fuzz fuzz-known fuzz-new bench study dashboards lock clean
