"""Seeded makers of small real inputs: pictures with people-like shapes in a store, data sets and splits in folders."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np

from belisha.components.shared.images import ImageArray
from belisha.components.shared.manifest import Box, DatasetInfo, Picture, write_dataset
from belisha.components.shared.picture_store import PictureStore
from belisha.components.shared.storage import join_uri, open_store

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def fake_id(number: int) -> str:
    """A picture id for tests that never open a picture: a digest like the real ones, the same each time."""
    return hashlib.sha256(f"picture {number}".encode()).hexdigest()


def row(number: int, **changes: object) -> Picture:
    """A manifest row without bytes behind it; one pedestrian unless `boxes` says otherwise."""
    image_id = fake_id(number)
    picture = Picture(
        image_id, f"file:///nowhere/{image_id[:2]}/{image_id}", 640, 480, "street", boxes=(Box(9, 9, 20, 50),)
    )
    return replace(picture, **changes)


def rows_in_groups(groups: int, pictures_each: int, *, conditions: tuple[str, ...] = ("day", "night")) -> list[Picture]:
    """Rows of several sequences, conditions in turn."""
    return [
        row(
            group * pictures_each + index,
            group_id=f"sequence-{group:04d}",
            condition=conditions[group % len(conditions)],
        )
        for group in range(groups)
        for index in range(pictures_each)
    ]


def at(seconds: float) -> datetime:
    """A capture time so many seconds after a fixed one."""
    return EPOCH + timedelta(seconds=seconds)


def street(seed: int, width_px: int = 320, height_px: int = 240, people: int = 2) -> tuple[ImageArray, tuple[Box, ...]]:
    """A picture of smooth random texture with upright dark figures, and their boxes."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(60, 230, (6, 8, 3), dtype=np.uint8)
    image = np.ascontiguousarray(cv2.resize(coarse, (width_px, height_px), interpolation=cv2.INTER_CUBIC))
    boxes = []
    for _ in range(people):
        height = int(rng.integers(height_px // 3, height_px // 2))
        width = int(height * 0.41)
        x, y = int(rng.integers(0, width_px - width)), int(rng.integers(height_px // 4, height_px - height))
        cv2.ellipse(image, (x + width // 2, y + height // 8), (width // 5, height // 8), 0, 0, 360, (35, 30, 30), -1)
        cv2.rectangle(image, (x + width // 4, y + height // 4), (x + width * 3 // 4, y + height), (30, 35, 45), -1)
        boxes.append(Box(x, y, width, height))
    return np.asarray(image, dtype=np.uint8), tuple(boxes)


def encoded(image_rgb: ImageArray, *, quality: int = 95, extension: str = ".jpg") -> bytes:
    """The picture as JPEG (or another format that OpenCV writes)."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if extension == ".jpg" else []
    return bytes(cv2.imencode(extension, np.ascontiguousarray(image_rgb[:, :, ::-1]), options)[1])


def stored(
    image_rgb: ImageArray, storage_uri: str, boxes: tuple[Box, ...] = (), *, quality: int = 95, **fields: object
) -> Picture:
    """Put a picture into the store of a storage URI and give its manifest row."""
    store = PictureStore(open_store(join_uri(storage_uri, "pictures")))
    image_id = store.add(encoded(image_rgb, quality=quality))
    height_px, width_px = image_rgb.shape[:2]
    picture = Picture(image_id, store.uri_of(image_id), width_px, height_px, "street", boxes=boxes)
    return replace(picture, **fields)


def stored_streets(storage_uri: str, seeds: Iterable[int], **fields: object) -> list[Picture]:
    """Pictures of `street` in the store."""
    pictures = []
    for seed in seeds:
        image_rgb, boxes = street(seed)
        pictures.append(stored(image_rgb, storage_uri, boxes, **fields))
    return pictures


def dataset(folder: Path, pictures: Iterable[Picture]) -> DatasetInfo:
    """A dataset folder of these rows."""
    return write_dataset(folder, pictures, name="made for tests")
