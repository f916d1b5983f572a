"""CityPersons in both JSON forms: the flat one its evaluation uses, and one `*_gtBboxCityPersons.json` a picture.

Only pedestrians count; riders, sitting and other people, groups and ignore regions are ignore regions. Boxes are
[x, y, width, height] from 0 and reach beyond the border; visible boxes give the visible ratio.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from belisha.components.acquire.class_map import Role
from belisha.components.acquire.collector import LabelCollector, RawBox, warn_of_unlabelled
from belisha.components.acquire.label_files import (
    FileListing,
    contains_all,
    four_numbers,
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
from belisha.components.acquire.readers.coco import is_citypersons_evaluation, read_coco_files
from belisha.components.shared.errors import InputError

_SUFFIX = "_gtBboxCityPersons.json"
_PICTURE_SUFFIX = "_leftImg8bit"
_OWN_ROLES = {
    "pedestrian": Role.PEDESTRIAN,
    "rider": Role.IGNORE,
    "sitting person": Role.IGNORE,
    "other person": Role.IGNORE,
    "person (other)": Role.IGNORE,
    "people group": Role.IGNORE,
    "person group": Role.IGNORE,
    "ignore region": Role.IGNORE,
    "ignore": Role.IGNORE,
}


class CityPersonsReader:
    """Reads the per-picture files where there are some, else the flat form."""

    name = "citypersons"

    def detect(self, listing: FileListing) -> bool:
        """Whether one of the two forms is there."""
        return any(_is_per_picture(path) or is_citypersons_evaluation(path) for path in listing.with_suffix(".json"))

    def read(self, root: Path, options: ReaderOptions) -> Labels:
        """See `labels.Reader`."""
        listing = list_files(root)
        index = open_index(listing, options.images_dir)
        collector = LabelCollector(self.name, options, _OWN_ROLES)
        single = [path for path in listing.with_suffix(".json") if _is_per_picture(path)]
        flat = [path for path in listing.with_suffix(".json") if is_citypersons_evaluation(path)]
        if not single and not flat:
            raise InputError(f"{root} has no CityPersons labels: expected *{_SUFFIX} or the evaluation's JSON")
        if single:
            _read_single(single, index, collector)
        else:
            read_coco_files(flat, index, collector)
        for raw in collector.pictures:
            raw.picture = _with_place(raw.picture)
        return collector.finish()


def _is_per_picture(path: Path) -> bool:
    return path.name.endswith(_SUFFIX) or contains_all(path, (b'"bboxVis"', b'"objects"'))


def _with_place(picture: LabelledPicture) -> LabelledPicture:
    """Cityscapes names are CITY_SEQUENCE_FRAME_leftImg8bit."""
    parts = picture.path.stem.removesuffix(_PICTURE_SUFFIX).split("_")
    if len(parts) != 3:
        return picture
    return replace(picture, camera=picture.camera or parts[0], group_id=picture.group_id or f"{parts[0]}_{parts[1]}")


def _read_single(files: list[Path], index: PictureIndex, collector: LabelCollector) -> None:
    for path in files:
        with collector.reporting():
            name = path.name.removesuffix(".json").removesuffix("_gtBboxCityPersons") + _PICTURE_SUFFIX
            found = index.find_stem(name, near=path) or index.missing(f"{name}.png")
            with collector.reporting(found):
                _read_one(path, found, collector)
    labelled = {raw.picture.path for raw in collector.pictures}
    unlabelled = [path for path in index.paths if path.stem.endswith(_PICTURE_SUFFIX) and path not in labelled]
    warn_of_unlabelled(collector, unlabelled, f"*{_SUFFIX}")


def _read_one(path: Path, picture: Path, collector: LabelCollector) -> None:
    document = mapping(read_json_file(path), str(path))
    size = tuple(
        int(number(required(document, key, path.name), f"{path.name}: {key}")) for key in ("imgWidth", "imgHeight")
    )
    objects = sequence(required(document, "objects", path.name), f"{path.name}: objects")
    raw = collector.add(LabelledPicture(picture, labelled_size_px=(size[0], size[1])))
    for count, value in enumerate(objects):
        with collector.reporting(picture):
            raw.boxes.append(_box_of(value, f"{path.name}: object {count}"))


def _box_of(value: object, where: str) -> RawBox:
    record: dict[str, Any] = mapping(value, where)
    visible = record.get("bboxVis")
    return RawBox(
        text(required(record, "label", where), f"{where}: label"),
        four_numbers(required(record, "bbox", where), f"{where}: bbox"),
        visible_xywh_px=None if visible is None else four_numbers(visible, f"{where}: bboxVis"),
    )
