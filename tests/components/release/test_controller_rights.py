"""The role of the chart is wide enough for everything that the controller asks of the API server, and never deletes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helm.rendering import documents, one
from tests.kube.api_server import KubeServer, Request
from tests.kube.release_world import applier, decide
from tests.kube.seldon_world import SeldonWorld

# Kubernetes lets every account see which groups there are.
_DISCOVERY = re.compile(r"/apis/[^/]+")
_OBJECT = re.compile(r"/(?:api|apis/(?P<group>[^/]+))/[^/]+/namespaces/ml/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?")


@pytest.fixture
def requests(tmp_path: Path) -> Iterator[list[Request]]:
    """All that a controller asked on the way of a release, a crash and a promotion."""
    server = KubeServer()
    world, storage = SeldonWorld(server), str(tmp_path / "storage")
    server.groups["getambassador.io"] = "v2"
    world.looks_until_ready = 2
    for state in (("v1",), ("v1", "v2", 0.2), ("v2",)):
        decide(storage, *state)
        applier(server, storage).apply()
    world.broken.add("y-v3")
    decide(storage, "v2", "v3", 0.5)
    applier(server, storage, seconds=0.1).apply()
    yield server.requests
    server.close()


def right_of(request: Request) -> tuple[str, str, str, str] | None:
    """Group, plural, verb and name of a request; None for what needs no right."""
    if _DISCOVERY.fullmatch(request.path):
        return None
    found = _OBJECT.fullmatch(request.path)
    assert found is not None, request.path
    # Kubernetes takes the one name that a selector asks for as the request's own.
    name = found["name"] or request.query.get("fieldSelector", "").removeprefix("metadata.name=")
    reading = "watch" if "watch" in request.query else "get" if found["name"] else "list"
    verb = {"POST": "create", "PUT": "update"}.get(request.method, reading)
    return found["group"] or "", found["plural"], verb, name


def test_everything_asked_is_allowed(requests: list[Request]) -> None:
    rules = one(documents({}), "Role", "belisha-controller")["rules"]
    asked = {right for request in requests if (right := right_of(request)) is not None}
    assert len(asked) > 7
    for group, plural, verb, name in sorted(asked):
        allowed = [
            rule
            for rule in rules
            if group in rule["apiGroups"] and plural in rule["resources"] and verb in rule["verbs"]
            and ("resourceNames" not in rule or name in rule["resourceNames"])
        ]  # fmt: skip
        assert allowed, f"the role lacks {verb} {plural}.{group} {name}"


def test_nothing_is_deleted_and_no_secret_is_read(requests: list[Request]) -> None:
    rights = [right for request in requests if (right := right_of(request)) is not None]
    assert {verb for _, _, verb, _ in rights} <= {"get", "list", "watch", "create", "update"}
    assert "secrets" not in {plural for _, plural, _, _ in rights}
