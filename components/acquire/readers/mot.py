"""MOTChallenge: `SEQUENCE/gt/gt.txt` with `frame,id,x,y,width,height,flag,class,visibility`; the top left pixel is 1,1.

A pedestrian is a row with flag 1 and class 1. People on vehicles, static people, distractors, reflections and rows the
benchmark itself does not count are ignore regions; cars, bicycles and occluders are dropped. Only frames on disk matter.
"""

from __future__ import annotations

import configparser
import csv
import io
from collections import defaultdict
from pathlib import Path

from belisha.components.acquire.class_map import Role
from belisha.components.acquire.collector import LabelCollector, RawBox, RawPicture
from belisha.components.acquire.label_files import BadLabelError, FileListing, is_picture, list_files, number, read_text
from belisha.components.acquire.labels import LabelledPicture, Labels, ReaderOptions
from belisha.components.shared.errors import InputError

CLASSES = {
    1: "pedestrian",
    2: "person on vehicle",
    3: "car",
    4: "bicycle",
    5: "motorbike",
    6: "non motorized vehicle",
    7: "static person",
    8: "distractor",
    9: "occluder",
    10: "occluder on the ground",
    11: "occluder full",
    12: "reflection",
    13: "crowd",
    -1: "pedestrian",  # MOT15 has no classes: every row is a person
}
_IGNORED = ("person on vehicle", "static person", "distractor", "reflection", "crowd")
_OWN_ROLES = {"pedestrian": Role.PEDESTRIAN, **dict.fromkeys(_IGNORED, Role.IGNORE)}
_CONDITIONS_FILE = "conditions.csv"


class MotReader:
    """Reads every sequence below the root; sequences without `gt` (test parts) are left out."""

    name = "mot"

    def detect(self, listing: FileListing) -> bool:
        """Whether there is a `gt/gt.txt` of comma-separated rows."""
        return any(_is_truth(path) for path in listing.files)

    def read(self, root: Path, options: ReaderOptions) -> Labels:
        """See `labels.Reader`."""
        listing = list_files(root)
        truths = [path for path in listing.files if _is_truth(path)]
        if not truths:
            raise InputError(f"{root} has no MOTChallenge sequence: expected SEQUENCE/gt/gt.txt")
        collector = LabelCollector(self.name, options, _OWN_ROLES)
        conditions = _read_conditions(listing, collector)
        frames = _Frames(listing, options.images_dir)
        for truth in truths:
            _read_sequence(truth.parent.parent, frames, conditions, collector)
        _warn_of_untruthed(listing, truths, collector)
        return collector.finish()


def _is_truth(path: Path) -> bool:
    return path.name == "gt.txt" and path.parent.name == "gt"


def _read_sequence(folder: Path, frames: _Frames, conditions: dict[str, str], collector: LabelCollector) -> None:
    name, size, image_folder = _sequence_info(folder, collector)
    pictures: dict[int, RawPicture] = {}
    for frame, path in sorted(frames.of(folder, image_folder).items()):
        condition = conditions.get(name, "")
        picture = LabelledPicture(path, camera=name, condition=condition, group_id=name, labelled_size_px=size)
        pictures[frame] = collector.add(picture, size)
    if not pictures:
        collector.warn(f"sequence {name} has labels but no picture: say with --images where its frames lie")
    with collector.reporting():
        try:
            rows = list(csv.reader(io.StringIO(read_text(folder / "gt" / "gt.txt"))))
        except csv.Error as error:
            raise BadLabelError(
                "not_csv", f"{folder / 'gt' / 'gt.txt'} is not comma-separated text ({error})"
            ) from None
        _read_rows(rows, f"{name}/gt/gt.txt", pictures, collector)
        return
    _mark_all(pictures, f"{name}: its gt.txt could not be read", collector)


def _mark_all(pictures: dict[int, RawPicture], sentence: str, collector: LabelCollector) -> None:
    for raw in pictures.values():
        collector.refuse("no_labels", sentence, raw.picture.path)


def _read_rows(rows: list[list[str]], where: str, pictures: dict[int, RawPicture], collector: LabelCollector) -> None:
    absent: defaultdict[int, int] = defaultdict(int)
    for count, fields in enumerate(rows, start=1):
        if not any(field.strip() for field in fields):
            continue
        at = f"{where} line {count}"
        picture: Path | None = None
        try:
            frame = _frame_number(fields, at)
            if frame not in pictures:
                absent[frame] += 1
                continue
            picture = pictures[frame].picture.path
            pictures[frame].boxes.append(_box_of(fields, at))
        except BadLabelError as bad:
            collector.refuse(bad.reason, str(bad), picture)
    if absent and pictures:
        collector.warn(
            f"{where}: {sum(absent.values())} rows of {len(absent)} frames have no picture and were left out"
        )


