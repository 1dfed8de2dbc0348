# Thin: builds .venv from requirements.lock when it is missing or older, then one tool a target.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# nothing is sent or looked up outside
export DO_NOT_TRACK := 1
export DVC_NO_ANALYTICS := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false

.PHONY: help repro serve test check lint docs bench clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 16

repro: $(READY)  ## run the pipeline on params.yaml and print what came out
	augmint check
	dvc repro
	@augmint results

serve: $(READY)  ## start Prefect's server, a worker and the deployments of prefect.yaml, and print the UI's address
	augmint serve --worker

test: $(READY)  ## run the tests, on two cores
	python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: lint  ## check style and types, and run the fast tests: for working
	python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow"

lint: $(READY)  ## check style and types
	ruff check .
	ruff format --check .
	mypy

docs: $(READY)  ## write the pages that the code says, and build docs/ as a site into site/
	python -m tools.pages
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet
	@echo "site/index.html"

# those that need no files of yours and end within minutes; docs/benchmarks.md has the others
BENCHMARKS := metrics.py export.py training/step.py "training/quality.py digits" flow.py
bench: $(READY)  ## run the short benchmarks and print their tables
	@for script in $(BENCHMARKS); do echo "== $$script"; python benchmarks/$$script || exit 1; done

clean:  ## remove outputs and caches, keep .venv
	rm -rf .augmint data/store models synthetic classifier metrics plots/* report dvc.lock .dvc/cache .dvc/tmp
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis build site *.egg-info

# uv comes from the lock too, by its hash; it installs in seconds what pip needs minutes for. Compiling takes it half a
# minute, once; where Python may not write what it compiles, every program would take seconds to compile all anew
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "augmint needs Python 3.11 to 3.13; say which with make PYTHON=python3.x" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > $(VENV)/uv.txt
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.txt
	$(VENV)/bin/uv pip install --quiet --compile-bytecode --python $(VENV)/bin/python --require-hashes -r requirements.lock
	$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --no-deps --no-build-isolation --editable .
	touch $@
