"""COCO detection JSON: `images`, `annotations` with [x, y, width, height] from 0, `categories`.

Extra keys are honoured where they occur: `ignore`, `vis_bbox`, `vis_ratio`, `annotator`, CVAT's `attributes`, and on images
`camera`, `condition`, `group_id`, `captured_at`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from belisha.components.acquire.collector import LabelCollector, RawBox, RawPicture, read_from_one, warn_of_unlabelled
from belisha.components.acquire.label_files import (
    BadLabelError,
    FileListing,
    contains_all,
    contains_any,
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
from belisha.components.acquire.readers.fields import moment, optional_text
from belisha.components.shared.errors import InputError

_KEYS = (b'"images"', b'"annotations"')
_DETECTION_KEYS = (b'"bbox"', b'"categories"')
_OTHER_TASKS = (b'"segments_info"',)
_CITYPERSONS_KEYS = (b'"vis_bbox"', b'"vis_ratio"', b'"ignore"', b'"im_name"')


def is_coco(path: Path) -> bool:
    """Whether a JSON file is COCO detection ground truth."""
    return contains_all(path, _KEYS) and contains_any(path, _DETECTION_KEYS) and not contains_any(path, _OTHER_TASKS)


def is_citypersons_evaluation(path: Path) -> bool:
    """Whether a COCO file is of the form that the CityPersons evaluation uses."""
    return contains_all(path, _KEYS + _CITYPERSONS_KEYS)


class CocoReader:
    """Reads every detection JSON below the root; `instances_*.json` alone where such files exist."""

    name = "coco"

    def detect(self, listing: FileListing) -> bool:
        """Whether a JSON file with images and their boxes is there, CityPersons' own form apart."""
        return any(is_coco(path) and not is_citypersons_evaluation(path) for path in listing.with_suffix(".json"))

    def read(self, root: Path, options: ReaderOptions) -> Labels:
        """See `labels.Reader`."""
        listing = list_files(root)
        files = [path for path in listing.with_suffix(".json") if is_coco(path)]
        if listing.root.is_file():
            files = [listing.root]
        if not files:
            raise InputError(f"{root} has no COCO JSON with images and annotations: check the folder or the format")
        instances = [path for path in files if path.name.startswith("instances")]
        collector = LabelCollector(self.name, options, free_origin=True)
        index = open_index(listing, options.images_dir)
        read_coco_files(instances or files, index, collector)
        labelled = {raw.picture.path for raw in collector.pictures}
        warn_of_unlabelled(collector, [path for path in index.paths if path not in labelled], "entry in the labels")
        return collector.finish(one_based=read_from_one(collector))


def read_coco_files(files: Iterable[Path], index: PictureIndex, collector: LabelCollector) -> None:
    """Read COCO files into the collector, each fault a refusal."""
    for path in files:
        with collector.reporting():
            _CocoFile(path, index, collector).read()


