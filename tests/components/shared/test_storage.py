"""The same promises on a folder, in memory and on S3."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from belisha.components.shared.errors import AlreadyExistsError, InputError, NotFoundError, StorageError
from belisha.components.shared.storage import ObjectStore, join_uri, local_path, open_store, scheme_of

BACKENDS = ("file", "memory", "s3")


@pytest.fixture(params=BACKENDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    uris = {"file": lambda: str(tmp_path / "störe"), "memory": lambda: f"memory://{uuid.uuid4().hex}"}
    uri = uris.get(request.param, lambda: f"{request.getfixturevalue('s3_uri')}/pre fix/ü")()
    return open_store(uri)


def test_reads_what_was_written(store: ObjectStore) -> None:
    store.write("a/b", b"one")
    store.write("a/b", b"two")
    assert store.read("a/b") == b"two"
    assert store.exists("a/b") and not store.exists("a/c")


def test_creates_once(store: ObjectStore) -> None:
    store.create("a/b", b"first")
    with pytest.raises(AlreadyExistsError, match="exists already"):
        store.create("a/b", b"second")
    assert store.read("a/b") == b"first"


def test_creates_large_objects_once(store: ObjectStore) -> None:
    data = os.urandom(12_000_000)
    store.create("big", data)
    with pytest.raises(AlreadyExistsError):
        store.create("big", b"other")
    assert store.read("big") == data


def test_missing_object_is_a_sentence(store: ObjectStore) -> None:
    with pytest.raises(NotFoundError, match="does not exist: check the address"):
        store.read("nowhere")


@pytest.mark.parametrize(
    "key",
    [
        "with space/ü ö.json",
        "percent%20",
        "hash#tag",
        "plus+and&",
        "question?",
        "emoji😀",
        "..two",
        "x" * 200,
        "deep/" * 30 + "k",
    ],
)
def test_keys_with_odd_characters_round_trip(store: ObjectStore, key: str) -> None:
    store.create(key, b"1")
    assert store.read(key) == b"1"
    assert list(store.list("")) == [key]


@pytest.mark.parametrize("key", ["../outside", "a//b", "./a", "a/../b"])
def test_keys_that_leave_the_store_are_refused(store: ObjectStore, key: str) -> None:
    with pytest.raises(InputError, match="cannot be the name of an object"):
        store.write(key, b"1")


def test_lists_below_a_folder_in_order(store: ObjectStore) -> None:
    for key in ("m/v10/a", "m/v2/b", "m/v2/a", "mx/other", "m/top"):
        store.write(key, b"1")
    assert list(store.list("m")) == ["m/top", "m/v10/a", "m/v2/a", "m/v2/b"]
    assert list(store.list("m/", after="m/v10/a")) == ["m/v2/a", "m/v2/b"]
    assert list(store.folders("m")) == ["v10", "v2"]
    assert list(store.list("none")) == [] and list(store.folders("none")) == []


def test_lists_thousands(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    for number in range(2500):
        (tmp_path / f"{number:08d}.json").write_bytes(b"1")
    assert len(list(store.list(""))) == 2500
    assert list(store.list("", after="00002497.json")) == ["00002498.json", "00002499.json"]


def test_local_files_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        open_store(str(tmp_path / "store")).create("a/b", b"1")
    finally:
        os.umask(before)
    assert (tmp_path / "store/a/b").stat().st_mode & 0o777 == 0o640


def test_what_a_killed_writer_leaves_is_not_listed(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    (tmp_path / "ledger").mkdir()
    (tmp_path / "ledger" / "00000001.json#1").write_bytes(b'{"half')
    assert list(store.list("ledger")) == []
    store.create("ledger/00000001.json", b"whole")
    assert store.read("ledger/00000001.json") == b"whole"


def test_unwritable_folder_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a file where a folder should be")
    with pytest.raises(StorageError, match="could not be written"):
        open_store(str(tmp_path)).write("a/b", b"1")


def test_missing_bucket_is_a_sentence(s3_uri: str) -> None:
    with pytest.raises(StorageError, match="missing-bucket"):
        open_store("s3://missing-bucket").write("k", b"1")


def test_unreachable_endpoint_is_a_sentence(s3_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StorageError, match="check the address, the credentials and the network"):
        open_store(s3_uri).read("k")


@pytest.mark.parametrize("uri", ["ftp://host/x", "s3n://bucket", "://x"])
def test_unknown_schemes_are_refused(uri: str) -> None:
    with pytest.raises(InputError, match="which is not one of"):
        scheme_of(uri)


def test_uris(tmp_path: Path) -> None:
    assert join_uri("s3://b/p/", "registry", "x") == "s3://b/p/registry/x"
    assert join_uri(str(tmp_path), "registry") == f"file://{tmp_path}/registry"
    assert local_path(f"file://{tmp_path}") == tmp_path


def test_use_after_a_fork_is_refused_where_it_might_wait_for_ever(tmp_path: Path) -> None:
    """obstore's threads stay behind in the process that forks; one that has only opened a store may fork."""
    code = """
import os, sys
from belisha.components.shared.errors import StorageError
from belisha.components.shared.storage import open_store
store = open_store(sys.argv[1])
if sys.argv[2] == "used":
    store.write("before", b"1")
if os.fork() == 0:
    try:
        store.write("after", b"2")
    except StorageError as error:
        print(error, flush=True)
    os._exit(0)
os.wait()
"""
    for way in ("used", "opened"):
        done = subprocess.run(
            [sys.executable, "-c", code, tmp_path / way, way], capture_output=True, text=True, timeout=30
        )
        assert not done.stderr
        assert ("fork first" in done.stdout) == (way == "used")
        assert (tmp_path / way / "after").exists() == (way == "opened")
