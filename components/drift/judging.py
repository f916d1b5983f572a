"""Judges the last windows of one stratum."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from belisha.components.drift.calibration import Calibration, Comparison
from belisha.components.drift.findings import DriftVerdict, FeatureFinding, StratumFinding, WindowFinding
from belisha.components.drift.settings import DriftSettings, Mode
from belisha.components.drift.strata import Stratum
from belisha.components.drift.textbook import corrected_p_values
from belisha.components.shared.drift_features import FEATURE_NAMES, WORDS, FeatureRows, FloatArray

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A p-value of 0 has no logarithm; this one is as certain.
_LEAST_P = 1e-300
_NAMED_FEATURES = 3


class StratumJudge:
    """Holds windows of a stratum against its reference.

    Args:
        reference: rows of the stratum, in the order of time, at least `settings.min_reference_pictures`.
        settings: what to go by.
        strata: how many are judged in this check.
        with_embedding: whether embeddings are compared, too.
    """

    def __init__(self, reference: FeatureRows, settings: DriftSettings, *, strata: int, with_embedding: bool) -> None:
        self._reference = reference
        self._settings = settings
        self._strata = strata
        self._comparison = Comparison(reference, with_embedding=with_embedding)
        self._reference_medians = np.median(reference.values, axis=0)
        self._calibrations: dict[int, Calibration] = {}

    def window(self, rows: FeatureRows) -> WindowFinding:
        """Judge the rows of one window, which are at least one."""
        begin, end = _moment(rows.time_us[0]), _moment(rows.time_us[-1]) + timedelta(microseconds=1)
        if len(rows) < self._settings.min_window_pictures:
            return WindowFinding(begin, end, len(rows))
        judge = self._textbook if self._settings.mode is Mode.TEXTBOOK else self._calibrated
        bound, features = judge(rows)
        return WindowFinding(begin, end, len(rows), bound, tuple(sorted(features, key=lambda one: -one.score)))

    def _calibrated(self, rows: FeatureRows) -> tuple[float, list[FeatureFinding]]:
        calibration = self._calibration(len(rows))
        distances = self._comparison.distances(rows)
        scores = calibration.scores(distances)
        flagged = (scores > calibration.bound) & (distances >= self._settings.min_effect_ratio)
        medians = np.median(rows.values, axis=0)
        return calibration.bound, [
            self._feature(index, float(scores[index]), float(distances[index]), medians, flagged=bool(flagged[index]))
            for index in range(len(self._comparison.features))
        ]

    def _textbook(self, rows: FeatureRows) -> tuple[float, list[FeatureFinding]]:
        settings = self._settings
        p_values, distances = corrected_p_values(self._reference.values, rows.values, settings.correction)
        scores = -np.log10(np.maximum(p_values, _LEAST_P))
        medians = np.median(rows.values, axis=0)
        return -float(np.log10(settings.alpha_ratio)), [
            self._feature(
                index, float(scores[index]), float(distances[index]), medians,
                flagged=bool(p_values[index] < settings.alpha_ratio), p_value=float(p_values[index]),
            )
            for index in range(len(FEATURE_NAMES))
        ]  # fmt: skip

    def _feature(
        self,
        index: int,
        score: float,
        distance: float,
        medians: FloatArray,
        *,
        flagged: bool,
        p_value: float | None = None,
    ) -> FeatureFinding:
        has_median = index < len(medians)
        return FeatureFinding(
            feature=self._comparison.features[index],
            score=score,
            effect_ratio=min(distance, 1.0),
            reference_median=float(self._reference_medians[index]) if has_median else 0.0,
            current_median=float(medians[index]) if has_median else 0.0,
            flagged=flagged,
            p_value=p_value,
        )

    def _calibration(self, length: int) -> Calibration:
        if length not in self._calibrations:
            self._calibrations[length] = self._comparison.calibrate(
                length, blocks=self._settings.blocks, quantile_ratio=self._settings.quantile_ratio, strata=self._strata
            )
        return self._calibrations[length]


def last_windows(rows: FeatureRows, settings: DriftSettings) -> list[FeatureRows]:
    """The last windows, whole ones counted back from the end and what is left before them, oldest first."""
    ends = range(len(rows), max(0, len(rows) - settings.pictures_needed), -settings.window_pictures)
    return [rows.take(slice(max(0, end - settings.window_pictures), end)) for end in ends][::-1]


def judge_stratum(
    stratum: Stratum, reference: FeatureRows, rows: FeatureRows, settings: DriftSettings, *, strata: int = 1
) -> StratumFinding:
    """The verdict on a stratum's last windows.

    Args:
        stratum: which one.
        reference: its rows of the reference.
        rows: its thinned rows of the log, in the order of time.
        settings: what to go by.
        strata: how many are judged in this check.
    """
    finding = functools.partial(StratumFinding, stratum)
    if len(reference) < settings.min_reference_pictures:
        sentence = (
            f"{stratum.name}: the reference has {len(reference)} pictures of at least {settings.min_reference_pictures}; "
            "freeze one with `belisha drift reference --from-log` once the champion has served so many"
        )
        return finding(DriftVerdict.INSUFFICIENT, sentence, len(reference), ())
    if not len(rows):
        return finding(DriftVerdict.INSUFFICIENT, f"{stratum.name}: there are no pictures", len(reference), ())
    both = reference.embeddings.shape[1] == rows.embeddings.shape[1] > 0
    judge = StratumJudge(reference, settings, strata=strata, with_embedding=both)
    windows = tuple(judge.window(window) for window in last_windows(rows, settings))
    return finding(*_verdict_on(stratum, windows, settings), len(reference), windows)


def _verdict_on(
    stratum: Stratum, windows: Sequence[WindowFinding], settings: DriftSettings
) -> tuple[DriftVerdict, str]:
    judged = [window for window in windows if window.judged]
    flagged = [window for window in judged if window.flagged]
    if len(flagged) >= settings.flagged_windows:
        sentence = (
            f"{stratum.name}: {len(flagged)} of the last {len(judged)} windows left the reference: {_told(flagged)}"
        )
        return DriftVerdict.DRIFT, sentence
    if not windows[-1].judged:
        sentence = f"{stratum.name}: the last window has {windows[-1].pictures} pictures of at least "
        return DriftVerdict.INSUFFICIENT, f"{sentence}{settings.min_window_pictures}"
    if flagged:
        needed = f"{settings.flagged_windows} of {settings.windows} are needed"
        told = f"{len(flagged)} of the last {len(judged)} windows left the reference ({_told(flagged)}), {needed}"
        return DriftVerdict.NO_DRIFT, f"{stratum.name}: {told}"
    highest = max(judged, key=lambda window: window.features[0].score - window.bound)
    score = highest.features[0].score
    return DriftVerdict.NO_DRIFT, (
        f"{stratum.name}: none of the last {len(judged)} windows left the reference "
        f"(highest score {score:.1f}, bound {highest.bound:.1f})"
    )


def _told(flagged: Sequence[WindowFinding]) -> str:
    """The top features of the last flagged window in words."""
    features = flagged[-1].flagged_features
    told = ", ".join(words_of(feature) for feature in features[:_NAMED_FEATURES])
    more = len(features) - _NAMED_FEATURES
    return f"{told} and {more} more" if more > 0 else told


def words_of(finding: FeatureFinding) -> str:
    """A feature's change in words, with its medians."""
    name = WORDS[finding.feature]
    if finding.feature not in FEATURE_NAMES:
        return f"{name} changed (distance {finding.effect_ratio:.2f})"
    before, now = finding.reference_median, finding.current_median
    verb = "rose" if now > before else "fell" if now < before else "spread otherwise around"
    return f"{name} {verb} from {before:.3g} to {now:.3g}" if now != before else f"{name} {verb} {now:.3g}"


def _moment(time_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=int(time_us))
