"""Whether what looks like drift is fit to learn from. A covered lens or a dead camera is an incident, not a new world."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from belisha.components.shared.drift_alert import DriftAlert


@dataclass(frozen=True, slots=True)
class QualityLimit:
    """A median of the drifted pictures that no street has.

    Attributes:
        feature: picture statistic (`shared/picture_statistics.py`).
        meaning: what it is then, for people.
        least: values below are bad, in the feature's own unit.
        most: values above are bad.
    """

    feature: str
    meaning: str
    least: float = -math.inf
    most: float = math.inf

    def is_broken_by(self, value: float) -> bool:
        """Whether a median is bad."""
        return not self.least <= value <= self.most


# Streets at night stay well inside: lamps and windows give them more than 2 bits, and some pixel in a hundred is not black.
LIMITS = (
    QualityLimit("entropy_bits", "nearly every pixel is alike: the lens is covered or the camera is dead", least=2.0),
    QualityLimit("dark_ratio", "the pictures are black: the lens is covered or the camera is dead", most=0.99),
    QualityLimit("saturated_ratio", "the pictures are white: the exposure is broken", most=0.90),
    QualityLimit("contrast", "the pictures are flat: the lens is covered or fogged up", least=0.01),
)


def quality_problems(alert: DriftAlert, min_window_pictures: int = 1) -> list[str]:
    """Why the pictures behind an alert teach nothing, a sentence each; none when they are fit to learn from.

    One bad stratum of several is named and does not stop the others: only when every drifted stratum is bad is there nothing
    to learn from.
    """
    medians: dict[str, dict[str, float]] = {}
    for feature in alert.features:
        medians.setdefault(feature.stratum, {})[feature.feature] = feature.current_median
    problems = {stratum.name: _problem(medians.get(stratum.name, {})) for stratum in alert.strata}
    small = [one.name for one in alert.strata if one.pictures < min_window_pictures]
    for name in small:
        problems[name] = problems[name] or f"fewer than {min_window_pictures} pictures"
    if problems and all(problems.values()):
        return [f"{stratum}: {problem}" for stratum, problem in problems.items()]
    return []


def _problem(medians: Mapping[str, float]) -> str:
    for limit in LIMITS:
        value = medians.get(limit.feature)
        if value is not None and limit.is_broken_by(value):
            return f"{limit.meaning} (median {limit.feature} {value:.3g})"
    return ""
