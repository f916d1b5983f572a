"""Small drawn data sets, and a model small enough to train in seconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest

from belisha.components.shared.images import ImageArray
from belisha.components.shared.manifest import Box, Picture, write_dataset
from belisha.components.shared.picture_store import PictureStore
from belisha.components.shared.splits import ASSIGNMENT_ARROW_SCHEMA, write_assignment
from belisha.components.shared.storage import join_uri, open_store

# YOLOv8 at an eighth of its width: some tens of thousands of weights.
TINY_MODEL = """
nc: 1
scales:
  n: [0.33, 0.125, 256]
backbone:
  - [-1, 1, Conv, [64, 3, 2]]
  - [-1, 1, Conv, [128, 3, 2]]
  - [-1, 1, C2f, [128, True]]
  - [-1, 1, Conv, [256, 3, 2]]
  - [-1, 1, C2f, [256, True]]
  - [-1, 1, Conv, [512, 3, 2]]
  - [-1, 1, C2f, [512, True]]
  - [-1, 1, Conv, [1024, 3, 2]]
  - [-1, 1, SPPF, [1024, 5]]
head:
  - [[4, 6, 8], 1, Detect, [nc]]
"""


def drawn(rng: np.random.Generator, width: int = 192, height: int = 128) -> tuple[ImageArray, tuple[Box, ...]]:
    """A picture with one to three dark figures on a bright ground."""
    image = rng.integers(150, 200, (height, width, 3), dtype=np.uint8)
    boxes = []
    for slot in rng.permutation(3)[: rng.integers(1, 4)]:
        box_height = int(rng.integers(56, 100))
        box_width = int(box_height * 0.41)
        left = int(slot) * 64 + int(rng.integers(0, 64 - box_width))
        top = int(rng.integers(0, height - box_height))
        cv2.circle(image, (left + box_width // 2, top + box_height // 8), box_height // 8, (40, 60, 160), -1)
        cv2.rectangle(image, (left, top + box_height // 4), (left + box_width, top + box_height), (30, 30, 30), -1)
        boxes.append(Box(left, top, box_width, box_height))
    return image, tuple(boxes)


def write_pictures(
    root: Path, pictures: list[tuple[bytes, tuple[int, int], tuple[Box, ...], str]]
) -> tuple[Path, Path, str]:
    """Store encoded pictures (bytes, width and height, boxes, part) as data set, split and storage below `root`."""
    storage = str(root / "storage")
    store = PictureStore(open_store(join_uri(storage, "pictures")))
    rows, parts = [], {}
    for data, (width, height), boxes, part in pictures:
        image_id = store.add(data)
        rows.append(Picture(image_id, store.uri_of(image_id), width, height, "drawn", boxes=boxes))
        parts[image_id] = part
    write_dataset(root / "dataset", rows, name="drawn")
    ids = sorted(parts)
    table = pa.Table.from_arrays(
        [pa.array(ids), pa.array(ids), pa.array([parts[i] for i in ids]), pa.nulls(len(ids), pa.int16())],
        schema=ASSIGNMENT_ARROW_SCHEMA,
    )
    (root / "split").mkdir(parents=True)
    write_assignment(root / "split", table, {})
    return root / "dataset", root / "split", storage


def small_data(root: Path, train: int = 12, val: int = 4, seed: int = 0) -> tuple[Path, Path, str]:
    rng = np.random.default_rng(seed)
    pictures = []
    for number in range(train + val):
        image, boxes = drawn(rng)
        data = cv2.imencode(".png", image)[1].tobytes()
        pictures.append((data, (192, 128), boxes, "train" if number < train else "val"))
    pictures.append((cv2.imencode(".png", np.full((128, 192, 3), 170, np.uint8))[1].tobytes(), (192, 128), (), "train"))
    return write_pictures(root, pictures)


@pytest.fixture
def tiny_model(tmp_path: Path) -> str:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY_MODEL)
    return str(path)


@pytest.fixture
def data(tmp_path: Path) -> tuple[Path, Path, str]:
    return small_data(tmp_path / "data")


Maker = Callable[[Path], tuple[Path, Path, str]]
