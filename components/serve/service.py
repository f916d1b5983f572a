"""One model version that answers pictures: loading in the background, a bounded number of inferences at once."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import cv2

from belisha.components.serve.answer import Answer
from belisha.components.serve.payload import RequestFacts
from belisha.components.serve.refusals import RefusalError, failed, not_ready, unreadable
from belisha.components.serve.runtime_choice import AUTO, RuntimeChoice, choose_runtime
from belisha.components.shared.errors import BelishaError
from belisha.components.shared.images import DecodeLimits, UnreadablePictureError, decode_rgb
from belisha.components.shared.inference import usable_cpus
from belisha.components.shared.picture_statistics import analysis_copy

logger = logging.getLogger(__name__)

# Lower than what data sets may hold: a predictor decodes several pictures at once and nobody checked them before.
SERVE_LIMITS = DecodeLimits(max_bytes=25_000_000, max_pixels=50_000_000)


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """What one predictor serves and how.

    Attributes:
        model_dir: folder of the model artifact.
        model_version: its name in the registry.
        role: champion or challenger, where the request does not say.
        runtime: `auto`, `onnxruntime` or `openvino`.
        threads: CPU threads for one inference.
        concurrency: pictures in the works at once; 0 for the CPUs of this process over `threads`.
        limits: on what a caller may send.
    """

    model_dir: Path
    model_version: str
    role: str = "champion"
    runtime: str = AUTO
    threads: int = 1
    concurrency: int = 0
    limits: DecodeLimits = SERVE_LIMITS

    @property
    def places(self) -> int:
        """Pictures in the works at once."""
        return self.concurrency or max(1, usable_cpus() // self.threads)


@dataclass(slots=True)
class PictureService:
    """Answers pictures once its model has proven itself; until then, and if it never does, every answer is a refusal.

    Attributes:
        settings: what is served and how.
        on_ready: told the runtime's name just before the first answer.
        on_refused: told why the model does not serve.
        is_loading: from `start` until the model serves or is refused.
    """

    settings: ServiceSettings
    on_ready: Callable[[str], None] = lambda _runtime: None
    on_refused: Callable[[Exception], None] = lambda _error: None
    is_loading: bool = field(default=False, init=False)
    _reason: str = "the model has not been loaded yet: try again in some seconds"
    _choice: RuntimeChoice | None = None
    _places: threading.BoundedSemaphore = field(init=False)

    def __post_init__(self) -> None:
        self._places = threading.BoundedSemaphore(self.settings.places)

    def start(self) -> threading.Thread:
        """Load in the background, so that health checks are answered meanwhile."""
        self._reason, self.is_loading = "the model is being loaded and checked: try again in some seconds", True
        loader = threading.Thread(target=self.load, name="load model", daemon=True)
        loader.start()
        return loader

    def load(self) -> None:
        """Verify, load, check and warm the model; a failure becomes the reason of every refusal."""
        settings = self.settings
        # Pictures are worked on side by side; OpenCV's own threads would only get into their way.
        cv2.setNumThreads(settings.threads)
        try:
            choice = choose_runtime(
                settings.model_dir, settings.runtime, threads=settings.threads, concurrency=settings.places
            )
            _keep_for_good()
            self.on_ready(choice.detector.runtime.name)
            self._choice = choice
            logger.info("serving %s: %s", settings.model_version, choice.sentence)
        except BelishaError as error:
            self._reason = f"model {settings.model_version} is not served: {error}"
            logger.error("%s", self._reason)
            self.on_refused(error)
        except Exception as error:  # whatever a runtime raises must not look like an endless start
            kind = type(error).__name__
            self._reason = f"model {settings.model_version} is not served: loading failed ({kind}), the log says where"
            logger.exception("loading failed")
            self.on_refused(error)
        finally:
            self.is_loading = False

    @property
    def choice(self) -> RuntimeChoice:
        """What serves; raises RefusalError with 503 and the reason when nothing does."""
        if self._choice is None:
            raise not_ready(self._reason)
        return self._choice

    def answer(self, picture: bytes, facts: RequestFacts, began: float) -> Answer:
        """Boxes for the bytes of a picture.

        Args:
            picture: encoded.
            facts: of the request.
            began: `time.perf_counter()` when the request came.

        Raises:
            RefusalError: not ready, not a picture, or a fault of ours.
        """
        detector = self.choice.detector
        try:
            with self._places:
                start = time.perf_counter()
                image_rgb = decode_rgb(picture, self.settings.limits)
                analysis = analysis_copy(image_rgb)
                decoded = time.perf_counter()
                detections, embedding = detector.detect_and_embed(image_rgb)
                done = time.perf_counter()
        except UnreadablePictureError as error:
            raise unreadable(error) from None
        except RefusalError:
            raise
        except Exception:  # a runtime's fault must not reach the caller as a stack trace
            logger.exception("detection failed")
            raise failed() from None
        return Answer(
            facts=facts,
            model_version=self.settings.model_version,
            role=facts.role or self.settings.role,
            picture=picture,
            image_rgb=image_rgb,
            analysis=analysis,
            detections=detections,
            time=datetime.now(UTC),
            decode_seconds=decoded - start,
            inference_seconds=done - decoded,
            latency_seconds=done - began,
            embedding=embedding,
        )


def _keep_for_good() -> None:
    """Tell the garbage collector that what is loaded stays: to look through all of it takes tens of milliseconds each time."""
    gc.collect()
    gc.freeze()
