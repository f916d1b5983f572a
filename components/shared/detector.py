"""Detectors behind one interface, and the ONNX one that validation and serving share."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np

from belisha.components.shared.detections import Detections
from belisha.components.shared.images import ImageArray
from belisha.components.shared.model_artifact import ONNX_FILE, ModelInfo, read_model_info
from belisha.components.shared.nms import decode_yolo_v8
from belisha.components.shared.preprocessing import preprocess


class Detector(Protocol):
    """Anything that finds pedestrians on a picture."""

    def detect(self, image_rgb: ImageArray, *, score_threshold: float | None = None) -> Detections:
        """Boxes on a `(height, width, 3)` uint8 RGB picture, best first; the threshold defaults to the detector's own."""
        ...


class OnnxDetector:
    """A model artifact on ONNX Runtime. Safe to call from several threads."""

    def __init__(
        self, folder: Path, *, threads: int = 1, providers: tuple[str, ...] = ("CPUExecutionProvider",)
    ) -> None:
        """Verify the artifact and load it.

        Args:
            folder: of `model.onnx` and `model.json`.
            threads: CPU threads for one inference.
            providers: ONNX Runtime execution providers, best first.

        Raises:
            ContractError, DigestError: the artifact is not whole.
        """
        self.info: ModelInfo = read_model_info(folder)
        self._session = _session(folder / ONNX_FILE, threads, providers)
        self._input_name: str = self._session.get_inputs()[0].name

    def detect(self, image_rgb: ImageArray, *, score_threshold: float | None = None) -> Detections:
        """Boxes on a `(height, width, 3)` uint8 RGB picture, best first."""
        tensor, geometry = preprocess(image_rgb, self.info.preprocessing)
        output = np.asarray(self._session.run(None, {self._input_name: tensor})[0])
        thresholds = self.info.thresholds
        return decode_yolo_v8(
            output,
            geometry,
            score_threshold=thresholds.score if score_threshold is None else score_threshold,
            nms_iou=thresholds.nms_iou,
            max_boxes=thresholds.max_boxes,
        )


def _session(path: Path, threads: int, providers: tuple[str, ...]) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=list(providers))
