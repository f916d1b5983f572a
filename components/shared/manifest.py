"""The dataset contract: one row a picture, its boxes inside the row, and a digest of what training and tests can see.

A dataset is a folder of two small files: `manifest.parquet` and `dataset.json`. Pictures stay in the content-addressed
store that the rows' `uri` names; nothing ever copies them with the manifest.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from belisha.components.shared.boxes import FloatArray
from belisha.components.shared.errors import ContractError
from belisha.components.shared.files import canonical_json, directory_aside, read_json, write_json

DATASET_SCHEMA = "belisha.dataset/1"
CLASSES = ("pedestrian",)
MANIFEST_FILE = "manifest.parquet"
DATASET_FILE = "dataset.json"

# Coordinates are compared at a tenth of a pixel: below it, formats that store fractions of the width differ by rounding.
DIGEST_STEP_PX = 0.1


@dataclass(frozen=True, slots=True)
class Box:
    """One labelled box in pixels of the upright original picture, 0-based, continuous.

    Attributes:
        x: left edge.
        y: top edge.
        width: extent to the right, > 0.
        height: extent downwards, > 0.
        ignore: a region where detections count neither as right nor as wrong.
        visible_ratio: visible area over full area, 0..1; None when the source does not say.
        occlusion: the source's own word or number for it, empty when it has none.
        annotator: who drew it, empty when unknown.
    """

    x: float
    y: float
    width: float
    height: float
    ignore: bool = False
    visible_ratio: float | None = None
    occlusion: str = ""
    annotator: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of a dataset.

    Attributes:
        image_id: SHA-256 of the picture's bytes, 64 hexadecimal digits.
        uri: where those bytes lie.
        width_px: width after EXIF orientation was applied.
        height_px: height after EXIF orientation was applied.
        source: name of the data set it came from.
        licence: licence as the source states it, empty when it does not.
        captured_at: when it was taken, timezone-aware, if known.
        camera: camera or sequence that took it, empty when unknown.
        condition: `day`, `night`, `rain`, … empty when unknown.
        group_id: pictures of one group never straddle train, val and test; empty until split finds it.
        boxes: its labels; empty for a background picture, which is kept.
    """

    image_id: str
    uri: str
    width_px: int
    height_px: int
    source: str
    licence: str = ""
    captured_at: datetime | None = None
    camera: str = ""
    condition: str = ""
    group_id: str = ""
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """What `dataset.json` says.

    Its `digest` covers picture ids and box geometry only: the same labels from another format, folder or store have the
    same digest.
    """

    name: str
    images: int
    pedestrians: int
    ignored: int
    digest: str
    parents: tuple[str, ...] = ()
    classes: tuple[str, ...] = CLASSES
    details: dict[str, Any] = field(default_factory=dict)


_BOX_TYPE = pa.struct(
    [
        ("x", pa.float64()),
        ("y", pa.float64()),
        ("width", pa.float64()),
        ("height", pa.float64()),
        ("ignore", pa.bool_()),
        ("visible_ratio", pa.float64()),
        ("occlusion", pa.string()),
        ("annotator", pa.string()),
    ]
)
MANIFEST_ARROW_SCHEMA = pa.schema(
    [
        ("image_id", pa.string()),
        ("uri", pa.string()),
        ("width_px", pa.int32()),
        ("height_px", pa.int32()),
        ("source", pa.string()),
        ("licence", pa.string()),
        ("captured_at", pa.timestamp("us", tz="UTC")),
        ("camera", pa.string()),
        ("condition", pa.string()),
        ("group_id", pa.string()),
        ("boxes", pa.list_(_BOX_TYPE)),
    ]
)


