"""The rules of MR⁻² one by one, and the bugs of widely copied code."""

from __future__ import annotations

import numpy as np
import pytest

from belisha.components.shared.errors import InputError, NoDataError
from belisha.components.shared.evaluation import SUBSETS, HeightScale, evaluate, miss_rate_curve
from belisha.components.shared.evaluation.matching import FALSE_POSITIVE, IGNORED, TRUE_POSITIVE
from belisha.components.shared.evaluation.miss_rate import FPPI_POINTS, curve_of, log_average
from tests.components.shared.evaluation.scenes import found, truth_of

TALL = (10.0, 10.0, 40.0, 100.0)
FAR = (500.0, 10.0, 40.0, 100.0)


@pytest.mark.parametrize(
    ("outcomes", "images", "pedestrians", "expected"),
    [
        pytest.param([], 100, 4, 1.0, id="no detection misses all"),
        pytest.param([FALSE_POSITIVE] * 3, 100, 4, 1.0, id="only false alarms"),
        pytest.param([TRUE_POSITIVE] * 4, 100, 4, 1e-10, id="everything found meets the floor"),
        pytest.param([TRUE_POSITIVE] * 2, 100, 4, 0.5, id="a curve that ends early keeps its last miss rate"),
        pytest.param([IGNORED, TRUE_POSITIVE, IGNORED, TRUE_POSITIVE], 100, 4, 0.5, id="ignored ones do not count"),
        pytest.param([FALSE_POSITIVE, TRUE_POSITIVE, TRUE_POSITIVE], 100, 4, 0.5, id="one alarm in 100 is FPPI .01"),
        pytest.param(
            [FALSE_POSITIVE, TRUE_POSITIVE, TRUE_POSITIVE],
            99,
            4,
            0.5 ** (8 / 9),
            id="an alarm before the first point is a miss rate of 1 there, not the end of the curve",
        ),
        pytest.param([TRUE_POSITIVE, *[FALSE_POSITIVE] * 101, TRUE_POSITIVE], 100, 2, 0.5, id="beyond one a picture"),
    ],
)
def test_log_average(outcomes: list[int], images: int, pedestrians: int, expected: float) -> None:
    curve = curve_of(np.array(outcomes, np.int8), images, pedestrians)
    assert log_average(curve) == pytest.approx(expected, rel=1e-9)


def test_the_reference_points_are_the_nine_of_the_method() -> None:
    assert np.allclose(FPPI_POINTS, 10 ** np.linspace(-2, 0, 9), atol=5e-5)


def test_read_out_between_points_takes_the_last_that_does_not_exceed() -> None:
    curve = curve_of(np.array([TRUE_POSITIVE, FALSE_POSITIVE, TRUE_POSITIVE, FALSE_POSITIVE], np.int8), 10, 4)
    assert [curve.at(fppi) for fppi in (0.0, 0.05, 0.1, 0.15, 0.2, 9.0)] == [0.75, 0.75, 0.5, 0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    ("height", "visible", "members"),
    [
        pytest.param(50, 0.65, {"reasonable", "small", "heavy", "all"}, id="both ends are inside"),
        pytest.param(49.9, 1.0, {"all"}, id="below 50 pixels"),
        pytest.param(75, 0.7, {"reasonable", "small", "all"}, id="upper end of small"),
        pytest.param(75.1, 0.7, {"reasonable", "all"}, id="above small"),
        pytest.param(200, 0.64, {"heavy", "all"}, id="occluded"),
        pytest.param(200, 0.2, {"heavy", "all"}, id="lower end of heavy"),
        pytest.param(200, 0.19, set(), id="hardly visible"),
        pytest.param(20, 1.0, {"all"}, id="lower end of all"),
        pytest.param(19.9, 1.0, set(), id="too small for all"),
    ],
)
def test_subsets(height: float, visible: float, members: set[str]) -> None:
    # A box that everybody counts keeps each subset non-empty; the box in question is missed.
    anchors = [(1, (0.0, 0.0, 30.0, 60.0)), (2, (0.0, 0.0, 30.0, 60.0))]
    truth = truth_of([(0, (0, 0, 30, height)), *anchors], 100, visible=[visible, 0.65, 0.65])
    detections = found([(image, box, 0.9) for image, box in anchors])
    mr2 = evaluate(truth, detections).mr2
    assert {name for name, value in mr2.items() if value == pytest.approx(1 / 3)} == members
    assert {name for name, value in mr2.items() if value == pytest.approx(1e-10)} == set(SUBSETS) - members


