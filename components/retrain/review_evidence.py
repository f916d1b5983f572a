"""What reviewed pictures say of the champion: is it worse on them than it was on its sealed test?

Only pictures of the uniform draw count: those that were picked because the model was unsure would make any model look bad.
The interval is a percentile bootstrap over pictures (Efron and Tibshirani 1993, ch. 13), which the uniform draw spreads over
the window; the F1 of the test is taken as known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from belisha.components.retrain.policy import ReviewFinding
from belisha.components.retrain.settings import RetrainSettings
from belisha.components.shared.boxes import FloatArray
from belisha.components.shared.evaluation.curves import match_outcomes
from belisha.components.shared.evaluation.matching import FALSE_POSITIVE, TRUE_POSITIVE
from belisha.components.shared.evaluation.sets import DetectionSet, EvaluationSet
from belisha.components.shared.review_queue import ModelAnswer, Pick, ReviewedPicture

_RESAMPLES = 2000
_TAIL_PERCENT = 5.0

CountArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ReviewEvidence:
    """The champion on reviewed pictures.

    Attributes:
        pictures: of the uniform draw, with an answer of the champion.
        f1: on them at the serving threshold; 0 without any.
        lower: one-sided 95 % bound.
        upper: one-sided 95 % bound.
    """

    pictures: int
    f1: float
    lower: float
    upper: float


def review_evidence(reviewed: Sequence[ReviewedPicture], champion: str, score_threshold: float) -> ReviewEvidence:
    """Measure a model version on pictures that people have looked at.

    Args:
        reviewed: pictures with their truth, of one request for review.
        champion: model version whose answers count.
        score_threshold: below which an answer's boxes are not served.
    """
    rows = [
        (one, answer)
        for one in reviewed
        if one.item.pick is Pick.UNIFORM and (answer := _answer_of(one, champion)) is not None
    ]
    if not rows:
        return ReviewEvidence(0, 0.0, 0.0, 1.0)
    counts = np.array([_counts(one, answer, score_threshold) for one, answer in rows], np.int64)
    draws = np.random.default_rng(0).multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=_RESAMPLES)
    resampled = _f1(draws @ counts)
    lower, upper = np.percentile(resampled, (_TAIL_PERCENT, 100 - _TAIL_PERCENT))
    return ReviewEvidence(len(rows), float(_f1(counts.sum(axis=0))), float(lower), float(upper))


def judged(evidence: ReviewEvidence, test_f1: float | None, settings: RetrainSettings) -> tuple[ReviewFinding, str]:
    """The finding and its sentence.

    Args:
        evidence: from the reviewed pictures.
        test_f1: of the champion's sealed test; None when it is not known.
        settings: how many pictures are enough, and which drop matters.
    """
    needed = settings.min_reviewed_pictures
    if evidence.pictures < needed:
        return ReviewFinding.TOO_FEW, f"{evidence.pictures} of {needed} pictures of the uniform draw are reviewed"
    if test_f1 is None:
        return ReviewFinding.UNCLEAR, "the champion's test has no F1 to compare with"
    least = test_f1 - settings.max_f1_drop
    found = (
        f"on {evidence.pictures} reviewed pictures the champion's F1 is {evidence.f1:.3f} "
        f"({evidence.lower:.3f} to {evidence.upper:.3f}), on its test it was {test_f1:.3f}"
    )
    if evidence.upper < least:
        return ReviewFinding.WORSE, f"{found}: it has lost more than {settings.max_f1_drop:g}"
    if evidence.lower >= least:
        return ReviewFinding.AS_GOOD, f"{found}: it has not lost more than {settings.max_f1_drop:g}"
    return ReviewFinding.UNCLEAR, f"{found}: too uncertain to tell, review more"


def _answer_of(one: ReviewedPicture, champion: str) -> ModelAnswer | None:
    return next((answer for answer in one.item.answers if answer.model_version == champion), None)


def _counts(one: ReviewedPicture, answer: ModelAnswer, score_threshold: float) -> tuple[int, int, int]:
    """True positives, false positives and pedestrians of one picture."""
    boxes = np.array([(box.x, box.y, box.width, box.height) for box in one.boxes], np.float64).reshape(-1, 4)
    truth = EvaluationSet(
        image_ids=(one.item.picture_id,),
        group_index=np.zeros(1, np.intp),
        image_height_px=np.array([one.item.height_px], np.float64),
        box_image=np.zeros(len(boxes), np.intp),
        boxes_xywh_px=boxes,
        ignore=np.array([box.ignore for box in one.boxes], np.bool_),
        visible_ratio=np.ones(len(boxes)),
    )
    scores = np.array(answer.scores, np.float64)
    served = scores >= score_threshold
    detections = DetectionSet(
        np.zeros(int(served.sum()), np.intp), answer.boxes().astype(np.float64)[served], scores[served]
    )
    outcome = match_outcomes(truth, detections).detection
    return (
        int(np.count_nonzero(outcome == TRUE_POSITIVE)),
        int(np.count_nonzero(outcome == FALSE_POSITIVE)),
        truth.pedestrians,
    )


def _f1(counts: CountArray) -> FloatArray:
    """F1 of `(..., 3)` counts of true positives, false positives and pedestrians; 1 where nobody is and nothing was found."""
    right, wrong, pedestrians = np.moveaxis(counts.astype(np.float64), -1, 0)
    total = right + wrong + pedestrians
    return np.where(total > 0, 2 * right / np.maximum(total, 1), 1.0)
