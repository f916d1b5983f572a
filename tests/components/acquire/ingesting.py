"""Small labelled data sets made on the spot, and a short way to acquire them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from belisha.components.acquire.acquire import acquire
from belisha.components.acquire.options import AcquireOptions, AcquireSummary
from belisha.components.shared.progress import silent

BoxXywh = tuple[float, float, float, float]


def jpeg(seed: int, width: int = 120, height: int = 90) -> bytes:
    """A picture unlike that of any other seed."""
    coarse = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return cv2.imencode(".jpg", image)[1].tobytes()


def coco_set(
    folder: Path,
    pictures: Mapping[str, bytes],
    boxes: Mapping[str, Sequence[BoxXywh]] | None = None,
    size: tuple[int, int] = (120, 90),
) -> Path:
    """A COCO folder: pictures below `images/`, `annotations.json` beside; every box is a pedestrian."""
    (folder / "images").mkdir(parents=True)
    for name, data in pictures.items():
        (folder / "images" / name).write_bytes(data)
    images = [
        {"id": index, "file_name": name, "width": size[0], "height": size[1]} for index, name in enumerate(pictures)
    ]
    annotations = [
        {"id": 1000 * index + place, "image_id": index, "category_id": 1, "bbox": list(box), "iscrowd": 0}
        for index, name in enumerate(pictures)
        for place, box in enumerate((boxes or {}).get(name, []))
    ]
    value = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    (folder / "annotations.json").write_text(json.dumps(value))
    return folder


def acquire_quietly(
    sources: Sequence[Path | str], out: Path, options: AcquireOptions | None = None, pictures: str = ""
) -> AcquireSummary:
    """Acquire with the pictures below the dataset's folder."""
    names = [str(source) for source in sources]
    return acquire(names, out, pictures or str(out / "pictures"), options or AcquireOptions(), silent)


def files_below(folder: Path) -> list[str]:
    """Relative names of all files, hidden ones too."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
