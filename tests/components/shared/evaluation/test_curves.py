"""Precision and recall at a score, the serving threshold, single outcomes, and calibration."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings

from belisha.components.shared.errors import NoDataError
from belisha.components.shared.evaluation import (
    FALSE_POSITIVE,
    IGNORED,
    TRUE_POSITIVE,
    DetectionSet,
    EvaluationSet,
    best_f1_threshold,
    expected_calibration_error,
    match_outcomes,
    precision_recall_at,
    precision_recall_curve,
)
from tests.components.shared.evaluation.scenes import found, scenes, truth_of

BOX, OTHER, REGION, STRAY = (0.0, 0, 20, 50), (100.0, 0, 20, 50), (300.0, 0, 200, 200), (700.0, 0, 20, 50)


@pytest.fixture
def truth() -> EvaluationSet:
    return truth_of([(0, BOX), (0, OTHER), (1, BOX), (1, REGION)], 2, ignore=[False, False, False, True])


@pytest.fixture
def detections() -> DetectionSet:
    return found([(1, STRAY, 0.3), (0, BOX, 0.6), (0, BOX, 0.9), (1, (310, 5, 20, 50), 0.95), (0, OTHER, 0.5)])


def test_outcomes_stand_in_the_order_of_the_detections(truth: EvaluationSet, detections: DetectionSet) -> None:
    outcomes = match_outcomes(truth, detections)
    assert outcomes.detection.tolist() == [FALSE_POSITIVE, FALSE_POSITIVE, TRUE_POSITIVE, IGNORED, TRUE_POSITIVE]
    assert outcomes.matched_box.tolist() == [-1, -1, 0, -1, 1]
    assert outcomes.found.tolist() == [True, True, False, False]
    assert outcomes.best_score.tolist() == [0.9, 0.5, -np.inf, -np.inf]


@pytest.mark.parametrize(
    ("score", "right", "wrong", "precision", "f1"),
    [
        pytest.param(0.0, 2, 2, 0.5, 4 / 7, id="all"),
        pytest.param(0.5, 2, 1, 2 / 3, 4 / 6, id="the score itself is kept"),
        pytest.param(0.51, 1, 1, 0.5, 2 / 5, id="between"),
        pytest.param(0.96, 0, 0, 1.0, 0.0, id="nothing detected raises no false alarm"),
    ],
)
def test_precision_recall_at(
    truth: EvaluationSet, detections: DetectionSet, score: float, right: int, wrong: int, precision: float, f1: float
) -> None:
    point = precision_recall_at(truth, detections, score)
    assert (point.true_positives, point.false_positives, point.false_negatives) == (right, wrong, 3 - right)
    assert (point.precision, point.recall, point.f1) == pytest.approx((precision, right / 3, f1))
    assert point.false_positives_per_image == wrong / 2


@settings(max_examples=80, deadline=None)
@given(scenes)
def test_the_curve_is_what_precision_recall_at_says(scene: tuple[EvaluationSet, DetectionSet]) -> None:
    truth, detections = scene
    assume(truth.pedestrians)
    curve = precision_recall_curve(truth, detections)
    assert (np.diff(curve.scores) < 0).all()
    for index, score in enumerate(curve.scores):
        kept = detections.scores >= score
        alone = DetectionSet(detections.image[kept], detections.boxes_xywh_px[kept], detections.scores[kept])
        point = precision_recall_at(truth, alone, -np.inf)  # matched anew, without those below the score
        assert (curve.precision[index], curve.recall[index], curve.f1[index], curve.fppi[index]) == pytest.approx(
            (point.precision, point.recall, point.f1, point.false_positives_per_image)
        )


@settings(max_examples=80, deadline=None)
@given(scenes)
def test_no_threshold_has_a_better_f1(scene: tuple[EvaluationSet, DetectionSet]) -> None:
    truth, detections = scene
    assume(truth.pedestrians and (match_outcomes(truth, detections).detection != IGNORED).any())
    best = precision_recall_at(truth, detections, best_f1_threshold(truth, detections)).f1
    assert best >= max(precision_recall_at(truth, detections, score).f1 for score in detections.scores) - 1e-12


def test_without_detections_there_is_no_threshold_but_a_curve(truth: EvaluationSet) -> None:
    assert len(precision_recall_curve(truth, found([])).scores) == 0
    with pytest.raises(NoDataError, match="no detection counts"):
        best_f1_threshold(truth, found([]))


def test_without_boxes_there_is_no_curve(detections: DetectionSet) -> None:
    for compute in (precision_recall_curve, best_f1_threshold):
        with pytest.raises(NoDataError, match="no box counts"):
            compute(truth_of([], 2), detections)
    with pytest.raises(NoDataError, match="no box counts"):
        precision_recall_at(truth_of([], 2), detections, 0.5)


def test_calibration_by_hand(truth: EvaluationSet, detections: DetectionSet) -> None:
    calibration = expected_calibration_error(truth, detections, bins=2)
    low, high = calibration.bins
    assert (low.detections, low.mean_score, low.precision) == (1, pytest.approx(0.3), 0.0)
    assert (high.detections, high.mean_score, high.precision) == (3, pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert calibration.expected_calibration_error == pytest.approx(0.3 / 4)
    assert calibration.detections == 4


def test_honest_scores_are_calibrated_and_boasting_ones_are_not() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random(4000)
    right = rng.random(4000) < scores
    truth = truth_of([(index, BOX) for index in range(4000)], 4000)
    boxes = [BOX if hit else STRAY for hit in right]
    honest = found([(index, box, score) for index, (box, score) in enumerate(zip(boxes, scores, strict=True))])
    boasting = DetectionSet(honest.image, honest.boxes_xywh_px, np.sqrt(honest.scores))
    assert expected_calibration_error(truth, honest).expected_calibration_error < 0.03
    assert expected_calibration_error(truth, boasting).expected_calibration_error == pytest.approx(1 / 6, abs=0.03)


def test_scores_of_0_and_1_fall_into_the_end_bins_and_empty_bins_have_no_mean() -> None:
    truth = truth_of([(0, BOX)], 1)
    bins = expected_calibration_error(truth, found([(0, BOX, 1.0), (0, STRAY, 0.0)])).bins
    assert [row.detections for row in bins] == [1, *[0] * 8, 1]
    assert bins[5].mean_score is None
    assert bins[5].precision is None


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param([], "no detection counts", id="none"),
        pytest.param([(0, BOX, 1.5)], "no probabilities", id="above 1"),
        pytest.param([(0, BOX, -0.1)], "no probabilities", id="below 0"),
        pytest.param([(1, (310, 5, 20, 50), 0.5)], "no detection counts", id="only ignored"),
    ],
)
def test_calibration_needs_probabilities(truth: EvaluationSet, rows: list, expected: str) -> None:
    with pytest.raises(NoDataError, match=expected):
        expected_calibration_error(truth, found(rows))
