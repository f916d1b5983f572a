"""Counting from 1: recognised where the evidence is strong, and never seen in honest 0-based data."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from belisha.components.acquire.box_origin import OriginEvidence, from_one_based, origin_evidence
from belisha.components.acquire.labels import BoxOrigin, ReaderOptions
from belisha.components.acquire.readers import reader_named
from tests.components.acquire import label_writers as write

PROOF = OriginEvidence(
    boxes=50, fractional=0, starts_at_one=8, starts_after_one=10, starts_before_one=0, ends_at_border=4, ends_beyond=0
)


@pytest.mark.parametrize(
    ("change", "one_based"),
    [
        pytest.param({}, True, id="just enough"),
        pytest.param({"starts_at_one": 7}, False, id="too few at one"),
        pytest.param({"starts_after_one": 11}, False, id="no pile-up at one"),
        pytest.param({"starts_before_one": 1}, False, id="one edge before one"),
        pytest.param({"fractional": 1}, False, id="one fraction"),
        pytest.param({"ends_at_border": 3}, False, id="too few at the border"),
        pytest.param({"ends_beyond": 1}, False, id="one beyond the border"),
    ],
)
def test_every_condition_is_needed(change: dict[str, int], one_based: bool) -> None:
    assert dataclasses.replace(PROOF, **change).one_based is one_based


def test_no_box_is_no_proof() -> None:
    evidence = origin_evidence(np.zeros((0, 4)), np.zeros((0, 2)))
    assert evidence.boxes == 0
    assert not evidence.one_based


def test_unknown_sizes_are_no_proof() -> None:
    boxes = np.tile([1.0, 1.0, 99.0, 99.0], (50, 1))
    assert origin_evidence(boxes, np.full((50, 2), 100.0)).one_based
    assert not origin_evidence(boxes, np.full((50, 2), np.nan)).one_based


@st.composite
def cut_boxes(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Whole-pixel boxes cut at the border of a 60 x 40 picture, as annotators draw them: 0-based, continuous."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(1, 400))
    starts = rng.integers(-20, [60, 40], (count, 2))
    ends = starts + rng.integers(1, 40, (count, 2))
    starts, ends = starts.clip(0), np.minimum(ends, [60, 40])
    keep = (ends > starts).all(axis=1)
    boxes = np.concatenate([starts, ends - starts], axis=1)[keep].astype(np.float64)
    return boxes, np.tile([60.0, 40.0], (len(boxes), 1))


@settings(max_examples=100, deadline=None)
@given(drawn=cut_boxes())
def test_cut_zero_based_boxes_are_never_taken_for_one_based(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    assert not origin_evidence(*drawn).one_based


@settings(max_examples=100, deadline=None)
@given(drawn=cut_boxes())
def test_the_same_boxes_counted_from_one_are_recognised_when_enough_touch_the_border(
    drawn: tuple[np.ndarray, np.ndarray],
) -> None:
    boxes, sizes = drawn
    written = boxes + np.array([1.0, 1.0, -1.0, -1.0])
    evidence = origin_evidence(written, sizes)
    enough = evidence.starts_at_one >= max(8, 3 * evidence.starts_after_one / 4) and evidence.ends_at_border >= 4
    assert evidence.one_based == enough
    back = np.array([from_one_based(tuple(box)) for box in written.tolist()]).reshape(-1, 4)
    np.testing.assert_array_equal(back, boxes)


@pytest.mark.parametrize("count", [50, 300, 2000, 10_000])
def test_sets_that_never_touch_the_left_and_top_are_hardly_ever_taken_for_one_based(count: int) -> None:
    """The hardest honest case: whole pixels, cut at the right and bottom, none at 0, and starts spread evenly from 1 on."""
    wrong = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        starts = rng.integers(1, [1800, 1000], (count, 2))
        ends = np.minimum(starts + rng.integers(10, 400, (count, 2)), [1920, 1080])
        boxes = np.concatenate([starts, ends - starts], axis=1).astype(np.float64)
        evidence = origin_evidence(boxes, np.tile([1920.0, 1080.0], (count, 1)))
        assert evidence.ends_at_border >= 4
        wrong += evidence.one_based
    assert wrong <= 1


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 300))
def test_fractions_are_never_taken_for_one_based(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    starts = np.maximum(rng.uniform(-10, 50, (count, 2)), 1.0)
    ends = np.minimum(starts + rng.uniform(1, 40, (count, 2)), 60.0)
    boxes = np.concatenate([starts, ends - starts], axis=1)
    assert not origin_evidence(boxes, np.tile([60.0, 60.0], (count, 1))).one_based


SMALL = {"a": [("person", (0.0, 0.0, 100.0, 200.0)), ("person", (1.0, 1.0, 50.0, 60.0))]}


@pytest.mark.parametrize("name", ["coco", "yolo"])
def test_small_honest_sets_stay_as_written(name: str, tmp_path: Path) -> None:
    writer = {"coco": write.write_coco, "yolo": write.write_yolo}[name]
    labels = reader_named(name).read(writer(tmp_path, SMALL), ReaderOptions())
    assert [(round(b.x, 4), round(b.width, 4)) for b in labels.pictures[0].boxes] == [(0, 100), (1, 50)]
    assert not labels.warnings


@pytest.mark.parametrize(
    ("shift", "origin", "wanted", "warned"),
    [
        pytest.param(1, "auto", (0, 0, 100, 200), False, id="genuine VOC"),
        pytest.param(0, "auto", (0, 0, 100, 200), True, id="a pixel 0 proves a count from 0"),
        pytest.param(0, "1", (-1, -1, 101, 201), False, id="forced to 1"),
        pytest.param(1, "0", (1, 1, 99, 199), False, id="forced to 0"),
    ],
)
def test_voc_corners(shift: int, origin: str, wanted: tuple[int, ...], warned: bool, tmp_path: Path) -> None:
    root = write.write_voc(tmp_path, {"a": [("person", (0, 0, 100, 200))]}, shift=shift)
    labels = reader_named("pascal_voc").read(root, ReaderOptions(box_origin=BoxOrigin(origin)))
    (box,) = labels.pictures[0].boxes
    assert (box.x, box.y, box.width, box.height) == wanted
    assert any("start at pixel 0" in warning for warning in labels.warnings) is warned


def test_formats_of_one_convention_say_that_they_keep_it(tmp_path: Path) -> None:
    root = write.write_mot(tmp_path, {"000001": [("pedestrian", (0, 0, 10, 20))]})
    labels = reader_named("mot").read(root, ReaderOptions(box_origin=BoxOrigin.ZERO))
    assert labels.pictures[0].boxes[0].x == 0
    assert any("one fixed box convention" in warning for warning in labels.warnings)
