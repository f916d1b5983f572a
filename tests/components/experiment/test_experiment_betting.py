"""Anytime-valid evidence: against exact sums, by its definition, and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import beta

from belisha.components.experiment.betting import e_value, log_e_value, lower_bound, upper_bound, yes_needed

COUNTS = st.integers(0, 300)
CLAIMS = st.floats(0.02, 0.98)


@pytest.mark.parametrize(
    ("yes", "no", "claimed"), [(0, 0, 0.5), (1, 0, 0.5), (7, 3, 0.5), (31, 17, 0.5), (3, 40, 0.05), (5, 9, 0.3)]
)
def test_it_is_the_mixture_of_likelihood_ratios_above_the_claim(yes: int, no: int, claimed: float) -> None:
    prior = beta(0.5, 0.5)

    def bet(p: float) -> float:
        return float((p / claimed) ** yes * ((1 - p) / (1 - claimed)) ** no * prior.pdf(p))

    integral = quad(bet, claimed, 1, limit=500)[0] / prior.sf(claimed)
    assert e_value(yes, no, claimed) == pytest.approx(integral, rel=1e-4)


@given(COUNTS, COUNTS, CLAIMS)
def test_a_fair_game_whatever_came_before(yes: int, no: int, claimed: float) -> None:
    """The mean of the next capital is the present one where the claim is just true, and no more where it is safely true."""
    now = log_e_value(yes, no, claimed)
    assume(math.isfinite(now) and math.isfinite(log_e_value(yes, no + 1, claimed)))
    won, lost = (math.exp(log_e_value(yes + up, no + 1 - up, claimed) - now) for up in (1, 0))
    assert claimed * won + (1 - claimed) * lost == pytest.approx(1, rel=1e-4)
    assert won >= lost * (1 - 1e-4), "so a smaller probability only costs"


@given(COUNTS, COUNTS)
def test_the_lower_bound_tells_what_the_e_value_tells(yes: int, no: int) -> None:
    refuted = e_value(yes, no) >= 20
    assert (lower_bound(yes, no, 0.05) > 0.5) == refuted or lower_bound(yes, no, 0.05) == pytest.approx(0.5, abs=1e-9)
    assert 0 <= lower_bound(yes, no) <= upper_bound(yes, no) <= 1
    if yes + no:
        assert lower_bound(yes, no) <= yes / (yes + no) <= upper_bound(yes, no)


@given(st.integers(0, 200), st.integers(0, 200), CLAIMS)
def test_wins_raise_and_losses_lower_it(yes: int, no: int, claimed: float) -> None:
    assert log_e_value(yes + 1, no, claimed) > log_e_value(yes, no + 1, claimed)


def test_large_counts_neither_overflow_nor_vanish() -> None:
    assert e_value(1_000_000, 0) == math.inf
    assert e_value(0, 1_000_000) == 0.0
    assert lower_bound(900_000, 100_000) == pytest.approx(0.9, abs=0.002)
    assert upper_bound(0, 1_000_000) < 1e-4


def test_equal_coins_rarely_ever_reach_twenty() -> None:
    """By Ville at most 5 %; 400 of them, a look after every toss, and the test is wrong once in 10,000 runs."""
    rng, hits = np.random.default_rng(5), 0
    for _ in range(400):
        yes = np.cumsum(rng.random(300) < 0.5)
        hits += any(log_e_value(int(won), number + 1 - int(won)) >= math.log(20) for number, won in enumerate(yes))
    assert 0 < hits <= 37


def test_the_true_probability_stays_inside_at_all_times() -> None:
    rng, outside = np.random.default_rng(6), 0
    for _ in range(150):
        yes = np.cumsum(rng.random(150) < 0.65)
        looks = [(int(won), number + 1 - int(won)) for number, won in enumerate(yes)]
        outside += any(lower_bound(*look) > 0.65 or upper_bound(*look) < 0.65 for look in looks)
    assert outside <= 28, "each bound at 95 %, so 10 % together"


@pytest.mark.parametrize(
    ("yes", "no", "threshold", "expected"),
    [(30, 5, 20.0, 0), (0, 0, 20.0, None), (5, 5, 20.0, None), (3, 7, 2.0, None)],
)
def test_what_is_needed_where_it_is_there_or_never_comes(
    yes: int, no: int, threshold: float, expected: int | None
) -> None:
    assert yes_needed(yes, no, threshold) == expected


def test_what_is_needed_suffices() -> None:
    more = yes_needed(7, 3, 20.0)
    assert more is not None and 20 < more < 60
    total = 10 + more
    assert e_value(round(0.7 * total), total - round(0.7 * total)) >= 20