class _CocoFile:
    def __init__(self, path: Path, index: PictureIndex, collector: LabelCollector) -> None:
        self.path = path
        self.index = index
        self.collector = collector
        self.pictures: dict[int | str, RawPicture] = {}
        self.classes: dict[int | str, str] = {}
        self.licences: dict[int | str, str] = {}

    def read(self) -> None:
        document = mapping(read_json_file(self.path), str(self.path))
        images = sequence(required(document, "images", str(self.path)), f"{self.path}: images")
        annotations = sequence(required(document, "annotations", str(self.path)), f"{self.path}: annotations")
        self.classes = self._named(document.get("categories", []), "categories")
        self.licences = self._named(document.get("licenses") or [], "licenses", optional=True)
        for number_, image in enumerate(images):
            with self.collector.reporting():
                self._read_image(image, f"{self.path.name}: image {number_}")
        for number_, annotation in enumerate(annotations):
            self._read_annotation(annotation, f"{self.path.name}: annotation {number_}")

    def _named(self, records: object, what: str, *, optional: bool = False) -> dict[int | str, str]:
        names: dict[int | str, str] = {}
        for record in sequence(records, f"{self.path}: {what}"):
            with self.collector.reporting():
                where = f"{self.path.name}: {what}"
                fields = mapping(record, where)
                name = optional_text(fields.get("name")) if optional else text(required(fields, "name", where), where)
                names[_key(required(fields, "id", where), where)] = name
        return names

    def _read_image(self, value: object, where: str) -> None:
        image = mapping(value, where)
        key = _key(required(image, "id", where), where)
        name = text(image.get("file_name", image.get("im_name")), f"{where}: file_name")
        path = self.index.find_or_missing(name, near=self.path)
        if key in self.pictures:
            for unsure in {self.pictures[key].picture.path, path}:
                self.collector.refuse("repeated_id", f"{where}: the id {key!r} stands twice: number it anew", unsure)
            return
        size = _size_of(image)
        picture = LabelledPicture(
            path,
            camera=optional_text(image.get("camera")),
            condition=optional_text(image.get("condition")),
            captured_at=moment(image.get("captured_at") or image.get("date_captured")),
            group_id=optional_text(image.get("group_id")),
            licence=self.licences.get(image.get("license", ""), "") if _is_key(image.get("license")) else "",
            labelled_size_px=size,
        )
        self.pictures[key] = self.collector.add(picture, size)

    def _read_annotation(self, value: object, where: str) -> None:
        raw: RawPicture | None = None
        try:
            annotation = mapping(value, where)
            image_id = _key(required(annotation, "image_id", where), where)
            raw = self.pictures.get(image_id)
            if raw is None:
                raise BadLabelError("unknown_picture", f"{where}: its image_id {image_id!r} is no picture of this file")
            raw.boxes.append(self._box_of(annotation, where))
        except BadLabelError as bad:
            self.collector.refuse(bad.reason, str(bad), raw.picture.path if raw else None)

    def _box_of(self, annotation: dict[str, Any], where: str) -> RawBox:
        category = _key(required(annotation, "category_id", where), where)
        if category not in self.classes:
            raise BadLabelError("unknown_class", f"{where}: its category_id {category!r} is no category of this file")
        visible = annotation.get("vis_bbox")
        ratio = annotation.get("vis_ratio")
        return RawBox(
            self.classes[category],
            four_numbers(required(annotation, "bbox", where), f"{where}: bbox"),
            visible_xywh_px=None if visible is None else four_numbers(visible, f"{where}: vis_bbox"),
            visible_ratio=None if ratio is None else number(ratio, f"{where}: vis_ratio"),
            ignore_flag=_ignore_flag(annotation),
            occlusion=_occlusion(annotation),
            annotator=optional_text(annotation.get("annotator")),
        )


def _ignore_flag(annotation: dict[str, Any]) -> str:
    return next((key for key in ("iscrowd", "ignore") if annotation.get(key)), "")


def _occlusion(annotation: dict[str, Any]) -> str:
    attributes = annotation.get("attributes")
    source = {**annotation, **attributes} if isinstance(attributes, dict) else annotation
    stated = source.get("occlusion")
    if isinstance(stated, str):
        return stated
    return " ".join(key for key in ("truncated", "occluded") if source.get(key) in (True, 1, "true", "1"))


def _size_of(image: dict[str, Any]) -> tuple[int, int] | None:
    width, height = image.get("width"), image.get("height")
    known = all(isinstance(value, int) and not isinstance(value, bool) and value > 0 for value in (width, height))
    return (int(str(width)), int(str(height))) if known else None


def _is_key(value: object) -> bool:
    return isinstance(value, int | str)


def _key(value: object, where: str) -> int | str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise BadLabelError(
            "wrong_type", f"{where}: expected an id that is a number or text, got {type(value).__name__}"
        )
    return value
