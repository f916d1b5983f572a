"""Right and wrong at one score threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from belisha.components.shared.evaluation import FALSE_POSITIVE, TRUE_POSITIVE, DetectionSet, EvaluationSet, Outcomes


@dataclass(frozen=True, slots=True)
class Counts:
    """Right and wrong at one score threshold, IoU 0.5.

    Unlike a curve's point it also stands for parts without boxes, and a ratio of nothing is None, never 1.

    Attributes:
        score_threshold: detections below it do not count, 0..1.
        true_positives: boxes that found a pedestrian.
        false_positives: boxes that found none; the second box on one pedestrian is one of them.
        false_negatives: pedestrians that no box found.
    """

    score_threshold: float
    true_positives: int
    false_positives: int
    false_negatives: int

    @property
    def precision(self) -> float | None:
        """Share of the detections that are right; None without detections."""
        return _ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float | None:
        """Share of the pedestrians that were found; None without pedestrians."""
        return _ratio(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; None without detections and pedestrians."""
        errors = self.false_positives + self.false_negatives
        return _ratio(2 * self.true_positives, 2 * self.true_positives + errors)

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        names = ("score_threshold", "true_positives", "false_positives", "false_negatives", "precision", "recall", "f1")
        return {name: getattr(self, name) for name in names}


def counts_at(truth: EvaluationSet, detections: DetectionSet, outcomes: Outcomes, score_threshold: float) -> Counts:
    """Count at a score threshold; weaker detections never change what became of stronger ones."""
    served = outcomes.detection[detections.scores >= score_threshold]
    true_positives = int(np.count_nonzero(served == TRUE_POSITIVE))
    false_positives = int(np.count_nonzero(served == FALSE_POSITIVE))
    return Counts(score_threshold, true_positives, false_positives, truth.pedestrians - true_positives)


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
