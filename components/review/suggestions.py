"""What people are shown to begin with: the boxes that models found, each once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from belisha.components.review.scores import SAME_BOX_IOU
from belisha.components.shared.boxes import FloatArray, clip_xywh, iou
from belisha.components.shared.review_queue import QueueItem

# Below it a box costs a person more to take away than to draw.
LEAST_SCORE = 0.25
_MIN_SIDE_PX = 1.0


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A box that models suggest, in pixels of the upright picture, with its best score and the versions that found it."""

    x: float
    y: float
    width: float
    height: float
    score: float
    models: tuple[str, ...]


def suggestions_of(item: QueueItem, least_score: float = LEAST_SCORE) -> list[Suggestion]:
    """Boxes of all models with at least this score, best first; of two models' with IoU of 0.5 or more the better one."""
    found = [
        (score, answer.model_version, row)
        for answer in item.answers
        for score, row in zip(answer.scores, clipped(item, answer.boxes()), strict=False)
        if score >= least_score and min(row[2], row[3]) >= _MIN_SIDE_PX
    ]
    kept: list[tuple[FloatArray, float, set[str]]] = []
    for score, version, row in sorted(found, key=lambda one: -one[0]):
        same = next((one for one in kept if version not in one[2] and _overlap(one[0], row) >= SAME_BOX_IOU), None)
        if same is None:
            kept.append((row, score, {version}))
        else:
            same[2].add(version)
    return [_suggestion(row, score, models) for row, score, models in kept]


def _suggestion(row: FloatArray, score: float, models: set[str]) -> Suggestion:
    x, y, width, height = (round(float(value), 2) for value in row)
    return Suggestion(x, y, width, height, round(score, 4), tuple(sorted(models)))


def clipped(item: QueueItem, boxes_xywh_px: FloatArray) -> FloatArray:
    """`(n, 4)` boxes cut at the picture's border."""
    return clip_xywh(boxes_xywh_px, item.width_px, item.height_px)


def _overlap(one: FloatArray, other: FloatArray) -> float:
    return float(iou(np.asarray(one)[None], np.asarray(other)[None])[0, 0])
