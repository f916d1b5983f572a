"""How fast synthetic streets are drawn: pictures per second of one core, with their JPEG encoding."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import cv2
import numpy as np

from bench.table import BenchRow

_PICTURES, _REPETITIONS = 300, 3


def run() -> list[BenchRow]:
    """Draw a default data set of 640 x 384 pictures in this process, one thread, cameras not yet painted included.

    Seconds are those of the processor, so that a busy machine does not change the figure.
    """
    from belisha.components.acquire.synthetic import StreetSettings, draw_street
    from belisha.components.acquire.synthetic.folder import encode_jpeg

    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        seeds = itertools.count(1000)

        def rate(encode: Callable[[StreetSettings, int], object]) -> float:
            settings = StreetSettings(pictures=_PICTURES, seed=next(seeds))
            start = time.process_time()
            for index in range(_PICTURES):
                encode(settings, index)
            return _PICTURES / (time.process_time() - start)

        def draw(settings: StreetSettings, index: int) -> object:
            return draw_street(settings, index)

        def draw_and_encode(settings: StreetSettings, index: int) -> object:
            return encode_jpeg(draw_street(settings, index).image_rgb, settings.jpeg_quality)

        draw_street(StreetSettings(), 0)
        drawn = float(np.median([rate(draw) for _ in range(_REPETITIONS)]))
        encoded = float(np.median([rate(draw_and_encode) for _ in range(_REPETITIONS)]))
    finally:
        cv2.setNumThreads(threads)
    detail = f"640 x 384, {_PICTURES} pictures of 24 cameras, median of {_REPETITIONS} data sets, one thread"
    return [
        BenchRow("synthetic: pictures/s/core drawn", drawn, 100, at_least=True, detail=detail),
        BenchRow("synthetic: pictures/s/core drawn and encoded", encoded, 100, at_least=True, detail=detail),
    ]
