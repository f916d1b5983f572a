"""The perceptual hashes that a split needs: as ingestion recorded them, else of the pictures where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from belisha.components.shared.errors import InputError
from belisha.components.shared.fingerprints import read_fingerprints
from belisha.components.shared.images import UnreadablePictureError, decode_rgb
from belisha.components.shared.inference import map_bounded, usable_cpus
from belisha.components.shared.manifest import read_table
from belisha.components.shared.near_duplicates import Hashes, perceptual_hash
from belisha.components.shared.picture_store import PictureReader
from belisha.components.shared.progress import ProgressSink, tracked
from belisha.components.split.columns import IntArray
from belisha.components.split.frozen import Frozen


class Looks:
    """Perceptual hashes of rows; no picture is read twice, and none whose hash is recorded.

    Args:
        dataset_dir: a dataset folder.
        rows: number of its pictures.
        progress: told while pictures are hashed.
        workers: threads that hash, 0 for one a CPU.
    """

    def __init__(self, dataset_dir: Path, rows: int, progress: ProgressSink, workers: int) -> None:
        self._dataset_dir = dataset_dir
        self._progress = progress
        self._workers = workers
        self._hashes: Hashes = np.zeros(rows, dtype=np.uint64)
        self._done = np.zeros(rows, dtype=bool)

    def remember(self, frozen: Frozen, known: IntArray) -> None:
        """Take over what earlier splits have recorded; `known` has each row's place in `frozen`, -1 for none."""
        old = np.flatnonzero(known >= 0)
        old = old[frozen.hashed[known[old]]]
        self._hashes[old] = frozen.hashes[known[old]]
        self._done[old] = True

    def __call__(self, numbers: IntArray) -> Hashes:
        """Hashes of the rows with these numbers.

        Raises:
            ContractError: the dataset's fingerprints are damaged.
            DigestError, NotFoundError, StorageError, InputError: a picture is damaged, gone or out of reach.
        """
        missing = numbers[~self._done[numbers]]
        if len(missing):
            self._hashes[missing] = self._found(missing)
            self._done[missing] = True
        return self._hashes[numbers]

    def _found(self, numbers: IntArray) -> Hashes:
        places = read_table(self._dataset_dir, ("image_id", "uri")).take(pa.array(numbers))
        image_ids = places.column("image_id").combine_chunks()
        recorded = read_fingerprints(self._dataset_dir, image_ids)
        unknown = np.flatnonzero(~recorded.known)
        hashes = recorded.hashes.copy()
        if len(unknown):
            left = places.take(pa.array(unknown))
            uris, ids = left.column("uri").to_pylist(), left.column("image_id").to_pylist()
            hashes[unknown] = hash_pictures(uris, ids, self._progress, workers=self._workers)
        return hashes


def hash_pictures(uris: Sequence[str], image_ids: Sequence[str], progress: ProgressSink, *, workers: int = 0) -> Hashes:
    """Perceptual hashes of pictures where they lie, `(n,)` uint64 in the order given.

    Raises:
        DigestError, NotFoundError, StorageError, InputError: a picture is damaged, gone or out of reach.
    """
    reader = PictureReader()

    def hash_one(place: tuple[str, str]) -> int:
        try:
            return perceptual_hash(decode_rgb(reader.read(*place)))
        except UnreadablePictureError as error:
            raise InputError(f"{place[0]}: {error}, and acquire the data again") from None

    found = map_bounded(hash_one, list(zip(uris, image_ids, strict=True)), workers or usable_cpus())
    shown = tracked(found, progress, step="near-duplicates", unit="pictures", total=len(uris))
    return np.fromiter(shown, dtype=np.uint64, count=len(uris))
