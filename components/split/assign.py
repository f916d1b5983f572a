"""Groups to parts: by hash where there are many, by hash order inside each stratum where there are few."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from belisha.components.shared.errors import InputError
from belisha.components.shared.splits import Part
from belisha.components.split.columns import IntArray
from belisha.components.split.options import Ratios

UnitArray = npt.NDArray[np.float64]
PartArray = npt.NDArray[np.int8]

PARTS = (Part.TRAIN, Part.VAL, Part.TEST, Part.QUARANTINE)
TRAIN, VAL, TEST, QUARANTINE = range(4)
# Below this many groups the hash alone misses its shares by several points.
ORDERED_BELOW = 500
BY_HASH, BY_ORDER, BY_FEW, BY_TIME, JOINED = "hash", "order", "few", "time", "joined"


@dataclass(frozen=True, slots=True)
class Candidates:
    """Groups that have no part yet.

    Attributes:
        names: their names.
        pictures: pictures in each.
        pedestrians: pedestrians in each.
        strata: a number for each: groups of one condition, with and without pedestrians, share it.
    """

    names: Sequence[str]
    pictures: IntArray
    pedestrians: IntArray
    strata: IntArray


def unit_hash(salt: str, names: Sequence[str]) -> UnitArray:
    """A number in 0..1 for each name, `blake2b(salt ":" name) / 2^64`: the same on every machine, uniform over names."""
    prefix = hashlib.blake2b(f"{salt}:".encode(), digest_size=8)
    digests = bytearray()
    for name in names:
        whole = prefix.copy()
        whole.update(name.encode())
        digests += whole.digest()
    return np.asarray(np.frombuffer(bytes(digests), dtype=">u8").astype(np.float64) / 2.0**64)


def by_hash(units: UnitArray, ratios: Ratios) -> PartArray:
    """Parts by where each number falls; depends on nothing else, so it is stable as the data grow."""
    edges = np.array([ratios.train, ratios.train + ratios.val])
    return np.searchsorted(edges, units, side="right").astype(np.int8)


def first_assignment(
    candidates: Candidates, ratios: Ratios, salt: str, *, timed: bool = False
) -> tuple[PartArray, str]:
    """Parts of groups that are split for the first time, and the method that was used.

    Args:
        candidates: the groups.
        ratios: shares wanted.
        salt: draws the hash.
        timed: whether all pictures tell their time, so that a cut in time is a way out of too few groups.

    Raises:
        InputError: there are fewer groups than parts to fill.
    """
    wanted = [ratios.train, ratios.val, ratios.test]
    needed = sum(share > 0 for share in wanted)
    if len(candidates.names) < needed:
        raise InputError(_too_few(len(candidates.names), needed, timed=timed))
    units = unit_hash(salt, candidates.names)
    if len(units) >= ORDERED_BELOW:
        return by_hash(units, ratios), BY_HASH
    smallest = min(share for share in wanted if share > 0)
    if len(units) * smallest < 1:
        return _one_each(candidates, units, ratios), BY_FEW
    return by_order(candidates, units, ratios), BY_ORDER


def by_order(candidates: Candidates, units: UnitArray, ratios: Ratios) -> PartArray:
    """Fill test, then val in hash order inside each stratum, each to its share of pictures; the rest trains.

    A group is taken when that brings the share nearer than leaving it, and what a stratum could not give is asked of the
    next, so that shares hold over all strata even where each is small.
    """
    parts = np.zeros(len(units), dtype=np.int8)
    for part, share in ((TEST, ratios.test), (VAL, ratios.val)):
        owed = 0.0
        for members in _strata_by_size(candidates):
            owed += share * float(candidates.pictures[members].sum())
            for group in members[np.argsort(-units[members], kind="stable")]:
                if parts[group] == TRAIN and candidates.pictures[group] < 2 * owed:
                    parts[group] = part
                    owed -= float(candidates.pictures[group])
    return _without_empty_parts(parts, candidates, units, ratios)


def _strata_by_size(candidates: Candidates) -> list[IntArray]:
    members = [np.flatnonzero(candidates.strata == stratum) for stratum in np.unique(candidates.strata)]
    return sorted(members, key=lambda groups: -int(candidates.pictures[groups].sum()))


def _one_each(candidates: Candidates, units: UnitArray, ratios: Ratios) -> PartArray:
    parts = np.zeros(len(units), dtype=np.int8)
    return _without_empty_parts(parts, candidates, units, ratios)


def _without_empty_parts(parts: PartArray, candidates: Candidates, units: UnitArray, ratios: Ratios) -> PartArray:
    """Give each part that has none one group: in hash order, with pedestrians if possible, never the largest one."""
    for part, share in ((TEST, ratios.test), (VAL, ratios.val)):
        if share > 0 and not (parts == part).any():
            parts[_spare_group(parts, candidates, units)] = part
    return parts


def _spare_group(parts: PartArray, candidates: Candidates, units: UnitArray) -> int:
    training = np.flatnonzero(parts == TRAIN)
    order = training[np.lexsort((-units[training], candidates.pedestrians[training] == 0))]
    largest = training[np.argmax(candidates.pictures[training])]
    return next(int(group) for group in itertools.chain(order[order != largest], order))


def _too_few(groups: int, needed: int, *, timed: bool) -> str:
    found = "one group" if groups == 1 else f"{groups} groups"
    way_out = (
        "or ask for a cut in time (--by-time, or the ratios 80/10/10:time), whose numbers are optimistic"
        if timed
        else "or label what belongs together more finely; a cut in time needs capture times, which are missing"
    )
    return (
        f"the data set has {found} of pictures that belong together (one sequence, one camera, or near-duplicates) but "
        f"{needed} parts need {needed}: add pictures from elsewhere, {way_out}"
    )
