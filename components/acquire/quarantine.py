"""Pictures and boxes that cannot be used: each counted by reason, pictures listed one by one in the dataset's folder."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from belisha.components.shared.files import write_json
from belisha.components.shared.manifest import DIGEST_STEP_PX, Box

QUARANTINE_SCHEMA = "belisha.quarantine/1"
QUARANTINE_FILE = "quarantine.json"
MIN_SIDE_PX = 1.0
CUT = "cut"


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why a picture cannot be used: a short stable word for counting, and a sentence."""

    reason: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A picture that was left out.

    Attributes:
        source: name of its source.
        path: relative to the source.
        reason: short stable word: `missing`, `empty`, `truncated`, `damaged`, `not_a_picture`, `oversized`, `other_size`,
            `labels`, `unreadable`.
        sentence: for people.
    """

    source: str
    path: str
    reason: str
    sentence: str


def write_quarantine(path: Path, entries: Sequence[Quarantined]) -> None:
    """Write the list; an empty one says that nothing was left out."""
    by_reason = dict(sorted(Counter(entry.reason for entry in entries).items()))
    value = {"schema": QUARANTINE_SCHEMA, "count": len(entries), "by_reason": by_reason}
    write_json(path, {**value, "entries": [asdict(entry) for entry in entries]})


def clip_boxes(boxes: Iterable[Box], width_px: int, height_px: int) -> tuple[tuple[Box, ...], Counter[str]]:
    """Cut boxes at the picture's border.

    Returns:
        The boxes that are left; and how many were `cut` by more than rounding, or refused by reason: `not_finite`, `empty`
        (no width or height), `outside` (nothing of it in the picture), `too_small` (under a pixel a side within the picture).
    """
    kept: list[Box] = []
    changed: Counter[str] = Counter()
    for box in boxes:
        clipped = _clip(box, width_px, height_px)
        if isinstance(clipped, str):
            changed[clipped] += 1
            continue
        kept.append(clipped)
        if clipped is not box and _shrunk_px(box, clipped) > DIGEST_STEP_PX:
            changed[CUT] += 1
    return tuple(kept), changed


def _clip(box: Box, width_px: int, height_px: int) -> Box | str:
    if not all(map(math.isfinite, (box.x, box.y, box.width, box.height))):
        return "not_finite"
    if box.width <= 0 or box.height <= 0:
        return "empty"
    if _inside(box, width_px, height_px):
        return box if min(box.width, box.height) >= MIN_SIDE_PX else "too_small"
    left, right = max(0.0, box.x), min(float(width_px), box.x + box.width)
    top, bottom = max(0.0, box.y), min(float(height_px), box.y + box.height)
    if right <= left or bottom <= top:
        return "outside"
    if right - left < MIN_SIDE_PX or bottom - top < MIN_SIDE_PX:
        return "too_small"
    rest = (box.ignore, box.visible_ratio, box.occlusion, box.annotator)
    return Box(left, top, right - left, bottom - top, *rest)


def _shrunk_px(box: Box, clipped: Box) -> float:
    return max(box.width - clipped.width, box.height - clipped.height)


def _inside(box: Box, width_px: int, height_px: int) -> bool:
    return box.x >= 0 and box.y >= 0 and box.x + box.width <= width_px and box.y + box.height <= height_px
