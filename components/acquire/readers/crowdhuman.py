"""CrowdHuman `.odgt`: one JSON record a line; full boxes from 0 that reach beyond the border, visible boxes beside.

The tag `mask` and `extra.ignore` are ignore regions. Keys may be missing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from belisha.components.acquire.class_map import Role
from belisha.components.acquire.collector import LabelCollector, RawBox, warn_of_unlabelled
from belisha.components.acquire.label_files import (
    MAX_JSON_BYTES,
    FileListing,
    four_numbers,
    list_files,
    mapping,
    parse_json,
    read_bytes,
    required,
    sequence,
    text,
)
from belisha.components.acquire.labels import LabelledPicture, Labels, ReaderOptions
from belisha.components.acquire.picture_index import PictureIndex, open_index
from belisha.components.acquire.readers.fields import optional_text
from belisha.components.shared.errors import InputError

_OWN_ROLES = {"person": Role.PEDESTRIAN, "mask": Role.IGNORE}


class CrowdHumanReader:
    """Reads every `.odgt` file below the root."""

    name = "crowdhuman"

    def detect(self, listing: FileListing) -> bool:
        """Whether there is an `.odgt` file."""
        return bool(listing.with_suffix(".odgt"))

    def read(self, root: Path, options: ReaderOptions) -> Labels:
        """See `labels.Reader`."""
        listing = list_files(root)
        files = [listing.root] if listing.root.is_file() else listing.with_suffix(".odgt")
        if not files:
            raise InputError(f"{root} has no .odgt file: check the folder or the format")
        index = open_index(listing, options.images_dir)
        collector = LabelCollector(self.name, options, _OWN_ROLES)
        for path in files:
            with collector.reporting():
                _read_file(path, index, collector)
        labelled = {raw.picture.path for raw in collector.pictures}
        warn_of_unlabelled(collector, [path for path in index.paths if path not in labelled], "line in the labels")
        return collector.finish()


def _read_file(path: Path, index: PictureIndex, collector: LabelCollector) -> None:
    for count, line in enumerate(read_bytes(path, MAX_JSON_BYTES).splitlines(), start=1):
        if line.strip():
            with collector.reporting():
                _read_record(line, f"{path.name} line {count}", path, index, collector)


def _read_record(line: bytes, where: str, path: Path, index: PictureIndex, collector: LabelCollector) -> None:
    record = mapping(parse_json(line, where), where)
    name = text(required(record, "ID", where), f"{where}: ID")
    picture = index.find_stem(name, near=path) or index.missing(f"{name}.jpg")
    raw = collector.add(LabelledPicture(picture))
    with collector.reporting(picture):
        for count, value in enumerate(sequence(record.get("gtboxes", []), f"{where}: gtboxes")):
            with collector.reporting(picture):
                raw.boxes.append(_box_of(value, f"{where}: box {count}"))


def _box_of(value: object, where: str) -> RawBox:
    record = mapping(value, where)
    extra: dict[str, Any] = mapping(record.get("extra", {}), f"{where}: extra")
    visible = record.get("vbox")
    return RawBox(
        text(required(record, "tag", where), f"{where}: tag"),
        four_numbers(required(record, "fbox", where), f"{where}: fbox"),
        visible_xywh_px=None if visible is None else four_numbers(visible, f"{where}: vbox"),
        ignore_flag="extra.ignore" if extra.get("ignore") else "",
        occlusion=optional_text(extra.get("occ")),
    )
