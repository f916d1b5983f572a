"""WiderPerson: `Annotations/NAME.jpg.txt`, first the number of boxes, then `class x1 y1 x2 y2` with width = x2 - x1.

Pedestrians and partially visible people count; riders, ignore regions and crowds are ignore regions.
"""

from __future__ import annotations

from pathlib import Path

from belisha.components.acquire.class_map import Role
from belisha.components.acquire.collector import LabelCollector, RawBox, warn_of_unlabelled
from belisha.components.acquire.label_files import BadLabelError, FileListing, is_picture, list_files, number, read_text
from belisha.components.acquire.labels import LabelledPicture, Labels, ReaderOptions
from belisha.components.acquire.picture_index import open_index
from belisha.components.shared.errors import InputError

PARTIALLY_VISIBLE = "partially visible person"
CLASSES = {"1": "pedestrian", "2": "rider", "3": PARTIALLY_VISIBLE, "4": "ignore region", "5": "crowd"}
_OWN_ROLES = {
    "pedestrian": Role.PEDESTRIAN,
    "rider": Role.IGNORE,
    PARTIALLY_VISIBLE: Role.PEDESTRIAN,
    "ignore region": Role.IGNORE,
    "crowd": Role.IGNORE,
}


class WiderPersonReader:
    """Reads every `NAME.jpg.txt`; pictures without one (the test part) are left out."""

    name = "widerperson"

    def detect(self, listing: FileListing) -> bool:
        """Whether label files are called like a picture plus `.txt`."""
        return any(_is_label(path) for path in listing.files)

    def read(self, root: Path, options: ReaderOptions) -> Labels:
        """See `labels.Reader`."""
        listing = list_files(root)
        files = [path for path in listing.files if _is_label(path)]
        if not files:
            raise InputError(f"{root} has no WiderPerson labels: expected Annotations/NAME.jpg.txt")
        index = open_index(listing, options.images_dir)
        collector = LabelCollector(self.name, options, _OWN_ROLES)
        for path in files:
            with collector.reporting():
                _read_file(path, index.find_or_missing(path.stem, near=path), collector)
        labelled = {raw.picture.path for raw in collector.pictures}
        warn_of_unlabelled(collector, [path for path in index.paths if path not in labelled], "annotation file")
        return collector.finish()


def _is_label(path: Path) -> bool:
    return path.suffix.lower() == ".txt" and is_picture(Path(path.stem))


def _read_file(path: Path, picture: Path, collector: LabelCollector) -> None:
    raw = collector.add(LabelledPicture(picture))
    with collector.reporting(picture):
        lines = [line.split() for line in read_text(path).splitlines() if line.strip()]
        stated = lines[0] if lines else []
        if len(stated) != 1 or number(stated[0], f"{path.name}: first line") != len(lines) - 1:
            raise BadLabelError(
                "wrong_count",
                f"{path.name}: expected the number of boxes and as many lines, got {len(lines) - 1} lines",
            )
        for count, fields in enumerate(lines[1:], start=2):
            with collector.reporting(picture):
                raw.boxes.append(_box_of(fields, f"{path.name} line {count}"))


def _box_of(fields: list[str], where: str) -> RawBox:
    if len(fields) != 5 or fields[0] not in CLASSES:
        raise BadLabelError("wrong_line", f"{where}: expected a class 1 to 5 and x1 y1 x2 y2")
    left, top, right, bottom = (number(field, where) for field in fields[1:])
    name = CLASSES[fields[0]]
    occlusion = "partially visible" if name == PARTIALLY_VISIBLE else ""
    return RawBox(name, (left, top, right - left, bottom - top), occlusion=occlusion)
