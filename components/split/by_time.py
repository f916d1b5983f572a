"""The way out when there are too few groups: each group is cut in time, with a gap between the parts.

What was learned from the first minutes of a camera is tested on its later minutes: same place, same people perhaps. So
the numbers are optimistic, and every report says so.
"""

from __future__ import annotations

import numpy as np

from belisha.components.shared.errors import InputError
from belisha.components.split.assign import BY_TIME, PARTS, QUARANTINE, PartArray
from belisha.components.split.columns import NO_TIME, IntArray, Rows
from belisha.components.split.grouping import Groups
from belisha.components.split.options import Ratios, SplitOptions
from belisha.components.split.resolve import Assignment

_MICROSECONDS = 1_000_000
_GAP_NAME = "gap"


def assign_by_time(rows: Rows, groups: Groups, options: SplitOptions) -> Assignment:
    """Cut each group in time; pictures inside the gaps go to quarantine.

    Raises:
        InputError: a picture has no capture time, or the gaps leave a part empty.
    """
    if (rows.captured_us == NO_TIME).any():
        count = int((rows.captured_us == NO_TIME).sum())
        raise InputError(
            f"{count} of {len(rows)} pictures have no capture time, so they cannot be cut by time: acquire them with "
            "their times, or add pictures from elsewhere and split by groups"
        )
    parts = np.empty(len(rows), dtype=np.int8)
    gap_us = round(options.gap_seconds * _MICROSECONDS)
    for members in _members(groups.codes):
        parts[members] = _cut(rows.captured_us[members], options.ratios, gap_us)
    _refuse_empty(parts, rows, options)
    return _as_groups(groups, parts)


def _members(codes: IntArray) -> list[IntArray]:
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)


def _cut(times_us: IntArray, ratios: Ratios, gap_us: int) -> PartArray:
    """Parts of one group's pictures: its first share trains, then val, then test; pictures just before a cut fall out."""
    order = np.argsort(times_us, kind="stable")
    edges = np.rint(np.cumsum([ratios.train, ratios.val]) * len(order)).astype(np.int64)
    begins_us = times_us[order[edges.clip(max=len(order) - 1)]]
    parts = np.searchsorted(begins_us, times_us, side="right").astype(np.int8)
    for number, begin_us in enumerate(begins_us):
        parts[(parts == number) & (times_us >= begin_us - gap_us)] = QUARANTINE
    return parts


def _refuse_empty(parts: PartArray, rows: Rows, options: SplitOptions) -> None:
    present = set(np.unique(parts).tolist())
    missing = [PARTS[part].value for part in range(3) if part not in present]
    if missing:
        span_seconds = (int(rows.captured_us.max()) - int(rows.captured_us.min())) / _MICROSECONDS
        raise InputError(
            f"the pictures span {span_seconds:g} s, and gaps of {options.gap_seconds:g} s between the parts leave nothing "
            f"for {' and '.join(missing)}: give a shorter gap, or add pictures"
        )


def _as_groups(groups: Groups, parts: PartArray) -> Assignment:
    used, codes = np.unique(groups.codes.astype(np.int64) * len(PARTS) + parts, return_inverse=True)
    suffixes = [*(part.value for part in PARTS[:QUARANTINE]), _GAP_NAME]
    names = [f"{groups.names[pair // len(PARTS)]}#{suffixes[pair % len(PARTS)]}" for pair in used]
    return Assignment(codes, names, (used % len(PARTS)).astype(np.int8), [BY_TIME] * len(names))
