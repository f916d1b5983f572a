"""Whole or absent, and readable by whom the umask says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from belisha.components.shared.errors import ContractError
from belisha.components.shared.files import (
    canonical_json,
    directory_aside,
    parse_json,
    read_json,
    sha256_hex,
    sha256_of_file,
    write_bytes_atomic,
    write_json,
)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "größe.bin"
    write_bytes_atomic(path, b"one")
    write_bytes_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert names_in(path.parent) == [path.name]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_follow_the_umask(umask: int, mode: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        write_bytes_atomic(tmp_path / "file", b"1")
        with directory_aside(tmp_path / "folder") as aside:
            (aside / "inner").write_bytes(b"1")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode
    assert (tmp_path / "folder").stat().st_mode & 0o777 == mode | (mode >> 2 & 0o111)


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.mkdir()
    (path / "inner").write_bytes(b"1")
    with pytest.raises(OSError, match="directory"):
        write_bytes_atomic(path, b"new")
    assert names_in(tmp_path) == ["file"]


def test_long_names_fit(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 120)
    write_bytes_atomic(path, b"1")
    assert path.read_bytes() == b"1"


@pytest.mark.parametrize("before", ["nothing", "folder", "file", "link"])
def test_a_folder_takes_the_place_of_what_was_there(before: str, tmp_path: Path) -> None:
    path, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").write_bytes(b"1")
    if before == "folder":
        path.mkdir()
        (path / "old").write_bytes(b"1")
    elif before == "file":
        path.write_bytes(b"1")
    elif before == "link":
        path.symlink_to(elsewhere)
    with directory_aside(path) as aside:
        (aside / "new").write_bytes(b"2")
    assert names_in(path) == ["new"] and not path.is_symlink()
    assert (elsewhere / "kept").exists()
    assert names_in(tmp_path) == ["elsewhere", "out"]


def test_a_failed_block_leaves_the_old_folder(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.mkdir()
    (path / "old").write_bytes(b"1")
    with pytest.raises(RuntimeError, match="stop"), directory_aside(path) as aside:
        (aside / "new").write_bytes(b"2")
        raise RuntimeError("stop")
    assert names_in(path) == ["old"] and names_in(tmp_path) == ["out"]


def test_json_round_trips(tmp_path: Path) -> None:
    value = {"schema": "s/1", "ü": [1, 2.5, None, True, "\u2028"], "nested": {}}
    write_json(tmp_path / "f.json", value)
    assert read_json(tmp_path / "f.json", schema="s/1") == value


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_json_refuses_what_kfp_cannot_read(number: float, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "f.json", {"n": number})
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json([number])
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    ("case", "data", "message"),
    [
        ("empty", b"", "not readable as JSON"),
        ("half", b'{"schema"', "not readable as JSON"),
        ("binary", b"\xff\xfe\x00", "not readable as JSON"),
        ("bottomless", b"[" * 100_000, "not readable as JSON"),
        ("a list", b"[]", "has schema None"),
        ("no schema", b"{}", "has schema None"),
        ("another", b'{"schema": "s/2"}', "has schema 's/2' but this version reads 's/1'"),
    ],
)
def test_damaged_json_is_a_sentence(case: str, data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "f.json").write_bytes(data)
    with pytest.raises(ContractError, match=message):
        read_json(tmp_path / "f.json", schema="s/1")
    with pytest.raises(ContractError, match=message):
        parse_json(data, "s3://b/f.json", schema="s/1")


def test_a_missing_file_and_a_folder_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="does not exist"):
        read_json(tmp_path / "f.json", schema="s/1")
    with pytest.raises(ContractError, match="cannot be read"):
        read_json(tmp_path, schema="s/1")


def test_canonical_json_and_digests(tmp_path: Path) -> None:
    assert canonical_json({"b": 1, "a": "ü"}) == canonical_json({"a": "ü", "b": 1})
    (tmp_path / "f").write_bytes(b"abc")
    assert sha256_of_file(tmp_path / "f") == sha256_hex(b"abc")
