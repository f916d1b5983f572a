#!/usr/bin/env bash
# Lock the local environment from pyproject.toml into requirements/local.txt.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=$(bash scripts/find_uv.sh)
"$uv" pip compile pyproject.toml requirements/build.in --extra pipelines --extra train --extra dev \
  --override requirements/overrides.txt --python-version 3.11 --python-platform linux \
  --generate-hashes --no-emit-index-url --no-header --quiet --output-file requirements/local.txt "$@"
