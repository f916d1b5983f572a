"""Versions are whole, immutable and registered once, on every backend and under races and kills."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import pytest

from belisha.components.shared.errors import ContractError, DigestError, InputError, StorageError
from belisha.components.shared.model_artifact import read_model_info
from belisha.components.shared.registry import ModelVersion, Registry, fetch_model, open_registry
from belisha.components.shared.storage import ObjectStore, join_uri, open_store
from tests.release_folders import Folders, add_to, write_folders

SCRIPT = """
import sys
from pathlib import Path
from belisha.components.shared.registry import open_registry
from tests.release_folders import add_to, written_folders
for folder in sys.argv[2:]:
    add_to(open_registry(sys.argv[1]), written_folders(Path(folder)), Path(folder).name)
"""


def add(storage_uri: str, folders: Folders, run_id: str) -> ModelVersion:
    return add_to(open_registry(storage_uri), folders, run_id)


@pytest.fixture(params=["file", "memory", "s3"])
def storage_uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "s3":
        return f"{request.getfixturevalue('s3_uri')}/belisha"
    return str(tmp_path / "störage") if request.param == "file" else f"memory://{uuid.uuid4().hex}"


def test_registers_and_fetches(storage_uri: str, tmp_path: Path) -> None:
    folders = write_folders(tmp_path / "a")
    version = add(storage_uri, folders, "run-a")
    assert version.version == "v1"
    assert {"model/model.onnx", "model/model.json", "evaluation/report.html", "decision/decision.json"} <= set(
        version.files
    )
    fetched = fetch_model(storage_uri, "v1", tmp_path / "cache")
    assert fetched == tmp_path / "cache" / folders.model_digest
    assert read_model_info(fetched).digest == folders.model_digest
    assert open_registry(storage_uri).versions() == [version]


def test_versions_count_up_and_the_same_run_counts_once(storage_uri: str, tmp_path: Path) -> None:
    first, second = write_folders(tmp_path / "a"), write_folders(tmp_path / "b", gain=0.5)
    names = [add(storage_uri, folders, run).version for folders, run in ((first, "r1"), (second, "r2"), (first, "r1"))]
    assert names == ["v1", "v2", "v1"]
    assert add(storage_uri, first, "r3").version == "v3"
    assert [version.run_id for version in open_registry(storage_uri).versions()] == ["r1", "r2", "r3"]


class FailingStore:
    """A store that fails at the n-th create, as a network or a kill does."""

    def __init__(self, store: ObjectStore, creates: int) -> None:
        self._store, self._left = store, creates

    def create(self, key: str, data: bytes) -> None:
        if self._left == 0:
            raise StorageError("the network is gone")
        self._left -= 1
        self._store.create(key, data)

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)


@pytest.mark.parametrize("creates", range(6))
def test_an_interrupted_upload_is_invisible_and_goes_on_in_its_version(creates: int, tmp_path: Path) -> None:
    folders, other = write_folders(tmp_path / "a"), write_folders(tmp_path / "b", gain=0.5)
    store = open_store(join_uri(str(tmp_path / "storage"), "registry"))
    with pytest.raises(StorageError):
        add_to(Registry(FailingStore(store, creates)), folders, "r")  # type: ignore[arg-type]
    registry = Registry(store)
    assert registry.versions() == []
    after = add_to(registry, other, "other").version
    assert after == ("v1" if creates == 0 else "v2")
    assert add_to(registry, folders, "r").version == ("v2" if creates == 0 else "v1")


def test_an_interrupted_upload_with_other_evidence_takes_a_new_version(tmp_path: Path) -> None:
    folders = write_folders(tmp_path / "a")
    store = open_store(join_uri(str(tmp_path / "storage"), "registry"))
    with pytest.raises(StorageError):
        add_to(Registry(FailingStore(store, 3)), folders, "r")  # type: ignore[arg-type]
    (folders.evaluation / "report.html").write_text("measured again")
    version = add_to(Registry(store), folders, "r")
    assert version.version == "v2"
    assert Registry(store).read_file(version, "evaluation/report.html") == b"measured again"


def test_threads_racing_for_versions_get_one_each(tmp_path: Path) -> None:
    uri, count = f"memory://{uuid.uuid4().hex}", 12
    folders = [write_folders(tmp_path / str(index), gain=1 + index) for index in range(count)]
    threads = [
        threading.Thread(target=add, args=(uri, folders[index % count], f"r{index % count}"))
        for index in range(2 * count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    versions = open_registry(uri).versions()
    assert sorted(version.run_id for version in versions) == sorted(f"r{index}" for index in range(count))


@pytest.mark.parametrize("backend", ["file", "s3"])
def test_processes_racing_for_versions_get_one_each(
    backend: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    uri = str(tmp_path / "storage") if backend == "file" else request.getfixturevalue("s3_uri")
    root = Path(__file__).parents[3]
    folders = [[str(tmp_path / f"{writer}-{number}") for number in range(3)] for writer in range(4)]
    for index, folder in enumerate(itertools.chain(*folders)):
        write_folders(Path(folder), gain=1 + index)
    writers = [subprocess.Popen([sys.executable, "-c", SCRIPT, uri, *mine], cwd=root) for mine in folders]
    assert [writer.wait(timeout=100) for writer in writers] == [0] * 4
    versions = open_registry(uri).versions()
    assert [version.version for version in versions] == [f"v{number}" for number in range(1, 13)]
    for version in versions:
        assert fetch_model(uri, version.version, tmp_path / "cache").name == version.model_digest


@pytest.mark.parametrize("name", ["v2", "v0", "v01", "", "../v1", "v1/../v1", "latest"])
def test_an_unknown_version_names_the_known_ones(name: str, tmp_path: Path) -> None:
    add(str(tmp_path / "s"), write_folders(tmp_path / "a"), "r")
    with pytest.raises(InputError, match="give one of v1"):
        fetch_model(str(tmp_path / "s"), name, tmp_path / "cache")


def test_no_registry_is_told_and_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no registry at"):
        fetch_model(str(tmp_path / "typo"), "v1", tmp_path / "cache")
    assert not (tmp_path / "typo").exists()


def test_a_damaged_stored_model_is_not_used(tmp_path: Path) -> None:
    add(str(tmp_path / "s"), write_folders(tmp_path / "a"), "r")
    path = tmp_path / "s/registry/models/v1/model/model.onnx"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DigestError, match="is not what was registered"):
        fetch_model(str(tmp_path / "s"), "v1", tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_damaged_cache_is_fetched_again(tmp_path: Path) -> None:
    add(str(tmp_path / "s"), write_folders(tmp_path / "a"), "r")
    folder = fetch_model(str(tmp_path / "s"), "v1", tmp_path / "cache")
    (folder / "model.onnx").write_bytes(b"rot")
    assert read_model_info(fetch_model(str(tmp_path / "s"), "v1", tmp_path / "cache"))


def test_a_cached_model_is_not_fetched_again(tmp_path: Path) -> None:
    add(str(tmp_path / "s"), write_folders(tmp_path / "a"), "r")
    folder = fetch_model(str(tmp_path / "s"), "v1", tmp_path / "cache")
    (tmp_path / "s/registry/models/v1/model/model.onnx").unlink()
    assert fetch_model(str(tmp_path / "s"), "v1", tmp_path / "cache") == folder


@pytest.mark.parametrize("name", ["model/../../../evil", "model//etc/passwd"])
def test_a_hostile_manifest_writes_nothing_outside(name: str, tmp_path: Path) -> None:
    add(str(tmp_path / "s"), write_folders(tmp_path / "a"), "r")
    path = tmp_path / "s/registry/models/v1/version.json"
    path.write_text(path.read_text().replace("model/model.onnx", name))
    with pytest.raises(ContractError, match="outside its folder"):
        fetch_model(str(tmp_path / "s"), "v1", tmp_path / "cache")


@pytest.mark.parametrize(
    "damage", [b"", b"{}", b'{"schema": "belisha.version/1", "x": 1}', b'{"schema": "belisha.version/2"}']
)
def test_a_damaged_manifest_is_told(damage: bytes, tmp_path: Path) -> None:
    add(str(tmp_path / "s"), write_folders(tmp_path / "a"), "r")
    (tmp_path / "s/registry/models/v1/version.json").write_bytes(damage)
    with pytest.raises(ContractError, match=r"v1/version\.json"):
        open_registry(str(tmp_path / "s")).versions()
