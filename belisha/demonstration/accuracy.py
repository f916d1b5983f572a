"""How well models do under each sky, on pictures that none of them has seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from belisha.components.shared.detections import Detections
from belisha.components.shared.detector import OnnxDetector
from belisha.components.shared.evaluation import detection_set, evaluate, evaluation_set
from belisha.components.shared.images import ImageArray, decode_rgb
from belisha.components.shared.inference import EVALUATION_SCORE_FLOOR
from belisha.components.shared.manifest import Picture
from belisha.components.shared.progress import ProgressSink, tracked
from belisha.demonstration.streets import Frame, frames

CONDITIONS = ("day", "dusk", "night")
_FIRST_PICTURE, _PICTURES = 900_000, 60


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Average precision at IoU 0.5 of one model under one sky, 0..1, and what it was measured on."""

    version: str
    condition: str
    ap50: float
    pictures: int
    pedestrians: int


def accuracy_by_condition(source: str, models: Mapping[str, Path], progress: ProgressSink) -> list[Accuracy]:
    """Measure each model under each sky on the same new pictures.

    Args:
        source: `synthetic://` source whose streets are drawn.
        models: model folders by version.
        progress: told after every picture.
    """
    detectors = {version: OnnxDetector(folder) for version, folder in models.items()}
    drawn = [frame for number, sky in enumerate(CONDITIONS) for frame in _drawn(source, sky, number)]
    pictures: list[Picture] = []
    found: dict[str, dict[str, Detections]] = {version: {} for version in detectors}
    for frame in tracked(drawn, progress, step="accuracy", unit="pictures", total=len(drawn)):
        image = decode_rgb(frame.data)
        pictures.append(_picture(frame, image))
        for version, detector in detectors.items():
            found[version][frame.picture_id] = detector.detect(image, score_threshold=EVALUATION_SCORE_FLOOR)
    return [_measured(version, sky, pictures, found[version]) for version in detectors for sky in CONDITIONS]


def _drawn(source: str, condition: str, number: int) -> list[Frame]:
    return list(frames(source, condition, _FIRST_PICTURE + number * _PICTURES, _PICTURES))


def _measured(version: str, condition: str, pictures: Sequence[Picture], found: Mapping[str, Detections]) -> Accuracy:
    mine = [picture for picture in pictures if picture.condition == condition]
    truth = evaluation_set(mine, {picture.image_id: picture.image_id for picture in mine})
    detections = {picture.image_id: found[picture.image_id] for picture in mine}
    summary = evaluate(truth, detection_set(truth, detections))
    return Accuracy(version, condition, summary.ap50, len(mine), truth.pedestrians)


def _picture(frame: Frame, image_rgb: ImageArray) -> Picture:
    height_px, width_px = image_rgb.shape[:2]
    return Picture(
        frame.picture_id, "", width_px, height_px, "demonstration", camera=frame.camera, condition=frame.condition,
        boxes=frame.boxes,
    )  # fmt: skip
