"""A registry with versions, a release template and a controller on a `KubeServer`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from belisha.components.release import policy
from belisha.components.release.apply import Applier, ApplyOutcome, ApplySettings
from belisha.components.release.assemble import ClusterOptions, applier_with
from belisha.components.release.release import apply_move
from belisha.components.release.release_template import TEMPLATE_SCHEMA, ReleaseTemplate, parse_release_template
from belisha.components.shared.kube_api import KubeApi, api_client
from belisha.components.shared.ledger import Action, Draft, LedgerState
from belisha.components.shared.registry import open_registry
from belisha.components.shared.verdict import Verdict
from tests.kube.api_server import KubeServer
from tests.kube.seldon_world import SeldonWorld

NAMESPACE = "ml"


def template_text(image: str = "belisha/serve:0.1.0", storage_uri: str = "", **changes: Any) -> str:
    """A release template as the chart renders one, with little in it."""
    environment = [{"name": "BELISHA_STORAGE_URI", "value": storage_uri}]
    container = {
        "name": "detector",
        "image": image,
        "env": environment,
        "ports": [{"name": "metrics", "containerPort": 6000}],
    }
    version = {"name": "version", "value": "@VERSION@", "type": "STRING"}
    detector = {
        "graph": {"name": "detector", "type": "MODEL", "parameters": [version]},
        "component": {"spec": {"containers": [container]}},
    }
    body = {
        "apiVersion": "machinelearning.seldon.io/v1",
        "kind": "SeldonDeployment",
        "metadata": {"name": "belisha", "labels": {"app.kubernetes.io/part-of": "belisha"}},
        "spec": {"protocol": "seldon"},
    }
    root = {
        "schema": TEMPLATE_SCHEMA, "mode": "split", "shadow_percent": 0, "object": body,
        "predictor": {"labels": {"version": "@VERSION@"}, "replicas": 1}, "detector": detector, **changes,
    }  # fmt: skip
    return json.dumps(root)


def template(**changes: Any) -> ReleaseTemplate:
    return parse_release_template(template_text(**changes))


def api_of(server: KubeServer) -> KubeApi:
    from kubernetes import client

    settings = client.Configuration(host=server.url)
    return KubeApi(api_client(settings))


def applier(
    server: KubeServer,
    storage_uri: str,
    *,
    seconds: float = 20,
    shape: ReleaseTemplate | None = None,
    adopt: bool = False,
    api: KubeApi | None = None,
    told: list[str] | None = None,
    **settings: Any,
) -> Applier:
    """An applier that waits in steps of milliseconds."""
    kept = ApplySettings(stage_seconds=seconds, poll_seconds=1, **settings)
    tell = (lambda _: None) if told is None else told.append
    made = applier_with(
        api or api_of(server), storage_uri, shape or template(), NAMESPACE, ClusterOptions(adopt=adopt), kept, tell
    )
    # The server's world moves when it is looked at, so nobody has to wait for it.
    made.pause = lambda _: None
    return made


def decide(storage_uri: str, champion: str | None, challenger: str | None = None, ratio: float = 0.0) -> None:
    """Put a state into the ledger, as a person or the judge would."""
    state = LedgerState(champion, challenger, ratio)
    draft = Draft(Action.TRAFFIC, champion or "", "the test wants it", state)
    apply_move(open_registry(storage_uri), lambda *_: policy.Move("", draft))


def actions(storage_uri: str) -> list[str]:
    return [record.draft.action.value for record in open_registry(storage_uri).ledger.records()]


def details_of_last(storage_uri: str) -> Mapping[str, Any]:
    return open_registry(storage_uri).ledger.records()[-1].draft.details


def storage_in(folder: Path) -> str:
    return str(folder / "storage")


def apply(server: KubeServer, storage: str, **more: object) -> ApplyOutcome:
    return applier(server, storage, **more).apply()  # type: ignore[arg-type]


def on_trial(server: KubeServer, world: SeldonWorld, storage: str, ratio: float) -> None:
    """v1 is champion and v2 its challenger, in ledger and cluster."""
    decide(storage, "v1", "v2", ratio)
    assert apply(server, storage).status.verdict is Verdict.PASS
    world.history.clear()


class KilledError(BaseException):
    """What a kill looks like from inside."""
