"""Objects against the schemas of Kubernetes itself and of the custom resources' definitions, unknown fields refused."""

from __future__ import annotations

import copy
import functools
import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

# CronJobs got their time zone in 1.25; the newest is the newest that the validator knows.
OLDEST, NEWEST = "1.25", "1.37"
_CRDS = Path(os.environ.get("BELISHA_TEST_CRDS", Path(__file__).parents[3] / "shared" / "crds"))
_FILES = {
    ("machinelearning.seldon.io/v1", "SeldonDeployment"): "seldondeployments.machinelearning.seldon.io.yaml",
    ("networking.istio.io/v1beta1", "Gateway"): "istio.yaml",
    ("security.istio.io/v1beta1", "AuthorizationPolicy"): "istio.yaml",
    ("monitoring.coreos.com/v1", "PodMonitor"): "podmonitors.monitoring.coreos.com.yaml",
    ("monitoring.coreos.com/v1", "PrometheusRule"): "prometheusrules.monitoring.coreos.com.yaml",
}


def violations(document: dict[str, Any]) -> list[str]:
    """What schemas say against an object; the same object is looked at once."""
    return list(_violations(json.dumps(document, sort_keys=True)))


@functools.cache
def _violations(text: str) -> tuple[str, ...]:
    document = json.loads(text)
    if (document["apiVersion"], document["kind"]) in _FILES:
        return tuple(_against_definition(document))
    return tuple(problem for version in (OLDEST, NEWEST) for problem in _against_kubernetes(document, version))


def pod_violations(spec: dict[str, Any]) -> list[str]:
    """The same for a pod's spec that stands inside a custom resource."""
    return violations({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "inside"}, "spec": spec})


def _against_kubernetes(document: dict[str, Any], version: str) -> list[str]:
    try:
        kubernetes_validate.validate(document, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{version}: {'.'.join(map(str, error.path))}: {error.message}"]
    return []


def _against_definition(document: dict[str, Any]) -> list[str]:
    validator = jsonschema.Draft7Validator(definition(document["apiVersion"], document["kind"]))
    return [f"{'.'.join(map(str, error.path))}: {error.message[:300]}" for error in validator.iter_errors(document)]


@functools.cache
def definition(api_version: str, kind: str) -> dict[str, Any]:
    """Strict JSON schema of a custom resource."""
    path = _CRDS / _FILES[api_version, kind]
    if not path.is_file():
        message = f"the definitions of custom resources are missing: expected {path}, or set BELISHA_TEST_CRDS"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    crds = yaml.load_all(path.read_text(), yaml.CSafeLoader)
    crd = next(it for it in crds if it and it["spec"]["names"]["kind"] == kind)
    version = next(it for it in crd["spec"]["versions"] if it["name"] == api_version.rsplit("/", 1)[-1])
    schema = copy.deepcopy(version["schema"]["openAPIV3Schema"])
    schema["properties"] |= {
        "apiVersion": {"const": api_version},
        "kind": {"const": kind},
        "metadata": {"type": "object"},
    }
    return strict(schema)


def strict(node: Any) -> Any:
    """An OpenAPI schema as JSON schema: what an API server would prune in silence is refused."""
    if isinstance(node, list):
        return [strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    result = {key: strict(value) for key, value in node.items() if key not in ("description", "format", "default")}
    if "properties" in node and isinstance(node["properties"], dict):
        result["properties"] = {key: strict(value) for key, value in node["properties"].items()}
        if "additionalProperties" not in node and not node.get("x-kubernetes-preserve-unknown-fields"):
            result["additionalProperties"] = False
    if node.get("nullable") and isinstance(node.get("type"), str):
        result["type"] = [node["type"], "null"]
    if node.get("x-kubernetes-int-or-string"):
        result.pop("type", None)
    return result
