"""What a drift check goes by; the defaults were measured, see docs/drift.md."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import timedelta

from belisha.components.shared.errors import InputError

# A reference shorter than this many windows has too few independent stretches to calibrate on.
LEAST_WINDOWS_IN_REFERENCE = 3


class Mode(enum.StrEnum):
    """How a window is held against the reference."""

    CALIBRATED = "calibrated"
    TEXTBOOK = "textbook"


class Correction(enum.StrEnum):
    """What textbook mode does about testing many features at once."""

    BONFERRONI = "bonferroni"
    BH = "bh"


@dataclass(frozen=True, slots=True)
class DriftSettings:
    """What a check goes by.

    Attributes:
        mode: calibrated on the reference's own blocks, or Kolmogorov-Smirnov tests that take pictures for independent.
        window_pictures: thinned pictures of a window.
        min_window_pictures: fewer say nothing.
        min_reference_pictures: thinned pictures that a stratum's reference must have.
        windows: last windows that are looked at.
        flagged_windows: of them that confirm drift.
        cooldown_windows: lengths of a window without a further alert.
        min_effect_ratio: distance of distributions below which a difference does not matter, 0..1; calibrated mode.
        quantile_ratio: of the reference's own blocks' largest scores that a window must exceed, 0..1; calibrated mode.
        blocks: overlapping blocks of the reference to calibrate on.
        alpha_ratio: error rate of a window, 0..1; textbook mode.
        correction: for many features; textbook mode.
        lookback_hours: older predictions are not looked at.
        gap_seconds: least time between two pictures of a camera; None takes the reference's.
    """

    mode: Mode = Mode.CALIBRATED
    window_pictures: int = 300
    min_window_pictures: int = 100
    min_reference_pictures: int = 3000
    windows: int = 3
    flagged_windows: int = 2
    cooldown_windows: int = 6
    min_effect_ratio: float = 0.10
    quantile_ratio: float = 0.99
    blocks: int = 250
    alpha_ratio: float = 0.05
    correction: Correction = Correction.BONFERRONI
    lookback_hours: float = 72.0
    gap_seconds: float | None = None

    def __post_init__(self) -> None:
        _refuse(not 2 <= self.min_window_pictures <= self.window_pictures, "the least window must be 2 to the window")
        least = LEAST_WINDOWS_IN_REFERENCE * self.window_pictures
        _refuse(
            self.min_reference_pictures < least,
            f"the reference must have at least {LEAST_WINDOWS_IN_REFERENCE} windows, here {least} pictures",
        )
        _refuse(not 1 <= self.flagged_windows <= self.windows, "flagged windows must be 1 to the windows looked at")
        _refuse(self.cooldown_windows < 0, "the cooldown cannot be negative")
        _refuse(self.blocks < 50, "fewer than 50 blocks calibrate nothing")
        for name in ("min_effect_ratio", "quantile_ratio", "alpha_ratio"):
            _refuse(not 0 < getattr(self, name) < 1, f"{name} must lie between 0 and 1")
        _refuse(not 0 < self.lookback_hours <= 24 * 366, "the lookback must be above 0 hours and at most a year")
        _refuse(self.gap_seconds is not None and self.gap_seconds < 0, "the gap cannot be negative")

    @property
    def pictures_needed(self) -> int:
        """Thinned pictures of a stratum that a check looks at."""
        return self.windows * self.window_pictures

    @property
    def lookback(self) -> timedelta:
        """How far back predictions count."""
        return timedelta(hours=self.lookback_hours)


def _refuse(wrong: bool, sentence: str) -> None:
    if wrong:
        raise InputError(f"the drift check cannot go by these settings: {sentence}")
