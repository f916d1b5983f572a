"""Guards: failed attempts and 95th percentile of latency, each against a bound, each with the evidence that it is broken.

A guard has three ends. FAIL takes the challenger out at once. PASS needs enough data and a figure within the bound.
INCONCLUSIVE is everything else, no data above all, and it never lets a step through.

A guard is broken when an e-value (see `betting.py`) against "the share of bad requests is within the bound" reaches 1 / alpha:
an outage is found after a few requests, and a challenger that keeps the bound is taken out by chance in at most one experiment
of twenty, however often somebody looks. Failures that come in bursts are less independent than that; so a handful of them is
asked for in any case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from belisha.components.experiment.betting import e_value, lower_bound, upper_bound
from belisha.components.experiment.settings import ExperimentSettings
from belisha.components.shared.verdict import Gate, Verdict

ERRORS, LATENCY = "errors", "latency_p95"
_TAIL_RATIO = 0.05


@dataclass(frozen=True, slots=True)
class Attempts:
    """Attempts to get an answer from one model, and those that failed by its fault: 5xx, timeouts, broken connections.

    Attributes:
        attempts: all of them.
        failed: of these.
        during: when, in words for people.
    """

    attempts: int
    failed: int
    during: str


class Latencies(Protocol):
    """Latencies of one model's answers."""

    @property
    def count(self) -> int:
        """How many."""
        ...

    def p95_seconds(self) -> float:
        """Their 95th percentile; raises ValueError without any."""
        ...

    def slower_than(self, seconds: float) -> int:
        """How many are above a bound."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredLatencies:
    """Every single latency, as the request log has them: `(n,)` seconds."""

    seconds: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))

    @property
    def count(self) -> int:
        """How many."""
        return len(self.seconds)

    def p95_seconds(self) -> float:
        """Their 95th percentile."""
        return float(np.quantile(self.seconds, 1 - _TAIL_RATIO)) if self.count else _nothing()

    def slower_than(self, seconds: float) -> int:
        """How many are above a bound."""
        return int(np.count_nonzero(self.seconds > seconds))


@dataclass(frozen=True, slots=True)
class BucketedLatencies:
    """A Prometheus histogram: cumulative counts by upper bound in seconds, rising, the last bound infinite."""

    upper_seconds: tuple[float, ...]
    cumulative: tuple[float, ...]

    @property
    def count(self) -> int:
        """How many."""
        return round(self.cumulative[-1]) if self.cumulative else 0

    def p95_seconds(self) -> float:
        """Their 95th percentile, straight lines inside the buckets as `histogram_quantile` draws them."""
        if not self.count:
            return _nothing()
        bounds, counts = self._corners()
        return float(np.interp((1 - _TAIL_RATIO) * self.cumulative[-1], counts, bounds))

    def slower_than(self, seconds: float) -> int:
        """How many are above a bound, by the same lines."""
        if not self.count:
            return 0
        bounds, counts = self._corners()
        below = float(np.interp(seconds, bounds, counts))
        return round(self.cumulative[-1] - below)

    def _corners(self) -> tuple[list[float], list[float]]:
        """The lines' corners; what lies above the last finite bound is put on it."""
        finite = [bound for bound in self.upper_seconds if np.isfinite(bound)]
        return [0.0, *finite], [0.0, *self.cumulative[: len(finite)]]


@dataclass(frozen=True, slots=True)
class ServiceLevels:
    """What the guards look at.

    Attributes:
        attempts: the challenger's, over one or more stretches of time; empty where no source tells.
        challenger: latencies of its answers; None where no source tells.
        champion: latencies of the champion's answers at the same time.
        trouble: why something is missing, a sentence; empty when all is well.
    """

    attempts: Sequence[Attempts] = ()
    challenger: Latencies | None = None
    champion: Latencies | None = None
    trouble: str = ""


def guard_gates(levels: ServiceLevels, settings: ExperimentSettings) -> tuple[Gate, Gate]:
    """Both guards."""
    return _errors(levels, settings), _latency(levels, settings)


