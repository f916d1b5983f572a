"""Latency of both models on this machine: the same pictures, in turn, one thread, so that noise hits both alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from belisha.components.compare.evidence import FloatArray, Latencies
from belisha.components.shared.detector import Detector
from belisha.components.shared.images import ImageArray
from belisha.components.shared.progress import ProgressSink, tracked

WARM_UP = 3
ROUNDS = 60
MIN_ROUNDS = 20
# A slow model must not hold the pipeline up for minutes: after this the rounds so far will do.
BUDGET_SECONDS = 20.0

Clock = Callable[[], float]


def measure_in_turn(
    candidate: Detector,
    champion: Detector | None,
    images: Sequence[ImageArray],
    progress: ProgressSink,
    clock: Clock = time.perf_counter,
) -> Latencies | None:
    """Time single `detect` calls; the first of each pair changes from round to round. None without any picture.

    Args:
        candidate: with one inference thread.
        champion: likewise; None when there is none.
        images: decoded pictures.
        progress: told after each round.
        clock: seconds.
    """
    if not images:
        return None
    models = [candidate] if champion is None else [candidate, champion]
    for number in range(WARM_UP):
        for model in models:
            model.detect(images[number % len(images)])
    seconds: list[list[float]] = [[], []]
    for number in tracked(range(ROUNDS), progress, step="latency", unit="rounds"):
        order = list(enumerate(models))
        for index, model in order if number % 2 == 0 else order[::-1]:
            begin = clock()
            model.detect(images[number % len(images)])
            seconds[index].append(clock() - begin)
        if number + 1 >= MIN_ROUNDS and sum(map(sum, seconds)) > BUDGET_SECONDS:
            break
    return Latencies(_array(seconds[0]), _array(seconds[1]), np.arange(len(seconds[0])) % len(images))


def _array(values: list[float]) -> FloatArray:
    return np.array(values, dtype=np.float64)
