"""The training and validation pictures as ultralytics shall see them: addresses and boxes, no copy of a picture.

A picture is read where the picture store has it. Only pictures that OpenCV would decode otherwise than the rest of the
product (an EXIF orientation, a palette, transparency, CMYK, 16 bit) are written once more, upright, as RGB.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from belisha.components.shared.boxes import clip_xywh
from belisha.components.shared.errors import ContractError
from belisha.components.shared.files import read_json, write_bytes_atomic, write_json
from belisha.components.shared.images import decode_rgb
from belisha.components.shared.manifest import Picture, boxes_of
from belisha.components.shared.picture_store import PictureReader, local_picture
from belisha.components.shared.progress import ProgressSink, tracked

INDEX_SCHEMA = "belisha.train-index/1"
_ORIENTATION_TAG = 0x0112
_PLAIN_MODES = ("RGB", "L", "1")
_THREADS = 4


@dataclass(frozen=True, slots=True)
class TrainPicture:
    """A picture as it is learned from: a local file, its size, pedestrians and ignored regions in its pixels (xywh)."""

    path: str
    width_px: int
    height_px: int
    boxes_xywh_px: list[list[float]]
    ignored_xywh_px: list[list[float]]


@dataclass(frozen=True, slots=True)
class LayoutCounts:
    """What became of the pictures.

    Attributes:
        pictures: kept.
        pedestrians: boxes to learn.
        backgrounds: pictures without any, kept.
        masked: pictures whose ignored regions are painted over while they are loaded.
        left_out: pictures left out because more of them is ignored than the limit.
        rewritten: pictures written once more, upright.
    """

    pictures: int
    pedestrians: int
    backgrounds: int
    masked: int
    left_out: int
    rewritten: int


def lay_out(
    pictures: Sequence[Picture],
    index: Path,
    scratch: Path,
    *,
    max_ignored_ratio: float,
    progress: ProgressSink,
    step: str,
) -> LayoutCounts:
    """Write the index of one part.

    Args:
        pictures: of the part; background pictures are kept.
        index: file to write.
        scratch: folder for fetched and rewritten pictures.
        max_ignored_ratio: pictures with a larger share of ignored area are left out, 0..1.
        progress: told of each picture.
        step: name of this step for people.

    Returns:
        The counts.
    """
    kept = [picture for picture in pictures if ignored_ratio(picture) <= max_ignored_ratio]
    reader = PictureReader()
    with ThreadPoolExecutor(_THREADS) as pool:
        entries = list(
            tracked(
                pool.map(lambda picture: _entry(picture, scratch, reader), kept),
                progress,
                step=step,
                unit="pictures",
                total=len(kept),
            )
        )
    write_json(index, {"schema": INDEX_SCHEMA, "pictures": [_to_json(entry) for entry in entries]})
    return LayoutCounts(
        pictures=len(entries),
        pedestrians=sum(len(entry.boxes_xywh_px) for entry in entries),
        backgrounds=sum(not entry.boxes_xywh_px for entry in entries),
        masked=sum(bool(entry.ignored_xywh_px) for entry in entries),
        left_out=len(pictures) - len(kept),
        rewritten=sum(Path(entry.path).is_relative_to(scratch / "upright") for entry in entries),
    )


def read_index(path: Path) -> list[TrainPicture]:
    """Read what `lay_out` wrote; raises ContractError."""
    value = read_json(path, schema=INDEX_SCHEMA)
    try:
        return [TrainPicture(**entry) for entry in value["pictures"]]
    except (KeyError, TypeError) as error:
        raise ContractError(f"{path} is not understood ({error}): start the training again") from None


def ignored_ratio(picture: Picture) -> float:
    """Share of a picture's area that lies in ignored regions and in no pedestrian's box, 0..1 (on a 64 x 64 raster)."""
    regions = boxes_of(picture, ignore=True)
    if not len(regions):
        return 0.0
    raster = np.zeros((64, 64, 1), np.uint8)
    scale = (64 / picture.width_px, 64 / picture.height_px)
    for boxes, value in ((regions, 1), (boxes_of(picture, ignore=False), 0)):
        for x, y, width, height in boxes * [*scale, *scale]:
            left, top = max(0, round(x)), max(0, round(y))
            raster[top : max(top, round(y + height)), left : max(left, round(x + width))] = value
    return float(raster.mean())


def paint_ignored(image: Any, picture: TrainPicture, pad_value: int = 114) -> None:
    """Paint ignored regions of a loaded picture of any scale in place; pixels of kept pedestrians stay as they are."""
    if not picture.ignored_xywh_px:
        return
    height_px, width_px = image.shape[:2]
    scale = (width_px / picture.width_px, height_px / picture.height_px)
    original = image.copy()
    for rows, columns in _windows(picture.ignored_xywh_px, scale):
        image[rows, columns] = pad_value
    for rows, columns in _windows(picture.boxes_xywh_px, scale):
        image[rows, columns] = original[rows, columns]


def _windows(boxes_xywh: Sequence[Sequence[float]], scale: tuple[float, float]) -> Iterator[tuple[slice, slice]]:
    for x, y, width, height in boxes_xywh:
        left, top = max(0, round(x * scale[0])), max(0, round(y * scale[1]))
        right, bottom = round((x + width) * scale[0]), round((y + height) * scale[1])
        yield slice(top, max(top, bottom)), slice(left, max(left, right))


def _entry(picture: Picture, scratch: Path, reader: PictureReader) -> TrainPicture:
    path = local_picture(picture.uri, picture.image_id, scratch, reader)
    if not path.is_file():
        raise ContractError(f"{picture.uri} is missing from the picture store: acquire the data again")
    return TrainPicture(
        path=str(_plain(path, picture, scratch)),
        width_px=picture.width_px,
        height_px=picture.height_px,
        boxes_xywh_px=_clipped(picture, ignore=False),
        ignored_xywh_px=_clipped(picture, ignore=True),
    )


def _clipped(picture: Picture, *, ignore: bool) -> list[list[float]]:
    boxes = clip_xywh(boxes_of(picture, ignore=ignore), picture.width_px, picture.height_px)
    return [list(map(float, box)) for box in boxes if box[2] > 0 and box[3] > 0]


def _plain(path: Path, picture: Picture, scratch: Path) -> Path:
    """The picture's own file, or an upright RGB copy where OpenCV would see something else than the rest of the product."""
    from PIL import Image

    data = path.read_bytes()
    with Image.open(io.BytesIO(data)) as opened:
        plain = opened.mode in _PLAIN_MODES and opened.getexif().get(_ORIENTATION_TAG, 1) == 1
        plain = plain and "transparency" not in opened.info
    if plain:
        return path
    copy = scratch / "upright" / f"{picture.image_id}.png"
    bgr = np.ascontiguousarray(decode_rgb(data)[:, :, ::-1])
    write_bytes_atomic(copy, bytes(cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]))
    return copy


def _to_json(entry: TrainPicture) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in TrainPicture.__slots__}
