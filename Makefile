# Bayline: `make up`, `make demo`, `make test`. Every target sets up what it needs.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
T ?= libs services tests
MINUTES ?= 3
CASES ?= 20000
SEED ?= 0
ONLY ?=

.PHONY: help setup browser generator up down demo logs protos fmt lint types arch test unit test-keycloak fuzz mutants chaos bench lock sbom

##@ Start
help: ## This list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {print "\n" substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Install what is missing: system packages, Python packages, Kafka's jars
	@scripts/bootstrap

browser:
	@scripts/bootstrap browser

generator:
	@scripts/bootstrap load

up: setup ## Start PostgreSQL, Kafka and all services; returns when they are ready
	@$(BIN)/bayline up

down: ## Stop what `make up` has started; data stays
	@$(BIN)/bayline down

demo: up ## Drive a realistic fleet through the public API
	@$(BIN)/bayline demo

logs: ## Follow what all processes write
	@$(BIN)/bayline logs --follow

##@ Code
protos: setup ## Generate messages and stubs from protos/, and google/api for buf
	@rm -rf .mypy_cache
	@$(BIN)/python libs/contracts/hatch_build.py
	@scripts/googleapis

fmt: setup ## Format Python and protos
	@$(BIN)/ruff check --quiet --fix --exit-zero .
	@$(BIN)/ruff format --quiet .
	@$(BIN)/buf format --write protos

lint: setup ## Style of everything, breaking changes of protos, freshness of the lock
	@scripts/lint

types: setup ## mypy, strict
	@$(BIN)/mypy libs services tests conftest.py

arch: setup ## Who may import whom
	@$(BIN)/lint-imports

##@ Test
test: browser protos lint types arch ## Everything, against real PostgreSQL and real Kafka on ports of its own
	@scripts/coverage
	@$(BIN)/pytest --numprocesses 2 --dist loadfile

unit: setup ## What needs no server, in seconds; T=path for a part
	@$(BIN)/pytest -m "not integration and not e2e" $(T)

test-keycloak: protos ## The same gateway and services with Keycloak's tokens; fetches Keycloak, 180 MB
	@$(BIN)/pytest tests/keycloak/check.py

mutants: setup ## Take out each line that keeps a promise; the test that is named for it must go red
	@$(BIN)/python -m testkit.mutants

chaos: setup ## Kill, stop and republish while a fleet works, then check every invariant; MINUTES=3 SEED=0
	@$(BIN)/python -m testkit.chaos --minutes $(MINUTES) --seed $(SEED)

fuzz: protos ## 20,000 requests, allowed and not, against the API's own document; CASES=20000 SEED=0
	@FUZZ_CASES=$(CASES) FUZZ_SEED=$(SEED) $(BIN)/pytest --timeout 0 tests/security/test_the_document_holds.py

bench: generator ## What all of it costs, beside the least that could do it; ONLY=requests,live for parts
	@$(BIN)/python -m tests.load.bench --only "$(ONLY)"

##@ Dependencies
lock: setup ## Pin requirements.in into requirements.lock
	@scripts/lock

sbom: setup ## What all of it is made of, as CycloneDX: build/sbom.cdx.json
	@$(BIN)/python -m devstack.sbom
