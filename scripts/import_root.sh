#!/usr/bin/env bash
# Lay a folder of links in which the packages stand as they are imported, for tools that read source: import_root.sh DIR
set -euo pipefail
cd "$(dirname "$0")/.."
target=$1/belisha
rm -rf "$target" && mkdir -p "$target"
for entry in "$PWD"/belisha/* "$PWD/components" "$PWD/monitoring" "$PWD/pipelines"; do ln -s "$entry" "$target/"; done
