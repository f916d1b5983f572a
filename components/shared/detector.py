"""Detectors behind one interface, and the ONNX one that validation and serving share."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from belisha.components.shared.detections import Detections
from belisha.components.shared.images import ImageArray
from belisha.components.shared.model_artifact import ONNX_FILE, ModelInfo, read_model_info
from belisha.components.shared.nms import decode_yolo_v8
from belisha.components.shared.preprocessing import preprocess
from belisha.components.shared.runtimes import CPU_PROVIDERS, ONNX_RUNTIME, FloatTensor, Runtime, open_runtime


class Detector(Protocol):
    """Anything that finds pedestrians on a picture."""

    def detect(self, image_rgb: ImageArray, *, score_threshold: float | None = None) -> Detections:
        """Boxes on a `(height, width, 3)` uint8 RGB picture, best first; the threshold defaults to the detector's own."""
        ...


class OnnxDetector:
    """A model artifact on a runtime. Safe to call from several threads."""

    def __init__(
        self,
        folder: Path,
        *,
        threads: int = 1,
        providers: tuple[str, ...] = CPU_PROVIDERS,
        runtime: str = ONNX_RUNTIME,
        concurrency: int = 1,
    ) -> None:
        """Verify the artifact and load it.

        Args:
            folder: of `model.onnx` and `model.json`.
            threads: CPU threads for one inference.
            providers: ONNX Runtime execution providers, best first.
            runtime: `onnxruntime` or `openvino`.
            concurrency: inferences at once, for runtimes that must know.

        Raises:
            ContractError, DigestError: the artifact is not whole.
            InputError: the runtime is not known or not installed.
        """
        self.info: ModelInfo = read_model_info(folder)
        self.runtime: Runtime = open_runtime(
            runtime, folder / ONNX_FILE, threads=threads, concurrency=concurrency, providers=providers
        )

    def detect(self, image_rgb: ImageArray, *, score_threshold: float | None = None) -> Detections:
        """Boxes on a `(height, width, 3)` uint8 RGB picture, best first."""
        return self.detect_and_embed(image_rgb, score_threshold=score_threshold)[0]

    def detect_and_embed(
        self, image_rgb: ImageArray, *, score_threshold: float | None = None
    ) -> tuple[Detections, FloatTensor]:
        """The same, and the model's description of the whole picture: `(e,)`, of length 0 where the model gives none."""
        tensor, geometry = preprocess(image_rgb, self.info.preprocessing)
        thresholds = self.info.thresholds
        output, embedding = self.runtime.run(tensor)
        detections = decode_yolo_v8(
            output,
            geometry,
            score_threshold=thresholds.score if score_threshold is None else score_threshold,
            nms_iou=thresholds.nms_iou,
            max_boxes=thresholds.max_boxes,
        )
        return detections, embedding
