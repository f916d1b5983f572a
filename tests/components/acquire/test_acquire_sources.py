"""The same pictures from a folder, an archive, a web server, a bucket and the generator."""

from __future__ import annotations

import functools
import http.server
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from belisha.components.acquire import sources
from belisha.components.acquire.options import AcquireOptions
from belisha.components.acquire.sources import name_of, redacted
from belisha.components.shared.errors import InputError, StorageError
from belisha.components.shared.manifest import read_info, read_pictures
from belisha.components.shared.storage import open_store
from tests.components.acquire.ingesting import acquire_quietly, coco_set, files_below, jpeg


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    pictures = {f"{i}.jpg": jpeg(i) for i in range(4)}
    return coco_set(tmp_path / "set", pictures, {"1.jpg": [(1, 2, 30, 40)], "2.jpg": [(50, 20, 30, 60)]})


@pytest.fixture
def expected(labelled: Path, tmp_path: Path) -> str:
    return acquire_quietly([labelled], tmp_path / "expected").digest


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
        pass


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "web").mkdir()
    handler = functools.partial(_QuietHandler, directory=str(tmp_path / "web"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar", "bztar", "xztar"])
def test_archives_give_the_same_dataset_and_leave_nothing(
    kind: str, labelled: Path, expected: str, tmp_path: Path
) -> None:
    archive = shutil.make_archive(str(tmp_path / "packed"), kind, labelled.parent, labelled.name)
    out = tmp_path / "out"
    assert acquire_quietly([archive], out).digest == expected
    assert {path.name for path in out.iterdir()} >= {"dataset.json", "manifest.parquet", "card.html"}
    assert not [path for path in out.iterdir() if path.name.startswith(".")]
    assert {picture.source for picture in read_pictures(out)} == {"packed"}


def test_pictures_of_one_archive_for_labels_of_another(labelled: Path, expected: str, tmp_path: Path) -> None:
    images = shutil.make_archive(str(tmp_path / "images"), "zip", labelled / "images")
    labels = tmp_path / "labels.json"
    shutil.copyfile(labelled / "annotations.json", labels)
    assert acquire_quietly([labels], tmp_path / "out", AcquireOptions(images=images)).digest == expected


def test_a_hostile_archive_leaves_nothing_behind(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as packed:
        packed.writestr("good.txt", "x")
        packed.writestr("../evil.txt", "x")
    with pytest.raises(InputError, match=r"evil.zip has an entry .* leaves its folder"):
        acquire_quietly([tmp_path / "evil.zip"], tmp_path / "out")
    assert files_below(tmp_path) == ["evil.zip"]


def test_a_web_address_is_fetched_whatever_its_name(web: str, labelled: Path, expected: str, tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "packed"), "gztar", labelled)
    shutil.copyfile(archive, tmp_path / "web" / "download")
    out = tmp_path / "out"
    address = f"{web}/download?token=secret"
    assert acquire_quietly([address], out).digest == expected
    assert "secret" not in (out / "dataset.json").read_text() + (out / "card.html").read_text()
    assert read_info(out).details["sources"][0]["uri"] == f"{web}/download"


def test_a_wrong_web_address_is_a_sentence(web: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "web" / "page.html").write_text("<html>")
    with pytest.raises(InputError, match="answers 404"):
        acquire_quietly([f"{web}/nothing.zip"], tmp_path / "out")
    with pytest.raises(InputError, match="is no archive"):
        acquire_quietly([f"{web}/page.html"], tmp_path / "out")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr(sources.time, "sleep", lambda _: None)
    with pytest.raises(StorageError, match="could not be fetched"):
        acquire_quietly([f"http://127.0.0.1:{port}/a.zip"], tmp_path / "out2")


def upload(folder: Path, uri: str) -> None:
    store = open_store(uri)
    for name in files_below(folder):
        store.write(name, (folder / name).read_bytes())


@pytest.mark.parametrize("scheme", ["memory", "s3"])
def test_buckets_as_source_and_store(
    scheme: str, labelled: Path, expected: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    root = request.getfixturevalue("s3_uri") if scheme == "s3" else f"memory://{tmp_path.name}"
    upload(labelled, f"{root}/prefix/set")
    archive = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", labelled))
    open_store(f"{root}/archives").write("packed.zip", archive.read_bytes())
    for index, source in enumerate([f"{root}/prefix/set", f"{root}/prefix/set/", f"{root}/archives/packed.zip"]):
        out = tmp_path / f"out{index}"
        assert acquire_quietly([source], out, pictures=f"{root}/pictures").digest == expected
        assert not (out / "pictures").exists()
    picture = read_pictures(tmp_path / "out0")[0]
    assert picture.uri == f"{root}/pictures/{picture.image_id[:2]}/{picture.image_id}"
    with pytest.raises(InputError, match="nothing lies at"):
        acquire_quietly([f"{root}/empty/prefix"], tmp_path / "none")


def test_the_generator_is_a_source_like_others(tmp_path: Path) -> None:
    uri = "synthetic://streets?pictures=6&seed=3&conditions=day,night&width=320&height=192"
    first, second = (acquire_quietly([uri], tmp_path / name) for name in ("a", "b"))
    assert first.digest == second.digest
    assert first.images == 6
    assert {picture.condition for picture in read_pictures(tmp_path / "a")} <= {"day", "night"}
    assert all(picture.condition for picture in read_pictures(tmp_path / "a"))


NAMES = {
    "/data/coco128/": "coco128",
    "/data/set.tar.gz": "set",
    "s3://bucket/a/b.zip": "b",
    "s3://bucket": "bucket",
    "https://user:pw@host/x/y.tgz?sig=1": "y",
    "synthetic://streets?pictures=3": "synthetic-streets",
}


@pytest.mark.parametrize(("uri", "name"), NAMES.items())
def test_names_of_sources(uri: str, name: str) -> None:
    assert name_of(uri) == name


def test_secrets_in_addresses_are_not_recorded() -> None:
    assert redacted("https://user:pw@host:8080/x/y.tgz?sig=1#f") == "https://host:8080/x/y.tgz"
    assert redacted("/data/set?x") == "/data/set?x"
