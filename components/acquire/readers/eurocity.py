"""EuroCity Persons: one JSON a picture, a tree of objects with continuous corners x0 y0 x1 y1 and tags.

Pedestrians count; riders, groups far away, and people sitting, lying or behind glass are ignore regions; depictions are
skipped. The visible ratio is the middle of the band that the occlusion and truncation tags state, the worse of the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from belisha.components.acquire.class_map import Role
from belisha.components.acquire.collector import LabelCollector, RawBox, warn_of_unlabelled
from belisha.components.acquire.label_files import (
    BadLabelError,
    FileListing,
    contains_all,
    list_files,
    mapping,
    number,
    read_json_file,
    required,
    sequence,
    text,
)
from belisha.components.acquire.labels import LabelledPicture, Labels, ReaderOptions
from belisha.components.acquire.picture_index import PictureIndex, open_index
from belisha.components.shared.errors import InputError

_KEYS = (b'"identity"', b'"children"')
_IGNORED_TAGS = ("sitting-lying", "behind-glass")
_DEPICTION = "depiction"
_MAX_DEPTH = 8
# Tags state a lower bound in percent: occluded>10 means 10 to 40 % are hidden.
_VISIBLE_OF_TAG = {"10": 0.75, "40": 0.4, "80": 0.1}
_OWN_ROLES = {
    "pedestrian": Role.PEDESTRIAN,
    "rider": Role.IGNORE,
    "person-group-far-away": Role.IGNORE,
    "rider+vehicle-group-far-away": Role.IGNORE,
    _DEPICTION: Role.DROP,
}


class EuroCityPersonsReader:
    """Reads every label JSON below the root; day or night comes from the path, rain from the picture's tags."""

    name = "eurocity_persons"

    def detect(self, listing: FileListing) -> bool:
        """Whether there is a JSON with identities and children."""
        return any(contains_all(path, _KEYS) for path in listing.with_suffix(".json"))

    def read(self, root: Path, options: ReaderOptions) -> Labels:
        """See `labels.Reader`."""
        listing = list_files(root)
        files = [path for path in listing.with_suffix(".json") if contains_all(path, _KEYS)]
        if not files:
            raise InputError(f"{root} has no EuroCity Persons labels: expected JSON files with identity and children")
        index = open_index(listing, options.images_dir)
        collector = LabelCollector(self.name, options, _OWN_ROLES)
        for path in files:
            with collector.reporting():
                picture = _picture_of(path, listing, index)
                with collector.reporting(picture):
                    _read_file(path, picture, listing, collector)
        labelled = {raw.picture.path for raw in collector.pictures}
        warn_of_unlabelled(collector, [path for path in index.paths if path not in labelled], "label file")
        return collector.finish()


def _picture_of(path: Path, listing: FileListing, index: PictureIndex) -> Path:
    """Day and night use the same names, so a picture of the other time is never taken."""
    name = "/".join((*path.parts[-3:-1], path.stem))
    found = index.find_stem(name, near=path)
    times = {_time_of_day(path, listing.folder), _time_of_day(found, index.folder) if found else ""} - {""}
    if found is None or len(times) > 1:
        return index.missing(f"{path.stem}.png")
    return found


def _time_of_day(path: Path, folder: Path) -> str:
    """`day` or `night` from the folders, the root's own name included; empty when neither or both occur."""
    parts = {folder.name, *path.relative_to(folder).parts} & {"day", "night"}
    return parts.pop() if len(parts) == 1 else ""


def _read_file(path: Path, picture: Path, listing: FileListing, collector: LabelCollector) -> None:
    frame = mapping(read_json_file(path), str(path))
    width, height = (_pixels(frame, key, path.name) for key in ("imagewidth", "imageheight"))
    condition = _time_of_day(path, listing.folder)
    if "rainy" in _tags(frame, path.name):
        condition = "rain" if condition != "night" else "night rain"
    city = path.stem.rpartition("_")[0]
    raw = collector.add(
        LabelledPicture(picture, camera=city, condition=condition, labelled_size_px=(width, height)), (width, height)
    )
    for where, value in _objects(frame, path.name):
        with collector.reporting(picture):
            raw.boxes.append(_box_of(value, where))


def _pixels(frame: dict[str, Any], key: str, where: str) -> int:
    return int(number(required(frame, key, where), f"{where}: {key}"))


def _objects(node: dict[str, Any], where: str, depth: int = 0) -> Iterator[tuple[str, object]]:
    if depth > _MAX_DEPTH:
        raise BadLabelError("too_deep", f"{where}: expected at most {_MAX_DEPTH} levels of children")
    for count, child in enumerate(sequence(node.get("children", []), f"{where}: children")):
        inner = f"{where}: child {count}"
        yield inner, child
        if isinstance(child, dict):
            yield from _objects(child, inner, depth + 1)


def _box_of(value: object, where: str) -> RawBox:
    record = mapping(value, where)
    tags = _tags(record, where)
    left, top, right, bottom = (
        number(required(record, key, where), f"{where}: {key}") for key in ("x0", "y0", "x1", "y1")
    )
    identity = text(required(record, "identity", where), f"{where}: identity")
    return RawBox(
        _DEPICTION if _DEPICTION in tags else identity,
        (left, top, right - left, bottom - top),
        visible_ratio=_visible_ratio(tags),
        ignore_flag=next((tag for tag in _IGNORED_TAGS if tag in tags), ""),
        occlusion=" ".join(tag for tag in tags if tag.startswith(("occluded", "truncated"))),
    )


def _tags(record: dict[str, Any], where: str) -> list[str]:
    tags = sequence(record.get("tags", []), f"{where}: tags")
    return [text(tag, f"{where}: tags") for tag in tags]


def _visible_ratio(tags: list[str]) -> float:
    stated = [tag.partition(">") for tag in tags]
    hidden = [_VISIBLE_OF_TAG.get(bound, 1.0) for kind, _, bound in stated if kind in ("occluded", "truncated")]
    return min(hidden, default=1.0)
