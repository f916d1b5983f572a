"""The request log's writer: never waits, loses nothing it can keep, counts what it drops, leaves no half shard."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from belisha.components.serve.metrics import Dropped
from belisha.components.serve.request_log_writer import LogCounts, LogSettings, RequestLogWriter, row_bytes
from belisha.components.shared.errors import StorageError
from belisha.components.shared.request_log import read_log
from belisha.components.shared.storage import ObjectStore, open_store
from tests.components.serve.serving import SERVE_PYTHON
from tests.components.shared.test_request_log import row

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
ROOT = Path(__file__).parents[3]
QUICK = LogSettings(shard_rows=10, shard_seconds=0.05, first_retry_seconds=0.01, longest_retry_seconds=0.05)


class FailingStore:
    """A store whose writes fail for as long as it is told, or wait at a gate. Everything else is the real one's."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self.uri = store.uri
        self.fails = False
        self.gate = threading.Event()
        self.gate.set()
        self.tries = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def write(self, key: str, data: bytes) -> None:
        self.tries += 1
        self.gate.wait(30)
        if self.fails:
            raise StorageError("the disk is full: make room")
        self._store.write(key, data)


@pytest.fixture
def store(tmp_path: Path) -> FailingStore:
    return FailingStore(open_store(str(tmp_path / "log")))


def ids_of(store: object, begin: datetime = NOON - timedelta(days=1), days: int = 3) -> list[str]:
    tables = read_log(store, begin, begin + timedelta(days=days))  # type: ignore[arg-type]
    return [name for table in tables for name in table["request_id"].to_pylist()]


def shards_of(store: FailingStore) -> list[str]:
    return [key for key in store.list("requests") if key.endswith(".parquet")]  # type: ignore[operator]


def wait_for(holds: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.01)


def offer_many(writer: RequestLogWriter, count: int, prefix: str = "r", at: datetime = NOON) -> int:
    return sum(writer.offer(row(at, f"{prefix}{index}")) for index in range(count))


# --- what is written ---------------------------------------------------------------------------------------------------


def test_closing_writes_what_waits_and_closing_twice_does_no_harm(store: FailingStore) -> None:
    writer = RequestLogWriter(store, LogSettings())  # type: ignore[arg-type]
    offer_many(writer, 7)
    assert writer.close() == writer.close() == LogCounts(7, 7, 0)
    assert ids_of(store) == [f"r{index}" for index in range(7)]


def test_a_writer_that_was_never_offered_a_row_closes_at_once(store: FailingStore) -> None:
    assert RequestLogWriter(store).close() == LogCounts(0, 0, 0)  # type: ignore[arg-type]
    assert store.tries == 0


def test_a_full_shard_is_written_before_its_age(store: FailingStore) -> None:
    writer = RequestLogWriter(store, LogSettings(shard_rows=10, shard_seconds=3600))  # type: ignore[arg-type]
    offer_many(writer, 25)
    wait_for(lambda: writer.counts().written == 20)
    assert len(shards_of(store)) == 2
    writer.close()
    assert sorted(ids_of(store)) == sorted(f"r{index}" for index in range(25))


def test_an_old_shard_is_written_before_it_is_full(store: FailingStore) -> None:
    writer = RequestLogWriter(store, LogSettings(shard_rows=1000, shard_seconds=0.1))  # type: ignore[arg-type]
    offer_many(writer, 3)
    wait_for(lambda: writer.counts().written == 3)
    assert len(ids_of(store)) == 3
    writer.close()


def test_every_row_of_a_shard_lies_in_the_hour_of_its_name(store: FailingStore) -> None:
    writer = RequestLogWriter(store, LogSettings())  # type: ignore[arg-type]
    times = [NOON + timedelta(minutes=minutes) for minutes in (59, 60, 58, 61, 125, 59)]
    for number, at in enumerate(times):
        writer.offer(row(at, f"r{number}"))
    writer.close()
    assert len(shards_of(store)) == 3
    for hour, expected in ((12, {"r0", "r2", "r5"}), (13, {"r1", "r3"}), (14, {"r4"})):
        assert set(ids_of(store, NOON.replace(hour=hour), days=1)) >= expected
        tables = list(read_log(store, NOON.replace(hour=hour), NOON.replace(hour=hour) + timedelta(hours=1)))  # type: ignore[arg-type]
        assert {name for table in tables for name in table["request_id"].to_pylist()} == expected


def test_one_row_that_no_shard_can_hold_costs_only_itself(store: FailingStore) -> None:
    told: list[tuple[int, Dropped]] = []
    writer = RequestLogWriter(store, LogSettings(), meter=Told(told))  # type: ignore[arg-type]
    writer.offer(row(NOON, "good"))
    writer.offer(replace(row(NOON, "wide"), width_px=2**40))
    writer.offer(replace(row(NOON, "odd"), camera="\ud800"))
    writer.offer(row(NOON, "also good"))
    assert writer.close() == LogCounts(4, 2, 2)
    assert ids_of(store) == ["good", "also good"]
    assert told == [(2, Dropped.BAD_ROW)]


