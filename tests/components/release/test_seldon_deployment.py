"""From a ledger's state and a template to the object: shares, names, what may stand where, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from belisha.components.release.release_template import (
    TEMPLATE_SCHEMA,
    Mode,
    ReleaseTemplate,
    parse_release_template,
)
from belisha.components.release.seldon_deployment import (
    Placement,
    placements,
    seldon_deployment,
    traffic_percent,
)
from belisha.components.shared.errors import ContractError, InputError
from belisha.components.shared.ledger import LedgerState


def template_value(mode: str = "split", shadow_percent: int = 0) -> dict[str, Any]:
    def node(name: str) -> dict[str, Any]:
        return {
            "graph": {
                "name": name,
                "type": "MODEL",
                "parameters": [{"name": "v", "type": "STRING", "value": "@VERSION@"}],
            },
            "component": {"metadata": {"name": name}, "spec": {"containers": [{"name": name, "args": ["@VERSION@"]}]}},
        }

    value = {
        "schema": TEMPLATE_SCHEMA,
        "mode": mode,
        "shadow_percent": shadow_percent,
        "object": {
            "apiVersion": "machinelearning.seldon.io/v1",
            "kind": "SeldonDeployment",
            "metadata": {"name": "belisha", "namespace": "ml", "annotations": {"mine": "kept"}},
            "spec": {"protocol": "seldon"},
        },
        "predictor": {"replicas": 2, "labels": {"version": "@VERSION@"}},
        "detector": node("detector-@VERSION@"),
    }
    return {**value, "router": node("router")} if mode == "router" else value


def template(mode: str = "split", shadow_percent: int = 0) -> ReleaseTemplate:
    return parse_release_template(json.dumps(template_value(mode, shadow_percent)))


def rendered(state: LedgerState, mode: str = "split", shadow_percent: int = 0, **also: Any) -> list[dict[str, Any]]:
    shape = template(mode, shadow_percent)
    predictors: list[dict[str, Any]] = seldon_deployment(placements(state, shape, **also), shape)["spec"]["predictors"]
    return predictors


@pytest.mark.parametrize(
    ("state", "shares"),
    [
        (LedgerState("v7"), {"y-v7": 100}),
        (LedgerState("v7", "v8", 0.0), {"y-v7": 100, "y-v8": 0}),
        (LedgerState("v7", "v8", 0.2), {"y-v7": 80, "y-v8": 20}),
        (LedgerState("v7", "v8", 1.0), {"y-v7": 0, "y-v8": 100}),
        (LedgerState("v7", "v8", 0.001), {"y-v7": 99, "y-v8": 1}),
        (LedgerState("v7", "v8", 0.999), {"y-v7": 1, "y-v8": 99}),
        (LedgerState("v7", "v7", 0.5), {"y-v7": 100}),
    ],
)
def test_shares(state: LedgerState, shares: dict[str, int]) -> None:
    assert {it["name"]: it["traffic"] for it in rendered(state)} == shares


@given(ratio=st.floats(0, 1), shadow_percent=st.integers(0, 100), mode=st.sampled_from(Mode))
def test_whatever_the_share_the_whole_is_hundred_and_a_part_stays_a_part(
    ratio: float, shadow_percent: int, mode: Mode
) -> None:
    found = rendered(LedgerState("v7", "v8", ratio), mode, shadow_percent)
    assert sum(it["traffic"] for it in found if not it.get("shadow")) == 100
    assert all(0 <= it["traffic"] <= 100 for it in found)
    assert (traffic_percent(ratio) in (0, 100)) == (ratio in (0.0, 1.0))


def test_before_the_first_release_nobody_runs() -> None:
    assert placements(LedgerState(), template()) == ()
    with pytest.raises(InputError, match="release a model first"):
        seldon_deployment((), template())


def test_a_promotion_changes_nothing_of_the_predictor_that_stays_but_its_share() -> None:
    before = rendered(LedgerState("v7", "v8", 0.5))[1]
    after = rendered(LedgerState("v8"))[0]
    assert {**before, "traffic": 100} == after


def test_a_draining_version_gets_nothing_and_comes_last() -> None:
    found = rendered(LedgerState("v8"), draining=("v7", "v8"))
    assert [(it["name"], it["traffic"]) for it in found] == [("y-v8", 100), ("y-v7", 0)]


def test_a_shadow_sees_copies_only_while_it_has_no_traffic() -> None:
    idle, trial = (
        rendered(LedgerState("v7", "v8", 0.0), shadow_percent=25),
        rendered(LedgerState("v7", "v8", 0.1), shadow_percent=25),
    )
    assert [(it["traffic"], it.get("shadow")) for it in idle] == [(100, None), (25, True)]
    assert [(it["traffic"], it.get("shadow")) for it in trial] == [(90, None), (10, None)]


def test_a_routers_graph_holds_all_and_changes_with_no_share() -> None:
    [before], [after] = (rendered(LedgerState("v7", "v8", ratio), "router") for ratio in (0.1, 0.9))
    assert before == after
    assert before["name"] == "r-v7-v8"
    assert before["traffic"] == 100
    assert [child["name"] for child in before["graph"]["children"]] == ["detector-v7", "detector-v8"]
    assert before["graph"]["parameters"][-1] == {"name": "children", "value": "v7,v8", "type": "STRING"}
    assert [it["metadata"]["name"] for it in before["componentSpecs"]] == ["router", "detector-v7", "detector-v8"]


def test_a_router_is_told_the_sizes_when_all_are_known() -> None:
    wanted = (Placement("v7", "champion", 60, size_bytes=10), Placement("v8", "challenger", 40, size_bytes=20))
    [routed] = seldon_deployment(wanted, template("router"))["spec"]["predictors"]
    assert routed["graph"]["parameters"][-1]["value"] == "10,20"


def test_roles_runs_and_records_stand_in_the_objects_annotations() -> None:
    shape = template()
    wanted = placements(LedgerState("v7", "v8", 0.2), shape, draining=("v6",))
    body = seldon_deployment(wanted, shape, record_number=12, run_ids={"v8": "run-8"})
    assert body["metadata"]["annotations"] == {
        "mine": "kept",
        "belisha.dev/champion": "v7",
        "belisha.dev/challenger": "v8",
        "belisha.dev/ledger-record": "12",
        "belisha.dev/release-template": shape.digest[:16],
        "belisha.dev/run-ids": '{"v8": "run-8"}',
    }
    assert "champion" not in json.dumps(body["spec"])


def test_the_template_is_not_written_to() -> None:
    shape = template("router")
    before = json.dumps([shape.body, shape.detector.graph, shape.router and shape.router.graph])
    body = seldon_deployment(placements(LedgerState("v7", "v8", 0.2), shape), shape)
    body["spec"]["predictors"][0]["graph"]["children"][0]["name"] = "spoilt"
    assert json.dumps([shape.body, shape.detector.graph, shape.router and shape.router.graph]) == before


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ((Placement("v7", "champion", 150), Placement("v8", "challenger", -50)), "0..100"),
        ((Placement("v7", "champion", 50),), "sum to 100"),
        ((Placement("v7", "champion", 50), Placement("v7", "challenger", 50)), "twice"),
        ((Placement("v7", "champion", 100, shadow=True),), "nobody"),
        ((Placement("v7", "champion", 100), *(Placement(it, "x", 5, shadow=True) for it in ("v8", "v9"))), "two predictors"),
    ],
    ids=["beyond the bounds", "half", "twice the same", "a shadow alone", "two shadows"],
)  # fmt: skip
def test_what_seldon_would_take_or_refuse_later_is_refused_here(wanted: tuple[Placement, ...], words: str) -> None:
    with pytest.raises(InputError, match=words):
        seldon_deployment(wanted, template())


def without(*keys: str) -> dict[str, Any]:
    value = template_value("router")
    inner = value
    for key in keys[:-1]:
        inner = inner[key]
    del inner[keys[-1]]
    return value


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("{", "no JSON"),
        ("[]", "expected an object"),
        (json.dumps({**template_value(), "schema": "belisha.release-template/9"}), "schema"),
        (json.dumps({**template_value(), "traffic": 5}), "traffic"),
        (json.dumps({**template_value(), "mode": "canary"}), "mode"),
        (json.dumps({**template_value(), "shadow_percent": 101}), "shadow_percent"),
        (json.dumps({**template_value(), "shadow_percent": True}), "shadow_percent"),
        (json.dumps(without("router")), "router"),
        (json.dumps(without("detector", "graph", "name")), "detector.graph.name"),
        (json.dumps(without("detector", "component")), "detector.component"),
        (json.dumps(without("object", "metadata", "name")), "object.metadata.name"),
        (json.dumps(without("object", "kind")), "object.kind"),
        (json.dumps({**template_value(), "predictor": []}), "predictor"),
        (
            json.dumps({**template_value(), "object": {**template_value()["object"], "spec": {"predictors": []}}}),
            "predictors",
        ),
    ],
)
def test_a_wrong_template_is_refused_by_the_keys_name(text: str, key: str) -> None:
    with pytest.raises(ContractError, match=key):
        parse_release_template(text, "file")
