"""The yardstick of serving, in the predictors' environment: decode and detect in a loop, with nothing around it.

`serve_loop.py MODEL RUNTIME WORKERS PICTURE...`; for each line N of standard input it answers N pictures, the given ones in
turn, and prints the seconds.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2

from belisha.components.shared.detector import OnnxDetector
from belisha.components.shared.images import decode_rgb


def main(model: str, runtime: str, workers: str, *pictures: str) -> None:
    """Loop until standard input ends."""
    cv2.setNumThreads(1)
    data = [Path(picture).read_bytes() for picture in pictures]
    detector = OnnxDetector(Path(model), runtime=runtime, concurrency=int(workers))

    def one(number: int) -> int:
        return len(detector.detect(decode_rgb(data[number % len(data)])))

    with ThreadPoolExecutor(int(workers)) as pool:
        list(pool.map(one, range(4)))
        for line in sys.stdin:
            begin = time.perf_counter()
            list(pool.map(one, range(int(line))))
            print(time.perf_counter() - begin, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
