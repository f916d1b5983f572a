#!/usr/bin/env bash
# Lock every environment with hashes and without index addresses: the orchestrator's from pyproject.toml, the predictors' from
# requirements/serve.in, and each image's from docker/requirements/ at the versions of those two, so that what is tested is
# what is shipped.
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

versions=$(mktemp -d)
trap 'rm -rf "$versions"' EXIT
for environment in local serve; do # constraints are versions alone: hashes may not stand in them
  sed -nE 's/^([A-Za-z0-9_.-]+==[^ ]+) .*/\1/p' requirements/$environment.txt >"$versions/$environment.txt"
done
for image in acquire split baseline train validate compare release drift review experiment; do
  lock docker/requirements/$image.in --no-annotate --constraints "$versions/local.txt" --override requirements/overrides.txt \
    --output-file docker/requirements/$image.txt
done
lock docker/requirements/route.in --no-annotate --constraints "$versions/serve.txt" --output-file docker/requirements/route.txt
# KFP's executor needs none of KFP's dependencies.
lock docker/requirements/kfp.in --no-deps --no-annotate --constraints "$versions/local.txt" --output-file docker/requirements/kfp.txt
lock docker/requirements/build.in --no-annotate --output-file docker/requirements/build.txt
