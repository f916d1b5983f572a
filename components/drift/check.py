"""The drift check: the champion's last predictions in the request log held against its reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from belisha.components.drift.findings import DriftVerdict, StratumFinding, worst_of
from belisha.components.drift.judging import judge_stratum
from belisha.components.drift.log_reading import read_back
from belisha.components.drift.settings import DriftSettings
from belisha.components.drift.strata import Strata, Stratum, strata_of
from belisha.components.shared.drift_features import FeatureRows
from belisha.components.shared.drift_reference import Reference
from belisha.components.shared.progress import ProgressSink
from belisha.components.shared.storage import ObjectStore

UNKNOWN = "unknown"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAMED_CAMERAS = 5


@dataclass(frozen=True, slots=True)
class DriftCheck:
    """What a check found.

    Attributes:
        deployment_name: that was checked.
        model_version: champion whose answers were looked at.
        until: predictions before it were looked at, UTC.
        settings: what it went by, the gap filled in.
        reference_digest: of the file.
        reference_source: `training` or `log`.
        reference_pictures: rows in it.
        reference_begin: time of its first row, UTC.
        reference_end: of its last one.
        strata: worst first.
    """

    deployment_name: str
    model_version: str
    until: datetime
    settings: DriftSettings
    reference_digest: str
    reference_source: str
    reference_pictures: int
    reference_begin: datetime
    reference_end: datetime
    strata: tuple[StratumFinding, ...]

    @property
    def verdict(self) -> DriftVerdict:
        """Of all strata."""
        return worst_of(finding.verdict for finding in self.strata)

    @property
    def drifted(self) -> tuple[StratumFinding, ...]:
        """Strata with confirmed drift, worst first."""
        return tuple(finding for finding in self.strata if finding.verdict is DriftVerdict.DRIFT)

    @property
    def sentence(self) -> str:
        """The finding in words."""
        mine = [finding for finding in self.strata if finding.verdict is self.verdict]
        if self.verdict is DriftVerdict.NO_DRIFT:
            return f"no drift in {_strata(len(mine))}: {mine[0].sentence}"
        if not mine:
            return "the reference is empty: nothing can be said"
        more = f" (and {_strata(len(mine) - 1)} more)" if len(mine) > 1 else ""
        begin = (
            "drift" if self.verdict is DriftVerdict.DRIFT else "too little to judge, which is not the absence of drift"
        )
        return f"{begin}: {mine[0].sentence}{more}"


@dataclass(frozen=True, slots=True)
class Evidence:
    """The rows behind a check, for its report: of each stratum those of the reference and those of the log."""

    reference: Mapping[Stratum, FeatureRows]
    current: Mapping[Stratum, FeatureRows]


def check_drift(
    store: ObjectStore,
    reference: Reference,
    settings: DriftSettings,
    progress: ProgressSink,
    *,
    model_version: str,
    deployment_name: str,
    until: datetime,
) -> tuple[DriftCheck, Evidence]:
    """Judge the last windows of every stratum. The same log, reference, settings and moment give the same answer.

    Args:
        store: holds the request log.
        reference: of the champion.
        settings: what to go by.
        progress: told as the log is read.
        model_version: the champion.
        deployment_name: for the record.
        until: predictions before it count; timezone-aware.

    Raises:
        ContractError, StorageError: the log cannot be read.
    """
    gap = reference.gap_seconds if settings.gap_seconds is None else settings.gap_seconds
    settings = replace(settings, gap_seconds=gap)
    strata = strata_of(reference, settings.min_reference_pictures)
    rows = read_back(
        store, model_version, until, settings.lookback, gap,
        _Tally(strata, settings.pictures_needed).is_full_with, progress,
        with_embedding=reference.rows.embeddings.shape[1] > 0,
    )  # fmt: skip
    evidence = Evidence(dict(strata.parted(reference.rows)), dict(strata.parted(rows)))
    findings = [
        judge_stratum(
            stratum, evidence.reference[stratum], evidence.current[stratum], settings, strata=len(strata.all())
        )
        for stratum in strata.all()
    ]
    check = DriftCheck(
        deployment_name=deployment_name,
        model_version=model_version,
        until=until.astimezone(UTC),
        settings=settings,
        reference_digest=reference.digest,
        reference_source=reference.source.value,
        reference_pictures=len(reference.rows),
        reference_begin=_moment(reference.rows, 0),
        reference_end=_moment(reference.rows, -1),
        strata=tuple(sorted([*findings, *_unknown(strata, rows, settings)], key=_rank)),
    )
    return check, evidence


class _Tally:
    """Counts the pictures of each stratum until there are enough of all."""

    def __init__(self, strata: Strata, pictures: int) -> None:
        self._strata = strata
        self._missing = dict.fromkeys(strata.all(), pictures)

    def is_full_with(self, rows: FeatureRows) -> bool:
        for stratum, found in self._strata.parted(rows):
            self._missing[stratum] -= len(found)
        return all(missing <= 0 for missing in self._missing.values())


def _unknown(strata: Strata, rows: FeatureRows, settings: DriftSettings) -> list[StratumFinding]:
    """Cameras with pictures enough for a window that the reference has never seen: nobody can say how they should look."""
    cameras = [
        camera
        for camera in strata.unknown_cameras(rows)
        if np.count_nonzero(rows.camera == camera) >= settings.min_window_pictures
    ]
    if not cameras:
        return []
    named = ", ".join(camera or "unnamed" for camera in cameras[:_NAMED_CAMERAS])
    sentence = f"{len(cameras)} cameras are not in the reference ({named}): freeze a new one that has seen them"
    return [StratumFinding(Stratum(UNKNOWN, "any"), DriftVerdict.INSUFFICIENT, sentence, 0, ())]


def _rank(finding: StratumFinding) -> tuple[int, float, str]:
    order = (DriftVerdict.DRIFT, DriftVerdict.INSUFFICIENT, DriftVerdict.NO_DRIFT)
    return order.index(finding.verdict), -finding.highest_score, finding.stratum.name


def _moment(rows: FeatureRows, index: int) -> datetime:
    return _EPOCH + timedelta(microseconds=int(rows.time_us[index])) if len(rows) else _EPOCH


def _strata(count: int) -> str:
    return f"{count} strat{'um' if count == 1 else 'a'}"
