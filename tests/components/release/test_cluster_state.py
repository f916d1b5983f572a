"""What the controller reads of a cluster, on objects that Seldon's operator 1.17.1 wrote."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from belisha.components.release.cluster_state import (
    ClusterState,
    Mesh,
    covers,
    mesh_of_mappings,
    mesh_of_virtual_service,
    pod_trouble,
    workload_of,
)
from belisha.components.release.rollout import Present
from tests.kube.api_server import Key, KubeServer, RefusalError
from tests.kube.seldon_world import SELDON, SeldonWorld

RECORDED = Path(__file__).parent / "recorded"
TRIAL: dict[str, Any] = json.loads((RECORDED / "trial.json").read_text())
ANSWERS: dict[str, Any] = json.loads((RECORDED / "answers.json").read_text())


def state(**changes: Any) -> ClusterState:
    trial = {**copy.deepcopy(TRIAL), **changes}
    workloads = [workload_of(one, "belisha") for one in trial["deployments"]]
    return ClusterState(trial["seldon_deployment"], workloads, mesh_of_virtual_service(trial["virtual_service"]))


def test_a_trial_as_the_operator_wrote_it() -> None:
    found = state()
    assert found.present() == (Present("v6", 75, ready=True), Present("v9", 25, ready=True))
    assert found.mesh.weights == {"y-v6": 75, "y-v9": 25}
    assert found.is_settled() and found.is_ours and not found.leftovers() and found.record_number == 58


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda one: one["status"].update(observedGeneration=0), "the Deployment has not been looked at yet"),
        (lambda one: one["status"].update(unavailableReplicas=1), "an old pod is still there"),
        (lambda one: one["status"].update(updatedReplicas=0), "only old pods are ready"),
        (lambda one: one["status"].pop("readyReplicas"), "nobody is ready"),
        (
            lambda one: one["spec"]["template"]["spec"]["containers"][0].update(image="other:1"),
            "the operator lags behind",
        ),
        (lambda one: one["spec"]["template"]["spec"]["containers"][0]["env"].clear(), "the operator lags behind"),
        (lambda one: one["spec"]["template"]["spec"]["containers"][0]["resources"].clear(), "the operator lags behind"),
        (lambda one: one["spec"]["template"]["spec"]["containers"][0].pop("startupProbe"), "the operator lags behind"),
        (
            lambda one: one["spec"]["template"]["metadata"]["labels"].update({"seldon.io/shadow": "true"}),
            "still a shadow",
        ),
    ],
)
def test_what_is_not_ready(change: Any, why: str) -> None:
    deployments = copy.deepcopy(TRIAL["deployments"])
    change(deployments[0])
    ready = {one.version: one.ready for one in state(deployments=deployments).present() or ()}
    assert list(ready.values()).count(False) == 1, why


def test_quantities_that_the_api_server_spells_otherwise_are_the_same() -> None:
    body = copy.deepcopy(TRIAL["seldon_deployment"])
    for predictor in body["spec"]["predictors"]:
        container = predictor["componentSpecs"][0]["spec"]["containers"][0]
        for kind in ("requests", "limits"):
            container["resources"][kind]["cpu"] = str(float(container["resources"][kind]["cpu"]))
    assert all(one.ready for one in state(seldon_deployment=body).present() or ())


def test_one_route_that_differs_is_not_settled() -> None:
    virtual_service = copy.deepcopy(TRIAL["virtual_service"])
    virtual_service["spec"]["http"][1]["route"][0]["weight"] = 100
    assert not state(virtual_service=virtual_service).is_settled()


def test_a_router_is_no_version() -> None:
    body = copy.deepcopy(TRIAL["seldon_deployment"])
    body["spec"]["predictors"][0]["name"] = "r-v6-v9"
    assert state(seldon_deployment=body).present() is None


def test_components_of_one_predictor_may_name_their_containers_alike() -> None:
    """In router mode each detector has its own Deployment, and all of them an init container of the same name."""
    body, deployments = copy.deepcopy(TRIAL["seldon_deployment"]), copy.deepcopy(TRIAL["deployments"])
    first, second = body["spec"]["predictors"]
    first["componentSpecs"] += second["componentSpecs"]
    deployments[1]["spec"]["template"]["metadata"]["labels"]["seldon-app"] = "belisha-y-v6"
    body["spec"]["predictors"] = [first]
    assert state(seldon_deployment=body, deployments=deployments).is_ready(first)
    deployments[1]["spec"]["template"]["spec"]["initContainers"][0]["args"] = ["--version", "v1"]
    assert not state(seldon_deployment=body, deployments=deployments).is_ready(first)


def test_deployments_of_similar_names_are_told_apart() -> None:
    deployments = copy.deepcopy(TRIAL["deployments"])
    for name, one in zip(("belisha-y-v6-0-detector", "belisha-y-v66-0-detector"), deployments, strict=True):
        one["metadata"]["name"] = name
        one["spec"]["template"]["metadata"]["labels"] = {"app": name}
    assert [workload_of(one, "belisha").predictor for one in deployments] == ["y-v6", "y-v66"]


def test_leftovers_are_deployments_of_nobody() -> None:
    body = copy.deepcopy(TRIAL["seldon_deployment"])
    body["spec"]["predictors"] = body["spec"]["predictors"][:1]
    assert state(seldon_deployment=body).leftovers() == ["belisha-y-v9-0-detector"]


def test_ambassador_gives_the_first_predictor_what_remains() -> None:
    def mapping(predictor: str, kind: str, weight: int | None) -> dict[str, Any]:
        spec = {} if weight is None else {"weight": weight}
        return {"metadata": {"name": f"seldon-ml-belisha-{predictor}-{kind}"}, "spec": spec}

    mappings = [mapping("y-v1", kind, None) for kind in ("rest", "grpc")]
    mappings += [mapping("y-v2", kind, 20) for kind in ("rest", "grpc")]
    assert mesh_of_mappings(mappings, "belisha", "ml") == Mesh("Mapping", {"y-v1": 80, "y-v2": 20}, agrees=True)
    mappings[-1]["spec"]["weight"] = 30
    assert not mesh_of_mappings(mappings, "belisha", "ml").agrees
    assert mesh_of_mappings([], "belisha", "ml").weights is None


def test_a_pod_that_cannot_be_scheduled_says_so() -> None:
    message = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu"
    condition = {"type": "PodScheduled", "status": "False", "message": message}
    assert pod_trouble({"status": {"conditions": [condition]}}) == f"it cannot be scheduled: {message}"
    assert pod_trouble({"status": {"containerStatuses": [{"name": "a", "state": {"running": {}}}]}}) == ""


@pytest.mark.parametrize(
    ("wanted", "found", "same"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, True),
        ({"a": 1}, {"a": 2}, False),
        ({"traffic": 0, "children": []}, {}, True),
        ([1, 2], [1], False),
        ({"a": {"b": [{"c": 1}]}}, {"a": {"b": [{"c": 1, "default": True}]}}, True),
        ({"a": {}}, {"a": None}, True),
    ],
)
def test_covers(wanted: Any, found: Any, same: bool) -> None:
    assert covers(wanted, found) is same


# The stand-in answers as the real one did.


@pytest.fixture
def server() -> Any:
    made = KubeServer()
    SeldonWorld(made)
    yield made
    made.close()


def refusal_of(server: KubeServer, change: Any, *, create: bool = False) -> RefusalError:
    body = copy.deepcopy(TRIAL["seldon_deployment"])
    body["spec"]["predictors"] = body["spec"]["predictors"][:1]
    body["spec"]["predictors"][0]["traffic"] = 100
    if server.read(Key(SELDON, "belisha")) is None:
        server.write(Key(SELDON, "belisha"), body, create=True)
    change(body)
    with pytest.raises(RefusalError) as raised:
        server.write(Key(SELDON, "belisha"), body, create=create)
    return raised.value


def second(traffic: int, name: str) -> Any:
    def change(body: Any) -> None:
        body["spec"]["predictors"].append({**body["spec"]["predictors"][0], "traffic": traffic, "name": name})

    return change


@pytest.mark.parametrize(
    ("recorded", "change", "create"),
    [
        ("conflict", lambda body: body["metadata"].update(resourceVersion="0"), False),
        ("exists", lambda _: None, True),
        ("webhook_single_traffic", lambda body: body["spec"]["predictors"][0].update(traffic=50), False),
        ("webhook_sum", second(20, "y-v99"), False),
        ("webhook_duplicate", second(0, "y-v6"), False),
    ],
)
def test_the_stand_in_refuses_as_the_real_one_did(server: KubeServer, recorded: str, change: Any, create: bool) -> None:
    real, ours = ANSWERS[recorded], refusal_of(server, change, create=create)
    assert (ours.code, ours.reason) == (real["status"], real["body"]["reason"])
    assert real["body"]["message"].rsplit(": ", 1)[-1].split('"')[-1] in str(ours)


def test_an_expired_watch_was_an_event_of_a_good_answer() -> None:
    recorded = ANSWERS["watch_expired"]
    assert recorded["status"] == 200 and recorded["lines"][0]["object"]["code"] == 410