class Told:
    """Remembers what it is told of dropped rows."""

    def __init__(self, dropped: list[tuple[int, Dropped]]) -> None:
        self._dropped = dropped

    def log_queue(self, rows: int) -> None:
        assert rows >= 0

    def log_written(self, rows: int) -> None:
        assert rows >= 0

    def log_dropped(self, rows: int, reason: Dropped) -> None:
        self._dropped.append((rows, reason))


# --- when the store fails ----------------------------------------------------------------------------------------------


def test_a_store_that_comes_back_gets_every_row(store: FailingStore) -> None:
    store.fails = True
    writer = RequestLogWriter(store, QUICK)  # type: ignore[arg-type]
    offer_many(writer, 30)
    wait_for(lambda: store.tries >= 4)
    assert writer.counts() == LogCounts(30, 0, 0)
    store.fails = False
    wait_for(lambda: writer.counts().written == 30)
    writer.close()
    assert len(ids_of(store)) == len(set(ids_of(store))) == 30


def test_a_full_queue_drops_at_once_and_counts(store: FailingStore) -> None:
    store.gate.clear()
    told: list[tuple[int, Dropped]] = []
    settings = replace(QUICK, queue_rows=20)
    writer = RequestLogWriter(store, settings, meter=Told(told))  # type: ignore[arg-type]
    offer_many(writer, 10, "first")
    wait_for(lambda: store.tries == 1)
    begin = time.monotonic()
    taken = offer_many(writer, 50)
    assert time.monotonic() - begin < 5, "an offer waits for nobody"
    assert taken == 20
    assert (len(told), {reason for _, reason in told}) == (30, {Dropped.QUEUE_FULL})
    store.gate.set()
    assert writer.close() == LogCounts(60, 30, 30)
    assert len(ids_of(store)) == 30


def test_rows_of_crowded_pictures_are_bounded_by_their_memory(store: FailingStore) -> None:
    """A thousand boxes a row: ten thousand rows of them would be more than a gigabyte."""
    store.fails = True
    crowded = replace(row(NOON, "crowded"), scores=(0.5,) * 1000, boxes_xywh_px=(1.0,) * 4000)
    told: list[tuple[int, Dropped]] = []
    settings = replace(QUICK, queue_bytes=10 * row_bytes(crowded), queue_rows=10_000)
    writer = RequestLogWriter(store, settings, meter=Told(told))  # type: ignore[arg-type]
    assert sum(writer.offer(crowded) for _ in range(50)) == 10
    assert (len(told), {reason for _, reason in told}) == (40, {Dropped.QUEUE_BYTES})
    store.fails = False
    wait_for(lambda: writer.counts().waiting == 0)
    assert offer_many(writer, 5) == 5, "there is room again"
    assert writer.close() == LogCounts(55, 15, 40)


def test_a_shard_of_crowded_pictures_is_closed_early(store: FailingStore) -> None:
    crowded = replace(row(NOON, "crowded"), scores=(0.5,) * 1000, boxes_xywh_px=(1.0,) * 4000)
    settings = LogSettings(shard_seconds=3600, shard_bytes=3 * row_bytes(crowded))
    writer = RequestLogWriter(store, settings)  # type: ignore[arg-type]
    for _ in range(7):
        writer.offer(crowded)
    wait_for(lambda: writer.counts().written == 6)
    writer.close()
    assert len(shards_of(store)) == 3


def test_the_memory_of_a_row_is_reckoned_right() -> None:
    """Within a factor of two of what Python really takes."""
    for boxes in (0, 300):
        rows = []
        tracemalloc.start()
        for number in range(500):
            numbers = [float(number + index) + 0.5 for index in range(5 * boxes)]
            rows.append(
                replace(
                    row(NOON, f"request-{number}"), scores=tuple(numbers[:boxes]), boxes_xywh_px=tuple(numbers[boxes:])
                )
            )
        real = tracemalloc.get_traced_memory()[0] / len(rows)
        tracemalloc.stop()
        assert real / 2 < row_bytes(rows[0]) < 2 * real + 1200


def test_closing_is_bounded_and_what_is_left_is_counted(store: FailingStore) -> None:
    store.fails = True
    told: list[tuple[int, Dropped]] = []
    writer = RequestLogWriter(store, QUICK, meter=Told(told))  # type: ignore[arg-type]
    offer_many(writer, 25)
    assert writer.close(0.3) == LogCounts(25, 0, 25)
    assert told == [(25, Dropped.STORE)]
    assert not writer.offer(row(NOON, "late"))
    assert writer.counts() == LogCounts(26, 0, 26)
    assert told[-1] == (1, Dropped.CLOSED)


