"""The test that textbooks give: Kolmogorov-Smirnov a feature, corrected for the number of features.

It takes pictures for independent of each other and any difference for one that matters; docs/drift.md shows what becomes of
that with video.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from belisha.components.drift.settings import Correction
from belisha.components.shared.drift_features import FloatArray


def corrected_p_values(
    reference: FloatArray, window: FloatArray, correction: Correction
) -> tuple[FloatArray, FloatArray]:
    """`(k,)` corrected p-values and `(k,)` distances of the columns of `(n, k)` and `(m, k)` samples."""
    results = [stats.ks_2samp(one, other, method="asymp") for one, other in zip(reference.T, window.T, strict=True)]
    p_values = np.array([result.pvalue for result in results])
    distances = np.array([result.statistic for result in results])
    if correction is Correction.BH:
        return np.asarray(stats.false_discovery_control(p_values, method="bh")), distances
    return np.minimum(p_values * len(p_values), 1.0), distances
