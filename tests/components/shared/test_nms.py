from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from belisha.components.shared.boxes import iou, xyxy_to_xywh
from belisha.components.shared.nms import decode_yolo_v8, greedy_nms
from belisha.components.shared.preprocessing import Letterbox

SAME_SIZE = Letterbox(gain=1.0, pad_left_px=0, pad_top_px=0, width_px=100, height_px=100)
corner, length = st.floats(0, 90), st.floats(0.5, 60)
boxes_strategy = st.lists(st.tuples(corner, corner, length, length), max_size=25)


def xyxy(rows: list[tuple[float, float, float, float]]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    xywh = np.array(rows, np.float64).reshape(-1, 4)
    return np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)


@given(boxes_strategy, st.floats(0.05, 0.95))
def test_survivors_do_not_overlap_and_each_other_box_has_a_better_survivor(
    rows: list[tuple[float, float, float, float]], threshold: float
) -> None:
    boxes = xyxy(rows)
    kept = greedy_nms(boxes, threshold)
    overlaps = iou(xyxy_to_xywh(boxes), xyxy_to_xywh(boxes))
    among = overlaps[np.ix_(kept, kept)] - np.eye(len(kept))
    assert (among <= threshold + 1e-6).all()
    for gone in set(range(len(boxes))) - set(kept.tolist()):
        assert any(overlaps[gone, better] > threshold - 1e-6 for better in kept if better < gone)


@given(boxes_strategy, st.integers(1, 30))
def test_a_limit_gives_the_first_of_all_survivors(rows: list[tuple[float, float, float, float]], limit: int) -> None:
    boxes = xyxy(rows)
    np.testing.assert_array_equal(greedy_nms(boxes, 0.5, limit), greedy_nms(boxes, 0.5)[:limit])


def output(*rows: tuple[float, float, float, float, float]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.array(rows, np.float32).reshape(-1, 5).T[None]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(output(), [], id="no anchor"),
        pytest.param(output((50, 50, 20, 40, 0.1)), [], id="below the threshold"),
        pytest.param(output((50, 50, 20, 40, 0.9)), [[40, 30, 20, 40]], id="one"),
        pytest.param(output((50, 50, 20, 40, 0.5), (51, 50, 20, 40, 0.9)), [[41, 30, 20, 40]], id="the weaker goes"),
        pytest.param(
            output((20, 50, 20, 40, 0.5), (70, 50, 20, 40, 0.9)),
            [[60, 30, 20, 40], [10, 30, 20, 40]],
            id="best first",
        ),
        pytest.param(output((0, 50, 20, 40, 0.9)), [[0, 30, 10, 40]], id="cut at the border"),
    ],
)
def test_raw_output_becomes_boxes_on_the_picture(
    raw: np.ndarray[tuple[int, ...], np.dtype[np.float32]], expected: list[list[float]]
) -> None:
    found = decode_yolo_v8(raw, SAME_SIZE, score_threshold=0.25, nms_iou=0.7, max_boxes=300)
    np.testing.assert_allclose(found.boxes_xywh_px, np.array(expected).reshape(-1, 4), atol=1e-4)
    assert (np.diff(found.scores) <= 0).all()


def test_at_most_so_many_boxes_come_back() -> None:
    apart = [(5.0 + 10 * index, 50.0, 8.0, 20.0, 0.3 + 0.05 * index) for index in range(9)]
    found = decode_yolo_v8(output(*apart), SAME_SIZE, score_threshold=0.25, nms_iou=0.7, max_boxes=4)
    np.testing.assert_allclose(found.scores, [0.7, 0.65, 0.6, 0.55], atol=1e-6)
