# `make demo` and `make test` do their own set-up; see README.md.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin

.PHONY: images setup demo monitor test lint unit bench soak generate lock clean help

help:
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

setup: $(VENV)/.ready .venv-serve/.ready ## prepare the environments; then .venv/bin/belisha is the command line

$(VENV)/.ready: requirements/local.txt pyproject.toml scripts/setup.sh
	@bash scripts/setup.sh $(VENV) requirements/local.txt
	@touch $@

# Predictors have an environment of their own: Seldon's wrapper cannot share one with kfp.
.venv-serve/.ready: requirements/serve.txt pyproject.toml scripts/setup.sh
	@bash scripts/setup.sh .venv-serve requirements/serve.txt
	@touch $@

demo: setup ## the whole loop on drawn streets; leaves demo/report.html
	@$(BIN)/belisha demo --workdir demo

STORAGE ?= demo/storage

monitor: setup ## Prometheus, Alertmanager and plots beside `belisha serve`; STORAGE=demo/storage unless told
	@$(BIN)/belisha monitor --storage $(STORAGE)

lint: setup ## style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@bash scripts/import_root.sh build/import_root
	@$(BIN)/mypy

unit: setup ## the tests alone
	@$(BIN)/python -m pytest -n 2 --dist loadgroup

test: lint unit ## style, types and every test

lock: ## lock the requirements again, with hashes and without index addresses
	@bash scripts/lock.sh

generate: setup ## write what is generated: settings page, compiled pipeline, rules, dashboards, the chart's README and copies
	@$(BIN)/python -m belisha.components.shared.environment > docs/settings.md
	@$(BIN)/belisha compile --out pipelines/compiled/training.yaml
	@$(BIN)/python -m belisha.monitoring.generate
	@$(BIN)/python scripts/chart_files.py

bench: setup ## speed, as ratios measured in one run
	@$(BIN)/python -m bench

soak: setup ## ten minutes of serving under load while shares change, models are promoted, rolled back and killed
	@$(BIN)/python -m bench.soak --minutes 10

images: ## build every container image with docker, podman or buildah
	@$(PYTHON) docker/images.py

clean: ## remove what setup, demo and tests have made
	rm -rf $(VENV) .venv-serve build demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
