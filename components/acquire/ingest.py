"""Pictures into the content-addressed store: read once, hashed, decoded once, stored; what cannot be used is set aside.

Each picture costs one read, one SHA-256, one decode and one write; the perceptual hash is taken of the pixels that are there
anyway. A journal beside the dataset remembers what was decoded, so that a killed run goes on where it was: what it had
stored is hashed and verified again, but not decoded again.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from belisha.components.acquire.labels import LabelledPicture
from belisha.components.acquire.quarantine import Unusable
from belisha.components.shared.files import sha256_hex
from belisha.components.shared.images import DecodeLimits, UnreadablePictureError, decode_rgb
from belisha.components.shared.inference import map_bounded
from belisha.components.shared.near_duplicates import perceptual_hash
from belisha.components.shared.picture_store import PictureStore

_FLUSH_EVERY = 32


@dataclass(frozen=True, slots=True)
class Stored:
    """A picture that lies in the store.

    Attributes:
        image_id: SHA-256 of its bytes.
        width_px: upright width.
        height_px: upright height.
        hash64: perceptual hash.
    """

    image_id: str
    width_px: int
    height_px: int
    hash64: int


class Journal:
    """What earlier, killed runs had decoded and stored: one JSON line a picture; a half-written last line is dropped."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = {stored.image_id: stored for stored in _read_journal(path)}
        self._unwritten: list[Stored] = []

    def get(self, image_id: str) -> Stored | None:
        """What is known of a picture, if anything."""
        return self._known.get(image_id)

    def add(self, stored: Stored) -> None:
        """Remember a picture; lines are written a few at a time."""
        if stored.image_id in self._known:
            return
        self._known[stored.image_id] = stored
        self._unwritten.append(stored)
        if len(self._unwritten) >= _FLUSH_EVERY:
            self.flush()

    def flush(self) -> None:
        """Write what is not written yet."""
        lines = [json.dumps([s.image_id, s.width_px, s.height_px, s.hash64]) + "\n" for s in self._unwritten]
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write("".join(lines))
        self._unwritten.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.flush()


def _read_journal(path: Path) -> Iterator[Stored]:
    if not path.exists():
        return
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        path.write_bytes(whole)
    for line in whole.splitlines():
        yield Stored(*json.loads(line))


def ingest(
    pictures: Sequence[LabelledPicture], store: PictureStore, journal: Journal, limits: DecodeLimits, workers: int
) -> Iterator[Stored | Unusable]:
    """Store pictures by several workers.

    Args:
        pictures: those the labels speak of.
        store: where they go; written at most once a picture.
        journal: read for pictures stored by an earlier run, and added to.
        limits: bounds on bytes and pixels.
        workers: threads; reading, hashing and decoding leave Python's lock.

    Yields:
        For each picture in turn what is stored, or why it cannot be used.

    Raises:
        StorageError: the store could not be written.
    """

    def work(picture: LabelledPicture) -> Stored | Unusable:
        return _ingest_one(picture, store, journal, limits)

    found = map(work, pictures) if workers == 1 else map_bounded(work, pictures, workers)
    for result in found:
        if isinstance(result, Stored):
            journal.add(result)
        yield result


def _ingest_one(
    picture: LabelledPicture, store: PictureStore, journal: Journal, limits: DecodeLimits
) -> Stored | Unusable:
    if picture.problem:
        return Unusable("labels", picture.problem)
    data = _read(picture.path, limits)
    if isinstance(data, Unusable):
        return data
    image_id = sha256_hex(data)
    stored = journal.get(image_id)
    if stored is None:
        try:
            image_rgb = decode_rgb(data, limits)
        except UnreadablePictureError as error:
            return Unusable(error.reason, str(error))
        height_px, width_px = image_rgb.shape[:2]
        stored = Stored(image_id, width_px, height_px, perceptual_hash(image_rgb))
    if (mismatch := _wrong_size(picture, stored)) is not None:
        return mismatch
    store.add(data, image_id)
    return stored


def _read(path: Path, limits: DecodeLimits) -> bytes | Unusable:
    """The file's bytes; what is too large is not read at all."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return Unusable("unreadable", "this is no plain file: give pictures as files")
        if status.st_size > limits.max_bytes:
            sizes = f"{status.st_size} bytes but {limits.max_bytes} are allowed"
            return Unusable("oversized", f"the picture has {sizes}: make it smaller")
        return path.read_bytes()
    except FileNotFoundError:
        return Unusable("missing", "the picture that the labels name is not there: give its folder with --images")
    except OSError as error:
        return Unusable("unreadable", f"the file cannot be read ({error.strerror}): allow it, or leave it out")


def _wrong_size(picture: LabelledPicture, stored: Stored) -> Unusable | None:
    """Labels made for another size do not belong to this file as it is; without boxes that does not matter."""
    found, labelled = (stored.width_px, stored.height_px), picture.labelled_size_px
    if labelled is None or labelled == found or not picture.boxes:
        return None
    return Unusable(
        "other_size",
        f"the labels are for {labelled[0]} x {labelled[1]} pixels but the upright picture has {found[0]} x {found[1]}: "
        "give the pictures that the labels were made for",
    )
