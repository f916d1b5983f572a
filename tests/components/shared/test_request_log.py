"""The request log's contract: what is written is read back, by hour and column, and damage is one sentence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from belisha.components.shared.errors import ContractError
from belisha.components.shared.picture_statistics import STATISTIC_NAMES, PictureStatistics
from belisha.components.shared.request_log import PredictionRow, encode_shard, read_log, shard_key
from belisha.components.shared.storage import ObjectStore, open_store

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def row(at: datetime, request_id: str = "r") -> PredictionRow:
    statistics = PictureStatistics(*(0.5 for _ in STATISTIC_NAMES))
    return PredictionRow(
        time=at,
        request_id=request_id,
        model_version="v1",
        role="champion",
        camera="cam",
        client="client",
        shadow=False,
        drawn=True,
        latency_seconds=0.01,
        picture_id="a" * 64,
        picture_uri="",
        width_px=640,
        height_px=480,
        statistics=statistics,
        scores=(0.9, 0.5),
        boxes_xywh_px=(1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0),
    )


def logged(store: ObjectStore, *times: datetime) -> None:
    for number, at in enumerate(times):
        store.write(shard_key(at, "host-1", number), encode_shard([row(at, f"r{number}")]))


def test_rows_are_read_back(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    logged(store, NOON)
    [table] = read_log(store, NOON, NOON + timedelta(hours=1))
    found = table.to_pylist()[0]
    assert (found["request_id"], found["scores"][0], found["brightness"]) == ("r0", pytest.approx(0.9), 0.5)
    assert found["time"] == NOON


@pytest.mark.parametrize(
    ("begin_minutes", "end_minutes", "expected"),
    [
        pytest.param(0, 60, ["r0", "r1"], id="one hour"),
        pytest.param(0, 59, ["r0"], id="end is exclusive"),
        pytest.param(1, 200, ["r1", "r2"], id="begin is inclusive"),
        pytest.param(500, 600, [], id="nothing there"),
        pytest.param(60, 60, [], id="empty window"),
    ],
)
def test_a_window_holds_its_rows_alone(
    tmp_path: Path, begin_minutes: int, end_minutes: int, expected: list[str]
) -> None:
    store = open_store(str(tmp_path))
    logged(store, *(NOON + timedelta(minutes=minutes) for minutes in (0, 59, 130)))
    window = (NOON + timedelta(minutes=begin_minutes), NOON + timedelta(minutes=end_minutes))
    tables = list(read_log(store, *window, columns=["request_id"]))
    assert all(table.column_names == ["time", "request_id"] for table in tables)
    assert [name for table in tables for name in table["request_id"].to_pylist()] == expected


def test_several_readers_give_the_shards_in_the_same_order(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    logged(store, *(NOON + timedelta(minutes=7 * number) for number in range(30)))
    one, several = (
        [
            name
            for table in read_log(store, NOON, NOON + timedelta(hours=9), workers=workers)
            for name in table["request_id"]
        ]
        for workers in (1, 4)
    )
    assert one == several
    assert len(one) == 30


@pytest.mark.parametrize("damage", [b"", b"PAR1 half a file", b"PAR1" + b"\0" * 100 + b"PAR1"])
def test_a_damaged_shard_is_one_sentence(tmp_path: Path, damage: bytes) -> None:
    store = open_store(str(tmp_path))
    store.write(shard_key(NOON, "host-1", 0), damage)
    with pytest.raises(ContractError, match="damaged shard"):
        list(read_log(store, NOON, NOON + timedelta(hours=1)))


def test_another_version_is_refused(tmp_path: Path) -> None:
    store, sink = open_store(str(tmp_path)), pa.BufferOutputStream()
    pa.parquet.write_table(pa.table({"time": [NOON]}), sink)
    store.write(shard_key(NOON, "host-1", 0), sink.getvalue().to_pybytes())
    with pytest.raises(ContractError, match="not a request log of this version"):
        list(read_log(store, NOON, NOON + timedelta(hours=1)))