def write_dataset(
    folder: Path,
    pictures: Iterable[Picture],
    *,
    name: str,
    parents: Sequence[str] = (),
    details: dict[str, Any] | None = None,
) -> DatasetInfo:
    """Write a dataset folder whole or not at all; rows are ordered by image_id, so the same content gives the same file.

    Args:
        folder: replaced as a whole when it exists.
        pictures: in any order; image ids must be unique.
        name: of the data set, for people.
        parents: digests of the data sets it was made from.
        details: anything else worth recording, JSON values only.

    Raises:
        ContractError: two pictures have the same image_id.
    """
    ordered = sorted(pictures, key=lambda picture: picture.image_id)
    _refuse_duplicates(ordered)
    info = DatasetInfo(
        name=name,
        images=len(ordered),
        pedestrians=sum(not box.ignore for picture in ordered for box in picture.boxes),
        ignored=sum(box.ignore for picture in ordered for box in picture.boxes),
        digest=content_digest(ordered),
        parents=tuple(parents),
        details=details or {},
    )
    with directory_aside(folder) as aside:
        pq.write_table(_table_of(ordered), aside / MANIFEST_FILE, compression="zstd")
        write_json(aside / DATASET_FILE, _info_to_json(info))
    return info


def read_info(folder: Path) -> DatasetInfo:
    """Read `dataset.json` alone; raises ContractError."""
    value = read_json(folder / DATASET_FILE, schema=DATASET_SCHEMA)
    fields = {key: value[key] for key in ("name", "images", "pedestrians", "ignored", "digest", "details")}
    return DatasetInfo(**fields, parents=tuple(value["parents"]), classes=tuple(value["classes"]))


def read_table(folder: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read the manifest as an Arrow table (all columns, or only those named); raises ContractError."""
    path = folder / MANIFEST_FILE
    try:
        return pq.read_table(path, columns=None if columns is None else list(columns))
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise ContractError(f"{path} is not a readable manifest ({reason}): run `belisha acquire` again") from None


def read_pictures(folder: Path) -> list[Picture]:
    """Read every row of the manifest, ordered by image_id; raises ContractError."""
    return list(iter_pictures(read_table(folder)))


def iter_pictures(table: pa.Table) -> Iterator[Picture]:
    """Rows of a manifest table as `Picture`."""
    for row in table.to_pylist():
        boxes = tuple(Box(**box) for box in row.pop("boxes"))
        yield Picture(**row, boxes=boxes)


def boxes_of(picture: Picture, *, ignore: bool | None = None) -> FloatArray:
    """Boxes as `(n, 4)` float64 [x, y, width, height]; `ignore` keeps only those with that flag."""
    kept = [(box.x, box.y, box.width, box.height) for box in picture.boxes if ignore is None or box.ignore == ignore]
    return np.array(kept, dtype=np.float64).reshape(-1, 4)


def content_digest(pictures: Iterable[Picture]) -> str:
    """SHA-256 over image ids and their boxes (geometry at 0.1 px and the ignore flag), whatever the order."""
    digest = hashlib.sha256()
    for picture in sorted(pictures, key=lambda picture: picture.image_id):
        digest.update(canonical_json([picture.image_id, sorted(_box_key(box) for box in picture.boxes)]))
    return digest.hexdigest()


def _box_key(box: Box) -> list[int]:
    geometry = (box.x, box.y, box.width, box.height)
    return [*(round(value / DIGEST_STEP_PX) for value in geometry), int(box.ignore)]


def _refuse_duplicates(ordered: Sequence[Picture]) -> None:
    for before, after in itertools.pairwise(ordered):
        if before.image_id == after.image_id:
            raise ContractError(
                f"picture {after.image_id} stands twice in the data set ({before.uri}, {after.uri}): merge its labels first"
            )


def _table_of(pictures: Sequence[Picture]) -> pa.Table:
    rows = [_row_of(picture) for picture in pictures]
    return pa.Table.from_pylist(rows, schema=MANIFEST_ARROW_SCHEMA)


def _row_of(picture: Picture) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(picture, name) for name in MANIFEST_ARROW_SCHEMA.names if name != "boxes"}
    row["boxes"] = [{name: getattr(box, name) for name in Box.__slots__} for box in picture.boxes]
    return row


def _info_to_json(info: DatasetInfo) -> dict[str, Any]:
    value = {name: getattr(info, name) for name in DatasetInfo.__slots__}
    return {"schema": DATASET_SCHEMA, **value, "parents": list(info.parents), "classes": list(info.classes)}
