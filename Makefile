# `make help` lists the targets. Everything is installed into .venv; only test-debian13 needs root.
PYTHON ?= python3
BIN := .venv/bin
# Each of several processes that share the cores.
ON_ONE_CORE := OMP_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1
.DEFAULT_GOAL := help
.PHONY: help install demo test lint unit test-browser test-cluster test-faults test-debian13 audit notebooks docs pages \
	site links bench validate picture lock clean

help:  ## list the targets
	@awk -F ':.*## +' '/^[a-z0-9-]+:.*##/ {printf "%-15s%s\n", $$1, $$2}' Makefile

install: .venv/installed  ## set up .venv with the locked dependencies

.venv/installed: requirements/install.lock requirements/bootstrap.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else f"tagkit needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is {v[0]}.{v[1]}: name another with make PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo 'Installing the locked packages into .venv: some minutes on the first call.'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements/install.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q tagkit
	@touch $@

demo: install  ## render a tagged dataset, train two networks, score them, and listen to what they learned
	$(BIN)/tagkit demo

test: lint  ## run lint, import contracts, tests, every notebook, and the site
	$(MAKE) --jobs=2 unit pages

pages: install
	$(MAKE) notebooks
	$(MAKE) docs

lint: install  ## check the code, the import contracts, the declared dependencies, and the workflows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/deptry tagkit notebooks
	$(BIN)/deptry . tests tests/*/ --ignore DEP002,DEP004
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

# One process more than there are cores, up to four: tests also wait, for a browser or for commands that they start.
unit: install  ## run the tests in several processes
	$(ON_ONE_CORE) $(BIN)/pytest --dist worksteal --durations 25 \
		--numprocesses $$($(BIN)/python -c 'import os; print(min(os.cpu_count() + 1, 4))')

test-browser: install  ## run only the tests that drive a real Chromium
	$(BIN)/pytest -m browser

test-cluster: install  ## train in several processes and on several devices, prepare on a cluster: results stay the same
	$(BIN)/pytest -m "" tests/cluster -s

test-faults: install  ## kill, stop and damage jobs again and again: results stay the same; prints a table
	$(BIN)/pytest -m "" tests/faults

test-debian13:  ## run the tests in a Debian 13 chroot with Python 3.13; needs root and debootstrap; TARGET=test for all
	.ci/debian13 $(TARGET)

audit: install  ## check the locked packages for known vulnerabilities; needs pypi.org
	$(BIN)/uv tool run pip-audit --strict --disable-pip --require-hashes -r requirements/install.lock

notebooks: install  ## execute every notebook on tiny data into build/notebooks
	$(ON_ONE_CORE) $(BIN)/python notebooks/execute.py

# Pages of notebooks that were executed in earnest (notebooks/execute.py --full) stay as they are.
docs: install  ## build the site from guides, docstrings and executed notebooks: open build/site/index.html
	$(BIN)/python notebooks/execute.py --missing
	rm -rf build/site
	TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -c docs -d build/doctrees . build/site
	$(BIN)/python -m tests.pages build/site

site: demo  ## execute every notebook in full on the data and runs of `make demo` (hours), then build the site
	$(BIN)/python notebooks/execute.py --full
	$(MAKE) docs

links: docs  ## check every external link of the site; needs the internet
	TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/sphinx-build --quiet -b linkcheck -c docs -d build/doctrees . build/links

bench: .venv/bench  ## measure tagkit against PyTorch, librosa and others, write docs/benchmarks.md; ONLY=prepare runs one topic
	$(BIN)/python -m benchmarks $(ONLY)

# PyPI's PyTorch brings 2.5 GB of CUDA on Linux; the same version without it is taken where pip's index has that one.
.venv/bench: .venv/installed requirements/bench.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'torch==2.13.0+cpu' \
		|| $(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/bench.lock
	@touch $@

validate: install  ## check the numbers against independent ones, write docs/validation.md; ONLY=coverage for one topic
	$(BIN)/python -m validation $(ONLY)

picture: install  ## take the screenshots of the pages and the explorer of runs/demo; needs Chromium
	$(BIN)/python -m tests.browser.picture

lock: install  ## rewrite the lock files from pyproject.toml
	cd requirements && ../$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --upgrade \
		--custom-compile-command 'make lock' bootstrap.in -o bootstrap.lock
	cd requirements && ../$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --upgrade \
		--custom-compile-command 'make lock' --extra dev ../pyproject.toml install.in -o install.lock
	cd requirements && ../$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command 'make lock' --constraint install.lock bench.in -o bench.lock

clean:  ## delete what was built; data/ and runs/ stay
	rm -rf .venv build dist
