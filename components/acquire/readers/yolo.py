"""YOLO text labels as ultralytics lays them out: `images/…/NAME.jpg` beside `labels/…/NAME.txt`, class names in a YAML.

Boxes are fractions of the upright picture. A picture without label file is background, unless its whole folder has none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from belisha.components.acquire.collector import LabelCollector, read_from_one
from belisha.components.acquire.label_files import FileListing, contains_any, list_files, read_text
from belisha.components.acquire.labels import Labels, ReaderOptions
from belisha.components.acquire.picture_index import open_index
from belisha.components.acquire.readers.yolo_lines import looks_like_labels
from belisha.components.acquire.readers.yolo_pictures import LabelFinder, is_darknet, read_pictures
from belisha.components.shared.errors import InputError

_MAX_YAML_BYTES = 1_000_000
_MAX_FILES_TRIED = 50


class YoloReader:
    """Reads the ultralytics layout, and label files that lie beside their pictures."""

    name = "yolo"

    def detect(self, listing: FileListing) -> bool:
        """Whether a YAML names classes, or text files hold YOLO lines; Darknet's own layout apart."""
        if is_darknet(listing):
            return False
        return bool(_yaml_files(listing)) or any(map(looks_like_labels, listing.with_suffix(".txt")[:_MAX_FILES_TRIED]))

    def read(self, root: Path, options: ReaderOptions) -> Labels:
        """See `labels.Reader`."""
        listing = list_files(_folder_of(root))
        if not listing.with_suffix(".txt") and not _yaml_files(listing):
            raise InputError(
                f"{root} has no YOLO label file: expected labels/NAME.txt or a YAML that names the classes"
            )
        collector = LabelCollector(self.name, options, free_origin=True)
        names, keypoints = _names_of(listing, root, collector)
        index = open_index(listing, options.images_dir)
        read_pictures(index.paths, LabelFinder(listing, index), names, collector, first_five=keypoints)
        return collector.finish(one_based=read_from_one(collector))


def _folder_of(root: Path) -> Path:
    """A YAML given by itself stands for its folder."""
    return root.parent if root.is_file() else root


def _yaml_files(listing: FileListing) -> list[Path]:
    files = listing.with_suffix(".yaml", ".yml")
    return [path for path in files if contains_any(path, (b"names:", b'"names"', b"names :"))]


def _names_of(listing: FileListing, root: Path, collector: LabelCollector) -> tuple[dict[int, str], bool]:
    """Class names by number, and whether the lines carry keypoints after the box."""
    files = [root] if root.is_file() else _yaml_files(listing)
    for path in files:
        document = _read_yaml(path, collector)
        names = _named(document.get("names"))
        if names:
            return names, "kpt_shape" in document
    plain = next((path for path in listing.files if path.name in ("classes.txt", "obj.names")), None)
    if plain is not None:
        with collector.reporting():
            return dict(enumerate(line.strip() for line in read_text(plain).splitlines() if line.strip())), False
    collector.warn("no YAML or classes.txt names the classes, so they are called by number: --map 0=pedestrian")
    return {}, False


def _read_yaml(path: Path, collector: LabelCollector) -> dict[str, Any]:
    with collector.reporting():
        content = read_text(path, limit_bytes=_MAX_YAML_BYTES)
        try:
            document = yaml.safe_load(content)
            return document if isinstance(document, dict) else {}
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            reason = str(error).splitlines()[0]
            collector.refuse("not_yaml", f"{path} is not YAML ({reason}): its class names were not used")
    return {}


def _named(names: object) -> dict[int, str]:
    if isinstance(names, list):
        return {number: str(name) for number, name in enumerate(names)}
    if isinstance(names, dict):
        return {int(key): str(name) for key, name in names.items() if str(key).strip().isdecimal()}
    return {}
