"""Which YOLO label file belongs to which picture, and reading them all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from belisha.components.acquire.collector import LabelCollector, warn_of_unlabelled
from belisha.components.acquire.label_files import (
    FileListing,
    head,
    is_picture,
    read_text,
    upright_size_px,
)
from belisha.components.acquire.labels import LabelledPicture
from belisha.components.acquire.picture_index import PictureIndex
from belisha.components.acquire.readers.yolo_lines import looks_like_labels, parse_line


def is_darknet(listing: FileListing) -> bool:
    """Whether class names stand in a `.names` file beside a `.data` file or a list of pictures."""
    if not listing.with_suffix(".names"):
        return False
    return bool(listing.with_suffix(".data")) or any(map(is_picture_list, listing.with_suffix(".txt")))


def is_picture_list(path: Path) -> bool:
    """Whether the first line of a text file is the name of a picture."""
    lines = head(path).decode("utf-8", errors="replace").splitlines()
    return bool(lines) and is_picture(Path(lines[0].strip()))


class LabelFinder:
    """Finds a picture's label file: in the parallel `labels` folder, beside it, or the only one of that name."""

    def __init__(self, listing: FileListing, index: PictureIndex) -> None:
        self._by_stem: defaultdict[str, list[Path]] = defaultdict(list)
        self._known: set[Path] = set()
        self._folders: set[Path] = set()
        for path in listing.with_suffix(".txt"):
            self._by_stem[path.stem].append(path)
            self._known.add(path)
            self._folders.add(path.parent)
        self._stems: defaultdict[str, int] = defaultdict(int)
        for picture in index.paths:
            self._stems[picture.stem] += 1
        self._used: set[Path] = set()

    def of(self, picture: Path) -> Path | None:
        """The label file of a picture, or None."""
        found = self._find(picture)
        if found is not None:
            self._used.add(found)
        return found

    def in_labelled_folder(self, picture: Path) -> bool:
        """Whether labels of the picture's folder exist at all, or a folder for them does."""
        parallel = _parallel(picture)
        return picture.parent in self._folders or (parallel is not None and parallel.parent.is_dir())

    def unused(self) -> list[Path]:
        """Label files that belong to no picture that was asked for."""
        return sorted(path for path in self._known - self._used if looks_like_labels(path))

    def has_picture(self, label: Path) -> bool:
        """Whether any picture of the label's name exists."""
        return self._stems.get(label.stem, 0) > 0

    def _find(self, picture: Path) -> Path | None:
        parallel = _parallel(picture)
        for path in (parallel, picture.with_suffix(".txt")):
            if path in self._known:
                return path
        if parallel is not None and parallel.parent in self._folders:
            return None
        same = self._by_stem.get(picture.stem, [])
        return same[0] if len(same) == 1 and self._stems[picture.stem] <= 1 else None


def read_pictures(
    pictures: Iterable[Path],
    finder: LabelFinder,
    names: dict[int, str],
    collector: LabelCollector,
    *,
    listed: bool = False,
    first_five: bool = False,
) -> None:
    """Read the labels of these pictures into the collector.

    Args:
        pictures: files that exist, or are reported missing.
        finder: of the source.
        names: class names by number.
        collector: receives everything.
        listed: the source names these pictures one by one, so those without label file are background for sure.
        first_five: see `parse_line`.
    """
    bare: list[Path] = []
    labelled_folders: set[Path] = set()
    for picture in pictures:
        label = finder.of(picture)
        if label is None:
            bare.append(picture)
        else:
            labelled_folders.add(picture.parent)
            with collector.reporting(picture):
                _read_one(picture, label, names, collector, first_five=first_five)
    _add_background(bare, labelled_folders, finder, collector, listed=listed)
    for label in finder.unused():
        if listed and finder.has_picture(label):
            continue  # its picture was left out of the lists, which the reader of the lists reports
        collector.refuse("missing_picture", f"{label} labels a picture that is not there")


def _add_background(
    bare: list[Path], labelled_folders: set[Path], finder: LabelFinder, collector: LabelCollector, *, listed: bool
) -> None:
    unlabelled: list[Path] = []
    for picture in bare:
        if listed or picture.parent in labelled_folders or finder.in_labelled_folder(picture):
            collector.add(LabelledPicture(picture))
        else:
            unlabelled.append(picture)
    warn_of_unlabelled(collector, unlabelled, "label folder")


def _read_one(
    picture: Path, label: Path, names: dict[int, str], collector: LabelCollector, *, first_five: bool
) -> None:
    lines = [line for line in read_text(label).splitlines() if line.strip()]
    size = upright_size_px(picture) if lines else None
    raw = collector.add(LabelledPicture(picture), size)
    for count, line in enumerate(lines, start=1):
        with collector.reporting(picture):
            where = f"{label.name} line {count}"
            raw.boxes.append(parse_line(line, names, size or (1, 1), where, first_five=first_five))


def _parallel(picture: Path) -> Path | None:
    """`…/images/…/NAME.jpg` to `…/labels/…/NAME.txt`, by the last folder called images."""
    parts = list(picture.parts[:-1])
    if "images" not in parts:
        return None
    last = len(parts) - 1 - parts[::-1].index("images")
    parts[last] = "labels"
    return Path(*parts, f"{picture.stem}.txt")
