"""The proof of an export where hardly anything was learned, so that suppression keeps other boxes on either side."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from belisha.components.shared.detections import Detections
from belisha.components.shared.detector import OnnxDetector
from belisha.components.shared.errors import TrainingError
from belisha.components.shared.files import sha256_hex
from belisha.components.shared.images import ImageArray
from belisha.components.shared.manifest import Picture
from belisha.components.shared.model_artifact import GOLDEN_FOLDER, ModelInfo, Thresholds, write_model_info
from belisha.components.shared.preprocessing import PreprocessingSpec
from belisha.components.shared.runtimes import FloatTensor
from belisha.components.train.export import TorchDetector, add_golden, export_onnx
from belisha.components.train.settings import TrainSettings
from belisha.components.train.weights import build_model

SIZE_PX = 320
ANCHORS = 40 * 40 + 20 * 20 + 10 * 10
pytestmark = pytest.mark.xdist_group("tied scores")


class Reversed(TorchDetector):
    """Finds the same boxes but keeps the last ones of those that score alike, as rounding may have it."""

    off_px = 0.0

    def detect(self, image_rgb: ImageArray, *, score_threshold: float | None = None) -> Detections:
        found = super().detect(image_rgb, score_threshold=score_threshold)
        return Detections(found.boxes_xywh_px[:0:-2], found.scores[:0:-2])

    def candidates(self, tensor: FloatTensor) -> FloatTensor:
        return super().candidates(tensor) + np.float32(self.off_px)


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Reversed, list[Picture]]:
    """A model without training, sure of everything: all scores are alike, and high."""
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    model = build_model(TrainSettings(image_size_px=SIZE_PX), "").float().eval()
    for scores in model.model[-1].cv3:
        torch.nn.init.constant_(scores[-1].bias, 4.0)
    export_onnx(model, SIZE_PX, folder)
    spec = PreprocessingSpec(height_px=SIZE_PX, width_px=SIZE_PX)
    write_model_info(folder, ModelInfo(spec, Thresholds(), "d" * 64, "5" * 64, "scratch", {}))
    return folder, Reversed(model, SIZE_PX, Thresholds()), _pictures(folder)


def _pictures(folder: Path) -> list[Picture]:
    pictures = []
    for number in range(3):
        image = np.random.default_rng(number).integers(0, 255, (64, 96, 3), dtype=np.uint8)
        path = folder / f"{number}.png"
        cv2.imwrite(str(path), image)
        pictures.append(Picture(sha256_hex(path.read_bytes()), str(path), 96, 64, "noise"))
    return pictures


def test_scores_that_are_all_alike_are_proven_before_suppression(
    untrained: tuple[Path, Reversed, list[Picture]],
) -> None:
    folder, torch_detector, pictures = untrained
    torch_detector.off_px = 0.0
    shutil.rmtree(folder / GOLDEN_FOLDER, ignore_errors=True)
    check = add_golden(folder, OnnxDetector(folder), torch_detector, pictures)
    assert check.passed
    assert check.boxes == check.pictures * ANCHORS


def test_networks_that_differ_are_refused_all_the_same(untrained: tuple[Path, Reversed, list[Picture]]) -> None:
    folder, torch_detector, pictures = untrained
    torch_detector.off_px = 1.5
    shutil.rmtree(folder / GOLDEN_FOLDER, ignore_errors=True)
    with pytest.raises(TrainingError, match=r"differ.* 1\.500 px"):
        add_golden(folder, OnnxDetector(folder), torch_detector, pictures)
