# Every target sets up its own environment first: a machine with Python 3.11 and make needs nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ARGS ?=

export DAGSTER_DISABLE_TELEMETRY := 1

.PHONY: help demo up test check lint types layers bench browser browser-install lock clean

help:
	@echo "make demo    everything on the built-in sandbox, with live progress and the Dagster UI (ARGS=--exit: check and stop)"
	@echo "make up      receiver, Dagster daemon and UI against the systems named in .env"
	@echo "make test    all tests but the browser's"
	@echo "make check   ruff, mypy, import-linter, tests"
	@echo "make browser the browser tests (make browser-install: Chromium from the system's packages)"
	@echo "make bench   the measurements of docs/performance.md"
	@echo "make lock    pin the dependencies anew (needs uv)"

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; say which with make PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/bitbylaw demo $(ARGS)

up: $(STAMP)
	$(BIN)/bitbylaw up $(ARGS)

test: $(STAMP)
	# Three workers on two cores: many tests wait for a daemon's ticks (5 min 45 s; with two workers 7 min 50 s).
	$(BIN)/python -m pytest -n 3 --dist worksteal -m "not browser" $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

layers: $(STAMP)
	$(BIN)/lint-imports

check: lint types layers test

browser: $(STAMP)
	$(BIN)/python -m pytest -m browser $(ARGS)

browser-install:
	command -v chromium >/dev/null && command -v chromedriver >/dev/null || \
	{ apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium chromium-driver; }

bench: $(STAMP)
	$(BIN)/python -m bitbylaw_pipeline.bench $(ARGS)

lock:
	uv pip compile --universal --generate-hashes --no-emit-index-url --no-strip-extras --extra sandbox --extra dev \
		--python-version 3.11 --custom-compile-command "make lock" pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
