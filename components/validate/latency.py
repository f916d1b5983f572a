"""Latency of one picture through the model: preprocessing, inference, suppression; decoding the file is not in it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from belisha.components.shared.detector import OnnxDetector
from belisha.components.shared.images import ImageArray
from belisha.components.shared.progress import ProgressSink, tracked

THREADS = (1, 2)
WARM_UP = 3
REPETITIONS = 100
# At a second a picture a hundred repetitions would hold a pipeline up; twenty still give a median.
BUDGET_SECONDS = 15.0
MIN_REPETITIONS = 20

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Latency:
    """Wall-clock time of one `detect` call at the serving threshold.

    Attributes:
        threads: of the inference.
        n: calls measured, warm-up excluded.
        warm_up: calls before them.
        p50_seconds: median.
        p95_seconds: 95th percentile.
    """

    threads: int
    n: int
    warm_up: int
    p50_seconds: float
    p95_seconds: float

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def measure_latency(
    model_dir: Path, images: Sequence[ImageArray], progress: ProgressSink, clock: Clock = time.perf_counter
) -> tuple[Latency, ...]:
    """Measure at one and at two threads, on decoded pictures taken in turn; `images` is not empty."""
    return tuple(_measure(model_dir, images, threads, progress, clock) for threads in THREADS)


def _measure(
    model_dir: Path, images: Sequence[ImageArray], threads: int, progress: ProgressSink, clock: Clock
) -> Latency:
    detector = OnnxDetector(model_dir, threads=threads)
    turns = itertools.cycle(images)
    for _ in range(WARM_UP):
        detector.detect(next(turns))
    seconds: list[float] = []
    step = f"latency, {threads} thread{'s'[: threads - 1]}"
    for _ in tracked(range(REPETITIONS), progress, step=step, unit="calls"):
        begin = clock()
        detector.detect(next(turns))
        seconds.append(clock() - begin)
        if len(seconds) >= MIN_REPETITIONS and sum(seconds) > BUDGET_SECONDS:
            break
    p50, p95 = np.percentile(seconds, [50, 95])
    return Latency(threads, len(seconds), WARM_UP, float(p50), float(p95))