def _errors(levels: ServiceLevels, settings: ExperimentSettings) -> Gate:
    told = [one for one in levels.attempts if one.attempts]
    if not told:
        return _no_data(ERRORS, "attempts on the challenger", levels.trouble, settings.max_error_ratio)
    broken = [one for one in told if _is_broken(one, settings)]
    if broken:
        sentence = f"the challenger fails too often: {_failed(broken[0], settings)}"
        return _attempt_gate(broken[0], Verdict.FAIL, sentence, settings)
    widest = max(told, key=lambda one: one.attempts)
    if widest.attempts < settings.min_requests:
        sentence = f"too few attempts to judge by, {settings.min_requests} are needed: {_failed(widest, settings)}"
        return _attempt_gate(widest, Verdict.INCONCLUSIVE, sentence, settings)
    over = [one for one in told if one.failed > settings.max_error_ratio * one.attempts]
    if over:
        sentence = f"failures are above the bound, and too few to be sure: {_failed(over[0], settings)}"
        return _attempt_gate(over[0], Verdict.INCONCLUSIVE, sentence, settings)
    return _attempt_gate(widest, Verdict.PASS, f"failures are within the bound: {_failed(widest, settings)}", settings)


def _is_broken(one: Attempts, settings: ExperimentSettings) -> bool:
    evidence = e_value(one.failed, one.attempts - one.failed, settings.max_error_ratio)
    return one.failed >= settings.min_errors and evidence >= 1 / settings.alpha_ratio


def _failed(one: Attempts, settings: ExperimentSettings) -> str:
    ratio = one.failed / one.attempts
    return f"{one.failed:,} of {one.attempts:,} attempts failed {one.during} ({ratio:.3g}, bound {settings.max_error_ratio:g})"


def _attempt_gate(one: Attempts, verdict: Verdict, sentence: str, settings: ExperimentSettings) -> Gate:
    answered, alpha = one.attempts - one.failed, settings.alpha_ratio
    interval = (lower_bound(one.failed, answered, alpha), upper_bound(one.failed, answered, alpha))
    return Gate(ERRORS, verdict, sentence, one.failed / one.attempts, settings.max_error_ratio, interval)


def _latency(levels: ServiceLevels, settings: ExperimentSettings) -> Gate:
    challenger = levels.challenger
    bound, why, missing = _latency_bound(levels.champion, settings)
    if challenger is None or not challenger.count:
        return _no_data(LATENCY, "answers of the challenger", levels.trouble, bound)
    p95, count = challenger.p95_seconds(), challenger.count
    if bound is None:
        return Gate(LATENCY, Verdict.INCONCLUSIVE, f"the challenger's p95 is {p95:.4g} s, but there is {missing}", p95)
    slow = challenger.slower_than(bound)
    numbers = f"{slow:,} of {count:,} answers took longer than {bound:.4g} s ({why}), p95 is {p95:.4g} s"
    if slow >= settings.min_errors and e_value(slow, count - slow, _TAIL_RATIO) >= 1 / settings.alpha_ratio:
        return Gate(LATENCY, Verdict.FAIL, f"the challenger is too slow: {numbers}", p95, bound)
    unsure = missing and f"there is {missing}"
    if count < settings.min_requests:
        unsure = f"too few answers to judge latency by, {settings.min_requests} are needed"
    elif p95 > bound:
        unsure = "latency is above the bound, not surely"
    if unsure:
        return Gate(LATENCY, Verdict.INCONCLUSIVE, f"{unsure}: {numbers}", p95, bound)
    return Gate(LATENCY, Verdict.PASS, f"latency is within the bound: {numbers}", p95, bound)


def _latency_bound(champion: Latencies | None, settings: ExperimentSettings) -> tuple[float | None, str, str]:
    """The tightest bound that is known, why it holds, and which one is missing: an unknown bound can break, never pass."""
    bounds: list[tuple[float, str]] = []
    missing = ""
    if settings.max_p95_seconds > 0:
        bounds.append((settings.max_p95_seconds, "the budget"))
    if settings.max_p95_ratio > 0:
        count = champion.count if champion is not None else 0
        if champion is not None and count >= settings.min_requests:
            against = settings.max_p95_ratio * champion.p95_seconds()
            bounds.append((against, f"{settings.max_p95_ratio:g} times the champion's p95"))
        else:
            missing = f"no champion to hold it against, {count} of {settings.min_requests} answers"
    if not bounds:
        return None, "", missing or "no bound, set --max-p95-seconds or --max-p95-ratio"
    return *min(bounds), missing


def _no_data(name: str, of: str, trouble: str, bound: float | None) -> Gate:
    why = f" ({trouble})" if trouble else ""
    return Gate(name, Verdict.INCONCLUSIVE, f"no data: nobody told of any {of}{why}", bound=bound)


def _nothing() -> float:
    raise ValueError("expected at least one latency, got none")
