"""The gap between pictures that training saw and those that it did not."""

from __future__ import annotations

import enum
import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from belisha.components.shared.evaluation import DetectionSet, evaluate, one_sided_bounds, paired_bootstrap
from belisha.components.validate.parts import PartData

FloatArray = npt.NDArray[np.float64]

ALPHA = 0.05
RESAMPLES = 1000
# A drop of this much AP50 from train to test is what small data sets show without harm.
TOLERATED_GAP = 0.10
METRIC = "ap50"


class Overfitting(enum.StrEnum):
    """What the gap says."""

    NO_SIGN = "no-sign"
    OVERFITS = "overfits"
    UNCLEAR = "unclear"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Gap:
    """AP50 on the sample of train minus AP50 on test.

    Attributes:
        train: AP50 on the sample of train; None when it has no box.
        val: AP50 on val; None when it has no box.
        test: AP50 on test; None when it has no box.
        difference: train minus test.
        low: one-sided 95 % lower bound of the difference, resampling groups of both parts.
        high: one-sided 95 % upper bound.
        finding: what it says.
        sentence: the same for people.
    """

    train: float | None
    val: float | None
    test: float | None
    difference: float | None
    low: float | None
    high: float | None
    finding: Overfitting
    sentence: str

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        value = {name: getattr(self, name) for name in Gap.__slots__}
        return {**value, "finding": self.finding.value, "tolerated": TOLERATED_GAP}


@dataclass(frozen=True, slots=True)
class _Ap50:
    """On all pictures, and on each resample of the groups; None where there is but one group."""

    value: float
    resampled: FloatArray | None
    groups: int


def gap_of(train: PartData | None, val: PartData | None, test: PartData) -> Gap:
    """Measure the gap and say what it means."""
    seen, between, unseen = (_ap50(part, seed) for seed, part in enumerate((train, val, test)))
    gap = functools.partial(Gap, _value(seen), _value(between), _value(unseen))
    if seen is None or unseen is None:
        missing = "train" if seen is None else "test"
        sentence = f"Overfitting cannot be judged: the {missing} part has no labelled pedestrian that counts."
        return gap(None, None, None, Overfitting.UNKNOWN, sentence)
    difference = seen.value - unseen.value
    if seen.resampled is None or unseen.resampled is None:
        sentence = (
            f"AP50 is {seen.value:.3f} on pictures it learned from and {unseen.value:.3f} on unseen ones, but one of the parts "
            "has a single group of pictures: too few to tell whether it overfits."
        )
        return gap(difference, None, None, Overfitting.UNCLEAR, sentence)
    low, high = _bounds(seen.resampled, unseen.resampled, min(seen.groups, unseen.groups))
    finding = judge_gap(low, high)
    return gap(difference, low, high, finding, _sentence(finding, seen.value, unseen.value, low, high))


def _value(found: _Ap50 | None) -> float | None:
    return None if found is None else found.value


def _bounds(seen: FloatArray, unseen: FloatArray, groups: int) -> tuple[float, float]:
    """One-sided bounds of the difference of two parts that were resampled apart, the smaller of `groups` groups."""
    drawn = min(len(seen), len(unseen))
    interval = one_sided_bounds(seen[:drawn] - unseen[:drawn], groups, ALPHA)
    return interval.low, interval.high


def judge_gap(low: float, high: float) -> Overfitting:
    """Decide by the interval alone: overfits when surely above what is tolerated, no sign when surely not."""
    if low > TOLERATED_GAP:
        return Overfitting.OVERFITS
    return Overfitting.NO_SIGN if high <= TOLERATED_GAP else Overfitting.UNCLEAR


def _ap50(part: PartData | None, seed: int) -> _Ap50 | None:
    if part is None or not part.truth.pedestrians:
        return None
    # Against a detector that finds nothing the paired differences are the model's own resampled values.
    nothing = DetectionSet(np.zeros(0, np.intp), np.zeros((0, 4)), np.zeros(0))
    groups = len(set(part.groups))
    if groups < 2:
        return _Ap50(evaluate(part.truth, part.detections).ap50, None, groups)
    bootstrap = paired_bootstrap(part.truth, part.detections, nothing, resamples=RESAMPLES, seed=seed, metrics=[METRIC])
    found = bootstrap.metrics[METRIC]
    return _Ap50(found.candidate, found.resampled_differences, groups)


def _sentence(finding: Overfitting, train: float, test: float, low: float, high: float) -> str:
    numbers = f"AP50 is {train:.3f} on pictures it learned from and {test:.3f} on unseen ones"
    interval = f"(gap {train - test:+.3f}, 95 % bounds {low:+.3f} to {high:+.3f}, tolerated {TOLERATED_GAP:.2f})"
    words = {
        Overfitting.NO_SIGN: "no sign of overfitting",
        Overfitting.OVERFITS: "the model overfits: more or more varied pictures, stronger augmentation or fewer epochs help",
        Overfitting.UNCLEAR: "too few pictures to tell whether it overfits",
    }
    return f"{numbers} {interval}: {words[finding]}."
