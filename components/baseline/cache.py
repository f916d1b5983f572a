"""Detections of a slow baseline kept in the storage in pieces: paid once for a test part, and a killed run goes on."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2

from belisha.components.baseline import hog
from belisha.components.shared import boxes, images, nms
from belisha.components.shared.detections import Detections, read_detections, write_detections
from belisha.components.shared.errors import ContractError
from belisha.components.shared.files import sha256_hex, write_bytes_atomic
from belisha.components.shared.manifest import Picture
from belisha.components.shared.storage import ObjectStore

PREFIX = "baselines"
_PICTURES_PER_PIECE = 200

DetectMany = Callable[[Sequence[Picture]], dict[str, Detections]]
PieceDone = Callable[[int], None]


def code_version() -> str:
    """Digest of the code that the HOG baseline's boxes depend on, so that a change of it starts afresh."""
    digest = hashlib.sha256(cv2.__version__.encode())
    for module in (hog, boxes, images, nms):
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()[:16]


def detect_cached(
    pictures: Sequence[Picture], store: ObjectStore, detect: DetectMany, piece_done: PieceDone
) -> dict[str, Detections]:
    """Detections of every picture, a piece at a time; pieces that the storage has are read from it.

    Args:
        pictures: in any order; their ids name the pieces.
        store: the storage's root.
        detect: called for each missing piece.
        piece_done: told how many pictures are done after each piece, kept or not.

    Raises:
        StorageError: the storage cannot be read or written.
    """
    ordered = sorted(pictures, key=lambda picture: picture.image_id)
    found: dict[str, Detections] = {}
    for begin in range(0, len(ordered), _PICTURES_PER_PIECE):
        piece = ordered[begin : begin + _PICTURES_PER_PIECE]
        found |= _piece(piece, store, detect)
        piece_done(len(found))
    return found


def _piece(pictures: Sequence[Picture], store: ObjectStore, detect: DetectMany) -> dict[str, Detections]:
    image_ids = [picture.image_id for picture in pictures]
    key = f"{PREFIX}/{code_version()}/{sha256_hex(' '.join(image_ids).encode())}.parquet"
    if store.exists(key):
        kept = _from_bytes(store.read(key))
        if kept is not None and sorted(kept) == image_ids:
            return kept
    found = detect(pictures)
    store.write(key, _to_bytes(found))
    return found


def _to_bytes(found: dict[str, Detections]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "piece.parquet"
        write_detections(path, found)
        return path.read_bytes()


def _from_bytes(data: bytes) -> dict[str, Detections] | None:
    """What was kept; None when it is damaged, for then it is made again."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "piece.parquet"
        write_bytes_atomic(path, data)
        try:
            return read_detections(path)
        except ContractError:
            return None
