"""What the request log says about an experiment: how the dice fell, how fast each model was, and how much there is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from belisha.components.experiment.guards import MeasuredLatencies
from belisha.components.experiment.sample_ratio import Assignments
from belisha.components.experiment.settings import ExperimentSettings
from belisha.components.experiment.trial import Trial
from belisha.components.shared.request_log import read_log
from belisha.components.shared.storage import ObjectStore

_COLUMNS = ("time", "model_version", "camera", "client", "shadow", "drawn", "latency_seconds")
# A unit that keeps its model changes it once when serving begins anew, with the champion alone until the challenger is ready.
_MOST_CHANGES = 2


@dataclass(frozen=True, slots=True)
class LogEvidence:
    """What the log says.

    Attributes:
        assignments: of the dice since the share last changed.
        challenger_answers: the challenger's answers to drawn requests since then.
        latencies: by model version, within the guards' window.
        shadows: answers since then that went to the log alone.
    """

    assignments: Assignments
    challenger_answers: int
    latencies: dict[str, MeasuredLatencies]
    shadows: int


@dataclass(slots=True)
class _Columns:
    """Rows of the two models, column by column, as they are collected from the shards."""

    time_us: list[npt.NDArray[np.int64]] = field(default_factory=list)
    is_challenger: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    shadow: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    drawn: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    latency_seconds: list[npt.NDArray[np.float32]] = field(default_factory=list)
    units: list[pa.Array] = field(default_factory=list)


def read_log_evidence(store: ObjectStore, trial: Trial, settings: ExperimentSettings, now: datetime) -> LogEvidence:
    """Read the log since the share is in force, but no more than the settings' days of it.

    Args:
        store: of the request log.
        trial: the experiment.
        settings: unit, window and lag.
        now: timezone-aware.

    Raises:
        ContractError: a shard is damaged.
        StorageError: the store failed.
    """
    begin = trial.in_force_at
    oldest = now - timedelta(days=settings.log_days)
    columns = _collected(store, trial, max(begin, oldest), now, settings.unit) if begin is not None else _Columns()
    if begin is None or not columns.time_us:
        return LogEvidence(Assignments(trial.share_ratio, 0, 0, unit=settings.unit), 0, {}, 0)
    time_us = np.concatenate(columns.time_us)
    is_challenger = np.concatenate(columns.is_challenger)
    shadow = np.concatenate(columns.shadow)
    drawn = ~shadow if settings.mesh_draws else np.concatenate(columns.drawn) & ~shadow
    latency = np.concatenate(columns.latency_seconds)
    recent = time_us >= _microseconds(max(begin, now - timedelta(seconds=settings.guard_seconds)))
    settled = drawn & (time_us >= _microseconds(begin + timedelta(seconds=settings.settle_seconds)))
    settled &= time_us < _microseconds(now - timedelta(seconds=settings.log_lag_seconds))
    # Until its predictor is ready a challenger gets nothing, whatever its share: the dice count from its first answer on, and
    # that one, which is there by construction, does not count itself.
    settled &= time_us > (time_us[is_challenger].min() if is_challenger.any() else np.iinfo(np.int64).max)
    units = _numbered(columns.units, len(time_us))
    counts = _assigned(units[settled], time_us[settled], is_challenger[settled])
    return LogEvidence(
        Assignments(trial.share_ratio, *counts, unit=settings.unit),
        int(np.count_nonzero(drawn & is_challenger)),
        {
            trial.champion: MeasuredLatencies(latency[recent & ~is_challenger]),
            trial.challenger: MeasuredLatencies(latency[recent & is_challenger]),
        },
        int(np.count_nonzero(shadow)),
    )


def _collected(store: ObjectStore, trial: Trial, begin: datetime, end: datetime, unit: str) -> _Columns:
    columns = _Columns()
    for table in _tables(store, trial, begin, end):
        columns.time_us.append(table["time"].cast(pa.int64()).to_numpy())
        columns.is_challenger.append(pc.equal(table["model_version"], trial.challenger).to_numpy())
        columns.shadow.append(table["shadow"].to_numpy())
        columns.drawn.append(table["drawn"].to_numpy())
        columns.latency_seconds.append(table["latency_seconds"].to_numpy())
        columns.units += table[unit].chunks if unit != "request" else []
    return columns


def _tables(store: ObjectStore, trial: Trial, begin: datetime, end: datetime) -> Iterator[pa.Table]:
    versions = pa.array([trial.champion, trial.challenger])
    for table in read_log(store, begin.astimezone(UTC), end.astimezone(UTC), _COLUMNS):
        own = table.filter(pc.is_in(table["model_version"], value_set=versions))
        if own.num_rows:
            yield own


def _numbered(names: list[pa.Array], rows: int) -> npt.NDArray[np.int64]:
    """A number for what each row was drawn by: its camera or client, or itself where that is unknown or nobody asks for it."""
    own = np.arange(rows, dtype=np.int64)
    if not names:
        return own
    known = pa.chunked_array(names)
    numbers = known.combine_chunks().dictionary_encode().indices.to_numpy()
    return np.where(pc.equal(known, "").to_numpy(), own + rows, numbers)


def _assigned(
    units: npt.NDArray[np.integer], time_us: npt.NDArray[np.int64], is_challenger: npt.NDArray[np.bool_]
) -> tuple[int, int, int]:
    """Units whose latest draw was the champion, those whose was the challenger, and those that went to and fro."""
    if not len(units):
        return 0, 0, 0
    order = np.lexsort((time_us, units))
    units, side = units[order], is_challenger[order]
    last = np.append(units[1:] != units[:-1], True)
    changed = np.append(False, (units[1:] == units[:-1]) & (side[1:] != side[:-1]))
    changes = np.add.reduceat(changed, np.append(0, np.flatnonzero(last)[:-1] + 1))
    challenger = int(np.count_nonzero(side[last]))
    return int(np.count_nonzero(last)) - challenger, challenger, int(np.count_nonzero(changes > _MOST_CHANGES))


def _microseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)
