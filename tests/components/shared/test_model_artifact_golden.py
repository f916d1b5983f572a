"""Golden pictures find a model, a runtime or a preprocessing that is not the one that was built."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from belisha.components.shared.detections import Detections, no_detections
from belisha.components.shared.detector import OnnxDetector
from belisha.components.shared.errors import ContractError, DigestError
from belisha.components.shared.golden import GoldenPicture, check_golden, compare_detections, read_golden, write_golden
from belisha.components.shared.images import ImageArray
from belisha.components.shared.model_artifact import ModelInfo, Thresholds, write_model_info
from belisha.components.shared.preprocessing import PreprocessingSpec

SIDE = 64


def brightness_model(path: Path, gain: float = 1.0) -> None:
    """An ONNX model that sees one box whose score is the mean of the red channel, and one box of score 0.3 elsewhere."""
    fixed = np.array([[20, 45], [30, 30], [16, 12], [30, 20], [0, 0.3]], np.float32)[None]
    where = np.zeros((1, 5, 2), np.float32)
    where[0, 4, 0] = gain
    nodes = [
        helper.make_node("Slice", ["images", "start", "end", "axis"], ["red"]),
        helper.make_node("ReduceMean", ["red"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["where", "mean"], ["score"]),
        helper.make_node("Add", ["score", "fixed"], ["output0"]),
    ]
    constants = {"start": [0], "end": [1], "axis": [1]}
    initial = [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in constants.items()]
    initial += [numpy_helper.from_array(fixed, "fixed"), numpy_helper.from_array(where, "where")]
    graph = helper.make_graph(
        nodes,
        "brightness",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 5, 2])],
        initial,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 10
    onnx.save(model, str(path))


def info() -> ModelInfo:
    return ModelInfo(PreprocessingSpec(SIDE, SIDE), Thresholds(), "d", "s", "scratch", {})


def red_picture(red: int = 200) -> ImageArray:
    image = np.zeros((48, 96, 3), np.uint8)
    image[:, :, 0] = red
    return image


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    brightness_model(folder / "model.onnx")
    write_model_info(folder, info())
    detector = OnnxDetector(folder)
    pictures = [
        GoldenPicture(red_picture(red), detector.detect(red_picture(red), score_threshold=0.25)) for red in (120, 220)
    ]
    write_golden(folder, pictures, 0.25)
    write_model_info(folder, info())
    return folder


def test_untouched_artifact_agrees_with_itself(artifact: Path) -> None:
    check = check_golden(artifact)
    assert check.passed, check.sentence
    assert (check.pictures, check.boxes, check.unmatched) == (2, 4, 0)
    assert check.max_difference_px < 1e-3


def test_golden_pictures_come_back_pixel_by_pixel(artifact: Path) -> None:
    threshold, pictures = read_golden(artifact)
    assert threshold == 0.25
    assert np.array_equal(pictures[0].image_rgb, red_picture(120))


def test_another_models_weights_are_found(artifact: Path) -> None:
    brightness_model(artifact / "model.onnx", gain=0.9)
    with pytest.raises(DigestError):
        check_golden(artifact)
    write_model_info(artifact, info())
    check = check_golden(artifact)
    assert not check.passed
    assert check.max_difference_score > 0.01
    assert "do not agree" in check.sentence


def test_another_preprocessing_is_found(artifact: Path) -> None:
    class SwapsChannels:
        def detect(self, image_rgb: ImageArray, *, score_threshold: float | None = None) -> Detections:
            return OnnxDetector(artifact).detect(image_rgb[:, :, ::-1].copy(), score_threshold=score_threshold)

    assert not check_golden(artifact, SwapsChannels()).passed


@pytest.mark.parametrize("damage", ["missing", "empty", "no pictures"])
def test_damaged_golden_files_are_refused(artifact: Path, damage: str) -> None:
    path = artifact / "golden/golden.json"
    if damage == "missing":
        path.unlink()
    else:
        path.write_text('{"schema": "belisha.golden/1"}' if damage == "empty" else
                        '{"schema": "belisha.golden/1", "score_threshold": 0.2, "pictures": []}')  # fmt: skip
    write_model_info(artifact, info())
    with pytest.raises(ContractError, match="golden"):
        check_golden(artifact)


def boxes(*rows: tuple[float, float, float, float, float]) -> Detections:
    values = np.array(rows, np.float32).reshape(-1, 5)
    return Detections(values[:, :4], values[:, 4])


BASE = (10.0, 10.0, 20.0, 40.0, 0.8)


@pytest.mark.parametrize(
    ("found", "passed"),
    [
        pytest.param(boxes(BASE), True, id="same"),
        pytest.param(boxes((10.5, 10, 20, 40, 0.805)), True, id="within"),
        pytest.param(boxes((12, 10, 20, 40, 0.8)), False, id="moved"),
        pytest.param(boxes((10, 10, 20, 40, 0.75)), False, id="other score"),
        pytest.param(no_detections(), False, id="missing"),
        pytest.param(boxes(BASE, (60, 10, 20, 40, 0.5)), False, id="one more"),
        pytest.param(boxes(BASE, (60, 10, 20, 40, 0.255)), True, id="one more at the threshold"),
    ],
)
def test_tolerances(found: Detections, passed: bool) -> None:
    assert compare_detections([boxes(BASE)], [found], 0.25).passed is passed
    assert compare_detections([found], [boxes(BASE)], 0.25).passed is passed


def test_detector_finds_boxes_in_picture_pixels(artifact: Path) -> None:
    found = OnnxDetector(artifact).detect(red_picture(255))
    # A picture of 96 x 48 enters 64 x 64 at two thirds of its size, with 16 rows of padding above.
    best = found.boxes_xywh_px[int(found.scores.argmax())]
    assert best[0] == pytest.approx((20 - 8) * 1.5, abs=1e-3)
    assert best[1] == pytest.approx(0, abs=1e-3)
    assert OnnxDetector(artifact).detect(red_picture(255), score_threshold=0.99).scores.tolist() == []


def test_thresholds_of_the_artifact_apply(artifact: Path) -> None:
    write_model_info(artifact, replace(info(), thresholds=Thresholds(score=0.5)))
    assert len(OnnxDetector(artifact).detect(red_picture(255))) == 1
    assert len(OnnxDetector(artifact).detect(red_picture(20))) == 0
