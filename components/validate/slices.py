"""The test part cut by condition, height and occlusion: an average hides the pictures where a detector fails."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from belisha.components.shared.evaluation import (
    DetectionSet,
    EvaluationSet,
    detections_of_height,
    detections_on,
    evaluate,
    match_outcomes,
    only_boxes,
    only_images,
)
from belisha.components.validate.counts import counts_at
from belisha.components.validate.parts import PartData

HEIGHT_BANDS_PX = ((0, 30), (30, 50), (50, 80), (80, 150), (150, np.inf))
OCCLUSION_BANDS = (
    ("bare, visible 0.9 and more", 0.9, np.inf),
    ("partial, visible 0.65 to 0.9", 0.65, 0.9),
    ("heavy, visible 0.2 to 0.65", 0.2, 0.65),
    ("almost hidden, visible below 0.2", 0.0, 0.2),
)
NOT_STATED = "not stated"
# A recall of 30 boxes is known to about +-0.18 at best; with fewer a number would only mislead.
MIN_BOXES = 30
# Below this a slice is shown but cannot carry a decision (it blocks no promotion either).
FIRM_BOXES = 200


@dataclass(frozen=True, slots=True)
class Slice:
    """One slice of the test part.

    Attributes:
        kind: `condition`, `height` or `occlusion`.
        name: of the band.
        images: pictures looked at.
        pedestrians: boxes that count in it.
        ap50: COCO AP at IoU 0.5; None with too few boxes.
        recall: at the serving threshold; None with too few boxes.
        precision: at the serving threshold; None with too few boxes, and for occlusion, which a false alarm has not.
        note: what a reader must know, empty when nothing.
    """

    kind: str
    name: str
    images: int
    pedestrians: int
    ap50: float | None
    recall: float | None
    precision: float | None
    note: str

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def slices_of(part: PartData, score_threshold: float) -> tuple[Slice, ...]:
    """All slices of a part, those without any box left out."""
    found = [*_by_condition(part, score_threshold), *_by_height(part, score_threshold)]
    found += _by_occlusion(part, score_threshold)
    return tuple(item for item in found if item.pedestrians)


def _by_condition(part: PartData, score_threshold: float) -> Iterator[Slice]:
    conditions = np.array([picture.condition or NOT_STATED for picture in part.pictures])
    for name in sorted(set(conditions)):
        mask = conditions == name
        truth, detections = only_images(part.truth, mask), detections_on(part.detections, mask)
        yield _slice("condition", str(name), truth, detections, score_threshold)


def _by_height(part: PartData, score_threshold: float) -> Iterator[Slice]:
    heights = part.truth.box_height_px
    for low, high in HEIGHT_BANDS_PX:
        truth = only_boxes(part.truth, (heights >= low) & (heights < high))
        detections = detections_of_height(part.detections, low, high)
        name = f"{low} px and more" if np.isinf(high) else f"{low} to {high} px"
        yield _slice("height", name, truth, detections, score_threshold)


def _by_occlusion(part: PartData, score_threshold: float) -> Iterator[Slice]:
    stated, visible = part.visible_ratio_stated, part.truth.visible_ratio
    bands = [(name, stated & (visible >= low) & (visible < high)) for name, low, high in OCCLUSION_BANDS]
    for name, mask in [*bands, (NOT_STATED, ~stated)]:
        truth = only_boxes(part.truth, mask)
        yield _slice("occlusion", name, truth, part.detections, score_threshold, with_precision=False)


def _slice(
    kind: str,
    name: str,
    truth: EvaluationSet,
    detections: DetectionSet,
    score_threshold: float,
    *,
    with_precision: bool = True,
) -> Slice:
    if truth.pedestrians < MIN_BOXES:
        note = f"too few boxes ({truth.pedestrians} of {MIN_BOXES})"
        return Slice(kind, name, truth.n_images, truth.pedestrians, None, None, None, note)
    counts = counts_at(truth, detections, match_outcomes(truth, detections), score_threshold)
    return Slice(
        kind=kind,
        name=name,
        images=truth.n_images,
        pedestrians=truth.pedestrians,
        ap50=evaluate(truth, detections).ap50,
        recall=counts.recall,
        precision=counts.precision if with_precision else None,
        note="" if truth.pedestrians >= FIRM_BOXES else f"few boxes ({truth.pedestrians} of {FIRM_BOXES})",
    )
