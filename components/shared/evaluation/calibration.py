"""Whether a score of 0.8 is right in 80 of 100 cases: the reliability table and the expected calibration error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from belisha.components.shared.errors import NoDataError
from belisha.components.shared.evaluation.curves import OVERLAP, match_outcomes
from belisha.components.shared.evaluation.matching import IGNORED, TRUE_POSITIVE
from belisha.components.shared.evaluation.sets import DetectionSet, EvaluationSet


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Detections with `low <= score < high` (the last bin includes 1); regions to ignore left out.

    Attributes:
        low: lower end of the scores.
        high: upper end of the scores.
        detections: how many.
        mean_score: their mean score 0..1; None when there are none.
        precision: share of them that are right 0..1; None when there are none.
    """

    low: float
    high: float
    detections: int
    mean_score: float | None
    precision: float | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """Attributes are the error, 0..1 (0 is perfect), the detections it is computed on, and the table for a plot."""

    expected_calibration_error: float
    detections: int
    bins: tuple[ReliabilityBin, ...]


def expected_calibration_error(
    truth: EvaluationSet, detections: DetectionSet, bins: int = 10, *, overlap: float = OVERLAP
) -> Calibration:
    """Mean over detections of |mean score - precision| of their bin (Naeini et al., AAAI 2015; detection is right at IoU 0.5).

    Args:
        truth: the labels.
        detections: with scores in 0..1.
        bins: of equal width.
        overlap: least IoU of a right detection.

    Raises:
        NoDataError: no detection counts, or scores lie outside 0..1 and so are no probabilities.
    """
    scores = detections.scores
    if len(scores) and (scores.min() < 0 or scores.max() > 1):
        raise NoDataError(
            f"scores from {scores.min():g} to {scores.max():g} are no probabilities: calibration needs 0..1"
        )
    outcome = match_outcomes(truth, detections, overlap=overlap).detection
    counted = outcome != IGNORED
    if not counted.any():
        raise NoDataError("no detection counts: calibration needs at least one")
    scores, right = scores[counted], outcome[counted] == TRUE_POSITIVE
    number = np.minimum((scores * bins).astype(np.intp), bins - 1)
    counts = np.bincount(number, minlength=bins)
    score_sum = np.bincount(number, scores, minlength=bins)
    right_sum = np.bincount(number, right, minlength=bins)
    table = tuple(
        ReliabilityBin(
            low=index / bins,
            high=(index + 1) / bins,
            detections=int(count),
            mean_score=float(score_sum[index] / count) if count else None,
            precision=float(right_sum[index] / count) if count else None,
        )
        for index, count in enumerate(counts)
    )
    return Calibration(float(np.abs(score_sum - right_sum).sum() / len(scores)), len(scores), table)
