"""Distance of two samples of embeddings: principal components, then the maximum mean discrepancy.

The discrepancy (Gretton et al., 2012) with a Gaussian kernel is taken on random Fourier features (Rahimi and Recht, 2007):
there it is the distance of two means, so a block of the reference costs a subtraction of running sums.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import pdist

from belisha.components.shared.drift_features import FloatArray, IntArray

COMPONENTS = 16
_FREQUENCIES = 128
_SAMPLE = 500


@dataclass(frozen=True, slots=True)
class EmbeddingSpace:
    """A map of embeddings to features whose means are compared; fitted on the reference, the same for the same reference.

    Attributes:
        centre: `(e,)` the reference's mean.
        axes: `(e, c)` its principal components over the kernel's width.
        frequencies: `(c, f)` of the kernel.
    """

    centre: FloatArray
    axes: FloatArray
    frequencies: FloatArray

    def map(self, embeddings: FloatArray) -> FloatArray:
        """`(n, e)` to `(n, 2 f)`; the scalar product of two rows approximates the kernel, 0..1."""
        phase = (embeddings - self.centre) @ self.axes @ self.frequencies
        return np.concatenate([np.cos(phase), np.sin(phase)], axis=1) / math.sqrt(self.frequencies.shape[1])


def fit_space(embeddings: FloatArray) -> EmbeddingSpace:
    """Components and kernel width (median distance of pairs) of `(n, e)` embeddings."""
    centre = embeddings.mean(axis=0)
    centred = embeddings - centre
    _, vectors = np.linalg.eigh(centred.T @ centred)
    axes = vectors[:, ::-1][:, :COMPONENTS]
    sample = (centred @ axes)[:: max(1, len(centred) // _SAMPLE)]
    width = float(np.median(pdist(sample))) if len(sample) > 1 else 0.0
    frequencies = np.random.default_rng(0).normal(size=(axes.shape[1], _FREQUENCIES))
    return EmbeddingSpace(centre, axes / (width or 1.0), frequencies)


class EmbeddingDistribution:
    """A sample of embeddings to hold others against; `(n, e)` in the order of time."""

    def __init__(self, embeddings: FloatArray) -> None:
        self._space = fit_space(embeddings)
        mapped = self._space.map(embeddings)
        self._sums = np.concatenate([np.zeros((1, mapped.shape[1])), np.cumsum(mapped, axis=0)])

    def distance(self, sample: FloatArray) -> float:
        """Discrepancy between this and an `(m, e)` sample, 0..1."""
        gap = self._space.map(sample).mean(axis=0) - self._sums[-1] / self._total
        return float(_scaled(gap[None])[0])

    def block_distances(self, begins: IntArray, length: int) -> FloatArray:
        """`(b,)` between contiguous blocks of the sample and all the rest of it."""
        means = (self._sums[begins + length] - self._sums[begins]) / length
        return _scaled(means - self._sums[-1] / self._total) * (self._total / (self._total - length))

    @property
    def _total(self) -> int:
        return len(self._sums) - 1


def _scaled(gaps: FloatArray) -> FloatArray:
    """Length over that of two points far apart, whose kernel is 0."""
    return np.asarray(np.linalg.norm(gaps, axis=1) / math.sqrt(2))
