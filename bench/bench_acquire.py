"""Ingestion against a bare loop that does only the unavoidable per picture: read, SHA-256, decode, write."""

from __future__ import annotations

import hashlib
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from belisha.components.acquire.acquire import acquire
from belisha.components.acquire.options import AcquireOptions
from belisha.components.shared.progress import silent
from bench.table import BenchRow

_PICTURES, _REPETITIONS = 1000, 3
_WIDTH, _HEIGHT = 1280, 720
_BOUND = 0.8


def run() -> list[BenchRow]:
    """Whole `acquire` (labels, manifest and data card included) over the bare loop.

    With one worker by CPU time, which is what a core has to give and does not depend on what else the machine does; with two
    by the clock, which shows that they do not wait for each other.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with tempfile.TemporaryDirectory(prefix="belisha-bench-") as folder:
            source = _make_source(Path(folder))
            return [_row(source, Path(folder), workers) for workers in (1, 2)]
    finally:
        cv2.setNumThreads(threads)


def _row(source: Path, folder: Path, workers: int) -> BenchRow:
    """Both in turn, so that what else the machine does hits both alike; the ratio is the median of the pairs'."""
    paths = sorted((source / "images").iterdir())
    clock = time.process_time if workers == 1 else time.perf_counter
    pairs = []
    for _ in range(_REPETITIONS):
        bare = _seconds(lambda out: _bare(paths, out, workers), folder, clock)
        ours = _seconds(lambda out: _acquire(source, out, workers), folder, clock)
        pairs.append((bare, ours))
    ratio = statistics.median(bare / ours for bare, ours in pairs)
    speeds = [_PICTURES / statistics.median(times) for times in zip(*pairs, strict=True)]
    detail = f"{speeds[1]:.0f} pictures/s, bare loop {speeds[0]:.0f} ({_PICTURES} JPEGs of {_WIDTH} x {_HEIGHT})"
    return BenchRow(
        f"acquire over bare loop, {workers} worker{'s' * (workers > 1)}", ratio, _BOUND, at_least=True, detail=detail
    )


def _seconds(work: Callable[[Path], None], folder: Path, clock: Callable[[], float]) -> float:
    out = folder / "out"
    started = clock()
    work(out)
    seconds = clock() - started
    shutil.rmtree(out)
    return seconds


def _acquire(source: Path, out: Path, workers: int) -> None:
    summary = acquire([str(source)], out, str(out / "pictures"), AcquireOptions(workers=workers), silent)
    if (summary.images, summary.quarantined) != (_PICTURES, 0):
        raise RuntimeError(f"expected {_PICTURES} pictures, got {summary}")


def _bare(paths: Sequence[Path], out: Path, workers: int) -> None:
    out.mkdir()

    def one(path: Path) -> None:
        data = path.read_bytes()
        name = hashlib.sha256(data).hexdigest()
        cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        (out / name).write_bytes(data)

    if workers == 1:
        for path in paths:
            one(path)
        return
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(one, paths))


def _make_source(folder: Path) -> Path:
    """A YOLO folder of gradients with smooth noise, which compress about as photographs do."""
    source = folder / "set"
    (source / "images").mkdir(parents=True)
    (source / "labels").mkdir()
    (source / "data.yaml").write_text("names: [person]\n")
    rng = np.random.default_rng(0)
    for index in range(_PICTURES):
        coarse = rng.integers(0, 255, (90, 160, 3), dtype=np.uint8)
        image = cv2.resize(coarse, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_CUBIC)
        image[::2, ::3] += np.uint8(3)
        cv2.imwrite(str(source / "images" / f"{index:04d}.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 90])
        (source / "labels" / f"{index:04d}.txt").write_text("0 0.5 0.5 0.1 0.4\n0 0.2 0.6 0.05 0.2\n")
    return source
