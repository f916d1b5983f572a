"""The test part cut by condition, height and occlusion, for both models alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from belisha.components.shared.evaluation import (
    DetectionSet,
    EvaluationSet,
    detections_of_height,
    detections_on,
    only_boxes,
    only_images,
)
from belisha.components.shared.manifest import Picture

HEIGHT_BANDS_PX = ((0.0, 30.0), (30.0, 50.0), (50.0, 80.0), (80.0, 150.0), (150.0, np.inf))
# Visible ratio: bare, partial, heavy, almost hidden.
OCCLUSION_BANDS = (("bare", 0.9, np.inf), ("partial", 0.65, 0.9), ("heavy", 0.2, 0.65), ("hidden", 0.0, 0.2))
NOT_STATED = "not stated"


@dataclass(frozen=True, slots=True)
class SlicePart:
    """One slice: its labels and what both models found there."""

    kind: str
    name: str
    truth: EvaluationSet
    candidate: DetectionSet
    champion: DetectionSet


def slice_parts(
    pictures: Sequence[Picture], truth: EvaluationSet, candidate: DetectionSet, champion: DetectionSet
) -> Iterator[SlicePart]:
    """Every slice that holds a counted box; pictures in the order of `truth`."""
    found = [*_by_condition(pictures, truth, candidate, champion), *_by_height(truth, candidate, champion)]
    found += [SlicePart("occlusion", name, part, candidate, champion) for name, part in _by_occlusion(pictures, truth)]
    yield from (part for part in found if part.truth.pedestrians)


def _by_condition(
    pictures: Sequence[Picture], truth: EvaluationSet, candidate: DetectionSet, champion: DetectionSet
) -> Iterator[SlicePart]:
    conditions = np.array([picture.condition or NOT_STATED for picture in pictures])
    for name in sorted(set(conditions.tolist())):
        mask = conditions == name
        both = (detections_on(candidate, mask), detections_on(champion, mask))
        yield SlicePart("condition", name, only_images(truth, mask), *both)


def _by_height(truth: EvaluationSet, candidate: DetectionSet, champion: DetectionSet) -> Iterator[SlicePart]:
    heights = truth.box_height_px
    for low, high in HEIGHT_BANDS_PX:
        name = f"{low:g} px and more" if np.isinf(high) else f"{low:g} to {high:g} px"
        both = (detections_of_height(candidate, low, high), detections_of_height(champion, low, high))
        yield SlicePart("height", name, only_boxes(truth, (heights >= low) & (heights < high)), *both)


def _by_occlusion(pictures: Sequence[Picture], truth: EvaluationSet) -> Iterator[tuple[str, EvaluationSet]]:
    stated = _visible_ratio_stated(pictures)
    for name, low, high in OCCLUSION_BANDS:
        yield name, only_boxes(truth, stated & (truth.visible_ratio >= low) & (truth.visible_ratio < high))
    yield NOT_STATED, only_boxes(truth, ~stated)


def _visible_ratio_stated(pictures: Sequence[Picture]) -> npt.NDArray[np.bool_]:
    stated = [box.visible_ratio is not None for picture in pictures for box in picture.boxes]
    return np.array(stated, dtype=np.bool_)
