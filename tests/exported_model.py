"""A real detector as training exports it, made from pretrained weights without training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from belisha.components.shared.detector import OnnxDetector
from belisha.components.shared.golden import GoldenPicture, write_golden
from belisha.components.shared.images import ImageArray, decode_rgb
from belisha.components.shared.model_artifact import ModelInfo, Thresholds, write_model_info
from belisha.components.shared.preprocessing import PreprocessingSpec

_GOLDEN_WIDTH_PX = 384


def write_exported_model(folder: Path, weights: Path | None, pictures: list[Path], *, size_px: int = 640) -> ModelInfo:
    """Export a checkpoint's pedestrian class through the training component's code, with golden pictures.

    Args:
        folder: that is made.
        weights: an ultralytics checkpoint; None for random weights, which cost as much time.
        pictures: that become golden ones, made small.
        size_px: side of the model's input.
    """
    from belisha.components.train.export import export_onnx
    from belisha.components.train.settings import TrainSettings
    from belisha.components.train.weights import build_model

    folder.mkdir(parents=True)
    start = str(weights) if weights else ""
    settings = TrainSettings(weights_uri=start, architecture="yolov8n.yaml", image_size_px=size_px)
    export_onnx(build_model(settings, start).float().eval(), size_px, folder)
    info = write_model_info(folder, _described(size_px))
    detector = OnnxDetector(folder)
    images = [_small(decode_rgb(picture.read_bytes())) for picture in pictures]
    golden = [GoldenPicture(image, detector.detect(image)) for image in images]
    write_golden(folder, golden, info.thresholds.score)
    return write_model_info(folder, replace(info, files={}))


def real_pictures(folder: Path) -> list[Path]:
    """All real pictures, in a fixed order."""
    sets = ("voc61", "mot17mini", "coco128")
    return [path for name in sets for path in sorted((folder / name).rglob("*.jpg"))]


def _described(size_px: int) -> ModelInfo:
    return ModelInfo(
        preprocessing=PreprocessingSpec(height_px=size_px, width_px=size_px),
        thresholds=Thresholds(),
        dataset_digest="d" * 64,
        split_digest="5" * 64,
        weights_origin="pretrained",
        training={},
    )


def _small(image_rgb: ImageArray) -> ImageArray:
    height, width = image_rgb.shape[:2]
    scale = min(1.0, _GOLDEN_WIDTH_PX / max(height, width))
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image_rgb, size_wh, interpolation=cv2.INTER_AREA), dtype=np.uint8)
