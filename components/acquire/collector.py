"""From what a format says to `Labels`: one path for every reader, so that roles, refusals and counts never differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType

import numpy as np

from belisha.components.acquire.box_origin import OriginEvidence, from_one_based, origin_evidence
from belisha.components.acquire.class_map import Role, normalised
from belisha.components.acquire.label_files import BadLabelError
from belisha.components.acquire.labels import BoxOrigin, LabelledPicture, Labels, ReaderOptions, Refusal
from belisha.components.shared.boxes import FloatArray
from belisha.components.shared.manifest import Box

_MAX_REFUSALS_TOLD = 200
XYWH = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class RawBox:
    """A box as its format has it: [x, y, width, height] in upright pixels, not yet judged.

    Attributes:
        class_name: the source's own word.
        xywh_px: full extent, finite.
        visible_xywh_px: visible extent, if stated.
        visible_ratio: visible share, if stated; goes before `visible_xywh_px`.
        ignore_flag: why the source itself wants it ignored (`iscrowd`, …), empty when it does not.
        occlusion: the source's word for it.
        annotator: who drew it.
    """

    class_name: str
    xywh_px: XYWH
    visible_xywh_px: XYWH | None = None
    visible_ratio: float | None = None
    ignore_flag: str = ""
    occlusion: str = ""
    annotator: str = ""


@dataclass(slots=True)
class RawPicture:
    """A picture with its boxes before roles and origin are applied; `size_px` is its upright width and height if known."""

    picture: LabelledPicture
    size_px: tuple[int, int] | None = None
    boxes: list[RawBox] = field(default_factory=list)


class LabelCollector:
    """Collects pictures, refusals and warnings of one source and makes `Labels` of them.

    Args:
        format_name: the reader's name.
        options: as given to the reader.
        own_roles: the format's own class table, names normalised by `class_map.normalised`.
        free_origin: whether `options.box_origin` applies; formats with one fixed convention say so in a warning instead.
    """

    def __init__(
        self,
        format_name: str,
        options: ReaderOptions,
        own_roles: Mapping[str, Role] | None = None,
        *,
        free_origin: bool = False,
    ) -> None:
        self.options = options
        self.pictures: list[RawPicture] = []
        self._format = format_name
        self._own_roles = {normalised(name): role for name, role in (own_roles or {}).items()}
        self._roles: dict[str, Role] = {}
        self._warnings: list[str] = []
        self._dropped: Counter[str] = Counter()
        self._ignored: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._refusals: list[Refusal] = []
        self._problems: dict[Path, str] = {}
        if options.box_origin is not BoxOrigin.AUTO and not free_origin:
            self.warn(
                f"{format_name} has one fixed box convention, so box origin {options.box_origin.value!r} was not applied"
            )

    def warn(self, sentence: str) -> None:
        """Keep a sentence for people, once."""
        shown = printable(sentence)
        if shown not in self._warnings:
            self._warnings.append(shown)

    def refuse(self, reason: str, sentence: str, picture: Path | None = None) -> None:
        """Count one label that cannot be used; a picture named here is marked as untrustworthy."""
        sentence = printable(sentence)
        self._refused[reason] += 1
        if len(self._refusals) < _MAX_REFUSALS_TOLD:
            self._refusals.append(Refusal(reason, sentence, picture))
        if picture is not None:
            self._problems.setdefault(picture, sentence)

    def reporting(self, picture: Path | None = None) -> _Reporting:
        """Turn a BadLabelError of a `with` block into a refusal; the block ends there and reading goes on after it."""
        return _Reporting(self, picture)

    def add(self, picture: LabelledPicture, size_px: tuple[int, int] | None = None) -> RawPicture:
        """Add a picture and return it, for its boxes to be appended."""
        if not picture.licence and self.options.licence:
            picture = replace(picture, licence=self.options.licence)
        raw = RawPicture(picture, size_px)
        self.pictures.append(raw)
        return raw

    def evidence(self) -> OriginEvidence:
        """Evidence for how the source counts pixels, over all boxes of all classes as written."""
        sized = [(box.xywh_px, raw.size_px or (np.nan, np.nan)) for raw in self.pictures for box in raw.boxes]
        boxes: FloatArray = np.array([box for box, _ in sized], dtype=np.float64).reshape(-1, 4)
        return origin_evidence(boxes, np.array([size for _, size in sized], dtype=np.float64).reshape(-1, 2))

    def finish(self, *, one_based: bool = False) -> Labels:
        """Make the result; `one_based` says that all boxes are inclusive pixels counted from 1.

        Boxes without area are refused and counted, for real data sets hold a few; every other fault marks its picture.
        """
        merged: dict[Path, LabelledPicture] = {}
        for raw in self.pictures:
            picture = replace(raw.picture, boxes=self._boxes_of(raw, one_based=one_based))
            merged[picture.path] = self._merged(merged.get(picture.path), picture)
        for path in self._problems:
            merged.setdefault(path, LabelledPicture(path, licence=self.options.licence))
        for path, problem in self._problems.items():
            merged[path] = replace(merged[path], problem=problem)
        pictures = tuple(merged[path] for path in sorted(merged, key=str))
        self._warn_of_missing(pictures)
        self._warn_of_no_pedestrian(pictures)
        return Labels(
            self._format,
            pictures,
            tuple(self._warnings),
            dict(self._dropped),
            dict(self._ignored),
            dict(self._refused),
            tuple(self._refusals),
        )

    def _boxes_of(self, raw: RawPicture, *, one_based: bool) -> tuple[Box, ...]:
        boxes = (self._box_of(box, raw.picture.path, one_based=one_based) for box in raw.boxes)
        return tuple(box for box in boxes if box is not None)

    def _box_of(self, raw: RawBox, picture: Path, *, one_based: bool) -> Box | None:
        role = self._role_of(raw.class_name)
        if role is Role.DROP:
            self._dropped[raw.class_name] += 1
            return None
        x, y, width, height = from_one_based(raw.xywh_px) if one_based else raw.xywh_px
        if min(width, height) <= 0:
            self._refuse_size(raw, width, height, picture)
            return None
        ignore = role is Role.IGNORE or bool(raw.ignore_flag)
        if ignore:
            self._ignored[raw.class_name if role is Role.IGNORE else f"{raw.class_name} ({raw.ignore_flag})"] += 1
        return Box(x, y, width, height, ignore, _visible_ratio(raw), raw.occlusion, raw.annotator)

    def _role_of(self, class_name: str) -> Role:
        if class_name not in self._roles:
            self._roles[class_name] = self.options.class_map.role_of(class_name, self._own_roles)
        return self._roles[class_name]

    def _refuse_size(self, raw: RawBox, width: float, height: float, picture: Path) -> None:
        sentence = (
            f"{picture.name}: a box of {raw.class_name!r} is {width:g} x {height:g} pixels: expected sizes above 0"
        )
        if min(width, height) < 0:
            self.refuse("negative_size", sentence, picture)
        else:
            self.refuse("no_area", sentence)

    def _merged(self, before: LabelledPicture | None, picture: LabelledPicture) -> LabelledPicture:
        """One entry a picture; two that disagree cannot both be right."""
        if before is None:
            return picture
        if before.boxes != picture.boxes:
            sentence = f"{picture.path} is labelled twice with different boxes: keep one of the two"
            self.refuse("labelled_twice", sentence, picture.path)
        return before

    def _warn_of_missing(self, pictures: tuple[LabelledPicture, ...]) -> None:
        missing = [picture.path for picture in pictures if not picture.path.is_file()]
        if missing:
            self.warn(
                f"{len(missing)} of {len(pictures)} labelled pictures have no file (first: {missing[0].name}): "
                "say with --images where the pictures lie"
            )

    def _warn_of_no_pedestrian(self, pictures: tuple[LabelledPicture, ...]) -> None:
        if any(not box.ignore for picture in pictures for box in picture.boxes):
            return
        found = ", ".join(sorted({*self._dropped, *self._ignored})[:20]) or "none"
        self.warn(f"no box counts as pedestrian (classes found: {found}): map one with --map NAME=pedestrian")


@dataclass(frozen=True, slots=True)
class _Reporting:
    collector: LabelCollector
    picture: Path | None

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: TracebackType | None) -> bool:
        if not isinstance(error, BadLabelError):
            return False
        self.collector.refuse(error.reason, str(error), self.picture)
        return True


def printable(sentence: str) -> str:
    """A sentence that may quote hostile names: line breaks, control characters and stray bytes are shown escaped."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in sentence)