@pytest.mark.parametrize(
    ("height", "counts"),
    [
        pytest.param(39.9, False, id="below 50 / 1.25"),
        pytest.param(40.0, True, id="at 50 / 1.25"),
        pytest.param(400.0, True, id="large"),
    ],
)
def test_detections_far_from_the_range_are_filtered(height: float, counts: bool) -> None:
    truth = truth_of([(0, TALL)], 100)
    detections = found([*[(index, (300, 0, 20, height), 0.95) for index in range(1, 51)], (0, TALL, 0.9)])
    miss = evaluate(truth, detections).mr2["reasonable"]
    assert (miss == pytest.approx(1e-10)) is not counts


def test_a_region_to_ignore_absorbs_many_detections_but_a_box_only_one() -> None:
    truth = truth_of([(0, TALL), (0, (400, 0, 400, 300))], 100, ignore=[False, True])
    inside = [(0, (420.0 + 10 * index, 50, 40, 100), 0.95) for index in range(10)]
    assert evaluate(truth, found([*inside, (0, TALL, 0.5)])).mr2["reasonable"] == pytest.approx(1e-10)
    twice = miss_rate_curve(truth, found([(0, TALL, 0.9), (0, TALL, 0.8)]))
    assert twice.fppi.tolist() == [0, 0.01]


@pytest.mark.parametrize(
    ("scale", "image_height", "counted"),
    [
        pytest.param(HeightScale.PICTURE, 512, True, id="30 of 512 is 60 of 1024"),
        pytest.param(HeightScale.PIXELS, 512, False, id="30 pixels as they are"),
        pytest.param(HeightScale.PICTURE, 2048, False, id="30 of 2048 is 15 of 1024"),
    ],
)
def test_height_scale(scale: HeightScale, image_height: float, counted: bool) -> None:
    truth = truth_of([(0, (0, 0, 12, 30))], 100, image_height_px=image_height)
    summary = evaluate(truth, found([(0, (0, 0, 12, 30), 0.9)]), height_scale=scale)
    assert (summary.mr2["reasonable"] is not None) is counted
    assert summary.height_scale is scale
    assert ("scaled to pictures 1024" in summary.notes[0]) is (scale is HeightScale.PICTURE)


def test_both_scales_agree_on_pictures_1024_high() -> None:
    truth = truth_of([(0, TALL), (1, FAR)], 100)
    detections = found([(0, TALL, 0.9), (5, FAR, 0.8)])
    scaled = evaluate(truth, detections)
    assert evaluate(truth, detections, height_scale=HeightScale.PIXELS).mr2 == scaled.mr2


def test_pictures_without_height_cannot_be_scaled() -> None:
    truth = truth_of([(0, TALL)], 100, image_height_px=0)
    with pytest.raises(InputError, match="100 of 100 pictures have no height"):
        evaluate(truth, found([]))
    assert evaluate(truth, found([]), height_scale=HeightScale.PIXELS).mr2["all"] == 1.0


@pytest.mark.parametrize("images", [1, 99])
def test_too_few_pictures_give_no_miss_rate_but_a_note(images: int) -> None:
    summary = evaluate(truth_of([(0, TALL)], images), found([(0, TALL, 0.9)]))
    assert set(summary.mr2.values()) == {None}
    assert summary.miss_rate_at_fppi_01 is None
    assert summary.notes == (f"MR⁻²: too few pictures ({images} of 100)",)
    assert summary.ap50 == 1.0


def test_an_empty_subset_has_no_miss_rate_but_a_note() -> None:
    summary = evaluate(truth_of([(0, TALL)], 100), found([(0, TALL, 0.9)]))
    assert summary.mr2["small"] is None
    assert "MR⁻² small: no box is in this subset" in summary.notes
    with pytest.raises(NoDataError, match="small"):
        miss_rate_curve(truth_of([(0, TALL)], 100), found([]), "small")


@pytest.mark.parametrize(
    ("boxes", "ignore", "images"),
    [
        pytest.param([], [], 0, id="nothing at all"),
        pytest.param([], [], 200, id="pictures without boxes"),
        pytest.param([(0, TALL)], [True], 200, id="only regions to ignore"),
    ],
)
def test_no_box_is_no_data(boxes: list, ignore: list, images: int) -> None:
    with pytest.raises(NoDataError, match="none of which counts"):
        evaluate(truth_of(boxes, images, ignore=ignore), found([]))


def test_no_detection_is_a_figure() -> None:
    summary = evaluate(truth_of([(0, TALL)], 100), found([]))
    assert (summary.ap50, summary.ap50_95, summary.average_recall, summary.detections) == (0, 0, 0, 0)
    assert summary.mr2["reasonable"] == 1.0
