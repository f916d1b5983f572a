"""Box geometry, by properties and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from belisha.components.shared.boxes import (
    FloatArray,
    area_px2,
    clip_xywh,
    intersection_px2,
    iou,
    xywh_to_xyxy,
    xyxy_to_xywh,
)

# Whole and half pixels: sums and differences are exact, so that properties hold to the last bit.
_HALVES = st.integers(-400, 400).map(lambda value: value / 2)
boxes = st.lists(st.tuples(_HALVES, _HALVES, _HALVES.map(abs), _HALVES.map(abs)).map(list), max_size=8).map(
    lambda rows: np.array(rows, np.float64).reshape(-1, 4)
)


@given(boxes)
def test_there_and_back(some: FloatArray) -> None:
    assert np.array_equal(xyxy_to_xywh(xywh_to_xyxy(some)), some)


@given(boxes, boxes)
def test_iou_is_symmetric_and_a_ratio(a: FloatArray, b: FloatArray) -> None:
    overlap = iou(a, b)
    assert overlap.shape == (len(a), len(b))
    assert np.array_equal(overlap, iou(b, a).T)
    assert ((overlap >= 0) & (overlap <= 1)).all()


@given(boxes)
def test_a_box_covers_itself_unless_it_is_empty(some: FloatArray) -> None:
    assert np.array_equal(np.diag(iou(some, some)), (area_px2(some) > 0).astype(float))
    assert np.array_equal(np.diag(intersection_px2(some, some)), area_px2(some))


@given(boxes, boxes)
def test_no_overlap_is_larger_than_either_box(a: FloatArray, b: FloatArray) -> None:
    assert (intersection_px2(a, b) <= np.minimum(area_px2(a)[:, None], area_px2(b)[None, :])).all()


@given(boxes, boxes, _HALVES, _HALVES)
def test_moving_both_changes_nothing(a: FloatArray, b: FloatArray, dx: float, dy: float) -> None:
    shift = np.array([dx, dy, 0, 0])
    assert np.array_equal(iou(a + shift, b + shift), iou(a, b))


@given(boxes, st.integers(1, 200), st.integers(1, 200))
def test_clipping_keeps_boxes_inside_and_is_done_once(some: FloatArray, width: int, height: int) -> None:
    clipped = clip_xywh(some, width, height)
    xyxy = xywh_to_xyxy(clipped)
    assert (clipped[:, 2:] >= 0).all()
    assert (xyxy >= 0).all()
    assert (xyxy[:, [0, 2]] <= width).all()
    assert (xyxy[:, [1, 3]] <= height).all()
    assert np.array_equal(clip_xywh(clipped, width, height), clipped)
    picture = np.array([[0.0, 0.0, width, height]])
    assert area_px2(clipped) == pytest.approx(intersection_px2(some, picture)[:, 0])


@given(arrays.arrays(np.float64, (5, 4), elements=st.floats(-1e6, 1e6)))
def test_clipping_leaves_the_given_array_alone(some: FloatArray) -> None:
    before = some.copy()
    clip_xywh(some, 100, 100)
    assert np.array_equal(some, before)


@pytest.mark.parametrize(
    ("a", "b", "expected_iou", "expected_overlap_px2"),
    [
        pytest.param([0, 0, 10, 10], [5, 0, 10, 10], 1 / 3, 50, id="half beside"),
        pytest.param([0, 0, 10, 10], [0, 0, 20, 20], 0.25, 100, id="inside"),
        pytest.param([0, 0, 20, 20], [0, 0, 10, 10], 0.25, 100, id="around"),
        pytest.param([0, 0, 10, 10], [10, 0, 10, 10], 0.0, 0.0, id="touching"),
        pytest.param([0, 0, 0, 10], [0, 0, 10, 10], 0.0, 0.0, id="no width"),
        pytest.param([0, 0, 0, 0], [0, 0, 0, 0], 0.0, 0.0, id="both empty"),
    ],
)
def test_overlaps_by_hand(a: list[float], b: list[float], expected_iou: float, expected_overlap_px2: float) -> None:
    first, second = np.array([a], float), np.array([b], float)
    assert iou(first, second)[0, 0] == pytest.approx(expected_iou)
    assert intersection_px2(first, second)[0, 0] == pytest.approx(expected_overlap_px2)


def test_empty_arrays_pass_through() -> None:
    none, one = np.zeros((0, 4)), np.array([[0.0, 0, 1, 1]])
    assert iou(none, one).shape == (0, 1)
    assert iou(one, none).shape == (1, 0)
    assert clip_xywh(none, 5, 5).shape == (0, 4)
