"""Archives from anybody: what is whole comes out, what is hostile is refused and leaves nothing outside its folder."""

from __future__ import annotations

import contextlib
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from belisha.components.acquire.archives import ArchiveLimits, archive_stem, extract, is_archive
from belisha.components.shared.errors import InputError
from belisha.components.shared.progress import silent
from tests.components.acquire.ingesting import files_below

CONTENT = {"a/one.jpg": b"1" * 3000, "a/b/two.txt": b"two", "three": b""}
TAR_MODES = {"t.tar": "w:", "t.tar.gz": "w:gz", "t.tgz": "w:gz", "t.tar.bz2": "w:bz2", "t.tar.xz": "w:xz"}


def write_zip(path: Path, content: dict[str, bytes], change: Callable[[zipfile.ZipInfo], None] | None = None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in content.items():
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            if change:
                change(entry)
            packed.writestr(entry, data)
    return path


def write_tar(path: Path, content: dict[str, bytes], mode: str = "w:gz", *extra: tarfile.TarInfo) -> Path:
    with tarfile.open(path, mode) as packed:  # type: ignore[call-overload]
        for name, data in content.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            packed.addfile(entry, io.BytesIO(data))
        for entry in extra:
            packed.addfile(entry)
    return path


def special(kind: bytes, name: str = "link", target: str = "../../outside") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


def unpack(archive: Path, target: Path, limits: ArchiveLimits | None = None) -> dict[str, bytes]:
    target.mkdir()
    extract(archive, target, limits or ArchiveLimits(), silent)
    return {name: (target / name).read_bytes() for name in files_below(target)}


@pytest.mark.parametrize("name", ["t.zip", *TAR_MODES])
def test_every_kind_comes_out_whole(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    archive = write_zip(path, CONTENT) if name == "t.zip" else write_tar(path, CONTENT, TAR_MODES[name])
    assert is_archive(archive)
    assert unpack(archive, tmp_path / "out") == CONTENT
    assert archive_stem(name) == "t"


def test_helper_files_of_other_systems_are_left_out(tmp_path: Path) -> None:
    noise = {"__MACOSX/a/._one.jpg": b"x", "a/._one.jpg": b"x"}
    for archive in (write_zip(tmp_path / "a.zip", CONTENT | noise), write_tar(tmp_path / "a.tar", noise | CONTENT)):
        assert unpack(archive, tmp_path / f"out{archive.suffix}") == CONTENT


def test_backslashes_of_windows_zips_are_folders(tmp_path: Path) -> None:
    assert unpack(write_zip(tmp_path / "a.zip", {"a\\b.jpg": b"x"}), tmp_path / "out") == {"a/b.jpg": b"x"}


def as_link(entry: zipfile.ZipInfo) -> None:
    entry.create_system, entry.external_attr = 3, (stat.S_IFLNK | 0o777) << 16


def write_header_bomb(path: Path) -> Path:
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as packed:
        entry = tarfile.TarInfo("a")
        entry.pax_headers = {"comment": "x" * 20_000_000}
        packed.addfile(entry)
    return path


ZEROS = bytes(40_000_000)
HOSTILE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "zip: parent folder": (lambda path: write_zip(path, {"../evil": b"x"}), "leaves its folder"),
    "zip: parent folder in the middle": (lambda path: write_zip(path, {"a/../../evil": b"x"}), "leaves its folder"),
    "zip: parent folder with backslashes": (lambda path: write_zip(path, {"..\\evil": b"x"}), "leaves its folder"),
    "zip: absolute": (lambda path: write_zip(path, {"/tmp/evil": b"x"}), "leaves its folder"),
    "zip: drive": (lambda path: write_zip(path, {"C:\\evil": b"x"}), "leaves its folder"),
    "zip: symbolic link": (lambda path: write_zip(path, {"a": b"/etc/passwd"}, as_link), "link or device"),
    "zip: bomb": (lambda path: write_zip(path, {"a": ZEROS}), "unpacks to more than"),
    "zip: too many": (lambda path: write_zip(path, {str(i): b"" for i in range(60)}), "more than 50 entries"),
    "zip: damaged": (lambda path: cut(write_zip(path, {"a": bytes(range(256)) * 9}), 30, 60), "cannot be unpacked"),
    "tar: parent folder": (lambda path: write_tar(path, {"../evil": b"x"}), "leaves its folder"),
    "tar: absolute": (lambda path: write_tar(path, {"/tmp/evil": b"x"}), "leaves its folder"),
    "tar: symbolic link": (lambda path: write_tar(path, {}, "w:", special(tarfile.SYMTYPE)), "link, device"),
    "tar: hard link": (lambda path: write_tar(path, CONTENT, "w:", special(tarfile.LNKTYPE)), "link, device"),
    "tar: device": (lambda path: write_tar(path, {}, "w:", special(tarfile.CHRTYPE)), "link, device"),
    "tar: pipe": (lambda path: write_tar(path, {}, "w:", special(tarfile.FIFOTYPE)), "link, device"),
    "tar: bomb": (lambda path: write_tar(path, {"a": ZEROS}), "unpacks to more than"),
    "tar: bomb of bzip2": (lambda path: write_tar(path, {"a": ZEROS}, "w:bz2"), "unpacks to more than"),
    "tar: header bomb": (write_header_bomb, "header of many megabytes"),
    "tar: too many": (lambda path: write_tar(path, {str(i): b"" for i in range(60)}), "more than 50 entries"),
    "tar: cut": (lambda path: cut(write_tar(path, {"a": bytes(range(256)) * 999}), 300, None), "cannot be unpacked"),
}


def cut(path: Path, start: int, end: int | None) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[:start] + (data[end:] if end else b""))
    return path


@pytest.mark.parametrize(("make", "message"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_archives_are_refused_in_a_sentence(make: Callable[[Path], Path], message: str, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    archive = make(inner / "archive")
    limits = ArchiveLimits(max_entries=50, free_bytes=1_000_000)
    with pytest.raises(InputError, match=message):
        unpack(archive, inner / "out", limits)
    assert {path.name for path in tmp_path.iterdir()} == {"inner"}
    assert {path.name for path in inner.iterdir()} <= {"archive", "out"}
    assert sum(path.stat().st_size for path in (inner / "out").rglob("*")) < 4_000_000


def test_an_encrypted_zip_is_a_sentence(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"a": b"x"})
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.rfind(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"encrypted|password"):
        unpack(path, tmp_path / "out")


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_flipped_bytes_come_out_inside_or_are_a_sentence(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("flipped")
    archive = write_zip(folder / "a", CONTENT) if data.draw(st.booleans()) else write_tar(folder / "a", CONTENT)
    content = bytearray(archive.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    archive.write_bytes(content)
    with contextlib.suppress(InputError):
        unpack(archive, folder / "out")
    assert {path.name for path in folder.iterdir()} == {"a", "out"}
