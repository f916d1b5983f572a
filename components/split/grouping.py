"""Which pictures belong together: by the labels' own groups, by camera and time, else by looking alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from belisha.components.shared.near_duplicates import Hashes, duplicate_groups
from belisha.components.split.columns import NO_TIME, Coded, IntArray, Rows
from belisha.components.split.frozen import Frozen

GIVEN, CAMERA, ALIKE = "given group", "camera and time", "near-duplicates"
_MICROSECONDS = 1_000_000
_NAME_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Groups:
    """The pictures' groups before anything earlier is considered.

    Attributes:
        codes: `(n,)` group number of each row.
        names: name of each group.
        pictures_by_kind: how many pictures were grouped in which way.
        hashes: `(n,)` perceptual hashes; meaningless where `hashed` is false.
        hashed: `(n,)` rows that were looked at.
        alike: how many of them have a near-duplicate among the others.
        known_links: `(k, 2)` group number and group of the frozen split, by likeness to a picture that is not in this data.
    """

    codes: IntArray
    names: list[str]
    pictures_by_kind: dict[str, int]
    hashes: Hashes
    hashed: npt.NDArray[np.bool_]
    alike: int = 0
    known_links: IntArray = field(default_factory=lambda: np.zeros((0, 2), dtype=np.int64))


def ungrouped(rows: Rows) -> npt.NDArray[np.bool_]:
    """Rows that only their look can group."""
    return rows.given.is_empty() & rows.cameras.is_empty()


def group_rows(rows: Rows, frozen: Frozen, hash_of: Callable[[IntArray], Hashes], gap_seconds: float) -> Groups:
    """Group every row by the best that is known of it.

    Args:
        rows: the pictures.
        frozen: earlier pictures; those that look like one of these are linked to its group.
        hash_of: perceptual hashes of the rows with these numbers; called once, and only when there are such rows.
        gap_seconds: a longer pause of one camera begins a new group.
    """
    alike = ungrouped(rows)
    by_camera = rows.given.is_empty() & ~alike
    codes, names = _by_value(rows.given, ~(alike | by_camera))
    codes, names = _joined(codes, names, by_camera, *_by_camera(rows, by_camera, gap_seconds))
    kinds = {GIVEN: int((~(alike | by_camera)).sum()), CAMERA: int(by_camera.sum()), ALIKE: int(alike.sum())}
    none = np.zeros(len(rows), dtype=np.uint64)
    groups = Groups(codes, names, {kind: count for kind, count in kinds.items() if count}, none, alike)
    return _with_alike(rows, groups, frozen, hash_of) if alike.any() else groups


def _by_value(values: Coded, mask: npt.NDArray[np.bool_]) -> tuple[IntArray, list[str]]:
    codes = np.full(len(values.codes), -1, dtype=np.int64)
    used, codes[mask] = np.unique(values.codes[mask], return_inverse=True)
    return codes, [values.names[code] for code in used]


def _joined(
    codes: IntArray, names: list[str], mask: npt.NDArray[np.bool_], more: IntArray, more_names: list[str]
) -> tuple[IntArray, list[str]]:
    codes[mask] = more + len(names)
    return codes, names + more_names


def _by_camera(rows: Rows, mask: npt.NDArray[np.bool_], gap_seconds: float) -> tuple[IntArray, list[str]]:
    """Groups of the masked rows: one camera's pictures without a longer pause; all of a camera that tells no times."""
    cameras, times = rows.cameras.codes[mask].astype(np.int64), rows.captured_us[mask]
    timeless = np.isin(cameras, cameras[times == NO_TIME])
    times = np.where(timeless, NO_TIME, times)
    order = np.lexsort((times, cameras))
    pause = np.diff(times[order]) > gap_seconds * _MICROSECONDS
    begins = np.concatenate([[True], (np.diff(cameras[order]) != 0) | pause])[: len(order)]
    codes = np.empty(len(order), dtype=np.int64)
    codes[order] = np.cumsum(begins) - 1
    firsts = order[begins]
    return codes, [_camera_name(rows.cameras.names[cameras[row]], int(times[row])) for row in firsts]


def _camera_name(camera: str, begin_us: int) -> str:
    if begin_us == NO_TIME:
        return f"camera:{camera}"
    begin = datetime.fromtimestamp(begin_us // _MICROSECONDS, UTC)
    return f"camera:{camera}@{begin:%Y-%m-%dT%H:%M:%S}.{begin_us % _MICROSECONDS:06d}Z"


def _with_alike(rows: Rows, groups: Groups, frozen: Frozen, hash_of: Callable[[IntArray], Hashes]) -> Groups:
    """Group the rest by likeness, to each other and to what is frozen."""
    numbers = np.flatnonzero(groups.hashed)
    own = hash_of(numbers)
    earlier = np.flatnonzero(frozen.hashed)
    component = duplicate_groups(np.concatenate([own, frozen.hashes[earlier]]))
    used, of_row, sizes = np.unique(component[: len(numbers)], return_inverse=True, return_counts=True)
    first_rows = numbers[np.unique(of_row, return_index=True)[1]]
    names = [f"picture:{rows.image_ids[int(row)].as_py()[:_NAME_DIGITS]}" for row in first_rows]
    codes, all_names = _joined(groups.codes, groups.names, groups.hashed, of_row, names)
    hashes = groups.hashes.copy()
    hashes[numbers] = own
    alike = int(sizes[sizes > 1].sum())
    begin = len(all_names) - len(names)
    links = _links_to_earlier(component[len(numbers) :], used, frozen.groups.codes[earlier], begin)
    return replace(groups, codes=codes, names=all_names, hashes=hashes, alike=alike, known_links=links)


def _links_to_earlier(component: IntArray, used: IntArray, known_group: IntArray, begin: int) -> IntArray:
    """(group number, frozen group) of every earlier picture that fell into a component of this data."""
    place = np.searchsorted(used, component).clip(max=len(used) - 1)
    hit = used[place] == component
    return np.unique(np.stack([place[hit] + begin, known_group[hit]], axis=1), axis=0).astype(np.int64)
