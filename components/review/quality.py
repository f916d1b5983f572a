"""How good the models are on live traffic: the only figures here that speak for all requests.

The uniform draw knows with which probability each of its pictures got to people, so each counts 1 / probability (Horvitz and
Thompson 1952); pictures that were chosen because a model was undecided say nothing about the average and are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from belisha.components.review.agreement import compare_boxes
from belisha.components.shared.boxes import FloatArray
from belisha.components.shared.manifest import Box
from belisha.components.shared.review_queue import Batch, ModelAnswer, ReviewedPicture

RESAMPLES = 2000
# Below this many pictures an interval says more about luck than about the model.
MIN_PICTURES = 30


@dataclass(frozen=True, slots=True)
class LiveQuality:
    """A model on live traffic, at its serving threshold and IoU 0.5.

    Attributes:
        model_version: of the model.
        pictures: reviewed pictures of the uniform draw that it answered.
        precision: share of its boxes that are right; None where there are none.
        recall: share of pedestrians that it found; None where there are none.
        f1: harmonic mean of both.
        f1_interval: 95 % percentile bootstrap over pictures; None below 30 pictures.
    """

    model_version: str
    pictures: int
    precision: float | None
    recall: float | None
    f1: float | None
    f1_interval: tuple[float, float] | None

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def live_quality(reviewed: Sequence[ReviewedPicture], batches: Iterable[Batch], seed: int = 0) -> list[LiveQuality]:
    """Every model's live figures.

    Args:
        reviewed: all reviewed pictures.
        batches: all batches, for the pictures that a later uniform draw chose again.
        seed: of the bootstrap.
    """
    again = {picture_id: probability for batch in batches for picture_id, probability in batch.drawn_before.items()}
    rows: dict[str, list[tuple[float, int, int, int]]] = {}
    for one in reviewed:
        probability = again.get(one.item.picture_id, one.item.inclusion_probability)
        if probability:
            for answer in one.item.answers:
                counts = compare_boxes(boxes_of(answer), one.boxes)
                row = (1 / probability, counts.pairs, counts.only_one, counts.only_other)
                rows.setdefault(answer.model_version, []).append(row)
    return [_quality(version, np.array(found, dtype=np.float64), seed) for version, found in sorted(rows.items())]


def boxes_of(answer: ModelAnswer) -> tuple[Box, ...]:
    """A model's boxes as pedestrians."""
    return tuple(Box(*xywh) for xywh in answer.boxes_xywh_px if min(xywh[2:]) > 0)


def _quality(version: str, rows: FloatArray, seed: int) -> LiveQuality:
    weighted = rows[:, :1] * rows[:, 1:]
    found, wrong, missed = weighted.sum(axis=0)
    interval = None
    if len(rows) >= MIN_PICTURES:
        picks = np.random.default_rng(seed).integers(0, len(rows), (RESAMPLES, len(rows)))
        sums = weighted[picks].sum(axis=1)
        totals = 2 * sums[:, 0] + sums[:, 1] + sums[:, 2]
        scores = np.divide(2 * sums[:, 0], totals, out=np.zeros(RESAMPLES), where=totals > 0)
        interval = (float(np.quantile(scores, 0.025)), float(np.quantile(scores, 0.975)))
    return LiveQuality(
        version, len(rows), _ratio(found, found + wrong), _ratio(found, found + missed),
        _ratio(2 * found, 2 * found + wrong + missed), interval,
    )  # fmt: skip


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None
