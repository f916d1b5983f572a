"""What label readers take and give: pictures with boxes in one convention, and an account of everything left out.

A reader never opens more of a picture than its header and never fails because of one bad label: what it cannot read is
counted in `Labels.refused`, told in `Labels.refusals`, and when it concerns a picture, that picture carries `problem`.
`readers.detect_format(root)` and `readers.reader_named(name)` find the reader.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from belisha.components.acquire.class_map import ClassMap
from belisha.components.acquire.label_files import FileListing
from belisha.components.shared.manifest import Box


class BoxOrigin(enum.StrEnum):
    """How a COCO, YOLO or VOC file counts pixels: `0` continuous from 0, `1` whole pixels from 1 with the last one included."""

    AUTO = "auto"
    ZERO = "0"
    ONE = "1"


@dataclass(frozen=True, slots=True)
class ReaderOptions:
    """How to read a source.

    Attributes:
        images_dir: where the pictures lie when they are not beside the labels.
        class_map: the user's rules for class names.
        box_origin: decided from the boxes (`auto`) or forced; formats with one fixed convention (MOT, CityPersons, …) keep it.
        licence: put on each picture whose source does not state one.
        difficult_is_ignored: VOC objects marked `difficult` become ignore regions instead of pedestrians.
    """

    images_dir: Path | None = None
    class_map: ClassMap = field(default_factory=ClassMap)
    box_origin: BoxOrigin = BoxOrigin.AUTO
    licence: str = ""
    difficult_is_ignored: bool = False


@dataclass(frozen=True, slots=True)
class LabelledPicture:
    """One picture that a source has labels for.

    Attributes:
        path: the picture's file; it may be missing on disk, which is for the caller to find and report.
        boxes: pixels of the upright picture, 0-based, continuous, not clipped; empty for a background picture.
        camera: camera or sequence, empty when unknown.
        condition: `day`, `night`, … empty when unknown.
        captured_at: timezone-aware, if known.
        group_id: sequence or scene that must not straddle parts, empty when unknown.
        licence: as the source or the options state it.
        labelled_size_px: width and height that the labels were made for, if stated; another upright size means that the boxes
            do not belong to this file as it is.
        problem: empty, or the sentence why its labels cannot be trusted; such a picture belongs into quarantine.
    """

    path: Path
    boxes: tuple[Box, ...] = ()
    camera: str = ""
    condition: str = ""
    captured_at: datetime | None = None
    group_id: str = ""
    licence: str = ""
    labelled_size_px: tuple[int, int] | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One label that could not be used.

    Attributes:
        reason: short stable word for counting, e.g. `not_a_number`.
        sentence: for people: what, where, and what was expected.
        picture: the picture concerned, if it is known.
    """

    reason: str
    sentence: str
    picture: Path | None = None


@dataclass(frozen=True, slots=True)
class Labels:
    """Everything a reader found in one source.

    Attributes:
        format: the reader's name.
        pictures: ordered by path, each path once; also those with `problem` and those whose file is missing.
        warnings: sentences for people: conventions recognised, pictures without labels left out, …
        dropped: source class to number of boxes left out because of their class.
        ignored: source class (or flag) to number of boxes that became ignore regions.
        refused: reason to number of labels refused, all of them.
        refusals: the first refusals in detail; a bounded sample of what `refused` counts.
    """

    format: str
    pictures: tuple[LabelledPicture, ...] = ()
    warnings: tuple[str, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)
    ignored: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)
    refusals: tuple[Refusal, ...] = ()

    @property
    def pedestrians(self) -> int:
        """Boxes that count, over all pictures."""
        return sum(not box.ignore for picture in self.pictures for box in picture.boxes)

    @property
    def ignore_regions(self) -> int:
        """Ignore regions over all pictures."""
        return sum(box.ignore for picture in self.pictures for box in picture.boxes)


class Reader(Protocol):
    """One label format."""

    @property
    def name(self) -> str:
        """The format's name, as the command line takes it."""

    def detect(self, listing: FileListing) -> bool:
        """Whether these files hold labels of this format; reads little and never raises on odd content."""

    def read(self, root: Path, options: ReaderOptions) -> Labels:
        """Read all labels below a folder, or one label file.

        Raises:
            InputError: there is nothing of this format at all; single bad labels are reported in the result instead.
        """
