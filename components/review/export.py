"""Pictures that wait, for the tools that people know: Label Studio, CVAT, or plain JSON."""

from __future__ import annotations

import enum
import functools
import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from belisha.components.review import cvat, label_studio, own_json
from belisha.components.review.dataset import suffix_of
from belisha.components.review.suggestions import LEAST_SCORE, for_adjudication
from belisha.components.shared.errors import InputError, NoDataError
from belisha.components.shared.files import write_bytes_atomic, write_json
from belisha.components.shared.picture_store import PictureReader
from belisha.components.shared.progress import ProgressSink, tracked
from belisha.components.shared.review_queue import QueueItem, read_batches, read_imports, waiting_items
from belisha.components.shared.storage import open_store

TASKS_FILE, INTERFACE_FILE, CVAT_FILE = "tasks.json", "labelling_interface.xml", "cvat.zip"


class Format(enum.StrEnum):
    """What to write."""

    LABEL_STUDIO = "label-studio"
    CVAT = "cvat"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """What to export.

    Attributes:
        format: for which tool.
        batch: number of the batch; 0 for all.
        everything: pictures that have a truth already, too.
        disputed: pictures with disputed boxes alone, for an adjudicator, who sees what the others drew.
        people: a picture waits until so many people have drawn on it.
        pictures: put the pictures into the export.
        image_address: how Label Studio's browser finds a picture; `{uri}`, `{id}` and `{file}` are filled in.
        suggestions: the models' boxes to begin with.
        least_score: weakest box to suggest, 0..1.
    """

    format: Format = Format.LABEL_STUDIO
    batch: int = 0
    everything: bool = False
    disputed: bool = False
    people: int = 1
    pictures: bool = False
    image_address: str = "{uri}"
    suggestions: bool = True
    least_score: float = LEAST_SCORE


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: files below the folder, and how many pictures they hand out."""

    folder: Path
    files: tuple[str, ...]
    pictures: int

    def to_json(self) -> dict[str, Any]:
        """What `belisha review export --json` prints."""
        return {"folder": str(self.folder), "files": list(self.files), "pictures": self.pictures}


def export(storage_uri: str, folder: Path, settings: ExportSettings, progress: ProgressSink) -> Exported:
    """Write pictures that wait for a tool; each file is replaced as a whole.

    Args:
        storage_uri: where `review/` lies.
        folder: to write to.
        settings: what to write.
        progress: told while pictures are packed.

    Raises:
        NoDataError: nothing waits.
        InputError: there is no such batch, or an option cannot be used.
        StorageError: a picture could not be read.
    """
    items = waiting(storage_uri, settings)
    # No score is above 1, so that nothing is suggested.
    least_score = settings.least_score if settings.suggestions else 2.0
    writer = {Format.LABEL_STUDIO: _label_studio, Format.CVAT: _cvat, Format.JSON: _json}[settings.format]
    files = writer(items, folder, settings, least_score, progress)
    return Exported(folder, tuple(files), len(items))


def waiting(storage_uri: str, settings: ExportSettings) -> list[QueueItem]:
    """The pictures to export, oldest batch first; raises as `export`."""
    store = open_store(storage_uri)
    batches = read_batches(store)
    if settings.batch and settings.batch not in [batch.number for batch in batches]:
        raise InputError(
            f"there is no batch {settings.batch}: {len(batches)} were handed out; see `belisha review status`"
        )
    batches = [batch for batch in batches if settings.batch in (0, batch.number)]
    if settings.disputed:
        items = for_adjudication(batches, read_imports(store))
        if not items:
            raise NoDataError(f"no picture of {store.uri} has disputed boxes: there is nothing to decide")
        return items
    imports = [] if settings.everything else read_imports(store)
    items = [item for _, item in waiting_items(batches, imports, settings.people)]
    if not items:
        raise NoDataError(f"no picture of {store.uri} waits for people: run `belisha review select`, or export --all")
    return items


def _label_studio(
    items: Sequence[QueueItem], folder: Path, settings: ExportSettings, least_score: float, progress: ProgressSink
) -> list[str]:
    names = _write_pictures(items, folder, progress) if settings.pictures else {}

    def address_of(item: QueueItem) -> str:
        file = names.get(item.picture_id, f"pictures/{item.picture_id}")
        try:
            return settings.image_address.format(uri=item.picture_uri, id=item.picture_id, file=file)
        except (KeyError, IndexError, ValueError, AttributeError):
            raise InputError(
                f"the address {settings.image_address!r} is not understood: only {{uri}}, {{id}} and {{file}} are filled in"
            ) from None

    write_json(folder / TASKS_FILE, label_studio.tasks_of(items, address_of, least_score))
    write_bytes_atomic(folder / INTERFACE_FILE, label_studio.INTERFACE.encode())
    return [TASKS_FILE, INTERFACE_FILE, *names.values()]


def _cvat(
    items: Sequence[QueueItem], folder: Path, settings: ExportSettings, least_score: float, progress: ProgressSink
) -> list[str]:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(_entry(cvat.ANNOTATIONS_FILE), cvat.xml_of(items, least_score))
        for item, data in _read_pictures(items, progress) if settings.pictures else ():
            packed.writestr(_entry(f"images/{cvat.file_name_of(item)}"), data)
    write_bytes_atomic(folder / CVAT_FILE, buffer.getvalue())
    return [CVAT_FILE]


def _json(
    items: Sequence[QueueItem], folder: Path, settings: ExportSettings, least_score: float, progress: ProgressSink
) -> list[str]:
    names = _write_pictures(items, folder, progress) if settings.pictures else {}
    write_json(folder / TASKS_FILE, own_json.tasks_of(items, least_score))
    return [TASKS_FILE, *names.values()]


def _entry(name: str) -> zipfile.ZipInfo:
    """The same content gives the same archive."""
    return zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))


def _write_pictures(items: Sequence[QueueItem], folder: Path, progress: ProgressSink) -> dict[str, str]:
    """Write the pictures; returns picture id to file."""
    names = {}
    for item, data in _read_pictures(items, progress):
        names[item.picture_id] = f"pictures/{item.picture_id}{suffix_of(data)}"
        write_bytes_atomic(folder / names[item.picture_id], data)
    return names


def _read_pictures(items: Sequence[QueueItem], progress: ProgressSink) -> Iterator[tuple[QueueItem, bytes]]:
    read: Callable[[QueueItem], bytes] = functools.partial(_read_one, PictureReader())
    for item in tracked(items, progress, step="pack", unit="pictures"):
        yield item, read(item)


def _read_one(reader: PictureReader, item: QueueItem) -> bytes:
    return reader.read(item.picture_uri, item.picture_id)
