"""Flat sets from pictures and detections, and cutting them."""

from __future__ import annotations

import numpy as np
import pytest

from belisha.components.shared.detections import Detections, no_detections
from belisha.components.shared.errors import ContractError
from belisha.components.shared.evaluation import (
    detection_set,
    detections_of_height,
    detections_on,
    evaluate,
    evaluation_set,
    only_boxes,
    only_images,
)
from belisha.components.shared.manifest import Box, Picture
from tests.components.shared.evaluation.scenes import found, random_scene, truth_of


def picture(image_id: str, *boxes: Box, group_id: str = "") -> Picture:
    return Picture(image_id, f"memory://{image_id}", 640, 384, "test", group_id=group_id, boxes=boxes)


def some(*rows: tuple[float, float, float, float, float]) -> Detections:
    array = np.array(rows, np.float32).reshape(-1, 5)
    return Detections(array[:, :4], array[:, 4])


def test_pictures_become_flat_arrays() -> None:
    truth = evaluation_set(
        [
            picture("b", Box(1, 2, 3, 4), Box(5, 6, 7, 8, ignore=True, visible_ratio=0.5)),
            picture("a", group_id="own"),
            picture("c", Box(0, 0, 9, 9, visible_ratio=0.0)),
        ],
        {"b": "night", "c": "night"},
    )
    assert truth.image_ids == ("b", "a", "c")
    assert truth.group_index.tolist() == [0, 1, 0]
    assert truth.box_image.tolist() == [0, 0, 2]
    assert truth.boxes_xywh_px.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8], [0, 0, 9, 9]]
    assert truth.ignore.tolist() == [False, True, False]
    assert truth.visible_ratio.tolist() == [1.0, 0.5, 0.0]
    assert truth.image_height_px.tolist() == [384] * 3
    assert (truth.n_images, truth.pedestrians) == (3, 2)


def test_a_picture_without_group_stands_alone() -> None:
    assert len(set(evaluation_set([picture("a"), picture("b")], {}).group_index.tolist())) == 2


def test_no_picture_gives_empty_arrays() -> None:
    truth = evaluation_set([], {})
    assert truth.boxes_xywh_px.shape == (0, 4)
    assert len(detection_set(truth, {})) == 0


def test_detections_follow_the_pictures() -> None:
    truth = evaluation_set([picture("b"), picture("a"), picture("c")], {})
    flat = detection_set(truth, {"a": some((1, 1, 2, 2, 0.5)), "b": no_detections(), "c": some((0, 0, 1, 1, 0.9))})
    assert flat.image.tolist() == [1, 2]
    assert flat.boxes_xywh_px.dtype == np.float64
    assert flat.scores == pytest.approx([0.5, 0.9])


@pytest.mark.parametrize(
    ("by_image", "expected"),
    [
        pytest.param({"a": no_detections()}, "1 pictures have none and 0 are unknown", id="missing"),
        pytest.param(dict.fromkeys("abx", no_detections()), "0 pictures have none and 1 are unknown", id="unknown"),
        pytest.param(
            {"a": no_detections(), "x": no_detections()}, "1 pictures have none and 1 are unknown", id="other"
        ),
        pytest.param({"a": some((0, 0, 1, 1, np.nan)), "b": no_detections()}, "not a finite number", id="NaN score"),
        pytest.param(
            {"a": some((0, 0, np.inf, 1, 0.5)), "b": no_detections()}, "not a finite number", id="endless box"
        ),
    ],
)
def test_detections_that_do_not_fit_are_refused(by_image: dict[str, Detections], expected: str) -> None:
    truth = evaluation_set([picture("a"), picture("b")], {})
    with pytest.raises(ContractError, match=expected):
        detection_set(truth, by_image)


def test_only_images_keeps_what_lies_on_them() -> None:
    truth, detections = random_scene(0, images=6, boxes=20, groups=3)
    mask = np.array([False, True, True, False, False, True])
    part, on_part = only_images(truth, mask), detections_on(detections, mask)
    assert part.image_ids == tuple(np.array(truth.image_ids)[mask])
    assert len(part.box_image) == np.isin(truth.box_image, np.flatnonzero(mask)).sum()
    assert np.array_equal(np.flatnonzero(mask)[part.box_image], truth.box_image[mask[truth.box_image]])
    assert np.array_equal(np.flatnonzero(mask)[on_part.image], detections.image[mask[detections.image]])
    assert part.group_index.max() == len(np.unique(part.group_index)) - 1


def test_parts_of_disjoint_images_add_up() -> None:
    truth, detections = random_scene(1, images=8, boxes=40)
    mask = np.arange(8) < 4
    summaries = [evaluate(only_images(truth, part), detections_on(detections, part)) for part in (mask, ~mask)]
    assert sum(summary.pedestrians for summary in summaries) == truth.pedestrians
    assert sum(summary.detections for summary in summaries) == len(detections)


def test_boxes_outside_of_a_slice_are_ignored_not_background() -> None:
    truth = truth_of([(0, (0, 0, 20, 50)), (0, (100, 0, 20, 50))], 1)
    both = found([(0, (0, 0, 20, 50), 0.4), (0, (100, 0, 20, 50), 0.9)])
    summary = evaluate(only_boxes(truth, np.array([True, False])), both)
    assert (summary.pedestrians, summary.ignored, summary.ap50) == (1, 1, 1.0)


def test_detections_of_other_heights_do_not_hurt_a_slice() -> None:
    detections = found([(0, (0, 0, 9, height), 0.5) for height in (39.9, 40, 100, 124.9, 125)])
    assert detections_of_height(detections, 50, 100).boxes_xywh_px[:, 3].tolist() == [40, 100, 124.9]
