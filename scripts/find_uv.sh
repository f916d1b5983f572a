#!/usr/bin/env bash
# Print the path of a usable uv, fetching one into .tools when the machine has none.
set -euo pipefail
cd "$(dirname "$0")/.."
if command -v uv >/dev/null; then command -v uv; exit; fi
if [ ! -x .tools/bin/uv ]; then
  if python3.11 -m venv .tools >/dev/null 2>&1; then
    .tools/bin/python -m pip install --quiet uv >&2
  elif python3.11 -m pip --version >/dev/null 2>&1; then
    rm -rf .tools && python3.11 -m pip install --quiet --target .tools uv >&2
  elif [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "setup: Python has neither venv nor pip; installing the package python3-venv" >&2
    { apt-get update -qq && apt-get install -y -qq python3-venv; } >&2
    rm -rf .tools && python3.11 -m venv .tools && .tools/bin/python -m pip install --quiet uv >&2
  else
    echo "setup: Python 3.11 has neither venv nor pip: install the package python3-venv, then run this again" >&2
    exit 2
  fi
fi
echo "$PWD/.tools/bin/uv"
