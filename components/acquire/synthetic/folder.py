"""A folder of synthetic streets: JPEG pictures, COCO labels, and a contact sheet to look at."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from belisha.components.acquire.synthetic.settings import SCHEME, StreetSettings
from belisha.components.acquire.synthetic.street import StreetPicture, draw_street
from belisha.components.acquire.synthetic.world import moment_of
from belisha.components.shared.errors import InputError
from belisha.components.shared.files import directory_aside, write_bytes_atomic
from belisha.components.shared.images import ImageArray
from belisha.components.shared.manifest import Box
from belisha.components.shared.progress import ProgressSink, silent, tracked
from belisha.components.shared.report import (
    AMBER,
    BLUE,
    GREEN,
    BoxLayer,
    Section,
    gallery,
    picture,
    table,
    write_report,
)

ANNOTATIONS_FILE, PICTURES_FOLDER, PREVIEW_FILE = "annotations.json", "images", "preview.html"
LICENCE = "CC0-1.0"
_PRODUCER = "belisha synthesize"
_PREVIEWS = 4
_CHUNK = 24
Record = dict[str, Any]


def generate(folder: Path, settings: StreetSettings, progress: ProgressSink = silent, workers: int = 1) -> None:
    """Write `annotations.json`, `images/` and `preview.html`; the bytes do not depend on the number of workers.

    Args:
        folder: created, or replaced when it is empty or was written by this function; whole or not at all.
        settings: what to draw.
        progress: told after every picture.
        workers: processes that draw, 1..64; 1 draws in this one.

    Raises:
        InputError: the folder holds something else, or `workers` is out of range.
    """
    if not 1 <= workers <= 64:
        raise InputError(f"workers: expected 1 to 64, got {workers}")
    _refuse_foreign(folder)
    indices = range(settings.first_index, settings.first_index + settings.pictures)
    with directory_aside(folder) as aside:
        (aside / PICTURES_FOLDER).mkdir()
        drawn = _draw_all(aside / PICTURES_FOLDER, settings, indices, workers)
        pages = tracked(drawn, progress, step="synthesize", unit="pictures", total=settings.pictures)
        records = sorted(pages, key=lambda record: int(record["id"]))
        write_bytes_atomic(aside / ANNOTATIONS_FILE, json.dumps(_coco(settings, records), indent=1).encode() + b"\n")
        write_preview(aside / PREVIEW_FILE, settings, records)


def encode_jpeg(image_rgb: ImageArray, quality: int) -> bytes:
    """A picture as JPEG; the same pixels give the same bytes."""
    bgr = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def _refuse_foreign(folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"{folder} is a file: give a new or empty folder")
    if any(folder.iterdir()) and not _is_ours(folder / ANNOTATIONS_FILE):
        raise InputError(f"{folder} is not empty and was not written by `{_PRODUCER}`: give a new or empty folder")


def _is_ours(path: Path) -> bool:
    try:
        document = json.loads(path.read_bytes())
        return bool(document["info"]["producer"] == _PRODUCER)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _draw_all(folder: Path, settings: StreetSettings, indices: Sequence[int], workers: int) -> Iterator[Record]:
    if workers == 1:
        yield from (_draw_one(folder, settings, index) for index in indices)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        chunks = list(_chunks_by_camera(settings, indices))
        for records in pool.map(_draw_chunk, *zip(*((str(folder), settings, chunk) for chunk in chunks), strict=True)):
            yield from records


def _chunks_by_camera(settings: StreetSettings, indices: Iterable[int]) -> Iterator[list[int]]:
    """Pictures of one camera together, so that a worker paints few backdrops."""
    ordered = sorted(indices, key=lambda index: (moment_of(settings, index).camera, index))
    for start in range(0, len(ordered), _CHUNK):
        yield ordered[start : start + _CHUNK]


def _draw_chunk(folder: str, settings: StreetSettings, indices: Sequence[int]) -> list[Record]:
    return [_draw_one(Path(folder), settings, index) for index in indices]


def _draw_one(folder: Path, settings: StreetSettings, index: int) -> Record:
    """Draw and write one picture; its COCO image record with the annotations under `annotations`."""
    street = draw_street(settings, index)
    name = f"street_{settings.seed}_{index:07d}.jpg"
    (folder / name).write_bytes(encode_jpeg(street.image_rgb, settings.jpeg_quality))
    return {
        "id": index + 1,
        "file_name": f"{PICTURES_FOLDER}/{name}",
        "width": settings.width_px,
        "height": settings.height_px,
        "license": 1,
        "licence": LICENCE,
        "condition": street.condition,
        "camera": street.camera,
        "captured_at": street.captured_at.isoformat(),
        "group_id": street.group_id,
        "annotations": _annotations(street),
    }


def _annotations(street: StreetPicture) -> list[Record]:
    found = []
    for box, body, visible in zip(street.boxes, street.body_boxes_px, street.visible_boxes_px, strict=True):
        record: Record = {
            "category_id": 1,
            "bbox": [box.x, box.y, box.width, box.height],
            "area": box.width * box.height,
            "iscrowd": 0,
            "ignore": int(box.ignore),
            "height": body[3],
            "body_bbox": list(body),
            "occlusion": box.occlusion,
        }
        if box.visible_ratio is not None:
            record |= {"vis_bbox": list(visible), "vis_ratio": box.visible_ratio}
        found.append(record)
    return found


def _coco(settings: StreetSettings, records: Sequence[Record]) -> Record:
    annotations: list[Record] = []
    for record in records:
        for annotation in record["annotations"]:
            annotations.append({"id": len(annotations) + 1, "image_id": record["id"], **annotation})
    return {
        "info": {"producer": _PRODUCER, "description": "Synthetic streets", "source": source_uri(settings)},
        "licenses": [{"id": 1, "name": LICENCE}],
        "categories": [{"id": 1, "name": "pedestrian"}],
        "images": [{key: value for key, value in record.items() if key != "annotations"} for record in records],
        "annotations": annotations,
    }


def source_uri(settings: StreetSettings) -> str:
    """The URI that `parse_synthetic_uri` reads back to the same settings."""
    conditions = ",".join(f"{name}:{share!r}" for name, share in settings.conditions)
    least, most = settings.pedestrians
    return (
        f"{SCHEME}://streets?pictures={settings.pictures}&seed={settings.seed}&conditions={conditions}"
        f"&width={settings.width_px}&height={settings.height_px}&pedestrians={least}-{most}&cameras={settings.cameras}"
        f"&sequence={settings.pictures_per_sequence}&first={settings.first_index}&quality={settings.jpeg_quality}"
    )


def write_preview(path: Path, settings: StreetSettings, records: Sequence[Record]) -> None:
    """A contact sheet: counts by condition, and a few pictures of each with their boxes."""
    rows, sections = [], []
    for name, _ in settings.conditions:
        chosen = [record for record in records if record["condition"] == name]
        boxes = [annotation for record in chosen for annotation in record["annotations"]]
        labelled = [annotation for annotation in boxes if not annotation["ignore"]]
        heights = [annotation["height"] for annotation in labelled]
        median = float(np.median(heights)) if heights else None
        rows.append((name, len(chosen), len(labelled), len(boxes) - len(labelled), median))
        if chosen:
            sections.append(Section(name, [gallery([_preview(settings, record) for record in _spread(chosen)])]))
    headers = ("condition", "pictures", "pedestrians", "ignored", "median height in pixels")
    lead = "Green: a labelled pedestrian. Blue: what shows of it, where less than the whole. Amber: an ignore region."
    summary = Section("Counts", [table(headers, rows)], lead=source_uri(settings))
    write_report(path, "Synthetic streets", lead, [summary, *sections])


def _spread(records: Sequence[Record]) -> list[Record]:
    places = np.linspace(0, len(records) - 1, min(_PREVIEWS, len(records))).round().astype(int)
    return [records[place] for place in places]


def _preview(settings: StreetSettings, record: Record) -> Any:
    street = draw_street(settings, record["id"] - 1)
    shown = list(zip(street.boxes, street.visible_boxes_px, strict=True))
    partly = [visible for box, visible in shown if not box.ignore and (box.visible_ratio or 1.0) < 0.95]
    layers = [
        BoxLayer(_layer(box for box, _ in shown if not box.ignore), GREEN),
        BoxLayer(np.array(partly, dtype=np.float64).reshape(-1, 4), BLUE),
        BoxLayer(_layer(box for box, _ in shown if box.ignore), AMBER),
    ]
    return picture(street.image_rgb, f"{record['file_name']}, {street.camera}", layers)


def _layer(boxes: Iterable[Box]) -> np.ndarray:
    return np.array([(box.x, box.y, box.width, box.height) for box in boxes], dtype=np.float64).reshape(-1, 4)


def summary_of(folder: Path) -> Record:
    """What a folder written by `generate` holds: images, pedestrians, ignored, images by condition, and its source."""
    document = json.loads((folder / ANNOTATIONS_FILE).read_bytes())
    ignored = sum(annotation["ignore"] for annotation in document["annotations"])
    conditions: dict[str, int] = {}
    for image in document["images"]:
        conditions[image["condition"]] = conditions.get(image["condition"], 0) + 1
    return {
        "images": len(document["images"]),
        "pedestrians": len(document["annotations"]) - ignored,
        "ignored": ignored,
        "conditions": conditions,
        "source": document["info"]["source"],
    }
