"""Reading label files of unknown origin: bounded, and every fault one sentence with a short reason for counting."""

from __future__ import annotations

import json
import math
import mmap
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from belisha.components.shared.errors import InputError
from belisha.components.shared.images import FORMATS

PICTURE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".dib", ".mpo", ".tif", ".tiff", ".gif", ".ppm", ".pgm"}
)
MAX_TEXT_BYTES = 64_000_000
MAX_JSON_BYTES = 1_500_000_000
# No camera has a million pixels in a row; beyond it, areas lose their meaning.
MAX_COORDINATE_PX = 1_000_000.0
_ORIENTATION_TAG = 0x0112
_SIDEWAYS = (5, 6, 7, 8)
_SKIPPED_FOLDERS = frozenset({"__MACOSX"})


class BadLabelError(InputError):
    """One label that cannot be used; `reason` is a short stable word for counting."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class FileListing:
    """All regular files below a folder, ordered; or the one file that was given."""

    root: Path
    files: tuple[Path, ...]

    @property
    def folder(self) -> Path:
        """The folder that relative names start from."""
        return self.root if self.root.is_dir() else self.root.parent

    def with_suffix(self, *suffixes: str) -> list[Path]:
        """Files with one of these suffixes, lower case with the dot."""
        return [path for path in self.files if path.suffix.lower() in suffixes]


def list_files(root: Path) -> FileListing:
    """List a folder (links followed, loops not, hidden files left out); a file is a listing of one.

    Raises:
        InputError: `root` does not exist.
    """
    if root.is_file():
        return FileListing(root, (root,))
    if not root.is_dir():
        raise InputError(f"{root} does not exist: give a folder of labelled pictures, or a label file")
    return FileListing(root, tuple(sorted(_walk(root))))


def _walk(root: Path) -> Iterator[Path]:
    seen: set[str] = set()
    for folder, folders, names in os.walk(root, followlinks=True, onerror=_refuse_folder):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _SKIPPED_FOLDERS)
        yield from (path for name in names if not name.startswith(".") and (path := Path(folder, name)).is_file())


def _refuse_folder(error: OSError) -> None:
    raise InputError(f"the folder {error.filename} cannot be read ({error.strerror}): allow it, or leave it out")


def is_picture(path: Path) -> bool:
    """Whether the name is that of a picture, whatever the content."""
    return path.suffix.lower() in PICTURE_SUFFIXES


def read_bytes(path: Path, limit_bytes: int = MAX_TEXT_BYTES) -> bytes:
    """Read a file of at most `limit_bytes`; raises BadLabelError `too_large` or `unreadable`."""
    try:
        size = path.stat().st_size
        if size > limit_bytes:
            raise BadLabelError("too_large", f"{path} has {size} bytes but {limit_bytes} are allowed: split it")
        return path.read_bytes()
    except OSError as error:
        raise BadLabelError("unreadable", f"{path} cannot be read ({error.strerror})") from None


def read_text(path: Path, *, encoding: str = "utf-8-sig", limit_bytes: int = MAX_TEXT_BYTES) -> str:
    """Read a text file; raises BadLabelError, also `not_utf8` (or the encoding asked for)."""
    try:
        return read_bytes(path, limit_bytes).decode(encoding)
    except UnicodeDecodeError as error:
        raise BadLabelError(
            "not_utf8", f"{path} is not text in {encoding} (byte {error.start}): save it as UTF-8"
        ) from None


def parse_json(data: bytes | str, where: str) -> Any:
    """Parse JSON; raises BadLabelError `not_json`, also for absurdly deep nesting."""
    try:
        return json.loads(data)
    except UnicodeDecodeError as error:
        raise BadLabelError("not_utf8", f"{where} is not UTF-8 (byte {error.start}): save it as UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise BadLabelError("not_json", f"{where} is not JSON ({error})") from None


def read_json_file(path: Path) -> Any:
    """Read a JSON label file; raises BadLabelError."""
    return parse_json(read_bytes(path, MAX_JSON_BYTES), str(path))


def contains_all(path: Path, words: Sequence[bytes]) -> bool:
    """Whether a file holds all these byte strings, without reading it into memory; False when it cannot be read."""
    return _search(path, lambda view: all(view.find(word) >= 0 for word in words))


def contains_any(path: Path, words: Sequence[bytes]) -> bool:
    """Whether a file holds one of these byte strings; False when it cannot be read."""
    return _search(path, lambda view: any(view.find(word) >= 0 for word in words))


def _search(path: Path, found: Callable[[mmap.mmap], bool]) -> bool:
    try:
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as view:
            return found(view)
    except (OSError, ValueError):
        return False


def head(path: Path, limit_bytes: int = 4096) -> bytes:
    """The first bytes of a file; empty when it cannot be read."""
    try:
        with path.open("rb") as stream:
            return stream.read(limit_bytes)
    except OSError:
        return b""


def mapping(value: object, what: str) -> dict[str, Any]:
    """`value` as a JSON object; raises BadLabelError `wrong_type`."""
    if not isinstance(value, dict):
        raise BadLabelError("wrong_type", f"{what}: expected a JSON object, got {_shown(value)}")
    return value


def sequence(value: object, what: str) -> list[Any]:
    """`value` as a JSON list; raises BadLabelError `wrong_type`."""
    if not isinstance(value, list):
        raise BadLabelError("wrong_type", f"{what}: expected a list, got {_shown(value)}")
    return value


def text(value: object, what: str) -> str:
    """`value` as a string that is not empty; raises BadLabelError `wrong_type`."""
    if not isinstance(value, str) or not value.strip():
        raise BadLabelError("wrong_type", f"{what}: expected text, got {_shown(value)}")
    return value.strip()


def required(record: dict[str, Any], key: str, what: str) -> Any:
    """`record[key]`; raises BadLabelError `missing_key`."""
    if key not in record:
        raise BadLabelError("missing_key", f"{what}: expected the key {key!r}")
    return record[key]


def number(value: object, what: str) -> float:
    """`value` (a number or its text) as a finite float; raises BadLabelError `not_a_number` or `out_of_range`."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise BadLabelError("not_a_number", f"{what}: expected a number, got {_shown(value)}")
    try:
        if (
            isinstance(value, str) and "_" in value
        ):  # float() takes 2008_000001, the name of a VOC picture, for a number
            raise ValueError
        found = float(value)
    except (ValueError, OverflowError):
        raise BadLabelError("not_a_number", f"{what}: expected a number, got {_shown(value)}") from None
    if not math.isfinite(found):
        raise BadLabelError("not_a_number", f"{what}: expected a finite number, got {_shown(value)}")
    if abs(found) > MAX_COORDINATE_PX:
        raise BadLabelError("out_of_range", f"{what}: expected at most {MAX_COORDINATE_PX:.0f}, got {found:g}")
    return found


