# Two commands matter: `make demo` and `make test`. Everything is set up in .venv (and .peers, for parity tests).
PYTHON ?= python3
BIN := .venv/bin
NATIVE := CMakeLists.txt $(shell find native -type f)
TIMED := $(shell grep -rl --include='*.py' 'mark\.alone' tests)

.PHONY: help demo test test-slow lint types floors format setup peers chromium postgres wheel docs pictures bench clean

help: ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

demo: setup ## train, fine-tune, evaluate, share and deploy on real data; ARGS="--serve" keeps the pages up
	@$(BIN)/enfold demo $(ARGS)

test: setup peers chromium postgres lint types floors ## set up, lint, check types and run every test
	$(BIN)/pytest -n 2 --dist loadfile --max-worker-restart 0 -m "not slow and not alone" $(ARGS)
	$(BIN)/pytest -m "alone and not slow" $(TIMED)

test-slow: setup peers chromium postgres ## the tests that take minutes or need more peers
	$(BIN)/python tools/peers.py
	$(BIN)/pytest -m slow $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

floors: setup ## no package imports one on a higher floor
	$(BIN)/lint-imports

format: setup ## format and sort imports
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

setup: .venv/.native ## make .venv with everything that development needs

.venv/.packages: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python tools/requirements.py build all test docs > .venv/requirements.txt
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -r .venv/requirements.txt
	touch $@

.venv/.native: .venv/.packages $(NATIVE)
	$(BIN)/pip install -q --disable-pip-version-check --no-build-isolation --no-deps -e .
	touch $@

peers: setup ## the ecosystem's own wheels, which tests compare with
	$(BIN)/python tools/peers.py models s3 ppo hub-1.33 hub-1.19 hub-0.36

chromium: ## Debian's Chromium for the browser tests, where we may install it
	@command -v chromium >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
	  && apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core fonts-liberation >/dev/null; } \
	  || echo "no Chromium: the browser tests will be skipped"

postgres: ## Debian's Postgres for the tests of a Hub on it, where we may install it
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null \
	  || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -qq \
	  && apt-get install -y -qq --no-install-recommends postgresql >/dev/null; } \
	  || echo "no Postgres: the tests of a Hub on it will be skipped"

wheel: setup ## build the wheel into dist/
	$(BIN)/pip wheel -q --disable-pip-version-check --no-build-isolation --no-deps -w dist .

docs: setup ## build the site into build/docs/html
	$(BIN)/python -m sphinx -W -j auto -d build/docs/doctrees docs build/docs/html
	@echo "Open build/docs/html/index.html"

pictures: docs chromium ## draw the pictures of pages in docs/pictures anew
	$(BIN)/python tools/pictures.py

bench: setup ## every benchmark, peers in the same run
	$(BIN)/python tools/peers.py
	@for file in benchmarks/[a-z]*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

clean: ## remove what was built (not .venv)
	rm -rf build dist .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis
