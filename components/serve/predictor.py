"""The class that Seldon Core's Python wrapper serves: `belisha.components.serve.predictor.PedestrianDetector`."""

from __future__ import annotations

import json
import mmap
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from belisha.components.serve.answer import Answer
from belisha.components.serve.observing import Observers
from belisha.components.serve.payload import RequestFacts, checked_facts, picture_of_body, picture_of_message
from belisha.components.serve.recording import Recorder, settings_from_environment
from belisha.components.serve.service import SERVE_LIMITS, PictureService, ServiceSettings
from belisha.components.shared.images import DecodeLimits

STORAGE_URI = "BELISHA_STORAGE_URI"


class PedestrianDetector:
    """One model version.

    The wrapper makes it in a parent process and calls `load` in each worker: nothing heavy happens before `load`.
    """

    def __init__(
        self,
        model_dir: str,
        model_version: str = "unnamed",
        role: str = "champion",
        runtime: str = "auto",
        threads: int = 1,
        concurrency: int = 0,
        max_bytes: int = SERVE_LIMITS.max_bytes,
        max_pixels: int = SERVE_LIMITS.max_pixels,
        storage_uri: str = "",
    ) -> None:
        """Remember the settings; the names are those of Seldon's graph parameters.

        Args:
            model_dir: folder of the model artifact.
            model_version: its name in the registry.
            role: champion or challenger, where the request does not say.
            runtime: `auto`, `onnxruntime` or `openvino`.
            threads: CPU threads for one inference.
            concurrency: pictures in the works at once; 0 for one a core.
            max_bytes: of a picture as it is sent.
            max_pixels: of a picture, known from its header.
            storage_uri: of the request log and of pictures for review; `BELISHA_STORAGE_URI` by default, none without.

        Raises:
            InputError: the storage URI or a number in the environment is not understood.
        """
        limits = DecodeLimits(max_bytes, max_pixels)
        # Workers are forked later and count into what is made here.
        recorder = Recorder(settings_from_environment(model_version, storage_uri or os.environ.get(STORAGE_URI, "")))
        self.observers = Observers((recorder,))
        self._metrics = recorder.metrics
        # One byte that all processes share: whether any of them was ever ready.
        self._served = mmap.mmap(-1, 1)
        # The wrapper runs this in a process of its own, which answers scrapes.
        self.custom_service = recorder.serve_metrics
        self.service = PictureService(
            ServiceSettings(Path(model_dir), model_version, role, runtime, threads, concurrency, limits),
            on_ready=self._is_ready,
            on_refused=recorder.refused_to_load,
        )
        self._passthrough = os.environ.get("PAYLOAD_PASSTHROUGH", "").lower() in ("true", "1", "yes", "on")

    @property
    def model_error_handler(self) -> Any:
        """The blueprint that the wrapper registers: hooks and error handlers."""
        from belisha.components.serve.http_hooks import blueprint

        return blueprint(self)

    def load(self) -> None:
        """Begin to load the model; `health_status_raw` says when it serves."""
        self.service.start()

    @property
    def makes_callers_wait(self) -> bool:
        """Whether this process still loads the model while another has served it: it takes the place of one that died."""
        return bool(self._served[0]) and self.service.is_loading

    def _is_ready(self, runtime: str) -> None:
        self._metrics.serves(runtime)
        self._served[0] = 1

    def rewarded(self, reward: float) -> None:
        """Count what somebody thinks of an answer, a reward of 0 too."""
        self._metrics.rewarded(reward)

    def send_feedback_raw(self, feedback: Any) -> Any:
        """Count the reward of a `Feedback` message (gRPC); a refusal is the answer's status."""
        from belisha.components.serve.grpc_messages import answer_feedback

        return answer_feedback(self, feedback)

    def predict_raw(self, request: Any) -> Any:
        """Answer one request of the wrapper.

        Args:
            request: the body as bytes (passthrough), a message as dict (JSON or form), or a `SeldonMessage` (gRPC).

        Returns:
            JSON as bytes, a dict with `jsonData`, or a `SeldonMessage`, in the kind of the request.

        Raises:
            RefusalError: over REST; over gRPC a refusal is the message's status.
        """
        if isinstance(request, bytes | str | dict):
            return self._predict_rest(request)
        from belisha.components.serve.grpc_messages import answer_message

        return answer_message(self, request)

    def answer(self, picture: bytes, facts: RequestFacts, began: float) -> Answer:
        """Boxes for a picture; raises RefusalError."""
        return self.service.answer(picture, facts, began)

    def _predict_rest(self, request: bytes | str | Mapping[str, Any]) -> bytes | dict[str, Any]:
        from flask import g

        if isinstance(request, str):
            request = request.encode()
        picture = picture_of_body(request) if isinstance(request, bytes) else picture_of_message(request)
        g.answer = self.answer(picture, g.get("facts") or checked_facts(), g.get("began") or time.perf_counter())
        value = g.answer.to_json()
        return json.dumps(value).encode() if self._passthrough else {"jsonData": value}

    def health_status_raw(self) -> dict[str, Any]:
        """What serves; raises RefusalError with 503 and the reason when nothing does."""
        choice = self.service.choice
        return {
            "status": "ready",
            "model_version": self.service.settings.model_version,
            "role": self.service.settings.role,
            "runtime": choice.detector.runtime.name,
            "digest": choice.detector.info.digest,
        }

    def init_metadata(self) -> dict[str, Any]:
        """For the wrapper's `/metadata`."""
        return {
            "name": "belisha-pedestrian-detector",
            "versions": [self.service.settings.model_version],
            "platform": "seldon",
            # The wrapper's schema knows arrays only; ours are binData in, jsonData out.
            "inputs": [],
            "outputs": [],
        }

    def close(self) -> None:
        """The worker ends: observers write what they hold."""
        self.observers.close()
