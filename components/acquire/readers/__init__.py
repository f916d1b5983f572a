"""One module a label format; `detect_format` and `reader_named` find the right one."""

from __future__ import annotations

from pathlib import Path

from belisha.components.acquire.label_files import list_files
from belisha.components.acquire.labels import Reader
from belisha.components.acquire.readers.agreement import AgreeingReaders
from belisha.components.acquire.readers.citypersons import CityPersonsReader
from belisha.components.acquire.readers.coco import CocoReader
from belisha.components.acquire.readers.crowdhuman import CrowdHumanReader
from belisha.components.acquire.readers.eurocity import EuroCityPersonsReader
from belisha.components.acquire.readers.mot import MotReader
from belisha.components.acquire.readers.pascal_voc import PascalVocReader
from belisha.components.acquire.readers.penn_fudan import PennFudanReader
from belisha.components.acquire.readers.widerperson import WiderPersonReader
from belisha.components.acquire.readers.yolo import YoloReader
from belisha.components.acquire.readers.yolo_darknet import YoloDarknetReader
from belisha.components.shared.errors import InputError

_READERS: tuple[Reader, ...] = (
    CocoReader(),
    YoloReader(),
    YoloDarknetReader(),
    PascalVocReader(),
    MotReader(),
    CityPersonsReader(),
    CrowdHumanReader(),
    WiderPersonReader(),
    EuroCityPersonsReader(),
    PennFudanReader(),
)
_ALIASES = {"voc": "pascal_voc", "darknet": "yolo_darknet", "motchallenge": "mot", "ecp": "eurocity_persons"}


def format_names() -> tuple[str, ...]:
    """Names of all known formats, in the order in which they are documented."""
    return tuple(reader.name for reader in _READERS)


def reader_named(name: str) -> Reader:
    """The reader of that name; raises InputError listing the known ones."""
    wanted = name.strip().lower().replace("-", "_")
    for reader in _READERS:
        if reader.name == _ALIASES.get(wanted, wanted):
            return reader
    raise InputError(f"{name!r} is not a known label format: expected one of {', '.join(format_names())}")


def detect_format(root: Path) -> Reader:
    """The reader that recognises what lies below `root`; of several, one that demands that all of them agree.

    Raises:
        InputError: `root` does not exist, or no format is recognised.
    """
    listing = list_files(root)
    found = [reader for reader in _READERS if reader.detect(listing)]
    if not found:
        known = ", ".join(format_names())
        raise InputError(f"no label format is recognised in {root}: expected one of {known}; force one with --format")
    return found[0] if len(found) == 1 else AgreeingReaders(found)
