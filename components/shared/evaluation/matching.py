"""Which detection finds which box: the greedy rule of COCO and Caltech, for all pictures and thresholds at once.

Detections choose in the order of their scores; each takes the free counted box that it overlaps most (at least the
threshold). That is serial dictatorship, and serial dictatorship is the one stable matching in which every box prefers
higher scores. So it can be found by deferred acceptance (Gale and Shapley 1962): all detections propose to their
favourite at once, a box keeps the best proposal, the others go on to their next. A few rounds of array operations replace
the loop over pictures, detections and boxes, with the same result.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from belisha.components.shared.evaluation.sets import BoolArray, DetectionSet, EvaluationSet, FloatArray, IndexArray

FALSE_POSITIVE = 0
TRUE_POSITIVE = 1
IGNORED = 2

# No rule looks at pairs below this overlap.
MIN_OVERLAP = 0.5
# Pairs looked at together: bounds memory to some hundred MB however crowded the pictures are.
_PAIRS_AT_ONCE = 2_000_000
_FREE = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Candidates:
    """Detections in choosing order, and the pairs of detection and box that overlap enough to matter.

    Attributes:
        order: `(m,)` index into the detection set: by picture, then by falling score, then as given.
        rank: `(m,)` place within its picture, from 0.
        by_score: `(m,)` index into the choosing order: by falling score over all pictures, then by picture.
        detection: `(p,)` index into the choosing order, ascending; the pairs of each detection are in its order of
            preference: by falling IoU, of equals the box that stands last, as in COCO.
        box: `(p,)` index into the evaluation set's boxes.
        iou: `(p,)` intersection over union.
        ioa: `(p,)` intersection over the detection's area: what regions to ignore are matched by.
        n_boxes: boxes of the evaluation set.
    """

    order: IndexArray
    rank: IndexArray
    by_score: IndexArray
    detection: IndexArray
    box: IndexArray
    iou: FloatArray
    ioa: FloatArray
    n_boxes: int


@dataclass(frozen=True, slots=True)
class Matching:
    """What became of each detection at each of `t` overlap thresholds.

    Attributes:
        outcome: `(t, m)` int8 in choosing order: FALSE_POSITIVE, TRUE_POSITIVE or IGNORED.
        box: `(t, m)` the counted box that was found, -1 where none.
    """

    outcome: npt.NDArray[np.int8]
    box: IndexArray


def find_candidates(truth: EvaluationSet, detections: DetectionSet) -> Candidates:
    """Rank the detections and list the pairs that overlap by at least a half in either measure."""
    order = np.lexsort((-detections.scores, detections.image))
    image = detections.image[order]
    counts = np.bincount(image, minlength=truth.n_images)
    rank = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    by_score = np.argsort(-detections.scores[order], kind="stable")
    chunks = list(_overlapping_pairs(truth, image, detections.boxes_xywh_px[order]))
    detection, box, iou, ioa = (np.concatenate(column) for column in zip(*chunks, strict=True))
    liked = np.lexsort((-box, -iou, detection))
    return Candidates(order, rank, by_score, detection[liked], box[liked], iou[liked], ioa[liked], len(truth.box_image))


def match(
    candidates: Candidates, ignore: BoolArray, thresholds: tuple[float, ...], kept: BoolArray | None = None
) -> Matching:
    """Match all detections at every threshold.

    Args:
        candidates: from `find_candidates`.
        ignore: `(n_boxes,)` boxes that absorb any number of detections instead of being found.
        thresholds: least overlaps, each >= 0.5.
        kept: `(m,)` in choosing order; the others take no part and come out as IGNORED.
    """
    taking_part = np.ones(len(candidates.detection), np.bool_) if kept is None else kept[candidates.detection]
    regions = ignore[candidates.box]
    found = _assign(candidates, np.flatnonzero(taking_part & ~regions), thresholds)
    absorbed = np.zeros(len(candidates.order))
    absorbing = taking_part & regions
    np.maximum.at(absorbed, candidates.detection[absorbing], candidates.ioa[absorbing])
    outcome = np.where(found >= 0, np.int8(TRUE_POSITIVE), np.int8(FALSE_POSITIVE))
    outcome[(found < 0) & (absorbed >= np.array(thresholds)[:, None])] = IGNORED
    if kept is not None:
        outcome[:, ~kept] = IGNORED
    return Matching(outcome, found)


def _overlapping_pairs(
    truth: EvaluationSet, image: IndexArray, boxes_xywh: FloatArray
) -> Iterator[tuple[IndexArray, IndexArray, FloatArray, FloatArray]]:
    box_order = np.argsort(truth.box_image, kind="stable")
    per_image = np.bincount(truth.box_image, minlength=truth.n_images)
    counts = per_image[image]
    pairs_before = np.concatenate([[0], np.cumsum(counts)])
    # The pairs of a detection are numbered on from those before it, its boxes from the first of its picture.
    offsets = (np.cumsum(per_image) - per_image)[image] - pairs_before[:-1]
    left, right = boxes_xywh[:, 0], boxes_xywh[:, 0] + boxes_xywh[:, 2]
    truth_xywh = truth.boxes_xywh_px[box_order]
    truth_left, truth_right = truth_xywh[:, 0].copy(), truth_xywh[:, 0] + truth_xywh[:, 2]
    first = 0
    while True:
        last = max(
            first + 1, int(np.searchsorted(pairs_before, pairs_before[first] + _PAIRS_AT_ONCE, side="right")) - 1
        )
        part, repeats = slice(first, last), counts[first:last]
        box = np.repeat(offsets[part], repeats)
        box += np.arange(pairs_before[first], pairs_before[first] + len(box))
        width = np.minimum(np.repeat(right[part], repeats), truth_right[box])
        width -= np.maximum(np.repeat(left[part], repeats), truth_left[box])
        near = np.flatnonzero(width > 0)  # few pedestrians stand above each other: most pairs end here
        detection, box = np.repeat(np.arange(first, min(last, len(image))), repeats)[near], box[near]
        keep, iou, ioa = _overlaps(boxes_xywh[detection], truth_xywh[box], width[near])
        yield detection[keep], box_order[box[keep]], iou, ioa
        first = last
        if first >= len(image):
            return


def _overlaps(a: FloatArray, b: FloatArray, width: FloatArray) -> tuple[IndexArray, FloatArray, FloatArray]:
    """Pairs that overlap enough, of rows of `a` and `b` that share `width` pixels: their indices, IoU, and IoA of `a`."""
    height = np.minimum(a[:, 1] + a[:, 3], b[:, 1] + b[:, 3]) - np.maximum(a[:, 1], b[:, 1])
    area = a[:, 2] * a[:, 3]
    shared = width * height.clip(min=0)
    # The overlap with the detection's own area is never below the IoU, but for rounding.
    keep = np.flatnonzero((shared > 0) & (shared >= (MIN_OVERLAP - 1e-9) * area))
    shared, area = shared[keep], area[keep]
    iou = shared / (area + b[keep, 2] * b[keep, 3] - shared)
    return keep, iou, shared / area


def _assign(candidates: Candidates, pairs: IndexArray, thresholds: tuple[float, ...]) -> IndexArray:
    """Deferred acceptance over the given pairs; returns `(t, m)` box found, -1 where none."""
    n_detections = len(candidates.order)
    pairs = pairs[candidates.iou[pairs] >= min(thresholds)]
    detection, box, iou = candidates.detection[pairs], candidates.box[pairs], candidates.iou[pairs]
    counts = np.bincount(detection, minlength=n_detections)
    start = np.tile(np.cumsum(counts) - counts, len(thresholds))
    # Falling overlap: the boxes a detection may take at a threshold are the first so many of its list.
    limit = np.concatenate([np.bincount(detection[iou >= least], minlength=n_detections) for least in thresholds])
    tried = np.zeros_like(limit)
    slot_base = np.repeat(np.arange(len(thresholds)) * candidates.n_boxes, n_detections)
    holder = np.full(len(thresholds) * candidates.n_boxes, _FREE)
    active = np.flatnonzero(limit)
    while len(active):
        slot = slot_base[active] + box[start[active] + tried[active]]
        before = holder[slot]
        np.minimum.at(holder, slot, active)
        accepted = holder[slot] == active
        displaced = before[accepted]
        active = np.concatenate([active[~accepted], displaced[displaced != _FREE]])
        tried[active] += 1
        active = active[tried[active] < limit[active]]
    found = np.full(len(limit), -1, dtype=np.intp)
    taken = np.flatnonzero(holder != _FREE)
    found[holder[taken]] = taken % candidates.n_boxes
    return found.reshape(len(thresholds), n_detections)
