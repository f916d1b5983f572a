"""From trained weights to ONNX, and the proof that it sees what PyTorch sees."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from belisha.components.shared.detections import Detections
from belisha.components.shared.detector import OnnxDetector
from belisha.components.shared.errors import TrainingError
from belisha.components.shared.golden import (
    TOLERANCE_PX,
    TOLERANCE_SCORE,
    GoldenCheck,
    GoldenPicture,
    check_golden,
    compare_detections,
    write_golden,
)
from belisha.components.shared.images import ImageArray
from belisha.components.shared.inference import read_image
from belisha.components.shared.manifest import Picture, boxes_of
from belisha.components.shared.model_artifact import ONNX_FILE, Thresholds
from belisha.components.shared.picture_store import PictureReader
from belisha.components.shared.preprocessing import preprocess
from belisha.components.shared.runtimes import EMBEDDING_OUTPUT, FloatTensor
from belisha.components.train.job import Job
from belisha.components.train.weights import build_model

OPSET = 17
EMBEDDING_LENGTH = 64
GOLDEN_PICTURES = 4
_CANDIDATES = 12
_GOLDEN_WIDTH_PX = 384
_GOLDEN_BOXES = 3
_SCORES = (0.25, 0.05, 0.01, 0.001, 0.0001)
_MOST_BOXES = 50


def trained_model(job: Job, best: dict[str, Any]) -> Any:
    """The model of a job with trained weights, ready for inference."""
    model = build_model(job.settings, job.weights_path)
    model.load_state_dict(best)
    return model.float().eval()


def export_onnx(model: Any, size_px: int, folder: Path) -> Path:
    """Write `model.onnx` into `folder`: fixed square input, simplified, and the same bytes for the same weights.

    Its first output has the boxes, its second one, `embedding`, describes the whole picture.
    """
    import onnx
    import onnxslim

    fused = copy.deepcopy(model).fuse(verbose=False).eval()
    head = fused.model[-1]
    head.export, head.format, head.dynamic = True, "onnx", False
    example = torch.zeros(1, 3, size_px, size_px)
    path = folder / ONNX_FILE
    with torch.no_grad():
        # Once before it is traced, for what is made the first time is no part of the network.
        described = WithEmbedding(fused)
        described(example)
        torch.onnx.export(
            described,
            (example,),
            str(path),
            opset_version=OPSET,
            input_names=["images"],
            output_names=["output0", EMBEDDING_OUTPUT],
            do_constant_folding=True,
            dynamo=False,
        )
    slim = onnxslim.slim(onnx.load(str(path)))
    del slim.metadata_props[:]
    slim.ir_version = min(slim.ir_version, 10)
    slim.graph.name, slim.doc_string = "belisha", ""
    for node in slim.graph.node:
        node.doc_string = ""
    onnx.checker.check_model(slim)
    path.write_bytes(slim.SerializeToString(deterministic=True))
    _refuse_shape(slim, size_px)
    return path


class WithEmbedding(torch.nn.Module):  # type: ignore[misc]
    """A network that also gives the mean over the picture of its backbone's last feature map, as at most 64 numbers.

    Wider maps are projected at random, which keeps distances (Johnson and Lindenstrauss, 1984): the request log holds one
    embedding a prediction, and drift and the choice of pictures for review look at nothing but distances.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        self._features: Any = None
        self._projection: Any = None
        network.model[len(network.yaml["backbone"]) - 1].register_forward_hook(self._remember)

    def _remember(self, _layer: Any, _inputs: Any, features: Any) -> None:
        self._features = features

    def forward(self, images: Any) -> tuple[Any, Any]:
        """`(1, 3, h, w)` to the network's first output and `(1, e)`."""
        found = self.network(images)
        means = self._features.mean(dim=(2, 3))
        if self._projection is None:
            self._projection = _projection(int(means.shape[1]))
        return _boxes_of_head(found), means @ self._projection


def _boxes_of_head(found: Any) -> Any:
    """`(1, 5, anchors)`: the first of what a network gives, some of which give more."""
    return found[0] if isinstance(found, list | tuple) else found


def _projection(channels: int) -> Any:
    """`(channels, e)`, the same whenever it is made."""
    if channels <= EMBEDDING_LENGTH:
        return torch.eye(channels)
    drawn = np.random.default_rng(0).normal(size=(channels, EMBEDDING_LENGTH)) / math.sqrt(EMBEDDING_LENGTH)
    return torch.from_numpy(drawn.astype(np.float32))


def _refuse_shape(model: Any, size_px: int) -> None:
    shape = [dimension.dim_value for dimension in model.graph.output[0].type.tensor_type.shape.dim]
    if len(shape) != 3 or shape[:2] != [1, 5]:
        raise TrainingError(
            f"the exported model gives a tensor of shape {shape} at {size_px} px, expected (1, 5, anchors): choose a YOLOv8, "
            "YOLO11 or YOLO12 architecture"
        )


