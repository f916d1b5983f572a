"""Log-average miss rate MR⁻² (lower is better) by the rules of Caltech and CityPersons.

Sources: Dollár et al., "Pedestrian Detection: An Evaluation of the State of the Art", 2012; Zhang et al., "CityPersons", 2017.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from belisha.components.shared.errors import InputError
from belisha.components.shared.evaluation.matching import FALSE_POSITIVE, TRUE_POSITIVE, Candidates, match
from belisha.components.shared.evaluation.sets import DetectionSet, EvaluationSet, FloatArray

# 10^(-2 : 0.25 : 0), rounded as the CityPersons code rounds them.
FPPI_POINTS: FloatArray = np.array([0.0100, 0.0178, 0.0316, 0.0562, 0.1000, 0.1778, 0.3162, 0.5623, 1.0000])
MISS_RATE_FLOOR = 1e-10
OVERLAP = 0.5
# Below 100 pictures the first reference point lies below one false alarm in all pictures.
MIN_IMAGES = 100
# The height of the pictures for which the height ranges were written down.
REFERENCE_HEIGHT_PX = 1024
EXPAND = 1.25


class HeightScale(enum.StrEnum):
    """How heights are held against a subset's range.

    PICTURE: scaled by 1024 / the picture's height, so that a range means the same share of any picture.
    PIXELS: as they are.
    """

    PICTURE = "picture"
    PIXELS = "pixels"


@dataclass(frozen=True, slots=True)
class Subset:
    """Which boxes count, both ends of each range included; the others become regions to ignore.

    Attributes:
        height_px: least and largest height on a picture 1024 pixels high.
        visible_ratio: least and largest visible ratio, 0..1.
    """

    height_px: tuple[float, float]
    visible_ratio: tuple[float, float]


SUBSETS: Mapping[str, Subset] = {
    "reasonable": Subset((50, np.inf), (0.65, np.inf)),
    "small": Subset((50, 75), (0.65, np.inf)),
    "heavy": Subset((50, np.inf), (0.2, 0.65)),
    "all": Subset((20, np.inf), (0.2, np.inf)),
}


@dataclass(frozen=True, slots=True)
class SubsetOutcomes:
    """Outcomes of one subset.

    Attributes:
        outcomes: `(m,)` int8 by falling score over all pictures.
        counted: `(n_boxes,)` the boxes of the subset.
    """

    outcomes: npt.NDArray[np.int8]
    counted: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class MissRateCurve:
    """One point a counted detection, by falling score.

    Attributes:
        fppi: `(k,)` false positives per image, rising.
        miss_rate: `(k,)` share of the counted boxes not found, 0..1, falling.
    """

    fppi: FloatArray
    miss_rate: FloatArray

    def at(self, fppi: float) -> float:
        """Miss rate at the last point that does not exceed `fppi`; 1 where there is none."""
        return float(_read_out(self, np.array([fppi]))[0])


def subset_outcomes(
    truth: EvaluationSet,
    detections: DetectionSet,
    candidates: Candidates,
    subset: Subset,
    height_scale: HeightScale = HeightScale.PICTURE,
) -> SubsetOutcomes:
    """Match by the subset's rules: boxes outside of it are ignored, detections are filtered by the range expanded by 1.25."""
    scale = _scale(truth, height_scale)
    low, high = subset.height_px
    heights = truth.box_height_px * scale[truth.box_image]
    visible_low, visible_high = subset.visible_ratio
    counted = ~truth.ignore & (heights >= low) & (heights <= high)
    counted &= (truth.visible_ratio >= visible_low) & (truth.visible_ratio <= visible_high)
    found_heights = (detections.boxes_xywh_px[:, 3] * scale[detections.image])[candidates.order]
    kept = (found_heights >= low / EXPAND) & (found_heights < high * EXPAND)
    outcomes = match(candidates, ~counted, (OVERLAP,), kept).outcome[0]
    return SubsetOutcomes(outcomes[candidates.by_score], counted)


def curve_of(outcomes: npt.NDArray[np.int8], images: int, pedestrians: int) -> MissRateCurve:
    """The curve of outcomes ordered by falling score, pooled over all `images`."""
    counted = outcomes[(outcomes == TRUE_POSITIVE) | (outcomes == FALSE_POSITIVE)]
    return MissRateCurve(
        fppi=np.cumsum(counted == FALSE_POSITIVE) / images,
        miss_rate=1.0 - np.cumsum(counted == TRUE_POSITIVE) / pedestrians,
    )


def log_average(curve: MissRateCurve) -> float:
    """MR⁻²: the geometric mean of the miss rates at the nine reference points, as a ratio."""
    return float(np.exp(np.log(np.maximum(_read_out(curve, FPPI_POINTS), MISS_RATE_FLOOR)).mean()))


def _read_out(curve: MissRateCurve, fppi: FloatArray) -> FloatArray:
    # The last point with fppi <= f; the point before the first is a miss rate of 1, never the end of the curve.
    last = np.searchsorted(curve.fppi, fppi, side="right")
    return np.asarray(np.concatenate([[1.0], curve.miss_rate])[last])


def _scale(truth: EvaluationSet, height_scale: HeightScale) -> FloatArray:
    if height_scale is HeightScale.PIXELS:
        return np.ones(truth.n_images)
    unknown = int(np.count_nonzero(truth.image_height_px <= 0))
    if unknown:
        raise InputError(f"{unknown} of {truth.n_images} pictures have no height to scale by: take heights in pixels")
    return REFERENCE_HEIGHT_PX / truth.image_height_px
