"""Training: seconds an epoch against the same training by ultralytics alone, alternating in one process."""

from __future__ import annotations

import io
import itertools
import statistics
import sys
import tempfile
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from belisha.components.shared.manifest import Box, Picture
from belisha.components.shared.picture_store import PictureStore
from belisha.components.shared.progress import silent
from belisha.components.shared.storage import join_uri, open_store
from bench.table import BenchRow

_PICTURES, _VAL, _EPOCHS, _PAIRS, _BOUND = 48, 8, 4, 3, 1.02


def run() -> list[BenchRow]:
    """Measure the ratio; the first epoch of each training warms up and is left out."""
    from belisha.components.train import environment

    environment.prepare()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        pictures = _pictures(root)
        _yolo_layout(root, pictures)
        theirs, ours = [], []
        for number in range(_PAIRS):
            theirs += _plain(root, number)
            ours += _belisha(root, pictures, number)
    plain, belisha = statistics.median(theirs), statistics.median(ours)
    detail = f"{belisha:.3f} against {plain:.3f} CPU seconds an epoch, medians of {len(ours)}, validation and saving included"
    return [BenchRow("train: an epoch over plain ultralytics", belisha / plain, _BOUND, at_least=False, detail=detail)]


def _pictures(root: Path) -> list[Picture]:
    rng = np.random.default_rng(0)
    store = PictureStore(open_store(join_uri(str(root / "storage"), "pictures")))
    pictures = []
    for _ in range(_PICTURES + _VAL):
        image = rng.integers(120, 200, (240, 320, 3), dtype=np.uint8)
        x, y, height = int(rng.integers(0, 270)), int(rng.integers(0, 120)), int(rng.integers(60, 120))
        cv2.rectangle(image, (x, y), (x + height // 3, y + height), (30, 40, 90), -1)
        data = cv2.imencode(".jpg", image)[1].tobytes()
        image_id = store.add(data)
        boxes = (Box(x, y, height // 3, height),)
        pictures.append(Picture(image_id, store.uri_of(image_id), 320, 240, "bench", boxes=boxes))
    return pictures


def _yolo_layout(root: Path, pictures: list[Picture]) -> None:
    for number, picture in enumerate(pictures):
        part = "train" if number < _PICTURES else "val"
        for kind in ("images", "labels"):
            (root / "yolo" / kind / part).mkdir(parents=True, exist_ok=True)
        source = Path(picture.uri.removeprefix("file://"))
        (root / "yolo/images" / part / f"{number}.jpg").write_bytes(source.read_bytes())
        box = picture.boxes[0]
        values = ((box.x + box.width / 2) / 320, (box.y + box.height / 2) / 240, box.width / 320, box.height / 240)
        (root / "yolo/labels" / part / f"{number}.txt").write_text("0 " + " ".join(f"{v:.6f}" for v in values))
    (root / "yolo/data.yaml").write_text(
        f"path: {root / 'yolo'}\ntrain: images/train\nval: images/val\nnames: {{0: pedestrian}}\n"
    )


def _job(root: Path, number: int) -> Any:
    from belisha.components.train import TrainSettings
    from belisha.components.train.job import Job

    settings = TrainSettings(
        epochs=_EPOCHS, image_size_px=160, batch=16, mosaic=1.0, patience=0, seed=number, threads=1, device="cpu"
    )
    scratch = root / f"job{number}"
    scratch.mkdir(exist_ok=True)
    job = Job(scratch, settings.resolved(), "", str(root / f"state{number}"), "bench")
    job.write()
    return job


def _plain(root: Path, number: int) -> list[float]:
    """Epoch times of ultralytics by itself, under the same arguments."""
    import torch
    from ultralytics.models.yolo.detect import DetectionTrainer

    from belisha.components.train.trainer import arguments_of

    torch.set_num_threads(1)
    arguments = {**arguments_of(_job(root, number)), "data": str(root / "yolo/data.yaml"), "name": f"plain{number}"}
    arguments.pop("augmentations")
    return _timed(DetectionTrainer(overrides={**arguments, "single_cls": True}))


def _belisha(root: Path, pictures: list[Picture], number: int) -> list[float]:
    from belisha.components.train.layout import lay_out
    from belisha.components.train.trainer import BelishaTrainer, arguments_of

    job = _job(root, number)
    for part, index in ((pictures[:_PICTURES], job.train_index), (pictures[_PICTURES:], job.val_index)):
        lay_out(part, index, job.scratch, max_ignored_ratio=1.0, progress=silent, step="lay out")
    trainer = BelishaTrainer(overrides=arguments_of(job))
    trainer.progress = silent
    return _timed(trainer)


def _timed(trainer: Any) -> list[float]:
    """CPU seconds from epoch start to epoch start, so that neighbours on the machine do not count.

    The last epoch has no successor and the first one warms up.
    """
    starts: list[float] = []
    original = trainer.run_callbacks

    def noting(event: str) -> None:
        if event == "on_train_epoch_start":
            starts.append(time.process_time())
        original(event)

    trainer.run_callbacks = noting
    with redirect_stdout(io.StringIO()):
        trainer.train()
    print(".", end="", file=sys.stderr, flush=True)
    return [after - before for before, after in itertools.pairwise(starts[1:])]