def four_numbers(value: object, what: str) -> tuple[float, float, float, float]:
    """`value` as four finite numbers; raises BadLabelError."""
    if not isinstance(value, list | tuple) or len(value) != 4:
        raise BadLabelError("wrong_type", f"{what}: expected four numbers, got {_shown(value)}")
    first, second, third, fourth = value
    if all(type(item) in (float, int) and -MAX_COORDINATE_PX < item < MAX_COORDINATE_PX for item in value):
        return float(first), float(second), float(third), float(fourth)
    return number(first, what), number(second, what), number(third, what), number(fourth, what)


def _shown(value: object) -> str:
    """A hostile value, short enough to print."""
    try:
        shown = repr(value)
    except (ValueError, RecursionError):
        return f"a {type(value).__name__}"
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def upright_size_px(path: Path) -> tuple[int, int]:
    """Width and height after EXIF orientation, from the header alone.

    Raises:
        BadLabelError: `missing_picture` or `unreadable_picture`.
    """
    from PIL import Image

    try:
        with Image.open(path, formats=FORMATS) as picture:
            width, height = picture.size
            orientation = picture.getexif().get(_ORIENTATION_TAG, 1) if _may_have_exif(picture, path) else 1
    except FileNotFoundError:
        raise BadLabelError("missing_picture", f"{path} does not exist, so its relative boxes have no size") from None
    except Exception as error:  # noqa: BLE001 - decoders raise whatever they like on hostile bytes
        kind = type(error).__name__
        raise BadLabelError("unreadable_picture", f"{path} is no picture that can be read ({kind})") from None
    return (height, width) if orientation in _SIDEWAYS else (width, height)


def _may_have_exif(picture: Any, path: Path) -> bool:
    """PNG alone decodes the whole picture when asked for EXIF; so ask only where there may be some."""
    if picture.format != "PNG":
        return True
    known = ("exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp")
    return any(key in picture.info for key in known) or contains_any(path, (b"eXIf",))
