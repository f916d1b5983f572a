"""How much a person's look at a picture would teach: the model's doubt, and two models' disagreement.

With one class, entropy and margin rank boxes alike; misses are invisible to both, which is what disagreement, the drifted
stratum and the uniform share are for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from belisha.components.shared.boxes import FloatArray, iou
from belisha.components.shared.review_queue import ModelAnswer

BAND_LOW, BAND_HIGH = 0.1, 0.6
MAX_BOXES = 5
SAME_BOX_IOU = 0.5
# A box of at least this score that the other model does not have at all is worth a person's look.
CLEAR_SCORE = 0.3


def uncertainty(scores: Sequence[float]) -> float:
    """How undecided an answer is, 0..1.

    The mean of three: the largest `1 - |2c - 1|` over scores c in [0.1, 0.6], the summed binary entropies of the five most
    undecided boxes, and how many boxes lie in the band, both as shares of what five boxes can have.

    Args:
        scores: of the boxes, 0..1.
    """
    band = sorted((1 - abs(2 * score - 1) for score in scores if BAND_LOW <= score <= BAND_HIGH), reverse=True)
    entropies = sorted((_entropy_bits(score) for score in scores), reverse=True)[:MAX_BOXES]
    if not band:
        return 0.0
    return (band[0] + sum(entropies) / MAX_BOXES + min(len(band), MAX_BOXES) / MAX_BOXES) / 3


def _entropy_bits(score: float) -> float:
    if not 0 < score < 1:
        return 0.0
    return -score * math.log2(score) - (1 - score) * math.log2(1 - score)


def disagreement(one: ModelAnswer, other: ModelAnswer) -> float:
    """How far two answers to one picture are apart, 0..1; 0 when every clear box of each has a partner in the other.

    `1 - 2 Σ min(s, s') / (Σ s + Σ s')` over the pairs with IoU of at least 0.5: one minus the Dice coefficient of the two sets
    of boxes, each box weighing as much as its score.
    """
    pairs = matched_pairs(one.boxes(), other.boxes())
    lonely_one = [score for at, score in enumerate(one.scores) if at not in {first for first, _ in pairs}]
    lonely_other = [score for at, score in enumerate(other.scores) if at not in {second for _, second in pairs}]
    if max([*lonely_one, *lonely_other], default=0.0) < CLEAR_SCORE:
        return 0.0
    shared = sum(min(one.scores[first], other.scores[second]) for first, second in pairs)
    return float(1 - 2 * shared / (sum(one.scores) + sum(other.scores)))


def matched_pairs(
    one_xywh_px: FloatArray, other_xywh_px: FloatArray, at_least_iou: float = SAME_BOX_IOU
) -> list[tuple[int, int]]:
    """Pairs (row of one, row of other), the best overlap first, each box in one pair at most.

    Args:
        one_xywh_px: `(n, 4)`.
        other_xywh_px: `(m, 4)`.
        at_least_iou: least overlap of a pair.
    """
    overlaps = iou(one_xywh_px, other_xywh_px)
    order = np.argsort(-overlaps, axis=None, kind="stable")
    taken_one: set[int] = set()
    taken_other: set[int] = set()
    pairs: list[tuple[int, int]] = []
    for place in order:
        first, second = divmod(int(place), overlaps.shape[1])
        if overlaps[first, second] < at_least_iou:
            break
        if first not in taken_one and second not in taken_other:
            taken_one.add(first)
            taken_other.add(second)
            pairs.append((first, second))
    return pairs
