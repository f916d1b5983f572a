"""Freezes a reference from the request log: the champion's pictures of the last weeks, thinned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from belisha.components.drift.log_reading import read_between
from belisha.components.shared.drift_features import FeatureRows, joined, thin_rows
from belisha.components.shared.drift_reference import DEFAULT_GAP_SECONDS, Reference, Source
from belisha.components.shared.errors import NoDataError
from belisha.components.shared.progress import ProgressEvent, ProgressSink
from belisha.components.shared.storage import ObjectStore

MAX_AUTOCORRELATION = 0.1
_GAPS_SECONDS = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, DEFAULT_GAP_SECONDS)
# Enough to tell how neighbouring pictures resemble each other; all the log at full rate may not fit into memory.
_SAMPLE_PICTURES = 20_000
_LEAST_PAIRS = 100
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class FreezeRequest:
    """What to freeze.

    Attributes:
        model_version: whose answers count.
        begin: first moment, timezone-aware.
        end: moment after the last, timezone-aware.
        min_pictures: thinned pictures without which nothing is frozen.
        gap_seconds: least time between two pictures of a camera; None measures it.
        with_embedding: whether embeddings are kept, too.
    """

    model_version: str
    begin: datetime
    end: datetime
    min_pictures: int = 3000
    gap_seconds: float | None = None
    with_embedding: bool = True


def reference_from_log(store: ObjectStore, request: FreezeRequest, progress: ProgressSink) -> Reference:
    """The thinned rows of a stretch of the request log.

    Raises:
        NoDataError: they are too few.
        ContractError, StorageError: the log cannot be read.
    """
    gap = chosen_gap(_sample(store, request)) if request.gap_seconds is None else request.gap_seconds
    hours = list(_hours(request.begin, request.end))
    parts: list[FeatureRows] = []
    for number, (begin, end) in enumerate(hours, start=1):
        parts.append(_read(store, request, begin, end, gap))
        progress(ProgressEvent("read the log", number, len(hours), "hours"))
    rows = thin_rows(joined(parts), gap)
    if len(rows) < request.min_pictures:
        raise NoDataError(
            f"{request.model_version} has answered {len(rows)} pictures that lie {gap:g} s apart since "
            f"{request.begin:%Y-%m-%d %H:%M} UTC, fewer than {request.min_pictures}: wait, or take a longer stretch of the log"
        )
    return Reference(Source.LOG, gap, rows)


def chosen_gap(rows: FeatureRows) -> float:
    """The smallest gap on a ladder up to 30 s at which neighbours of a camera are as good as independent.

    That is, no feature has a lag-1 autocorrelation above 0.1. Light that changes over hours correlates at any gap; then it is
    30 s, and the calibration on contiguous blocks does the rest.
    """
    for gap in _GAPS_SECONDS:
        if autocorrelation(thin_rows(rows, gap)) <= MAX_AUTOCORRELATION:
            return gap
    return DEFAULT_GAP_SECONDS


def autocorrelation(rows: FeatureRows) -> float:
    """Largest lag-1 autocorrelation of any feature, over neighbouring rows of each camera; 1 with too few to tell."""
    first: list[np.ndarray] = []
    second: list[np.ndarray] = []
    for camera in np.unique(rows.camera.astype(str)):
        values = rows.values[rows.camera == camera]
        values = values - values.mean(axis=0)
        first.append(values[:-1])
        second.append(values[1:])
    before, after = (np.concatenate(part) if part else np.zeros((0, 1)) for part in (first, second))
    if len(before) < _LEAST_PAIRS:
        return 1.0
    power = np.sqrt((before**2).sum(axis=0) * (after**2).sum(axis=0))
    varying = power > 0
    correlations = (before * after).sum(axis=0)[varying] / power[varying]
    return float(correlations.max(initial=0.0))


def _sample(store: ObjectStore, request: FreezeRequest) -> FeatureRows:
    """The newest hours, until they hold enough."""
    found: list[FeatureRows] = []
    for begin, end in reversed(list(_hours(request.begin, request.end))):
        found.append(_read(store, request, begin, end, 0.0))
        if sum(map(len, found)) >= _SAMPLE_PICTURES:
            break
    return joined(found)


def _read(store: ObjectStore, request: FreezeRequest, begin: datetime, end: datetime, gap: float) -> FeatureRows:
    return read_between(store, request.model_version, begin, end, gap, with_embedding=request.with_embedding)


def _hours(begin: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    begin, end = begin.astimezone(UTC), end.astimezone(UTC)
    while begin < end:
        following = min(begin.replace(minute=0, second=0, microsecond=0) + _HOUR, end)
        yield begin, following
        begin = following
