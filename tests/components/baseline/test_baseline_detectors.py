"""The two baselines as detectors: what they find, and what they do with odd pictures."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from belisha.components.baseline.heat_map import MATCH_IOU, fit_heat_map
from belisha.components.baseline.hog import HogDetector, HogSettings
from belisha.components.shared.boxes import iou
from belisha.components.shared.detections import Detections
from belisha.components.shared.images import ImageArray, decode_rgb
from belisha.components.shared.manifest import Box, Picture
from tests.factories import row

FRAME = "mot17mini/train/MOT17-04-FRCNN/img1"


@pytest.fixture(scope="module")
def street_frame(real_data: Path) -> tuple[ImageArray, np.ndarray]:
    """A real street and the pedestrians that its labels count."""
    path = sorted((real_data / FRAME).glob("*.jpg"))[0]
    labels = np.loadtxt(real_data / FRAME / "../gt/gt.txt", delimiter=",")
    mine = labels[(labels[:, 0] == int(path.stem)) & (labels[:, 6] == 1) & (labels[:, 7] == 1)]
    return decode_rgb(path.read_bytes()), mine[:, 2:6] - (1, 1, 0, 0)


@pytest.fixture(scope="module")
def found_there(street_frame: tuple[ImageArray, np.ndarray]) -> Detections:
    return HogDetector().detect(street_frame[0])


def test_hog_finds_people_in_a_real_street(
    street_frame: tuple[ImageArray, np.ndarray], found_there: Detections
) -> None:
    found, people = found_there, street_frame[1]
    assert (np.diff(found.scores) <= 0).all()
    best = iou(found.boxes_xywh_px[:10].astype(np.float64), people).max(axis=1)
    assert (best >= 0.5).sum() >= 7


def test_hog_shrinks_its_window_to_the_person(
    street_frame: tuple[ImageArray, np.ndarray], found_there: Detections
) -> None:
    image, people = street_frame
    loose = HogDetector(HogSettings(width_ratio=1.0, height_ratio=1.0)).detect(image)
    overlap = [
        iou(found.boxes_xywh_px[:20].astype(np.float64), people).max(axis=1).mean() for found in (found_there, loose)
    ]
    assert overlap[0] > overlap[1] + 0.1


def test_hog_gives_the_same_from_many_threads(street_frame: tuple[ImageArray, np.ndarray]) -> None:
    image = np.ascontiguousarray(street_frame[0][:400, :400])
    detector = HogDetector()
    alone = detector.detect(image)
    assert len(alone) > 5
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(detector.detect, [image] * 3):
            np.testing.assert_array_equal(found.boxes_xywh_px, alone.boxes_xywh_px)
            np.testing.assert_array_equal(found.scores, alone.scores)


def test_hog_threshold_keeps_the_best(street_frame: tuple[ImageArray, np.ndarray]) -> None:
    image = np.ascontiguousarray(street_frame[0][:400, :400])
    every = HogDetector().detect(image)
    some = HogDetector().detect(image, score_threshold=float(every.scores[2]))
    assert 3 <= len(some) < len(every)


@pytest.mark.parametrize(
    ("height_px", "width_px"), [(1, 1), (10, 2000), (2000, 10), (64, 32), (63, 64), (127, 63), (480, 640)]
)
def test_hog_on_empty_pictures_of_any_size_finds_nothing(height_px: int, width_px: int) -> None:
    found = HogDetector().detect(np.full((height_px, width_px, 3), 90, dtype=np.uint8))
    assert found.boxes_xywh_px.shape == (0, 4)
    assert found.scores.shape == (0,)


def test_hog_boxes_lie_on_the_picture(street_frame: tuple[ImageArray, np.ndarray]) -> None:
    small = cv2.resize(street_frame[0], (400, 225), interpolation=cv2.INTER_AREA)
    boxes = HogDetector(HogSettings(hit_threshold=-1.0)).detect(small).boxes_xywh_px
    assert len(boxes)
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] > 0).all()
    assert (boxes[:, :2] + boxes[:, 2:] <= np.array([400, 225]) + 1e-3).all()


def picture(number: int, *boxes: tuple[float, float, float, float], size: tuple[int, int] = (100, 100)) -> Picture:
    return replace(row(number), width_px=size[0], height_px=size[1], boxes=tuple(Box(*box) for box in boxes))


def test_heat_map_of_one_place_is_that_place() -> None:
    heat_map = fit_heat_map([picture(number, (10, 20, 30, 60)) for number in range(5)])
    np.testing.assert_allclose(heat_map.boxes_relative, [[0.1, 0.2, 0.3, 0.6]])
    assert heat_map.scores.tolist() == [1.0]
    assert heat_map.on(1000, 500).boxes_xywh_px.tolist() == [[100, 100, 300, 300]]


def test_heat_map_ranks_places_by_how_often_somebody_stands_there() -> None:
    often, seldom = (10.0, 10.0, 20.0, 50.0), (70.0, 10.0, 20.0, 50.0)
    heat_map = fit_heat_map([picture(n, often, seldom) if n < 3 else picture(n, often) for n in range(10)])
    assert heat_map.scores.tolist() == [1.0, 0.3]
    np.testing.assert_allclose(heat_map.boxes_relative[0], np.array(often) / 100)


def test_heat_map_counts_nobody_twice() -> None:
    """Two boxes that match the same people would be one right and one false alarm: the second is worth nothing."""
    crowd = [picture(number, (10 + number % 3, 10, 30, 60)) for number in range(9)]
    heat_map = fit_heat_map(crowd)
    assert heat_map.scores.tolist() == [1.0]


def test_heat_map_moves_with_the_size_of_pictures() -> None:
    pictures = [picture(0, (10, 10, 20, 50)), picture(1, (20, 20, 40, 100), size=(200, 200))]
    assert fit_heat_map(pictures).scores.tolist() == [1.0]


def test_heat_map_learns_nothing_from_regions_to_ignore_or_from_nothing() -> None:
    ignored = replace(row(1), boxes=(Box(1, 1, 20, 40, ignore=True),))
    for pictures in ([], [ignored], [replace(row(2), boxes=())]):
        heat_map = fit_heat_map(pictures)
        assert heat_map.boxes_relative.shape == (0, 4)
        found = heat_map.on(80, 50)
        assert (found.boxes_xywh_px.shape, found.scores.shape) == ((0, 4), (0,))


BOX = st.tuples(st.floats(0, 60), st.floats(0, 60), st.floats(4, 40), st.floats(4, 40))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(BOX, max_size=4), min_size=1, max_size=12))
def test_heat_map_scores_are_shares_that_fall_and_stand_for_matches(labels: list[list[tuple[float, ...]]]) -> None:
    pictures = [picture(number, *boxes) for number, boxes in enumerate(labels)]
    heat_map = fit_heat_map(pictures)
    again = fit_heat_map(list(reversed(pictures)))
    np.testing.assert_array_equal(heat_map.boxes_relative, again.boxes_relative)
    assert (np.diff(heat_map.scores) <= 0).all()
    assert ((heat_map.scores > 0) & (heat_map.scores <= 1)).all()
    total = sum(len(boxes) for boxes in labels)
    assert round(float(heat_map.scores.sum()) * len(pictures)) == total
    if total:
        own = np.array([box for boxes in labels for box in boxes]).reshape(-1, 4)
        found = heat_map.on(100, 100).boxes_xywh_px.astype(np.float64)
        assert (iou(own, found).max(axis=1) >= MATCH_IOU - 1e-4).all()
