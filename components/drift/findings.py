"""What a drift check finds: by feature, window and stratum, and in all."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from belisha.components.drift.strata import Stratum
from belisha.components.shared.errors import EXIT_FAILED, EXIT_INCONCLUSIVE, EXIT_NEGATIVE, EXIT_OK


class DriftVerdict(enum.StrEnum):
    """Outcome of a check; `error` is that of a check that could not be made."""

    NO_DRIFT = "no_drift"
    DRIFT = "drift"
    INSUFFICIENT = "insufficient"
    ERROR = "error"

    @property
    def exit_code(self) -> int:
        """The process exit code that stands for this verdict."""
        return _EXIT_CODES[self]


_EXIT_CODES = {
    DriftVerdict.NO_DRIFT: EXIT_OK,
    DriftVerdict.DRIFT: EXIT_NEGATIVE,
    DriftVerdict.INSUFFICIENT: EXIT_INCONCLUSIVE,
    DriftVerdict.ERROR: EXIT_FAILED,
}
_WORST_LAST = (DriftVerdict.NO_DRIFT, DriftVerdict.INSUFFICIENT, DriftVerdict.DRIFT, DriftVerdict.ERROR)


def worst_of(verdicts: Iterable[DriftVerdict]) -> DriftVerdict:
    """Drift anywhere is drift; else too few pictures anywhere is too few; nothing at all is too few, too."""
    return max(verdicts, key=_WORST_LAST.index, default=DriftVerdict.INSUFFICIENT)


@dataclass(frozen=True, slots=True)
class FeatureFinding:
    """One feature in one window.

    Attributes:
        feature: its name.
        score: how far it left what is usual; in textbook mode the negative decimal logarithm of its corrected p-value.
        effect_ratio: distance of the two distributions, 0..1.
        reference_median: in the feature's unit; 0 for the embedding.
        current_median: in the feature's unit; 0 for the embedding.
        flagged: whether it flags the window.
        p_value: corrected for the number of features; textbook mode alone.
    """

    feature: str
    score: float
    effect_ratio: float
    reference_median: float
    current_median: float
    flagged: bool
    p_value: float | None = None


@dataclass(frozen=True, slots=True)
class WindowFinding:
    """One window of one stratum.

    Attributes:
        begin: time of its first picture, UTC.
        end: just after its last one.
        pictures: thinned pictures in it.
        bound: that a feature's score must exceed.
        features: all of them, the highest score first; none where the pictures are too few to judge.
    """

    begin: datetime
    end: datetime
    pictures: int
    bound: float = 0.0
    features: tuple[FeatureFinding, ...] = ()

    @property
    def judged(self) -> bool:
        """Whether there were pictures enough."""
        return bool(self.features)

    @property
    def flagged(self) -> bool:
        """Whether a feature left its range by enough to matter."""
        return any(feature.flagged for feature in self.features)

    @property
    def flagged_features(self) -> tuple[FeatureFinding, ...]:
        """Those that did, the highest score first."""
        return tuple(feature for feature in self.features if feature.flagged)


@dataclass(frozen=True, slots=True)
class StratumFinding:
    """One stratum.

    Attributes:
        stratum: what was judged.
        verdict: no_drift, drift or insufficient.
        sentence: why, with its numbers.
        reference_pictures: that it was compared with.
        windows: the last ones, oldest first.
    """

    stratum: Stratum
    verdict: DriftVerdict
    sentence: str
    reference_pictures: int
    windows: tuple[WindowFinding, ...]

    @property
    def flagged_windows(self) -> tuple[WindowFinding, ...]:
        """Those that were flagged, oldest first."""
        return tuple(window for window in self.windows if window.flagged)

    @property
    def highest_score(self) -> float:
        """Of any feature in the flagged windows, over its bound: what strata are ranked by."""
        windows = self.flagged_windows or self.windows
        return max((window.features[0].score - window.bound for window in windows if window.judged), default=0.0)
