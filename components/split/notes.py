"""What a person has to know about a split, as sentences: what was done, and what that costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from belisha.components.shared.splits import Part
from belisha.components.split.assign import BY_FEW, BY_HASH, BY_ORDER, BY_TIME, ORDERED_BELOW, PARTS, QUARANTINE
from belisha.components.split.checks import Balance, Leaks
from belisha.components.split.grouping import ALIKE, Groups
from belisha.components.split.options import SplitOptions
from belisha.components.split.resolve import Assignment

MIN_SLICE_PICTURES = 30
MIN_TEST_PICTURES = 100
_MAX_OFF_RATIO = 0.05
_LARGE_GROUP_RATIO = 0.25
_P_UNEVEN = 0.01
_NAMED_GROUPS = 3


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything the sentences are made of."""

    options: SplitOptions
    assignment: Assignment
    groups: Groups
    pictures: Mapping[str, int]
    pedestrians: Mapping[str, int]
    conditions: Mapping[str, Mapping[str, int]]
    balance: Balance | None
    leaks: Leaks
    frozen: bool


def sentences(facts: Facts) -> list[str]:
    """All notes on a split, the gravest first."""
    writers = (
        _empty_of_people,
        _by_time,
        _few,
        _method,
        _folds,
        _shares,
        _size,
        _slices,
        _uneven,
        _alike,
        _quarantine,
        _memory,
    )
    return [sentence for write in writers for sentence in write(facts)]


def _empty_of_people(facts: Facts) -> Iterator[str]:
    for part in (Part.TRAIN, Part.VAL, Part.TEST):
        if facts.pictures[part] and not facts.pedestrians[part]:
            yield f"The {part} part has no pedestrian at all, so nothing can be measured on it: add labelled pictures."


def _by_time(facts: Facts) -> Iterator[str]:
    if BY_TIME in facts.assignment.method_of_group:
        yield (
            "Each group was cut in time on request, with gaps of "
            f"{facts.options.gap_seconds:g} s left out ({facts.pictures[Part.QUARANTINE]} pictures): all parts show the same "
            "places, so every number measured on this split is optimistic. Such a cut is not frozen; it moves as the data grow."
        )


def _few(facts: Facts) -> Iterator[str]:
    methods = facts.assignment.method_of_group
    if BY_FEW not in methods:
        return
    of_part = {part: _groups_of(facts.assignment, number) for number, part in enumerate(PARTS)}
    given = "; ".join(f"{part} has {_named(of_part[part])}" for part in PARTS[:QUARANTINE] if of_part[part])
    yield (
        f"There are only {methods.count(BY_FEW)} groups, too few for shares of {facts.options.ratios}, so whole groups were "
        f"dealt out in hash order with the largest kept for training: {given}. A part of one group speaks for "
        "that place alone: intervals that resample groups cannot be narrow or even made, and another salt may give quite "
        "other numbers."
    )


def _method(facts: Facts) -> Iterator[str]:
    methods = facts.assignment.method_of_group
    if BY_ORDER in methods:
        yield (
            f"{methods.count(BY_ORDER)} groups are below {ORDERED_BELOW}, so they were taken in hash order inside each "
            "condition until the shares were met; groups that come later follow their hash."
        )
    elif BY_HASH in methods and not facts.options.by_time:
        yield f"{methods.count(BY_HASH)} groups went where the hash of their name falls; more data will not move them."


def _folds(facts: Facts) -> Iterator[str]:
    if facts.options.folds:
        yield (
            f"Everything but the test part is dealt into {facts.options.folds} folds; fold 0 stands in for val until another "
            "is chosen. Folds are the same for the same data and change as the data grow; the test part does not."
        )


def _shares(facts: Facts) -> Iterator[str]:
    wanted = {
        Part.TRAIN: facts.options.ratios.train,
        Part.VAL: facts.options.ratios.val,
        Part.TEST: facts.options.ratios.test,
    }
    total = sum(facts.pictures[part] for part in wanted)
    if facts.options.folds:
        wanted = {Part.TEST: facts.options.ratios.test}
    off = [
        f"{part} {facts.pictures[part] / total:.2f} instead of {share:.2f}"
        for part, share in wanted.items()
        if abs(facts.pictures[part] / total - share) > _MAX_OFF_RATIO
    ]
    if off:
        yield f"The shares of pictures are off, because groups stay whole: {', '.join(off)}."


def _size(facts: Facts) -> Iterator[str]:
    pictures, pedestrians = facts.pictures[Part.TEST], facts.pedestrians[Part.TEST]
    if pictures < MIN_TEST_PICTURES:
        yield (
            f"The test part has {pictures} pictures with {pedestrians} pedestrians: differences between models will rarely be "
            f"conclusive, and miss rates are not shown below {MIN_TEST_PICTURES} pictures."
        )


def _slices(facts: Facts) -> Iterator[str]:
    small = [
        f"{name} ({counts[Part.TEST]})"
        for name, counts in facts.conditions.items()
        if counts[Part.TEST] < MIN_SLICE_PICTURES
    ]
    if small and len(facts.conditions) > 1:
        yield (
            f"Fewer than {MIN_SLICE_PICTURES} test pictures of a condition say nothing about it alone: {', '.join(small)}."
        )


def _uneven(facts: Facts) -> Iterator[str]:
    found = facts.balance
    if found is not None and found.p_value is not None and found.p_value < _P_UNEVEN:
        yield (
            f"Conditions are spread unevenly over the parts (chi-square {found.statistic:.1f}, {found.degrees} degrees of "
            f"freedom, p = {found.p_value:.2g}): compare parts condition by condition."
        )


def _alike(facts: Facts) -> Iterator[str]:
    count = facts.groups.pictures_by_kind.get(ALIKE, 0)
    if count:
        yield (
            f"{count} pictures came without sequence, camera or group, so only their look could tell what belongs together "
            f"({facts.groups.alike} have a near-duplicate). Frames of one moving camera are not found this way: "
            "label sequences if there are any."
        )
    largest = int(np.bincount(facts.assignment.codes).max())
    total = len(facts.assignment.codes)
    if largest > _LARGE_GROUP_RATIO * total and not {BY_FEW, BY_TIME} & set(facts.assignment.method_of_group):
        yield f"One group holds {largest} of {total} pictures: the shares cannot be met well."


def _quarantine(facts: Facts) -> Iterator[str]:
    count = facts.pictures[Part.QUARANTINE]
    if count and not facts.options.by_time:
        yield (
            f"{count} new pictures link groups that earlier splits put into different parts; they are in quarantine and belong "
            "to no part."
        )
    if facts.leaks.alike_pairs:
        yield (
            f"{facts.leaks.alike_pairs} pairs of pictures that look alike lie in different parts, because their parts were "
            "settled before; numbers on the test part may be a little optimistic."
        )


def _memory(facts: Facts) -> Iterator[str]:
    if not facts.frozen and not facts.options.by_time:
        yield "Nothing was frozen, for no storage was given: as the data grow, pictures may change their part."


def _groups_of(assignment: Assignment, part: int) -> list[str]:
    sizes = np.bincount(assignment.codes, minlength=len(assignment.names))
    return [
        f"{name} ({sizes[group]} pictures)"
        for group, name in enumerate(assignment.names)
        if assignment.part_of_group[group] == part
    ]


def _named(groups: list[str]) -> str:
    shown = ", ".join(groups[:_NAMED_GROUPS])
    return shown if len(groups) <= _NAMED_GROUPS else f"{shown} and {len(groups) - _NAMED_GROUPS} more"
