"""What a split is held against once it is made: shares per condition, and leaks between parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from belisha.components.shared.errors import BelishaError
from belisha.components.shared.near_duplicates import count_pairs_across
from belisha.components.split.assign import PARTS, QUARANTINE
from belisha.components.split.columns import IntArray, Rows, coded
from belisha.components.split.grouping import Groups
from belisha.components.split.resolve import Assignment, main_condition

# Below five expected groups a cell the chi-square approximation says nothing.
_MIN_EXPECTED = 5.0


@dataclass(frozen=True, slots=True)
class Balance:
    """Whether conditions are spread evenly over the parts.

    Attributes:
        statistic: chi-square of the table condition x part, counted in groups, for pictures of a group are not independent.
        degrees: its degrees of freedom.
        p_value: chance of such a table if conditions were spread at random; None where cells are too small to say.
    """

    statistic: float
    degrees: int
    p_value: float | None


@dataclass(frozen=True, slots=True)
class Leaks:
    """What is shared between parts; all but the last are zero, or the split is not written.

    Attributes:
        groups: groups with pictures in two parts.
        pictures: pictures that stand twice.
        looked_at: pictures whose look was compared.
        alike_pairs: pairs that look alike and lie in two parts: only pictures whose parts were settled before.
    """

    groups: int
    pictures: int
    looked_at: int
    alike_pairs: int


def count_by_part(parts: IntArray, weights: IntArray | None = None) -> dict[str, int]:
    """Rows (or a weight of them) in each part."""
    counts = np.bincount(parts, weights=weights, minlength=len(PARTS))
    return {part.value: int(counts[number]) for number, part in enumerate(PARTS)}


def count_groups(assignment: Assignment) -> dict[str, int]:
    """Groups in each part; with folds, val is a fold of those in train."""
    return count_by_part(assignment.part_of_group)


def count_by_condition(rows: Rows, parts: IntArray) -> dict[str, dict[str, int]]:
    """Pictures of each condition in each part; an unknown condition is called `unknown`."""
    table = np.bincount(
        rows.conditions.codes.astype(np.int64) * len(PARTS) + parts,
        minlength=len(rows.conditions.names) * len(PARTS),
    ).reshape(-1, len(PARTS))
    return {
        name or "unknown": {part.value: int(counts[number]) for number, part in enumerate(PARTS)}
        for name, counts in zip(rows.conditions.names, table, strict=True)
    }


def balance(rows: Rows, assignment: Assignment) -> Balance | None:
    """Chi-square test of conditions against parts; None when there is one condition or one part only."""
    conditions = main_condition(assignment.codes, rows.conditions.codes, len(assignment.names))
    width = len(PARTS)
    flat = np.bincount(conditions * width + assignment.part_of_group, minlength=(int(conditions.max()) + 1) * width)
    table = flat.reshape(-1, width)[:, :QUARANTINE]
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    if min(table.shape) < 2:
        return None
    statistic, degrees, expected = _chi_square(table.astype(np.float64))
    if (expected < _MIN_EXPECTED).any():
        return Balance(statistic, degrees, None)
    from scipy.special import gammaincc

    return Balance(statistic, degrees, float(gammaincc(degrees / 2, statistic / 2)))


def _chi_square(table: npt.NDArray[np.float64]) -> tuple[float, int, npt.NDArray[np.float64]]:
    """Pearson's statistic of independence, its degrees of freedom and the expected counts."""
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    statistic = float(((table - expected) ** 2 / expected).sum())
    return statistic, (table.shape[0] - 1) * (table.shape[1] - 1), expected


def find_leaks(table: pa.Table, groups: Groups, parts: IntArray) -> Leaks:
    """Check the finished rows, not the way they came about.

    Args:
        table: columns image_id, group_id, part as they will be written.
        groups: with the hashes of the rows that were looked at.
        parts: `(n,)` part numbers.

    Raises:
        BelishaError: a group or a picture is in two parts, which is a fault of this program.
    """
    of_group = coded(table.column("group_id")).codes.astype(np.int64) * len(PARTS) + coded(table.column("part")).codes
    present = np.bincount(of_group, minlength=(int(of_group.max()) // len(PARTS) + 1) * len(PARTS)) > 0
    straddling = int((present.reshape(-1, len(PARTS)).sum(axis=1) > 1).sum())
    ascending = table.column("image_id").combine_chunks()
    twice = int(pc.sum(pc.greater_equal(ascending[:-1], ascending[1:])).as_py() or 0)
    if straddling or twice:
        raise BelishaError(
            f"the split would put {straddling} groups into two parts and {twice} pictures twice: nothing was written, "
            "please report this with the data set's digest"
        )
    compared = groups.hashed & (parts != QUARANTINE)
    alike = count_pairs_across(groups.hashes[compared], parts[compared])
    return Leaks(straddling, twice, int(groups.hashed.sum()), alike)
