"""What comes back from people, by whatever tool: checked number by number, and refused as a whole by one sentence."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from belisha.components.shared.errors import InputError
from belisha.components.shared.manifest import Box
from belisha.components.shared.review_queue import QueueItem, Vote

PEDESTRIAN, IGNORE = "pedestrian", "ignore"
LABELS = (PEDESTRIAN, IGNORE)
MAX_FILE_BYTES = 256_000_000
MAX_BOXES = 2000
MIN_SIDE_PX = 1.0
_ANNOTATOR = re.compile(r"[A-Za-z0-9._@+-]{1,64}")
_PICTURE_ID = re.compile(r"[0-9a-f]{64}")
# Tools round to a hundredth of a percent; what reaches further out of the picture was drawn on another picture.
_OUTSIDE_RATIO = 0.5

Items = Mapping[str, QueueItem]


def annotator_name(value: object, where: str) -> str:
    """A person's name as it goes into records and file names; raises InputError."""
    if not isinstance(value, str | int) or isinstance(value, bool) or not _ANNOTATOR.fullmatch(str(value)):
        raise InputError(f"{where}: {_shown(value)} cannot be an annotator: use 1 to 64 letters, digits or ._@+-")
    name = str(value)
    if set(name) <= {"."}:
        raise InputError(f"{where}: {name!r} cannot be an annotator: use 1 to 64 letters, digits or ._@+-")
    return name


def item_named(text: object, items: Items, where: str) -> QueueItem:
    """The item whose picture id stands in a name or address; raises InputError."""
    found = _PICTURE_ID.findall(text) if isinstance(text, str) else []
    known = [one for one in found if one in items]
    if not known:
        raise InputError(
            f"{where}: {_shown(text)} names no picture that was handed out: export again and use those names"
        )
    return items[known[-1]]


def checked_box(
    item: QueueItem, label: object, xywh_px: Sequence[object], where: str, occlusion: str = ""
) -> Box | None:
    """A box cut at the picture's border, or None for a stray click of less than a pixel; raises InputError.

    Args:
        item: of the picture.
        label: `pedestrian` or `ignore`.
        xywh_px: x, y, width, height in pixels of the upright picture.
        where: for people.
        occlusion: the tool's word for it.
    """
    if label not in LABELS:
        raise InputError(f"{where}: {_shown(label)} is no label of ours: use {' or '.join(LABELS)}")
    x, y, width, height = (number_of(value, where) for value in xywh_px)
    if width < 0 or height < 0:
        raise InputError(f"{where}: a box is {width:g} x {height:g} pixels: draw it again")
    beyond_x, beyond_y = _OUTSIDE_RATIO * item.width_px, _OUTSIDE_RATIO * item.height_px
    if x < -beyond_x or y < -beyond_y or x + width > item.width_px + beyond_x or y + height > item.height_px + beyond_y:
        raise InputError(
            f"{where}: a box at {x:.0f}, {y:.0f} of {width:.0f} x {height:.0f} pixels leaves the picture of "
            f"{item.width_px} x {item.height_px}: check that it belongs to this picture"
        )
    left, top = max(0.0, x), max(0.0, y)
    right, bottom = min(float(item.width_px), x + width), min(float(item.height_px), y + height)
    if right - left < MIN_SIDE_PX or bottom - top < MIN_SIDE_PX:
        return None
    return Box(left, top, right - left, bottom - top, label == IGNORE, None, occlusion)


def vote_of(
    item: QueueItem,
    annotator: str,
    boxes: Iterable[Box | None],
    seconds: float | None,
    where: str,
    *,
    adjudicator: bool,
) -> Vote:
    """One person's word on a picture; raises InputError when it has more boxes than any picture holds people."""
    kept = tuple(box for box in boxes if box is not None)
    if len(kept) > MAX_BOXES:
        raise InputError(f"{where}: {len(kept)} boxes, at most {MAX_BOXES} are allowed on one picture: remove the rest")
    return Vote(item.picture_id, annotator, kept, adjudicator, seconds)


def refuse_repeated(votes: Sequence[Vote], where: str) -> None:
    """Raise InputError when one person speaks twice about one picture, for only one of the two can be meant."""
    counts = Counter((vote.picture_id, vote.voice) for vote in votes)
    for (picture_id, annotator), times in counts.items():
        if times > 1:
            raise InputError(
                f"{where}: {annotator} speaks {times} times about picture {picture_id[:16]}…: keep one of them"
            )


def seconds_or_none(value: object) -> float | None:
    """A time as tools write it; None for what is no time."""
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and 0 <= value < 1e7
    return float(value) if known and isinstance(value, int | float) else None


def parse_json_file(data: bytes, where: str) -> Any:
    """JSON of unknown origin; raises InputError."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not readable as JSON ({str(error)[:120]}): export it again") from None


def an_object(value: object, where: str) -> dict[str, Any]:
    """`value` as a JSON object; raises InputError."""
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected a JSON object, found {_shown(value)}: export it again")
    return value


def a_list(value: object, where: str) -> list[Any]:
    """`value` as a JSON list; raises InputError."""
    if not isinstance(value, list):
        raise InputError(f"{where}: expected a list, found {_shown(value)}: export it again")
    return value


def number_of(value: object, where: str) -> float:
    """`value` as a finite float; raises InputError."""
    try:
        found = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise InputError(f"{where}: {_shown(value)} is no coordinate: expected a finite number")
    return found


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        return f"a {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}..."
