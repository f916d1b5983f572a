"""Precision and recall over the score, the serving threshold, and what became of every single detection and box."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from belisha.components.shared.errors import NoDataError
from belisha.components.shared.evaluation.matching import (
    FALSE_POSITIVE,
    IGNORED,
    TRUE_POSITIVE,
    find_candidates,
    match,
)
from belisha.components.shared.evaluation.sets import BoolArray, DetectionSet, EvaluationSet, FloatArray, IndexArray

OVERLAP = 0.5


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What became of every detection and every box at one overlap, in the order of the sets that were given.

    Attributes:
        detection: `(m,)` int8: FALSE_POSITIVE, TRUE_POSITIVE or IGNORED.
        matched_box: `(m,)` index of the box a true positive found, -1 for the others.
        found: `(n_boxes,)` whether a detection found the box; always false for regions to ignore.
        best_score: `(n_boxes,)` score of the detection that found it, -inf where none did.
    """

    detection: npt.NDArray[np.int8]
    matched_box: IndexArray
    found: BoolArray
    best_score: FloatArray


@dataclass(frozen=True, slots=True)
class PrecisionRecall:
    """What holds when only detections with score >= `score` are kept; ratios in 0..1.

    `precision` is 1 where nothing is detected (no false alarm was raised), `f1` is 0 there.
    """

    score: float
    precision: float
    recall: float
    f1: float
    true_positives: int
    false_positives: int
    false_negatives: int
    false_positives_per_image: float


@dataclass(frozen=True, slots=True)
class PrecisionRecallCurve:
    """One point a distinct score, falling: keeping all detections with at least that score. No envelope is taken.

    Attributes:
        scores: `(k,)` falling.
        precision: `(k,)`.
        recall: `(k,)` rising.
        f1: `(k,)`.
        fppi: `(k,)` false positives per image, rising.
    """

    scores: FloatArray
    precision: FloatArray
    recall: FloatArray
    f1: FloatArray
    fppi: FloatArray


def match_outcomes(truth: EvaluationSet, detections: DetectionSet, *, overlap: float = OVERLAP) -> Outcomes:
    """Match once; since detections choose by score, the outcome at any higher score threshold is a subset of it."""
    candidates = find_candidates(truth, detections)
    matching = match(candidates, truth.ignore, (overlap,))
    outcome = np.empty(len(detections), np.int8)
    matched_box = np.empty(len(detections), np.intp)
    outcome[candidates.order], matched_box[candidates.order] = matching.outcome[0], matching.box[0]
    best_score = np.full(len(truth.box_image), -np.inf)
    hits = matched_box >= 0
    best_score[matched_box[hits]] = detections.scores[hits]
    return Outcomes(outcome, matched_box, np.isfinite(best_score), best_score)


def precision_recall_at(
    truth: EvaluationSet, detections: DetectionSet, score: float, *, overlap: float = OVERLAP
) -> PrecisionRecall:
    """Precision, recall and F1 of the detections with at least `score`; regions to ignore count for neither.

    Raises:
        NoDataError: no box counts.
    """
    _refuse_empty(truth)
    outcome = match_outcomes(truth, detections, overlap=overlap).detection[detections.scores >= score]
    right = int(np.count_nonzero(outcome == TRUE_POSITIVE))
    wrong = int(np.count_nonzero(outcome == FALSE_POSITIVE))
    pedestrians = truth.pedestrians
    return PrecisionRecall(
        score=float(score),
        precision=right / (right + wrong) if right + wrong else 1.0,
        recall=right / pedestrians,
        f1=2 * right / (right + wrong + pedestrians),
        true_positives=right,
        false_positives=wrong,
        false_negatives=pedestrians - right,
        false_positives_per_image=wrong / truth.n_images,
    )


def precision_recall_curve(
    truth: EvaluationSet, detections: DetectionSet, *, overlap: float = OVERLAP
) -> PrecisionRecallCurve:
    """Precision, recall, F1 and false positives per image at every distinct score; empty without detections.

    Raises:
        NoDataError: no box counts.
    """
    _refuse_empty(truth)
    outcome = match_outcomes(truth, detections, overlap=overlap).detection
    order = np.argsort(-detections.scores, kind="stable")
    order = order[outcome[order] != IGNORED]
    scores = detections.scores[order]
    last_of_score = np.append(scores[1:] != scores[:-1], [True] if len(scores) else [])
    at = np.flatnonzero(last_of_score)
    right = np.cumsum(outcome[order] == TRUE_POSITIVE, dtype=np.float64)[at]
    wrong = np.cumsum(outcome[order] == FALSE_POSITIVE, dtype=np.float64)[at]
    return PrecisionRecallCurve(
        scores=scores[at],
        precision=right / (right + wrong),
        recall=right / truth.pedestrians,
        f1=2 * right / (right + wrong + truth.pedestrians),
        fppi=wrong / truth.n_images,
    )


def best_f1_threshold(truth: EvaluationSet, detections: DetectionSet, *, overlap: float = OVERLAP) -> float:
    """The score at which F1 is largest; of equals the highest, which raises the fewest false alarms.

    Raises:
        NoDataError: no box counts, or there is no detection to take a score from.
    """
    curve = precision_recall_curve(truth, detections, overlap=overlap)
    if not len(curve.scores):
        raise NoDataError("no detection counts: a threshold cannot be chosen without one")
    return float(curve.scores[np.argmax(curve.f1)])


def _refuse_empty(truth: EvaluationSet) -> None:
    if not truth.pedestrians:
        raise NoDataError(f"no box counts in {truth.n_images} pictures: precision and recall need at least one")
