"""From groups to parts, with what earlier splits have decided: old pictures keep their part, new ones join or follow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from belisha.components.shared.errors import InputError
from belisha.components.split.assign import (
    BY_HASH,
    JOINED,
    PARTS,
    QUARANTINE,
    Candidates,
    PartArray,
    by_hash,
    first_assignment,
    unit_hash,
)
from belisha.components.split.columns import NO_TIME, IntArray, Rows
from belisha.components.split.frozen import Additions, Frozen
from belisha.components.split.grouping import Groups
from belisha.components.split.options import SplitOptions

_PART_NUMBER = {part.value: number for number, part in enumerate(PARTS)}
_OPEN_PARTS = 0b0111


@dataclass(frozen=True, slots=True)
class Assignment:
    """Where every row belongs.

    Attributes:
        codes: `(n,)` group number of each row.
        names: name of each group.
        part_of_group: part number of each group, index into `assign.PARTS`.
        method_of_group: how each group got its part.
    """

    codes: IntArray
    names: list[str]
    part_of_group: PartArray
    method_of_group: list[str]

    @property
    def parts(self) -> PartArray:
        """`(n,)` part number of each row."""
        return np.asarray(self.part_of_group[self.codes])


@dataclass(frozen=True, slots=True)
class _Links:
    """What each group has to do with earlier ones: parts as bits, and the earlier group to join (-1 for none)."""

    part_bits: IntArray
    target: IntArray

    @property
    def fresh(self) -> npt.NDArray[np.bool_]:
        return np.asarray(self.part_bits == 0)

    @property
    def conflict(self) -> npt.NDArray[np.bool_]:
        return np.asarray(np.bitwise_count(self.part_bits & _OPEN_PARTS) > 1)


def resolve(rows: Rows, groups: Groups, frozen: Frozen, known: IntArray, options: SplitOptions) -> Assignment:
    """Assign every row.

    Args:
        rows: the pictures.
        groups: their groups by what is known of them now.
        frozen: earlier decisions.
        known: `(n,)` row of each picture in `frozen`, -1 for a new one.
        options: ratios and salt.

    Raises:
        InputError: there are too few groups, or a wanted part would be empty.
    """
    links = _links(groups, frozen, known)
    parts, methods = _group_parts(rows, groups, links, options)
    earlier = len(frozen.groups.names)
    own = np.where(links.fresh | links.conflict, earlier + np.arange(len(groups.names)), links.target)
    codes = own[groups.codes]
    codes[known >= 0] = frozen.groups.codes[known[known >= 0]]
    part_of_all = np.array([_PART_NUMBER[part] for part in frozen.part_of_group] + list(parts), dtype=np.int8)
    used, compact = np.unique(codes, return_inverse=True)
    names = [*frozen.groups.names, *_names(groups, links)]
    every_method = [*frozen.method_of_group, *methods]
    assignment = Assignment(
        compact, [names[code] for code in used], part_of_all[used], [every_method[code] for code in used]
    )
    refuse_empty_parts(assignment, options)
    return assignment


def additions(rows_keys: pa.Array, groups: Groups, known: IntArray, assignment: Assignment) -> Additions:
    """The rows of this assignment that no record has yet."""
    new = np.flatnonzero(known < 0)
    codes = pa.array(assignment.codes[new], pa.int32())
    part_names = pa.array([PARTS[part].value for part in assignment.part_of_group])
    return Additions(
        keys=rows_keys.take(pa.array(new)),
        group_ids=pa.array(assignment.names, pa.string()).take(codes),
        parts=part_names.take(codes),
        methods=pa.array(assignment.method_of_group, pa.string()).take(codes),
        hashes=pa.array(groups.hashes[new], pa.uint64(), mask=~groups.hashed[new]),
    )


def candidates_of(rows: Rows, groups: Groups, chosen: IntArray) -> Candidates:
    """Names, sizes and strata of some groups."""
    pictures = np.bincount(groups.codes, minlength=len(groups.names))
    pedestrians = np.bincount(groups.codes, weights=rows.pedestrians, minlength=len(groups.names)).astype(np.int64)
    condition = main_condition(groups.codes, rows.conditions.codes, len(groups.names))
    strata = 2 * condition + (pedestrians > 0)
    names = [groups.names[group] for group in chosen]
    return Candidates(names, pictures[chosen], pedestrians[chosen], strata[chosen])


def main_condition(groups: IntArray, conditions: IntArray, group_count: int) -> IntArray:
    """The condition that most pictures of each group have; the lower number of two that tie."""
    width = int(conditions.max()) + 1
    pairs, counts = np.unique(groups.astype(np.int64) * width + conditions, return_counts=True)
    order = np.lexsort((-(pairs % width), counts))
    main = np.zeros(group_count, dtype=np.int64)
    main[pairs[order] // width] = pairs[order] % width
    return main


def refuse_empty_parts(assignment: Assignment, options: SplitOptions) -> None:
    """Raise InputError when a part that was asked for has no picture."""
    present = {int(part) for part in np.unique(assignment.part_of_group)}
    wanted = [options.ratios.train, options.ratios.val, options.ratios.test]
    missing = [PARTS[part].value for part, share in enumerate(wanted) if share > 0 and part not in present]
    if missing:
        raise InputError(
            f"no picture is left for {' and '.join(missing)}, because earlier splits with the salt {options.salt!r} have "
            "assigned these groups already: add the pictures of the other groups again, or choose another salt"
        )


def _links(groups: Groups, frozen: Frozen, known: IntArray) -> _Links:
    count = len(groups.names)
    number_of = {name: number for number, name in enumerate(frozen.groups.names)}
    by_name = [(group, number_of[name]) for group, name in enumerate(groups.names) if name in number_of]
    old = known >= 0
    by_picture = np.stack([groups.codes[old], frozen.groups.codes[known[old]]], axis=1)
    named = np.array(by_name, dtype=np.int64).reshape(-1, 2)
    group, earlier = np.concatenate([by_picture, named, groups.known_links]).astype(np.int64).T
    earlier_parts = np.array([_PART_NUMBER[part] for part in frozen.part_of_group], dtype=np.int64)[earlier]
    bits = np.zeros(count, dtype=np.int64)
    np.bitwise_or.at(bits, group, np.int64(1) << earlier_parts)
    target = np.full(count, -1, dtype=np.int64)
    # The last write wins: an open part before quarantine, then the first name.
    order = np.lexsort((-earlier, earlier_parts != QUARANTINE))
    target[group[order]] = earlier[order]
    return _Links(bits, target)


def _group_parts(rows: Rows, groups: Groups, links: _Links, options: SplitOptions) -> tuple[PartArray, list[str]]:
    parts = np.full(len(groups.names), QUARANTINE, dtype=np.int8)
    fresh = np.flatnonzero(links.fresh)
    if len(fresh) == len(groups.names):
        timed = bool((rows.captured_us != NO_TIME).all())
        found = candidates_of(rows, groups, fresh)
        parts[fresh], method = first_assignment(found, options.ratios, options.salt, timed=timed)
    else:
        units = unit_hash(options.salt, [groups.names[group] for group in fresh])
        parts[fresh], method = by_hash(units, options.ratios), BY_HASH
    return parts, [method if new else JOINED for new in links.fresh]


def _names(groups: Groups, links: _Links) -> list[str]:
    conflict = links.conflict
    if not conflict.any():
        return groups.names
    return [f"quarantine:{name}" if bad else name for name, bad in zip(groups.names, conflict, strict=True)]
