"""Request logs made of numbers: pictures that nobody has taken, with statistics that wander as those of a street do."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy import signal

from belisha.components.shared.drift_features import FEATURE_NAMES, FeatureRows
from belisha.components.shared.picture_statistics import STATISTIC_NAMES
from belisha.components.shared.request_log import REQUEST_LOG_ARROW_SCHEMA, encode_table, shard_key
from belisha.components.shared.storage import ObjectStore

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
_MIDDLE = dict(zip(STATISTIC_NAMES, (0.5, 0.2, 6.0, 40.0, 7.0, 3.0, 0.1, 0.02, 0.25, 1.67), strict=True))
_SPREAD = dict(zip(STATISTIC_NAMES, (0.05, 0.02, 0.3, 4.0, 0.2, 0.4, 0.02, 0.005, 0.0, 0.0), strict=True))


def wandering(rng: np.random.Generator, rows: int, columns: int, rho: float = 0.0) -> npt.NDArray[np.float64]:
    """`(rows, columns)` of standard normal numbers, each column with lag-1 autocorrelation rho."""
    noise = rng.normal(size=(rows, columns)) * np.sqrt(1 - rho**2)
    noise[0] /= np.sqrt(1 - rho**2)
    return np.asarray(signal.lfilter([1.0], [1.0, -rho], noise, axis=0))


def feature_rows(values: npt.NDArray[np.float64], *, camera: str = "north", begin: datetime = NOON) -> FeatureRows:
    """Rows a second apart with these values of the first features, and none of the others' changes."""
    filled = np.zeros((len(values), len(FEATURE_NAMES)))
    filled[:, : values.shape[1]] = values
    cameras = np.full(len(values), camera, np.object_)
    time_us = int(begin.timestamp() * 1e6) + np.arange(len(values)) * 1_000_000
    return FeatureRows(time_us, cameras, filled, np.zeros((len(values), 0)), np.full(len(values), "", np.object_))


def log_table(
    rows: int,
    *,
    seed: int = 0,
    begin: datetime = NOON,
    step_seconds: float = 1.0,
    cameras: tuple[str, ...] = ("north",),
    rho: float = 0.0,
    shift: Mapping[str, float] | None = None,
    version: str = "v1",
    embedding: int = 0,
) -> pa.Table:
    """A log in its schema: rows in the order of time, cameras in turn, `shift` in spreads of a statistic."""
    rng = np.random.default_rng(seed)
    drawn = wandering(rng, rows, len(STATISTIC_NAMES), rho)
    moved = shift or {}
    statistics = {
        name: _MIDDLE[name] + _SPREAD[name] * (column + moved.get(name, 0.0))
        for name, column in zip(STATISTIC_NAMES, drawn.T, strict=True)
    }
    counts = rng.integers(0, 5, rows)
    scores = rng.uniform(0.3, 0.95, counts.sum())
    boxes = np.tile([10.0, 20.0, 30.0, 70.0], counts.sum()) * rng.uniform(0.8, 1.2, 4 * counts.sum())
    time_us = int(begin.timestamp() * 1e6) + np.round(np.arange(rows) * step_seconds * 1e6).astype(np.int64)
    embeddings = rng.normal(moved.get("embedding", 0.0), 1.0, (rows, embedding))
    columns: dict[str, object] = {
        "time": pa.array(time_us, pa.timestamp("us", tz="UTC")),
        "request_id": [f"{seed}-{number}" for number in range(rows)],
        "model_version": pa.repeat(version, rows),
        "role": pa.repeat("champion", rows),
        "camera": [cameras[number % len(cameras)] for number in range(rows)],
        "client": pa.repeat("", rows),
        "shadow": np.zeros(rows, np.bool_),
        "drawn": np.zeros(rows, np.bool_),
        "latency_seconds": np.full(rows, 0.02, np.float32),
        "picture_id": pa.repeat("a" * 64, rows),
        "picture_uri": pa.repeat("", rows),
        "width_px": np.full(rows, 640, np.int32),
        "height_px": np.full(rows, 384, np.int32),
        **{name: column.astype(np.float32) for name, column in statistics.items()},
        "embedding": list(embeddings.astype(np.float32)),
        "scores": _lists(scores, counts),
        "boxes_xywh_px": _lists(boxes, 4 * counts),
    }
    arrays = [pa.array(columns[field.name], field.type) for field in REQUEST_LOG_ARROW_SCHEMA]
    return pa.Table.from_arrays(arrays, schema=REQUEST_LOG_ARROW_SCHEMA)


def write_log(store: ObjectStore, table: pa.Table, *, shard_rows: int = 5000, writer: str = "host-1") -> None:
    """Shards of at most so many rows, none across an hour."""
    hours = pc.floor_temporal(table["time"], unit="hour")
    number = 0
    for hour in pc.unique(hours).to_pylist():
        of_hour = table.filter(pc.equal(hours, pa.scalar(hour, hours.type)))
        for begin in range(0, of_hour.num_rows, shard_rows):
            shard = of_hour.slice(begin, shard_rows)
            store.write(shard_key(shard["time"][0].as_py(), writer, number), encode_table(shard))
            number += 1


def end_of(table: pa.Table) -> datetime:
    """A moment after its last row."""
    return table["time"][-1].as_py() + timedelta(seconds=1)


def _lists(values: npt.NDArray[np.float64], counts: npt.NDArray[np.int64]) -> pa.ListArray:
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
    return pa.ListArray.from_arrays(offsets, pa.array(values.astype(np.float32)))
