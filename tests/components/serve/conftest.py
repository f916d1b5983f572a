"""A predictor with a tiny model of known answers, shared by the tests of serving."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from belisha.components.shared.detector import OnnxDetector
from belisha.components.shared.golden import GoldenPicture, write_golden
from belisha.components.shared.images import ImageArray
from belisha.components.shared.model_artifact import MODEL_FILE, write_model_info
from tests.components.serve.serving import Predictor, predictor
from tests.onnx_models import write_tiny_model


def bright_cell(column: int = 2, row: int = 1, value: int = 255) -> ImageArray:
    """A black 96 x 96 picture with one bright cell of the tiny model's grid."""
    image = np.zeros((96, 96, 3), np.uint8)
    image[row * 32 : (row + 1) * 32, column * 16 : (column + 1) * 16] = value
    return image


def png(image_rgb: ImageArray) -> bytes:
    return cv2.imencode(".png", np.ascontiguousarray(image_rgb[:, :, ::-1]))[1].tobytes()


PICTURE = png(bright_cell())
# What the tiny model finds on it.
BOX = {"x": 32.0, "y": 32.0, "width": 16.0, "height": 32.0, "score": 1.0}


def write_served_model(folder: Path, *, embedding: bool = False) -> None:
    """The tiny model with golden pictures."""
    info = write_tiny_model(folder, embedding=embedding)
    detector = OnnxDetector(folder)
    golden = [GoldenPicture(image, detector.detect(image)) for image in (bright_cell(), bright_cell(0, 0, 200))]
    write_golden(folder, golden, info.thresholds.score)
    (folder / MODEL_FILE).unlink()
    write_model_info(folder, info)


@pytest.fixture(scope="session")
def served_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "model"
    write_served_model(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_predictor(served_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predictor]:
    log = tmp_path_factory.mktemp("serve") / "predictor.log"
    small = ("--model-version", "tiny-1", "--max-bytes", "3000000", "--max-pixels", "2000000")
    with predictor(served_model, log, *small, environment={"GRPC_WORKERS": "1"}) as running:
        assert running.wait_ready().status == 200, log.read_text()
        yield running