class TorchDetector:
    """The trained model through ultralytics' own prediction: its letterbox, its suppression, its rescaling."""

    def __init__(self, model: Any, size_px: int, thresholds: Thresholds) -> None:
        from belisha.components.train.yolo import YOLO

        self._yolo = YOLO("yolov8n.yaml", task="detect", verbose=False)
        self._yolo.model = copy.deepcopy(model)
        self._yolo.overrides = {"task": "detect"}
        self._size_px, self._thresholds = size_px, thresholds

    def detect(self, image_rgb: ImageArray, *, score_threshold: float | None = None) -> Detections:
        """Boxes on a `(height, width, 3)` uint8 RGB picture, best first."""
        result = self._yolo.predict(
            np.ascontiguousarray(image_rgb[:, :, ::-1]),
            imgsz=self._size_px,
            rect=False,
            conf=self._thresholds.score if score_threshold is None else score_threshold,
            iou=self._thresholds.nms_iou,
            max_det=self._thresholds.max_boxes,
            device="cpu",
            verbose=False,
            save=False,
        )[0]
        corners = result.boxes.xyxy.cpu().numpy().astype(np.float32)
        boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
        return Detections(boxes, result.boxes.conf.cpu().numpy().astype(np.float32))

    def candidates(self, tensor: FloatTensor) -> FloatTensor:
        """The network's own output for one input tensor: `(1, 5, anchors)`, before any suppression."""
        with torch.no_grad():
            return np.asarray(_boxes_of_head(self._yolo.model(torch.from_numpy(tensor))), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class ExportProof:
    """That PyTorch, ONNX Runtime and the serving code agree.

    Attributes:
        torch_and_onnx: ultralytics' prediction against ours on ONNX.
        stored: the finished artifact against its own golden file.
    """

    torch_and_onnx: GoldenCheck
    stored: GoldenCheck


def add_golden(
    folder: Path, onnx_detector: OnnxDetector, torch_detector: TorchDetector, pictures: Sequence[Picture]
) -> GoldenCheck:
    """Choose golden pictures, compare both detectors on them and store them with the ONNX side's boxes.

    Args:
        folder: of the model that is being made.
        onnx_detector: the exported model behind serving's code.
        torch_detector: the trained model behind ultralytics' code.
        pictures: of the training part.

    Raises:
        TrainingError: the two do not agree; the sentence has the numbers.
    """
    images = _golden_images(pictures)
    score, golden = _with_boxes(onnx_detector, images)
    found = [torch_detector.detect(picture.image_rgb, score_threshold=score) for picture in golden]
    expected = [picture.detections for picture in golden]
    check = compare_detections(expected, [_cut(detections) for detections in found], score)
    if not check.passed and _are_alike(expected):
        check = _compare_candidates(onnx_detector, torch_detector, golden)
    if not check.passed:
        raise TrainingError(f"PyTorch and ONNX differ, so nothing was exported: {check.sentence}")
    write_golden(folder, golden, score)
    return check


def _are_alike(found: Sequence[Detections]) -> bool:
    """Whether all scores lie within the tolerance, as after hardly any training: rounding then decides which boxes are kept."""
    scores = np.concatenate([detections.scores for detections in found])
    return bool(np.ptp(scores) <= TOLERANCE_SCORE)


def _compare_candidates(
    onnx_detector: OnnxDetector, torch_detector: TorchDetector, pictures: Sequence[GoldenPicture]
) -> GoldenCheck:
    """Compare what both networks put out for each anchor, where suppressed boxes cannot be compared."""
    anchors, distance_px, distance_score = 0, 0.0, 0.0
    for picture in pictures:
        tensor, _ = preprocess(picture.image_rgb, onnx_detector.info.preprocessing)
        apart = np.abs(onnx_detector.runtime.run(tensor)[0] - torch_detector.candidates(tensor))[0]
        anchors += apart.shape[1]
        distance_px = max(distance_px, float(apart[:4].max()))
        distance_score = max(distance_score, float(apart[4].max()))
    passed = distance_px <= TOLERANCE_PX and distance_score <= TOLERANCE_SCORE
    return GoldenCheck(passed, len(pictures), anchors, 0, distance_px, distance_score)


def prove_stored(folder: Path) -> GoldenCheck:
    """Load the finished artifact as serving does and compare with its golden file; raises TrainingError."""
    check = check_golden(folder)
    if not check.passed:
        raise TrainingError(f"the stored model differs from its own golden pictures: {check.sentence}")
    return check


def _golden_images(pictures: Sequence[Picture]) -> list[ImageArray]:
    """Small copies of the training pictures with the most pedestrians."""
    ordered = sorted(pictures, key=lambda picture: (-len(boxes_of(picture, ignore=False)), picture.image_id))
    reader = PictureReader()
    return [_small(read_image(picture, reader)) for picture in ordered[:_CANDIDATES]]


def _small(image_rgb: ImageArray) -> ImageArray:
    height, width = image_rgb.shape[:2]
    scale = min(1.0, _GOLDEN_WIDTH_PX / max(height, width))
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image_rgb, size_wh, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _with_boxes(detector: Any, images: Sequence[ImageArray]) -> tuple[float, list[GoldenPicture]]:
    """The pictures with the most boxes, at the highest score where there are a few to compare at all."""
    for score in _SCORES:
        found = [GoldenPicture(image, _cut(detector.detect(image, score_threshold=score))) for image in images]
        best = sorted(found, key=lambda picture: -len(picture.detections))[:GOLDEN_PICTURES]
        if sum(len(picture.detections) for picture in best) >= _GOLDEN_BOXES:
            return score, best
    raise TrainingError(
        f"the trained model finds nothing on its own training pictures, not even with score {_SCORES[-1]:g}: train longer"
    )


def _cut(detections: Detections) -> Detections:
    return Detections(detections.boxes_xywh_px[:_MOST_BOXES], detections.scores[:_MOST_BOXES])
