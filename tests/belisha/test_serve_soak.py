"""The soak in a minute, and what `make soak` judges by: shares, missing and wrong answers, growth."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from belisha.components.shared.ledger import LedgerState
from belisha.serving.load import Reply
from bench.soak import Findings, Interval, check_splits, growth_mib, report, soak
from tests.serving_world import World, make_world

BOX = {"x": 1.0, "y": 2.0, "width": 3.0, "height": 4.0, "score": 0.5}


def test_a_minute_of_soak(tmp_path: Path) -> None:
    """Shares change, a predictor is killed, a model promoted, a trial ended, a champion restored: every request is answered.

    The load is light, so that it fits a machine with other work; how long anything takes is not judged.
    """
    world = make_world(tmp_path, models=2, pictures=12)
    findings = asyncio.run(soak(world, 60.0, rate=25.0))
    lines, good = report(findings, world, confidence=1 - 1e-6)
    assert good, "\n".join(lines)
    assert {reply.version for reply in findings.replies} == {"v1", "v2", "v3"}


def split_of(challenger: int, drawn: int, asked: float) -> Findings:
    replies = [
        Reply(0.5, 0.1, 0, 200, "v2" if number < challenger else "v1", drawn=True, boxes=[BOX])
        for number in range(drawn)
    ]
    return Findings(replies=replies, intervals=[Interval(0.0, 1.0, LedgerState("v1", "v2", asked))])


@pytest.mark.parametrize(
    ("challenger", "asked", "fits"),
    [(200, 0.2, True), (220, 0.2, True), (150, 0.2, False), (0, 0.05, False), (50, 0.05, True)],
)
def test_shares_that_do_not_fit_are_found(challenger: int, asked: float, fits: bool) -> None:
    assert [one.fits for one in check_splits(split_of(challenger, 1000, asked))] == [fits]


def test_requests_that_no_dice_assigned_do_not_count() -> None:
    findings = split_of(10, 50, 0.2)
    findings.replies = [*findings.replies, *(Reply(0.5, 0.1, 0, 200, "v2") for _ in range(500))]
    assert [(one.drawn, one.challenger) for one in check_splits(findings)] == [(50, 10)]


def test_wrong_and_missing_answers_are_found(tmp_path: Path) -> None:
    world = World(tmp_path, [b""], {"v1": [[(1, 2, 3, 4, 0.5)]], "v2": [[(1, 2, 3, 5, 0.5)]]})
    replies = [Reply(0, 0.1, 0, 200, version, boxes=[BOX]) for version in ("v1", "v2")] + [Reply(0, 0.1, 0, 503)]
    findings = Findings(replies=replies)
    assert [one.version for one in findings.wrong(world)] == ["v2"]
    assert [one.status for one in findings.unanswered()] == [503]
    assert not report(findings, world)[1]


@pytest.mark.parametrize(("slope", "expected"), [(0.0, 0.0), (0.1, 30.0)])
def test_growth_is_the_slope_of_the_second_half(slope: float, expected: float) -> None:
    samples = [(float(second), 100 + slope * second + (50 if second > 85 else 0)) for second in range(300)]
    assert growth_mib(samples, 300) == pytest.approx(expected, abs=0.1)


def test_a_process_that_lived_too_short_is_not_judged() -> None:
    assert growth_mib([(float(second), float(second)) for second in range(140)], 300) is None
