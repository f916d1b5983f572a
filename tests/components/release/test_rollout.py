"""The order of a rollout: rules one by one, and as properties of any way from any state to any other."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from belisha.components.release.rollout import Present, Stage, Step, as_it_stands, next_step
from belisha.components.release.seldon_deployment import Placement, check_placements

VERSIONS = ("v1", "v2", "v3", "v4")


def wanted(champion: str, challenger: str | None = None, percent: int = 0, *, shadow: bool = False) -> list[Placement]:
    if challenger is None:
        return [Placement(champion, "champion", 100)]
    share = 0 if shadow else percent
    return [Placement(champion, "champion", 100 - share), Placement(challenger, "challenger", percent, shadow)]


def ready(version: str, percent: int, *, shadow: bool = False) -> Present:
    return Present(version, percent, shadow, ready=True)


def unready(version: str, percent: int) -> Present:
    return Present(version, percent)


@pytest.mark.parametrize(
    ("present", "target", "settled", "stage", "layout"),
    [
        # The first one comes alone: with a challenger that crashes beside it, nobody would ever serve.
        ([], wanted("v1", "v2", 20), True, Stage.WRITE, [("v1", 100)]),
        # A challenger comes without traffic, and only to a champion that is well.
        ([ready("v1", 100)], wanted("v1", "v2", 20), True, Stage.WRITE, [("v1", 100), ("v2", 0)]),
        ([unready("v1", 100)], wanted("v1", "v2", 20), True, Stage.WAIT, []),
        # Shares move when both are ready.
        ([ready("v1", 100), unready("v2", 0)], wanted("v1", "v2", 20), True, Stage.WAIT, []),
        ([ready("v1", 100), ready("v2", 0)], wanted("v1", "v2", 20), True, Stage.WRITE, [("v1", 80), ("v2", 20)]),
        ([ready("v1", 80), ready("v2", 20)], wanted("v1", "v2", 20), False, Stage.WAIT, []),
        ([ready("v1", 80), ready("v2", 20)], wanted("v1", "v2", 20), True, Stage.DONE, [("v1", 80), ("v2", 20)]),
        # A rollback removes, ready or not, at once.
        ([ready("v1", 70), unready("v2", 30)], wanted("v1"), False, Stage.WRITE, [("v1", 100)]),
        ([ready("v1", 70), ready("v2", 30)], wanted("v1"), True, Stage.WRITE, [("v1", 100)]),
        # A promotion moves requests, lets them arrive, then drops.
        ([ready("v1", 70), ready("v2", 30)], wanted("v2"), True, Stage.WRITE, [("v2", 100), ("v1", 0)]),
        ([ready("v2", 100), ready("v1", 0)], wanted("v2"), False, Stage.WAIT, []),
        ([ready("v2", 100), ready("v1", 0)], wanted("v2"), True, Stage.WRITE, [("v2", 100)]),
        # One that holds everything up is not waited for.
        ([unready("v1", 70), ready("v2", 30)], wanted("v2"), False, Stage.WRITE, [("v2", 100)]),
        ([ready("v2", 100), unready("v1", 0)], wanted("v2"), False, Stage.WRITE, [("v2", 100)]),
        # A champion that has no predictor: who serves goes on alone until it has.
        ([ready("v1", 70), ready("v2", 30)], wanted("v3"), True, Stage.WRITE, [("v1", 100)]),
        ([ready("v1", 100)], wanted("v3"), False, Stage.WAIT, []),
        ([ready("v1", 100)], wanted("v3"), True, Stage.WRITE, [("v1", 100), ("v3", 0)]),
        ([unready("v1", 100)], wanted("v3"), False, Stage.WRITE, [("v1", 100), ("v3", 0)]),
        ([ready("v1", 100), unready("v3", 0)], wanted("v3"), True, Stage.WAIT, []),
        # Champion and challenger change places without a restart.
        ([ready("v1", 70), ready("v2", 30)], wanted("v2", "v1", 10), True, Stage.WRITE, [("v2", 90), ("v1", 10)]),
        # A shadow stops being one before it may answer.
        (
            [ready("v1", 100), ready("v2", 50, shadow=True)],
            wanted("v1", "v2", 20),
            True,
            Stage.WRITE,
            [("v1", 100), ("v2", 0)],
        ),
        ([ready("v1", 100), ready("v2", 50, shadow=True)], wanted("v2"), True, Stage.WRITE, [("v1", 100), ("v2", 0)]),
    ],
)
def test_rules(
    present: list[Present], target: list[Placement], settled: bool, stage: Stage, layout: list[tuple[str, int]]
) -> None:
    step = next_step(present, target, settled=settled)
    assert (step.stage, [(one.version, one.traffic_percent) for one in step.layout]) == (stage, layout), step.sentence


def test_a_wait_names_who_is_waited_for() -> None:
    step = next_step([ready("v1", 100), unready("v2", 0)], wanted("v1", "v2", 20), settled=True)
    assert step.waits_for == ("v2",) and "v2 is not ready" in step.sentence


def test_what_stands_there_keeps_its_shares_under_its_new_roles() -> None:
    standing = as_it_stands([ready("v1", 70), ready("v2", 30)], wanted("v2"))
    assert [(one.version, one.role, one.traffic_percent) for one in standing] == [
        ("v1", "draining", 70),
        ("v2", "champion", 30),
    ]


@dataclasses.dataclass
class Simulation:
    """Seldon's operator without a cluster: everything gets ready but what is broken; weights move when all is ready."""

    broken: frozenset[str]
    present: list[Present] = dataclasses.field(default_factory=list)
    mesh: dict[str, int] = dataclasses.field(default_factory=dict)

    def write(self, layout: Sequence[Placement]) -> None:
        check_placements(layout)
        known = {one.version: one for one in self.present}
        self.present = [
            Present(one.version, one.traffic_percent, one.shadow, self._stays_ready(known.get(one.version), one))
            for one in layout
        ]
        self._route()

    def tick(self) -> None:
        self.present = [dataclasses.replace(one, ready=one.version not in self.broken) for one in self.present]
        self._route()

    def _stays_ready(self, before: Present | None, now: Placement) -> bool:
        return before is not None and before.ready and before.shadow == now.shadow and now.version not in self.broken

    def _route(self) -> None:
        if all(one.ready for one in self.present):
            self.mesh = self._weights()

    def _weights(self) -> dict[str, int]:
        return {one.version: one.traffic_percent for one in self.present if one.traffic_percent and not one.shadow}

    def step(self, target: Sequence[Placement]) -> Step:
        return next_step(self.present, target, settled=self.mesh == self._weights())


