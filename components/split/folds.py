"""Cross-validation folds of whole groups, each condition spread evenly over them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from belisha.components.shared.errors import InputError
from belisha.components.split.assign import TRAIN, VAL, unit_hash
from belisha.components.split.columns import IntArray
from belisha.components.split.resolve import Assignment

FoldArray = npt.NDArray[np.int16]
NO_FOLD = -1


def make_folds(assignment: Assignment, strata: IntArray, folds: int, salt: str) -> FoldArray:
    """Fold of each row, NO_FOLD for the test part and quarantine.

    The largest groups go first, equals in hash order, each to the fold where it leaves the strata most even. The result
    is the same for the same data; it is not stable as the data grow.

    Args:
        assignment: of the rows.
        strata: `(n,)` number of each row's stratum.
        folds: how many.
        salt: draws the order of equals.

    Raises:
        InputError: there are fewer groups than folds.
    """
    groups = np.flatnonzero(np.isin(assignment.part_of_group, (TRAIN, VAL)))
    if len(groups) < folds:
        raise InputError(
            f"{folds} folds need {folds} groups of pictures outside the test part but there are {len(groups)}: ask for fewer"
        )
    counts = _counts(assignment, strata)[groups]
    units = unit_hash(salt, [assignment.names[group] for group in groups])
    fold_of_group = np.full(len(assignment.names), NO_FOLD, dtype=np.int16)
    fold_of_group[groups] = _spread(counts, np.lexsort((units, -counts.sum(axis=1))), folds)
    return fold_of_group[assignment.codes]


def _counts(assignment: Assignment, strata: IntArray) -> npt.NDArray[np.float64]:
    """Pictures of each stratum in each group, `(groups, strata)`."""
    width = int(strata.max()) + 1
    flat = np.bincount(assignment.codes * width + strata, minlength=len(assignment.names) * width)
    return flat.reshape(-1, width).astype(np.float64)


def _spread(counts: npt.NDArray[np.float64], order: IntArray, folds: int) -> FoldArray:
    weight = 1.0 / np.maximum(counts.sum(axis=0), 1.0) ** 2
    filled = np.zeros((folds, counts.shape[1]))
    chosen = np.zeros(len(counts), dtype=np.int16)
    for group in order:
        # The rise of the weighted sum of squares: least where the group's strata are still rare.
        rise = ((2 * filled + counts[group]) * counts[group] * weight).sum(axis=1)
        chosen[group] = np.lexsort((filled.sum(axis=1), rise))[0]
        filled[chosen[group]] += counts[group]
    return chosen
