"""Box geometry on arrays. A box is [x, y, width, height] in pixels, 0-based, continuous; `(0, 4)` is a valid array.

`xyxy` arrays hold [left, top, right, bottom] with right and bottom exclusive.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]


def xywh_to_xyxy(boxes_xywh: FloatArray) -> FloatArray:
    """Turn `(n, 4)` boxes [x, y, width, height] into [left, top, right, bottom]."""
    return np.concatenate([boxes_xywh[:, :2], boxes_xywh[:, :2] + boxes_xywh[:, 2:]], axis=1)


def xyxy_to_xywh(boxes_xyxy: FloatArray) -> FloatArray:
    """Turn `(n, 4)` boxes [left, top, right, bottom] into [x, y, width, height]."""
    return np.concatenate([boxes_xyxy[:, :2], boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]], axis=1)


def clip_xywh(boxes_xywh: FloatArray, width_px: float, height_px: float) -> FloatArray:
    """Cut `(n, 4)` boxes at the picture's border; a box wholly outside gets width or height 0."""
    xyxy = xywh_to_xyxy(boxes_xywh)
    xyxy[:, [0, 2]] = xyxy[:, [0, 2]].clip(0, width_px)
    xyxy[:, [1, 3]] = xyxy[:, [1, 3]].clip(0, height_px)
    return xyxy_to_xywh(xyxy)


def intersection_px2(a_xywh: FloatArray, b_xywh: FloatArray) -> FloatArray:
    """Pairwise overlap areas in square pixels, shape `(len(a), len(b))`."""
    a, b = xywh_to_xyxy(a_xywh), xywh_to_xyxy(b_xywh)
    left_top = np.maximum(a[:, None, :2], b[None, :, :2])
    right_bottom = np.minimum(a[:, None, 2:], b[None, :, 2:])
    return np.asarray((right_bottom - left_top).clip(min=0).prod(axis=2))


def iou(a_xywh: FloatArray, b_xywh: FloatArray) -> FloatArray:
    """Pairwise intersection over union, shape `(len(a), len(b))`, range 0..1; 0 where both boxes are empty."""
    overlap = intersection_px2(a_xywh, b_xywh)
    union = area_px2(a_xywh)[:, None] + area_px2(b_xywh)[None, :] - overlap
    return np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)


def area_px2(boxes_xywh: FloatArray) -> FloatArray:
    """Areas in square pixels, shape `(n,)`."""
    return np.asarray(boxes_xywh[:, 2] * boxes_xywh[:, 3])
