"""The content-addressed store: written once, verified on every read."""

from __future__ import annotations

from pathlib import Path

import pytest

from belisha.components.shared.errors import DigestError, NotFoundError
from belisha.components.shared.files import sha256_hex
from belisha.components.shared.picture_store import PictureReader, PictureStore, key_of, local_picture
from belisha.components.shared.storage import open_store

DATA = b"a picture's bytes"


@pytest.mark.parametrize("uri", ["memory://pictures-test", "file"])
def test_a_picture_is_stored_under_its_digest_and_read_back(uri: str, tmp_path: Path) -> None:
    store = PictureStore(open_store(str(tmp_path) if uri == "file" else uri))
    image_id = store.add(DATA)
    assert image_id == sha256_hex(DATA)
    assert store.add(DATA) == image_id
    assert store.read(image_id) == DATA
    assert PictureReader().read(store.uri_of(image_id), image_id) == DATA


def test_changed_bytes_are_refused(tmp_path: Path) -> None:
    store = PictureStore(open_store(str(tmp_path)))
    image_id = store.add(DATA)
    (tmp_path / key_of(image_id)).write_bytes(b"something else")
    with pytest.raises(DigestError, match="store is damaged"):
        store.read(image_id)


def test_a_missing_picture_is_one_sentence(tmp_path: Path) -> None:
    store = PictureStore(open_store(str(tmp_path)))
    with pytest.raises(NotFoundError, match="does not exist"):
        store.read("0" * 64)


def test_a_local_store_is_its_own_cache_and_a_remote_one_is_fetched_once(tmp_path: Path) -> None:
    local = PictureStore(open_store(str(tmp_path / "store")))
    image_id = local.add(DATA)
    path = local_picture(local.uri_of(image_id), image_id, tmp_path / "cache", PictureReader())
    assert path == tmp_path / "store" / key_of(image_id)
    remote = PictureStore(open_store("memory://fetched-once"))
    remote.add(DATA)
    fetched = local_picture(remote.uri_of(image_id), image_id, tmp_path / "cache", PictureReader())
    assert fetched.read_bytes() == DATA
    assert fetched.is_relative_to(tmp_path / "cache")


def test_adding_again_heals_a_damaged_local_picture(tmp_path: Path) -> None:
    store = PictureStore(open_store(str(tmp_path)))
    image_id = store.add(DATA)
    (tmp_path / key_of(image_id)).write_bytes(DATA[:5])
    assert store.read(store.add(DATA)) == DATA
    assert [path.name for path in (tmp_path / image_id[:2]).iterdir()] == [image_id]


def test_an_object_is_downloaded_piece_by_piece(tmp_path: Path) -> None:
    data = bytes(range(256)) * 80_000
    store = open_store("memory://downloads")
    store.write("a/b", data)
    with (tmp_path / "copy").open("wb") as stream:
        store.download("a/b", stream)
    assert (tmp_path / "copy").read_bytes() == data
    with pytest.raises(NotFoundError), (tmp_path / "other").open("wb") as stream:
        store.download("a/c", stream)
