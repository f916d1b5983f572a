"""Runs model versions of the registry on pictures that were kept for review; each picture and model once."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from belisha.components.experiment.reviewed_evidence import ModelRunner
from belisha.components.shared.boxes import FloatArray
from belisha.components.shared.detector import OnnxDetector
from belisha.components.shared.images import decode_rgb
from belisha.components.shared.picture_store import PictureReader
from belisha.components.shared.registry import Registry
from belisha.components.shared.review_queue import QueueItem


@contextlib.contextmanager
def model_runner(registry: Registry, cache_dir: Path | None = None) -> Iterator[ModelRunner]:
    """A runner that fetches each model once, into a folder that goes at the end unless one is given."""
    with contextlib.ExitStack() as stack:
        folder = cache_dir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="belisha-models-")))
        detectors: dict[str, OnnxDetector] = {}
        reader = PictureReader()

        def run(version: str, item: QueueItem) -> FloatArray:
            if version not in detectors:
                detectors[version] = OnnxDetector(registry.fetch(version, folder))
            image_rgb = decode_rgb(reader.read(item.picture_uri, item.picture_id))
            return detectors[version].detect(image_rgb).boxes_xywh_px

        yield run
