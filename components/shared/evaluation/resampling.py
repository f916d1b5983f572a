"""AP and MR⁻² of many resamples at once, from cached outcomes: a group drawn twice weighs two, and nothing is matched anew.

A weighted figure equals that of the data set in which each picture stands as often as its group was drawn. Three facts keep
the work small: precision only rises within a run of true positives, so that it is needed at the ends of runs alone; all
overlaps share one running sum over the detections; and recall only matters through the number of COCO's 101 points it has
reached, which a small table per resample gives.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from belisha.components.shared.evaluation.average_precision import RECALL_POINTS
from belisha.components.shared.evaluation.matching import FALSE_POSITIVE, IGNORED, TRUE_POSITIVE
from belisha.components.shared.evaluation.miss_rate import FPPI_POINTS, MISS_RATE_FLOOR
from belisha.components.shared.evaluation.sets import FloatArray, IndexArray

# Running sums of 32-bit integers are several times faster in numpy than those of floats, and exact.
CountArray = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class RankedOutcomes:
    """Detections by falling score.

    Attributes:
        group: `(k,)` group of each detection.
        outcomes: `(t, k)` int8 at each overlap.
    """

    group: IndexArray
    outcomes: npt.NDArray[np.int8]


class RecallPoints:
    """How many of COCO's recall points are reached by a number of found boxes, per resample.

    Args:
        pedestrians: `(b,)` counted boxes of each resample, each > 0.
    """

    def __init__(self, pedestrians: IndexArray) -> None:
        needed = _least_counts(RECALL_POINTS, pedestrians)
        width = int(pedestrians.max()) + 1
        reached = np.zeros((len(pedestrians), width), np.uint8)
        rows = np.arange(len(pedestrians))
        for point in needed.T:
            reached[rows, point] += 1
        self._reached = np.cumsum(reached, axis=1, dtype=np.uint8).ravel()
        self._row_start = (rows * width)[:, None]

    def reached_by(self, found: CountArray) -> npt.NDArray[np.uint8]:
        """Points with recall >= point, for `(b, n)` numbers of found boxes."""
        return np.asarray(self._reached.take(found.astype(np.intp) + self._row_start))


def weighted_average_precision(ranked: RankedOutcomes, counts: CountArray, points: RecallPoints) -> FloatArray:
    """AP `(b, t)` of each resample at each overlap.

    Args:
        ranked: outcomes, at most COCO's 100 detections a picture.
        counts: `(b, groups)` how often each group was drawn.
        points: of the same resamples.
    """
    weights = counts.take(ranked.group, axis=1)
    running = _running_sums(weights)
    rows = [_one_overlap(outcome, weights, running, points) for outcome in ranked.outcomes]
    return np.stack(rows, axis=1)


def weighted_miss_rate(
    ranked: RankedOutcomes, counts: CountArray, images: IndexArray, pedestrians: IndexArray
) -> FloatArray:
    """MR⁻² `(b,)` of each resample.

    Args:
        ranked: one row of outcomes, by the rules of the subset.
        counts: `(b, groups)`.
        images: `(b,)` pictures of each resample.
        pedestrians: `(b,)` counted boxes of each resample, each > 0.
    """
    outcome = ranked.outcomes[0]
    wrong, right = np.flatnonzero(outcome == FALSE_POSITIVE), np.flatnonzero(outcome == TRUE_POSITIVE)
    wrong_sum = np.cumsum(counts.take(ranked.group[wrong], axis=1), axis=1, dtype=np.int32)
    right_sum = _running_sums(counts.take(ranked.group[right], axis=1))
    # Everything before the false positive that would exceed the point belongs to it.
    right_before = np.append(np.searchsorted(right, wrong), len(right))
    allowed = _largest_counts(FPPI_POINTS, images)
    first_over = np.stack(
        [np.searchsorted(row, most, side="right") for row, most in zip(wrong_sum, allowed, strict=True)]
    )
    found = np.take_along_axis(right_sum, right_before[first_over], axis=1)
    missed = 1.0 - found / pedestrians[:, None]
    return np.asarray(np.exp(np.log(np.maximum(missed, MISS_RATE_FLOOR)).mean(axis=1)))


def _one_overlap(
    outcome: npt.NDArray[np.int8], weights: CountArray, running: CountArray, points: RecallPoints
) -> FloatArray:
    edges = np.diff((outcome == TRUE_POSITIVE).astype(np.int8), prepend=0, append=0)
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    if not len(ends):
        return np.zeros(len(weights))
    counted = running.take(ends, axis=1)
    found = np.cumsum(counted - running.take(starts, axis=1), axis=1, dtype=np.int32)
    ignored = np.flatnonzero(outcome == IGNORED)
    if len(ignored):
        ignored_sum = _running_sums(weights.take(ignored, axis=1))
        counted -= ignored_sum.take(np.searchsorted(ignored, ends), axis=1)
    precision = found / np.maximum(counted, 1, out=counted)  # nothing counted: 0 / 1
    gained = points.reached_by(found)
    gained[:, 1:] -= gained[:, :-1].copy()
    return np.asarray(np.einsum("bk,bk->b", _envelope(precision), gained, dtype=np.float64)) / len(RECALL_POINTS)


def _envelope(precision: FloatArray) -> FloatArray:
    """Largest precision at this or a later place of each row."""
    # Bits of floats >= 0 are ordered as integers are, and numpy accumulates 64-bit integers five times faster.
    bits = precision.view(np.int64)[:, ::-1]
    return np.maximum.accumulate(bits, axis=1)[:, ::-1].view(np.float64)


def _running_sums(weights: CountArray) -> CountArray:
    """Sums before each place of each row, `(b, n + 1)`."""
    sums = np.zeros((len(weights), weights.shape[1] + 1), np.int32)
    np.cumsum(weights, axis=1, out=sums[:, 1:])
    return sums


def _least_counts(ratios: FloatArray, totals: IndexArray) -> IndexArray:
    """Least integer n with n / total >= ratio in floating point, as the plain evaluation compares; shape (totals, ratios)."""
    total = totals[:, None]
    least = np.ceil(ratios * total)
    least = np.where((least - 1) / total >= ratios, least - 1, least)
    return np.where(least / total < ratios, least + 1, least).astype(np.intp)


def _largest_counts(ratios: FloatArray, totals: IndexArray) -> FloatArray:
    """Largest integer n with n / total <= ratio in floating point; shape (totals, ratios)."""
    total = totals[:, None]
    largest = np.floor(ratios * total)
    largest = np.where((largest + 1) / total <= ratios, largest + 1, largest)
    return np.where(largest / total > ratios, largest - 1, largest)
