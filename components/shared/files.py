"""Files that are either whole or absent: written aside, then renamed; and JSON that is the same for the same content."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from belisha.components.shared.errors import ContractError


def write_bytes_atomic(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that a reader, or a kill at any moment, sees the old file or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
        Path(aside).chmod(0o644)
        Path(aside).replace(path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def directory_aside(path: Path) -> Iterator[Path]:
    """Yield an empty directory beside `path` that takes its place when the block ends well, and vanishes when not.

    An existing `path` is replaced as a whole: what a killed or retried run left there never mixes with the new content.
    """
    path = path.absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    aside.chmod(0o755)
    try:
        yield aside
        if path.exists():
            shutil.rmtree(path)
        aside.rename(path)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


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
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ContractError(f"{path} does not exist: give the folder that the step before has written") from None
    except (OSError, ValueError) as error:
        raise ContractError(f"{path} is not readable as JSON ({error}): write it again with the step before") from None
    found = value.get("schema") if isinstance(value, dict) else None
    if found != schema:
        raise ContractError(
            f"{path} has schema {found!r} but this version reads {schema!r}: write it again, or use the version that wrote it"
        )
    return dict(value)


def sha256_hex(data: bytes) -> str:
    """SHA-256 of bytes as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file's bytes as 64 hexadecimal digits, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
