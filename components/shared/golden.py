"""Golden pictures: small pictures inside the model artifact with the boxes its builder saw; checked at build and at load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from belisha.components.shared.boxes import iou
from belisha.components.shared.detections import Detections
from belisha.components.shared.detector import Detector, OnnxDetector
from belisha.components.shared.errors import ContractError
from belisha.components.shared.files import read_json, write_json
from belisha.components.shared.images import ImageArray, decode_rgb
from belisha.components.shared.model_artifact import GOLDEN_FOLDER

GOLDEN_SCHEMA = "belisha.golden/1"
GOLDEN_FILE = "golden.json"
# Runtimes and processors round differently; a wrong resize, channel order or suppression moves far more than this.
TOLERANCE_PX = 1.0
TOLERANCE_SCORE = 0.01
_SAME_BOX_IOU = 0.5


class GoldenMismatchError(ContractError):
    """A model does not find on its golden pictures what its builder saw: it must not serve."""


@dataclass(frozen=True, slots=True)
class GoldenPicture:
    """A picture and what the model found on it."""

    image_rgb: ImageArray
    detections: Detections


@dataclass(frozen=True, slots=True)
class GoldenCheck:
    """How far two detectors are apart on the golden pictures.

    Attributes:
        passed: whether every box has its partner within the tolerances.
        pictures: compared.
        boxes: expected.
        unmatched: boxes of one side, well above the threshold, that the other side lacks.
        max_difference_px: largest distance of an edge between partners.
        max_difference_score: largest difference of scores between partners.
    """

    passed: bool
    pictures: int
    boxes: int
    unmatched: int
    max_difference_px: float
    max_difference_score: float

    @property
    def sentence(self) -> str:
        """The finding with its numbers."""
        verdict = "agree" if self.passed else "do not agree"
        return (
            f"on {self.pictures} golden pictures with {self.boxes} boxes both sides {verdict}: {self.unmatched} boxes "
            f"without a partner, largest difference {self.max_difference_px:.3f} px and {self.max_difference_score:.5f} "
            f"in score (allowed {TOLERANCE_PX:g} px and {TOLERANCE_SCORE:g})"
        )


def check_golden(folder: Path, detector: Detector | None = None) -> GoldenCheck:
    """Run the golden pictures of a model artifact and compare with what its builder saw.

    Args:
        folder: of the model artifact.
        detector: to be checked; the artifact's own on ONNX Runtime by default.

    Raises:
        ContractError, DigestError: the artifact is not whole, or has no golden pictures.
    """
    detector = detector or OnnxDetector(folder)
    score_threshold, pictures = read_golden(folder)
    found = [detector.detect(picture.image_rgb, score_threshold=score_threshold) for picture in pictures]
    return compare_detections([picture.detections for picture in pictures], found, score_threshold)


def compare_detections(
    expected: Sequence[Detections], found: Sequence[Detections], score_threshold: float
) -> GoldenCheck:
    """Compare two detectors' boxes picture by picture; a box within the tolerance of the threshold may be missing."""
    unmatched, distance_px, distance_score = 0, 0.0, 0.0
    for one, other in zip(expected, found, strict=True):
        pairs = _pairs(one, other)
        unmatched += _lonely(one, [pair[0] for pair in pairs], score_threshold)
        unmatched += _lonely(other, [pair[1] for pair in pairs], score_threshold)
        for first, second in pairs:
            distance_px = max(distance_px, _edge_distance(one.boxes_xywh_px[first], other.boxes_xywh_px[second]))
            distance_score = max(distance_score, abs(float(one.scores[first]) - float(other.scores[second])))
    passed = unmatched == 0 and distance_px <= TOLERANCE_PX and distance_score <= TOLERANCE_SCORE
    boxes = sum(len(one) for one in expected)
    return GoldenCheck(passed, len(expected), boxes, unmatched, distance_px, distance_score)


def _pairs(one: Detections, other: Detections) -> list[tuple[int, int]]:
    """Partners, best overlap first, each box once."""
    overlaps = iou(one.boxes_xywh_px.astype(np.float64), other.boxes_xywh_px.astype(np.float64))
    pairs: list[tuple[int, int]] = []
    while overlaps.size and overlaps.max() >= _SAME_BOX_IOU:
        first, second = (int(place) for place in np.unravel_index(overlaps.argmax(), overlaps.shape))
        pairs.append((first, second))
        overlaps[first, :] = overlaps[:, second] = -1
    return pairs


def _lonely(detections: Detections, matched: Sequence[int], score_threshold: float) -> int:
    alone = np.ones(len(detections), dtype=bool)
    alone[list(matched)] = False
    return int((alone & (detections.scores > score_threshold + TOLERANCE_SCORE)).sum())


def _edge_distance(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> float:
    edges = [np.concatenate([box[:2], box[:2] + box[2:]]) for box in (one, other)]
    return float(np.abs(edges[0] - edges[1]).max())


def write_golden(folder: Path, pictures: Sequence[GoldenPicture], score_threshold: float) -> None:
    """Write golden pictures and expected boxes into a model folder that is still being made."""
    golden = folder / GOLDEN_FOLDER
    golden.mkdir()
    entries = []
    for number, picture in enumerate(pictures):
        name = f"{number}.png"
        encoded = cv2.imencode(".png", np.ascontiguousarray(picture.image_rgb[:, :, ::-1]))[1]
        (golden / name).write_bytes(encoded.tobytes())
        found = picture.detections
        boxes = [[round(float(value), 4) for value in box] for box in found.boxes_xywh_px]
        scores = [round(float(score), 6) for score in found.scores]
        entries.append({"file": name, "boxes_xywh_px": boxes, "scores": scores})
    write_json(golden / GOLDEN_FILE, {"schema": GOLDEN_SCHEMA, "score_threshold": score_threshold, "pictures": entries})


def read_golden(folder: Path) -> tuple[float, list[GoldenPicture]]:
    """The score threshold and the golden pictures of a model folder; raises ContractError."""
    path = folder / GOLDEN_FOLDER / GOLDEN_FILE
    value = read_json(path, schema=GOLDEN_SCHEMA)
    try:
        pictures = [
            GoldenPicture(
                decode_rgb((path.parent / Path(entry["file"]).name).read_bytes()),
                Detections(
                    np.array(entry["boxes_xywh_px"], np.float32).reshape(-1, 4), np.array(entry["scores"], np.float32)
                ),
            )
            for entry in value["pictures"]
        ]
        threshold = float(value["score_threshold"])
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise ContractError(f"{path} is not understood ({error}): export the model again") from None
    if not pictures:
        raise ContractError(f"{path} names no picture: export the model again")
    return threshold, pictures