def _frame_number(fields: list[str], where: str) -> int:
    if len(fields) < 7:
        raise BadLabelError(
            "wrong_line", f"{where}: expected frame,id,x,y,width,height,flag,…, got {len(fields)} fields"
        )
    frame = number(fields[0], f"{where}: frame")
    if frame != int(frame):
        raise BadLabelError("not_a_number", f"{where}: expected a whole frame number, got {frame:g}")
    return int(frame)


def _box_of(fields: list[str], where: str) -> RawBox:
    x, y, width, height, flag = (number(field, where) for field in fields[2:7])
    kind = int(number(fields[7], f"{where}: class")) if len(fields) > 7 else -1
    if kind not in CLASSES:
        raise BadLabelError("unknown_class", f"{where}: expected a class 1 to 13, got {kind}")
    has_visibility = len(fields) == 9 and kind != -1
    return RawBox(
        CLASSES[kind],
        (x - 1.0, y - 1.0, width, height),
        visible_ratio=number(fields[8], f"{where}: visibility") if has_visibility else None,
        ignore_flag="flag 0" if flag == 0 else "",
    )


def _sequence_info(folder: Path, collector: LabelCollector) -> tuple[str, tuple[int, int] | None, str]:
    """Name, picture size and picture folder from seqinfo.ini; what it lacks comes from the folder's own name."""
    path = folder / "seqinfo.ini"
    parser = configparser.ConfigParser(interpolation=None)
    if not path.is_file():
        return folder.name, None, "img1"
    with collector.reporting():
        try:
            parser.read_string(read_text(path))
            section = parser["Sequence"]
            size = section.getint("imWidth", 0), section.getint("imHeight", 0)
            return section.get("name", folder.name), size if min(size) > 0 else None, section.get("imDir", "img1")
        except (configparser.Error, KeyError, ValueError) as error:
            kind = type(error).__name__
            raise BadLabelError(
                "bad_seqinfo", f"{path} is no sequence description ({kind}): its size was not used"
            ) from None
    return folder.name, None, "img1"


class _Frames:
    """Pictures by folder; with `images_dir` a sequence's frames lie in images_dir/SEQUENCE, …/SEQUENCE/img1, or in it."""

    def __init__(self, listing: FileListing, images_dir: Path | None) -> None:
        self._images_dir = images_dir
        self._by_folder: defaultdict[Path, list[Path]] = defaultdict(list)
        for path in listing.files if images_dir is None else list_files(images_dir).files:
            if is_picture(path) and path.stem.isdecimal():
                self._by_folder[path.parent].append(path)

    def of(self, folder: Path, image_folder: str) -> dict[int, Path]:
        """Frame number to picture for the sequence in `folder`."""
        base, inner = self._images_dir, Path(image_folder).name
        elsewhere = [] if base is None else [base / folder.name / inner, base / folder.name, base / inner, base]
        folders = elsewhere or [folder / inner]
        paths = next((self._by_folder[found] for found in folders if found in self._by_folder), [])
        return {int(path.stem): path for path in paths}


def _read_conditions(listing: FileListing, collector: LabelCollector) -> dict[str, str]:
    """Sequence to condition from every conditions.csv below the source or beside the folders around it.

    The column `condition` is used, else `time_of_day`.
    """
    conditions: dict[str, str] = {}
    around = [parent / _CONDITIONS_FILE for parent in listing.folder.resolve().parents[:2]]
    inside = [path for path in listing.files if path.name == _CONDITIONS_FILE]
    for path in [path for path in around if path.is_file()] + inside:
        with collector.reporting():
            try:
                rows = list(csv.DictReader(io.StringIO(read_text(path))))
            except csv.Error as error:
                raise BadLabelError("not_csv", f"{path} is not comma-separated text ({error})") from None
            for row in rows:
                conditions[(row.get("sequence") or "").strip()] = (
                    row.get("condition") or row.get("time_of_day") or ""
                ).strip()
    return conditions


def _warn_of_untruthed(listing: FileListing, truths: list[Path], collector: LabelCollector) -> None:
    known = {truth.parent.parent for truth in truths}
    described = {path.parent for path in listing.files if path.name == "seqinfo.ini"}
    for folder in sorted(described - known):
        collector.warn(f"sequence {folder.name} has no gt/gt.txt and was left out, for its frames may show people")
