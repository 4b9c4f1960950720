# `make help` lists the targets. Everything is installed into .venv; no target needs root.
PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help
.PHONY: help install demo test lint unit test-browser test-cluster test-faults audit notebooks picture lock clean

help:  ## this list
	@awk -F ':.*## +' '/^[a-z-]+:.*##/ {printf "%-14s%s\n", $$1, $$2}' Makefile

install: .venv/installed  ## set up .venv with the locked dependencies

.venv/installed: requirements/install.lock requirements/bootstrap.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else f"tagkit needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is {v[0]}.{v[1]}: name another with make PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/install.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

demo: install  ## render a tagged dataset, train two networks on it, score them, hear what they learned
	$(BIN)/tagkit demo

test: lint unit notebooks  ## lint, import contracts, tests and every notebook

lint: install  ## ruff and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

unit: install  ## the tests
	$(BIN)/pytest

test-browser: install  ## only the tests that drive a real Chromium
	$(BIN)/pytest -m browser

test-cluster: install  ## trainings in several processes and on several devices, preparation on a cluster: same results
	$(BIN)/pytest -m "" tests/cluster -s

test-faults: install  ## jobs killed, stopped and damaged again and again: same results, and a table
	$(BIN)/pytest -m "" tests/faults

audit: install  ## known weaknesses of the locked packages; fails where pypi.org cannot be asked
	$(BIN)/uv tool run pip-audit --strict --disable-pip --require-hashes -r requirements/install.lock

notebooks: install  ## execute every notebook on tiny data; their pages lie in build/notebooks
	$(BIN)/python notebooks/execute.py

picture: install  ## photograph the listening page and the explorer of runs/demo for the README; needs Chromium
	mkdir -p figures
	chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --virtual-time-budget=8000 --window-size=1280,1120 \
		--screenshot=figures/listening_page.png "file://$(CURDIR)/runs/demo/listen.html"
	$(BIN)/python -m tests.browser.picture figures/explorer.png

lock: install  ## write the lock files anew from pyproject.toml
	cd requirements && ../$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --upgrade \
		--custom-compile-command 'make lock' bootstrap.in -o bootstrap.lock
	cd requirements && ../$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --upgrade \
		--custom-compile-command 'make lock' --extra dev ../pyproject.toml install.in -o install.lock

clean:  ## remove what was built; data/ and runs/ stay
	rm -rf .venv build dist
