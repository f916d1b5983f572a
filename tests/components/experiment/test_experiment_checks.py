"""Each check for itself: the sample ratio, the guards, and mistakes against the truth."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from belisha.components.experiment.guards import (
    Attempts,
    BucketedLatencies,
    MeasuredLatencies,
    ServiceLevels,
    guard_gates,
)
from belisha.components.experiment.outcome import Judged, Tally, Winner, mistakes, tally_of, thinned
from belisha.components.experiment.sample_ratio import (
    Assignments,
    anytime_p_value,
    chi_square_p_value,
    sample_ratio_gate,
)
from belisha.components.experiment.settings import ExperimentSettings, parse_steps
from belisha.components.route.policy import Policy
from belisha.components.route.routing import Caller, Route, Target, route
from belisha.components.shared.errors import InputError
from belisha.components.shared.manifest import Box
from belisha.components.shared.verdict import Verdict
from tests.components.experiment.experimenting import BEGIN, QUICK

PERSON, OTHER = Box(0, 0, 10, 20), Box(50, 0, 10, 20)


def boxes(*given: Box) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.array([(box.x, box.y, box.width, box.height) for box in given], np.float64).reshape(-1, 4)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (Assignments(0.25, 7500, 2500), Verdict.PASS),
        (Assignments(0.25, 7500, 1900), Verdict.FAIL),
        (Assignments(0.05, 9500, 800), Verdict.FAIL),
        (Assignments(0.25, 0, 0), Verdict.INCONCLUSIVE),
        (Assignments(0.0, 900, 0), Verdict.INCONCLUSIVE),
        (Assignments(1.0, 0, 900), Verdict.INCONCLUSIVE),
        (Assignments(0.05, 10, 0, unit="camera"), Verdict.INCONCLUSIVE),
        (Assignments(0.5, 4000, 0), Verdict.FAIL),
        (Assignments(0.25, 3, 1, mixed=1, unit="camera"), Verdict.INCONCLUSIVE),
    ],
)
def test_the_sample_ratio(found: Assignments, verdict: Verdict) -> None:
    gate = sample_ratio_gate(found, 0.001)
    assert gate.verdict is verdict
    assert str(found.units) in gate.sentence.replace(",", "") or not found.units or not 0 < found.share_ratio < 1


@given(st.integers(0, 3000), st.integers(0, 3000), st.floats(0.01, 0.99))
def test_the_p_value_at_all_times_is_a_p_value(champion: int, challenger: int, ratio: float) -> None:
    found = Assignments(ratio, champion, challenger)
    assert 0 <= anytime_p_value(found) <= 1
    assert 0 <= chi_square_p_value(found) <= 1


def levels(
    attempts: int = 1000, failed: int = 0, challenger: float = 0.05, champion: float = 0.05, count: int = 400
) -> ServiceLevels:
    return ServiceLevels(
        [Attempts(attempts, failed, "so far")] if attempts else (),
        MeasuredLatencies(np.full(count, challenger, np.float32)),
        MeasuredLatencies(np.full(400, champion, np.float32)),
    )


@pytest.mark.parametrize(
    ("given_", "errors", "latency"),
    [
        pytest.param(levels(), "PASS", "PASS", id="all is well"),
        pytest.param(ServiceLevels(trouble="nobody answered"), "INCONCLUSIVE", "INCONCLUSIVE", id="no data"),
        pytest.param(levels(attempts=0), "INCONCLUSIVE", "PASS", id="no attempts told"),
        pytest.param(levels(attempts=40), "INCONCLUSIVE", "PASS", id="few attempts"),
        pytest.param(levels(failed=9), "PASS", "PASS", id="within the bound"),
        pytest.param(levels(failed=12), "INCONCLUSIVE", "PASS", id="above the bound, perhaps by chance"),
        pytest.param(levels(failed=40), "FAIL", "PASS", id="far above the bound"),
        pytest.param(levels(attempts=3, failed=3), "FAIL", "PASS", id="an outage at once"),
        pytest.param(levels(attempts=2, failed=2), "INCONCLUSIVE", "PASS", id="two failures are no proof"),
        pytest.param(levels(challenger=0.09), "PASS", "FAIL", id="slower than the champion allows"),
        pytest.param(levels(challenger=2.0, champion=1.9), "PASS", "FAIL", id="over the budget"),
        pytest.param(levels(challenger=0.09, count=2), "PASS", "INCONCLUSIVE", id="two slow answers are no proof"),
        pytest.param(levels(count=0), "PASS", "INCONCLUSIVE", id="no answers"),
        pytest.param(levels(count=20), "PASS", "INCONCLUSIVE", id="few answers"),
    ],
)  # fmt: skip
def test_guards(given_: ServiceLevels, errors: str, latency: str) -> None:
    found = guard_gates(given_, QUICK)
    assert [gate.verdict.value for gate in found] == [errors, latency], [gate.sentence for gate in found]


def test_an_outage_is_seen_after_a_long_calm() -> None:
    gate = guard_gates(ServiceLevels([Attempts(20, 20, "since the last check"), Attempts(10**6, 20, "in all")]), QUICK)[
        0
    ]
    assert gate.verdict is Verdict.FAIL and "20 of 20" in gate.sentence and gate.interval is not None
    assert gate.interval[0] > QUICK.max_error_ratio


def test_without_a_champion_the_budget_can_break_but_nothing_pass() -> None:
    slow = ServiceLevels((), MeasuredLatencies(np.full(400, 3.0, np.float32)), None)
    quick = ServiceLevels((), MeasuredLatencies(np.full(400, 0.01, np.float32)), None)
    assert guard_gates(slow, QUICK)[1].verdict is Verdict.FAIL
    assert guard_gates(quick, QUICK)[1].verdict is Verdict.INCONCLUSIVE
    assert guard_gates(quick, replace(QUICK, max_p95_ratio=0))[1].verdict is Verdict.PASS
    assert guard_gates(quick, replace(QUICK, max_p95_ratio=0, max_p95_seconds=0))[1].verdict is Verdict.INCONCLUSIVE


def test_the_trouble_of_a_source_is_told() -> None:
    assert "http://p:9090 is away" in guard_gates(ServiceLevels(trouble="http://p:9090 is away"), QUICK)[0].sentence


@given(st.lists(st.floats(0.001, 2.4), min_size=50, max_size=300), st.floats(0.002, 2.4))
def test_buckets_tell_what_single_latencies_tell(seconds: list[float], bound: float) -> None:
    """To the width of a bucket."""
    bounds = (*np.linspace(0.01, 2.5, 250).tolist(), np.inf)
    values = np.array(seconds, np.float32)
    bucketed = BucketedLatencies(bounds, tuple(float((values <= upper).sum()) for upper in bounds))
    measured = MeasuredLatencies(values)
    assert bucketed.count == measured.count
    assert (
        measured.slower_than(bound + 0.01) - 1 <= bucketed.slower_than(bound) <= measured.slower_than(bound - 0.01) + 1
    )
    assert abs(bucketed.slower_than(bucketed.p95_seconds()) - 0.05 * len(seconds)) <= 1


@pytest.mark.parametrize(
    ("found", "truth", "expected"),
    [
        pytest.param(boxes(), (), 0, id="nobody there, nobody found"),
        pytest.param(boxes(PERSON), (PERSON,), 0, id="found"),
        pytest.param(boxes(), (PERSON, OTHER), 2, id="both missed"),
        pytest.param(boxes(OTHER), (PERSON,), 2, id="one missed, one on nobody"),
        pytest.param(boxes(PERSON, PERSON), (PERSON,), 1, id="a double counts as false"),
        pytest.param(boxes(OTHER), (replace(OTHER, ignore=True),), 0, id="forgiven in an ignore region"),
        pytest.param(boxes(Box(50, 0, 5, 10)), (replace(OTHER, ignore=True),), 0, id="small inside a region"),
        pytest.param(boxes(), (replace(OTHER, ignore=True),), 0, id="an ignored one need not be found"),
        pytest.param(boxes(Box(0, 0, 10, 11)), (PERSON,), 0, id="half overlapped"),
        pytest.param(boxes(Box(0, 0, 10, 9)), (PERSON,), 2, id="less than half"),
    ],
)
def test_mistakes(
    found: np.ndarray[tuple[int, int], np.dtype[np.float64]], truth: tuple[Box, ...], expected: int
) -> None:
    assert mistakes(found, truth) == expected


BOX = st.builds(
    Box, st.integers(0, 60), st.integers(0, 60), st.integers(4, 20), st.integers(8, 40), ignore=st.booleans()
)


@given(st.lists(BOX, max_size=5), st.lists(BOX, max_size=5))
def test_mistakes_are_bounded_and_truth_makes_none(found: list[Box], truth: list[Box]) -> None:
    people = [box for box in truth if not box.ignore]
    count = mistakes(boxes(*found), truth)
    assert (
        abs(len(found) - len(people)) - sum(box.ignore for box in truth) * len(found)
        <= count
        <= len(found) + len(people)
    )
    assert mistakes(boxes(*people), people) == 0


def judged(name: str, seconds: float, camera: str = "gate", reviewed: float = 0.0, wins: bool = True) -> Judged:
    at = BEGIN + timedelta(seconds=seconds)
    return Judged(name, at, BEGIN + timedelta(seconds=reviewed), camera, "uniform", int(wins), int(not wins))


def test_neighbours_of_one_camera_count_once_and_for_good() -> None:
    first = [
        judged("a", 1, reviewed=10),
        judged("b", 2, reviewed=20),
        judged("c", 3, "other"),
        judged("d", 40, reviewed=5),
    ]
    kept = thinned(first, 30)
    assert [one.picture_id for one in kept] == ["c", "d", "a"]
    later = thinned([*first, judged("e", 0.5, reviewed=99)], 30)
    assert [one.picture_id for one in later] == ["c", "d", "a"], "a later review exchanges nothing"
    assert len(thinned(first, 0)) == 4


def test_ties_decide_nothing() -> None:
    tie = replace(judged("x", 0), champion_mistakes=2, challenger_mistakes=2)
    assert tie.winner is Winner.NEITHER
    found = tally_of([tie, judged("a", 0), judged("b", 0, wins=False), judged("c", 0)])
    assert found == Tally(2, 1, 1, champion_mistakes=4, challenger_mistakes=3) and found.win_ratio == pytest.approx(
        2 / 3
    )
    assert Tally(0, 0, 9).win_ratio is None


@pytest.mark.parametrize("text", ["", "5", "5:0,4:2,100:20", "5:0,25:2", "a:b", "0:0,100:20", "5:0,100"])
def test_steps_that_do_not_rise_to_the_promotion_are_refused(text: str) -> None:
    with pytest.raises(InputError):
        ExperimentSettings(steps=parse_steps(text))


@pytest.mark.parametrize(
    "changes", [{"unit": "person"}, {"alpha_ratio": 0}, {"srm_alpha_ratio": 1}, {"min_requests": 0}, {"max_days": 0}]
)
def test_settings_that_cannot_be_meant_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InputError, match="correct it"):
        replace(QUICK, **changes)  # type: ignore[arg-type]


def test_steps_of_the_command_line() -> None:
    assert parse_steps("5:0,25:2,50:5,100:20") == ExperimentSettings().steps


@pytest.mark.parametrize("share", [0.05, 0.25, 0.5])
@pytest.mark.parametrize("sticky_by", ["request", "camera"])
def test_the_routing_policys_own_dice_pass(share: float, sticky_by: str) -> None:
    """Looked at after every hundred requests; a router that loses every fifth of the challenger's is found."""
    policy = Policy.model_validate({"sticky_by": sticky_by, "experiment": "trial-7"})
    targets = [Target("v1", "champion", 1 - share, 1), Target("v2", "challenger", share, 1)]
    drawn = []
    for number in range(8000):
        decided = route(policy, targets, Caller(f"request-{number}", camera=f"camera-{number}"), BEGIN)
        assert isinstance(decided, Route) and decided.drawn
        drawn.append(decided.target.version == "v2")
    hits = np.cumsum(drawn)
    for count in range(100, 8001, 100):
        fair = Assignments(share, count - int(hits[count - 1]), int(hits[count - 1]))
        assert sample_ratio_gate(fair, 0.001).verdict is not Verdict.FAIL
    lost = Assignments(share, 20 * (8000 - int(hits[-1])), 16 * int(hits[-1]))
    assert sample_ratio_gate(lost, 0.001).verdict is Verdict.FAIL
