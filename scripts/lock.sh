#!/usr/bin/env bash
# Lock both environments: the orchestrator's from pyproject.toml, the predictors' from requirements/serve.in.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=$(bash scripts/find_uv.sh)
lock() {
  "$uv" pip compile "$@" --python-version 3.11 --python-platform linux \
    --generate-hashes --no-emit-index-url --no-header --quiet
}
lock pyproject.toml requirements/build.in --extra pipelines --extra train --extra gateway --extra cluster --extra dev \
  --override requirements/overrides.txt --output-file requirements/local.txt
lock requirements/serve.in --output-file requirements/serve.txt
