"""The parts of a split with their labels and what the model says about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from belisha.components.shared.detections import Detections
from belisha.components.shared.detector import Detector
from belisha.components.shared.errors import ContractError
from belisha.components.shared.evaluation import (
    FALSE_POSITIVE,
    TRUE_POSITIVE,
    DetectionSet,
    EvaluationSet,
    Outcomes,
    detection_set,
    evaluation_set,
    match_outcomes,
)
from belisha.components.shared.inference import detect_all
from belisha.components.shared.manifest import Picture, iter_pictures, read_table
from belisha.components.shared.progress import ProgressSink

BoolArray = npt.NDArray[np.bool_]

TRAIN_SAMPLE_IMAGES = 200


@dataclass(frozen=True, slots=True)
class PartData:
    """One part.

    Attributes:
        name: `train`, `val` or `test`.
        pictures: manifest rows, ascending by image_id.
        groups: group id of each.
        truth: their labels.
        found: image_id to detections above the evaluation floor.
        detections: the same, flat.
        outcomes: what became of each, and of each box, at IoU 0.5.
    """

    name: str
    pictures: Sequence[Picture]
    groups: Sequence[str]
    truth: EvaluationSet
    found: Mapping[str, Detections]
    detections: DetectionSet
    outcomes: Outcomes

    @property
    def right(self) -> BoolArray:
        """`(m,)` whether each detection found a pedestrian."""
        return np.asarray(self.outcomes.detection == TRUE_POSITIVE)

    @property
    def wrong(self) -> BoolArray:
        """`(m,)` whether each detection is a false alarm."""
        return np.asarray(self.outcomes.detection == FALSE_POSITIVE)

    @property
    def visible_ratio_stated(self) -> BoolArray:
        """`(n_boxes,)` whether the labels say how much of each pedestrian is visible."""
        stated = [box.visible_ratio is not None for picture in self.pictures for box in picture.boxes]
        return np.array(stated, dtype=np.bool_)


def load_pictures(dataset_dir: Path, image_ids: Sequence[str]) -> list[Picture]:
    """Manifest rows of these pictures alone, ascending by image_id.

    Raises:
        ContractError: the manifest is unreadable or lacks one of them.
    """
    table = read_table(dataset_dir)
    rows = table.filter(pc.is_in(table.column("image_id"), value_set=pa.array(image_ids, pa.string())))
    pictures = sorted(iter_pictures(rows), key=lambda picture: picture.image_id)
    missing = set(image_ids) - {picture.image_id for picture in pictures}
    if missing:
        raise ContractError(
            f"{len(missing)} pictures of the split are not in the data set {dataset_dir} (the first is {min(missing)}): "
            "split this data set again"
        )
    return pictures


def train_sample(image_ids: Sequence[str]) -> list[str]:
    """At most 200 of the ids: the smallest, which is a fair and repeatable draw, for ids are digests."""
    return sorted(image_ids)[:TRAIN_SAMPLE_IMAGES]


def run_part(
    name: str, pictures: Sequence[Picture], group_of: Mapping[str, str], detector: Detector, progress: ProgressSink
) -> PartData:
    """Run the detector over a part and match what it finds."""
    truth = evaluation_set(pictures, group_of)
    found = detect_all(detector, pictures, progress, step=f"detect {name}")
    detections = detection_set(truth, found)
    groups = [group_of.get(picture.image_id, picture.group_id) for picture in pictures]
    return PartData(name, pictures, groups, truth, found, detections, match_outcomes(truth, detections))
