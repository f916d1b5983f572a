"""Verdicts: an ordered enum combined by the worst, and gates that carry the numbers behind them."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from belisha.components.shared.errors import (
    EXIT_FAILED,
    EXIT_INCONCLUSIVE,
    EXIT_NEGATIVE,
    EXIT_OK,
)

# `decision/decision.json`, written by compare and read by release.
DECISION_SCHEMA = "belisha.decision/1"
DECISION_FILE = "decision.json"


class Verdict(enum.StrEnum):
    """Outcome of one check or of a whole decision, best to worst."""

    PASS = "PASS"
    INCONCLUSIVE = "INCONCLUSIVE"
    ERROR = "ERROR"
    FAIL = "FAIL"

    @property
    def severity(self) -> int:
        """Rank from 0 (PASS) to 3 (FAIL)."""
        return list(Verdict).index(self)

    @property
    def exit_code(self) -> int:
        """The process exit code that stands for this verdict."""
        return _EXIT_CODES[self]


_EXIT_CODES = {
    Verdict.PASS: EXIT_OK,
    Verdict.INCONCLUSIVE: EXIT_INCONCLUSIVE,
    Verdict.ERROR: EXIT_FAILED,
    Verdict.FAIL: EXIT_NEGATIVE,
}


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Combine verdicts by the worst; of none at all the answer is INCONCLUSIVE, for no data is never a pass."""
    return max(verdicts, key=lambda verdict: verdict.severity, default=Verdict.INCONCLUSIVE)


@dataclass(frozen=True, slots=True)
class Gate:
    """One check of a decision.

    Attributes:
        name: stable identifier, e.g. `superiority_ap50_95`.
        verdict: outcome of this check alone.
        sentence: what was found, in words and with the numbers.
        value: the estimate that was judged; None when there was nothing to compute.
        bound: the limit that it was held against.
        interval: lower and upper end of its confidence interval.
        blocking: whether the decision's verdict counts this gate; a gate that does not is listed all the same.
    """

    name: str
    verdict: Verdict
    sentence: str
    value: float | None = None
    bound: float | None = None
    interval: tuple[float, float] | None = None
    blocking: bool = True
