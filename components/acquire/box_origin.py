"""Telling whether a file counts pixels from 1 with the last one included, though its format says from 0.

Converters exist that copy VOC's xmin..xmax into COCO or YOLO unchanged. Such a file gives itself away over all its boxes
together: whole pixels only, many boxes that start at exactly 1, none before it, and some that end at exactly the border.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from belisha.components.shared.boxes import FloatArray

TOLERANCE_PX = 0.02
MIN_STARTS_AT_ONE = 8
MIN_ENDS_AT_BORDER = 4
# Boxes cut at the border pile up on its pixel; boxes that merely happen to lie near it do not.
MIN_PILE_UP = 3.0
_NEIGHBOURS_PX = (2.0, 3.0, 4.0, 5.0)


@dataclass(frozen=True, slots=True)
class OriginEvidence:
    """What the corners of all boxes of a source say.

    Attributes:
        boxes: how many there are.
        fractional: boxes with a corner that is not a whole pixel.
        starts_at_one: left or top edges at exactly 1.
        starts_after_one: the same at exactly 2, 3, 4 or 5, for comparison.
        starts_before_one: left or top edges before 1.
        ends_at_border: right or bottom edges at exactly the picture's width or height.
        ends_beyond: right or bottom edges beyond it.
    """

    boxes: int
    fractional: int
    starts_at_one: int
    starts_after_one: int
    starts_before_one: int
    ends_at_border: int
    ends_beyond: int

    @property
    def one_based(self) -> bool:
        """Whether this is proof enough of pixels counted from 1, the last one included."""
        spotless = self.fractional == self.starts_before_one == self.ends_beyond == 0
        usual = self.starts_after_one / len(_NEIGHBOURS_PX)
        piled_up = self.starts_at_one >= max(MIN_STARTS_AT_ONE, MIN_PILE_UP * usual)
        return spotless and piled_up and self.ends_at_border >= MIN_ENDS_AT_BORDER


def origin_evidence(boxes_xywh_px: FloatArray, sizes_px: FloatArray) -> OriginEvidence:
    """Gather the evidence.

    Args:
        boxes_xywh_px: `(n, 4)` as written in the file, of all classes.
        sizes_px: `(n, 2)` width and height of each box's picture, NaN where unknown.
    """
    starts = boxes_xywh_px[:, :2]
    ends = starts + boxes_xywh_px[:, 2:]
    corners = np.concatenate([starts, ends], axis=1)
    beyond = ends - sizes_px
    return OriginEvidence(
        boxes=len(boxes_xywh_px),
        fractional=int((np.abs(corners - np.round(corners)) > TOLERANCE_PX).any(axis=1).sum()),
        starts_at_one=_count_at(starts, 1.0),
        starts_after_one=sum(_count_at(starts, at) for at in _NEIGHBOURS_PX),
        starts_before_one=int((starts < 1.0 - TOLERANCE_PX).sum()),
        ends_at_border=_count_at(beyond, 0.0),
        ends_beyond=int((beyond > TOLERANCE_PX).sum()),
    )


def from_one_based(box_xywh_px: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """[xmin, ymin, xmax - xmin, ymax - ymin] of inclusive pixels counted from 1 to continuous ones from 0."""
    x, y, width, height = box_xywh_px
    return x - 1.0, y - 1.0, width + 1.0, height + 1.0


def _count_at(values: FloatArray, at: float) -> int:
    return int((np.abs(values - at) <= TOLERANCE_PX).sum())
