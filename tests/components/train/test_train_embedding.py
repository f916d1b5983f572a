"""The export's second output: what the network itself computes, read by the runtimes, and no change to the first."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx.utils
import pytest
import torch

from belisha.components.shared.detector import OnnxDetector
from belisha.components.shared.images import ImageArray
from belisha.components.shared.preprocessing import preprocess
from belisha.components.shared.runtimes import ONNX_RUNTIME, open_runtime
from belisha.components.train.export import EMBEDDING_LENGTH, WithEmbedding
from belisha.components.train.settings import TrainSettings
from belisha.components.train.weights import build_model
from tests.exported_model import write_exported_model


@pytest.fixture(scope="module")
def picture() -> ImageArray:
    return np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, picture: ImageArray) -> Path:
    root = tmp_path_factory.mktemp("model")
    cv2.imwrite(str(root / "golden.png"), picture)
    torch.manual_seed(0)
    write_exported_model(root / "model", None, [root / "golden.png"], size_px=64)
    return root / "model"


def test_boxes_do_not_change_by_it(model: Path, picture: ImageArray, tmp_path: Path) -> None:
    alone = tmp_path / "alone.onnx"
    onnx.utils.extract_model(str(model / "model.onnx"), str(alone), ["images"], ["output0"])
    tensor, _ = preprocess(picture, OnnxDetector(model).info.preprocessing)
    with_it, embedding = open_runtime(ONNX_RUNTIME, model / "model.onnx").run(tensor)
    without, nothing = open_runtime(ONNX_RUNTIME, alone).run(tensor)
    assert np.array_equal(with_it, without)
    assert embedding.shape == (EMBEDDING_LENGTH,)
    assert nothing.shape == (0,)


def test_it_is_what_the_network_computes(picture: ImageArray, tmp_path: Path) -> None:
    from belisha.components.train.export import export_onnx

    torch.manual_seed(1)
    network = build_model(TrainSettings(architecture="yolov8n.yaml", image_size_px=64), "").float().eval()
    path = export_onnx(network, 64, tmp_path)
    tensor = np.random.default_rng(1).random((1, 3, 64, 64), dtype=np.float32)
    with torch.no_grad():
        expected = WithEmbedding(network)(torch.from_numpy(tensor))[1].numpy()[0]
    assert open_runtime(ONNX_RUNTIME, path).run(tensor)[1] == pytest.approx(expected, abs=1e-4)


def test_like_pictures_lie_closer_than_unlike_ones(model: Path, picture: ImageArray) -> None:
    detector = OnnxDetector(model)
    noise = np.random.default_rng(2).integers(0, 3, picture.shape, dtype=np.uint8)
    one, near, far = (
        detector.detect_and_embed(image)[1] for image in (picture, np.maximum(picture, noise), picture // 4)
    )
    assert np.linalg.norm(one - near) < np.linalg.norm(one - far)
