"""How far apart the distributions of two samples are, feature by feature, and block by block of one sample."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from belisha.components.shared.drift_features import FloatArray, IntArray


class Distribution:
    """A sample's columns, sorted once, to hold many others against.

    Args:
        values: `(n, k)` finite, in the order of time.
    """

    def __init__(self, values: FloatArray) -> None:
        self._values = values
        self._sorted = np.sort(values, axis=0)

    def __len__(self) -> int:
        return len(self._values)

    def distances(self, sample: FloatArray) -> FloatArray:
        """`(k,)` Kolmogorov-Smirnov distances, 0..1, between this and an `(m, k)` sample."""
        columns = zip(self._sorted.T, np.sort(sample, axis=0).T, strict=True)
        return np.array([self._distance(own, other) for own, other in columns])

    def _distance(self, own: FloatArray, other: FloatArray) -> float:
        below, up_to = (np.searchsorted(own, other, side) for side in ("left", "right"))
        return float(_largest_gap(below[None], up_to[None], len(own))[0])

    def block_distances(self, begins: IntArray, length: int) -> FloatArray:
        """Distances between contiguous blocks of the sample and all the rest of it.

        The rest's distribution function is (n F - m F_block) / (n - m), so its gap to the block's is that of the whole
        sample times n / (n - m): one sorting of ranks a block, and no test on thousands of rows.

        Args:
            begins: `(b,)` first row of each block.
            length: rows of a block, fewer than the sample has.

        Returns:
            `(b, k)`, 0..1.
        """
        total = len(self)
        rows = begins[:, None] + np.arange(length)
        found = []
        for own, values in zip(self._sorted.T, self._values.T, strict=True):
            if own[0] == own[-1]:
                found.append(np.zeros(len(begins)))
                continue
            below = np.searchsorted(own, values, "left").astype(np.int32)
            # Rows of equal value have equal ranks: the rank from above follows from the one from below.
            up_to = np.zeros(total, np.int32)
            up_to[below] = np.searchsorted(own, values, "right")
            ordered = np.sort(below[rows], axis=1)
            found.append(_largest_gap(ordered, up_to[ordered], total))
        return np.stack(found, axis=1) * (total / (total - length))


def _largest_gap(below: npt.NDArray[np.integer], up_to: npt.NDArray[np.integer], total: int) -> FloatArray:
    """Largest gap between two distribution functions, a row at a time.

    Args:
        below: `(b, m)` how many of the larger sample lie below each value of the smaller, ascending.
        up_to: `(b, m)` the same, equal values included.
        total: size of the larger sample.
    """
    length = below.shape[1]
    steps = np.arange(length + 1) / length
    above = (steps[1:] - up_to / total).max(axis=1)
    under = (below / total - steps[:-1]).max(axis=1)
    return np.asarray(np.maximum(np.maximum(above, under), 0.0))