targets = st.builds(
    lambda pair, percent, shadow, alone: wanted(pair[0]) if alone else wanted(pair[0], pair[1], percent, shadow=shadow),
    st.permutations(VERSIONS),
    st.integers(0, 100),
    st.booleans(),
    st.booleans(),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(targets, min_size=1, max_size=5), st.lists(st.integers(0, 5), min_size=5, max_size=5))
def test_any_way_ends_where_it_should_and_never_leaves_requests_unanswered(
    goals: list[list[Placement]], patience: list[int]
) -> None:
    """The ledger may change its mind in the middle of anything."""
    world = Simulation(frozenset())
    for goal, steps in zip(goals, [*patience[: len(goals) - 1], 40], strict=False):
        for _ in range(steps):
            step = world.step(goal)
            if step.stage is Stage.WRITE:
                world.write(step.layout)
            served = bool(world.mesh)
            world.tick()
            assert world.mesh or not served
            assert all(any(one.version == version and one.ready for one in world.present) for version in world.mesh)
    assert world.step(goals[-1]).stage is Stage.DONE
    assert world.mesh == {
        one.version: one.traffic_percent for one in goals[-1] if one.traffic_percent and not one.shadow
    }


@settings(max_examples=200, deadline=None)
@given(targets, st.sampled_from(VERSIONS), st.permutations(VERSIONS))
def test_one_that_is_broken_gets_no_request_and_a_rollback_always_works(
    goal: list[Placement], broken: str, others: list[str]
) -> None:
    first = next(version for version in others if version != broken)
    world = Simulation(frozenset({broken}))
    for target, turns in ((wanted(first), 6), (goal, 20), (wanted(first), 20)):
        for _ in range(turns):
            step = world.step(target)
            if step.stage is Stage.WRITE:
                world.write(step.layout)
            world.tick()
            assert broken not in world.mesh
    assert world.mesh == {first: 100} and [one.version for one in world.present] == [first]