def test_under_threads_and_a_shaky_store_offered_is_written_plus_dropped(store: FailingStore) -> None:
    """And what counts as written is in the log, once."""
    writer = RequestLogWriter(store, replace(QUICK, queue_rows=200, shard_rows=50))  # type: ignore[arg-type]
    taken: list[str] = []

    def work(number: int) -> None:
        for index in range(1500):
            name = f"{number}-{index}"
            if writer.offer(row(NOON + timedelta(seconds=index), name)):
                taken.append(name)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        store.fails = not store.fails
        time.sleep(0.02)
    store.fails = False
    counts = writer.close(30)
    assert counts.offered == 12_000
    assert counts.written + counts.dropped == counts.offered
    assert 0 < counts.written == len(taken)
    assert counts.dropped > 0, "the bound was never met: the test shows nothing"
    assert sorted(ids_of(store)) == sorted(taken)


# --- processes ---------------------------------------------------------------------------------------------------------

_WRITER = """
import os, sys, time
from datetime import datetime, UTC
from belisha.components.serve.request_log_writer import LogSettings, RequestLogWriter
from belisha.components.shared.picture_statistics import PictureStatistics
from belisha.components.shared.request_log import PredictionRow
from belisha.components.shared.storage import open_store
folder, way = sys.argv[1], sys.argv[2]
writer = RequestLogWriter(open_store(folder), LogSettings(shard_rows=100, shard_seconds=3600))
statistics = PictureStatistics(*[0.5] * 10)

def offer(name):
    now = datetime(2026, 5, 1, 12, tzinfo=UTC)
    values = (now, name, "v1", "champion", "", "", False, True, 0.01, "a" * 64, "", 640, 480, statistics, (), ())
    writer.offer(PredictionRow(*values))

def worker(prefix, count):
    for index in range(count):
        offer(f"{prefix}{index}")

if way == "endless":
    index = 0
    while True:
        offer(f"r{index}")
        if index % 50 == 0:
            print(writer.counts().written, flush=True)
            time.sleep(0.005)
        index += 1
elif way == "gunicorn":  # a worker of gunicorn: forked, and it leaves by SystemExit
    worker("parent", 3)
    for name in "ab":
        if os.fork() == 0:
            worker(name, 7)
            sys.exit(0)
    os.wait(), os.wait()
else:  # a worker of multiprocessing that SIGTERM would end at once
    import multiprocessing
    def run():
        writer.close_on_sigterm()
        worker("m", 9)
        print("offered", flush=True)
        time.sleep(60)
    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    time.sleep(1)
    process.terminate()
    process.join()
"""

pythons = pytest.mark.parametrize("python", [sys.executable, str(SERVE_PYTHON)], ids=["work", "serving"])


def test_a_killed_writer_leaves_whole_shards_and_loses_only_what_waited(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [SERVE_PYTHON, "-c", _WRITER, tmp_path, "endless"], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    written = 0
    for line in process.stdout:
        written = int(line)
        if written >= 500:
            break
    os.kill(process.pid, signal.SIGKILL)
    later = [int(line) for line in process.stdout.read().split()]
    process.wait()
    process.stdout.close()
    found = ids_of(open_store(str(tmp_path)))
    numbers = sorted(int(name[1:]) for name in found)
    assert len(numbers) >= max([written, *later])
    assert numbers == list(range(len(numbers))), "no gap and nothing twice: only the end is missing"


@pythons
def test_forked_workers_write_their_own_rows_when_they_exit(tmp_path: Path, python: str) -> None:
    done = subprocess.run([python, "-c", _WRITER, tmp_path, "gunicorn"], timeout=60, cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stderr
    found = ids_of(open_store(str(tmp_path)))
    expected = [*(f"{name}{index}" for name in "ab" for index in range(7)), *(f"parent{index}" for index in range(3))]
    assert sorted(found) == sorted(expected)


def test_forked_workers_write_to_a_bucket_that_was_opened_before_the_fork(s3_uri: str) -> None:
    done = subprocess.run([SERVE_PYTHON, "-c", _WRITER, s3_uri, "gunicorn"], timeout=60, cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert len(ids_of(open_store(s3_uri))) == 17


@pythons
def test_sigterm_in_a_process_of_multiprocessing_flushes_first(tmp_path: Path, python: str) -> None:
    done = subprocess.run([python, "-c", _WRITER, tmp_path, "sigterm"], timeout=60, cwd=ROOT, capture_output=True)
    assert done.stdout.split() == [b"offered"], done.stderr
    assert len(ids_of(open_store(str(tmp_path)))) == 9


def test_the_log_is_readable_as_a_whole_by_other_tools(store: FailingStore, tmp_path: Path) -> None:
    writer = RequestLogWriter(store, QUICK)  # type: ignore[arg-type]
    offer_many(writer, 35)
    writer.close()
    whole = pa.parquet.read_table(tmp_path / "log" / "requests")
    assert whole.num_rows == 35
