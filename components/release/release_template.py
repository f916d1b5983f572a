"""The release template: the shape of what serves, without who serves. Whoever installs the platform writes it, once."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass
from typing import Any

from belisha.components.shared.errors import ContractError
from belisha.components.shared.files import sha256_hex

TEMPLATE_SCHEMA = "belisha.release-template/1"
TEMPLATE_FILE = "release-template.json"
# Stands for the model version wherever the shape names it; no JSON string of a pod holds it by chance.
VERSION_TOKEN = "@VERSION@"
_ROOT_KEYS = {"schema", "mode", "shadow_percent", "object", "predictor", "detector", "router"}


class Mode(enum.StrEnum):
    """Who splits the traffic: the mesh between predictors, or a router inside one predictor's graph."""

    SPLIT = "split"
    ROUTER = "router"


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the graph and the pods that run it, as Seldon's CRD spells `graph` and an item of `componentSpecs`."""

    graph: dict[str, Any]
    component: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ReleaseTemplate:
    """A whole template.

    Attributes:
        mode: who splits the traffic.
        shadow_percent: of requests that a challenger without traffic sees a copy of; 0 for none.
        body: the SeldonDeployment without predictors.
        predictor: what every predictor has, without name, graph, pods and traffic.
        detector: the node that runs one model version.
        router: the node before the detectors; only in router mode.
        digest: SHA-256 of the text it was read from.
    """

    mode: Mode
    shadow_percent: int
    body: dict[str, Any]
    predictor: dict[str, Any]
    detector: Node
    router: Node | None
    digest: str

    @property
    def name(self) -> str:
        """Name of the SeldonDeployment."""
        return str(self.body["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Namespace of the SeldonDeployment; empty when the template leaves it to the client."""
        return str(self.body["metadata"].get("namespace", ""))


def parse_release_template(text: str, where: str = TEMPLATE_FILE) -> ReleaseTemplate:
    """Read a template.

    Args:
        text: JSON.
        where: it came from, for messages.

    Raises:
        ContractError: it is not one; the message names the key.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise _refused(where, "", f"it is no JSON ({error})") from None
    root = _mapping(value, where, "")
    if root.get("schema") != TEMPLATE_SCHEMA:
        raise _refused(where, "schema", f"expected {TEMPLATE_SCHEMA}, got {root.get('schema')!r}")
    if unknown := sorted(set(root) - _ROOT_KEYS):
        raise _refused(where, unknown[0], "this key is not known")
    mode = _mode(root, where)
    return ReleaseTemplate(
        mode=mode,
        shadow_percent=_shadow_percent(root, where),
        body=_body(root, where),
        predictor=_mapping(root.get("predictor"), where, "predictor"),
        detector=_node(root.get("detector"), where, "detector"),
        router=_node(root.get("router"), where, "router") if mode is Mode.ROUTER else None,
        digest=sha256_hex(text.encode()),
    )


def _mode(root: dict[str, Any], where: str) -> Mode:
    try:
        return Mode(str(root.get("mode")))
    except ValueError:
        raise _refused(where, "mode", f"expected one of {', '.join(Mode)}, got {root.get('mode')!r}") from None


def _shadow_percent(root: dict[str, Any], where: str) -> int:
    percent = root.get("shadow_percent", 0)
    if isinstance(percent, bool) or not isinstance(percent, int) or not 0 <= percent <= 100:
        raise _refused(where, "shadow_percent", f"expected a whole number of 0 to 100, got {percent!r}")
    return percent


def _body(root: dict[str, Any], where: str) -> dict[str, Any]:
    body = _mapping(root.get("object"), where, "object")
    if body.get("kind") != "SeldonDeployment":
        raise _refused(where, "object.kind", f"expected SeldonDeployment, got {body.get('kind')!r}")
    metadata = _mapping(body.get("metadata"), where, "object.metadata")
    if not metadata.get("name"):
        raise _refused(where, "object.metadata.name", "it is missing")
    if "predictors" in _mapping(body.get("spec", {}), where, "object.spec"):
        raise _refused(where, "object.spec.predictors", "predictors follow the ledger and stand in no template")
    return body


def _node(value: Any, where: str, key: str) -> Node:
    node = _mapping(value, where, key)
    graph = _mapping(node.get("graph"), where, f"{key}.graph")
    if not graph.get("name"):
        raise _refused(where, f"{key}.graph.name", "it is missing")
    return Node(graph, _mapping(node.get("component"), where, f"{key}.component"))


def _mapping(value: Any, where: str, key: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _refused(where, key, f"expected an object, got {type(value).__name__}")
    return value


def _refused(where: str, key: str, problem: str) -> ContractError:
    named = f"{where}: {key}" if key else where
    return ContractError(f"{named}: {problem}: render the release template again, for example by `helm upgrade`")
