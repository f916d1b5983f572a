"""A smaller run of `python -m bench retrain`: real processes on one ledger on disk, killed at random points."""

from __future__ import annotations

import pytest

from bench.bench_retrain import play, upper_bound


@pytest.mark.parametrize("jumps", [False, True], ids=["right clocks", "jumping clocks"])
def test_killed_and_racing_checks_give_one_run_a_cause(jumps: bool) -> None:
    tally = play(8, seed=11 + jumps, jumps=jumps)
    assert (tally.exactly_one, tally.lost, tally.several) == (8, 0, 0)
    assert tally.killed > 0


@pytest.mark.parametrize(
    ("failures", "trials", "expected"), [(0, 200, 1 - 0.05 ** (1 / 200)), (0, 1, 0.95), (1, 1, 1.0), (5, 10, 0.7776)]
)
def test_the_bound_is_that_of_clopper_and_pearson(failures: int, trials: int, expected: float) -> None:
    assert upper_bound(failures, trials) == pytest.approx(expected, abs=1e-4)
