"""Reads from the request log what a check or a reference needs: those hours, those columns, thinned shard by shard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from belisha.components.shared.drift_features import (
    EMBEDDING,
    LOG_COLUMNS,
    FeatureRows,
    features_of,
    joined,
    no_rows,
    thin_log,
    thin_rows,
)
from belisha.components.shared.progress import ProgressEvent, ProgressSink
from belisha.components.shared.request_log import read_log
from belisha.components.shared.storage import ObjectStore, scheme_of

_HOUR = timedelta(hours=1)
# A bucket answers in tens of milliseconds, and a day has thousands of shards.
_REMOTE_READERS = 8


def read_back(
    store: ObjectStore,
    model_version: str,
    until: datetime,
    lookback: timedelta,
    gap_seconds: float,
    enough_with: Callable[[FeatureRows], bool],
    progress: ProgressSink,
    *,
    with_embedding: bool,
) -> FeatureRows:
    """A version's thinned predictions before a moment, hour by hour backwards until they are enough.

    Args:
        store: the log's.
        model_version: whose answers count, shadow answers among them.
        until: the last prediction lies before it.
        lookback: the first one does not lie further back.
        gap_seconds: least time between two rows of a camera.
        enough_with: given the rows of each hour that has some; when it says yes, no further hour is read.
        progress: told after each hour.
        with_embedding: whether that column is read.

    Raises:
        ContractError, StorageError: the log cannot be read.
    """
    since, hours = until - lookback, list(_hours_back(until, lookback))
    found: list[FeatureRows] = []
    for number, hour in enumerate(hours, start=1):
        begin, end = max(hour, since), min(hour + _HOUR, until)
        rows = read_between(store, model_version, begin, end, gap_seconds, with_embedding=with_embedding)
        if len(rows):
            found.append(rows)
        progress(ProgressEvent("read the log", number, len(hours), "hours"))
        if len(rows) and enough_with(rows):
            break
    return thin_rows(joined(found), gap_seconds)


def read_between(
    store: ObjectStore,
    model_version: str,
    begin: datetime,
    end: datetime,
    gap_seconds: float,
    *,
    with_embedding: bool,
) -> FeatureRows:
    """A version's thinned predictions with begin <= time < end; few shards at a time are in memory whole."""
    columns = [*LOG_COLUMNS, *([EMBEDDING] if with_embedding else [])]
    workers = 1 if scheme_of(store.uri) == "file" else _REMOTE_READERS
    log = read_log(store, begin, end, columns, workers=workers)
    shards = [thin_log(_of_version(shard, model_version), gap_seconds) for shard in log]
    filled = [shard for shard in shards if shard.num_rows]
    return thin_rows(joined([features_of(pa.concat_tables(filled))]), gap_seconds) if filled else no_rows()


def _of_version(shard: pa.Table, model_version: str) -> pa.Table:
    mine = pc.equal(shard["model_version"], model_version)
    return shard if pc.all(mine).as_py() else shard.filter(mine)


def _hours_back(until: datetime, lookback: timedelta) -> Iterator[datetime]:
    hour = until.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    while hour + _HOUR > until - lookback:
        yield hour
        hour -= _HOUR
