"""The detector behind MLServer's interface, for bench_serve."""

from __future__ import annotations

import base64
from pathlib import Path

from mlserver import MLModel, types
from mlserver.codecs import NumpyCodec

from belisha.components.shared.detector import OnnxDetector
from belisha.components.shared.images import decode_rgb


class Detector(MLModel):  # type: ignore[misc]
    """Decode and detect, nothing else."""

    async def load(self) -> bool:
        """Load the model artifact that the settings name."""
        parameters = self.settings.parameters
        self._detector = OnnxDetector(Path(parameters.uri), runtime=parameters.extra["runtime"])
        return True

    async def predict(self, payload: types.InferenceRequest) -> types.InferenceResponse:
        """Boxes of one picture."""
        data = payload.inputs[0].data.root[0]
        found = self._detector.detect(decode_rgb(base64.b64decode(data)))
        outputs = [
            NumpyCodec.encode_output("boxes", found.boxes_xywh_px),
            NumpyCodec.encode_output("scores", found.scores),
        ]
        return types.InferenceResponse(model_name=self.name, outputs=outputs)
