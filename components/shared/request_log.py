"""The request log's contract: one row a prediction, in Parquet shards by hour; never the picture itself.

Serving writes it, drift, review and the experiment's judge read it. A shard is written once, whole, under a name that says
from when it is, so a reader opens only the hours and the columns that it needs.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from belisha.components.shared.errors import ContractError
from belisha.components.shared.picture_statistics import STATISTIC_NAMES, PictureStatistics
from belisha.components.shared.storage import ObjectStore

REQUEST_LOG_SCHEMA = b"belisha.request_log/1"
REQUEST_LOG_PREFIX = "requests"

REQUEST_LOG_ARROW_SCHEMA = pa.schema(
    [
        ("time", pa.timestamp("us", tz="UTC")),
        ("request_id", pa.string()),
        ("model_version", pa.string()),
        ("role", pa.string()),
        ("camera", pa.string()),
        ("client", pa.string()),
        ("shadow", pa.bool_()),
        ("drawn", pa.bool_()),
        ("latency_seconds", pa.float32()),
        ("picture_id", pa.string()),
        ("picture_uri", pa.string()),
        ("width_px", pa.int32()),
        ("height_px", pa.int32()),
        *((name, pa.float32()) for name in STATISTIC_NAMES),
        ("embedding", pa.list_(pa.float32())),
        ("scores", pa.list_(pa.float32())),
        ("boxes_xywh_px", pa.list_(pa.float32())),
    ],
    metadata={"schema": REQUEST_LOG_SCHEMA},
)
# Columns of few different values; a dictionary of the others, of numbers above all, would only be written besides them.
_REPEATED = ["model_version", "role", "camera", "client", "picture_uri"]


@dataclass(frozen=True, slots=True)
class PredictionRow:
    """One answered request.

    Attributes:
        time: when it was answered, timezone-aware, UTC.
        request_id: unique to the request; a shadow answer has the id of the request it shadows.
        model_version: that answered.
        role: of that model at that moment: champion or challenger.
        camera: that took the picture, empty when unknown.
        client: that asked, empty when unknown.
        shadow: the answer went to the log alone.
        drawn: the experiment's dice chose this model, not a rule or a wish.
        latency_seconds: from request to answer inside the predictor.
        picture_id: SHA-256 of the picture's bytes.
        picture_uri: where the picture was kept for review, empty when it was not.
        width_px: of the picture.
        height_px: of the picture.
        statistics: of the picture.
        scores: of the boxes, best first, 0..1.
        boxes_xywh_px: x, y, width, height of each box one after another, in pixels of the picture.
        embedding: the model's own description of the picture; empty when it gives none.
    """

    time: datetime
    request_id: str
    model_version: str
    role: str
    camera: str
    client: str
    shadow: bool
    drawn: bool
    latency_seconds: float
    picture_id: str
    picture_uri: str
    width_px: int
    height_px: int
    statistics: PictureStatistics
    scores: tuple[float, ...]
    boxes_xywh_px: tuple[float, ...]
    embedding: tuple[float, ...] = ()


def table_of(rows: Sequence[PredictionRow]) -> pa.Table:
    """Rows as an Arrow table in the log's schema."""
    return pa.Table.from_pylist([_values_of(row) for row in rows], schema=REQUEST_LOG_ARROW_SCHEMA)


def shard_key(begin: datetime, writer: str, number: int) -> str:
    """Key of a shard: the hour it belongs to, the moment of its first row, who wrote it, and a count.

    Args:
        begin: time of its first row, UTC; every row of a shard lies within the hour of it.
        writer: host and process, without slashes.
        number: count of this writer's shards.
    """
    return f"{_hour_prefix(begin)}/{begin:%Y%m%dT%H%M%S%f}-{writer}-{number:06d}.parquet"


def encode_shard(rows: Sequence[PredictionRow]) -> bytes:
    """Rows as the bytes of one Parquet file."""
    return encode_table(table_of(rows))


def encode_table(table: pa.Table) -> bytes:
    """A table in the log's schema as the bytes of one Parquet file."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", use_dictionary=_REPEATED)
    return buffer.getvalue()


def read_log(
    store: ObjectStore, begin: datetime, end: datetime, columns: Sequence[str] | None = None, *, workers: int = 1
) -> Iterator[pa.Table]:
    """Tables of the rows with begin <= time < end, one a shard, opening only the hours that can hold them.

    Args:
        store: the log's.
        begin: timezone-aware.
        end: timezone-aware.
        columns: names to read; `time` is always among them. None reads all.
        workers: shards fetched at once, for a store that answers slowly; a few more than so many are in memory.

    Raises:
        ContractError: a shard is damaged or of another version.
    """
    from belisha.components.shared.inference import map_bounded

    names = None if columns is None else list(dict.fromkeys(["time", *columns]))
    hours = _hours(begin.astimezone(UTC), end.astimezone(UTC))
    keys = (key for hour in hours for key in store.list(_hour_prefix(hour)) if key.endswith(".parquet"))
    read = functools.partial(_read_shard, store, names)
    for table in map_bounded(read, keys, workers) if workers > 1 else map(read, keys):
        yield _between(table, begin, end)


def _between(table: pa.Table, begin: datetime, end: datetime) -> pa.Table:
    """The rows with begin <= time < end; most shards lie within a window whole and are not copied."""
    time = table["time"]
    first, after = pa.scalar(begin, time.type), pa.scalar(end, time.type)
    inside = pc.and_(pc.greater_equal(time, first), pc.less(time, after))
    return table if pc.all(inside).as_py() else table.filter(inside)


def _read_shard(store: ObjectStore, names: list[str] | None, key: str) -> pa.Table:
    try:
        file = pq.ParquetFile(pa.BufferReader(store.read(key)), pre_buffer=False)
        if (file.schema_arrow.metadata or {}).get(b"schema") != REQUEST_LOG_SCHEMA:
            raise ContractError(
                f"{store.uri}/{key} is not a request log of this version: use the belisha that wrote it"
            )
        # A shard is too small to be worth threads; whoever wants them reads several shards at once.
        return file.read(columns=names, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ContractError(f"{store.uri}/{key} is a damaged shard ({reason}): move it away and go on") from None


def _hours(begin: datetime, end: datetime) -> Iterator[datetime]:
    hour = begin.replace(minute=0, second=0, microsecond=0)
    while hour < end:
        yield hour
        hour += timedelta(hours=1)


def _hour_prefix(moment: datetime) -> str:
    return f"{REQUEST_LOG_PREFIX}/date={moment:%Y-%m-%d}/hour={moment:%H}"


def _values_of(row: PredictionRow) -> dict[str, Any]:
    names = [name for name in PredictionRow.__slots__ if name != "statistics"]
    statistics = dict(zip(STATISTIC_NAMES, row.statistics.values(), strict=True))
    return {**{name: getattr(row, name) for name in names}, **statistics}
