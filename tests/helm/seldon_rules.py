"""What Seldon's webhook refuses (1.17.1), what it lets through although it breaks, and what its operator makes of names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]


def violations(deployment: Object) -> list[str]:
    """Every rule that a SeldonDeployment breaks."""
    spec = deployment["spec"]
    return [*_webhook(spec), *_let_through(spec), *_names(deployment)]


def nodes(graph: Object) -> Iterator[Object]:
    yield graph
    for child in graph.get("children", []):
        yield from nodes(child)


def _webhook(spec: Object) -> Iterator[str]:
    predictors = spec["predictors"]
    if not predictors:
        yield "Graph contains no predictors"
    yield from _traffic(predictors)
    names = [predictor["name"] for predictor in predictors]
    if len(set(names)) != len(names):
        yield "Duplicate predictor name"
    services = [predictor.get("annotations", {}).get("seldon.io/svc-name") for predictor in predictors]
    if len([name for name in services if name]) != len({name for name in services if name}):
        yield "Found duplicate service name"
    if spec.get("protocol", "seldon") not in ("seldon", "tensorflow", "kfserving", "v2"):
        yield "Invalid protocol"
    if spec.get("transport", "rest") not in ("rest", "grpc"):
        yield "Invalid transport"
    if spec.get("serverType", "rpc") not in ("rpc", "kafka"):
        yield "Invalid serverType"
    for predictor in predictors:
        yield from _graph(predictor)


def _traffic(predictors: list[Object]) -> Iterator[str]:
    shadows = [predictor for predictor in predictors if predictor.get("shadow")]
    others = [predictor for predictor in predictors if not predictor.get("shadow")]
    total = sum(predictor.get("traffic", 0) for predictor in others)
    if len(shadows) > 1:
        yield "Multiple shadows are not allowed"
    if shadows and not others:
        yield "Shadow can not exist as only predictor"
    if any(not 0 <= predictor.get("traffic", 0) <= 100 for predictor in shadows):
        yield "shadow traffic is illegal"
    if len(others) > 1 and total != 100:
        yield "Traffic must sum to 100 for multiple predictors"
    if len(predictors) == 1 and 0 < total < 100:
        yield "Traffic must be 100 for a single predictor when set"


def _graph(predictor: Object) -> Iterator[str]:
    containers = {
        container["name"] for component in predictor["componentSpecs"] for container in component["spec"]["containers"]
    }
    found = list(nodes(predictor["graph"]))
    for node in found:
        if "implementation" not in node and node["name"] not in containers:
            yield f"Can't find container for Predictive Unit {node['name']}"
        if "logger" in node and not node["logger"].get("mode"):
            yield "No logger mode specified"
    if "seldon.io/no-engine" in predictor.get("annotations", {}) and len(found) > 1:
        yield "Running without engine only valid for single element graphs"


def _let_through(spec: Object) -> Iterator[str]:
    """The webhook looks at the sum alone, at no number of replicas and at no image."""
    for predictor in spec["predictors"]:
        name = predictor["name"]
        if not 0 <= predictor.get("traffic", 0) <= 100:
            yield f"{name}: traffic {predictor['traffic']}"
        if predictor.get("replicas", 1) < 1:
            yield f"{name}: no replicas"
        if any("pdbSpec" in component for component in predictor["componentSpecs"]):
            yield f"{name}: pdbSpec selects the pods of all predictors"
        for component in predictor["componentSpecs"]:
            yield from _autoscaling(name, component)
        for node in nodes(predictor["graph"]):
            for parameter in node.get("parameters", []):
                yield from _parameter(name, parameter)


def _autoscaling(name: str, component: Object) -> Iterator[str]:
    scaling = component.get("hpaSpec")
    if component.get("replicas", 1) < 1:
        yield f"{name}: no replicas of {component['metadata']['name']}"
    if scaling and not 1 <= scaling["minReplicas"] <= scaling["maxReplicas"]:
        yield f"{name}: {scaling['minReplicas']} to {scaling['maxReplicas']} replicas"
    if scaling and "metrics" not in scaling:
        yield f"{name}: metricsv2 is dropped by some of Seldon's definitions"


def _parameter(name: str, parameter: Object) -> Iterator[str]:
    readers = {"INT": int, "FLOAT": float, "STRING": str}
    try:
        readers[parameter["type"]](parameter["value"])
    except (KeyError, ValueError):
        yield f"{name}: parameter {parameter}"


def _names(deployment: Object) -> Iterator[str]:
    """Names longer than 63 letters become a digest that nobody finds again."""
    top = deployment["metadata"]["name"]
    for predictor in deployment["spec"]["predictors"]:
        for index, component in enumerate(predictor["componentSpecs"]):
            whole = f"{top}-{predictor['name']}-{index}-{component['metadata']['name']}"
            if len(whole) > 63:
                yield f"{whole} has {len(whole)} letters"
