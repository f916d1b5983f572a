"""Reviewed pictures as a source that `belisha acquire` reads: `<storage>/review/dataset/reviewed`.

    labels.json            COCO detection JSON with camera, condition, captured_at, group_id, ignore and annotator
    pictures/<id>.jpg      the pictures, under names that belong to them for ever

`labels.json` is replaced as a whole, after the pictures that it speaks of are there, and says at every moment what all imports
together say. One camera's pictures of one clock hour (UTC) are a group: the name of a group never changes as pictures come,
so its part, which is a hash of the name, never does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import Any

from belisha.components.shared.errors import AlreadyExistsError, DigestError, NotFoundError
from belisha.components.shared.files import canonical_json
from belisha.components.shared.picture_store import PictureReader
from belisha.components.shared.progress import ProgressSink, tracked
from belisha.components.shared.review_queue import (
    REVIEWED_DATASET_PREFIX,
    QueueItem,
    ReviewedPicture,
    import_records,
    join_reviewed,
    parse_import,
    read_batches,
)
from belisha.components.shared.storage import ObjectStore

LABELS_FILE = "labels.json"
_SUFFIXES = ((b"\xff\xd8", ".jpg"), (b"\x89PNG", ".png"), (b"RIFF", ".webp"), (b"BM", ".bmp"))


def write_reviewed_dataset(store: ObjectStore, progress: ProgressSink) -> tuple[list[ReviewedPicture], int]:
    """Bring the source up to date with all imports, whoever else imports meanwhile.

    Args:
        store: of the storage URI.
        progress: told while pictures are copied.

    Returns:
        All reviewed pictures, and how many of them the source lacks because their bytes are gone or damaged.

    Raises:
        ContractError: a record is damaged.
        StorageError: the store failed.
    """
    records = import_records(store)
    while True:
        values = records.read_all()
        reviewed = join_reviewed(read_batches(store), [parse_import(value) for value in values])
        names = _put_pictures(store, reviewed, progress)
        there = [one for one in reviewed if one.item.picture_id in names]
        labels = coco_of(there, [names[one.item.picture_id] for one in there])
        store.write(f"{REVIEWED_DATASET_PREFIX}/{LABELS_FILE}", canonical_json(labels))
        # An import that came meanwhile may have written before us: then what we wrote is old.
        if len(records.read_all()) == len(values):
            return reviewed, len(reviewed) - len(there)


def group_of(item: QueueItem) -> str:
    """The group that must not straddle train, val and test; empty where no camera is known: then likeness decides."""
    return f"{item.camera}@{item.captured_at:%Y-%m-%dT%H}" if item.camera else ""


def coco_of(reviewed: Sequence[ReviewedPicture], names: Sequence[str]) -> dict[str, Any]:
    """The labels; `names` are the pictures' file names in the same order."""
    images = [
        _image(number, one, name) for number, (one, name) in enumerate(zip(reviewed, names, strict=True), start=1)
    ]
    boxes = [(number, one, box) for number, one in enumerate(reviewed, start=1) for box in one.boxes]
    annotations = [
        {
            "id": at,
            "image_id": number,
            "category_id": 1,
            "bbox": [round(value, 3) for value in (box.x, box.y, box.width, box.height)],
            "area": round(box.width * box.height, 3),
            "iscrowd": 0,
            "ignore": int(box.ignore),
            "occlusion": box.occlusion,
            "annotator": box.annotator,
        }
        for at, (number, one, box) in enumerate(boxes, start=1)
    ]
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "pedestrian"}]}


def _image(number: int, one: ReviewedPicture, name: str) -> dict[str, Any]:
    item = one.item
    return {
        "id": number,
        "file_name": f"pictures/{name}",
        "width": item.width_px,
        "height": item.height_px,
        "camera": item.camera,
        "condition": item.condition,
        "captured_at": item.captured_at.isoformat(),
        "group_id": group_of(item),
    }


def _put_pictures(store: ObjectStore, reviewed: Sequence[ReviewedPicture], progress: ProgressSink) -> dict[str, str]:
    """Copy what is not there yet; returns picture id to file name of all that is there then."""
    prefix = f"{REVIEWED_DATASET_PREFIX}/pictures"
    names = {name.partition(".")[0]: name for key in store.list(prefix) if (name := key.rsplit("/", 1)[1])}
    reader = PictureReader()
    for item in _told([one.item for one in reviewed if one.item.picture_id not in names], progress):
        try:
            data = reader.read(item.picture_uri, item.picture_id)
        except (NotFoundError, DigestError):
            continue  # what was kept for review has been cleared away: the labels alone teach nothing
        name = item.picture_id + suffix_of(data)
        # Another import may just have put the same bytes there.
        with contextlib.suppress(AlreadyExistsError):
            store.create(f"{prefix}/{name}", data)
        names[item.picture_id] = name
    return names


def _told(items: Sequence[QueueItem], progress: ProgressSink) -> Iterable[QueueItem]:
    return tracked(items, progress, step="copy", unit="pictures") if items else ()


def suffix_of(data: bytes) -> str:
    """The suffix that a picture's first bytes ask for."""
    return next((suffix for magic, suffix in _SUFFIXES if data.startswith(magic)), ".jpg")
