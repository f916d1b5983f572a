"""The in-graph router: the gateway's decisions, from parameters, policy file and ledger."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from belisha.components.route import Caller, Denied, Policy, Target, route
from belisha.components.route.following import Child, PolicyFile, targets_of
from belisha.components.route.router import Facts, RouteDeniedError, TrafficRouter, caller_of
from belisha.components.shared.errors import InputError
from belisha.components.shared.ledger import Action, Draft, Ledger, LedgerState
from belisha.components.shared.storage import open_store
from tests.components.route.wrapped import wait_until

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
RULES = """
schema: belisha.policy/1
experiment: spring
sticky_by: camera
rules:
  - {name: no scrapers, when: {clients: ["scraper-*"]}, deny: "scrapers are not served: ask the platform team"}
  - {name: lab, when: {clients: [lab]}, use: challenger}
  - {name: qa, when: {clients: [qa]}, may_choose: true}
camera_classes:
  - {name: embedded, cameras: ["gate-*"], max_model_bytes: 15}
"""


# --- what the parameters say -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        pytest.param({"children": ""}, "one or two different", id="no child"),
        pytest.param({"children": "v1,v1"}, "one or two different", id="a child twice"),
        pytest.param({"children": "v1,v2,v3"}, "one or two different", id="three children"),
        pytest.param({"children": "v1,v2", "children_bytes": "10"}, "a number for each", id="one size for two"),
        pytest.param({"children": "v1", "children_bytes": "ten"}, "a number for each", id="size no number"),
        pytest.param({"children": "v1,v2", "challenger_traffic_ratio": 1.5}, "expected 0 to 1", id="share over 1"),
        pytest.param({"children": "v1", "policy_path": "/nowhere.yaml"}, "no readable policy", id="no policy file"),
    ],
)
def test_bad_parameters_are_one_sentence(parameters: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        TrafficRouter(**parameters)


CHILDREN = [Child("v7", 10), Child("v8", 20)]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        pytest.param(LedgerState("v7", "v8", 0.25), [("v7", "champion", 0.75), ("v8", "challenger", 0.25)], id="trial"),
        pytest.param(LedgerState("v8"), [("v8", "champion", 1.0)], id="promoted, the former champion still a child"),
        pytest.param(LedgerState("v8", "v7", 0.1), [("v8", "champion", 0.9), ("v7", "challenger", 0.1)], id="swapped"),
        pytest.param(LedgerState("v7", "v9", 0.5), [("v7", "champion", 1.0)], id="challenger not in the graph yet"),
        pytest.param(LedgerState("v9", "v8", 0.5), [("v7", "champion", 1.0)], id="champion not in the graph yet"),
        pytest.param(LedgerState(), [("v7", "champion", 1.0)], id="empty ledger"),
        pytest.param(LedgerState("v7", "v7", 0.5), [("v7", "champion", 1.0)], id="challenges itself"),
    ],
)
def test_the_children_that_serve(state: LedgerState, expected: list[tuple[str, str, float]]) -> None:
    assert [(t.version, t.role, t.traffic_ratio) for t in targets_of(CHILDREN, state)] == expected


# --- what a request says -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param(
            Facts({"camera": "a", "client": "b", "model": "v2"}, "p", {}), Caller("p", "b", "a", "v2"), id="tags"
        ),
        pytest.param(
            Facts({"camera": "tag"}, "p", {"x-belisha-camera": "edge"}), Caller("p", camera="edge"), id="header first"
        ),
        pytest.param(Facts({"request_id": "t"}, "p", {}), Caller("t"), id="request id in a tag"),
        pytest.param(Facts({}, "p", {"seldon-puid": "s"}), Caller("s"), id="Seldon's header"),
        pytest.param(Facts({}, "p", {"seldon-puid": "s", "x-request-id": "x"}), Caller("x"), id="the edge's id first"),
        pytest.param(
            Facts({"camera": 7, "client": None, "model": ["v2"]}, "p", {}), Caller("p"), id="tags of other types"
        ),
    ],
)
def test_the_caller_of_a_message(facts: Facts, expected: Caller) -> None:
    assert caller_of(facts) == expected


def test_a_message_without_id_gets_one_of_its_own() -> None:
    ids = {caller_of(Facts({}, "", {})).request_id for _ in range(20)}
    assert len(ids) == 20
    assert "" not in ids


names = st.sampled_from(["", "lab", "qa", "scraper-1", "gate-1", "gate-2", "north", "south", "v1", "v2", "challenger"])
policies = st.builds(
    lambda experiment, sticky: Policy.model_validate(
        {**_rules(), "experiment": experiment, "sticky_by": sticky, "shadow_ratio": 0.5}
    ),
    st.sampled_from(["one", "two"]),
    st.sampled_from(["camera", "client", "request"]),
)


def _rules() -> dict[str, Any]:
    return dict(yaml.safe_load(RULES))


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> TrafficRouter:
    return TrafficRouter("v1,v2", children_bytes="10,20")


@given(policy=policies, ratio=st.floats(0, 1), request_id=st.text(min_size=1), client=names, camera=names, wanted=names)
def test_router_and_gateway_decide_alike(
    router: TrafficRouter, policy: Policy, ratio: float, request_id: str, client: str, camera: str, wanted: str
) -> None:
    """The gateway's targets come with their sizes from the registry, the router's from its parameters."""
    router._policy.policy = policy
    router._targets = targets_of(router._children, LedgerState("v1", "v2", ratio))
    caller = Caller(request_id, client, camera, wanted)
    gateways = [Target("v1", "champion", 1 - ratio, 10), Target("v2", "challenger", ratio, 20)]
    expected = route(policy, gateways, caller, NOON)
    if isinstance(expected, Denied):
        with pytest.raises(RouteDeniedError) as refusal:
            router.decide(caller, NOON)
        assert str(refusal.value) == expected.reason
    else:
        assert router.decide(caller, NOON) == expected


def test_without_sizes_a_camera_with_a_bound_is_refused_rather_than_overloaded(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(RULES)
    found = TrafficRouter("v1,v2", 0.5, policy_path=str(tmp_path / "policy.yaml"))
    with pytest.raises(RouteDeniedError, match="small enough"):
        found.decide(Caller("r", camera="gate-1"), NOON)


# --- what it follows ---------------------------------------------------------------------------------------------------


def test_a_policy_follows_its_file_through_a_link_and_survives_a_bad_one(tmp_path: Path) -> None:
    """A ConfigMap is replaced by turning a link to another folder."""
    for name, text in (("a", "experiment: one"), ("b", "experiment: two"), ("bad", "experiment: [")):
        (tmp_path / name).write_text(text)
    link = tmp_path / "policy.yaml"
    link.symlink_to("a")
    file = PolicyFile(link)

    def turn(to: str) -> bool:
        (tmp_path / "next").symlink_to(to)
        (tmp_path / "next").replace(link)
        return file.look()

    assert file.policy.experiment == "one"
    assert turn("b")
    assert file.policy.experiment == "two"
    assert not turn("bad")
    assert not file.look(), "a bad file stays bad at the next look"
    assert file.policy.experiment == "two"
    assert turn("a")
    assert file.policy.experiment == "one"


def promote(storage: Path, state: LedgerState) -> None:
    ledger = Ledger(open_store(str(storage / "registry")), actor="test")
    ledger.append(lambda _, __: Draft(Action.TRAFFIC, "v2", "a test", state))


def test_weights_follow_the_ledger_and_outlive_its_damage(tmp_path: Path) -> None:
    promote(tmp_path, LedgerState("v1", "v2", 0.5))
    found = TrafficRouter("v1,v2", storage_uri=str(tmp_path), follow_seconds=0.02)
    found.load()
    try:
        assert [t.traffic_ratio for t in found.targets] == [0.5, 0.5]
        promote(tmp_path, LedgerState("v2"))
        wait_until(lambda: [t.version for t in found.targets] == ["v2"])
        (tmp_path / "registry" / "ledger" / "00000003.json").write_text("{")
        wait_until(lambda: 'source="ledger"} 1.0' in found.metrics.page().exposition().decode())
        assert [t.version for t in found.targets] == ["v2"]
    finally:
        found.close()
