"""Spreading a choice: pictures unlike each other, and not two of one camera within half a minute."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from belisha.components.review.candidates import Candidate
from belisha.components.review.scores import matched_pairs
from belisha.components.shared.boxes import FloatArray
from belisha.components.shared.near_duplicates import MAX_DISTANCE_BITS


def features_of(candidates: Sequence[Candidate]) -> FloatArray:
    """`(n, d)` numbers in which near means alike: embeddings of unit length where all have one, else picture statistics.

    Statistics are brought to a common scale by their spread among these candidates; a picture without any lies in the middle.
    """
    lengths = {len(one.embedding) for one in candidates}
    if len(lengths) == 1 and lengths != {0}:
        embeddings = np.array([one.embedding for one in candidates], dtype=np.float64)
        norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
        return np.asarray(np.divide(embeddings, norms, out=np.zeros_like(embeddings), where=norms > 0))
    width = max((len(one.statistics) for one in candidates), default=0)
    values = np.array([one.statistics or (np.nan,) * width for one in candidates], dtype=np.float64)
    values = values.reshape(len(candidates), width)
    known = np.isfinite(values)
    filled = np.where(known, values, 0.0)
    counts = np.maximum(known.sum(axis=0), 1)
    mean = filled.sum(axis=0) / counts
    deviation = np.sqrt((np.where(known, values - mean, 0.0) ** 2).sum(axis=0) / counts)
    scale = np.where(deviation > 0, deviation, 1.0)
    return np.asarray(np.where(known, values - mean, 0.0) / scale)


class Room:
    """What the choices so far leave room for: half a minute a camera, and no near-duplicates.

    A fixed camera's pictures all look alike to a perceptual hash, which sees the street and not the people. So two pictures
    are near-duplicates when their hashes are close and the model found the same boxes in both, be it none.

    Args:
        seconds_between: least time between two pictures of one camera; pictures without a camera are free.
    """

    def __init__(self, seconds_between: float) -> None:
        self._seconds = seconds_between
        self._times: dict[str, list[datetime]] = {}
        self._taken: list[tuple[int, FloatArray]] = []

    def take(self, one: Candidate, hash64: int) -> None:
        """A picture was chosen."""
        self._times.setdefault(one.camera, []).append(one.captured_at)
        self._taken.append((hash64, _boxes_of(one)))

    def refusal(self, one: Candidate, hash64: int) -> str:
        """Why a picture may not be chosen any more, in a word; empty when it may."""
        times = self._times.get(one.camera, []) if one.camera else []
        if any(abs((one.captured_at - other).total_seconds()) < self._seconds for other in times):
            return "camera_rate"
        boxes = _boxes_of(one)
        if any(_close(hash64, other) and _same(boxes, others) for other, others in self._taken):
            return "near_duplicate"
        return ""


def _boxes_of(one: Candidate) -> FloatArray:
    return one.answers[0].boxes() if one.answers else np.zeros((0, 4))


def _close(one: int, other: int) -> bool:
    return (one ^ other).bit_count() <= MAX_DISTANCE_BITS


def _same(one_xywh_px: FloatArray, other_xywh_px: FloatArray) -> bool:
    """Whether every box of each has a partner in the other."""
    return len(one_xywh_px) == len(other_xywh_px) == len(matched_pairs(one_xywh_px, other_xywh_px))


def k_centre_order(features: FloatArray, first: int = 0) -> list[int]:
    """All rows in the order of the greedy k-centre algorithm: next comes whatever is farthest from all before (Gonzalez 1985).

    Args:
        features: `(n, d)`.
        first: row to begin with.

    Returns:
        Every row once; any head of it covers the rows within twice the best radius that so many centres can have.
    """
    count = len(features)
    if not count:
        return []
    order, distance = [first], np.full(count, np.inf)
    distance[first] = -1.0
    for _ in range(count - 1):
        to_last = np.linalg.norm(features - features[order[-1]], axis=1)
        distance = np.where(distance < 0, -1.0, np.minimum(distance, to_last))
        order.append(int(np.argmax(distance)))
        distance[order[-1]] = -1.0
    return order
