#!/usr/bin/env bash
# Make an environment from its locked requirements: bash scripts/setup.sh .venv requirements/local.txt
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$1 locked=$2
uv=$(bash scripts/find_uv.sh)
echo "setup: making $venv from $locked"
"$uv" venv --quiet --allow-existing --python 3.11 "$venv"
"$uv" pip sync --quiet --python "$venv/bin/python" --require-hashes "$locked"
"$uv" pip install --quiet --python "$venv/bin/python" --no-deps --no-build-isolation --editable .
