"""The pictures on which two models disagree most, for people to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from belisha.components.shared.boxes import FloatArray, iou
from belisha.components.shared.detections import Detections
from belisha.components.shared.manifest import Picture, boxes_of

_SAME_BOX_IOU = 0.5


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One picture and what each model returns on it at its own serving threshold.

    Attributes:
        picture: its manifest row.
        candidate: boxes of the candidate.
        champion: boxes of the champion.
        count: boxes that only one of the two has.
        candidate_found: labelled pedestrians that the candidate found.
        champion_found: those that the champion found.
    """

    picture: Picture
    candidate: Detections
    champion: Detections
    count: int
    candidate_found: int
    champion_found: int


def worst_disagreements(
    pictures: Sequence[Picture],
    candidate: Mapping[str, Detections],
    champion: Mapping[str, Detections],
    thresholds: tuple[float, float],
    limit: int,
) -> list[Disagreement]:
    """The pictures with the most boxes that only one model has, most first, those without any left out.

    Args:
        pictures: to look at.
        candidate: its detections by image_id.
        champion: its detections by image_id.
        thresholds: serving thresholds of candidate and champion.
        limit: most pictures returned.
    """
    found = (_disagreement(picture, candidate, champion, thresholds) for picture in pictures)
    differing = [item for item in found if item.count]
    return sorted(differing, key=lambda item: (-item.count, item.picture.image_id))[:limit]


def _disagreement(
    picture: Picture,
    candidate: Mapping[str, Detections],
    champion: Mapping[str, Detections],
    thresholds: tuple[float, float],
) -> Disagreement:
    first = candidate[picture.image_id].above(thresholds[0])
    second = champion[picture.image_id].above(thresholds[1])
    truth = boxes_of(picture, ignore=False)
    shared = matched(first.boxes_xywh_px, second.boxes_xywh_px)
    found = [matched(side.boxes_xywh_px, truth) for side in (first, second)]
    return Disagreement(picture, first, second, len(first) + len(second) - 2 * shared, *found)


def matched(a_xywh: FloatArray, b_xywh: FloatArray) -> int:
    """How many of `(n, 4)` boxes find a partner among `(m, 4)`, each used once, in the order given (IoU 0.5)."""
    if not len(a_xywh) or not len(b_xywh):
        return 0
    overlaps, count = iou(a_xywh, b_xywh), 0
    for row in overlaps:
        best = int(np.argmax(row))
        if row[best] >= _SAME_BOX_IOU:
            overlaps[:, best] = -1
            count += 1
    return count
