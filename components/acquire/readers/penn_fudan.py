"""Penn-Fudan (and INRIA, which has the same grammar): "PASCAL Annotation 1.00" text, latin-1.

The header says where pixels begin: (1, 1) means inclusive corners counted from 1, (0, 0) corners as written.
Heavily occluded people are not labelled at all in this data set.
"""

from __future__ import annotations

import re
from pathlib import Path

from belisha.components.acquire.collector import LabelCollector, RawBox, warn_of_unlabelled
from belisha.components.acquire.label_files import BadLabelError, FileListing, head, list_files, number, read_text
from belisha.components.acquire.labels import LabelledPicture, Labels, ReaderOptions
from belisha.components.acquire.picture_index import PictureIndex, open_index
from belisha.components.shared.errors import InputError

_PIXEL = r"\(\s*(-?\d+)\s*,\s*(-?\d+)\s*\)"
_IMAGE = re.compile(r'Image filename\s*:\s*"([^"\n]+)"')
_SIZE = re.compile(r"Image size[^:\n]*:\s*(\d{1,7})\s*x\s*(\d{1,7})")
_OBJECTS = re.compile(r"Objects with ground truth\s*:\s*(\d{1,9})")
_ORIGIN = re.compile(rf"Top left pixel co-ordinates\s*:\s*{_PIXEL}")
_BOX_START = "Bounding box for object"
_BOX = re.compile(rf'Bounding box for object \d+ "([^"\n]*)"[^:\n]*:\s*{_PIXEL}\s*-\s*{_PIXEL}')
_MARK = b"PASCAL Annotation"


class PennFudanReader:
    """Reads every annotation text below the root."""

    name = "penn_fudan"

    def detect(self, listing: FileListing) -> bool:
        """Whether a text file names itself a PASCAL annotation."""
        return any(_MARK in head(path) for path in listing.with_suffix(".txt"))

    def read(self, root: Path, options: ReaderOptions) -> Labels:
        """See `labels.Reader`."""
        listing = list_files(root)
        files = [path for path in listing.with_suffix(".txt") if _MARK in head(path)]
        if not files:
            raise InputError(f"{root} has no Penn-Fudan labels: expected text files headed PASCAL Annotation")
        index = open_index(listing, options.images_dir)
        collector = LabelCollector(self.name, options)
        for path in files:
            with collector.reporting():
                _read_file(path, index, collector)
        labelled = {raw.picture.path for raw in collector.pictures}
        warn_of_unlabelled(collector, [path for path in index.paths if path not in labelled], "annotation file")
        return collector.finish()


def _read_file(path: Path, index: PictureIndex, collector: LabelCollector) -> None:
    content = read_text(path, encoding="latin-1")
    named = _IMAGE.search(content)
    picture = index.find_or_missing(named[1] if named else f"{path.stem}.png", near=path)
    size = _SIZE.search(content)
    size_px = (int(size[1]), int(size[2])) if size else None
    raw = collector.add(LabelledPicture(picture, labelled_size_px=size_px), size_px)
    with collector.reporting(picture):
        shift = _first_pixel(content, path.name)
        boxes = [line for line in content.splitlines() if line.strip().startswith(_BOX_START)]
        stated = _OBJECTS.search(content)
        if stated is None or int(stated[1]) != len(boxes):
            wanted = stated[1] if stated else "a number of"
            raise BadLabelError("wrong_count", f"{path.name}: expected {wanted} bounding boxes, got {len(boxes)}")
        for line in boxes:
            with collector.reporting(picture):
                raw.boxes.append(_box_of(line, shift, path.name))


def _first_pixel(content: str, where: str) -> int:
    found = _ORIGIN.search(content)
    if found is None or found[1] != found[2] or found[1] not in ("0", "1"):
        raise BadLabelError("unknown_origin", f"{where}: expected top left pixel co-ordinates (1, 1) or (0, 0)")
    return int(found[1])


def _box_of(line: str, shift: int, where: str) -> RawBox:
    found = _BOX.search(line)
    if found is None:
        raise BadLabelError("wrong_line", f"{where}: expected (Xmin, Ymin) - (Xmax, Ymax), got {line.strip()[:80]!r}")
    left, top, right, bottom = (number(value, where) for value in found.groups()[1:])
    return RawBox(found[1], (left - shift, top - shift, right - left + shift, bottom - top + shift))
