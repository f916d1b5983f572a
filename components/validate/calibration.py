"""Calibration: whether a box scored 0.8 is right eight times in ten, for the boxes that serving returns."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from belisha.components.shared.errors import NoDataError
from belisha.components.shared.evaluation import (
    DetectionSet,
    EvaluationSet,
    ReliabilityBin,
    expected_calibration_error,
)

MIN_BOXES = 100
# An error below it changes nobody's decision about a threshold.
GOOD_ECE = 0.05


@dataclass(frozen=True, slots=True)
class ScoreCalibration:
    """How far scores are from frequencies.

    Attributes:
        bins: of all detections that count, for the diagram.
        ece: expected calibration error of those at or above the serving threshold; None when there is none.
        bias: their mean score minus their precision: > 0 is too sure of itself.
        boxes: how many those are.
        sentence: what it means.
    """

    bins: tuple[ReliabilityBin, ...]
    ece: float | None
    bias: float | None
    boxes: int
    sentence: str

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {**asdict(self), "bins": [asdict(item) for item in self.bins]}


def calibration_of(truth: EvaluationSet, detections: DetectionSet, score_threshold: float) -> ScoreCalibration:
    """Calibration of a learned detector's scores; of another's, which are no probabilities, there is none."""
    try:
        bins = expected_calibration_error(truth, detections).bins
        served = expected_calibration_error(truth, _above(detections, score_threshold))
    except NoDataError as error:
        return ScoreCalibration((), None, None, 0, f"Scores cannot be held against frequencies: {error}.")
    boxes = served.detections
    right = sum((item.precision or 0.0) * item.detections for item in served.bins) / boxes
    mean_score = sum((item.mean_score or 0.0) * item.detections for item in served.bins) / boxes
    ece, bias = served.expected_calibration_error, mean_score - right
    return ScoreCalibration(bins, ece, bias, boxes, _sentence(ece, bias, boxes))


def _above(detections: DetectionSet, score_threshold: float) -> DetectionSet:
    keep = detections.scores >= score_threshold
    return DetectionSet(detections.image[keep], detections.boxes_xywh_px[keep], detections.scores[keep])


def _sentence(ece: float, bias: float, boxes: int) -> str:
    if boxes < MIN_BOXES:
        return f"Only {boxes} boxes reach the serving threshold: too few to judge the scores (ECE {ece:.3f})."
    if ece <= GOOD_ECE:
        return f"Scores can be read as frequencies: ECE {ece:.3f} over {boxes:,} boxes."
    direction = "higher" if bias > 0 else "lower"
    return (
        f"Scores are on average {abs(bias):.2f} {direction} than the share of right boxes (ECE {ece:.3f} over {boxes:,} "
        "boxes): choose thresholds by the curves, not by the score's face value."
    )