def warn_of_unlabelled(collector: LabelCollector, unlabelled: list[Path], what: str) -> None:
    """Say that pictures without labels were left out; taking them for background would teach people as background."""
    if unlabelled:
        collector.warn(
            f"{len(unlabelled)} pictures have no {what} and were left out, for they may show people "
            f"(first: {unlabelled[0].name})"
        )


def read_from_one(collector: LabelCollector) -> bool:
    """Whether the boxes of a nominally 0-based format count from 1: as the options say, else by strong evidence."""
    origin = collector.options.box_origin
    if origin is not BoxOrigin.AUTO:
        return origin is BoxOrigin.ONE
    evidence = collector.evidence()
    if evidence.one_based:
        collector.warn(
            f"the boxes count pixels from 1 with the last one included and were converted: all {evidence.boxes} boxes have "
            f"whole-pixel corners, {evidence.starts_at_one} edges start at exactly 1 and none before, "
            f"{evidence.ends_at_border} end at exactly the border; --box-origin 0 takes them as written"
        )
    return evidence.one_based


def _visible_ratio(raw: RawBox) -> float | None:
    if raw.visible_ratio is not None:
        return min(1.0, max(0.0, raw.visible_ratio))
    if raw.visible_xywh_px is None:
        return None
    return visible_share(raw.xywh_px, raw.visible_xywh_px)


def visible_share(full_xywh_px: XYWH, visible_xywh_px: XYWH) -> float | None:
    """Share of the full box that the visible box covers, 0..1; None when the full box has no area."""
    x, y, width, height = full_xywh_px
    left, top, visible_width, visible_height = visible_xywh_px
    across = min(x + width, left + visible_width) - max(x, left)
    down = min(y + height, top + visible_height) - max(y, top)
    area = width * height
    return min(1.0, max(0.0, across) * max(0.0, down) / area) if area > 0 else None
