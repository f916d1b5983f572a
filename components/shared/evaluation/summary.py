"""The figures that describe one detector on one set of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from belisha.components.shared.errors import NoDataError
from belisha.components.shared.evaluation.average_precision import average_precision, coco_outcomes
from belisha.components.shared.evaluation.matching import TRUE_POSITIVE, Candidates, find_candidates
from belisha.components.shared.evaluation.miss_rate import (
    MIN_IMAGES,
    SUBSETS,
    HeightScale,
    MissRateCurve,
    curve_of,
    log_average,
    subset_outcomes,
)
from belisha.components.shared.evaluation.sets import DetectionSet, EvaluationSet


@dataclass(frozen=True, slots=True)
class Summary:
    """Ratios in 0..1 throughout.

    Attributes:
        images: pictures, those without boxes included.
        pedestrians: boxes that count.
        ignored: regions to ignore.
        detections: detections looked at.
        ap50: COCO average precision at IoU 0.5.
        ap50_95: mean of COCO average precision at IoU 0.5, 0.55, … 0.95.
        average_recall: COCO AR: recall at 100 detections a picture, mean over the same overlaps.
        mr2: subset to MR⁻² (lower is better); None where it means nothing, with the reason in `notes`.
        miss_rate_at_fppi_01: miss rate at 0.1 false positives a picture, reasonable subset; None as `mr2`.
        height_scale: how heights were held against the subsets' ranges.
        notes: sentences that a reader of the figures needs.
    """

    images: int
    pedestrians: int
    ignored: int
    detections: int
    ap50: float
    ap50_95: float
    average_recall: float
    mr2: Mapping[str, float | None]
    miss_rate_at_fppi_01: float | None
    height_scale: HeightScale
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """JSON values only, without NaN."""
        value = {name: getattr(self, name) for name in Summary.__slots__}
        return {**value, "mr2": dict(self.mr2), "height_scale": self.height_scale.value, "notes": list(self.notes)}


def evaluate(
    truth: EvaluationSet, detections: DetectionSet, *, height_scale: HeightScale = HeightScale.PICTURE
) -> Summary:
    """Average precision as COCO and MR⁻² as CityPersons compute it.

    Raises:
        NoDataError: no picture or no box counts.
    """
    _refuse_empty(truth)
    candidates = find_candidates(truth, detections)
    outcomes = coco_outcomes(candidates, truth.ignore)
    precisions = average_precision(outcomes, truth.pedestrians)
    curves, notes = _miss_rates(truth, detections, candidates, height_scale)
    reasonable = curves["reasonable"]
    return Summary(
        images=truth.n_images,
        pedestrians=truth.pedestrians,
        ignored=int(np.count_nonzero(truth.ignore)),
        detections=len(detections),
        ap50=float(precisions[0]),
        ap50_95=float(precisions.mean()),
        average_recall=float(np.count_nonzero(outcomes == TRUE_POSITIVE) / (len(outcomes) * truth.pedestrians)),
        mr2={name: None if curve is None else log_average(curve) for name, curve in curves.items()},
        miss_rate_at_fppi_01=None if reasonable is None else reasonable.at(0.1),
        height_scale=height_scale,
        notes=notes,
    )


def miss_rate_curve(
    truth: EvaluationSet,
    detections: DetectionSet,
    subset: str = "reasonable",
    *,
    height_scale: HeightScale = HeightScale.PICTURE,
) -> MissRateCurve:
    """Miss rate against false positives per image of one subset (a key of `SUBSETS`), for plots.

    Raises:
        NoDataError: the subset has no box.
    """
    _refuse_empty(truth)
    candidates = find_candidates(truth, detections)
    found = subset_outcomes(truth, detections, candidates, SUBSETS[subset], height_scale)
    pedestrians = int(np.count_nonzero(found.counted))
    if not pedestrians:
        raise NoDataError(f"no box is in the subset {subset}: a miss rate needs at least one")
    return curve_of(found.outcomes, truth.n_images, pedestrians)


def _refuse_empty(truth: EvaluationSet) -> None:
    if not truth.pedestrians:
        raise NoDataError(
            f"nothing to evaluate on: {truth.n_images} pictures with {len(truth.ignore)} boxes, none of which counts"
        )


def _miss_rates(
    truth: EvaluationSet, detections: DetectionSet, candidates: Candidates, height_scale: HeightScale
) -> tuple[dict[str, MissRateCurve | None], tuple[str, ...]]:
    if truth.n_images < MIN_IMAGES:
        return dict.fromkeys(SUBSETS), (f"MR⁻²: too few pictures ({truth.n_images} of {MIN_IMAGES})",)
    curves: dict[str, MissRateCurve | None] = {}
    notes = [_height_note(height_scale)]
    for name, subset in SUBSETS.items():
        found = subset_outcomes(truth, detections, candidates, subset, height_scale)
        pedestrians = int(np.count_nonzero(found.counted))
        curves[name] = curve_of(found.outcomes, truth.n_images, pedestrians) if pedestrians else None
        if not pedestrians:
            notes.append(f"MR⁻² {name}: no box is in this subset")
    return curves, tuple(notes)


def _height_note(height_scale: HeightScale) -> str:
    if height_scale is HeightScale.PIXELS:
        return "MR⁻² subsets by height in pixels as they are"
    return "MR⁻² subsets by height scaled to pictures 1024 pixels high"
