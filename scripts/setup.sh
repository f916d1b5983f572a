#!/usr/bin/env bash
# Make the local environment from the locked requirements: bash scripts/setup.sh [.venv]
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${1:-.venv}
uv=$(bash scripts/find_uv.sh)
echo "setup: making $venv from requirements/local.txt (a few GB with torch; under a minute on a fast network)"
"$uv" venv --quiet --allow-existing --python 3.11 "$venv"
"$uv" pip sync --quiet --python "$venv/bin/python" --require-hashes requirements/local.txt
"$uv" pip install --quiet --python "$venv/bin/python" --no-deps --no-build-isolation --editable .
echo "setup: done; the command line is $venv/bin/belisha"
