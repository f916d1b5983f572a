"""One module a label format; `detect_format` and `reader_named` find the right one."""

from __future__ import annotations

from pathlib import Path

from belisha.components.acquire.labels import Reader
from belisha.components.shared.errors import InputError

_READERS: tuple[Reader, ...] = ()


def format_names() -> tuple[str, ...]:
    """Names of all known formats, in the order in which they are documented."""
    return tuple(reader.name for reader in _READERS)


def reader_named(name: str) -> Reader:
    """The reader of that name; raises InputError listing the known ones."""
    for reader in _READERS:
        if reader.name == name.strip().lower().replace("-", "_"):
            return reader
    raise InputError(f"{name!r} is not a known label format: expected one of {', '.join(format_names())}")


def detect_format(root: Path) -> Reader:
    """The one reader that recognises what lies below `root`.

    Raises:
        InputError: `root` does not exist, no format is recognised, or several are.
    """
    if not root.exists():
        raise InputError(f"{root} does not exist: give a folder of labelled pictures, or a label file")
    found = [reader for reader in _READERS if reader.detect(root)]
    if len(found) == 1:
        return found[0]
    known = ", ".join(format_names())
    if not found:
        raise InputError(f"no label format is recognised in {root}: expected one of {known}; force one with --format")
    names = ", ".join(reader.name for reader in found)
    raise InputError(
        f"{root} holds labels of several formats ({names}): choose one with --format, or give its own folder"
    )
