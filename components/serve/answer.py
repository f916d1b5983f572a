"""What a caller gets."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from belisha.components.serve.payload import RequestFacts
from belisha.components.shared.detections import Detections
from belisha.components.shared.images import ImageArray
from belisha.components.shared.picture_statistics import AnalysisCopy


@dataclass(frozen=True, slots=True)
class Answer:
    """One answered request.

    Attributes:
        facts: of the request.
        model_version: that answered.
        role: of that model at that moment.
        picture: the bytes that were sent.
        image_rgb: `(height, width, 3)` uint8, upright; what the boxes refer to.
        analysis: the picture's copy for statistics.
        detections: best first.
        time: when it was answered, UTC.
        decode_seconds: bytes to pixels.
        inference_seconds: pixels to boxes.
        latency_seconds: from request to answer, waiting included.
        embedding: the model's description of the picture, `(e,)`; of length 0 where it gives none.
    """

    facts: RequestFacts
    model_version: str
    role: str
    picture: bytes
    image_rgb: ImageArray
    analysis: AnalysisCopy
    detections: Detections
    time: datetime
    decode_seconds: float
    inference_seconds: float
    latency_seconds: float
    embedding: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))

    def to_json(self) -> dict[str, Any]:
        """The answer as JSON values; coordinates to a ten-thousandth of a pixel."""
        return {
            "request_id": self.facts.request_id,
            "model_version": self.model_version,
            "role": self.role,
            "width_px": self.image_rgb.shape[1],
            "height_px": self.image_rgb.shape[0],
            "boxes": self._boxes(),
            "latency_seconds": round(self.latency_seconds, 6),
        }

    def _boxes(self) -> list[dict[str, float]]:
        boxes = []
        for box, score in zip(self.detections.boxes_xywh_px.tolist(), self.detections.scores.tolist(), strict=True):
            x, y, width, height = (round(value, 4) for value in box)
            boxes.append({"x": x, "y": y, "width": width, "height": height, "score": round(score, 6)})
        return boxes
