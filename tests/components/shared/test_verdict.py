from __future__ import annotations

import itertools

import pytest

from belisha.components.shared.verdict import Verdict, worst

ORDER = [Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.ERROR, Verdict.FAIL]


@pytest.mark.parametrize(("better", "worse"), list(itertools.combinations(ORDER, 2)))
def test_the_worse_of_two_wins(better: Verdict, worse: Verdict) -> None:
    assert worst([better, worse]) is worst([worse, better]) is worse


def test_no_verdict_at_all_is_never_a_pass() -> None:
    assert worst([]) is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(("verdict", "code"), list(zip(ORDER, (0, 3, 70, 1), strict=True)))
def test_exit_codes_are_documented(verdict: Verdict, code: int) -> None:
    assert verdict.exit_code == code
