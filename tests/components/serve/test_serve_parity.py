"""Boxes over HTTP equal those that validation sees, on real pictures with a real detector."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from belisha.components.shared.detector import OnnxDetector
from belisha.components.shared.images import decode_rgb
from belisha.components.shared.inference import map_bounded
from tests.components.serve.serving import Predictor, predictor
from tests.exported_model import real_pictures, write_exported_model

PICTURES = 200
SIZE_PX = 320
PARITY_PX = 1e-3

pytestmark = [pytest.mark.training, pytest.mark.real_data]


@pytest.fixture(scope="module")
def real_model(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real") / "model"
    golden = sorted((real_data / "voc61").rglob("*.jpg"))[:4]
    write_exported_model(folder, real_data / "weights" / "yolov8n_coco_dequantised.pt", golden, size_px=SIZE_PX)
    return folder


@pytest.fixture(scope="module", params=["onnxruntime", "openvino"])
def real_predictor(
    request: pytest.FixtureRequest, real_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Predictor]:
    log = tmp_path_factory.mktemp("serve") / "predictor.log"
    with predictor(real_model, log, "--runtime", request.param) as running:
        assert running.wait_ready().status == 200, log.read_text()
        yield running


def test_boxes_over_http_equal_those_of_validation(
    real_predictor: Predictor, real_model: Path, real_data: Path
) -> None:
    paths = real_pictures(real_data)[:PICTURES]
    assert len(paths) == PICTURES
    detector = OnnxDetector(real_model)

    def difference_px(path: Path) -> tuple[int, float]:
        data = path.read_bytes()
        expected, found = detector.detect(decode_rgb(data)), real_predictor.post(data).detections
        assert len(found) == len(expected), path
        gaps = np.abs(found.boxes_xywh_px - expected.boxes_xywh_px)
        assert np.abs(found.scores - expected.scores).max(initial=0) < 1e-4, path
        return len(expected), float(gaps.max(initial=0))

    counts, gaps = zip(*map_bounded(difference_px, paths, 2), strict=True)
    assert sum(counts) > 300, "too few boxes to prove anything"
    assert max(gaps) <= PARITY_PX
