"""A compiled pipeline as it travels inside a run request, and the one thing that is changed on the way: caching."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from belisha.components.shared.errors import ContractError


def parse_package(data: bytes) -> dict[str, Any]:
    """`pipeline_spec` and, where there is one, `platform_spec` of a compiled pipeline; raises ContractError."""
    try:
        documents = [document for document in yaml.safe_load_all(data) if document]
    except (yaml.YAMLError, RecursionError) as error:
        raise ContractError(f"the pipeline is no YAML ({str(error).splitlines()[0]}): compile it again") from None
    specs = [document for document in documents if isinstance(document, dict) and "pipelineInfo" in document]
    platforms = [document for document in documents if isinstance(document, dict) and "platforms" in document]
    if len(specs) != 1 or len(platforms) > 1 or len(documents) != len(specs) + len(platforms):
        raise ContractError("the file is no compiled pipeline: write one with `belisha compile`")
    return {"pipeline_spec": specs[0], **({"platform_spec": platforms[0]} if platforms else {})}


def without_caching(package: dict[str, Any]) -> dict[str, Any]:
    """The package with caching off in every task, also of nested pipelines; the given one is changed."""
    for task in _tasks(package["pipeline_spec"]):
        task["cachingOptions"] = {}
    return package


def sdk_version(package: dict[str, Any]) -> str:
    """The kfp release that compiled it, e.g. `2.17.0`; empty when it does not say."""
    return str(package["pipeline_spec"].get("sdkVersion", "")).removeprefix("kfp-")


def _tasks(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    dags = [spec.get("root", {}).get("dag", {})]
    dags += [component.get("dag", {}) for component in spec.get("components", {}).values()]
    for dag in dags:
        yield from dag.get("tasks", {}).values()
