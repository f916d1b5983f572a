"""Files that are either whole or absent: written aside, then renamed; and JSON that is the same for the same content."""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from belisha.components.shared.errors import ContractError


def write_bytes_atomic(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that a reader, or a kill at any moment, sees the old file or the whole new one.

    The file's permissions are those that the process's umask asks for.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = _aside_of(path)
    try:
        with aside.open("xb") as stream:
            stream.write(data)
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def directory_aside(path: Path) -> Iterator[Path]:
    """Yield an empty directory beside `path` that takes its place when the block ends well, and vanishes when not.

    An existing `path` is replaced as a whole: what a killed or retried run left there never mixes with the new content.
    """
    path = path.absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = _aside_of(path)
    aside.mkdir()
    try:
        yield aside
        _put_in_place(aside, path)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _put_in_place(aside: Path, path: Path) -> None:
    """Rename `aside` to `path`; what stood there is moved away first, so that the gap is one rename long."""
    old = _aside_of(path)
    with contextlib.suppress(FileNotFoundError):
        path.rename(old)
    aside.rename(path)
    if old.is_dir() and not old.is_symlink():
        shutil.rmtree(old)
    else:
        old.unlink(missing_ok=True)


def _aside_of(path: Path) -> Path:
    """A name in the same folder that nobody else uses; cut, for names have at most 255 bytes."""
    return path.with_name(f".{path.name[:50]}.{secrets.token_hex(8)}")


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys and no spaces: the form that digests are taken of. NaN and infinity are refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON atomically. NaN and infinity are refused, for KFP and browsers cannot read them."""
    write_bytes_atomic(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def read_json(path: Path, *, schema: str) -> dict[str, Any]:
    """Read a versioned JSON file.

    Args:
        path: the file.
        schema: the value its key `schema` must have, e.g. `belisha.dataset/1`.

    Raises:
        ContractError: the file is missing, is no JSON object, or has another schema.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ContractError(f"{path} does not exist: give the folder that the step before has written") from None
    except OSError as error:
        raise ContractError(
            f"{path} cannot be read ({error.strerror}): give the folder that the step before has written"
        ) from None
    return parse_json(data, str(path), schema=schema)


def parse_json(data: bytes, where: str, *, schema: str) -> dict[str, Any]:
    """Read versioned JSON that lies at `where`, a path or address for people; raises ContractError as `read_json` does."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ContractError(f"{where} is not readable as JSON ({error}): write it again with the step before") from None
    found = value.get("schema") if isinstance(value, dict) else None
    if found != schema:
        raise ContractError(
            f"{where} has schema {found!r} but this version reads {schema!r}: write it again, or use the version that wrote it"
        )
    return dict(value)


def sha256_hex(data: bytes) -> str:
    """SHA-256 of bytes as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file's bytes as 64 hexadecimal digits, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
