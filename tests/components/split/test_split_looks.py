"""Where a split gets its perceptual hashes from: the dataset's own file, and the pictures that it does not cover."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from belisha.components.shared.errors import ContractError, DigestError, InputError, NotFoundError
from belisha.components.shared.files import sha256_hex
from belisha.components.shared.fingerprints import FINGERPRINTS_FILE, write_fingerprints
from belisha.components.shared.near_duplicates import perceptual_hash
from belisha.components.shared.picture_store import PictureStore
from belisha.components.shared.progress import ProgressEvent, silent
from belisha.components.shared.storage import open_store
from belisha.components.split.looks import Looks, hash_pictures
from tests.factories import dataset, encoded, fake_id, row, stored_streets, street


def looks_of(dataset_dir: Path, numbers: list[int], rows: int) -> tuple[list[int], int]:
    """Hashes of some rows, and of how many pictures the progress spoke."""
    events: list[ProgressEvent] = []
    found = Looks(dataset_dir, rows, events.append, 2)(np.array(numbers))
    return [int(value) for value in found], max((event.total or 0 for event in events), default=0)


def test_recorded_hashes_are_taken_without_opening_a_picture(tmp_path: Path) -> None:
    rows = [row(number) for number in range(4)]
    dataset(tmp_path, rows)
    ids = sorted(picture.image_id for picture in rows)
    write_fingerprints(tmp_path, ids, [5, 2**63, 7, 2**64 - 1])
    assert looks_of(tmp_path, [3, 1, 0], 4) == ([2**64 - 1, 2**63, 5], 0)


def test_pictures_that_the_file_lacks_are_hashed(tmp_path: Path) -> None:
    pictures = sorted(stored_streets(str(tmp_path / "storage"), range(4)), key=lambda one: one.image_id)
    data = tmp_path / "data"
    dataset(data, pictures)
    everything, hashed = looks_of(data, [0, 1, 2, 3], 4)
    assert hashed == 4
    write_fingerprints(data, [pictures[2].image_id, fake_id(0), pictures[0].image_id], [22, 99, 11])
    assert looks_of(data, [0, 1, 2, 3], 4) == ([11, everything[1], 22, everything[3]], 2)


BROKEN = {
    "no Parquet": lambda path: path.write_bytes(b"PAR1 nothing"),
    "empty": lambda path: path.write_bytes(b""),
    "other version": lambda path: pq.write_table(
        pa.table({"image_id": ["a"], "hash64": pa.array([1], pa.uint64())}), path
    ),
}


@pytest.mark.parametrize("damage", BROKEN.values(), ids=BROKEN.keys())
def test_damaged_fingerprints_are_refused(tmp_path: Path, damage: object) -> None:
    dataset(tmp_path, [row(1)])
    damage(tmp_path / FINGERPRINTS_FILE)  # type: ignore[operator]
    with pytest.raises(ContractError, match="acquire the data again"):
        looks_of(tmp_path, [0], 1)


def test_pictures_are_hashed_in_order_and_missing_ones_named(tmp_path: Path) -> None:
    pictures = stored_streets(str(tmp_path / "storage"), range(5))
    found = hash_pictures([p.uri for p in pictures], [p.image_id for p in pictures], silent, workers=3)
    near = [(int(value) ^ perceptual_hash(street(seed)[0])).bit_count() for seed, value in enumerate(found)]
    assert max(near) <= 2
    gone = fake_id(1)
    with pytest.raises(NotFoundError, match=gone):
        hash_pictures([f"file://{tmp_path}/storage/pictures/{gone[:2]}/{gone}"], [gone], silent)


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xd8\xff", b"not a picture", encoded(street(1)[0])[:200]],
    ids=["empty", "header", "text", "cut"],
)
def test_what_is_no_picture_is_refused(tmp_path: Path, data: bytes) -> None:
    store = PictureStore(open_store(str(tmp_path)))
    image_id = store.add(data)
    with pytest.raises(InputError, match=image_id):
        hash_pictures([store.uri_of(image_id)], [sha256_hex(data)], silent)
    with pytest.raises(DigestError):
        hash_pictures([store.uri_of(image_id)], [fake_id(1)], silent)
