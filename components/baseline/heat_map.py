"""The best answer without looking: the same boxes on every picture, learned from where people stood in training."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from belisha.components.shared.boxes import iou
from belisha.components.shared.detections import Detections
from belisha.components.shared.manifest import Picture, boxes_of

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

# COCO's metrics look at a hundred boxes a picture.
MAX_BOXES = 100
MATCH_IOU = 0.5
_MAX_CANDIDATES = 1000
_MAX_TRAINING_BOXES = 10_000
_BLOCK = 100


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Constant boxes.

    Attributes:
        boxes_relative: `(k, 4)` [x, y, width, height] as shares of the picture's width and height, best first.
        scores: `(k,)` share of training pictures in which the box finds a pedestrian whom no better box has found, 0..1.
        pictures: training pictures behind the scores.
    """

    boxes_relative: FloatArray
    scores: FloatArray
    pictures: int

    def on(self, width_px: int, height_px: int) -> Detections:
        """The boxes on a picture of that size."""
        boxes = self.boxes_relative * (width_px, height_px, width_px, height_px)
        return Detections(boxes.astype(np.float32), self.scores.astype(np.float32))


def fit_heat_map(pictures: Sequence[Picture], max_boxes: int = MAX_BOXES) -> HeatMap:
    """Choose constant boxes greedily: each next one finds people in the most training pictures that are not found yet.

    That order is also the order of expected precision, so it is what average precision rewards. Candidates are training
    boxes and the means of what each of them matches. Very large training parts are sampled by picture id.

    Args:
        pictures: of the training part alone; regions to ignore teach nothing.
        max_boxes: most boxes to choose.
    """
    sample = _sample(pictures)
    relative = [boxes_of(picture, ignore=False) / _size(picture) for picture in sample]
    boxes = np.concatenate([np.zeros((0, 4)), *relative])
    picture_of = np.repeat(np.arange(len(sample)), [len(found) for found in relative])
    candidates = _candidates(boxes)
    hits = _hits(candidates, boxes)
    chosen, gains = _greedy(candidates, boxes, hits, picture_of, max_boxes)
    return HeatMap(candidates[chosen], np.array(gains, dtype=np.float64) / max(1, len(sample)), len(sample))


def _sample(pictures: Sequence[Picture]) -> list[Picture]:
    """All pictures, or the first by id (a fair sample, for ids are digests) until there are boxes enough."""
    ordered = sorted(pictures, key=lambda picture: picture.image_id)
    boxes_up_to = np.cumsum([len(picture.boxes) for picture in ordered])
    return ordered[: int(np.searchsorted(boxes_up_to, _MAX_TRAINING_BOXES, side="right")) + 1]


def _size(picture: Picture) -> FloatArray:
    return np.array([picture.width_px, picture.height_px] * 2, dtype=np.float64)


def _candidates(boxes: FloatArray) -> FloatArray:
    step = max(1, -(-len(boxes) // _MAX_CANDIDATES))
    own = boxes[::step]
    hits = _hits(own, boxes).astype(np.float64)
    means = hits @ boxes / np.maximum(1.0, hits.sum(axis=1, keepdims=True))
    return np.unique(np.concatenate([own, means]), axis=0)


def _hits(candidates: FloatArray, boxes: FloatArray) -> BoolArray:
    """Which candidate matches which box, `(candidates, boxes)`; overlaps do not change with the picture's proportions."""
    blocks = [
        iou(candidates[begin : begin + _BLOCK], boxes) >= MATCH_IOU for begin in range(0, len(candidates), _BLOCK)
    ]
    return np.concatenate([np.zeros((0, len(boxes)), dtype=bool), *blocks])


def _greedy(
    candidates: FloatArray, boxes: FloatArray, hits: BoolArray, picture_of: npt.NDArray[np.intp], max_boxes: int
) -> tuple[list[int], list[int]]:
    """Lazy greedy choice: a gain never grows as people are taken, so an old gain bounds the new one.

    A place may be chosen twice, for where people walk in pairs two boxes find two of them.
    """
    free = np.ones(len(boxes), dtype=bool)
    queue = [(-_gain(hits[number], free, picture_of), number) for number in range(len(candidates))]
    heapq.heapify(queue)
    chosen: list[int] = []
    gains: list[int] = []
    while queue and len(chosen) < max_boxes:
        _, number = heapq.heappop(queue)
        gain = _gain(hits[number], free, picture_of)
        if queue and gain < -queue[0][0]:
            heapq.heappush(queue, (-gain, number))
            continue
        if gain == 0:
            break
        chosen.append(number)
        gains.append(gain)
        free[_taken(candidates[number], boxes, hits[number] & free, picture_of)] = False
        heapq.heappush(queue, (-gain, number))
    return chosen, gains


def _gain(hit: BoolArray, free: BoolArray, picture_of: npt.NDArray[np.intp]) -> int:
    """Pictures in which the candidate matches somebody free; `picture_of` ascends."""
    pictures = picture_of[hit & free]
    return int((np.diff(pictures) != 0).sum()) + 1 if len(pictures) else 0


def _taken(
    candidate: FloatArray, boxes: FloatArray, hit: BoolArray, picture_of: npt.NDArray[np.intp]
) -> npt.NDArray[np.intp]:
    """Of each picture's matched boxes the nearest one."""
    numbers = np.flatnonzero(hit)
    overlap = iou(candidate[None], boxes[numbers])[0]
    order = np.lexsort((-overlap, picture_of[numbers]))
    first = np.unique(picture_of[numbers][order], return_index=True)[1]
    return np.asarray(numbers[order][first])
