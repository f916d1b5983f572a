"""Detection over many pictures: each worker reads, verifies, decodes and detects; only a few pictures are in memory."""

from __future__ import annotations

import collections
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from belisha.components.shared.detections import Detections
from belisha.components.shared.detector import Detector
from belisha.components.shared.errors import InputError
from belisha.components.shared.images import ImageArray, UnreadablePictureError, decode_rgb
from belisha.components.shared.manifest import Picture
from belisha.components.shared.picture_store import PictureReader
from belisha.components.shared.progress import ProgressSink, tracked

# Average precision and miss-rate curves need the long tail of weak boxes that serving never returns.
EVALUATION_SCORE_FLOOR = 0.001
_MAX_WORKERS = 8

Item = TypeVar("Item")
Result = TypeVar("Result")


def detect_all(
    detector: Detector,
    pictures: Sequence[Picture],
    progress: ProgressSink,
    score_threshold: float | None = EVALUATION_SCORE_FLOOR,
    *,
    step: str = "detect",
    workers: int | None = None,
) -> dict[str, Detections]:
    """Run a detector over pictures where their manifest rows say that they lie.

    Args:
        detector: called from several threads at once; one with a single inference thread gives the best throughput.
        pictures: in any order; nothing but the boxes found is kept of them.
        progress: told after each picture.
        score_threshold: weakest box to keep; None for the detector's own threshold.
        step: what the progress events are called.
        workers: pictures in the works at once; the CPUs that this process may use (at most 8) by default.

    Returns:
        image_id to detections, in the order of `pictures`; a picture where nothing was found has an empty entry.

    Raises:
        DigestError, NotFoundError, StorageError: a picture is damaged, gone or out of reach.
        InputError: a picture cannot be decoded.
    """
    reader = PictureReader()

    def detect(picture: Picture) -> Detections:
        return detector.detect(read_image(picture, reader), score_threshold=score_threshold)

    found = map_bounded(detect, pictures, workers or usable_cpus())
    tracked_found = tracked(found, progress, step=step, unit="pictures", total=len(pictures))
    return {picture.image_id: boxes for picture, boxes in zip(pictures, tracked_found, strict=True)}


def read_image(picture: Picture, reader: PictureReader) -> ImageArray:
    """Upright RGB pixels of a picture, its bytes verified by digest.

    Raises:
        DigestError, NotFoundError, StorageError, InputError: with the address of the picture in the sentence.
    """
    try:
        image_rgb = decode_rgb(reader.read(picture.uri, picture.image_id))
    except UnreadablePictureError as error:
        raise InputError(f"{picture.uri}: {error}, and acquire the data again") from None
    if image_rgb.shape[:2] != (picture.height_px, picture.width_px):
        found_px = f"{image_rgb.shape[1]} x {image_rgb.shape[0]}"
        raise InputError(
            f"{picture.uri} is {found_px} pixels but the data set says {picture.width_px} x {picture.height_px}: "
            "acquire the data again"
        )
    return image_rgb


def map_bounded(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """Apply a function in threads and yield results in order, with at most `2 * workers` items begun and not yet taken."""
    waiting: collections.deque[Future[Result]] = collections.deque()
    pool = ThreadPoolExecutor(workers)
    try:
        for item in items:
            if len(waiting) >= 2 * workers:
                yield waiting.popleft().result()
            waiting.append(pool.submit(function, item))
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def usable_cpus() -> int:
    """CPUs this process may run on, at most eight."""
    return min(_MAX_WORKERS, len(os.sched_getaffinity(0)))
