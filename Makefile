# `make demo` and `make up` are all that is needed to try Posthouse; each sets up what it needs.

PYTHON ?= python3
ARGS ?=
# The tests wait half of the time. A given RabbitMQ is shared by all tests: then one process runs them.
TEST_PROCESSES ?= $(if $(POSTHOUSE_TEST_AMQP_URL),0,4)
DATA ?= ./data

# Hundreds of programs are started by the tests: compiled once, not by each of them again.
unexport PYTHONDONTWRITEBYTECODE

MEMBERS := libs/common services/ingest services/policy services/dispatcher services/bounces services/tracking services/webhooks services/console deploy/onebox command demo
CHECKED := libs services deploy/onebox command demo tests $(wildcard bench)
PURE := tests/mail tests/tracking tests/answers tests/profiles tests/smtp tests/ingest tests/policy tests/dispatcher tests/bounces tests/running tests/contract
VENV := .venv
VENV_CHECK :=
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --root-user-action=ignore

# An environment must be made again when its Python is gone, or has become another minor version.
MADE_FOR = $(shell sed -n 's/^version[_a-z]* *= *\(3\.[0-9]*\).*/\1/p' $(VENV)/pyvenv.cfg 2>/dev/null)
RUNS_NOW = $(shell $(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
ifneq ($(MADE_FOR),$(RUNS_NOW))
$(shell rm -rf $(VENV))
endif

# A stamp carries the digest of what it stands for: set-up is done again when that changes.
digest = $(shell cat $(1) 2>/dev/null | sha256sum | cut -c1-16)
LOCKS := requirements.lock requirements-build.lock
RUNTIME := $(VENV)/.runtime-$(call digest,$(LOCKS) $(MEMBERS:%=%/pyproject.toml))
CHART_TOOLS := .venv-chart/.tools-$(call digest,requirements-chart.lock)
DEVELOPMENT := $(VENV)/.development-$(call digest,requirements-dev.lock)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help setup setup-dev demo up check format test test-long verify integrations fuzz fuzz-sessions api alerts compose chaos soak bench demo-compose chart manifests lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

demo: setup ## Show the whole relay at work, then end
	@$(BIN)/posthouse demo $(ARGS)

up: setup ## Run the relay until ctrl-C; its data is kept in DATA (./data)
	@$(BIN)/posthouse up --data $(DATA) $(ARGS)

setup: $(RUNTIME) ## Make .venv with what Posthouse needs to run

setup-dev: $(RUNTIME) $(DEVELOPMENT) ## ... and with what its tests need

check: setup-dev ## Format, lint, types, boundaries and quick tests: two minutes
	$(BIN)/ruff format --check $(CHECKED)
	$(BIN)/ruff check $(CHECKED)
	$(BIN)/mypy $(CHECKED)
	$(BIN)/lint-imports
	$(BIN)/pytest --quiet --numprocesses 2 -m "not rabbitmq and not long" $(wildcard $(PURE))

format: setup-dev ## Format the code
	$(BIN)/ruff format $(CHECKED)
	$(BIN)/ruff check --fix $(CHECKED)

test: setup-dev ## All tests, with real servers: at most ten minutes on two cores
	$(BIN)/pytest --numprocesses $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder \
		-m "not long" $(ARGS)

test-long: setup-dev ## The long forms of tests: clusters, partitions, floods, half an hour of lanes: an hour
	$(BIN)/pytest -m long tests/bounces tests/e2e tests/faults tests/store $(ARGS)

verify: setup-dev ## 200 messages of each profile, verified by programs of others: some minutes
	$(BIN)/pytest -m long tests/verifiers $(ARGS)

integrations: setup-dev ## Clients of others send through a relay; installs them (root, Debian): some minutes
	$(BIN)/pytest -m long tests/integrations $(ARGS)

fuzz: setup-dev ## 100,000 damaged reports and replies: none raises, none takes a second; ten minutes
	PYTHONPATH=tests $(BIN)/python -m fuzz $(ARGS)

fuzz-sessions: setup-dev ## 100,000 damaged SMTP sessions, without sockets: some minutes
	PYTHONPATH=tests $(BIN)/python -m fuzz.sessions $(ARGS)

chart: setup-dev $(CHART_TOOLS) ## The Helm chart's policies by Checkov; its containers carry a message (Docker): minutes
	$(BIN)/pytest -m long tests/deploy $(ARGS)

$(CHART_TOOLS):
	@PYTHON="$(PYTHON)" deploy/venv.sh .venv-chart
	@.venv-chart/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		-r requirements-chart.lock
	@touch $@

api: setup-dev ## What schemathesis makes of the HTTP API's description, against a real relay: a minute
	@PYTHON="$(PYTHON)" deploy/venv.sh .venv-api
	@.venv-api/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		-r requirements-api.lock
	PYTHONPATH=tests $(BIN)/python -m api_schema .venv-api/bin/schemathesis $(ARGS)

alerts: setup-dev ## Break a real relay until the most important alerts fire: some minutes
	$(BIN)/pytest -m long tests/monitoring $(ARGS)

compose: setup-dev ## Every form of the stack in containers, broken and mended: half an hour, with a Docker engine
	$(DEMO_STACK) build
	$(BIN)/pytest -m long tests/compose $(ARGS)

chaos: setup-dev ## Break a relay under load in every way, 100,000 messages each: two hours, a report
	PYTHONPATH=tests $(BIN)/python -m chaos $(ARGS)

soak: setup-dev ## Half load for an hour with a kill a minute: nothing is lost, no process grows
	PYTHONPATH=tests $(BIN)/python -m chaos soak $(ARGS)

bench: setup-dev ## Everything measured: beside its peers, and against its own limits: an hour and a half
	@venv=$(VENV); $(BIN)/python bench/interpreter.py || \
		{ $(SETUP_BENCH) && venv=.venv-bench; } || \
		echo "==> NOT OPTIMISED: no better Python than that of $(VENV) was found"; \
	$$venv/bin/python -m bench $(ARGS)

# Where the Python of .venv was built without optimisation, and this machine has a better one.
SETUP_BENCH = $(MAKE) --no-print-directory setup-dev VENV=.venv-bench VENV_CHECK=bench/interpreter.py

demo-compose: setup ## The demo against a stack of docker-compose.yml of its own, which it removes again
	$(DEMO_STACK) up --build --detach --wait
	@$(BIN)/posthouse demo --compose --submission "$$($(DEMO_STACK) port ingest 2587)" \
		--report "$$($(DEMO_STACK) port sink 2680)" $(ARGS)
	$(DEMO_STACK) down --volumes

DEMO_STACK = docker compose --env-file deploy/compose/demo.env

manifests: setup-dev ## Write deploy/kubernetes/base from the Helm chart, and the dashboards of deploy/grafana
	PYTHONPATH=tests $(BIN)/python -m charting.kustomize
	PYTHONPATH=tests $(BIN)/python -m monitoring.dashboards

UV ?= $(firstword $(shell command -v uv) $(wildcard $(BIN)/uv) uv)
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-emit-index-url --no-emit-find-links --upgrade

lock: ## Choose the newest versions that fit requirements*.in
	$(COMPILE) requirements.in --output-file requirements.lock
	$(COMPILE) requirements-build.in --output-file requirements-build.lock
	$(COMPILE) requirements-otel.in --output-file requirements-otel.lock
	$(COMPILE) requirements-dev.in --output-file requirements-dev.lock
	$(COMPILE) requirements-api.in --output-file requirements-api.lock
	$(COMPILE) requirements-chart.in --output-file requirements-chart.lock

clean: ## Remove virtual environments and every cache; data stays
	rm -rf .venv .venv-bench .venv-api .venv-chart .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage
	find $(CHECKED) -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	@PYTHON="$(PYTHON)" deploy/venv.sh $(VENV) $(VENV_CHECK)

$(RUNTIME): $(BIN)/python
	@echo "==> packages to run Posthouse (half a minute)"
	@$(PIP) --require-hashes $(LOCKS:%=-r %)
	@PATH="$(BIN):$$PATH" deploy/crypto_mb.sh $(VENV)
	@echo "==> Posthouse itself"
	@$(PIP) --no-deps --no-build-isolation $(MEMBERS:%=-e %)
	@rm -f $(VENV)/.runtime-* && touch $@

$(DEVELOPMENT): $(RUNTIME)
	@echo "==> packages to test Posthouse (half a minute)"
	@$(PIP) --require-hashes -r requirements-dev.lock
	@rm -f $(VENV)/.development-* && touch $@
