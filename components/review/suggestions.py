"""What people are shown to begin with: the boxes that models found, each once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from belisha.components.review.answers import IGNORE, PEDESTRIAN
from belisha.components.review.consensus import DISPUTED
from belisha.components.review.scores import SAME_BOX_IOU
from belisha.components.shared.boxes import FloatArray, clip_xywh, iou
from belisha.components.shared.review_queue import Batch, Import, ModelAnswer, QueueItem, Truth

# Below it a box costs a person more to take away than to draw.
LEAST_SCORE = 0.25
_MIN_SIDE_PX = 1.0
# What stands in for a model's version where people's own boxes are shown to an adjudicator.
CONSENSUS, IGNORE_REGIONS = "consensus", "ignore regions"


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A box to begin with.

    Attributes:
        x: left edge, in pixels of the upright picture.
        y: top edge.
        width: in pixels.
        height: in pixels.
        label: `pedestrian` or `ignore`.
        score: the best of the models'.
        models: versions that found it.
    """

    x: float
    y: float
    width: float
    height: float
    label: str
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
    label = IGNORE if IGNORE_REGIONS in models else PEDESTRIAN
    return Suggestion(x, y, width, height, label, round(score, 4), tuple(sorted(models)))


def for_adjudication(batches: Iterable[Batch], imports: Iterable[Import]) -> list[QueueItem]:
    """Pictures with disputed boxes; what the others agree on, and what they do not, stands in for the models' answers."""
    truths = {truth.picture_id: truth for one in imports for truth in one.truths}
    return [
        replace(item, answers=_as_answers(truths[item.picture_id]))
        for batch in batches
        for item in batch.items
        if item.picture_id in truths and truths[item.picture_id].disputed
    ]


def _as_answers(truth: Truth) -> tuple[ModelAnswer, ...]:
    kinds = {
        CONSENSUS: [box for box in truth.boxes if not box.ignore],
        DISPUTED: [box for box in truth.boxes if box.occlusion == DISPUTED],
        IGNORE_REGIONS: [box for box in truth.boxes if box.ignore and box.occlusion != DISPUTED],
    }
    return tuple(
        ModelAnswer(
            kind, "people", "", shadow=False, boxes_xywh_px=tuple((box.x, box.y, box.width, box.height) for box in boxes),
            scores=(0.5 if kind == DISPUTED else 1.0,) * len(boxes),
        )
        for kind, boxes in kinds.items()
    )  # fmt: skip


def clipped(item: QueueItem, boxes_xywh_px: FloatArray) -> FloatArray:
    """`(n, 4)` boxes cut at the picture's border."""
    return clip_xywh(boxes_xywh_px, item.width_px, item.height_px)


def _overlap(one: FloatArray, other: FloatArray) -> float:
    return float(iou(np.asarray(one)[None], np.asarray(other)[None])[0, 0])
