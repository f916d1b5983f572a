"""Decoding a YOLO head and greedy non-maximum suppression in numpy: no torch where a model is served."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from belisha.components.shared.detections import Detections
from belisha.components.shared.preprocessing import Letterbox

# More candidates than this before suppression cost time and never matter for pedestrians.
MAX_CANDIDATES = 30_000


def decode_yolo_v8(
    output: npt.NDArray[np.float32],
    geometry: Letterbox,
    *,
    score_threshold: float,
    nms_iou: float,
    max_boxes: int,
) -> Detections:
    """Turn one picture's raw output into boxes on the picture.

    Args:
        output: `(1, 5, anchors)`: centre x, centre y, width, height in model pixels, and the class score 0..1.
        geometry: of the letterboxed picture.
        score_threshold: candidates below it are dropped first.
        nms_iou: overlap above which the weaker of two boxes goes.
        max_boxes: most boxes returned.

    Returns:
        Detections in picture pixels, best first.
    """
    candidates = output[0].T
    candidates = candidates[candidates[:, 4] > score_threshold]
    order = np.argsort(-candidates[:, 4], kind="stable")[:MAX_CANDIDATES]
    candidates = candidates[order]
    half = candidates[:, 2:4] / 2
    boxes_xyxy = np.concatenate([candidates[:, :2] - half, candidates[:, :2] + half], axis=1)
    keep = greedy_nms(boxes_xyxy, nms_iou, max_boxes)
    on_picture = geometry.to_picture(boxes_xyxy[keep])
    boxes_xywh = np.concatenate([on_picture[:, :2], on_picture[:, 2:] - on_picture[:, :2]], axis=1)
    return Detections(boxes_xywh.astype(np.float32), candidates[keep, 4].astype(np.float32))


def greedy_nms(
    boxes_xyxy: npt.NDArray[np.floating], iou_threshold: float, max_boxes: int | None = None
) -> npt.NDArray[np.intp]:
    """Indices of the first `max_boxes` that survive (all by default), given `(n, 4)` boxes already sorted best first."""
    left, top, right, bottom = boxes_xyxy.T
    areas = (right - left) * (bottom - top)
    alive = np.ones(len(boxes_xyxy), dtype=bool)
    kept: list[int] = []
    for index in range(len(boxes_xyxy)):
        if not alive[index]:
            continue
        kept.append(index)
        if len(kept) == max_boxes:
            break
        rest = slice(index + 1, None)
        width = (np.minimum(right[index], right[rest]) - np.maximum(left[index], left[rest])).clip(min=0)
        height = (np.minimum(bottom[index], bottom[rest]) - np.maximum(top[index], top[rest])).clip(min=0)
        overlap = width * height
        alive[rest] &= overlap <= iou_threshold * (areas[index] + areas[rest] - overlap)
    return np.array(kept, dtype=np.intp)
