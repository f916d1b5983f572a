"""What drift is measured against until production has been seen: the validation part, through the code that serves.

The training part would not do: a model is surer of the pictures that it has learned than of any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from belisha.components.shared.detections import Detections
from belisha.components.shared.detector import OnnxDetector
from belisha.components.shared.drift_features import features_of
from belisha.components.shared.drift_reference import (
    DEFAULT_GAP_SECONDS,
    REFERENCE_FILE,
    REFERENCE_FOLDER,
    Reference,
    Source,
    encode_reference,
)
from belisha.components.shared.files import write_bytes_atomic
from belisha.components.shared.images import ImageArray
from belisha.components.shared.inference import map_bounded, read_image, usable_cpus
from belisha.components.shared.manifest import Picture
from belisha.components.shared.picture_statistics import picture_statistics
from belisha.components.shared.picture_store import PictureReader
from belisha.components.shared.progress import ProgressSink, tracked
from belisha.components.shared.request_log import PredictionRow, table_of
from belisha.components.shared.runtimes import FloatTensor

MAX_PICTURES = 5000
# The order of the rows stands for time where a picture has none: neighbours are of one sequence.
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def write_reference(folder: Path, pictures: Sequence[Picture], score_threshold: float, progress: ProgressSink) -> None:
    """Write `reference/reference.parquet` into a model folder that is being made.

    Args:
        folder: with `model.onnx` and `model.json`.
        pictures: of the validation part; at most 5000 are taken.
        score_threshold: that serving will apply.
        progress: told after each picture.
    """
    detector, reader = OnnxDetector(folder), PictureReader()
    ordered = _ordered(pictures)
    numbered = list(enumerate(ordered))

    def row(item: tuple[int, Picture]) -> PredictionRow:
        image_rgb = read_image(item[1], reader)
        return _row(*item, image_rgb, *detector.detect_and_embed(image_rgb, score_threshold=score_threshold))

    found = tracked(
        map_bounded(row, numbered, usable_cpus()),
        progress,
        step="drift reference",
        unit="pictures",
        total=len(numbered),
    )
    rows = features_of(table_of(list(found)))
    data = encode_reference(Reference(Source.TRAINING, DEFAULT_GAP_SECONDS, rows))
    write_bytes_atomic(folder / REFERENCE_FOLDER / REFERENCE_FILE, data)


def _ordered(pictures: Sequence[Picture]) -> list[Picture]:
    """By sequence and time, evenly thinned where there are more than enough."""
    chosen = sorted(pictures, key=lambda one: one.image_id)[:MAX_PICTURES]
    return sorted(chosen, key=lambda one: (one.captured_at or _EPOCH, one.camera, one.group_id, one.image_id))


def _row(
    number: int, picture: Picture, image_rgb: ImageArray, detections: Detections, embedding: FloatTensor
) -> PredictionRow:
    """As serving would log it; the picture goes by its digest, for a model names no folder of the machine that made it."""
    return PredictionRow(
        time=_EPOCH + timedelta(seconds=number),
        request_id=picture.image_id,
        model_version="",
        role="",
        camera=picture.camera,
        client="",
        shadow=False,
        drawn=False,
        latency_seconds=0.0,
        picture_id=picture.image_id,
        picture_uri=picture.image_id,
        width_px=picture.width_px,
        height_px=picture.height_px,
        statistics=picture_statistics(image_rgb),
        scores=tuple(detections.scores.tolist()),
        boxes_xywh_px=tuple(detections.boxes_xywh_px.ravel().tolist()),
        embedding=tuple(embedding.tolist()),
    )
