"""YOLO text labels as Darknet lays them out: `obj.data`, `obj.names`, a list of pictures, labels beside the pictures."""

from __future__ import annotations

import re
from pathlib import Path

from belisha.components.acquire.collector import LabelCollector, read_from_one, warn_of_unlabelled
from belisha.components.acquire.label_files import FileListing, list_files, read_text
from belisha.components.acquire.labels import Labels, ReaderOptions
from belisha.components.acquire.picture_index import PictureIndex, open_index
from belisha.components.acquire.readers.yolo_pictures import LabelFinder, is_darknet, is_picture_list, read_pictures
from belisha.components.shared.errors import InputError

_NAMES_KEY = re.compile(r"^\s*names\s*=\s*(\S+)", re.MULTILINE)


class YoloDarknetReader:
    """Reads the pictures that the lists name; without a list, every picture."""

    name = "yolo_darknet"

    def detect(self, listing: FileListing) -> bool:
        """Whether `.names` and `.data` files, or `.names` and a list of pictures, are there."""
        return is_darknet(listing)

    def read(self, root: Path, options: ReaderOptions) -> Labels:
        """See `labels.Reader`."""
        listing = list_files(root.parent if root.is_file() else root)
        if not listing.with_suffix(".names"):
            raise InputError(f"{root} has no .names file with the classes: check the folder or the format")
        collector = LabelCollector(self.name, options, free_origin=True)
        index = open_index(listing, options.images_dir)
        names = _names_of(listing, collector)
        pictures = _listed_pictures(listing, index, collector)
        if pictures:
            left_out = set(index.paths).difference(pictures)
            warn_of_unlabelled(collector, sorted(left_out), "line in a list of pictures")
        read_pictures(pictures or index.paths, LabelFinder(listing, index), names, collector, listed=bool(pictures))
        return collector.finish(one_based=read_from_one(collector))


def _names_of(listing: FileListing, collector: LabelCollector) -> dict[int, str]:
    """The file that a `.data` file names, else the first `.names`."""
    wanted = ""
    for path in listing.with_suffix(".data"):
        with collector.reporting():
            stated = _NAMES_KEY.search(read_text(path))
            wanted = Path(stated[1]).name if stated else wanted
    files = listing.with_suffix(".names")
    chosen = next((path for path in files if path.name == wanted), files[0])
    with collector.reporting():
        return dict(enumerate(line.strip() for line in read_text(chosen).splitlines() if line.strip()))
    return {}


def _listed_pictures(listing: FileListing, index: PictureIndex, collector: LabelCollector) -> tuple[Path, ...]:
    found: dict[Path, None] = {}
    for path in listing.with_suffix(".txt"):
        if is_picture_list(path):
            with collector.reporting():
                for line in read_text(path).splitlines():
                    _add_listed(line, path, index, collector, found)
    return tuple(found)


def _add_listed(line: str, path: Path, index: PictureIndex, collector: LabelCollector, found: dict[Path, None]) -> None:
    if line.strip():
        with collector.reporting():
            found[index.find_or_missing(line, near=path)] = None
