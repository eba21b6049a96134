# `make help` lists what can be done here.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_INSTALL := $(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --constraints requirements.lock --compile-bytecode

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv lock gen

help: ## List the targets.
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18

venv: $(VENV)/.dev ## Make .venv with all that tests and checks need.

lock: $(VENV)/.build ## Take the newest allowed dependencies into requirements.lock.
	$(BIN)/uv pip compile pyproject.toml --group dev --group go --universal --generate-hashes \
		--no-emit-index-url --no-header --quiet --upgrade --output-file requirements.lock

gen: $(VENV)/.dev ## Regenerate the stubs under proto/gen from the contracts.
	$(BIN)/python -m services.local.gen

# The environment grows in three steps, each checked against the hashes of the one lock file:
# uv and the build backend by pip, the base dependencies for `make up`, the rest for tests.

$(VENV)/.build: requirements.lock
	$(PYTHON) -m venv $(VENV)
	awk '/^[a-z]/ { keep = /^(editables|hatchling|packaging|pathspec|pluggy|trove-classifiers|uv)==/ } keep' \
		requirements.lock > $(VENV)/build.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $(VENV)/build.lock
	@touch $@

$(VENV)/.base: $(VENV)/.build pyproject.toml
	$(UV_INSTALL) --requirements pyproject.toml
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	$(UV_INSTALL) --group dev
	@touch $@
