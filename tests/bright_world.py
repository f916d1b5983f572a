"""A data set, a split and a picture store of black pictures with bright rectangles: what `tests/onnx_models.py` detects."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from belisha.components.shared.manifest import Box, Picture, write_dataset
from belisha.components.shared.picture_store import PictureStore
from belisha.components.shared.splits import ASSIGNMENT_ARROW_SCHEMA, write_assignment
from belisha.components.shared.storage import join_uri, open_store

CELL_HEIGHT_PX, CELL_WIDTH_PX = 32, 16


@dataclass(frozen=True)
class Bright:
    """One rectangle in a cell of the grid.

    Attributes:
        row, column: of its cell.
        level: brightness 0..255, which becomes the score; 0 is a pedestrian nobody can see.
        labelled: whether it is a pedestrian; if not it is a look-alike.
    """

    row: int
    column: int
    level: int = 255
    labelled: bool = True
    ignore: bool = False
    visible_ratio: float | None = None


@dataclass(frozen=True)
class Scene:
    """One picture to draw."""

    part: str
    brights: Sequence[Bright] = ()
    group: str = ""
    condition: str = ""


@dataclass(frozen=True)
class World:
    """Folders of a data set, a split and a storage below one root."""

    root: Path
    pictures: list[Picture]
    split_digest: str
    dataset_digest: str
    part_of: Mapping[str, str] = field(default_factory=dict)

    @property
    def dataset_dir(self) -> Path:
        return self.root / "dataset"

    @property
    def split_dir(self) -> Path:
        return self.root / "split"

    @property
    def storage_uri(self) -> str:
        return str(self.root / "storage")


def build_world(root: Path, scenes: Iterable[Scene], *, size_px: int = 96) -> World:
    """Draw the scenes, store them, and write data set and split."""
    store = PictureStore(open_store(join_uri(str(root / "storage"), "pictures")))
    pictures, rows = [], []
    for index, scene in enumerate(scenes):
        picture = _picture(store, scene, index, size_px)
        pictures.append(picture)
        rows.append((picture.image_id, scene.group or f"group-{index}", scene.part))
    info = write_dataset(root / "dataset", pictures, name="bright")
    split_digest = write_split(root / "split", rows, {"dataset_digest": info.digest})
    return World(root, pictures, split_digest, info.digest, {row[0]: row[2] for row in rows})


def write_split(folder: Path, rows: Sequence[tuple[str, str, str]], info: Mapping[str, Any]) -> str:
    """Write a split folder from (image_id, group_id, part); returns its digest."""
    folder.mkdir(parents=True, exist_ok=True)
    image_ids, group_ids, parts = zip(*sorted(rows), strict=True)
    columns = [pa.array(column, pa.string()) for column in (image_ids, group_ids, parts)]
    folds = pa.nulls(len(rows), pa.int16())
    table = pa.Table.from_arrays([*columns, folds], schema=ASSIGNMENT_ARROW_SCHEMA)
    return write_assignment(folder, table, dict(info))


def cells(count: int, level: int = 255, **settings: Any) -> list[Bright]:
    """The first `count` cells of a 96 px picture's grid, filled."""
    places = itertools.product(range(3), range(6))
    return [Bright(row, column, level, **settings) for row, column in itertools.islice(places, count)]


def _picture(store: PictureStore, scene: Scene, index: int, size_px: int) -> Picture:
    canvas = np.zeros((size_px, size_px, 3), np.uint8)
    for bright in scene.brights:
        top, left = bright.row * CELL_HEIGHT_PX, bright.column * CELL_WIDTH_PX
        canvas[top : top + CELL_HEIGHT_PX, left : left + CELL_WIDTH_PX] = bright.level
    # The number of the picture in the lowest bits of a few pixels tells pictures apart without waking the detector.
    for bit in range(16):
        canvas[size_px - 1, size_px - 1 - bit] ^= index >> bit & 1
    data = bytes(cv2.imencode(".png", canvas)[1])
    image_id = store.add(data)
    return Picture(
        image_id=image_id,
        uri=store.uri_of(image_id),
        width_px=size_px,
        height_px=size_px,
        source="bright",
        condition=scene.condition,
        boxes=tuple(_box(bright) for bright in scene.brights if bright.labelled),
    )


def _box(bright: Bright) -> Box:
    return Box(
        x=bright.column * CELL_WIDTH_PX,
        y=bright.row * CELL_HEIGHT_PX,
        width=CELL_WIDTH_PX,
        height=CELL_HEIGHT_PX,
        ignore=bright.ignore,
        visible_ratio=bright.visible_ratio,
    )
