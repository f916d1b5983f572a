"""Boxes at the picture's border: cut, kept or refused, each with a count."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from belisha.components.acquire.quarantine import CUT, MIN_SIDE_PX, clip_boxes
from belisha.components.shared.manifest import Box

WIDTH, HEIGHT = 100, 80
CASES = {
    "inside": (Box(1, 2, 30, 40), Box(1, 2, 30, 40), {}),
    "the whole picture": (Box(0, 0, 100, 80), Box(0, 0, 100, 80), {}),
    "over the left and top": (Box(-5, -10, 30, 40, visible_ratio=0.5), Box(0, 0, 25, 30, visible_ratio=0.5), {CUT: 1}),
    "over the right and bottom": (Box(90, 70, 30, 40, ignore=True), Box(90, 70, 10, 10, ignore=True), {CUT: 1}),
    "over by a rounding error": (Box(50, 40, 50.01, 40), Box(50, 40, 50, 40), {}),
    "larger than the picture": (Box(-9, -9, 900, 900), Box(0, 0, 100, 80), {CUT: 1}),
    "outside": (Box(-50, 0, 40, 40), None, {"outside": 1}),
    "touching the border": (Box(100, 0, 40, 40), None, {"outside": 1}),
    "a sliver is left": (Box(-39.5, 0, 40, 40), None, {"too_small": 1}),
    "tiny": (Box(5, 5, 0.5, 40), None, {"too_small": 1}),
    "no width": (Box(5, 5, 0, 40), None, {"empty": 1}),
    "negative height": (Box(5, 5, 5, -4), None, {"empty": 1}),
    "not a number": (Box(math.nan, 5, 5, 4), None, {"not_finite": 1}),
    "infinite": (Box(5, 5, math.inf, 4), None, {"not_finite": 1}),
}


@pytest.mark.parametrize(("box", "kept", "changed"), CASES.values(), ids=CASES.keys())
def test_boxes_are_cut_or_refused(box: Box, kept: Box | None, changed: dict[str, int]) -> None:
    boxes, counts = clip_boxes([box], WIDTH, HEIGHT)
    assert boxes == ((kept,) if kept else ())
    assert dict(counts) == changed


numbers = st.floats(-300, 300) | st.sampled_from([0.0, 100.0, 80.0, math.nan, math.inf])


@given(st.lists(st.builds(Box, numbers, numbers, numbers, numbers, st.booleans())))
def test_what_is_left_lies_inside_and_nothing_is_lost_uncounted(boxes: list[Box]) -> None:
    kept, counts = clip_boxes(boxes, WIDTH, HEIGHT)
    cut = counts.pop(CUT, 0)
    assert len(kept) + counts.total() == len(boxes)
    assert cut <= len(kept)
    for box in kept:
        assert box.x >= 0
        assert box.y >= 0
        assert box.x + box.width <= WIDTH + 1e-9
        assert box.y + box.height <= HEIGHT + 1e-9
        assert min(box.width, box.height) >= MIN_SIDE_PX
