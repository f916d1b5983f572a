"""Render the chart as `helm template` does, each value set once a test run."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from helm_python import Chart

CHART = Path(__file__).parents[2] / "helm" / "belisha"
NAMESPACE = "ml"
BASE: dict[str, Any] = {"storage": {"uri": "s3://bucket/belisha", "existingSecret": "belisha-storage"}}
Object = dict[str, Any]


def merged(values: Mapping[str, Any], base: Mapping[str, Any] = BASE) -> dict[str, Any]:
    """`values` over `base`, as helm merges value files."""
    result = copy.deepcopy(dict(base))
    for key, value in values.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(value, result[key]) if both else copy.deepcopy(value)
    return result


def documents(values: Mapping[str, Any], *, name: str = "belisha") -> list[Object]:
    """Every object that the values give over BASE, hooks included; fresh copies."""
    texts = json.loads(_rendered(json.dumps(merged(values)), name))
    return [document for path, text in texts.items() if not path.endswith("NOTES.txt") for document in _parsed(text)]


def notes(values: Mapping[str, Any]) -> str:
    """What `helm install` prints."""
    texts: dict[str, str] = json.loads(_rendered(json.dumps(merged(values)), "belisha"))
    return next(text for path, text in texts.items() if path.endswith("NOTES.txt"))


def one(found: list[Object], kind: str, name: str | None = None) -> Object:
    """The only object of a kind, or of a kind and name."""
    [match] = [it for it in found if it["kind"] == kind and name in (None, it["metadata"]["name"])]
    return match


def kinds(found: list[Object]) -> list[str]:
    return sorted(f"{it['kind']}/{it['metadata']['name']}" for it in found)


def release_template_text(values: Mapping[str, Any]) -> str:
    """The release template that the chart gives to the controller."""
    config = one(documents(values), "ConfigMap", "belisha-release-template")
    text: str = config["data"]["release-template.json"]
    return text


@functools.cache
def _rendered(values: str, name: str) -> str:
    return json.dumps(_chart().render(json.loads(values), name=name, namespace=NAMESPACE, revision=3), sort_keys=True)


@functools.cache
def _chart() -> Chart:
    return Chart.load(CHART)


def _parsed(text: str) -> Iterator[Object]:
    yield from (document for document in yaml.load_all(text, yaml.CSafeLoader) if document)


def pod_specs(document: Object) -> Iterator[tuple[str, Object]]:
    """Every pod's spec in an object, with a name for messages; those inside a SeldonDeployment and release template, too."""
    name = f"{document['kind']}/{document['metadata']['name']}"
    for inner, spec in _POD_SPECS.get(document["kind"], _none)(document):
        yield f"{name}{inner}", spec


def _none(_: Object) -> Iterator[tuple[str, Object]]:
    yield from ()


def _of_pod(document: Object) -> Iterator[tuple[str, Object]]:
    yield "", document["spec"]


def _of_template(document: Object) -> Iterator[tuple[str, Object]]:
    yield "", document["spec"]["template"]["spec"]


def _of_cron_job(document: Object) -> Iterator[tuple[str, Object]]:
    yield "", document["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def _of_seldon_deployment(document: Object) -> Iterator[tuple[str, Object]]:
    for predictor in document["spec"]["predictors"]:
        for component in predictor["componentSpecs"]:
            yield f"/{predictor['name']}/{component['metadata']['name']}", component["spec"]


def _of_release_template(document: Object) -> Iterator[tuple[str, Object]]:
    template = json.loads(document["data"].get("release-template.json", "{}"))
    for node in ("detector", "router"):
        if node in template:
            yield f"/{node}", template[node]["component"]["spec"]


_POD_SPECS = {
    "Pod": _of_pod,
    "Deployment": _of_template,
    "Job": _of_template,
    "CronJob": _of_cron_job,
    "SeldonDeployment": _of_seldon_deployment,
    "ConfigMap": _of_release_template,
}


def containers(spec: Object) -> list[Object]:
    return [*spec.get("initContainers", []), *spec["containers"]]
