"""Routing: sticky, fair, monotone in the challenger's share, and never against a rule."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from belisha.components.route import Caller, Denied, Policy, Route, Target, route

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def targets(share: float = 0.2, challenger_bytes: int = 20) -> list[Target]:
    return [Target("v1", "champion", 1 - share, 10), Target("v2", "challenger", share, challenger_bytes)]


def answered(policy: Policy, caller: Caller, share: float = 0.2, **kind: int) -> Route:
    found = route(policy, targets(share, **kind), caller, NOON)
    assert isinstance(found, Route)
    return found


def test_a_lone_champion_answers_everything() -> None:
    found = route(Policy(), [Target("v1", "champion", 1.0, 10)], Caller("r"), NOON)
    assert isinstance(found, Route)
    assert (found.target.version, found.shadow) == ("v1", None)


def test_a_camera_keeps_its_model_and_a_new_experiment_draws_anew() -> None:
    cameras = [f"camera-{index}" for index in range(200)]

    def assigned(experiment: str) -> list[str]:
        policy = Policy(experiment=experiment)
        first, second = (
            [answered(policy, Caller(f"{run}{c}", camera=c)).target.version for c in cameras] for run in "ab"
        )
        assert first == second
        return first

    assert assigned("one") != assigned("two")


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.8])
def test_the_realised_share_is_the_wanted_one(share: float) -> None:
    policy = Policy(sticky_by="request")
    hits = sum(answered(policy, Caller(f"request-{index}"), share).target.role == "challenger" for index in range(4000))
    assert binomtest(hits, 4000, share).pvalue > 1e-4


@given(camera=st.text(max_size=20), low=st.floats(0, 1), high=st.floats(0, 1))
def test_raising_the_share_never_takes_a_camera_from_the_challenger(camera: str, low: float, high: float) -> None:
    low, high = sorted((low, high))
    caller = Caller("r", camera=camera)
    if answered(Policy(), caller, low).target.role == "challenger" and low > 0:
        assert answered(Policy(), caller, high).target.role == "challenger"


@pytest.mark.parametrize(("share", "role"), [(0.0, "champion"), (1.0, "challenger")])
def test_the_ends_are_exact(share: float, role: str) -> None:
    policy = Policy(sticky_by="request")
    assert {answered(policy, Caller(f"{index}"), share).target.role for index in range(300)} == {role}


RULES = Policy.model_validate(
    {
        "rules": [
            {"name": "no scrapers", "when": {"clients": ["scraper-*"]}, "deny": "not entitled: ask the platform team"},
            {"name": "lab", "when": {"clients": ["lab"]}, "use": "challenger"},
            {"name": "qa", "when": {"clients": ["qa"]}, "may_choose": True},
        ],
        "camera_classes": [{"name": "embedded", "cameras": ["gate-*"], "max_model_bytes": 15}],
    }
)


@pytest.mark.parametrize(
    ("caller", "expected"),
    [
        pytest.param(Caller("r", client="scraper-1"), "not entitled", id="denied"),
        pytest.param(Caller("r", client="scraper-1", wanted="v1"), "not entitled", id="denied before any choice"),
        pytest.param(Caller("r", client="x", wanted="v2"), "may not choose", id="choice without entitlement"),
        pytest.param(
            Caller("r", client="qa", wanted="v9"), "does not serve now: choose one of champion v1", id="unknown model"
        ),
    ],
)
def test_refusals_say_why(caller: Caller, expected: str) -> None:
    found = route(RULES, targets(), caller, NOON)
    assert isinstance(found, Denied)
    assert expected in found.reason


@pytest.mark.parametrize(
    ("caller", "version"),
    [
        pytest.param(Caller("r", client="lab"), "v2", id="rule names the challenger"),
        pytest.param(Caller("r", client="qa", wanted="challenger"), "v2", id="choice by role"),
        pytest.param(Caller("r", client="qa", wanted="v1"), "v1", id="choice by version"),
        pytest.param(Caller("r", client="lab", camera="gate-1"), "v1", id="size bound before the rule"),
    ],
)
def test_forced_answers_do_not_count_as_drawn(caller: Caller, version: str) -> None:
    found = answered(RULES, caller, share=0.5)
    assert found.target.version == version
    assert not found.drawn


def test_an_embedded_camera_never_meets_a_model_above_its_size_not_even_as_shadow() -> None:
    policy = RULES.model_copy(update={"shadow_ratio": 1.0, "sticky_by": "request"})
    for index in range(200):
        found = answered(policy, Caller(f"{index}", camera="gate-1"), share=1.0)
        assert (found.target.version, found.shadow) == ("v1", None)


def test_no_model_small_enough_is_a_refusal() -> None:
    found = route(RULES, [Target("v1", "champion", 1.0, 99)], Caller("r", camera="gate-1"), NOON)
    assert isinstance(found, Denied)
    assert "small enough" in found.reason


def test_a_rule_for_an_absent_challenger_falls_back_to_the_split() -> None:
    found = route(RULES, [Target("v1", "champion", 1.0, 10)], Caller("r", client="lab"), NOON)
    assert isinstance(found, Route)
    assert found.target.version == "v1"


def test_the_shadow_is_the_other_model_for_its_share_of_requests() -> None:
    policy = Policy(shadow_ratio=0.3, sticky_by="request")
    found = [answered(policy, Caller(f"{index}"), 0.0) for index in range(2000)]
    shadows = [item.shadow for item in found if item.shadow is not None]
    assert {item.version for item in shadows} == {"v2"}
    assert binomtest(len(shadows), 2000, 0.3).pvalue > 1e-4
