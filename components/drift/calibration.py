"""What clean windows look like: the reference's own blocks, each held against all the rest of it.

A window of neighbouring pictures differs from the reference even when nothing has changed, the more the slower the scene
changes. So nothing is assumed about independence: how far blocks of the reference stray from the rest of it says how far a
window may stray. The largest score over all features is calibrated as one number, so their correlations need no assumption
either.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from belisha.components.drift.distances import Distribution
from belisha.components.drift.embedding import EmbeddingDistribution
from belisha.components.shared.drift_features import EMBEDDING, FEATURE_NAMES, FeatureRows, FloatArray

_USUAL_RATIO = 0.84
# Of a Gumbel distribution, from its median to its 99th percentile, in units of its scale: how fast such a tail falls off.
_GUMBEL_SPAN = math.log(math.log(0.5) / math.log(0.99))


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far clean windows stray.

    Attributes:
        median: `(k,)` usual distance of each feature.
        spread: `(k,)` from there to the 84th percentile.
        bound: that the largest score of a clean window exceeds one time in a hundred.
    """

    median: FloatArray
    spread: FloatArray
    bound: float

    def scores(self, distances: FloatArray) -> FloatArray:
        """`(…, k)` distances in units of their spread, from the median."""
        return (distances - self.median) / self.spread


class Comparison:
    """A stratum's reference, ready to hold windows against.

    Attributes:
        features: what is compared; the embedding is last, where there is one.
    """

    def __init__(self, reference: FeatureRows, *, with_embedding: bool) -> None:
        self._values = Distribution(reference.values)
        self._embeddings = EmbeddingDistribution(reference.embeddings) if with_embedding else None
        self.features = (*FEATURE_NAMES, EMBEDDING) if with_embedding else FEATURE_NAMES

    def __len__(self) -> int:
        return len(self._values)

    def distances(self, window: FeatureRows) -> FloatArray:
        """`(k,)` in the order of `features`, 0..1."""
        found = self._values.distances(window.values)
        if self._embeddings is None:
            return found
        return np.append(found, self._embeddings.distance(window.embeddings))

    def calibrate(self, length: int, *, blocks: int, quantile_ratio: float, strata: int = 1) -> Calibration:
        """How far windows of this length stray when nothing has changed.

        Args:
            length: pictures of the window, at most half of the reference.
            blocks: overlapping blocks that are looked at, at most; evenly spread.
            quantile_ratio: of their largest scores that becomes the bound.
            strata: judged at once. Each has its chance of a false flag, so the bound rises as the tail of the blocks' scores
                would have it: by the logarithm of their number, in units of the tail's scale.
        """
        begins = np.unique(np.linspace(0, len(self) - length, blocks).astype(np.int64))
        distances = self._values.block_distances(begins, length)
        if self._embeddings is not None:
            distances = np.column_stack([distances, self._embeddings.block_distances(begins, length)])
        median, usual = np.quantile(distances, (0.5, _USUAL_RATIO), axis=0)
        spread = np.maximum(usual - median, _independent_spread(len(self), length))
        largest = ((distances - median) / spread).max(axis=1)
        middle, bound = np.quantile(largest, (0.5, quantile_ratio), method="higher")
        found = float(bound + (bound - middle) / _GUMBEL_SPAN * math.log(strata))
        return Calibration(median, spread, max(found, _independent_bound(1 - quantile_ratio, len(median) * strata)))


# A reference holds few blocks that do not overlap, so what they show is uncertain. One thing is certain: windows never stray
# less than independent pictures would, whose distances follow Kolmogorov's distribution.
def _independent_spread(total: int, length: int) -> float:
    """The spread of the distance between samples of independent pictures."""
    return _spread() * math.sqrt((total + length) / (total * length))


def _independent_bound(alpha_ratio: float, tests: int) -> float:
    """The score that the largest of so many independent pictures' distances exceeds with probability `alpha_ratio`."""
    return float(special.kolmogi(alpha_ratio / tests) - special.kolmogi(0.5)) / _spread()


def _spread() -> float:
    return float(special.kolmogi(1 - _USUAL_RATIO) - special.kolmogi(0.5))
